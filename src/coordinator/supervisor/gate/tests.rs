//! A supervisor with some members, of which every frame and every question is in sight.

use std::collections::BTreeSet;

use super::super::super::rules::Rules;
use super::super::super::window::RollCall;
use super::super::handshake::tests::group;
use super::super::{Control, Output, Settings, WIRE_VERSION};
use super::*;
use crate::ident::{Attempt, Kind, Name, Resource, Stamp, Tag, Token};
use crate::wire::message::{Arrive, Ask, Command, Hello, Join, Mode, Order, Post, Profile, Purpose, Put, Trust, Want};

pub(super) const ME: LinkId = LinkId::LOCAL;
const TWO: LinkId = LinkId(2);
const THREE: LinkId = LinkId(3);
const OBSERVER: LinkId = LinkId(70);

pub(super) fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

pub(super) fn request(number: u64) -> Request {
    Request::new(number)
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("a short name")
}

pub(super) fn mutex(text: &str) -> Resource {
    Resource::new(Kind::Mutex, name(text))
}

pub(super) fn key(text: &str) -> Resource {
    Resource::new(Kind::Value, name(text))
}

pub(super) fn want(number: u64, text: &str) -> Want {
    Want { request: request(number), name: mutex(text), mode: Mode::Exclusive }
}

pub(super) fn acquire(number: u64, text: &str) -> ToSupervisor {
    ToSupervisor::Acquire(want(number, text))
}

pub(super) fn arrive(number: u64, text: &str, parties: u32) -> ToSupervisor {
    ToSupervisor::Arrive(Arrive { request: request(number), name: name(text), parties })
}

pub(super) fn put(number: u64, text: &str, again: Option<Stamp>) -> ToSupervisor {
    let bytes = Some(text.as_bytes().into());
    ToSupervisor::Put(Put { request: request(number), key: key(text), expected: None, again, bytes })
}

/// To somebody who is not there: it is answered with Undelivered when it takes effect.
pub(super) fn post(number: u64) -> ToSupervisor {
    ToSupervisor::Post(Post { request: request(number), to: Some(id(999)), bytes: [].into() })
}

/// There is no handler, so it is denied when it takes effect.
pub(super) fn ask(number: u64) -> ToSupervisor {
    ToSupervisor::Ask(Ask { request: request(number), bytes: [].into() })
}

/// Also to somebody who is not there.
pub(super) fn command(number: u64) -> ToSupervisor {
    ToSupervisor::Command(Command { request: request(number), to: Some(id(999)), order: Order::Stop })
}

fn waits(number: u64, text: &str) -> ToSupervisor {
    ToSupervisor::Wants(WantClaim { want: want(number, text), ticket: None })
}

/// What one says hello with.
pub(super) struct Greeting {
    pub(super) number: u64,
    pub(super) attempt: u64,
    /// The epoch of its last view, in which 1, 2 and 3 are; 0: it is a newcomer.
    pub(super) epoch: u64,
    pub(super) paused: bool,
    pub(super) claims: Vec<ToSupervisor>,
}

pub(super) struct Case {
    pub(super) supervisor: Supervisor,
    /// What was written and not looked at.
    pub(super) told: Vec<(LinkId, ToMember)>,
    /// What the policy was asked and not answered.
    pub(super) questions: Vec<(u64, Entry, ToSupervisor)>,
    pub(super) checked: bool,
}

impl Case {
    /// A window of 1 that waits for itself and 2.
    fn collecting(judges: bool, rules: Rules) -> Self {
        let settings = Settings {
            group: group(),
            me: id(1),
            pid: 1,
            window_limit: None,
            member_limit: 9,
            control: Control { judges, ..Control::default() },
        };
        let mut supervisor = Supervisor::with_rules(settings, rules);
        let roll = [1, 2].map(|number| (id(number), Tag::new(number)));
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        Self { supervisor, told: Vec::new(), questions: Vec::new(), checked: rules == Rules::ALL }
    }

    /// An open reign of 1 in which 2 and 3 are members.
    pub(super) fn open(judges: bool, rules: Rules) -> Self {
        let mut case = Self::collecting(judges, rules);
        case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
        for link in [TWO, THREE] {
            case.greet(link, Greeting { number: link.0, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
        }
        assert!(case.supervisor.is_open());
        case.told.clear();
        case
    }

    pub(super) fn greet(&mut self, link: LinkId, greeting: Greeting) {
        let Greeting { number, attempt, epoch, paused, claims } = greeting;
        if link != ME {
            self.supervisor.connected(link);
        }
        let epoch = crate::ident::Epoch::new(epoch);
        let stamp = if epoch.number() == 0 { Stamp::default() } else { Stamp { epoch, n: 1 } };
        let known = if epoch.number() == 0 { vec![] } else { vec![id(1), id(2), id(3)] };
        let names = (!known.is_empty()).then_some(ToSupervisor::Names(crate::wire::message::NameSort::Known, known));
        let frames = [hello(number, attempt, Purpose::Member), join(number, stamp, paused)];
        for frame in frames.into_iter().chain(names).chain(claims).chain([ToSupervisor::ClaimsEnd]) {
            self.say(link, frame);
        }
    }

    fn observe(&mut self) {
        self.supervisor.connected(OBSERVER);
        let frames = [hello(70, 1, Purpose::Observer), join(70, Stamp::default(), false), ToSupervisor::ClaimsEnd];
        frames.into_iter().for_each(|frame| self.say(OBSERVER, frame));
        self.told.clear();
    }

    pub(super) fn say(&mut self, link: LinkId, frame: ToSupervisor) {
        self.step(|supervisor| supervisor.frame(link, frame));
    }

    pub(super) fn step(&mut self, input: impl FnOnce(&mut Supervisor)) {
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
    ToSupervisor::Hello(Hello { wire: WIRE_VERSION, purpose, trust: Trust::Open, id, attempt })
}

fn join(number: u64, stamp: Stamp, paused: bool) -> ToSupervisor {
    let (label, payload) = (number.to_string().into(), [].into());
    let profile = Profile { pid: 0, version: 0, since: 0, presence: 0, paused, label, payload };
    let (base, state) = (Token::default(), Stamp::default());
    ToSupervisor::Join(Join { group: group(), stamp, epoch: stamp.epoch, base, state, profile })
}

fn denied(number: u64, why: &str) -> ToMember {
    ToMember::Denied(request(number), why.into())
}

// ------------------------------------------------------------------------------------------------------------ policy

#[test]
fn nothing_takes_effect_before_the_policy_was_asked() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, acquire(1, "n"));
    case.say(TWO, put(2, "k", None));
    case.say(TWO, post(3));
    case.say(THREE, acquire(1, "n"));
    assert_eq!(case.about(TWO), []);
    assert_eq!(case.supervisor.grants().names().count(), 0);
    // Each is asked about one thing, side by side, and as the one who it is.
    let asked: Vec<_> = case.questions.iter().map(|(_, entry, _)| (entry.id, &*entry.profile.label)).collect();
    assert_eq!(asked, [(id(2), "2"), (id(3), "3")]);
    case.judge_first(acquire(1, "n"), Err("not you".into()));
    assert_eq!(case.about(TWO), [denied(1, "not you")]);
    case.judge_first(acquire(1, "n"), Ok(()));
    assert_eq!(case.granted(THREE), [1], "whoever comes first in the queue, and not at the gate");
    case.judge(put(2, "k", None), Ok(()));
    assert_eq!(case.supervisor.state().version(&key("k")).n, 1);
    assert!(matches!(case.about(TWO)[..], [ToMember::Stored(..)]));
    case.judge(post(3), Ok(()));
    assert_eq!(case.about(TWO), [ToMember::Undelivered(request(3))]);
    assert_eq!((case.questions.len(), &case.supervisor.gate), (0, &Gate::default()));
}

#[test]
fn without_a_policy_and_a_pause_nothing_is_kept() {
    let mut case = Case::open(false, Rules::ALL);
    for frame in [acquire(1, "n"), put(2, "k", None), post(3), ask(4), arrive(5, "b", 2)] {
        case.supervisor.frame(TWO, frame);
        assert_eq!(case.supervisor.gate, Gate::default());
    }
    case.step(|_| {});
    assert_eq!(case.questions.len(), 0);
    assert_eq!(case.about(TWO).len(), 4);
}

#[test]
fn an_observer_is_asked_about_as_who_it_says_it_is_and_its_commands_too() {
    let mut case = Case::open(true, Rules::ALL);
    case.observe();
    for frame in [command(1), put(2, "k", None)] {
        case.say(OBSERVER, frame);
    }
    let (_, entry, _) = &case.questions[0];
    assert_eq!((entry.id, &*entry.profile.label, entry.standing), (id(70), "70", Standing::Active));
    case.judge(command(1), Err("no".into()));
    assert_eq!(case.about(OBSERVER), [denied(1, "no")]);
    case.say(OBSERVER, ask(3));
    case.say(OBSERVER, ToSupervisor::Cancel(request(3)));
    case.say(OBSERVER, ToSupervisor::Pong(1));
    case.judge(put(2, "k", None), Ok(()));
    assert!(matches!(case.about(OBSERVER)[..], [ToMember::Stored(..)]));
    assert_eq!(case.questions.len(), 0, "what it cancelled is not asked about");
    case.say(OBSERVER, put(4, "k", None));
    let (question, ..) = case.questions.remove(0);
    case.step(|supervisor| supervisor.ended(OBSERVER, false));
    assert!(!case.supervisor.is_wanted(question));
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.supervisor.state().stamp().n, 1);
}

#[test]
fn the_own_instance_passes_the_same_gate_except_for_its_commands() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    assert_eq!(case.about(ME), []);
    case.say(ME, command(2));
    case.judge(acquire(1, "n"), Ok(()));
    assert_eq!(case.granted(ME), [1]);
    assert_eq!(case.questions.len(), 0);
}

#[test]
fn what_is_cancelled_is_not_carried_out_and_the_next_waits_for_the_verdict_all_the_same() {
    let mut case = Case::open(true, Rules::ALL);
    for frame in [acquire(1, "n"), acquire(2, "m"), post(3), put(4, "k", None)] {
        case.say(TWO, frame);
    }
    for number in [1, 3, 4] {
        case.say(TWO, ToSupervisor::Cancel(request(number)));
    }
    case.judge(acquire(1, "n"), Ok(()));
    assert_eq!(case.about(TWO), []);
    case.judge(acquire(2, "m"), Ok(()));
    assert_eq!(case.granted(TWO), [2]);
    // A write is not given up.
    case.judge(put(4, "k", None), Ok(()));
    assert!(matches!(case.about(TWO)[..], [ToMember::Stored(..)]));
    assert_eq!(case.supervisor.grants().waiters(&mutex("n")).count(), 0);
    assert_eq!(case.supervisor.grants().holders(&mutex("n")).count(), 0);
}

#[test]
fn a_verdict_that_comes_after_the_end_of_the_connection_means_nothing() {
    let mut case = Case::open(true, Rules::ALL);
    for frame in [put(1, "k", None), acquire(2, "n")] {
        case.say(TWO, frame);
    }
    let (question, ..) = case.questions.remove(0);
    case.step(|supervisor| supervisor.ended(TWO, false));
    assert!(!case.supervisor.is_wanted(question));
    case.back(LinkId(20), 2, vec![waits(2, "n")]);
    assert_eq!(case.supervisor.grants().names().count(), 0, "it is new to the reign");
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.supervisor.state().values().len(), 0);
    case.judge(acquire(2, "n"), Ok(()));
    assert_eq!(case.granted(LinkId(20)), [2]);
}

#[test]
fn a_write_that_was_done_is_answered_without_a_question_and_one_that_was_not_is_refused_truly() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, put(1, "done", None));
    case.judge(put(1, "done", None), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    case.back(link, 2, Vec::new());
    case.about(link);
    for frame in [put(1, "done", Some(Stamp::default())), put(2, "new", Some(Stamp::default()))] {
        case.say(link, frame);
    }
    let version = case.supervisor.state().version(&key("done"));
    assert_eq!(case.about(link), [ToMember::Stored(request(1), version)]);
    // Another one writes the key meanwhile: now nobody can say what became of it.
    case.say(THREE, put(1, "new", None));
    let (question, ..) = case.questions.remove(1);
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    case.judge(put(2, "new", Some(Stamp::default())), Err("no".into()));
    assert_eq!(case.about(link), [ToMember::Interrupted(request(2))]);
}

#[test]
fn a_write_that_waited_behind_others_is_dropped_with_its_connection() {
    let mut case = Case::open(false, Rules::ALL);
    let large = |number: u64| {
        let bytes = Some(vec![7; 900_000].into());
        ToSupervisor::Put(Put { request: request(number), key: key("k"), expected: None, again: None, bytes })
    };
    for number in 1..=4 {
        case.supervisor.frame(TWO, large(number));
    }
    let done = case.supervisor.state().stamp().n;
    assert!(done < 4, "too much is under way");
    case.step(|supervisor| supervisor.ended(TWO, false));
    assert_eq!(case.supervisor.state().stamp().n, done, "its owner says it again, and may be refused then");
}

#[test]
fn only_so_much_waits_and_the_rest_is_denied() {
    let mut case = Case::open(true, Rules::ALL);
    for number in 0..=Lane::COUNT as u64 {
        case.supervisor.frame(TWO, post(number));
    }
    assert_eq!(case.supervisor.take_outputs().len(), 1, "the question, and nothing is denied");
    case.say(TWO, post(99_999));
    let reason = "too much of what this instance asks for waits at the supervisor";
    assert_eq!(case.about(TWO), [denied(99_999, reason)]);
    let large = |number| ToSupervisor::Ask(Ask { request: request(number), bytes: vec![0; 1 << 20].into() });
    (0..=8).for_each(|number| case.supervisor.frame(THREE, large(number)));
    case.step(|_| {});
    assert_eq!(case.about(THREE), [denied(8, reason)]);
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.step(|supervisor| supervisor.ended(THREE, false));
    assert_eq!(case.supervisor.gate, Gate::default());
}

// ----------------------------------------------------------------------------------------------------------- waiting

#[test]
fn a_survivor_is_asked_about_all_that_it_waits_for_before_anything_is_granted_to_it() {
    let mut case = Case::collecting(true, Rules::ALL);
    let token = Token::new(5);
    let held = ToSupervisor::Held(HeldClaim { want: want(1, "held"), token, since: 0 });
    let claims = vec![held, waits(2, "a"), waits(3, "b")];
    case.greet(TWO, Greeting { number: 2, attempt: 1, epoch: 1, paused: false, claims });
    assert!(case.supervisor.is_window_open());
    case.judge(acquire(2, "a"), Err("no".into()));
    let told = case.about(TWO);
    assert!(matches!(&told[..], [.., ToMember::Welcome(_), ToMember::Denied(..)]), "behind its Welcome: {told:?}");
    case.greet(THREE, Greeting { number: 3, attempt: 1, epoch: 1, paused: false, claims: vec![waits(1, "b")] });
    case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
    assert!(case.supervisor.is_open());
    assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 1, "what is held is not asked about");
    // 2 has the first place, but 3 is judged first.
    let (question, ..) = case.questions.pop().expect("of 3");
    case.step(|supervisor| supervisor.judged(question, Ok(())));
    assert_eq!(case.granted(THREE), [1]);
    case.say(THREE, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(TWO), []);
    case.judge(acquire(3, "b"), Ok(()));
    assert_eq!(case.granted(TWO), [3]);
    assert_eq!(case.supervisor.grants().waiters(&mutex("a")).count(), 0);
}

#[test]
fn who_is_back_is_asked_about_again_and_keeps_its_place() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    for (link, number) in [(TWO, 1), (TWO, 2), (THREE, 1)] {
        case.say(link, acquire(number, "n"));
        case.judge(acquire(number, "n"), Ok(()));
    }
    let ticket = case.supervisor.grants().waiters(&mutex("n")).next().and_then(|waiter| waiter.ticket);
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    let claim = |number| ToSupervisor::Wants(WantClaim { want: want(number, "n"), ticket });
    case.back(link, 2, vec![claim(1), claim(2)]);
    case.judge(acquire(1, "n"), Ok(()));
    // The second is given up while the policy is busy with it; then nothing is left to be judged.
    case.say(link, ToSupervisor::Cancel(request(2)));
    assert!(case.supervisor.grants().is_ready(id(2)));
    case.say(ME, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(link), [1], "before 3, which came later");
    case.judge(acquire(2, "n"), Ok(()));
    assert_eq!(case.supervisor.gate, Gate::default());
}

#[test]
fn nothing_is_granted_meanwhile_to_who_is_back() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(ME, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    for link in [TWO, THREE] {
        case.say(link, acquire(1, "n"));
        case.judge(acquire(1, "n"), Ok(()));
    }
    case.step(|supervisor| supervisor.ended(TWO, false));
    let link = LinkId(20);
    case.back(link, 2, vec![waits(1, "n")]);
    case.say(ME, ToSupervisor::Release(request(1)));
    assert_eq!(case.granted(THREE), [1], "2 is passed over");
    case.judge(acquire(1, "n"), Err("no more".into()));
    assert_eq!(case.about(link).last(), Some(&denied(1, "no more")));
    assert_eq!(case.supervisor.grants().waiters(&mutex("n")).count(), 0);
}

#[test]
fn a_grant_that_was_lost_on_the_way_is_not_asked_about() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, acquire(1, "n"));
    case.judge(acquire(1, "n"), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, vec![waits(1, "n")]);
    assert_eq!((case.granted(LinkId(20)), case.questions.len()), (vec![1], 0));
}

#[test]
fn an_arrival_that_is_complete_cannot_be_refused_any_more() {
    let mut case = Case::open(true, Rules::ALL);
    for link in [TWO, THREE] {
        case.say(link, arrive(1, "b", 2));
        let (question, ..) = case.questions.remove(0);
        // 2's connection ends before it has read that all is complete.
        if link == THREE {
            case.supervisor.judged(question, Ok(()));
        } else {
            case.step(|supervisor| supervisor.judged(question, Ok(())));
        }
    }
    case.supervisor.ended(TWO, false);
    case.step(|_| {});
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), arrive(1, "b", 2));
    assert_eq!(case.questions.len(), 0);
    assert!(matches!(case.about(LinkId(20)).last(), Some(ToMember::Go(..))));
    assert!(matches!(case.about(THREE).last(), Some(ToMember::Go(..))));
}

#[test]
fn an_arrival_that_is_refused_when_it_is_said_again_keeps_no_place() {
    let mut case = Case::open(true, Rules::ALL);
    case.say(TWO, arrive(1, "b", 2));
    case.judge(arrive(1, "b", 2), Ok(()));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), arrive(1, "b", 2));
    assert_eq!(case.supervisor.barriers().waiting().count(), 1);
    case.judge(arrive(1, "b", 2), Err("no".into()));
    assert_eq!(case.supervisor.barriers().waiting().count(), 0);
}

// ------------------------------------------------------------------------------------------------------------- pause

#[test]
fn what_a_paused_member_says_to_others_waits_and_its_requests_are_passed_over() {
    for judges in [false, true] {
        let mut case = Case::open(judges, Rules::ALL);
        let say = |case: &mut Case, link, frame: ToSupervisor| {
            case.say(link, frame.clone());
            if judges {
                case.judge(frame, Ok(()));
            }
        };
        say(&mut case, TWO, acquire(1, "held"));
        assert_eq!(case.granted(TWO), [1]);
        case.step(|supervisor| supervisor.set_paused(id(2), true));
        let standings: Vec<_> = case.supervisor.registry().view().iter().map(|entry| entry.standing).collect();
        assert_eq!(standings, [Standing::Active, Standing::Paused, Standing::Active]);
        for frame in [put(2, "k", None), post(3), acquire(4, "n"), arrive(5, "b", 2), ask(6)] {
            say(&mut case, TWO, frame);
        }
        say(&mut case, THREE, acquire(1, "n"));
        say(&mut case, THREE, arrive(2, "b", 2));
        assert_eq!(case.about(TWO), []);
        assert_eq!(case.granted(THREE), [1], "2 is passed over");
        assert_eq!(case.supervisor.state().values().len(), 0);
        assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 1, "what it holds it keeps");
        case.say(TWO, ToSupervisor::Release(request(1)));
        assert_eq!(case.supervisor.grants().holders(&mutex("held")).count(), 0);
        case.say(THREE, ToSupervisor::Release(request(1)));
        case.say(TWO, ToSupervisor::Cancel(request(3)));
        case.step(|supervisor| supervisor.set_paused(id(2), false));
        let (told, other) = (case.about(TWO), case.about(THREE));
        let numbers = |wanted: &dyn Fn(&ToMember) -> bool| told.iter().filter(|frame| wanted(frame)).count();
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Undelivered(_))), 0, "the message was cancelled");
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Stored(number, _) if *number == request(2))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Grant(grant) if grant.request == request(4))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Denied(number, _) if *number == request(6))), 1);
        assert_eq!(numbers(&|frame| matches!(frame, ToMember::Go(number, _) if *number == request(5))), 1);
        assert!(matches!(other[..], [ToMember::Complete(_), ToMember::Go(..)]), "{other:?}");
        assert_eq!(case.supervisor.gate, Gate::default());
    }
}

#[test]
fn a_pause_does_not_hold_up_those_whose_barrier_is_complete() {
    let mut case = Case::open(false, Rules::ALL);
    case.supervisor.frame(TWO, arrive(1, "b", 2));
    case.supervisor.frame(THREE, arrive(1, "b", 2));
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    for link in [TWO, THREE] {
        assert!(matches!(case.about(link)[..], [ToMember::Complete(_), ToMember::Go(..)]));
    }
}

#[test]
fn the_supervisor_remembers_a_pause_and_a_newcomer_or_survivor_brings_its_own() {
    let mut case = Case::open(false, Rules::ALL);
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.say(LinkId(20), acquire(1, "n"));
    assert_eq!(case.granted(LinkId(20)), [], "it has not heard of it, which counts for nothing");
    case.greet(LinkId(4), Greeting { number: 4, attempt: 1, epoch: 0, paused: true, claims: Vec::new() });
    case.say(LinkId(4), acquire(1, "m"));
    assert_eq!(case.granted(LinkId(4)), []);
    for (number, link) in [(2, LinkId(20)), (4, LinkId(4))] {
        case.step(|supervisor| supervisor.set_paused(id(number), false));
        assert_eq!(case.granted(link), [1]);
    }

    let mut case = Case::collecting(false, Rules::ALL);
    case.greet(TWO, Greeting { number: 2, attempt: 1, epoch: 1, paused: true, claims: vec![waits(1, "n")] });
    case.greet(ME, Greeting { number: 1, attempt: 1, epoch: 1, paused: false, claims: Vec::new() });
    case.step(|supervisor| supervisor.gone(id(3)));
    assert!(case.supervisor.is_open());
    assert_eq!(case.granted(TWO), []);
    case.step(|supervisor| supervisor.set_paused(id(2), false));
    assert_eq!(case.granted(TWO), [1]);
}

#[test]
fn a_write_that_was_done_is_answered_also_in_a_pause() {
    let mut case = Case::open(false, Rules::ALL);
    case.say(TWO, put(1, "k", None));
    case.step(|supervisor| supervisor.ended(TWO, false));
    case.back(LinkId(20), 2, Vec::new());
    case.step(|supervisor| supervisor.set_paused(id(2), true));
    case.about(LinkId(20));
    case.say(LinkId(20), put(1, "k", Some(Stamp::default())));
    assert!(matches!(case.about(LinkId(20))[..], [ToMember::Stored(..)]));
}
