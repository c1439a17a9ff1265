//! What this instance waits for at barriers.
//!
//! An arrival enters the table when it is made and stays until it may pass, is taken back or refused, whoever reigns
//! meanwhile. It is said once on every connection, when the instance is part of an open reign.
//!
//! Whoever does not want to wait any longer asks for the arrival to be taken back, and it stands until the supervisor has
//! said that it was: it may have been counted already, and then the others pass. If there is no answer before the connection
//! ends, arrival and withdrawal are said again on the next one. That goes on also when the caller has given up waiting for
//! the answer, which then means nothing to anybody.
//!
//! `Complete` decides the wait: from then on the others may pass, so that it cannot be given up any more, and the
//! generation is brought along to every supervisor until `Go` comes. That holds also across a forfeit. Unlike a lock,
//! a complete generation cannot be taken back: the others may have passed with this one counted in, and if it arrived
//! anew it would wait for those who will not come. Nor may it just pass, for it may be the only one that knows: the
//! others would wait for it. So it brings the generation under its new id, and passes when the supervisor has told
//! them. An arrival that was not completed is made anew under the new id: nobody has passed because of it.

use std::collections::BTreeMap;

use super::{Effect, Misplaced, Notice, Session};
use crate::ident::{InstanceId, Name, Request, Stamp};
use crate::wire::message::{Arrive, Generation, ToSupervisor};

/// What an instance waits for at barriers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    waiting: BTreeMap<Request, Arrival>,
    /// The generations in which one of them is complete.
    completed: BTreeMap<Stamp, Generation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrival {
    name: Name,
    parties: u32,
    completed: Option<Stamp>,
    /// A supervisor may have heard of it.
    said: bool,
    /// It is to be taken back.
    withdrawn: bool,
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

/// What becomes of an arrival that is to be taken back; see [`Session::withdraw`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// It is over: no supervisor has heard of it.
    Done,
    /// [`Notice::Withdrawn`] or [`Notice::Passed`] will come, and this is to be written, if anything.
    Asked(Option<ToSupervisor>),
    /// It is complete, and [`Notice::Passed`] will come; or the answer has come already.
    Decided,
}

impl Session {
    /// Waits at a barrier for so many: enters it into the table and says what to write, if there is anybody to write to.
    pub fn arrive(&mut self, name: Name, parties: u32) -> (Request, Option<ToSupervisor>) {
        let request = self.next_request();
        let arrival =
            Arrival { name: name.clone(), parties, completed: None, said: self.is_settled(), withdrawn: false };
        self.arrivals.waiting.insert(request, arrival);
        // What is not said now is said when the instance is part of a reign: once on every connection.
        let frame = ToSupervisor::Arrive(Arrive { request, name, parties });
        (request, self.is_settled().then_some(frame))
    }

    /// Does not want to wait at a barrier any longer, unless that was decided already. Until it is answered the arrival
    /// stands.
    pub fn withdraw(&mut self, request: Request) -> Withdrawal {
        let settled = self.is_settled();
        match self.arrivals.waiting.get_mut(&request) {
            None | Some(Arrival { completed: Some(_), .. }) => return Withdrawal::Decided,
            Some(Arrival { said: false, .. }) => {
                self.arrivals.remove(request);
                return Withdrawal::Done;
            }
            Some(arrival) => arrival.withdrawn = true,
        }
        if !self.rules.withdrawals_are_awaited {
            self.arrivals.remove(request);
        }
        Withdrawal::Asked(settled.then_some(ToSupervisor::Withdraw(request)))
    }

    /// Whether this arrival is to be taken back.
    #[cfg(test)]
    pub(crate) fn is_withdrawn(&self, request: Request) -> bool {
        self.arrivals.waiting.get(&request).is_some_and(|arrival| arrival.withdrawn)
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
            // What is not there has passed in an earlier reign.
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
            // It has passed in an earlier reign.
            None => {}
        }
        Ok(())
    }

    pub(super) fn taken_back(&mut self, request: Request, effects: &mut Vec<Effect>) -> Result<(), Misplaced> {
        let settled = self.is_settled();
        match self.arrivals.waiting.get(&request) {
            Some(arrival) if !arrival.withdrawn || arrival.completed.is_some() || !settled => {
                return Err(Misplaced("withdrawal of an arrival that stands"));
            }
            Some(_) => {
                self.arrivals.remove(request);
                effects.push(Effect::Tell(Notice::Withdrawn(request)));
            }
            // The other answer came first.
            None => {}
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, request: Request) {
        self.arrivals.remove(request);
    }

    /// The instance is part of an open reign: it says everything that it waits for.
    pub(super) fn arrive_again(&mut self, effects: &mut Vec<Effect>) {
        for (request, arrival) in &mut self.arrivals.waiting {
            arrival.said = true;
            let arrive = Arrive { request: *request, name: arrival.name.clone(), parties: arrival.parties };
            effects.push(Effect::Send(ToSupervisor::Arrive(arrive)));
            if arrival.withdrawn && arrival.completed.is_none() {
                effects.push(Effect::Send(ToSupervisor::Withdraw(*request)));
            }
        }
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
        assert_eq!(session.withdraw(request), Withdrawal::Decided);
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
    fn it_is_taken_back_when_the_supervisor_says_so_and_stands_until_then() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        let withdraw = ToSupervisor::Withdraw(request);
        assert_eq!(session.withdraw(request), Withdrawal::Asked(Some(withdraw.clone())));
        assert_eq!(session.arrivals().collect::<Vec<_>>(), [(request, false)]);
        session.disconnected();
        assert_eq!(session.withdraw(request), Withdrawal::Asked(None), "there is nobody to ask");
        session.hello();
        assert!(session.receive(ToMember::Withdrawn(request)).is_err(), "before it is part of a reign");
        let effects = session.receive(welcome(Some(head()))).expect("it is back");
        assert_eq!(said(effects), [arrival(request), withdraw]);
        let effects = session.receive(ToMember::Withdrawn(request));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Withdrawn(request))]));
        assert_eq!(session.arrivals, Arrivals::default());
        assert_eq!(session.receive(ToMember::Withdrawn(request)), Ok(Vec::new()), "once");
    }

    #[test]
    fn what_is_complete_is_not_taken_back() {
        let mut session = member();
        let (request, _) = session.arrive(name(), 2);
        session.withdraw(request);
        // It crosses the withdrawal, and this one is to lead.
        session.receive(ToMember::Complete(complete(ME, request))).expect("it is complete");
        assert!(session.receive(ToMember::Withdrawn(request)).is_err(), "others may have passed");
        session.disconnected();
        session.hello();
        let effects = session.receive(welcome(Some(head()))).expect("it is back");
        assert_eq!(said(effects), [arrival(request)]);
        let effects = session.receive(ToMember::Go(request, true));
        assert_eq!(effects, Ok(vec![Effect::Tell(Notice::Passed(request, true))]));
        assert_eq!(session.receive(ToMember::Withdrawn(request)), Ok(Vec::new()), "the withdrawal came too late");

        let (request, _) = session.arrive(name(), 2);
        session.receive(ToMember::Complete(complete(ME, request))).expect("it is complete");
        assert_eq!(session.withdraw(request), Withdrawal::Decided);
        assert_eq!(session.arrivals().collect::<Vec<_>>(), [(request, true)]);
    }

    #[test]
    fn what_no_supervisor_has_heard_of_is_given_up_at_once() {
        let mut session = member();
        session.disconnected();
        let (request, frame) = session.arrive(name(), 2);
        assert_eq!((frame, session.withdraw(request)), (None, Withdrawal::Done));
        assert_eq!(session.arrivals, Arrivals::default());
        session.hello();
        assert_eq!(said(session.receive(welcome(Some(head()))).expect("it is back")), []);
        // What nobody has asked for is not taken back.
        let (request, _) = session.arrive(name(), 2);
        assert!(session.receive(ToMember::Withdrawn(request)).is_err());
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
