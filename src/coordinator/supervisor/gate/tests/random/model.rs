//! What one who asks for things has said, and what may have come of it by now: as plain as can be.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Acquire,
    Arrive,
    Put,
    /// A write that was not answered, on a later connection.
    PutAgain,
    /// One that was done.
    PutDone,
    Post,
    Ask,
    Command,
}

impl What {
    pub(super) fn frame(self, who: u64, number: u64) -> ToSupervisor {
        let text = format!("{who}-{number}");
        match self {
            Self::Acquire => acquire(number, &text),
            Self::Arrive => arrive(number, &text, 2),
            Self::Put => put(number, &text, None),
            Self::PutAgain | Self::PutDone => put(number, &text, Some(Stamp::default())),
            Self::Post => post(number),
            Self::Ask => ask(number),
            Self::Command => command(number),
        }
    }
}

/// Something that was said on the present connection, or brought to it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) what: What,
    pub(super) number: u64,
    /// It keeps its place in the queue.
    pub(super) claim: bool,
    pub(super) at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Waiting,
    /// The policy is asked; the flag: and it was given up since.
    Asked(bool),
    Allowed,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Granted,
    Stored,
    Undelivered,
    Withdrawn,
    Denied,
    /// By the one who carries it out.
    Unhandled,
}

/// One who asks for things, and what is known of it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: u64,
    pub(super) link: Option<LinkId>,
    pub(super) attempt: u64,
    pub(super) paused: bool,
    pub(super) observes: bool,
    /// What it was not answered.
    pub(super) wanted: BTreeMap<u64, What>,
    pub(super) done: Vec<u64>,
    pub(super) said: Vec<Said>,
    pub(super) waits: BTreeSet<u64>,
    pub(super) holds: BTreeSet<u64>,
    /// Where it arrived; the flag: and said so on this connection.
    pub(super) arrived: BTreeMap<u64, bool>,
}

/// Everything that is to come out of one step, in the order of the supervisor's decisions only where that counts.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) questions: Vec<(LinkId, ToSupervisor)>,
    pub(super) answers: Vec<(LinkId, u64, Answer)>,
    pub(super) stored: Vec<(u64, u64)>,
}

impl Peer {
    pub(super) fn new(who: u64, link: LinkId, observes: bool) -> Self {
        Self {
            who,
            link: Some(link),
            attempt: 1,
            paused: false,
            observes,
            wanted: BTreeMap::new(),
            done: Vec::new(),
            said: Vec::new(),
            waits: BTreeSet::new(),
            holds: BTreeSet::new(),
            arrived: BTreeMap::new(),
        }
    }

    pub(super) fn answer(&mut self, number: u64, answer: Answer, due: &mut Due) {
        self.wanted.remove(&number);
        due.answers.extend(self.link.map(|link| (link, number, answer)));
    }

    pub(super) fn take_effect(&mut self, what: What, number: u64, due: &mut Due) {
        match what {
            What::Acquire => drop(self.waits.insert(number)),
            What::Arrive => drop(self.arrived.insert(number, true)),
            What::Put | What::PutAgain => {
                due.stored.push((self.who, number));
                self.done.push(number);
                self.answer(number, Answer::Stored, due);
            }
            What::PutDone => self.answer(number, Answer::Stored, due),
            What::Post | What::Command => self.answer(number, Answer::Undelivered, due),
            What::Ask => self.answer(number, Answer::Unhandled, due),
        }
    }

    /// What follows from how things are.
    pub(super) fn settle(&mut self, judges: bool, due: &mut Due) {
        let Some(link) = self.link else { return };
        let mut busy = false;
        for at in 0..self.said.len() {
            let Said { what, number, claim, at: state } = self.said[at].clone();
            let own_command = what == What::Command && !self.observes;
            match state {
                At::Asked(_) => busy = true,
                At::Waiting if busy && !own_command => {}
                At::Waiting if judges && what != What::PutDone && !own_command => {
                    busy = true;
                    self.said[at].at = At::Asked(false);
                    due.questions.push((link, what.frame(self.who, number)));
                }
                At::Waiting | At::Allowed => {
                    let held = matches!(what, What::Put | What::PutAgain | What::Post | What::Ask);
                    self.said[at].at = At::Allowed;
                    if held && self.paused {
                        continue;
                    }
                    self.said[at].at = At::Over;
                    if !claim {
                        self.take_effect(what, number, due);
                    }
                }
                At::Over => {}
            }
        }
        self.said.retain(|said| said.at != At::Over);
        let unjudged = |said: &Said| said.claim && matches!(said.at, At::Waiting | At::Asked(false));
        if !self.paused && !self.said.iter().any(unjudged) {
            for number in std::mem::take(&mut self.waits) {
                self.holds.insert(number);
                self.answer(number, Answer::Granted, due);
            }
        }
    }

    pub(super) fn say(&mut self, what: What, number: u64) {
        self.said.push(Said { what, number, claim: false, at: At::Waiting });
    }

    pub(super) fn give_up(&mut self, number: u64) {
        self.wanted.remove(&number);
        self.waits.remove(&number);
        self.arrived.remove(&number);
        for said in self.said.iter_mut().filter(|said| said.number == number) {
            said.at = if matches!(said.at, At::Asked(_)) { At::Asked(true) } else { At::Over };
        }
    }

    pub(super) fn judged(&mut self, frame: &ToSupervisor, allowed: bool, due: &mut Due) {
        let asked = self.said.iter().position(|said| matches!(said.at, At::Asked(_)));
        let said = &mut self.said[asked.expect("something was asked")];
        assert_eq!(lane::request(frame).number(), said.number);
        let number = said.number;
        let given_up = said.at == At::Asked(true);
        said.at = if allowed && !given_up { At::Allowed } else { At::Over };
        if !allowed && !given_up {
            self.waits.remove(&number);
            self.arrived.remove(&number);
            self.answer(number, Answer::Denied, due);
        }
    }

    /// Its connection has ended.
    pub(super) fn aside(&mut self) {
        self.link = None;
        self.said.clear();
        self.wanted.retain(|_, what| matches!(what, What::Acquire | What::Arrive | What::Put) && !self.observes);
        self.arrived.retain(|_, said| std::mem::take(said));
    }
}
