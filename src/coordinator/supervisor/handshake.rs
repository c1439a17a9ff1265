//! How a connection becomes a member's: newcomers, survivors of the last reign, and those that come back in this one.

use super::super::numbers;
use super::super::registry::Place;
use super::super::submission::Submission;
use super::{Link, LinkId, LinkState, Output, Phase, Supervisor, WIRE_VERSION};
use crate::ident::{InstanceId, Stamp};
use crate::wire::chunk_ids;
use crate::wire::message::{Hello, Join, NameSort, Opened, Order, Purpose, Refusal, ToMember};

impl Supervisor {
    pub(super) fn hello(&mut self, link: LinkId, hello: Hello) {
        let id = hello.id;
        if hello.wire != WIRE_VERSION {
            let refusal = Refusal::Wire { supervisor: WIRE_VERSION, client: hello.wire };
            self.refuse(link, refusal);
            return self.yield_to(id);
        }
        let by_itself = !self.rules.effects_follow_the_handshake && hello.purpose == Purpose::Member;
        if by_itself && !self.take_over_by_hello(link, &hello) {
            return;
        }
        self.set_state(link, LinkState::Gathering(Box::new(Submission::new(hello))));
    }

    pub(super) fn check_group(&mut self, link: LinkId) {
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self.links.get(&link) else { return };
        if submission.join.as_ref().is_some_and(|join| join.group != self.settings.group) {
            self.refuse(link, Refusal::Group);
        }
    }

    pub(super) fn submitted(&mut self, link: LinkId) {
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self.links.get_mut(&link) else { return };
        let id = submission.hello.id;
        let (hello, Some(join)) = (submission.hello.clone(), submission.join.take()) else { return };
        if self.rules.effects_follow_the_handshake
            && let Err(answer) = self.identify(link, &hello, join.stamp == Stamp::default())
        {
            self.send(link, answer);
            return self.close_link(link);
        }
        if hello.purpose == Purpose::Observer {
            let Join { profile, .. } = join;
            self.watch(link, id);
            self.set_state(link, LinkState::Observer { id, profile: Box::new(profile), welcomed: false });
            if !self.is_window_open() {
                self.welcome_observer(link);
            }
            return;
        }
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self.links.get(&link) else { return };
        let is_fresh = join.stamp == Stamp::default();
        if matches!(&self.phase, Phase::Window(window) if window.is_expiring(id)) {
            // It may have read the notice, and what it claims counts no more.
            return self.forfeit(link, id);
        }
        if !numbers::are_within(self.believed(link), &join, &submission.held) {
            self.refuse(link, Refusal::Protocol("number beyond all that this supervisor can believe".into()));
            if !is_fresh && !self.settings.control.is_member {
                // The others may know what this one cannot.
                self.yield_to(id);
            }
            return;
        }
        if self.stops.was_evicted(id) || self.stops.is_being_evicted(id) {
            // Its connection had ended before it could read so, whether that end was read here or not.
            if let Some(older) = self.stops.evicting_on(id) {
                self.cut(older);
            }
            self.send(link, ToMember::Evicted);
            return self.close_link(link);
        }
        if join.state.epoch > join.epoch {
            return self.refuse(link, Refusal::Protocol("state of a reign that was not heard of".into()));
        }
        if is_fresh && self.registry.get(id).is_none() && self.seats_but_for(id) >= self.settings.member_limit as usize
        {
            return self.refuse(link, Refusal::Full { limit: self.settings.member_limit });
        }
        if is_fresh && self.grants.is_ending(id) {
            // Its former owner has ended, and what that one had is being freed in slices.
            return self.refuse(link, Refusal::Busy);
        }
        if self.rules.effects_follow_the_handshake {
            self.take_over(link, &hello);
        }
        let Some(Link { state: LinkState::Gathering(submission), .. }) = self
            .links
            .get_mut(&link)
            .map(|found| Link { state: std::mem::replace(&mut found.state, LinkState::Member(id)), ..*found })
        else {
            return;
        };
        if join.stopping {
            self.stops.bring(id);
        }
        if self.is_window_open() && !is_fresh {
            self.survivor(link, id, join, *submission);
        } else if matches!(self.registry.get(id).map(|m| m.place), Some(Place::Aside(_))) {
            // Also one that never had a view: its Welcome was lost with its connection, but the others know it already.
            self.returning(link, id, join, *submission);
        } else if is_fresh {
            self.newcomer(link, id, join, *submission);
        } else {
            // Set aside beyond the limit, or over the limit in a window: the id has ended and never comes back.
            self.forfeit(link, id);
        }
    }

    /// How many seats this newcomer may not have: those of members, and in a window also those of whoever else is
    /// awaited. A survivor is never turned away for want of one.
    fn seats_but_for(&self, id: InstanceId) -> usize {
        let awaited = match &self.phase {
            Phase::Window(window) => {
                let other = |other: &InstanceId| *other != id && self.registry.get(*other).is_none();
                window.awaited().chain(window.unnamed()).filter(other).count()
            }
            _ => 0,
        };
        self.registry.len() + awaited
    }

    fn newcomer(&mut self, link: LinkId, id: InstanceId, join: Join, submission: Submission) {
        // A handshake begun anew: nothing that was noted for this id counts, for it never read its Welcome.
        self.grants.forget(id);
        self.barriers.end(id);
        // But it may have been somebody else before, who forfeited, and a complete generation cannot be taken back.
        self.barriers.bring(id, submission.completed);
        if let Phase::Window(window) = &mut self.phase {
            window.newcomer(id, &join);
        }
        self.registry.put(id, submission.hello.nonce, join.profile, Place::Parked(link));
    }

    fn survivor(&mut self, link: LinkId, id: InstanceId, join: Join, submission: Submission) {
        let known: Vec<_> = submission.known.iter().map(|(id, nonce)| (*id, *nonce)).collect();
        self.contradict(id, &known);
        let Phase::Window(window) = &mut self.phase else { return };
        window.survivor(id, &join, &submission, link == LinkId::LOCAL);
        let known = self.registry.in_place(|place| matches!(place, Place::Here(_)));
        let mut names: Vec<_> = known.clone();
        names.push(id);
        let copy = join.state;
        self.registry.put(id, submission.hello.nonce, join.profile, Place::Here(link));
        self.barriers.bring(id, submission.completed);
        for ids in chunk_ids(&names) {
            self.send(link, ToMember::Names(NameSort::Heard, ids));
        }
        self.send(link, ToMember::Welcome(self.welcome(None)));
        // Who is denied something is told so behind its Welcome.
        self.claims(link, id, submission.held, submission.wants);
        self.weigh_copy(link, id, copy);
    }

    fn returning(&mut self, link: LinkId, id: InstanceId, mut join: Join, submission: Submission) {
        // It may not have heard yet that it was paused, or that it is no more.
        join.profile.paused = self.registry.get(id).is_some_and(|member| member.profile.paused);
        self.registry.put(id, submission.hello.nonce, join.profile, Place::Here(link));
        self.announce(&[id], Vec::new(), Some(link));
        if join.stamp == Stamp::default() {
            self.welcome_with(&[(link, join.state)]);
        } else {
            // Like a survivor, so that it hears how those have ended who did meanwhile.
            self.send(link, ToMember::Welcome(self.welcome(None)));
            let (supervisor, departed) = (self.settings.me, self.registry.ended_since(join.stamp));
            let opened = |view| ToMember::Opened(Opened { supervisor, view, departed: departed.clone() });
            self.send_view(&[(link, join.state)], opened);
        }
        // It was welcomed before whoever is being named or still waits for the reign to open.
        let sent = self.links.get(&link).map_or(0, |l| l.sent);
        let opening = match &mut self.phase {
            Phase::Opening(awaiting) => Some(awaiting),
            _ => None,
        };
        let based = self.base_round.as_mut().map(|(_, awaiting)| awaiting);
        for awaiting in opening.into_iter().chain(&mut self.round).chain(based) {
            awaiting.insert(link, sent);
        }
        self.outputs.push(Output::Watch(vec![link]));
        if self.stops.is_told(id) {
            // It may not have read it before its connection ended.
            self.send(link, ToMember::Command(Order::Stop));
        }
        self.barriers.bring(id, submission.completed);
        self.claims(link, id, submission.held, submission.wants);
        self.refresh_ready(id);
        self.adopt_stops();
    }

    pub(super) fn forfeit(&mut self, link: LinkId, id: InstanceId) {
        self.claimants.remove(&id);
        self.send(link, ToMember::Forfeited);
        self.close_link(link);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::super::super::window::RollCall;
    use super::super::{Control, Settings};
    use super::*;
    use crate::ident::{Attempt, Epoch, Name, Nonce, Tag, Token};
    use crate::wire::message::{EndReason, Profile, ToSupervisor, Trust};

    pub(in super::super) fn group() -> Name {
        Name::new("group").expect("a short name")
    }

    /// What the instance of this number proves itself by.
    pub(in super::super) const fn nonce_of(number: u64) -> Nonce {
        Nonce::new(number + (1 << 40))
    }

    /// Everything that an instance says at first.
    pub(in super::super) fn say_hello(supervisor: &mut Supervisor, link: LinkId, number: u64, known: &[u64]) {
        begin_hello(supervisor, link, number, known);
        supervisor.frame(link, ToSupervisor::ClaimsEnd);
    }

    /// What it says before its claims; `known` is its last closed view, without one it is a newcomer.
    pub(in super::super) fn begin_hello(supervisor: &mut Supervisor, link: LinkId, number: u64, known: &[u64]) {
        begin_hello_of(supervisor, link, number, known, 0);
    }

    /// The same for a version of the program.
    pub(in super::super) fn begin_hello_of(
        supervisor: &mut Supervisor,
        link: LinkId,
        number: u64,
        known: &[u64],
        version: u32,
    ) {
        let hello = Hello {
            wire: WIRE_VERSION,
            purpose: Purpose::Member,
            trust: Trust::Open,
            id: InstanceId::new(number),
            // Whoever comes again has a later connection.
            attempt: Attempt::new(1 + link.0),
            nonce: nonce_of(number),
        };
        let n = u64::from(!known.is_empty());
        let profile =
            Profile { pid: 0, version, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
        let stamp = Stamp { epoch: Epoch::new(n), n };
        let join = Join {
            group: group(),
            stamp,
            epoch: stamp.epoch,
            base: Token::default(),
            state: Stamp::default(),
            stopping: false,
            profile,
        };
        let known = known.iter().map(|number| (InstanceId::new(*number), nonce_of(*number))).collect();
        supervisor.connected(link);
        let frames =
            [ToSupervisor::Hello(hello), ToSupervisor::Join(join), ToSupervisor::Names(NameSort::Known, known)];
        for frame in frames {
            supervisor.frame(link, frame);
        }
    }

    pub(in super::super) fn told(supervisor: &mut Supervisor, link: LinkId) -> Vec<ToMember> {
        let outputs = supervisor.take_outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Send(to, frame) if to == link => Some(frame),
                Output::Cast(to, frame) if to.contains(&link) => Some(frame),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_group_of_one_has_a_seat_for_its_supervisor() {
        let me = InstanceId::new(1);
        let settings = Settings {
            group: group(),
            me,
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 1,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::new(settings);
        supervisor.called(RollCall::Everyone(BTreeSet::from([(me, Tag::new(1))])));
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[]);
        assert!(supervisor.is_complete());
        supervisor.close(1);
        assert!(supervisor.is_open() && supervisor.registry().len() == 1);
    }

    #[test]
    fn a_newcomer_does_not_take_the_seat_of_a_survivor_that_is_still_awaited() {
        let me = InstanceId::new(1);
        let settings = Settings {
            group: group(),
            me,
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 2,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::new(settings);
        let roll = [(me, Tag::new(1)), (InstanceId::new(2), Tag::new(2))];
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        say_hello(&mut supervisor, LinkId::LOCAL, 1, &[1, 2]);
        let newcomer = LinkId(7);
        say_hello(&mut supervisor, newcomer, 3, &[]);
        assert_eq!(told(&mut supervisor, newcomer), [ToMember::Refused(Refusal::Full { limit: 2 })]);
        let survivor = LinkId(8);
        say_hello(&mut supervisor, survivor, 2, &[1, 2]);
        assert!(supervisor.is_complete(), "nobody else is awaited");
        let frames = told(&mut supervisor, survivor);
        assert!(frames.iter().any(|frame| matches!(frame, ToMember::Welcome(_))), "{frames:?}");
    }

    #[test]
    fn who_is_back_hears_how_those_ended_who_did_meanwhile() {
        let me = InstanceId::new(1);
        let settings = Settings {
            group: group(),
            me,
            pid: 1,
            window_limit: None,
            aside_limit: None,
            member_limit: 9,
            control: Control::default(),
        };
        let mut supervisor = Supervisor::new(settings);
        let roll = [1, 2, 3, 4].map(|number| (InstanceId::new(number), Tag::new(number)));
        supervisor.called(RollCall::Everyone(BTreeSet::from(roll)));
        for number in 1..=4 {
            let link = if number == 1 { LinkId::LOCAL } else { LinkId(number) };
            say_hello(&mut supervisor, link, number, &[1, 2, 3, 4]);
        }
        supervisor.close(1);
        (2..=4).for_each(|number| supervisor.written(LinkId(number), u64::MAX));
        assert!(supervisor.is_open());
        supervisor.ended(LinkId(2), false);
        supervisor.frame(LinkId(3), ToSupervisor::Leave);
        supervisor.ended(LinkId(4), true);
        supervisor.take_outputs();
        say_hello(&mut supervisor, LinkId(9), 2, &[1, 2, 3, 4]);
        let frames = told(&mut supervisor, LinkId(9));
        let [ToMember::Welcome(_), .., ToMember::Opened(opened)] = &frames[..] else { panic!("{frames:?}") };
        let ended = [(3, EndReason::Left), (4, EndReason::Failed)].map(|(number, how)| (InstanceId::new(number), how));
        assert_eq!(opened.departed, ended);
    }
}
