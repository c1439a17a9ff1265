//! How the state reaches the instances: which copy a reign begins with, who is told of a write, and when it is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::state::{Outcome, State, Unfit, limit_of};
use super::{Awaiting, LinkId, Phase, Supervisor};
use crate::ident::{Epoch, InstanceId, Request, Resource, Stamp};
use crate::wire::message::{Put, Refusal, ToMember, Value};

/// The state and what is under way of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Writes {
    /// While the window is open: the best copy that has arrived.
    pub(super) state: State,
    /// How far the copies of the survivors go.
    brought: BTreeMap<InstanceId, Stamp>,
    /// Copies on their way.
    fetches: BTreeMap<LinkId, State>,
    /// Writes that have to wait, because the reign is not open or too much is under way, in their order, and what they cost.
    kept: VecDeque<(LinkId, InstanceId, Put)>,
    kept_bytes: usize,
    /// The last writes that were said on each connection.
    said: BTreeMap<LinkId, BTreeSet<Request>>,
    /// Writes that are done and not acknowledged, in their order.
    pending: VecDeque<Pending>,
    /// How many were acknowledged: the number of the first one that is pending.
    acknowledged: u64,
    /// For each connection the frames that have to be written to it, in their order, each with the number of the pending
    /// write that waits for it. What one frame decides is found at the front, however many writes are pending.
    unwritten: BTreeMap<LinkId, VecDeque<(u64, u64)>>,
    /// How many of those the inputs so far have looked at.
    #[cfg(test)]
    looked: usize,
    /// What those have put on every connection.
    pending_bytes: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Pending {
    /// How many connections it still has to be written to.
    awaited: usize,
    writer: LinkId,
    answer: ToMember,
    cost: usize,
    /// The limit that it sets, which counts from the acknowledgement.
    limit: Option<(Resource, u32)>,
}

impl Writes {
    /// How many of the writes of a connection are remembered: far more than one instance has callers.
    const SAID: usize = 1024;
    /// How many bytes of values may be under way at a time. Every member gets every value, and whoever does not keep up
    /// with what waits for it is cut; so what waits stays far below what a connection bears.
    const UNDER_WAY: usize = 2 << 20;
    /// How many bytes of values may wait to be written. A member says about one value at a time that is large.
    const KEPT_LIMIT: usize = 64 << 20;

    pub(super) fn begin(&mut self, epoch: Epoch) {
        self.state.begin(epoch);
        self.brought.clear();
    }

    /// How far the copy of a survivor goes.
    pub(super) fn brought(&self, id: InstanceId) -> Stamp {
        self.brought.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn is_fetching(&self, link: LinkId) -> bool {
        self.fetches.contains_key(&link)
    }

    /// Notes that a write was said on this connection; `false` if it was before. Only so many are remembered: older ones
    /// count as said, since on a connection they come in their order but for a few.
    ///
    /// The own half says nothing twice. Its callers come one by one from wherever they were stopped, and any number of
    /// others may have overtaken them.
    fn is_said_first(&mut self, link: LinkId, request: Request) -> bool {
        if link == LinkId::LOCAL {
            return true;
        }
        let said = self.said.entry(link).or_default();
        let is_first = said.insert(request);
        let forgotten = if said.len() > Self::SAID { said.pop_first() } else { None };
        is_first && forgotten != Some(request)
    }

    pub(super) fn written(&mut self, link: LinkId, count: u64) {
        let Some(unwritten) = self.unwritten.get_mut(&link) else { return };
        while let Some((frame, number)) = unwritten.front().copied() {
            #[cfg(test)]
            (self.looked += 1);
            if frame > count {
                return;
            }
            unwritten.pop_front();
            if let Some(pending) = self.pending.get_mut((number - self.acknowledged) as usize) {
                pending.awaited -= 1;
            }
        }
        self.unwritten.remove(&link);
    }

    /// The next write waits for these frames.
    fn begin_await(&mut self, awaiting: &Awaiting) {
        let number = self.acknowledged + self.pending.len() as u64;
        for (link, frame) in awaiting {
            self.unwritten.entry(*link).or_default().push_back((*frame, number));
        }
    }

    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.fetches.remove(&link);
        self.said.remove(&link);
        // What was not done yet is said again, and may be refused then.
        self.drop_kept(link);
        self.written(link, u64::MAX);
    }

    /// What this connection has said and was not done yet is not done.
    pub(super) fn drop_kept(&mut self, link: LinkId) {
        let kept_bytes = &mut self.kept_bytes;
        self.kept.retain(|(writer, _, put)| {
            let stays = *writer != link;
            *kept_bytes -= if stays { 0 } else { cost(put) };
            stays
        });
    }
}

impl Supervisor {
    /// The state; while the window is open, the best copy so far.
    pub fn state(&self) -> &State {
        &self.writes.state
    }

    // ------------------------------------------------------------------------------------------------ before opening

    /// A survivor is back. If its copy is newer than all before, it is accounted for only with it.
    pub(super) fn weigh_copy(&mut self, link: LinkId, id: InstanceId, stamp: Stamp) {
        self.writes.brought.insert(id, stamp);
        let wanted = if self.rules.newest_copy { stamp > self.writes.state.stamp() } else { link == LinkId::LOCAL };
        if let (Phase::Window(window), true) = (&mut self.phase, wanted) {
            window.fetching(id);
            self.writes.fetches.insert(link, State::copy(stamp));
            self.send(link, ToMember::Fetch);
        }
    }

    /// A value of a copy that was asked for.
    pub(super) fn fetched_value(&mut self, link: LinkId, value: Value) {
        let taken = self.writes.fetches.get_mut(&link).map(|copy| copy.take(value));
        let why = match taken {
            Some(Ok(())) => return,
            Some(Err(why)) => why.to_string().into(),
            None => "value that was not asked for".into(),
        };
        self.refuse(link, Refusal::Protocol(why));
    }

    /// A copy that was asked for is complete.
    pub(super) fn fetched(&mut self, link: LinkId, id: InstanceId) {
        let Some(copy) = self.writes.fetches.remove(&link) else {
            return self.refuse(link, Refusal::Protocol("end of a state that was not asked for".into()));
        };
        // The window may have been closed without it; then it got what it lacks from there.
        let Phase::Window(window) = &mut self.phase else { return };
        if copy.stamp() > self.writes.state.stamp() {
            self.writes.state = copy;
        }
        window.fetched(id);
    }

    /// The limits of the adopted copy, by which claims are judged.
    pub(super) fn adopt_limits(&mut self) {
        for (name, limit) in self.writes.state.limits() {
            self.grants.resize(name, limit);
        }
    }

    // --------------------------------------------------------------------------------------------------------- writes

    /// Somebody with a view writes.
    pub(super) fn put(&mut self, link: LinkId, writer: InstanceId, put: Put) {
        if !self.writes.is_said_first(link, put.request) {
            // Its first saying is answered, and for both.
            return;
        }
        match self.phase {
            Phase::Open | Phase::Opening(_) => self.keep(link, writer, put),
            Phase::Window(_) => self.refuse(link, Refusal::Protocol("put before the window is closed".into())),
            Phase::Frozen => {}
        }
    }

    /// Writes are done in their order: [`Supervisor::write_next`].
    fn keep(&mut self, link: LinkId, writer: InstanceId, put: Put) {
        let cost = cost(&put);
        if self.writes.kept_bytes + cost > Writes::KEPT_LIMIT {
            return self.send(link, ToMember::Denied(put.request, Unfit::Full.to_string().into()));
        }
        self.writes.kept_bytes += cost;
        self.writes.kept.push_back((link, writer, put));
    }

    /// Does the next write if the reign is open and not too much is under way, and says whether it did.
    pub(super) fn write_next(&mut self) -> bool {
        let Some((.., put)) = self.writes.kept.front() else { return false };
        let cost = cost(put);
        let fits = self.writes.pending.is_empty() || self.writes.pending_bytes + cost <= Writes::UNDER_WAY;
        if !fits || !matches!(self.phase, Phase::Open) {
            return false;
        }
        if let Some((link, writer, put)) = self.writes.kept.pop_front() {
            self.writes.kept_bytes -= cost;
            self.write(link, writer, put);
        }
        true
    }

    fn write(&mut self, link: LinkId, writer: InstanceId, put: Put) {
        let compared = self.rules.resubmissions_are_compared;
        let known = if compared { self.writes.state.known(writer, &put) } else { None };
        let request = put.request;
        match known.unwrap_or_else(|| self.writes.state.put(writer, &put)) {
            Outcome::Stored(value) => {
                let limit = limit_of(&value).map(|limit| (value.key.clone(), limit));
                let answer = ToMember::Stored(request, value.version);
                self.cast(self.viewers(None), ToMember::Value(value));
                self.await_write(link, answer, cost(&put), limit);
            }
            // Its value is on its way to everyone like any other.
            Outcome::Known(version) => self.await_write(link, ToMember::Stored(request, version), 0, None),
            // Who is refused because of a value may act upon that value. So it is told when everyone has it.
            Outcome::Conflict(version) => self.await_write(link, ToMember::Conflict(request, version), 0, None),
            Outcome::Interrupted => self.send(link, ToMember::Interrupted(request)),
            Outcome::Refused(why) => self.send(link, ToMember::Denied(request, why.to_string().into())),
        }
    }

    /// A write is done when all that was sent so far has been written to everyone welcomed before. Observers do not
    /// count, nor does a connection that ends.
    fn await_write(&mut self, writer: LinkId, answer: ToMember, cost: usize, limit: Option<(Resource, u32)>) {
        let members = if self.rules.acknowledged_when_written { self.members() } else { Vec::new() };
        let awaiting = self.await_writes(members.into_iter());
        self.writes.begin_await(&awaiting);
        self.writes.pending_bytes += cost;
        self.writes.pending.push_back(Pending { awaited: awaiting.len(), writer, answer, cost, limit });
    }

    /// Acknowledges what has been written to everyone by now, and says whether there was any.
    pub(super) fn acknowledge(&mut self) -> bool {
        let mut any = false;
        while self.writes.pending.front().is_some_and(|pending| pending.awaited == 0) {
            let Some(done) = self.writes.pending.pop_front() else { break };
            self.writes.acknowledged += 1;
            if let Some((name, limit)) = done.limit {
                self.grants.resize(&name, limit);
            }
            self.writes.pending_bytes -= done.cost;
            self.send(done.writer, done.answer);
            any = true;
        }
        any
    }

    /// Panics with a sentence if the state, or what is under way of it or of anything else, contradicts itself. For tests,
    /// simulation, fuzzing.
    pub fn check_invariants(&self) {
        self.check_mail();
        self.check_asks();
        self.check_stops();
        self.writes.state.check_invariants();
        self.check_lanes();
        self.writes.fetches.values().for_each(State::check_invariants);
        let open = matches!(self.phase, Phase::Open | Phase::Frozen);
        assert!(open || self.writes.pending.is_empty(), "there are writes before the reign is open");
        for pending in &self.writes.pending {
            if let ToMember::Stored(_, version) | ToMember::Conflict(_, version) = pending.answer {
                assert!(version <= self.writes.state.stamp(), "a write is acknowledged that was not done");
            }
        }
        let unwritten = &self.writes.unwritten;
        assert!(unwritten.keys().all(|link| self.links.contains_key(link)), "who is gone is waited for");
        let awaited: usize = self.writes.pending.iter().map(|pending| pending.awaited).sum();
        assert_eq!(awaited, unwritten.values().map(VecDeque::len).sum::<usize>(), "writes are awaited by nobody");
    }
}

/// What a write takes of the room for values, there and on the way.
fn cost(put: &Put) -> usize {
    put.bytes.as_ref().map_or(0, |bytes| bytes.len()) + State::KEY_COST
}

#[cfg(test)]
mod tests;
