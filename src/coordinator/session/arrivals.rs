//! What this instance waits for at barriers.
//!
//! An arrival enters the table when it is made and stays until it may pass, is given up or refused, whoever reigns
//! meanwhile. It is said once on every connection, when the instance is part of an open reign.
//!
//! `Complete` decides the wait: from then on the others may pass, so that it cannot be given up any more, and the
//! generation is brought along to every supervisor until `Go` comes. That holds also across a forfeit. Unlike a lock,
//! a complete generation cannot be taken back: the others may have passed with this one counted in, and if it arrived
//! anew it would wait for those who will not come. Nor may it just pass, for it may be the only one that knows: the
//! others would wait for it. So it brings the generation under its new id, and passes when the supervisor has told
//! them. An arrival that was not completed is made anew under the new id: nobody has passed because of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Effect, Misplaced, Notice, Session};
use crate::ident::{InstanceId, Name, Request, Stamp};
use crate::wire::message::{Arrive, Generation, ToSupervisor};

/// What an instance waits for at barriers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    waiting: BTreeMap<Request, Arrival>,
    /// The generations in which one of them is complete.
    completed: BTreeMap<Stamp, Generation>,
    /// What was given up, until it is certain that the supervisor has heard so: by then it may have let it pass.
    given_up: BTreeSet<Request>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrival {
    name: Name,
    parties: u32,
    completed: Option<Stamp>,
}

impl Arrivals {
    fn remove(&mut self, request: Request) -> Option<Arrival> {
        let arrival = self.waiting.remove(&request)?;
        let is_needed = |number: &Stamp| self.waiting.values().any(|other| other.completed == Some(*number));
        if let Some(number) = arrival.completed.filter(|number| !is_needed(number)) {
            self.completed.remove(&number);
        }
        Some(arrival)
    }

    /// The generations that were completed and whose `Go` has not come, as they travel.
    pub(super) fn claims(&self) -> impl Iterator<Item = ToSupervisor> {
        self.completed.values().cloned().map(ToSupervisor::Completed)
    }

    /// The owner has a new id. It goes to the end of its generations: it does not lead under another id, lest the old
    /// one's lead was passed on when it ended.
    pub(super) fn rename(&mut self, old: InstanceId, new: InstanceId) {
        for generation in self.completed.values_mut() {
            let mine: Vec<_> = generation.waiters.extract_if(.., |(id, _)| *id == old).collect();
            generation.waiters.extend(mine.into_iter().map(|(_, request)| (new, request)));
        }
    }
}

/// What became of giving up; see [`Session::give_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The wait is over, and this is to be written, if anything.
    Done(Option<ToSupervisor>),
    /// The barrier lets it pass: [`Notice::Passed`] will come, or has.
    TooLate,
}

impl Session {
    /// Waits at a barrier for so many: enters it into the table and says what to write, if there is anybody to write to.
    pub fn arrive(&mut self, name: Name, parties: u32) -> (Request, Option<ToSupervisor>) {
        let request = self.next_request();
        self.arrivals.waiting.insert(request, Arrival { name: name.clone(), parties, completed: None });
        // What is not said now is said when the instance is part of a reign: once on every connection.
        let frame = ToSupervisor::Arrive(Arrive { request, name, parties });
        (request, self.is_settled().then_some(frame))
    }

    /// Gives up waiting at a barrier, unless that was decided already.
    ///
    /// If the barrier is completed at this moment, the others pass all the same: this one had arrived. If it was let go
    /// before the supervisor has heard of it, [`Notice::Passed`] still comes, until [`Session::forget_arrival`]: it may be
    /// the one that leads.
    pub fn give_up(&mut self, request: Request) -> GiveUp {
        match self.arrivals.waiting.get(&request) {
            Some(Arrival { completed: None, .. }) => {
                self.arrivals.remove(request);
                // On a connection on which the arrival was not said, silence takes it back.
                let frame = self.is_settled().then_some(ToSupervisor::Cancel(request));
                if frame.is_some() {
                    self.arrivals.given_up.insert(request);
                }
                GiveUp::Done(frame)
            }
            Some(_) | None => GiveUp::TooLate,
        }
    }

    /// Whoever gave this up waits no more to hear what became of it.
    pub fn forget_arrival(&mut self, request: Request) {
        self.arrivals.given_up.remove(&request);
    }

    /// What it waits for at barriers, and whether that is decided.
    pub fn arrivals(&self) -> impl Iterator<Item = (Request, bool)> {
        self.arrivals.waiting.iter().map(|(request, arrival)| (*request, arrival.completed.is_some()))
    }

    pub(super) fn completed(&mut self, generation: Generation) -> Result<(), Misplaced> {
        let mine = generation.waiters.iter().filter(|(id, _)| *id == self.id).map(|(_, request)| *request);
        let mine: Vec<_> = mine.collect();
        if !self.is_settled() || mine.is_empty() {
            return Err(Misplaced("completion of a barrier that this instance is not part of"));
        }
        let mut waits = false;
        for request in mine {
            // What is not there was given up while the frame travelled, or has passed in an earlier reign.
            if let Some(arrival) = self.arrivals.waiting.get_mut(&request)
                && arrival.name == generation.name
                && arrival.completed.is_none_or(|number| number == generation.number)
            {
                arrival.completed = Some(generation.number);
                waits = true;
            }
        }
        if waits {
            self.arrivals.completed.entry(generation.number).or_insert(generation);
        }
        Ok(())
    }

    pub(super) fn passed(&mut self, request: Request, leads: bool, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        match self.arrivals.waiting.get(&request) {
            Some(Arrival { completed: None, .. }) => return Err(Misplaced("go before complete")),
            Some(_) if !self.is_settled() => return Err(Misplaced("go outside an open reign")),
            Some(_) => {
                self.arrivals.remove(request);
                effects.push(Effect::Tell(Notice::Passed(request, leads)));
            }
            None if self.arrivals.given_up.remove(&request) => {
                effects.push(Effect::Tell(Notice::Passed(request, leads)));
            }
            // It was given up while the frame travelled, and nobody waits for that any more.
            None => {}
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, request: Request) {
        self.arrivals.remove(request);
    }

    /// The instance is part of an open reign: it says everything that it waits for.
    pub(super) fn arrive_again(&self, effects: &mut Vec<Effect>) {
        effects.extend(self.arrivals.waiting.iter().map(|(request, Arrival { name, parties, .. })| {
            let arrive = Arrive { request: *request, name: name.clone(), parties: *parties };
            Effect::Send(ToSupervisor::Arrive(arrive))
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{Epoch, Nonce, Token};
    use crate::wire::message::{Opened, Profile, ToMember, ViewHead, Welcome};

    const ME: InstanceId = InstanceId::new(2);
    const OTHER: InstanceId = InstanceId::new(3);

    fn name() -> Name {
        Name::new("phase").expect("a short name")
    }

    fn head() -> ViewHead {
        ViewHead { stamp: Stamp { epoch: Epoch::new(9), n: 1 }, base: Token::new(90), written: 0, whole: true }
    }

    fn welcome(view: Option<ViewHead>) -> ToMember {
        ToMember::Welcome(Welcome { supervisor: OTHER, pid: 1, view })
    }

    fn member() -> Session {
        let profile =
            Profile { pid: 1, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
        let mut session = Session::new(ME, Nonce::new(2), name(), profile);
        session.hello();
        session.receive(welcome(Some(head()))).expect("the welcome");
        session
    }

    fn complete(who: InstanceId, request: Request) -> Generation {
        let waiters = vec![(who, request), (OTHER, Request::new(7))];
        Generation { name: name(), number: Stamp { epoch: Epoch::new(9), n: 4 }, waiters }
    }

    fn arrival(request: Request) -> ToSupervisor {
        ToSupervisor::Arrive(Arrive { request, name: name(), parties: 2 })
    }

    fn said(effects: Vec<Effect>) -> Vec<ToSupervisor> {
        let said = |effect| match effect {
            Effect::Send(frame) => Some(frame),
            _ => None,
        };
        effects.into_iter().filter_map(said).collect()
    }

    #[test]
    fn an_arrival_is_said_once_on_every_connection_when_the_reign_is_open() {
        let mut session = member();
        let (first, frame) = session.arrive(name(), 2);
        assert_eq!(frame, Some(arrival(first)));
        session.disconnected();
        let (second, frame) = session.arrive(name(), 2);
        assert_eq!(frame, None);
        let hello = session.hello();
        assert!(!hello.iter().any(|frame| matches!(frame, ToSupervisor::Arrive(_))));
        assert_eq!(said(session.receive(welcome(None)).expect("a window")), []);
        assert_eq!(session.arrive(name(), 2).1, None, "the window is open");
        let opened = Opened { supervisor: OTHER, view: head(), departed: Vec::new() };
        let effects = session.receive(ToMember::Opened(opened)).expect("the reign");
        assert_eq!(said(effects), [arrival(first), arrival(second), arrival(Request::new(3))]);
        session.disconnected();
        session.hello();
        let effects = session.receive(welcome(Some(head()))).expect("it is back");
        assert_eq!(said(effects).len(), 3);
    }

    #[test]
    fn go_after_complete_lets_it_pass() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        assert_eq!(session.receive(ToMember::Complete(complete(ME, request))), Ok(Vec::new()));
        let effects = session.receive(ToMember::Go(request, true));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Passed(request, true))]));
        assert_eq!(session.arrivals, Arrivals::default());
        assert_eq!(session.give_up(request), GiveUp::TooLate);
    }

    #[test]
    fn what_a_supervisor_never_says_changes_nothing() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        let before = session.clone();
        assert!(session.receive(ToMember::Go(request, true)).is_err(), "it was never complete");
        assert!(session.receive(ToMember::Complete(complete(OTHER, request))).is_err(), "of others only");
        assert_eq!(session, before);
        session.receive(ToMember::Complete(complete(ME, request))).expect("it is complete");
        session.disconnected();
        session.hello();
        session.receive(welcome(None)).expect("a window");
        let before = session.clone();
        assert!(session.receive(ToMember::Go(request, true)).is_err(), "in a window");
        assert!(session.receive(ToMember::Complete(complete(ME, request))).is_err(), "in a window");
        assert_eq!(session, before);
    }

    #[test]
    fn it_can_be_given_up_until_it_is_complete() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        assert_eq!(session.give_up(request), GiveUp::Done(Some(ToSupervisor::Cancel(request))));
        // These cross the cancel, and this one is to lead.
        assert_eq!(session.receive(ToMember::Complete(complete(ME, request))), Ok(Vec::new()));
        let effects = session.receive(ToMember::Go(request, true));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Passed(request, true))]));
        assert_eq!(session.arrivals, Arrivals::default(), "and leave nothing");

        let (request, _) = session.arrive(name(), 2);
        session.give_up(request);
        session.forget_arrival(request);
        assert_eq!(session.receive(ToMember::Go(request, true)), Ok(Vec::new()), "nobody wants to know");
        assert_eq!(session.arrivals, Arrivals::default());

        let (request, _) = session.arrive(name(), 2);
        session.receive(ToMember::Complete(complete(ME, request))).expect("it is complete");
        assert_eq!(session.give_up(request), GiveUp::TooLate);
        assert_eq!(session.arrivals().collect::<Vec<_>>(), [(request, true)]);

        let (request, _) = session.arrive(name(), 2);
        session.disconnected();
        assert_eq!(session.give_up(request), GiveUp::Done(None), "it is said to nobody again");
    }

    #[test]
    fn what_was_denied_is_not_said_again() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        let effects = session.receive(ToMember::Denied(request, "".into()));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Denied(request, "".into()))]));
        assert_eq!(session.arrivals, Arrivals::default());
    }

    #[test]
    fn a_complete_generation_is_claimed_before_the_end_of_the_claims_until_go() {
        let mut session = member();
        let (one, _) = session.arrive(name(), 2);
        let (two, _) = session.arrive(name(), 2);
        let mut generation = complete(ME, one);
        generation.waiters.push((ME, two));
        let claim = ToSupervisor::Completed(generation.clone());
        session.receive(ToMember::Complete(generation)).expect("both are complete");
        session.receive(ToMember::Go(one, true)).expect("one passes");
        session.disconnected();
        let hello = session.hello();
        assert_eq!(hello.iter().rev().nth(1), Some(&claim), "{hello:?}");
        assert_eq!(hello.iter().filter(|frame| **frame == claim).count(), 1);
        session.receive(welcome(Some(head()))).expect("it is back");
        session.receive(ToMember::Go(two, false)).expect("the other passes");
        session.disconnected();
        assert!(!session.hello().contains(&claim));
    }

    #[test]
    fn who_forfeits_brings_what_is_complete_under_its_new_id_and_says_the_rest_anew() {
        let mut session = member();
        let (done, _) = session.arrive(name(), 2);
        let (waits, _) = session.arrive(name(), 2);
        session.receive(ToMember::Complete(complete(ME, done))).expect("it is complete");
        session.receive(ToMember::Forfeited).expect("the verdict");
        session.disconnected();
        let new = InstanceId::new(8);
        session.rename(new, Nonce::new(3));
        // The old id led; the new one does not.
        let waiters = vec![(OTHER, Request::new(7)), (new, done)];
        let claim = ToSupervisor::Completed(Generation { waiters, ..complete(ME, done) });
        assert!(session.is_fresh() && session.hello().contains(&claim));
        let effects = session.receive(welcome(Some(head()))).expect("the welcome");
        assert_eq!(said(effects), [arrival(done), arrival(waits)]);
        let effects = session.receive(ToMember::Go(done, false));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Passed(done, false))]));
    }
}
