//! What the fuzz target checks: whatever peers say and whatever the kernel shows, a supervisor neither panics nor
//! contradicts itself.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Control, LinkId, Output, Settings, Supervisor};
use crate::coordinator::window::RollCall;
use crate::ident::{Attempt, Epoch, InstanceId, Name, Nonce, Stamp, Token};
use crate::wire::WIRE_VERSION;
use crate::wire::frame::Message;
use crate::wire::message::{Hello, Join, LeaveSort, Profile, Purpose, Refusal, ToMember, ToSupervisor, Trust};

/// A supervisor and the connections to it.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) supervisor: Supervisor,
    links: [LinkId; 6],
    /// How many connections there were, beside the first of each.
    connections: u64,
    /// What the application was asked.
    questions: Vec<u64>,
    /// Who is being sent a notice.
    notices: Vec<InstanceId>,
    /// At whom it looks.
    look: Option<Vec<InstanceId>>,
    pub(crate) done: Done,
}

/// What the supervisor did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) opened: u32,
    pub(crate) asked: u32,
    pub(crate) delivered: u32,
    pub(crate) evicted: u32,
}

#[cfg(test)]
impl Done {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            asked: self.asked + other.asked,
            delivered: self.delivered + other.delivered,
            evicted: self.evicted + other.evicted,
        }
    }
}

impl Trial {
    /// The supervisor's own id.
    pub(crate) const ME: InstanceId = InstanceId::new(1000);

    pub(crate) fn new(control: Control) -> Self {
        let settings = Settings {
            group: group(),
            me: Self::ME,
            pid: 1,
            window_limit: Some(Supervisor::SLICE * 2),
            aside_limit: None,
            member_limit: 3,
            control,
        };
        Self {
            supervisor: Supervisor::new(settings),
            links: std::array::from_fn(|slot| LinkId(slot as u64)),
            connections: 0,
            // One that was never asked.
            questions: vec![0],
            notices: Vec::new(),
            look: None,
            done: Done::default(),
        }
    }

    /// One of the connections. The first is the supervisor's own.
    pub(crate) fn link(&self, slot: usize) -> LinkId {
        self.links[slot % self.links.len()]
    }

    /// A connection ends, with the instance behind it or without, and another one begins. The own one does not end.
    pub(crate) fn connect(&mut self, slot: usize, gone: bool) -> Option<LinkId> {
        let before = self.link(slot);
        if before == LinkId::LOCAL {
            return None;
        }
        self.supervisor.ended(before, gone);
        self.connections += 1;
        // No two connections have the same number.
        let link = LinkId(100 + self.connections);
        self.links[slot % self.links.len()] = link;
        self.supervisor.connected(link);
        Some(link)
    }

    /// What a newcomer says that knows how to come.
    pub(crate) fn greet(&mut self, link: LinkId, id: InstanceId, purpose: Purpose, profile: Profile) {
        let attempt = Attempt::new(self.connections);
        let (none, epoch, base) = (Stamp::default(), Epoch::default(), Token::default());
        let nonce = Nonce::new(id.number());
        let hello = Hello { wire: WIRE_VERSION, purpose, trust: Trust::Open, id, attempt, nonce };
        let join = Join { group: group(), state: none, stamp: none, epoch, base, stopping: false, profile };
        for frame in [ToSupervisor::Hello(hello), ToSupervisor::Join(join), ToSupervisor::ClaimsEnd] {
            self.supervisor.frame(link, frame);
        }
    }

    /// One of the last questions that the application was asked.
    pub(crate) fn question(&self, back: usize) -> u64 {
        self.questions[self.questions.len() - 1 - back % self.questions.len().min(4)]
    }

    /// What follows from a step; all must be well then.
    pub(crate) fn settle(&mut self, clock: u64) {
        if let Some(mut ids) = self.look.take() {
            // Every other time, of every other member.
            ids.retain(|id| (id.number() + self.connections) % 4 == 1);
            self.supervisor.looked(&ids);
        }
        if self.supervisor.is_complete() {
            self.supervisor.close(clock);
            self.done.opened += 1;
        }
        for output in self.supervisor.take_outputs() {
            match output {
                Output::Judge(question, ..) => self.questions.push(question),
                Output::Handle(question, ..) => {
                    self.questions.push(question);
                    self.done.asked += 1;
                }
                Output::Notify { id, .. } => self.notices.push(id),
                Output::Look(ids) => self.look = Some(ids),
                Output::Send(_, ToMember::Delivered(..)) => self.done.delivered += 1,
                Output::Send(_, ToMember::Evicted) => self.done.evicted += 1,
                _ => {}
            }
        }
        self.supervisor.grants().check_invariants();
        self.supervisor.check_invariants();
        self.supervisor.barriers().check_invariants();
    }
}

/// The first byte says what the application controls and what the roll call finds. Then come steps: which, of which
/// connection, and what of; a frame is its kind, the length of its body, and its body, as on the wire.
pub fn supervisor(data: &[u8]) {
    run(data);
}

pub(crate) fn run(data: &[u8]) -> Done {
    let mut data = data.iter().copied();
    let Some(first) = data.next() else { return Done::default() };
    let control = Control {
        judges: first & 1 != 0,
        answers: first & 2 != 0,
        stop_limit: (first & 4 != 0).then_some(Supervisor::SLICE * 2),
        yields: first & 8 != 0,
        ..Control::default()
    };
    let mut trial = Trial::new(control);
    if first & 16 != 0 {
        trial.supervisor.called(RollCall::Everyone(BTreeSet::new()));
        trial.greet(LinkId::LOCAL, Trial::ME, Purpose::Member, profile(first));
        trial.settle(1);
    }
    while let (Some(what), Some(of)) = (data.next(), data.next()) {
        let link = trial.link(usize::from(of));
        let id = InstanceId::new(Trial::ME.number() + u64::from(of % 4));
        let yes = of >= 128;
        match what % 16 {
            0 => drop(trial.connect(usize::from(of), yes)),
            1 => {
                if let Some(link) = trial.connect(usize::from(of), yes) {
                    let who = InstanceId::new(Trial::ME.number() + u64::from(what / 16 % 4));
                    let purpose = if what >= 192 { Purpose::Observer } else { Purpose::Member };
                    trial.greet(link, who, purpose, profile(of));
                }
            }
            2 => trial.supervisor.written(link, data.next().unwrap_or(0).into()),
            3 => trial.supervisor.written(link, u64::MAX),
            4 if id != Trial::ME => trial.supervisor.gone(id),
            4 => trial.supervisor.nobody_else(),
            5 => trial.supervisor.membership_gone(id),
            6 if trial.supervisor.is_behind() => trial.supervisor.go_on(),
            6 => {
                let notices = std::mem::take(&mut trial.notices);
                notices.into_iter().for_each(|id| trial.supervisor.notified(id));
                trial.supervisor.time(Duration::from_secs(1), yes);
            }
            7 if of < 8 => trial.supervisor.freeze(LeaveSort::Resigning),
            // A time in milliseconds, of which the highest are beyond all numbers.
            7 if of < 72 => trial.supervisor.set_time(1 << (of - 8)),
            7 => trial.supervisor.called(RollCall::Somebody(yes)),
            8 => {
                let verdict = if yes { Ok(()) } else { Err("no".into()) };
                trial.supervisor.judged(trial.question(of.into()), verdict);
            }
            9 => {
                let answer = if yes { Ok([of].into()) } else { Err("no".into()) };
                trial.supervisor.handled(trial.question(of.into()), answer);
            }
            _ => {
                let (kind, length) = (data.next().unwrap_or(0), data.next().unwrap_or(0));
                let body: Vec<u8> = data.by_ref().take(length.into()).collect();
                match ToSupervisor::decode(kind, &body) {
                    Ok(frame) => trial.supervisor.frame(link, frame),
                    // The own instance says nothing that it cannot say.
                    Err(_) if link == LinkId::LOCAL => {}
                    Err(error) => trial.supervisor.refuse(link, Refusal::Protocol(error.to_string().into())),
                }
            }
        }
        trial.settle(1);
    }
    trial.done
}

fn group() -> Name {
    // It cannot fail, and if it could there would be nothing to check.
    Name::new("a").unwrap_or_else(|_| unreachable!("a letter is a name"))
}

fn profile(of: u8) -> Profile {
    let version = u32::from(of & 3);
    Profile { pid: 1, version, since: 0, presence: 0, paused: of & 4 != 0, label: "".into(), payload: [].into() }
}
