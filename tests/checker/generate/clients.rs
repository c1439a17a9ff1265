//! The clients' half: what their threads do, and what they hear.

use super::*;

impl World {
    pub(super) fn act(&mut self, process: usize, thread: usize) {
        let doing = self.clients[process].threads[thread].doing.clone();
        match doing {
            Doing::Holds(ask) => {
                self.note(process, What::Releasing { ask });
                self.clients[process].table.remove(&ask);
                self.send(process, ToServer::Release(ask, true));
            }
            // Its time is over.
            Doing::Waits(ask) => {
                self.clients[process].table.remove(&ask);
                self.send(process, ToServer::Release(ask, false));
                self.note(process, What::GaveUp { ask });
            }
            Doing::Asks(request) => {
                self.clients[process].requests.remove(&request);
                self.note(process, What::Unanswered { request, why: Why::TimedOut });
            }
            Doing::Sends(message) => {
                self.clients[process].messages.remove(&message);
                self.note(process, What::Unsent { message, why: Why::TimedOut });
            }
            Doing::Writes | Doing::Done => return,
            Doing::Nothing => {}
        }
        self.clients[process].threads[thread].doing = Doing::Nothing;
        if self.ending {
            self.clients[process].threads[thread].doing = Doing::Done;
        } else if !self.has_joined(process) {
            // It has not joined yet.
            self.after(100_000, Event::Wake { process, thread });
        } else {
            match self.chance.below(15) {
                0..=6 => self.ask(process, thread),
                7 | 8 => self.put(process, thread),
                9 | 10 => self.inquire(process, thread),
                11 | 12 => self.post(process, thread),
                _ => {
                    let key = *self.chance.pick(&KEYS).unwrap_or(&"k0");
                    let (began, found) = (self.now, self.found(process, key));
                    self.note(process, What::Read { began, key: key.to_owned(), found });
                    self.after(20_000, Event::Wake { process, thread });
                }
            }
        }
    }

    pub(super) fn ask(&mut self, process: usize, thread: usize) {
        let (name, limit) = *self.chance.pick(&NAMES).unwrap_or(&NAMES[0]);
        let mode = match name {
            "sem" => Mode::Permits(1 + self.chance.below(u64::from(limit)) as u32),
            "rw" if self.chance.percent(70) => Mode::Shared,
            _ => Mode::Exclusive,
        };
        let patience = if self.chance.percent(70) { Patience::Endless } else { Patience::For(300_000) };
        let ask = self.number(process);
        self.note(process, What::Asked { ask, name: name.to_owned(), mode, patience });
        let claim = Claim { name, mode, thread, place: None, token: None };
        self.clients[process].table.insert(ask, claim);
        self.clients[process].threads[thread].doing = Doing::Waits(ask);
        self.send(process, ToServer::Acquire(ask, name, mode));
        if let Patience::For(time) = patience {
            self.at(self.now + time, Event::Wake { process, thread });
        }
    }

    pub(super) fn number(&mut self, process: usize) -> u64 {
        self.clients[process].numbers += 1;
        self.clients[process].numbers
    }

    pub(super) fn put(&mut self, process: usize, thread: usize) {
        let key = *self.chance.pick(&KEYS).unwrap_or(&"k0");
        let number = self.number(process);
        let seen = self.clients[process].copy.get(key).map_or(Version(0, 0), |(version, _)| *version);
        let expected = match self.chance.below(3) {
            0 if seen == Version(0, 0) => Expected::Nothing,
            0 => Expected::This(seen),
            _ => Expected::Anything,
        };
        let value = (!self.chance.percent(10)).then(|| format!("p{process}.{number}"));
        self.note(process, What::Putting { put: number, key: key.to_owned(), expected, value: value.clone() });
        self.clients[process].puts.insert(number, Put { key, value, expected, thread, seen, again: false });
        self.clients[process].threads[thread].doing = Doing::Writes;
        self.send(process, ToServer::Put(number));
    }

    pub(super) fn hear(&mut self, process: usize, message: ToClient) {
        match message {
            ToClient::Queued(ask, place) => {
                if let Some(claim) = self.clients[process].table.get_mut(&ask) {
                    claim.place = Some(place);
                }
            }
            ToClient::Grant(ask, token, abandoned) => {
                let Some(claim) = self.clients[process].table.get_mut(&ask) else {
                    return self.send(process, ToServer::Release(ask, false));
                };
                claim.token = Some(token);
                let thread = claim.thread;
                self.clients[process].threads[thread].doing = Doing::Holds(ask);
                self.forget_wake(process, thread);
                self.note(process, What::Granted { ask, token, abandoned });
                // Some hold on through the next election.
                let long = if self.chance.percent(10) { 1_000_000 } else { 60_000 };
                self.after(long, Event::Wake { process, thread });
            }
            ToClient::Value(key, value) => {
                self.clients[process].highest = self.clients[process].highest.max(value.0);
                self.clients[process].copy.insert(key, value);
            }
            ToClient::Stored(put, version) => self.answered(process, put, What::Stored { put, version }),
            ToClient::Conflict(put, version) => self.answered(process, put, What::Conflict { put, version }),
            ToClient::Unsure(put) => self.answered(process, put, What::Unsure { put }),
            ToClient::Reply(request, run, asked) => {
                self.replied(process, request, What::Answered { request, run, asked });
            }
            ToClient::NoReply(request, why) => self.replied(process, request, What::Unanswered { request, why }),
            ToClient::Message(from, number) => {
                let message = Label { process: format!("p{from}"), number };
                let from = self.clients[from].id.clone();
                self.note(process, What::Received { from, message });
            }
            ToClient::Sent(message, count) => self.posted(process, message, What::Sent { message, count }),
            ToClient::NotSent(message, why) => self.posted(process, message, What::Unsent { message, why }),
        }
    }

    /// A call is over in time: its time-out must not wake whoever called.
    pub(super) fn forget_wake(&mut self, process: usize, thread: usize) {
        let own =
            |event: &Event| matches!(event, Event::Wake { process: p, thread: t } if (*p, *t) == (process, thread));
        self.agenda.retain(|_, event| !own(event));
    }

    pub(super) fn answered(&mut self, process: usize, put: u64, what: What) {
        if let Some(Put { thread, .. }) = self.clients[process].puts.remove(&put) {
            self.note(process, what);
            self.clients[process].threads[thread].doing = Doing::Nothing;
            self.after(20_000, Event::Wake { process, thread });
        }
    }
}
