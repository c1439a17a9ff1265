//! How barriers reach the members: what the machine of the barriers decides is written, and it is told what was.

use std::collections::BTreeMap;

use super::super::barriers::Told;
use super::{LinkId, LinkState, Output, Phase, Place, Supervisor};
use crate::ident::{InstanceId, Request, Stamp};
use crate::wire::message::{Generation, ToMember};

/// Which `Complete` was sent with which frame of a connection, of those that have not reached its kernel yet; or before which
/// ping, of those that the member has not read yet.
pub(super) type Sent = BTreeMap<LinkId, Vec<(u64, InstanceId, Stamp)>>;

impl Supervisor {
    /// Writes what the barriers decided, and whatever follows from what is written at once.
    pub(super) fn pass_on_barriers(&mut self) {
        loop {
            let told = self.barriers.take_told();
            if told.is_empty() {
                return;
            }
            for told in told {
                match told {
                    Told::Complete(to, generation) => self.write_complete(&to, generation),
                    Told::Go(to, request, leads) => self.tell(to, ToMember::Go(request, leads)),
                    Told::Withdrawn(to, request) => self.taken_back(to, request),
                    Told::Denied(to, request, reason) => self.tell(to, ToMember::Denied(request, reason.into())),
                }
            }
        }
    }

    /// Who is not connected says what it waits for when it is back.
    fn tell(&mut self, to: InstanceId, what: ToMember) {
        if let Some(link) = self.link_of(to) {
            self.send(link, what);
        }
    }

    fn taken_back(&mut self, to: InstanceId, request: Request) {
        if let Some(link) = self.link_of(to) {
            // It may wait for the verdict of the policy.
            self.withdraw(link, request);
            self.send(link, ToMember::Withdrawn(request));
        }
    }

    fn link_of(&self, id: InstanceId) -> Option<LinkId> {
        match self.registry.get(id)?.place {
            Place::Here(link) => Some(link),
            _ => None,
        }
    }

    fn write_complete(&mut self, to: &[InstanceId], generation: Generation) {
        let number = generation.number;
        let open = |link: &LinkId| self.links.get(link).is_some_and(|found| found.state != LinkState::Closing);
        let to = to.iter().filter_map(|id| self.link_of(*id).filter(open).map(|link| (link, *id)));
        let to: Vec<(LinkId, InstanceId)> = to.collect();
        self.cast(to.iter().map(|(link, _)| *link).collect(), ToMember::Complete(generation));
        let mut watched = Vec::new();
        for (link, id) in to {
            if link == LinkId::LOCAL {
                self.barriers.noted(id, number);
            } else if self.barriers.has_said(id, number) || !self.rules.complete_is_read {
                let sent = self.links.get(&link).map_or(0, |found| found.sent);
                self.unwritten.entry(link).or_default().push((sent, id, number));
                watched.push(link);
            } else {
                // It may not have read that it is part of the reign, and then it may give the connection up and with it all
                // that it has not read.
                let ping = self.ping(link);
                self.unread.entry(link).or_default().push((ping, id, number));
            }
        }
        if !watched.is_empty() {
            self.outputs.push(Output::Watch(watched));
        }
    }

    /// A member has read all that was sent to it before this ping.
    pub(super) fn completes_read(&mut self, link: LinkId, ping: u64) {
        let Some(unread) = self.unread.get_mut(&link) else { return };
        let read: Vec<_> = unread.extract_if(.., |(sent, ..)| *sent <= ping).collect();
        if unread.is_empty() {
            self.unread.remove(&link);
        }
        for (_, id, number) in read {
            self.barriers.noted(id, number);
        }
    }

    /// The first `count` frames of a connection were written.
    pub(super) fn completes_written(&mut self, link: LinkId, count: u64) {
        if matches!(self.phase, Phase::Frozen) {
            return;
        }
        let Some(unwritten) = self.unwritten.get_mut(&link) else { return };
        let written: Vec<_> = unwritten.extract_if(.., |(sent, ..)| *sent <= count).collect();
        if unwritten.is_empty() {
            self.unwritten.remove(&link);
        }
        for (_, id, number) in written {
            self.barriers.noted(id, number);
        }
    }
}
