//! What each action does: the part of the runtime, without sockets, threads and clocks.

use std::collections::VecDeque;

use super::super::session::Effect;
use super::super::supervisor::{Control, Lack, LinkId, Output, Settings, Supervisor};
use super::super::window::RollCall;
use super::strangers::FAKED;
use super::world::{Action, Instance, Notice, Phase, Pipe, Retiring, World, id_of, lock_name, new_session, owner};
use super::{Clock, Fault, PERMITS, SEMAPHORE};
use crate::ident::InstanceId;
use crate::wire::message::{LeaveSort, Mode, ToMember, ToSupervisor};

impl World {
    /// Does one step and checks what must hold after each.
    pub(super) fn step(&mut self, action: Action) {
        self.count(action);
        match action {
            Action::Start(i) => {
                let instance = self.at(i);
                instance.phase = Phase::Elect;
                instance.presence = Some(instance.session.id());
            }
            Action::Elect(i) => self.elect(i),
            Action::Read(c, t) => self.read(c, t, false),
            Action::ReadEarly(c, t) => self.read(c, t, true),
            Action::Write(c, t) => self.write(c, t),
            Action::Receive(i) => self.receive(i),
            Action::GoOn(i) => self.supervise(i, Supervisor::go_on),
            Action::Call(i) => self.call(i),
            Action::Greet(i) => self.greet(i),
            Action::ReadMailbox(i) => drop(self.read_mailbox(i)),
            Action::Notify(i) => self.notify(i, true),
            Action::Undelivered(i) => self.notify(i, false),
            Action::Notified(i) => self.notified(i),
            Action::Probe(i) => self.probe(i),
            Action::Slice(i) => self.slice(i),
            Action::Cut(c, t) => {
                let Some(k) = self.pipe(c, t) else { return };
                let (server, link) = (self.pipes[k].server, self.pipes[k].link);
                self.pipes[k].shut_server();
                self.void_promises(c);
                self.supervise(server, |supervisor| supervisor.ended(link, false));
            }
            Action::Acquire(i, lock) | Action::Share(i, lock) => self.ask(i, lock, Self::mode(action)),
            Action::Permits(i, count) => self.ask(i, SEMAPHORE, Mode::Permits { count, limit: PERMITS }),
            Action::Take(i, lock) => {
                let Some((request, _)) = self.at(i).claim(lock) else { return };
                self.take_grant(i, request);
            }
            Action::Release(i, lock) => {
                let Some((request, _)) = self.at(i).claim(lock) else { return };
                self.ghost_release(i, lock);
                let frame = self.at(i).session.release(request);
                self.say(i, frame);
            }
            Action::Abandon(i, lock) => {
                let Some((request, _)) = self.at(i).claim(lock) else { return };
                self.ghost_abandon(i, lock);
                let frame = self.at(i).session.abandon(request);
                self.say(i, frame);
            }
            Action::Cancel(i, lock) => {
                let Some((request, _)) = self.at(i).claim(lock) else { return };
                let frame = self.at(i).session.cancel(request);
                self.say(i, frame);
            }
            Action::Inquire(i, lock) => self.inquire(i, lock),
            Action::Look(i) => self.look(i),
            Action::Put(i, key) | Action::PutIf(i, key) | Action::Delete(i, key) => self.put(i, key, action),
            Action::Arrive(i, barrier) => self.arrive(i, barrier),
            Action::TimeOut(i) => self.time_out(i),
            Action::Kill(i) => {
                self.ghost_death(i);
                self.vanish(i, Phase::Dead);
            }
            Action::Stop(i) => {
                let instance = self.at(i);
                instance.stopped = true;
                instance.slept |= instance.supervisor.as_ref().is_some_and(|s| s.is_window_open());
            }
            Action::Continue(i) => self.at(i).stopped = false,
            Action::GiveUp(i) => {
                self.ghost.control.gave_up(i);
                self.no_witness(self.instances[usize::from(i)].session.id());
                if let Some(k) = self.current(i) {
                    self.pipes[k].shut_client();
                }
                self.elect_again(i);
            }
            Action::Leave(i) => self.leave(i),
            Action::Resign(i) => self.retire(i, LeaveSort::Resigning),
            Action::Drain(i) => {
                self.at(i).draining = true;
                self.supervise(i, |supervisor| supervisor.drain(false));
            }
            Action::Finish(i) => self.finish(i),
            Action::Lack(i) => self.lack(i),
            Action::FailStop(i) => self.fail_stop(i),
            Action::HandOver(i) => self.hand_over(i),
            Action::Post(i, to) => self.post(i, to),
            Action::Ask(i) => self.question(i),
            Action::Pause(i, k) => self.pause(i, k, true),
            Action::Resume(i, k) => self.pause(i, k, false),
            Action::Judge(n, allows) => self.judge(n, allows),
            Action::Answer(n) => self.answer(n),
            Action::Intrude(i, how) => self.intrude(i, how),
            Action::Foreign => self.foreign_hello(),
        }
        let instances = &self.instances;
        self.pipes
            .retain(|pipe| pipe.server_open || pipe.client_open && instances[usize::from(pipe.client)].is_alive());
        self.check();
    }

    pub(super) fn at(&mut self, i: u8) -> &mut Instance {
        &mut self.instances[usize::from(i)]
    }

    /// It cannot take in whom it waits for, until it gives that up.
    fn lack(&mut self, i: u8) {
        self.supervise(i, |supervisor| {
            if (0..=10).fold(false, |_, n| supervisor.lacks(None, Supervisor::SLICE * n)) {
                supervisor.give_up(Lack::Descriptors);
            }
        });
    }

    fn ask(&mut self, i: u8, lock: u8, mode: Mode) {
        self.ghost_asks(i, lock, mode);
        let instance = self.at(i);
        instance.acquired += 1;
        let (_, frame) = instance.session.acquire(lock_name(lock), mode);
        self.say(i, frame);
    }

    fn count(&mut self, action: Action) {
        let fault = match action {
            Action::Start(_) => Fault::Start,
            Action::Kill(_) => Fault::Kill,
            Action::Stop(_) => Fault::Stop,
            Action::Cancel(..) => Fault::Cancel,
            Action::Abandon(..) => Fault::Abandon,
            Action::TimeOut(_) => Fault::TimeOut,
            Action::Leave(_) => Fault::Leave,
            Action::Resign(_) | Action::Drain(_) => Fault::Resign,
            Action::FailStop(_) => Fault::FailStop,
            Action::Lack(_) => Fault::Lack,
            Action::Undelivered(_) => Fault::Undelivered,
            Action::GiveUp(_) => Fault::GiveUp,
            Action::Slice(_) => Fault::Limit,
            Action::Pause(..) => Fault::Pause,
            Action::Judge(_, false) => Fault::Deny,
            Action::Intrude(..) => Fault::Intrude,
            Action::Foreign => Fault::Foreign,
            _ => return,
        };
        self.used[fault as usize] = self.used[fault as usize].saturating_add(1);
    }

    // ------------------------------------------------------------------------------------------------- the election

    fn elect(&mut self, i: u8) {
        if self.port.is_none() {
            return self.win(i);
        }
        let server = self.port.unwrap_or_default();
        self.links += 1;
        let link = LinkId(self.links);
        let instance = self.at(i);
        instance.attempt += 1;
        instance.phase = Phase::Joining;
        instance.greeted = false;
        let pipe = Pipe {
            client: i,
            server,
            attempt: instance.attempt,
            link,
            accepted: false,
            client_open: true,
            server_open: true,
            closing: false,
            up: VecDeque::new(),
            out: VecDeque::new(),
            down: VecDeque::new(),
            written: 0,
        };
        self.pipes.push(pipe);
        if !self.config.late_hello {
            self.greet(i);
        }
    }

    /// The connection is made: whoever reads this hello reigns already.
    fn greet(&mut self, i: u8) {
        if self.config.rules.hello_follows_a_look && self.read_mailbox(i) {
            return;
        }
        if self.config.rules.new_tag_before_hello && self.at(i).membership.is_some() {
            self.show_another(i);
        }
        self.at(i).greeted = true;
        for frame in self.at(i).session.hello() {
            self.say(i, Some(frame));
        }
    }

    fn win(&mut self, i: u8) {
        if self.config.rules.hello_follows_a_look {
            self.read_mailbox(i);
        }
        self.port = Some(i);
        self.reigns += 1;
        let config = self.config;
        let instance = self.at(i);
        instance.phase = Phase::Supervisor;
        instance.slept = false;
        instance.uncalled = false;
        instance.attempt += 1;
        if config.rules.new_tag_before_hello || instance.membership.is_none() {
            self.show_another(i);
            // While it has the port nobody else looks.
            let tags = &mut self.at(i).tags;
            tags.drain(..tags.len() - 1);
        }
        let instance = self.at(i);
        let hello = instance.session.hello();
        let settings = Settings {
            group: lock_name(0).name,
            me: instance.session.id(),
            pid: 1,
            window_limit: Some(Supervisor::SLICE * config.slices),
            aside_limit: (!config.listing).then_some(Supervisor::SLICE * config.slices),
            member_limit: 100,
            control: Control {
                yields: config.succession,
                heirs: instance.session.heirs().clone(),
                yielded: instance.session.yielded().clone(),
                known: instance.session.highest(),
                is_member: !instance.session.is_fresh(),
                judges: config.judges,
                answers: config.errands > 0,
                ..Control::default()
            },
        };
        let supervisor = Supervisor::with_rules(settings, config.rules);
        self.ghost.control.begin_reign();
        self.at(i).supervisor = Some(Box::new(supervisor));
        for frame in hello {
            self.supervise(i, |supervisor| supervisor.frame(LinkId::LOCAL, frame));
        }
        if config.late_call {
            self.at(i).uncalled = true;
        } else {
            self.call(i);
        }
        if self.resigned && !config.rules.window_after_resignation {
            self.supervise(i, Supervisor::trust_the_resigner);
        }
    }

    /// Asks the kernel who is there.
    pub(super) fn call(&mut self, i: u8) {
        self.at(i).uncalled = false;
        self.unseen_witnesses();
        // Whoever ended before the kernel was asked might as well have ended before this one won.
        self.ghost.restarted = !self.is_somebody_else(i) && self.at(i).session.is_fresh();
        let roll = if self.config.listing {
            let shown = |instance: &Instance| instance.membership.map(|id| (id, instance.tags.clone()));
            let shown = self.instances.iter().filter_map(shown);
            let shown = shown.flat_map(|(id, tags)| tags.into_iter().map(move |tag| (id, tag)));
            RollCall::Everyone(shown.chain(self.faked()).collect())
        } else {
            RollCall::Somebody(self.is_somebody_else(i))
        };
        self.supervise(i, |supervisor| supervisor.called(roll));
    }

    pub(super) fn elect_again(&mut self, i: u8) {
        self.forget_questions(i);
        let instance = self.at(i);
        instance.phase = Phase::Elect;
        for effect in instance.session.disconnected() {
            if let Effect::Tell(notice) = effect {
                self.control_heard(i, &notice);
            }
        }
        let instance = self.at(i);
        if instance.session.is_fresh() {
            instance.membership = None;
        }
    }

    // ----------------------------------------------------------------------------------------------- the supervisor

    /// Gives a supervisor one input and does everything that comes of it.
    pub(super) fn supervise(&mut self, i: u8, input: impl FnOnce(&mut Supervisor)) {
        let Some(mut supervisor) = self.at(i).supervisor.take() else { return };
        input(&mut supervisor);
        let mut outputs = VecDeque::new();
        loop {
            if supervisor.is_complete() {
                self.reigns += 1;
                let clock = match self.config.clock {
                    Clock::Rises => self.reigns << 34,
                    Clock::WasSetBack => 1,
                };
                let adopted = supervisor.state().stamp();
                supervisor.close(clock);
                self.yields = 0;
                self.ghost_close(&supervisor);
                self.state_adopted(&supervisor, adopted);
            }
            outputs.extend(supervisor.take_outputs());
            let Some(output) = outputs.pop_front() else { break };
            if let Output::Cast(_, ToMember::Complete(generation)) = &output {
                self.ghost_complete(&supervisor, generation);
            }
            match output {
                Output::Send(link, frame) => self.put_out(i, &mut supervisor, link, frame),
                Output::Cast(links, frame) => {
                    self.state_cast(i, &supervisor, &links, &frame);
                    for link in links {
                        self.put_out(i, &mut supervisor, link, frame.clone());
                    }
                }
                // See `World::yields`.
                Output::Watch(_) | Output::HandOver(_) => {}
                Output::Look(ids) => self.at(i).look = Some(ids),
                Output::Close(link) => {
                    if let Some(pipe) = self.pipes.iter_mut().find(|pipe| pipe.link == link) {
                        pipe.closing = true;
                        pipe.close_if_flushed();
                    }
                }
                Output::Cut(link) => {
                    self.note_cut(link);
                    if let Some(pipe) = self.pipes.iter_mut().find(|pipe| pipe.link == link) {
                        pipe.shut_server();
                    }
                }
                Output::StepDown(why) => {
                    self.note_yield(i, why);
                    self.at(i).retiring = Some(Retiring::Stays);
                }
                Output::Notify { id, tags, .. } => self.at(i).unsent.push_back(Notice { id, tags, is_late: false }),
                Output::Judge(number, entry, frame) => self.policy_asked(i, number, entry.id, &frame),
                Output::Handle(number, entry, bytes) => self.handler_asked(i, &supervisor, number, entry.id, &bytes),
            }
        }
        let me = self.at(i).session.id();
        self.ghost_opened(&supervisor, me);
        self.at(i).supervisor = Some(supervisor);
    }

    fn put_out(&mut self, i: u8, supervisor: &mut Supervisor, link: LinkId, frame: ToMember) {
        self.state_said(i, supervisor, link, &frame);
        if let Some(to) = supervisor.behind(link) {
            self.answered(supervisor, to, &frame);
        }
        self.control_said(i, supervisor, link, &frame);
        if link == LinkId::LOCAL {
            for answer in self.take(i, frame) {
                supervisor.frame(LinkId::LOCAL, answer);
            }
        } else if let Some(pipe) = self.pipes.iter_mut().find(|pipe| pipe.link == link && pipe.server_open) {
            pipe.out.push_back(frame);
        }
    }

    fn read(&mut self, client: u8, attempt: u16, early: bool) {
        let Some(k) = self.pipe(client, attempt) else { return };
        let (server, link) = (self.pipes[k].server, self.pipes[k].link);
        if !self.pipes[k].accepted {
            self.pipes[k].accepted = true;
            self.supervise(server, |supervisor| supervisor.connected(link));
        }
        let Some(k) = self.pipe(client, attempt) else { return };
        let replaced = |supervisor: &Supervisor, id: InstanceId| {
            !supervisor.is_window_open() && supervisor.registry().get(id).is_some()
        };
        if let Some(frame) = self.pipes[k].up.pop_front() {
            let frame = if self.config.wire { super::through_the_wire(frame) } else { frame };
            let id = self.at(client).session.id();
            if frame == ToSupervisor::ClaimsEnd
                && self.at(server).supervisor.as_ref().is_some_and(|supervisor| replaced(supervisor, id))
            {
                self.void_promises(client);
            }
            self.supervise(server, |supervisor| supervisor.frame(link, frame));
        } else {
            self.pipes[k].shut_server();
            let behind = self.at(server).supervisor.as_ref().and_then(|supervisor| supervisor.behind(link));
            let gone = !early && behind.is_some_and(|id| self.is_gone(id));
            self.void_promises(client);
            self.supervise(server, |supervisor| supervisor.ended(link, gone));
        }
    }

    fn write(&mut self, client: u8, attempt: u16) {
        let Some(k) = self.pipe(client, attempt) else { return };
        let alive = self.instances[usize::from(client)].is_alive();
        let wire = self.config.wire;
        let pipe = &mut self.pipes[k];
        let Some(frame) = pipe.out.pop_front() else { return };
        if pipe.client_open && alive {
            pipe.down.push_back(if wire { super::through_the_wire(frame) } else { frame });
        }
        pipe.written += 1;
        let (server, link, written) = (pipe.server, pipe.link, pipe.written);
        pipe.close_if_flushed();
        self.supervise(server, |supervisor| supervisor.written(link, written));
    }

    fn probe(&mut self, i: u8) {
        let Some(supervisor) = self.instances[usize::from(i)].supervisor.as_ref() else { return };
        let (awaited, unnamed) = (supervisor.awaited(), supervisor.unnamed());
        let awaited: Vec<_> = awaited.into_iter().filter(|id| self.is_gone(*id)).collect();
        let unnamed: Vec<_> = unnamed.into_iter().filter(|id| self.is_membership_gone(supervisor, *id)).collect();
        for id in awaited {
            self.supervise(i, |supervisor| supervisor.gone(id));
        }
        for id in unnamed {
            self.supervise(i, |supervisor| supervisor.membership_gone(id));
        }
        if !self.is_somebody_else(i) {
            self.supervise(i, Supervisor::nobody_else);
        }
    }

    fn slice(&mut self, i: u8) {
        if !self.may_slice(i) {
            return;
        }
        let drained = self.is_drained(i) && self.is_late(i);
        let Some(mut supervisor) = self.at(i).supervisor.take() else { return };
        let was_open = !supervisor.is_window_open();
        let mut waited = supervisor.awaited();
        waited.extend(supervisor.unnamed());
        supervisor.time(Supervisor::SLICE, drained);
        let over = |id: &InstanceId| match was_open {
            // Within a reign nothing excuses a loss where the kernel names the living.
            true => !self.config.listing && supervisor.registry().get(*id).is_none(),
            false => supervisor.is_complete() || supervisor.is_expiring(*id),
        };
        waited.retain(over);
        self.at(i).supervisor = Some(supervisor);
        for id in waited.into_iter().filter(|id| *id != FAKED) {
            self.given_up(id, was_open);
            self.no_witness(id);
            self.excuse(id);
            self.ghost_excuse_waits(owner(id) as u8);
        }
        self.supervise(i, |_| {});
    }

    pub(super) fn retire(&mut self, i: u8, sort: LeaveSort) {
        self.at(i).retiring = Some(if sort == LeaveSort::Leaving { Retiring::Leaves } else { Retiring::Stays });
        self.supervise(i, |supervisor| supervisor.freeze(sort));
    }

    fn finish(&mut self, i: u8) {
        self.close_office(i);
        if self.at(i).retiring.take() == Some(Retiring::Leaves) {
            return self.vanish(i, Phase::Left);
        }
        self.resigned = true;
        self.elect_again(i);
        if std::mem::take(&mut self.at(i).must_rename) {
            self.rename(i);
        }
    }

    fn fail_stop(&mut self, i: u8) {
        self.close_office(i);
        if self.config.rules.fail_stop_keeps_claims {
            return self.elect_again(i);
        }
        self.ghost_amnesia(i);
        let config = self.config;
        let instance = self.at(i);
        instance.generation += 1;
        instance.session = new_session(&config, id_of(usize::from(i), instance.generation));
        instance.presence = Some(instance.session.id());
        self.elect_again(i);
    }

    pub(super) fn close_office(&mut self, i: u8) {
        self.at(i).supervisor = None;
        self.forget_notices(i);
        self.at(i).look = None;
        self.at(i).draining = false;
        self.ghost.control.end_reign(i);
        if self.port == Some(i) {
            self.port = None;
            self.resigned = false;
        }
        self.pipes.iter_mut().filter(|pipe| pipe.server == i).for_each(Pipe::shut_server);
    }
}

impl Pipe {
    fn shut_server(&mut self) {
        self.server_open = false;
        self.up.clear();
        self.out.clear();
    }

    pub(super) fn shut_client(&mut self) {
        self.client_open = false;
        self.down.clear();
    }

    fn close_if_flushed(&mut self) {
        if self.closing && self.out.is_empty() {
            self.shut_server();
        }
    }
}
