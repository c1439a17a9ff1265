//! What the supervisor commands, and what becomes of those that are told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::registry::Place;
use super::{LinkId, LinkState, Output, StepDown, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Command, EndReason, LeaveSort, Order, ToMember};

/// Who was told to stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stops {
    /// For how long each may still be there, as far as it counted.
    told: BTreeMap<InstanceId, Duration>,
    /// Who says that an earlier supervisor has told it so, until it is part of the reign.
    brought: BTreeSet<InstanceId>,
    /// Who is written that it is evicted, and with which frame of its connection.
    evicting: BTreeMap<LinkId, (InstanceId, u64)>,
    /// Whose connection ended before it was written that it is evicted. What it holds is free when it has been sent a notice.
    notifying: BTreeSet<InstanceId>,
    /// Who was evicted in this reign. None of them comes again.
    evicted: BTreeSet<InstanceId>,
}

impl Stops {
    /// Whether there is anybody whose time could be counted.
    pub(super) fn is_anybody_told(&self) -> bool {
        !self.told.is_empty()
    }

    pub(super) fn is_told(&self, id: InstanceId) -> bool {
        self.told.contains_key(&id)
    }

    /// It was told to stop by an earlier supervisor.
    pub(super) fn bring(&mut self, id: InstanceId) {
        self.brought.insert(id);
    }

    pub(super) fn was_evicted(&self, id: InstanceId) -> bool {
        self.evicted.contains(&id) || self.notifying.contains(&id)
    }

    /// Whether it is being written that it is evicted.
    pub(super) fn is_being_evicted(&self, id: InstanceId) -> bool {
        self.evicting_on(id).is_some()
    }

    /// The connection on which it is being written that it is evicted.
    pub(super) fn evicting_on(&self, id: InstanceId) -> Option<LinkId> {
        self.evicting.iter().find(|(_, (evicted, _))| *evicted == id).map(|(link, _)| *link)
    }

    /// The entry has ended.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.told.remove(&id);
    }
}

impl Supervisor {
    /// Somebody commands something: the supervisor's own instance or an observer.
    pub(super) fn command(&mut self, link: LinkId, command: Command) {
        if self.is_too_early(link) {
            return;
        }
        let Command { request, to, order } = command;
        let is_observer = matches!(self.links.get(&link).map(|l| &l.state), Some(LinkState::Observer { .. }));
        if link != LinkId::LOCAL && !is_observer {
            return self.send(link, ToMember::Denied(request, "only the supervisor commands".into()));
        }
        let recipients = self.recipients(link, to);
        for (id, _) in &recipients {
            match order {
                // It is behind the change of the entry that the command is written.
                Order::Pause => self.set_paused(*id, true),
                Order::Resume => self.set_paused(*id, false),
                Order::Stop => self.begin_stop(*id),
                Order::Custom(_) => {}
            }
        }
        let links = recipients.into_iter().map(|(_, link)| link).collect();
        self.send_out(ToMember::Command(order), link, request, to, links);
    }

    /// From here on its time runs, if there is a limit. Who is told again has no more of it.
    fn begin_stop(&mut self, id: InstanceId) {
        self.stops.told.entry(id).or_default();
        // It may be the heir, and no view says that it is no more.
        self.succession.look_again();
    }

    /// Whoever was told to stop by an earlier supervisor has as long from here on as if it were told now.
    pub(super) fn adopt_stops(&mut self) {
        for id in std::mem::take(&mut self.stops.brought) {
            match self.registry.get(id).map(|member| member.place) {
                Some(Place::Here(_) | Place::Aside(_)) => self.begin_stop(id),
                Some(Place::Parked(_) | Place::Named(_)) => self.stops.bring(id),
                None => {}
            }
        }
    }

    /// Whether the time is counted of anybody who is to stop.
    pub(super) fn are_stops_counted(&self) -> bool {
        self.settings.control.stop_limit.is_some() && self.stops.is_anybody_told()
    }

    /// Time has passed. Whose time is over is evicted.
    pub(super) fn count_stops(&mut self, slice: Duration) {
        let Some(limit) = self.settings.control.stop_limit else { return };
        self.stops.told.values_mut().for_each(|waited| *waited += slice);
        let mut over: Vec<_> = self.stops.told.keys().copied().filter(|id| self.stops.told[id] >= limit).collect();
        // After the supervisor itself there is nobody to evict the others.
        over.sort_by_key(|id| *id == self.settings.me);
        for id in over {
            self.stops.told.remove(&id);
            self.evict(id);
        }
    }

    /// Who was told to stop has not. What it holds is free when it was written so, or its connection has ended: until then
    /// it may use it.
    fn evict(&mut self, id: InstanceId) {
        if id == self.settings.me {
            // Before any of the others hears that it has left, and has what it held.
            self.send(LinkId::LOCAL, ToMember::Evicted);
            self.freeze(LeaveSort::Leaving);
            return self.outputs.push(Output::StepDown(StepDown::Stopped));
        }
        let Some(Place::Here(link)) = self.registry.get(id).map(|member| member.place) else {
            return self.evict_absent(id);
        };
        self.send(link, ToMember::Evicted);
        let awaiting = self.await_writes(std::iter::once(link));
        // Nothing that it asked for takes effect any more.
        self.forget_lane(link);
        self.writes.drop_kept(link);
        self.return_waiting(link);
        self.asks.forget_link(link);
        // Not as others are closed: what is written to it last is still waited for.
        self.set_state(link, LinkState::Closing);
        self.outputs.push(Output::Close(link));
        self.refresh_ready(id);
        match awaiting.get(&link) {
            Some(frame) if self.rules.evicted_is_awaited => drop(self.stops.evicting.insert(link, (id, *frame))),
            _ => self.evicted(id),
        }
    }

    /// It is not connected, and the next supervisor that it says hello to may not be this one.
    fn evict_absent(&mut self, id: InstanceId) {
        if !self.rules.expired_are_notified {
            return self.evicted(id);
        }
        self.stops.notifying.insert(id);
        // Its memberships have other tags than those that the roll call showed.
        self.outputs.push(Output::Notify { id, tags: Vec::new(), evicted: true });
    }

    /// The notice to this member was sent.
    pub(super) fn stop_notified(&mut self, id: InstanceId) {
        if self.stops.notifying.remove(&id) {
            self.evicted(id);
        }
    }

    fn evicted(&mut self, id: InstanceId) {
        self.stops.evicted.insert(id);
        self.end(id, EndReason::Evicted);
    }

    /// The first `count` frames of a connection were written.
    pub(super) fn eviction_written(&mut self, link: LinkId, count: u64) {
        if self.stops.evicting.get(&link).is_some_and(|(_, frame)| *frame <= count)
            && let Some((id, _)) = self.stops.evicting.remove(&link)
        {
            self.evicted(id);
        }
    }

    /// A connection has ended, on which a member may have been about to read that it is evicted.
    pub(super) fn eviction_unread(&mut self, link: LinkId) {
        if let Some((id, _)) = self.stops.evicting.remove(&link) {
            self.evict_absent(id);
        }
    }

    /// Panics with a sentence if who stops contradicts who is there.
    pub(super) fn check_stops(&self) {
        for id in self.stops.told.keys() {
            assert!(self.registry.get(*id).is_some(), "somebody is to stop who is not there");
        }
        for (link, (id, frame)) in &self.stops.evicting {
            let place = self.registry.get(*id).map(|member| member.place);
            assert_eq!(place, Some(Place::Here(*link)), "somebody is evicted who is not there");
            let found = self.links.get(link).expect("a connection that has not ended");
            assert!(found.state == LinkState::Closing && *frame <= found.sent, "somebody evicted is still heard");
        }
        assert!(self.stops.evicted.iter().all(|id| self.registry.get(*id).is_none()), "somebody evicted is back");
    }
}

#[cfg(test)]
mod tests;
