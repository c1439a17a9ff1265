//! The server's half: reigns, queues, grants, writes.

use super::*;

impl World {
    /// The supervisor is dead, or there never was one.
    pub(super) fn elect(&mut self) {
        (self.open, self.died) = (false, self.now);
        self.reign += 1 + self.chance.below(3);
        self.locks.clear();
        let living = self.living();
        let running: Vec<_> = living.iter().copied().filter(|n| !self.clients[*n].stopped).collect();
        self.supervisor = *self.chance.pick(&running).or(living.first()).unwrap_or(&0);
        for process in living {
            let client = &mut self.clients[process];
            (client.connected, client.back) = (false, false);
            // First it reads the old connection to its end.
            let time = client.read.max(self.now) + 1 + self.chance.below(200_000);
            self.at(time, Event::Rejoin { process });
        }
    }

    pub(super) fn rejoin(&mut self, process: usize) {
        self.clients[process].back = true;
        self.give_up_calls(process);
        self.open_if_all_are_back();
    }

    /// Newcomers are not waited for.
    pub(super) fn open_if_all_are_back(&mut self) {
        let missing = |n: &usize| self.has_joined(*n) && !self.clients[*n].back;
        if !self.open && !self.living().iter().any(missing) {
            self.after(100_000, Event::Open { reign: self.reign });
        }
    }

    pub(super) fn open(&mut self) {
        if self.open {
            return;
        }
        self.open = true;
        self.token += 1 << 32;
        if self.fault == Some(Fault::RepeatsTokens) {
            self.token = (1 << 32) + self.chance.below(100);
        }
        let living = self.living();
        let best = living.iter().copied().max_by_key(|n| self.clients[*n].highest).unwrap_or(0);
        self.copy = self.clients[best].copy.clone();
        if self.fault == Some(Fault::ForgetsValues) {
            self.copy.retain(|_, _| self.chance.percent(50));
        }
        self.written = Version(if self.fault == Some(Fault::RepeatsVersions) { 1 } else { self.reign }, 0);
        self.writer.retain(|key, (process, number)| {
            let value = self.copy.get(key).and_then(|(_, value)| value.clone());
            value.is_some_and(|value| value == format!("p{process}.{number}"))
        });
        for &process in &living {
            for (ask, claim) in self.clients[process].table.clone() {
                let forgotten = match claim.token {
                    Some(_) => self.fault == Some(Fault::ForgetsHolders),
                    None => self.fault == Some(Fault::ForgetsWaiters),
                };
                if forgotten && self.chance.percent(40) {
                    continue;
                }
                let lock = self.locks.entry(claim.name).or_default();
                if claim.token.is_some() {
                    lock.holders.insert((process, ask), claim.mode);
                } else {
                    lock.queue.push((claim.place, (process, ask), claim.mode));
                }
            }
        }
        for (name, _) in NAMES {
            let lock = self.locks.entry(name).or_default();
            lock.flag = Some(Abandoned::Unknown);
            // Who was not told a place comes last, in the order in which they came back, which is anybody's guess.
            let guess: BTreeMap<Key, u64> = lock.queue.iter().map(|(_, key, _)| (*key, self.chance.next())).collect();
            lock.queue.sort_by_key(|(place, key, _)| (place.unwrap_or((u64::MAX, guess[key])), *key));
        }
        for process in living {
            self.welcome(process);
            let puts: Vec<_> = self.clients[process].puts.keys().copied().collect();
            for put in puts {
                if let Some(put) = self.clients[process].puts.get_mut(&put) {
                    put.again = true;
                }
                self.send(process, ToServer::Put(put));
            }
            self.say_calls(process);
        }
        self.settle_all();
    }

    pub(super) fn serve(&mut self, from: usize, message: ToServer) {
        match message {
            ToServer::Acquire(ask, name, mode) => {
                self.tickets += 1;
                let place = (self.reign, self.tickets);
                self.locks.entry(name).or_default().queue.push((Some(place), (from, ask), mode));
                self.answer(from, ToClient::Queued(ask, place));
            }
            ToServer::Release(ask, done) => {
                for lock in self.locks.values_mut() {
                    lock.queue.retain(|(_, key, _)| *key != (from, ask));
                    if lock.holders.remove(&(from, ask)) == Some(Mode::Exclusive) && done {
                        lock.flag = None;
                    }
                }
            }
            ToServer::Put(put) => self.write(from, put),
            ToServer::Ask(request) => self.asked(from, request),
            ToServer::Post(message, to) => self.deliver(from, message, to),
            ToServer::Gone => {
                for lock in self.locks.values_mut() {
                    lock.queue.retain(|(_, (process, _), _)| *process != from);
                    let before = lock.holders.len();
                    lock.holders.retain(|(process, _), _| *process != from);
                    if lock.holders.len() < before {
                        lock.flag = Some(Abandoned::Died);
                    }
                }
            }
        }
        self.settle_all();
    }

    /// Grants what can be granted, first come first served.
    pub(super) fn settle_all(&mut self) {
        if !self.open {
            return;
        }
        let mut granted = Vec::new();
        for (name, limit) in NAMES {
            let Some(lock) = self.locks.get_mut(name) else { continue };
            // Some of those who stand still are set aside, and passed over.
            let ready = |process: usize| !(self.clients[process].stopped && process.is_multiple_of(2));
            loop {
                let mut queue = lock.queue.iter();
                let is_ready = |(_, (process, _), _): &Waiter| ready(*process);
                let first = match self.fault {
                    Some(Fault::Overtakes) => queue.rposition(is_ready),
                    _ => queue.position(is_ready),
                };
                let Some(first) = first else { break };
                let (_, key, mode) = lock.queue[first];
                let fits = match mode {
                    Mode::Exclusive => lock.holders.is_empty(),
                    Mode::Shared => !lock.holders.values().any(|mode| *mode == Mode::Exclusive),
                    Mode::Permits(count) => count + permits(lock.holders.values()) <= limit,
                };
                let wrongly = match (self.fault, mode) {
                    (Some(Fault::GrantsTwice), Mode::Exclusive) => name != "rw" && self.chance.percent(5),
                    (Some(Fault::LetsWritersIn), Mode::Exclusive) => name == "rw" && self.chance.percent(20),
                    (Some(Fault::LendsMore), Mode::Permits(count)) => {
                        count + permits(lock.holders.values()) <= limit + 1
                    }
                    _ => false,
                };
                if !fits && !wrongly {
                    break;
                }
                lock.queue.remove(first);
                lock.holders.insert(key, mode);
                let flag = lock.flag.filter(|_| self.fault != Some(Fault::SaysNothing));
                granted.push((key, flag.unwrap_or(Abandoned::Clean)));
            }
        }
        for ((process, ask), abandoned) in granted {
            self.token += 1;
            self.answer(process, ToClient::Grant(ask, self.token, abandoned));
        }
    }

    fn write(&mut self, from: usize, number: u64) {
        // It may have been answered by what was read to the end of the old connection.
        let Some(put) = self.clients[from].puts.get(&number).cloned() else { return };
        let version = self.copy.get(put.key).map_or(Version(0, 0), |(version, _)| *version);
        if put.again && self.writer.get(put.key) == Some(&(from, number)) {
            return self.cast(from, number, put.key, version);
        }
        if put.again && version != put.seen {
            return self.answer(from, ToClient::Unsure(number));
        }
        let refused = match put.expected {
            Expected::Anything => false,
            Expected::Nothing => version != Version(0, 0),
            Expected::This(expected) => version != expected,
        };
        if refused && self.fault != Some(Fault::IgnoresConditions) {
            return self.answer(from, ToClient::Conflict(number, version));
        }
        self.written.1 += 1;
        self.copy.insert(put.key.to_owned(), (self.written, put.value));
        self.writer.insert(put.key.to_owned(), (from, number));
        self.cast(from, number, put.key, self.written);
    }

    /// Tells everybody, and the writer when it has arrived everywhere.
    fn cast(&mut self, writer: usize, put: u64, key: &str, version: Version) {
        let Some(value) = self.copy.get(key).cloned() else { return };
        let mut all = self.now;
        for process in self.living() {
            let skipped = self.fault == Some(Fault::SkipsCopies) && self.chance.percent(10);
            if self.clients[process].connected && !skipped {
                self.answer(process, ToClient::Value(key.to_owned(), value.clone()));
                all = all.max(self.clients[process].received);
            }
        }
        self.at(all, Event::Acknowledge { reign: self.reign, to: writer, put, version });
    }
}

fn permits<'a>(modes: impl Iterator<Item = &'a Mode>) -> u32 {
    modes.map(|mode| if let Mode::Permits(count) = mode { *count } else { 0 }).sum()
}
