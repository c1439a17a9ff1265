//! How barriers reach the members: what the machine of the barriers decides is written, and it is told what was.

use std::collections::BTreeMap;

use super::super::barriers::Told;
use super::{LinkId, LinkState, Output, Phase, Place, Supervisor};
use crate::ident::{InstanceId, Request, Stamp};
use crate::wire::message::{Generation, ToMember};

/// Which `Complete` was written with which frame of a connection, for those that have not reached its kernel yet.
pub(super) type Unwritten = BTreeMap<LinkId, Vec<(u64, InstanceId, Stamp)>>;

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
        let links: Vec<_> = to.iter().map(|(link, _)| *link).collect();
        self.cast(links.clone(), ToMember::Complete(generation));
        let watched: Vec<_> = links.into_iter().filter(|link| *link != LinkId::LOCAL).collect();
        if !watched.is_empty() {
            self.outputs.push(Output::Watch(watched));
        }
        for (link, id) in to {
            let sent = self.links.get(&link).map_or(0, |found| found.sent);
            if link == LinkId::LOCAL {
                self.barriers.noted(id, number);
            } else {
                self.unwritten.entry(link).or_default().push((sent, id, number));
            }
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
