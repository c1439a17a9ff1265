//! How a window closes and a reign opens, and how newcomers are named to the others before they are welcomed.

use super::super::grants::Told;
use super::{Awaiting, LinkId, LinkState, Output, Phase, Place, StepDown, Supervisor};
use crate::ident::{InstanceId, Stamp};
use crate::wire::message::{EndReason, Opened, ToMember, ViewHead};

impl Supervisor {
    /// The most newcomers that are named at once: with the largest payloads their delta still fits one frame.
    const ROUND: usize = 128;

    /// Whether everyone is accounted for, so that [`Supervisor::close`] may be called.
    pub fn is_complete(&self) -> bool {
        matches!(&self.phase, Phase::Window(window) if window.is_complete())
    }

    /// Closes the window: judges the claims, fixes the numbers of the reign and writes them to everyone. `clock` is in
    /// nanoseconds since 1970. Nothing happens before [`Supervisor::is_complete`].
    pub fn close(&mut self, clock: u64) {
        if !self.is_complete() {
            return;
        }
        let Phase::Window(mut window) = std::mem::replace(&mut self.phase, Phase::Opening(Awaiting::new())) else {
            return;
        };
        self.adopt_limits();
        let mut forfeiters = if self.rules.all_is_forfeited { window.forfeiters() } else { Default::default() };
        for id in &forfeiters {
            self.grants.forget(*id);
            self.barriers.end(*id);
        }
        // Two members cannot both be right; the one with the smaller token was given up by a reign it slept through.
        for id in self.grants.conflicts() {
            self.grants.forget(id);
            self.barriers.end(id);
            forfeiters.insert(id);
        }
        if forfeiters.contains(&self.settings.me) {
            self.send(LinkId::LOCAL, ToMember::Forfeited);
            return self.step_down(StepDown::Forfeited);
        }
        let mut forfeited = Vec::new();
        for id in forfeiters {
            window.ended(id, EndReason::Evicted);
            if let Some(link) = self.registry.remove(id).and_then(|member| member.place.link()) {
                self.claimants.remove(&id);
                self.send(link, ToMember::Forfeited);
                self.forfeiting.insert(link, id);
                forfeited.push(link);
            }
        }

        let (epoch, base) = window.numbers(self.settings.me, self.grants.highest_token(), clock);
        let stamp = Stamp { epoch, n: 1 };
        self.head = ViewHead { stamp, base, written: 0, whole: true };
        self.forfeits = window.forfeits();
        let departed = window.departed();
        self.registry.begin(stamp, &departed);
        self.grants.close(
            epoch,
            base,
            window.was_limited() && self.rules.fresh_tokens_after_limit,
            window.follows_a_reign(),
        );

        // Fresh tokens lie above the base; so the base that everybody learns is the last of them.
        self.head.base = self.grants.highest();
        let here = |place: Place| matches!(place, Place::Here(_));
        let survivors = self.registry.in_place(here);
        let lacking: Vec<_> = survivors.iter().map(|id| self.writes.brought(*id)).collect();
        let survivors = self.links_of(&survivors);
        // Newcomers are named like those of any round, behind `Opened`: none of them has a view of a reign of which a
        // survivor knows nothing, or it could take what that one goes on to do for older than its own copy.
        let first = |place: Place| matches!(place, Place::Parked(_)) && !self.rules.newcomers_come_second;
        let newcomers = self.registry.in_place(first);
        for id in &newcomers {
            if let Some(link) = self.registry.get(*id).and_then(|member| member.place.link()) {
                self.registry.move_to(*id, Place::Here(link));
            }
        }
        for id in self.registry.in_place(here) {
            self.refresh_ready(id);
        }
        // Fresh tokens travel before `Opened`, so that no holder is part of the reign under an old one.
        self.pass_on();
        self.writes.begin(epoch);
        let supervisor = self.settings.me;
        let lacking: Vec<_> = survivors.iter().copied().zip(lacking).collect();
        self.send_view(&lacking, |view| ToMember::Opened(Opened { supervisor, view, departed: departed.clone() }));
        let newcomers = self.links_of(&newcomers);
        self.welcome_all(&newcomers);
        for link in self.observers(false) {
            self.welcome_observer(link);
        }
        if self.rules.two_step_opening {
            // Who forfeited believes to hold something until it reads that. It was here a moment ago, so it is not silent,
            // and if it does not drain its connection is cut like any other. Then it is sent a notice.
            let told = forfeited.iter().copied().filter(|_| self.rules.forfeited_is_awaited);
            let told: Vec<_> = survivors.into_iter().chain(newcomers).chain(told).collect();
            let awaiting = self.await_writes(told.into_iter());
            self.phase = Phase::Opening(awaiting);
        }
        for link in forfeited {
            // Not as others are closed: what is written to it last is still waited for.
            self.set_state(link, LinkState::Closing);
            self.forget_lane(link);
            self.outputs.push(Output::Close(link));
        }
        self.progress();
    }

    /// Does whatever has become possible.
    pub(super) fn progress(&mut self) {
        loop {
            self.pass_on();
            if matches!(&self.phase, Phase::Opening(awaiting) if awaiting.is_empty()) {
                self.phase = Phase::Open;
                self.forfeiting.clear();
                self.adopt_stops();
                self.grants.open();
                self.barriers.open(self.head.stamp.epoch);
                self.deliver();
                continue;
            }
            if !matches!(self.phase, Phase::Opening(_) | Phase::Open) {
                return;
            }
            if self.renew_base() {
                continue;
            }
            if self.answer_inquiries() {
                continue;
            }
            self.answer_surveys();
            if self.acknowledge() || self.write_next() {
                continue;
            }
            match &self.round {
                Some(awaiting) if awaiting.is_empty() => self.finish_round(),
                None if self.registry.is_anybody_parked() => self.begin_round(),
                _ => return self.look_for_heir(),
            }
        }
    }

    /// Names all newcomers that are there to everyone welcomed before: a storm of them costs rounds, not writes each.
    fn begin_round(&mut self) {
        let mut newcomers = self.registry.in_place(|place| matches!(place, Place::Parked(_)));
        newcomers.truncate(Self::ROUND);
        for id in &newcomers {
            if let Some(link) = self.registry.get(*id).and_then(|member| member.place.link()) {
                self.registry.move_to(*id, Place::Named(link));
            }
        }
        let welcomed = self.members();
        self.announce(&newcomers, Vec::new(), None);
        self.round = Some(self.await_writes(welcomed.into_iter()));
    }

    /// Everyone welcomed before has their names: now they may be welcomed, and ask for things.
    fn finish_round(&mut self) {
        self.round = None;
        self.succession.look_again();
        let newcomers = self.registry.in_place(|place| matches!(place, Place::Named(_)));
        for id in &newcomers {
            if let Some(link) = self.registry.get(*id).and_then(|member| member.place.link()) {
                self.registry.move_to(*id, Place::Here(link));
                self.refresh_ready(*id);
            }
        }
        let links = self.links_of(&newcomers);
        self.welcome_all(&links);
        self.adopt_stops();
    }

    /// What must have been written to these before all that was sent to them has been. Their kernels are told to say so.
    pub(super) fn await_writes(&mut self, links: impl Iterator<Item = LinkId>) -> Awaiting {
        let awaiting: Awaiting = links
            .filter(|link| *link != LinkId::LOCAL)
            .filter_map(|link| self.links.get(&link).map(|found| (link, found)))
            .filter(|(_, found)| found.sent > found.written)
            .map(|(link, found)| (link, found.sent))
            .collect();
        if !awaiting.is_empty() {
            self.outputs.push(Output::Watch(awaiting.keys().copied().collect()));
        }
        awaiting
    }

    /// Writes what the grants decided.
    fn pass_on(&mut self) {
        for Told { to, what } in self.grants.take_told() {
            // Who is not connected learns it when it is back: its claims are compared then.
            if let Some(Place::Here(link)) = self.registry.get(to).map(|member| member.place) {
                self.send(link, what);
            }
        }
        self.pass_on_barriers();
    }

    pub(super) fn links_of(&self, ids: &[InstanceId]) -> Vec<LinkId> {
        ids.iter().filter_map(|id| self.registry.get(*id).and_then(|member| member.place.link())).collect()
    }

    pub(super) fn observers(&self, welcome: bool) -> Vec<LinkId> {
        let wanted = |state: &LinkState| matches!(state, LinkState::Observer { welcomed, .. } if *welcomed == welcome);
        self.links.iter().filter(|(_, link)| wanted(&link.state)).map(|(id, _)| *id).collect()
    }
}
