//! A supervisor and some member halves, with every unwritten frame between them in sight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::coordinator::rules::Rules;
use crate::coordinator::session::{Effect, Notice, Session};
use crate::coordinator::supervisor::{Control, LinkId, Output, Settings, Supervisor};
use crate::coordinator::window::RollCall;
use crate::ident::{InstanceId, Kind, Name, Nonce, Request, Resource, Stamp, Tag};
use crate::wire::message::{Profile, ToMember, ToSupervisor};

pub(super) const ME: u64 = LinkId::LOCAL.0;

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("a short name")
}

pub(super) fn key(text: &str) -> Resource {
    Resource::new(Kind::Value, name(text))
}

pub(super) fn session(number: u64) -> Session {
    let profile =
        Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let mut session = Session::new(InstanceId::new(number), Nonce::new(number), name("group"), profile);
    // No two of them use the same number, so that a request says whose it is.
    for _ in 0..number * 100 {
        let (unused, _) = session.put(key("x"), None, None);
        session.forget_put(unused);
    }
    session
}

/// One supervisor, whose own half has connection 0, and whoever is connected.
pub(super) struct Net {
    pub(super) supervisor: Supervisor,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) unwritten: BTreeMap<u64, VecDeque<ToMember>>,
    pub(super) written: BTreeMap<u64, u64>,
    pub(super) notices: Vec<(u64, Notice)>,
}

impl Net {
    /// A supervisor that has won, with `roll` as the kernel's answer.
    pub(super) fn new(me: Session, roll: &[u64]) -> Self {
        Self::with_rules(me, roll, Rules::ALL)
    }

    pub(super) fn with_rules(me: Session, roll: &[u64], rules: Rules) -> Self {
        let settings = Settings {
            group: name("group"),
            me: me.id(),
            pid: 1,
            window_limit: Some(Supervisor::SLICE),
            aside_limit: None,
            member_limit: 9,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::with_rules(settings, rules);
        // Everyone shows another membership in every reign.
        let reign = me.stamp().epoch.number();
        let roll = roll.iter().map(|number| (InstanceId::new(*number), Tag::new(reign + number)));
        supervisor.called(RollCall::Everyone(roll.collect::<BTreeSet<_>>()));
        let mut net = Self {
            supervisor,
            sessions: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            written: BTreeMap::new(),
            notices: Vec::new(),
        };
        net.greet(ME, me);
        net
    }

    /// A reign of 1 in which 2 and 3 are members, on the connections of their numbers.
    pub(super) fn of_three() -> Self {
        let mut net = Self::new(session(1), &[1]);
        for number in [2, 3] {
            net.greet(number, session(number));
            net.deliver_all();
        }
        assert!(net.supervisor.is_open());
        net
    }

    pub(super) fn greet(&mut self, link: u64, mut session: Session) {
        let hello = session.hello();
        self.sessions.insert(link, session);
        self.written.insert(link, 0);
        self.unwritten.insert(link, VecDeque::new());
        if link != ME {
            self.supervisor.connected(LinkId(link));
        }
        for frame in hello {
            self.say(link, frame);
        }
    }

    pub(super) fn say(&mut self, link: u64, frame: ToSupervisor) {
        self.supervisor.frame(LinkId(link), frame);
        self.outputs();
    }

    pub(super) fn put(&mut self, link: u64, key: Resource, expected: Option<Stamp>, bytes: &[u8]) -> Request {
        let session = self.sessions.get_mut(&link).expect("a session of the test");
        let (request, frame) = session.put(key, expected, Some(bytes.into()));
        if let Some(frame) = frame {
            self.say(link, frame);
        }
        request
    }

    pub(super) fn outputs(&mut self) {
        loop {
            if self.supervisor.is_complete() {
                self.supervisor.close(1);
            }
            let outputs = self.supervisor.take_outputs();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                match output {
                    Output::Send(link, frame) => self.put_out(link, frame),
                    Output::Cast(links, frame) => links.into_iter().for_each(|link| self.put_out(link, frame.clone())),
                    Output::Watch(_) | Output::Close(_) | Output::Cut(_) | Output::StepDown(_) => {}
                    Output::Notify { id, .. } => self.supervisor.notified(id),
                    Output::Judge(..) | Output::Handle(..) | Output::HandOver(_) | Output::Look(_) => {
                        panic!("nobody controls here")
                    }
                }
            }
        }
        self.supervisor.check_invariants();
    }

    pub(super) fn put_out(&mut self, LinkId(link): LinkId, frame: ToMember) {
        if link == ME {
            self.hear(link, frame);
        } else if let Some(unwritten) = self.unwritten.get_mut(&link) {
            unwritten.push_back(frame);
        }
    }

    pub(super) fn hear(&mut self, link: u64, frame: ToMember) {
        let session = self.sessions.get_mut(&link).expect("a session of the test");
        for effect in session.receive(frame).expect("a frame that has its place") {
            match effect {
                Effect::Send(frame) => self.supervisor.frame(LinkId(link), frame),
                Effect::Tell(notice) => self.notices.push((link, notice)),
                Effect::ShowMembership | Effect::Rename | Effect::End => {}
            }
        }
    }

    /// One frame reaches the kernel of its reader, and the reader.
    pub(super) fn deliver(&mut self, link: u64) -> bool {
        let Some(frame) = self.unwritten.get_mut(&link).and_then(VecDeque::pop_front) else { return false };
        self.hear(link, frame);
        let written = self.written.entry(link).or_default();
        *written += 1;
        self.supervisor.written(LinkId(link), *written);
        self.outputs();
        true
    }

    pub(super) fn deliver_all(&mut self) {
        for link in self.unwritten.keys().copied().collect::<Vec<_>>() {
            while self.deliver(link) {}
        }
        if self.unwritten.values().any(|unwritten| !unwritten.is_empty()) {
            self.deliver_all();
        }
    }

    /// The connection ends, and what was not written is lost.
    pub(super) fn end(&mut self, link: u64, gone: bool) -> Session {
        self.unwritten.remove(&link);
        let mut session = self.sessions.remove(&link).expect("a session of the test");
        session.disconnected();
        self.supervisor.ended(LinkId(link), gone);
        self.outputs();
        session
    }

    /// The supervisor gives its office up, and is nobody's for now.
    pub(super) fn resigned(mut self) -> Session {
        self.end(ME, false)
    }

    /// The supervisor is killed: who is left, with what was read.
    pub(super) fn killed(mut self) -> BTreeMap<u64, Session> {
        self.sessions.remove(&ME);
        self.sessions.values_mut().for_each(|session| drop(session.disconnected()));
        self.sessions
    }

    pub(super) fn about(&mut self, request: Request) -> Vec<(u64, Notice)> {
        let about = |(_, notice): &(u64, Notice)| match notice {
            Notice::Stored(about, _) | Notice::Conflict(about, _) => *about == request,
            Notice::Interrupted(about) | Notice::Denied(about, _) => *about == request,
            _ => false,
        };
        let (about, rest) = std::mem::take(&mut self.notices).into_iter().partition(about);
        self.notices = rest;
        about
    }

    pub(super) fn version(&self, n: u64) -> Stamp {
        Stamp { n, ..self.supervisor.state().stamp() }
    }

    pub(super) fn stored(&self, link: u64, request: Request, n: u64) -> Vec<(u64, Notice)> {
        vec![(link, Notice::Stored(request, self.version(n)))]
    }

    pub(super) fn assert_same(&self) {
        let state = self.supervisor.state();
        for (link, session) in &self.sessions {
            let copy = session.state();
            assert_eq!((copy.stamp(), copy.values()), (state.stamp(), state.values()), "{link}");
        }
    }
}
