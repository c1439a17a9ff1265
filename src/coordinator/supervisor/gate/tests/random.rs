//! Very many random steps, each compared with a plain model of what may have taken effect by now. A failure names the
//! seed that repeats it.
//!
//! Every lock has its own name, so that whoever may be granted anything is granted all that it waits for.

use std::fmt::Debug;

use self::model::{Answer, At, Due, Peer, Said, What};
use super::*;

mod model;

const NO: &str = "no";

/// Xorshift: a few lines, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[usize::try_from(self.below(from.len() as u64)).expect("small")].clone())
    }
}

struct Run {
    case: Case,
    dice: Dice,
    judges: bool,
    peers: Vec<Peer>,
    links: u64,
    numbers: u64,
    /// The questions that were not answered, also those that mean nothing any more, and on which connection they arose.
    questions: Vec<(u64, LinkId, ToSupervisor)>,
    /// Every write, in order.
    stored: Vec<(u64, u64)>,
    /// How often everything was answered, and how often a verdict came too late.
    seen: BTreeMap<Option<Answer>, u64>,
}

impl Run {
    fn new(seed: u64, judges: bool, rules: Rules) -> Self {
        let mut case = Case::open(judges, rules);
        case.observe(OBSERVER);
        let peers = [(1, ME), (2, TWO), (3, THREE), (70, OBSERVER)];
        let peers = peers.map(|(who, link)| Peer::new(who, link, link == OBSERVER)).into_iter().collect();
        let (questions, stored, seen) = Default::default();
        Self { case, dice: Dice(seed), judges, peers, links: 100, numbers: 0, questions, stored, seen }
    }

    fn next_link(&mut self) -> LinkId {
        self.links += 1;
        LinkId(self.links)
    }

    /// Lets something happen, and says what has to come of it.
    fn happen(&mut self, at: usize) -> Due {
        let mut due = Due::default();
        let peer = &mut self.peers[at];
        let (who, number) = (peer.who, self.numbers + 1);
        match (peer.link, self.dice.below(16)) {
            (Some(link), 0..=6) => {
                let sorts: &[What] = match (peer.observes, link) {
                    (true, _) => &[What::Put, What::Post, What::Ask, What::Command],
                    (false, ME) => &[What::Acquire, What::Arrive, What::Put, What::Post, What::Ask, What::Command],
                    (false, _) => &[What::Acquire, What::Arrive, What::Put, What::Post, What::Ask],
                };
                let what = self.dice.pick(sorts).expect("some");
                self.numbers = number;
                peer.wanted.insert(number, what);
                peer.say(what, number);
                self.case.say(link, what.frame(who, number));
            }
            (Some(ME), 7) => {
                if let Some(number) = self.dice.pick(&peer.done) {
                    peer.say(What::PutDone, number);
                    self.case.say(ME, What::PutDone.frame(who, number));
                }
            }
            (Some(link), 8) => {
                let can = |what: &What| !matches!(what, What::Put | What::Command);
                let wanted: Vec<_> = peer.wanted.iter().filter(|(_, what)| can(what)).map(|(n, _)| *n).collect();
                if let Some(number) = self.dice.pick(&wanted) {
                    let frame = if peer.wanted[&number] == What::Arrive {
                        peer.answer(number, Answer::Withdrawn, &mut due);
                        ToSupervisor::Withdraw(request(number))
                    } else {
                        ToSupervisor::Cancel(request(number))
                    };
                    peer.give_up(number);
                    self.case.say(link, frame);
                }
            }
            (Some(link), 9) => {
                if let Some(number) = peer.holds.pop_first() {
                    self.case.say(link, ToSupervisor::Release(request(number)));
                }
            }
            (Some(_), 10) if !peer.observes => {
                peer.paused = !peer.paused;
                let paused = peer.paused;
                self.case.step(|supervisor| supervisor.set_paused(id(who), paused));
            }
            (Some(link), 11) if link != ME => {
                peer.aside();
                let gone = !peer.observes && self.dice.one_in(4);
                if gone {
                    // Another one will come instead.
                    self.numbers = number;
                    *peer = Peer { link: None, ..Peer::new(1000 + number, link, false) };
                }
                self.case.step(|supervisor| supervisor.ended(link, gone));
            }
            (None, 0..=11) => self.connect(at),
            (_, 12..) => due = self.answer(),
            _ => {}
        }
        due
    }

    fn connect(&mut self, at: usize) {
        let link = self.next_link();
        let peer = &mut self.peers[at];
        peer.link = Some(link);
        if peer.observes {
            return self.case.observe(link);
        }
        let epoch = if peer.who > 1000 && peer.attempt == 1 {
            0
        } else {
            self.case.supervisor.epoch().expect("it is open").number()
        };
        let paused = self.dice.one_in(2);
        if epoch == 0 {
            peer.paused = paused;
        }
        peer.attempt += 1;
        let greeting = |claims| Greeting { number: peer.who, attempt: peer.attempt, epoch, paused, claims };
        // Some of it was given up in the meantime.
        let dice = &mut self.dice;
        peer.wanted.retain(|_, _| !dice.one_in(5));
        peer.waits.retain(|number| peer.wanted.contains_key(number));
        let held = peer.holds.iter().map(|number| {
            let want = want(*number, &format!("{}-{number}", peer.who));
            ToSupervisor::Held(HeldClaim { want, token: Token::new(1), since: 0 })
        });
        let wanted: Vec<_> = peer.wanted.iter().map(|(number, what)| (*number, *what)).collect();
        let acquires = || wanted.iter().filter(|(_, what)| *what == What::Acquire).map(|(number, _)| *number);
        let claims = held.chain(acquires().map(|number| waits(number, &format!("{}-{number}", peer.who))));
        self.case.greet(link, greeting(claims.collect()));
        // What has a place comes before what has none.
        for number in acquires().filter(|number| self.judges && peer.waits.contains(number)) {
            peer.said.push(Said { what: What::Acquire, number, claim: true, at: At::Waiting });
        }
        let new: Vec<_> = acquires().filter(|number| !peer.waits.contains(number)).collect();
        new.into_iter().for_each(|number| peer.say(What::Acquire, number));
        let rest = wanted.iter().filter(|(_, what)| *what != What::Acquire);
        for (number, what) in rest {
            let what = if *what == What::Put { What::PutAgain } else { *what };
            peer.say(what, *number);
            self.case.say(link, what.frame(peer.who, *number));
        }
        // Perhaps the answer to this one was lost.
        if let Some(number) = self.dice.pick(&peer.done) {
            peer.say(What::PutDone, number);
            self.case.say(link, What::PutDone.frame(peer.who, number));
        }
    }

    /// The policy answers something, now or never.
    fn answer(&mut self) -> Due {
        let mut due = Due::default();
        if self.questions.is_empty() {
            return due;
        }
        let at = usize::try_from(self.dice.below(self.questions.len() as u64)).expect("small");
        let (question, link, frame) = self.questions.swap_remove(at);
        let allowed = !self.dice.one_in(3);
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.link == Some(link)) {
            peer.judged(&frame, allowed, &mut due);
        } else {
            *self.seen.entry(None).or_default() += 1;
        }
        let verdict = if allowed { Ok(()) } else { Err(NO.into()) };
        self.case.step(|supervisor| supervisor.judged(question, verdict));
        due
    }

    /// Compares what came of it with what had to.
    fn compare(&mut self, mut due: Due) -> Result<(), String> {
        for peer in &mut self.peers {
            peer.settle(self.judges, &mut due);
        }
        let link_of = |peers: &[Peer], id: InstanceId| {
            peers.iter().find(|peer| peer.who == id.number()).and_then(|peer| peer.link).unwrap_or(LinkId(u64::MAX))
        };
        let mut asked = Vec::new();
        for (question, entry, frame) in std::mem::take(&mut self.case.questions) {
            let link = link_of(&self.peers, entry.id);
            asked.push((link, frame.clone()));
            self.questions.push((question, link, frame));
        }
        let order = |list: &mut Vec<(LinkId, ToSupervisor)>| list.sort_by_key(|(link, _)| *link);
        order(&mut asked);
        order(&mut due.questions);
        same("the questions", &asked, &due.questions)?;

        let answer = |(link, frame): (LinkId, ToMember)| {
            let (request, answer) = match frame {
                ToMember::Grant(grant) => (grant.request, Answer::Granted),
                ToMember::Stored(request, _) => (request, Answer::Stored),
                ToMember::Undelivered(request) => (request, Answer::Undelivered),
                ToMember::Withdrawn(request) => (request, Answer::Withdrawn),
                ToMember::Denied(request, why) if &*why == NO => (request, Answer::Denied),
                ToMember::Denied(request, _) => (request, Answer::Unhandled),
                _ => return None,
            };
            Some((link, request.number(), answer))
        };
        let mut answers: Vec<_> = std::mem::take(&mut self.case.told).into_iter().filter_map(answer).collect();
        answers.sort_unstable();
        due.answers.sort_unstable();
        for (.., answer) in &answers {
            *self.seen.entry(Some(*answer)).or_default() += 1;
        }
        same("the answers", &answers, &due.answers)?;

        self.stored.extend(due.stored);
        let mut values: Vec<_> = self.case.supervisor.state().values().values().collect();
        values.sort_by_key(|value| value.version);
        let stored: Vec<_> = values.iter().map(|value| (value.writer.number(), value.request.number())).collect();
        same("the writes", &stored, &self.stored)?;

        let grants = self.case.supervisor.grants();
        let waits = grants.names().flat_map(|name| grants.waiters(name)).map(|w| (w.who.number(), w.request.number()));
        let holds = grants.names().flat_map(|name| grants.holders(name)).map(|h| (h.who.number(), h.request.number()));
        let (waits, holds): (BTreeSet<_>, BTreeSet<_>) = (waits.collect(), holds.collect());
        let all = |of: &dyn Fn(&Peer) -> &BTreeSet<u64>| -> BTreeSet<_> {
            self.peers.iter().flat_map(|peer| of(peer).iter().map(|number| (peer.who, *number))).collect()
        };
        same("who waits", &waits, &all(&|peer| &peer.waits))?;
        same("who holds", &holds, &all(&|peer| &peer.holds))?;

        let waiting = self.case.supervisor.barriers().waiting();
        let waiting: BTreeSet<_> =
            waiting.map(|(.., (who, request), counts)| (who.number(), request.number(), counts)).collect();
        let arrived = self.peers.iter().flat_map(|peer| {
            let counts = peer.link.is_some() && !peer.paused;
            peer.arrived.iter().map(move |(number, said)| (peer.who, *number, *said && counts))
        });
        same("who arrived", &waiting, &arrived.collect())
    }

    /// Everybody is back and resumed, and everything is judged: then nothing was lost.
    fn finish(&mut self) -> Result<(), String> {
        for at in 0..self.peers.len() {
            if self.peers[at].link.is_none() {
                self.connect(at);
                self.compare(Due::default())?;
            }
            if std::mem::take(&mut self.peers[at].paused) {
                let who = id(self.peers[at].who);
                self.case.step(|supervisor| supervisor.set_paused(who, false));
                self.compare(Due::default())?;
            }
        }
        while !self.questions.is_empty() {
            let due = self.answer();
            self.compare(due)?;
        }
        for peer in &self.peers {
            let lost: Vec<_> = peer.wanted.iter().filter(|(number, _)| !peer.arrived.contains_key(number)).collect();
            same("what was lost", &lost, &Vec::new())?;
        }
        same("what is left at the gate", &self.case.supervisor.gate, &Gate::default())
    }
}

fn same<T: Debug + PartialEq>(what: &str, is: &T, due: &T) -> Result<(), String> {
    if is == due { Ok(()) } else { Err(format!("{what}: {is:?}, and should be {due:?}")) }
}

fn run(seed: u64, judges: bool, rules: Rules) -> Result<BTreeMap<Option<Answer>, u64>, String> {
    let mut run = Run::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), judges, rules);
    for step in 0..250 {
        let at = usize::try_from(run.dice.below(run.peers.len() as u64)).expect("small");
        let due = run.happen(at);
        run.compare(due).map_err(|why| format!("seed {seed}, step {step}: {why}"))?;
    }
    run.finish().map_err(|why| format!("seed {seed}, at the end: {why}"))?;
    Ok(run.seen)
}

#[test]
fn what_takes_effect_is_what_a_plain_model_says() {
    for judges in [true, false] {
        let mut seen = BTreeMap::new();
        for round in (1..=400).map(|seed| run(seed, judges, Rules::ALL)) {
            for (what, count) in round.unwrap_or_else(|why| panic!("judges: {judges}, {why}")) {
                *seen.entry(what).or_insert(0) += count;
            }
        }
        // All sorts of answers, and with a policy also refusals and verdicts that are too late.
        assert_eq!(seen.len(), if judges { 7 } else { 5 }, "{seen:?}");
        assert!(seen.values().all(|count| *count > 500), "{seen:?}");
    }
}

#[test]
fn the_model_notices_a_missing_rule() {
    let rules = Rules::ALL;
    let without = [
        ("verdicts_need_the_request", Rules { verdicts_need_the_request: false, ..rules }),
        ("waits_are_judged_again", Rules { waits_are_judged_again: false, ..rules }),
        ("paused_is_passed_over", Rules { paused_is_passed_over: false, ..rules }),
    ];
    for (rule, rules) in without {
        assert!((1..=50).any(|seed| run(seed, true, rules).is_err()), "{rule}");
    }
}
