//! A supervisor with some members, of which every frame and every question is in sight.

use std::collections::BTreeSet;

use super::super::super::rules::Rules;
use super::super::super::window::RollCall;
use super::super::handshake::tests::group;
use super::super::{Control, Output, Settings, WIRE_VERSION};
use super::*;
use crate::ident::{Attempt, Kind, Name, Resource, Stamp, Tag, Token};
use crate::wire::message::{Arrive, Ask, Command, Hello, Join, Mode, Order, Post, Profile, Purpose, Put, Trust, Want};

mod again;
mod pause;
mod policy;
mod random;

const ME: LinkId = LinkId::LOCAL;
const TWO: LinkId = LinkId(2);
const THREE: LinkId = LinkId(3);
const OBSERVER: LinkId = LinkId(70);

fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

fn request(number: u64) -> Request {
    Request::new(number)
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a short name")
}

fn mutex(text: &str) -> Resource {
    Resource::new(Kind::Mutex, name(text))
}

fn key(text: &str) -> Resource {
    Resource::new(Kind::Value, name(text))
}

fn want(number: u64, text: &str) -> Want {
    Want { request: request(number), name: mutex(text), mode: Mode::Exclusive }
}

fn acquire(number: u64, text: &str) -> ToSupervisor {
    ToSupervisor::Acquire(want(number, text))
}

fn arrive(number: u64, text: &str, parties: u32) -> ToSupervisor {
    ToSupervisor::Arrive(Arrive { request: request(number), name: name(text), parties })
}

fn put(number: u64, text: &str, again: Option<Stamp>) -> ToSupervisor {
    let bytes = Some(text.as_bytes().into());
    ToSupervisor::Put(Put { request: request(number), key: key(text), expected: None, again, bytes })
}

/// To somebody who is not there: it is answered with Undelivered when it takes effect.
fn post(number: u64) -> ToSupervisor {
    ToSupervisor::Post(Post { request: request(number), to: Some(id(999)), bytes: [].into() })
}

/// There is no handler, so it is denied when it takes effect.
fn ask(number: u64) -> ToSupervisor {
    ToSupervisor::Ask(Ask { request: request(number), bytes: [].into() })
}

/// Also to somebody who is not there.
fn command(number: u64) -> ToSupervisor {
    ToSupervisor::Command(Command { request: request(number), to: Some(id(999)), order: Order::Stop })
}

fn waits(number: u64, text: &str) -> ToSupervisor {
    ToSupervisor::Wants(WantClaim { want: want(number, text), ticket: None })
}

/// What one says hello with.
struct Greeting {
    number: u64,
    attempt: u64,
    /// The epoch of its last view, in which 1, 2 and 3 are; 0: it is a newcomer.
    epoch: u64,
    paused: bool,
    claims: Vec<ToSupervisor>,
}

struct Case {
    supervisor: Supervisor,
    /// What was written and not looked at.
    told: Vec<(LinkId, ToMember)>,
    /// What the policy was asked and not answered.
    questions: Vec<(u64, Entry, ToSupervisor)>,
    checked: bool,
}

impl Case {
    /// A window of 1 that waits for itself and 2.
    fn collecting(judges: bool, rules: Rules) -> Self {
        let settings = Settings {
            group: group(),
            me: id(1),
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 9,
            control: Control { judges, ..Control::default() },
        };
        let mut supervisor = Supervisor::with_rules(settings, rules);
        let roll = [1, 2].map(|number| (id(number), Tag::new(number)));
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        Self { supervisor, told: Vec::new(), questions: Vec::new(), checked: rules == Rules::ALL }
    }

    /// An open reign of 1 in which 2 and 3 are members.
    fn open(judges: bool, rules: Rules) -> Self {
        let mut case = Self::collecting(judges, rules);
        case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
        for link in [TWO, THREE] {
            case.greet(link, Greeting { number: link.0, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
        }
        assert!(case.supervisor.is_open());
        case.told.clear();
        case
    }

    fn greet(&mut self, link: LinkId, greeting: Greeting) {
        let Greeting { number, attempt, epoch, paused, claims } = greeting;
        if link != ME {
            self.supervisor.connected(link);
        }
        let epoch = crate::ident::Epoch::new(epoch);
        let stamp = if epoch.number() == 0 { Stamp::default() } else { Stamp { epoch, n: 1 } };
        let known = if epoch.number() == 0 {
            vec![]
        } else {
            [1, 2, 3].map(|number| (id(number), Nonce::new(number))).to_vec()
        };
        let names = (!known.is_empty()).then_some(ToSupervisor::Names(crate::wire::message::NameSort::Known, known));
        let frames = [hello(number, attempt, Purpose::Member), join(number, stamp, paused)];
        for frame in frames.into_iter().chain(names).chain(claims).chain([ToSupervisor::ClaimsEnd]) {
            self.say(link, frame);
        }
    }

    /// An observer connects, which is called 70.
    fn observe(&mut self, link: LinkId) {
        self.supervisor.connected(link);
        let frames = [hello(70, 1, Purpose::Observer), join(70, Stamp::default(), false), ToSupervisor::ClaimsEnd];
        frames.into_iter().for_each(|frame| self.say(link, frame));
        self.told.clear();
    }

    fn say(&mut self, link: LinkId, frame: ToSupervisor) {
        self.step(|supervisor| supervisor.frame(link, frame));
    }

    fn step(&mut self, input: impl FnOnce(&mut Supervisor)) {
        input(&mut self.supervisor);
        // As whoever takes an input does.
        self.supervisor.progress();
        loop {
            if self.supervisor.is_complete() {
                self.supervisor.close(1);
            }
            let outputs = self.supervisor.take_outputs();
            if outputs.is_empty() {
                break;
            }
            let links: Vec<_> = self.supervisor.links.keys().copied().collect();
            links.into_iter().for_each(|link| self.supervisor.written(link, u64::MAX));
            for output in outputs {
                match output {
                    Output::Send(to, frame) => self.told.push((to, frame)),
                    Output::Cast(to, frame) => self.told.extend(to.into_iter().map(|to| (to, frame.clone()))),
                    Output::Judge(question, entry, frame) => self.questions.push((question, entry, frame)),
                    Output::Watch(_) | Output::Close(_) | Output::Cut(_) => {}
                    output => panic!("{output:?}"),
                }
            }
        }
        if self.checked {
            self.supervisor.check_invariants();
            self.supervisor.barriers.check_invariants();
        }
    }

    /// The policy answers the only question.
    fn judge(&mut self, expected: ToSupervisor, verdict: Result<(), Box<str>>) {
        assert_eq!(self.questions.len(), 1, "{:?}", self.questions);
        self.judge_first(expected, verdict);
    }

    fn judge_first(&mut self, expected: ToSupervisor, verdict: Result<(), Box<str>>) {
        let (question, _, frame) = self.questions.remove(0);
        assert_eq!(frame, expected);
        assert!(self.supervisor.is_wanted(question));
        self.step(|supervisor| supervisor.judged(question, verdict));
    }

    /// What was written to one, and how it begins.
    fn about(&mut self, link: LinkId) -> Vec<ToMember> {
        let mine = self.told.extract_if(.., |(to, _)| *to == link).map(|(_, frame)| frame);
        mine.filter(|frame| !matches!(frame, ToMember::Delta(_) | ToMember::Value(_))).collect()
    }

    fn granted(&mut self, link: LinkId) -> Vec<u64> {
        let granted = |frame| match frame {
            ToMember::Grant(grant) => Some(grant.request.number()),
            _ => None,
        };
        self.about(link).into_iter().filter_map(granted).collect()
    }

    fn reign(&self) -> u64 {
        self.supervisor.epoch().expect("the reign has one").number()
    }

    /// A member is back on another connection.
    fn back(&mut self, link: LinkId, number: u64, claims: Vec<ToSupervisor>) {
        let epoch = self.reign();
        self.greet(link, Greeting { number, attempt: 2, epoch, paused: false, claims });
    }
}

fn hello(number: u64, attempt: u64, purpose: Purpose) -> ToSupervisor {
    let (id, attempt) = (id(number), Attempt::new(attempt));
    ToSupervisor::Hello(Hello {
        wire: WIRE_VERSION,
        purpose,
        trust: Trust::Open,
        id,
        attempt,
        nonce: Nonce::new(id.number()),
    })
}

fn join(number: u64, stamp: Stamp, paused: bool) -> ToSupervisor {
    let (label, payload) = (number.to_string().into(), [].into());
    let profile = Profile { pid: 0, version: 0, since: 0, presence: 0, paused, label, payload };
    let (base, state) = (Token::default(), Stamp::default());
    ToSupervisor::Join(Join { group: group(), stamp, epoch: stamp.epoch, base, state, stopping: false, profile })
}

fn denied(number: u64, why: &str) -> ToMember {
    ToMember::Denied(request(number), why.into())
}
