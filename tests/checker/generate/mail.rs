//! Requests and messages, on both sides.

use super::*;

impl World {
    // --------------------------------------------------------------------------------------------------------- the clients

    fn patience(&mut self, process: usize, thread: usize) -> Patience {
        if self.chance.percent(80) {
            return Patience::Endless;
        }
        let time = 1 + self.chance.below(100_000);
        self.at(self.now + 1 + time, Event::Wake { process, thread });
        Patience::For(time)
    }

    pub(super) fn inquire(&mut self, process: usize, thread: usize) {
        let request = self.number(process);
        let patience = self.patience(process, thread);
        self.note(process, What::Requesting { request, patience });
        let said = self.clients[process].connected;
        self.clients[process].requests.insert(request, Call { thread, to: None, said });
        self.clients[process].threads[thread].doing = Doing::Asks(request);
        self.send(process, ToServer::Ask(request));
    }

    pub(super) fn post(&mut self, process: usize, thread: usize) {
        let message = self.number(process);
        let patience = self.patience(process, thread);
        let known: Vec<_> = (0..self.clients.len()).filter(|n| self.has_joined(*n)).collect();
        let to = if self.chance.percent(40) { None } else { self.chance.pick(&known).copied() };
        let id = to.map(|to| self.clients[to].id.clone());
        self.note(process, What::Sending { message, to: id, patience });
        let said = self.clients[process].connected;
        self.clients[process].messages.insert(message, Call { thread, to, said });
        self.clients[process].threads[thread].doing = Doing::Sends(message);
        self.send(process, ToServer::Post(message, to));
    }

    /// The connection was read to its end: nobody knows what became of what was said on it.
    pub(super) fn give_up_calls(&mut self, process: usize) {
        let why = Why::Interrupted;
        for (request, call) in self.clients[process].requests.clone() {
            if call.said && self.fault != Some(Fault::AsksAgain) {
                self.replied(process, request, What::Unanswered { request, why });
            }
        }
        for (message, call) in self.clients[process].messages.clone() {
            if call.said {
                self.posted(process, message, What::Unsent { message, why });
            }
        }
    }

    /// What was not said yet is said in the new reign.
    pub(super) fn say_calls(&mut self, process: usize) {
        for (request, call) in self.clients[process].requests.clone() {
            if !call.said || self.fault == Some(Fault::AsksAgain) {
                self.clients[process].requests.insert(request, Call { said: true, ..call });
                self.send(process, ToServer::Ask(request));
            }
        }
        for (message, call) in self.clients[process].messages.clone() {
            let to = call.to;
            self.clients[process].messages.insert(message, Call { said: true, ..call });
            self.send(process, ToServer::Post(message, to));
        }
    }

    pub(super) fn replied(&mut self, process: usize, request: u64, what: What) {
        let call = self.clients[process].requests.remove(&request);
        self.end_call(process, call, what);
    }

    pub(super) fn posted(&mut self, process: usize, message: u64, what: What) {
        let call = self.clients[process].messages.remove(&message);
        self.end_call(process, call, what);
    }

    fn end_call(&mut self, process: usize, call: Option<Call>, what: What) {
        let Some(Call { thread, .. }) = call else { return };
        self.forget_wake(process, thread);
        self.note(process, what);
        self.clients[process].threads[thread].doing = Doing::Nothing;
        self.after(20_000, Event::Wake { process, thread });
    }

    // ---------------------------------------------------------------------------------------------------------- the server

    pub(super) fn asked(&mut self, from: usize, request: u64) {
        // A policy does not allow some.
        if self.chance.percent(5) {
            if self.fault == Some(Fault::HearsTheRefused) {
                self.hear_request(from, request);
            }
            return self.answer(from, ToClient::NoReply(request, Why::Refused));
        }
        if !(self.fault == Some(Fault::ForgetsRequests) && self.chance.percent(60)) {
            self.after(60_000, Event::Run { reign: self.reign, from, request });
        }
    }

    /// The handler is asked; returns its run, and what it was asked.
    fn hear_request(&mut self, from: usize, request: u64) -> (Label, Label) {
        let supervisor = self.supervisor;
        let run = Label { process: format!("p{supervisor}"), number: self.number(supervisor) };
        let asked = Label { process: format!("p{from}"), number: request };
        if !(self.fault == Some(Fault::MakesUpAnswers) && self.chance.percent(10)) {
            self.note(supervisor, What::Ran { run: run.number, asked: asked.clone() });
        }
        (run, asked)
    }

    pub(super) fn run(&mut self, from: usize, request: u64) {
        let (run, mut asked) = self.hear_request(from, request);
        if self.fault == Some(Fault::MixesAnswers) && self.chance.percent(10) {
            asked.number -= 1;
        }
        let failed = self.chance.percent(5);
        self.answer(
            from,
            if failed { ToClient::NoReply(request, Why::Failed) } else { ToClient::Reply(request, run, asked) },
        );
    }

    pub(super) fn deliver(&mut self, from: usize, message: u64, to: Option<usize>) {
        let is_there = |n: &usize| self.clients[*n].alive && self.clients[*n].connected;
        let mut to_whom: Vec<_> = match to {
            Some(to) => Some(to).filter(is_there).into_iter().collect(),
            None => self.living().into_iter().filter(is_there).filter(|n| *n != from).collect(),
        };
        if to.is_some() && to_whom.is_empty() {
            return self.answer(from, ToClient::NotSent(message, Why::Refused));
        }
        let alone = to.is_some();
        let often = self.chance.percent(25);
        let mut all = self.now;
        match self.fault.filter(|_| often) {
            Some(Fault::LosesMessages) => {}
            Some(Fault::MixesMessages) => {
                for to in to_whom.iter().copied() {
                    let (reign, arrived) = (self.reign, self.now);
                    let message = ToClient::Message(from, message);
                    self.at(self.now + 500_000, Event::AtClient { reign, to, message, arrived });
                }
            }
            fault => {
                if fault == Some(Fault::Misdelivers) {
                    to_whom = vec![(to_whom.first().unwrap_or(&0) + 1) % self.clients.len()];
                }
                let again = if fault == Some(Fault::RepeatsMessages) { 2 } else { 1 };
                for to in to_whom.repeat(again) {
                    self.answer(to, ToClient::Message(from, message));
                    all = all.max(self.clients[to].received);
                }
            }
        }
        self.at(all, Event::Delivered { reign: self.reign, from, message, to: to_whom, alone });
    }

    /// Tells the sender whom its message has reached.
    pub(super) fn delivered(&mut self, from: usize, message: u64, to: &[usize], alone: bool) {
        let reached = to.iter().filter(|to| self.clients[**to].alive).count() as u64;
        let interrupted = alone && reached == 0;
        let answer = ToClient::NotSent(message, Why::Interrupted);
        self.answer(from, if interrupted { answer } else { ToClient::Sent(message, reached) });
    }
}
