//! The parent's half: who is started, killed, stopped and continued, and who was seen waiting.

use super::*;

impl World {
    pub(super) fn start(&mut self) {
        let process = self.clients.len();
        let id = format!("id{process}");
        let threads = vec![Thread::default(); THREADS];
        self.clients.push(Client { alive: true, id: id.clone(), threads, ..Client::default() });
        self.note(process, What::Joining);
        if self.open {
            self.welcome(process);
        }
        (0..THREADS).for_each(|thread| self.after(300_000, Event::Wake { process, thread }));
    }

    pub(super) fn welcome(&mut self, process: usize) {
        let (copy, written) = (self.copy.clone(), self.written);
        let client = &mut self.clients[process];
        let id = client.id.clone();
        (client.connected, client.copy, client.highest) = (true, copy, written);
        let first = !client.lines.iter().any(|line| matches!(line.what, What::Joined { .. }));
        if first {
            self.note(process, What::Joined { id });
        }
        let supervisor = self.clients[self.supervisor].id.clone();
        self.note(process, What::Reign { epoch: self.reign, supervisor });
    }

    pub(super) fn kill(&mut self) {
        if self.ending {
            return;
        }
        let living = self.living();
        let often = self.chance.percent(40);
        let victim = if often { self.supervisor } else { *self.chance.pick(&living).unwrap_or(&0) };
        if self.clients[victim].alive && living.len() > 3 {
            let name = format!("p{victim}");
            self.tell(What::Killing { process: name.clone() });
            let client = &mut self.clients[victim];
            (client.alive, client.stopped) = (false, false);
            if victim == self.supervisor {
                self.elect();
            } else {
                // Everything that it had said arrives before its end does.
                self.send(victim, ToServer::Gone);
            }
            self.clients[victim].connected = false;
            self.open_if_all_are_back();
            self.tell(What::Dead { process: name });
            self.start();
        }
        self.after(2_000_000, Event::Kill);
    }

    pub(super) fn stop(&mut self) {
        if self.ending {
            return;
        }
        let living = self.living();
        let victim = *self.chance.pick(&living).unwrap_or(&0);
        // A supervisor that stands still only makes everything later.
        if victim != self.supervisor && !self.clients[victim].stopped && self.clients[victim].connected {
            self.tell(What::Stopping { process: format!("p{victim}") });
            self.clients[victim].stopped = true;
            self.after(2_000_000, Event::Resume { process: victim });
        }
        self.after(3_000_000, Event::Stop);
    }

    pub(super) fn resume(&mut self, process: usize) {
        if self.clients[process].alive {
            self.clients[process].stopped = false;
            // Before everything else: what comes for it next came later.
            for event in std::mem::take(&mut self.clients[process].later) {
                self.count += 1;
                self.agenda.insert((0, self.count), event);
            }
            self.tell(What::Resumed { process: format!("p{process}") });
            self.settle_all();
        }
    }

    pub(super) fn look(&mut self) {
        if self.ending {
            return;
        }
        if self.open {
            let began = self.now;
            let mut seen: Vec<_> = self
                .locks
                .iter()
                .map(|(name, lock)| {
                    let waiter = |(_, key, mode): &Waiter| (self.clients[key.0].id.clone(), *mode);
                    ((*name).to_owned(), lock.queue.iter().map(waiter).collect::<Vec<_>>())
                })
                .collect();
            self.now += 1;
            for (name, waiters) in seen.drain(..).filter(|(_, waiters)| !waiters.is_empty()) {
                self.tell(What::Waiters { began, epoch: self.reign, name, waiters });
            }
        }
        self.after(150_000, Event::Look);
    }

    pub(super) fn finish(mut self) -> Journals {
        let mut journals = Journals::from([(PARENT.to_owned(), std::mem::take(&mut self.parent))]);
        for process in 0..self.clients.len() {
            if self.clients[process].alive {
                for key in KEYS {
                    let found = self.found(process, key);
                    self.note(process, What::Final { key: key.to_owned(), found });
                }
                self.note(process, What::End);
            }
            journals.insert(format!("p{process}"), std::mem::take(&mut self.clients[process].lines));
        }
        journals
    }

    pub(super) fn found(&self, process: usize, key: &str) -> Found {
        let (version, value) = self.clients[process].copy.get(key)?;
        Some((*version, value.clone()?))
    }
}
