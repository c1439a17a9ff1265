//! Writes to the state in a world, and what an all-knowing observer demands of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::registry::Place;
use super::super::session::Notice;
use super::super::supervisor::{LinkId, Supervisor};
use super::control::is_paused;
use super::world::{Action, World, owner};
use crate::ident::{Epoch, InstanceId, Kind, Name, Request, Resource, Stamp};
use crate::wire::message::ToMember;

/// What was seen of the state.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// How often each instance has written.
    puts: Vec<u8>,
    /// Every write so far, and what it was to do.
    asked: BTreeMap<(usize, Request), (Resource, Option<Stamp>)>,
    /// The writes that were done and are still in the order that everyone goes on with.
    line: Vec<Write>,
    acknowledged: Vec<Acknowledged>,
    /// The last version of each key at each instance, and the reign in which it was seen.
    last: BTreeMap<(usize, Resource), (Epoch, Stamp)>,
}

#[derive(Clone, Debug)]
struct Write {
    version: Stamp,
    who: InstanceId,
    request: Request,
    /// Who was part of the reign when it was done, or when it was adopted.
    welcomed: BTreeSet<(InstanceId, LinkId)>,
}

/// A promise: as long as one of these lives, and is not silent beyond the limit, the write is not lost.
#[derive(Clone, Debug)]
struct Acknowledged {
    key: Resource,
    version: Stamp,
    expected: Option<Stamp>,
    witnesses: BTreeSet<InstanceId>,
}

impl Seen {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            puts: vec![0; slots],
            asked: BTreeMap::new(),
            line: Vec::new(),
            acknowledged: Vec::new(),
            last: BTreeMap::new(),
        }
    }
}

/// Who is part of the reign, and by which connection.
fn welcomed(supervisor: &Supervisor) -> BTreeSet<(InstanceId, LinkId)> {
    let here = supervisor.registry().iter().filter_map(|(id, member)| match member.place {
        Place::Here(link) => Some((id, link)),
        _ => None,
    });
    here.collect()
}

/// Two values of the application and the limit of a semaphore.
const KEYS: u8 = 3;

fn key_name(key: u8) -> Resource {
    let kind = if key + 1 == KEYS { Kind::Semaphore } else { Kind::Value };
    Resource::new(kind, Name::new(["x", "y", "z"][usize::from(key)]).expect("a short name"))
}

impl World {
    /// Which writes an instance may make next.
    pub(super) fn puts(&self, i: u8, actions: &mut Vec<Action>) {
        if self.ghost.state.puts[usize::from(i)] < self.config.puts {
            for key in 0..KEYS {
                actions.extend([Action::Put(i, key), Action::PutIf(i, key)]);
                if key_name(key).kind == Kind::Value {
                    actions.push(Action::Delete(i, key));
                }
            }
        }
    }

    pub(super) fn put(&mut self, i: u8, key: u8, action: Action) {
        let key = key_name(key);
        let count = &mut self.ghost.state.puts[usize::from(i)];
        *count += 1;
        let bytes = match action {
            Action::Delete(..) => None,
            _ => Some([0, 0, i, *count].into()),
        };
        let session = &mut self.at(i).session;
        let expected = matches!(action, Action::PutIf(..)).then(|| session.state().version(&key));
        let (request, frame) = session.put(key.clone(), expected, bytes);
        self.ghost.state.asked.insert((usize::from(i), request), (key, expected));
        self.say(i, frame);
    }

    /// A supervisor writes to all of these at once: a live value is a write, which is in its own copy at once.
    pub(super) fn state_cast(&mut self, i: u8, supervisor: &Supervisor, links: &[LinkId], frame: &ToMember) {
        let ToMember::Value(value) = frame else { return };
        if !links.contains(&LinkId::LOCAL) || !self.at(i).session.is_settled() {
            return;
        }
        let (version, who, request) = (value.version, value.writer, value.request);
        let welcomed = links.iter().filter_map(|link| Some((supervisor.behind(*link)?, *link))).collect();
        let line = &mut self.ghost.state.line;
        let before = line.iter().find(|write| (write.who, write.request) == (who, request));
        let before = before.map(|write| write.version);
        line.push(Write { version, who, request, welcomed });
        if let Some(before) = before {
            self.fail(format!("APPLIED TWICE: a write of {who} as {before} and as {version}"));
        }
    }

    /// A supervisor says something: an acknowledgement is a promise.
    pub(super) fn state_said(&mut self, i: u8, supervisor: &Supervisor, link: LinkId, frame: &ToMember) {
        let ToMember::Stored(request, version) = frame else { return };
        let pipe = self.pipes.iter().find(|pipe| pipe.link == link);
        let writer = usize::from(pipe.map_or(i, |pipe| pipe.client));
        let Some((key, expected)) = self.ghost.state.asked.get(&(writer, *request)).cloned() else { return };
        self.promised(supervisor, Acknowledged { key, version: *version, expected, witnesses: BTreeSet::new() });
    }

    fn promised(&mut self, supervisor: &Supervisor, mut promise: Acknowledged) {
        let here = welcomed(supervisor);
        let hears = |(id, link): &&(InstanceId, LinkId)| {
            let open = self.pipes.iter().any(|pipe| pipe.link == *link && pipe.client_open);
            here.contains(&(*id, *link)) && self.is_witness(*id) && (open || *link == LinkId::LOCAL)
        };
        let write = self.ghost.state.line.iter().find(|write| write.version == promise.version);
        let welcomed = write.into_iter().flat_map(|write| &write.welcomed);
        promise.witnesses = welcomed.filter(hears).map(|(id, _)| *id).collect();
        let lost = |earlier: &&Acknowledged| {
            earlier.key == promise.key
                && earlier.version != promise.version
                && promise.expected.is_some()
                && earlier.expected == promise.expected
                && earlier.witnesses.iter().any(|id| self.is_witness(*id))
        };
        if let Some(earlier) = self.ghost.state.acknowledged.iter().find(lost) {
            return self.fail(format!("LOST UPDATE: {promise:?} after {earlier:?}"));
        }
        self.ghost.state.acknowledged.push(promise);
    }

    fn is_witness(&self, id: InstanceId) -> bool {
        let instance = &self.instances[owner(id)];
        instance.is_alive() && instance.session.id() == id
    }

    /// From here on it need not know what was promised: it is over the limit, or did not read what it was told.
    pub(super) fn no_witness(&mut self, id: InstanceId) {
        for promise in &mut self.ghost.state.acknowledged {
            promise.witnesses.remove(&id);
        }
    }

    /// The kernel is asked who is there. Whoever has not read its first Welcome is no member yet and is not shown.
    pub(super) fn unseen_witnesses(&mut self) {
        let unseen = self.instances.iter().filter(|instance| instance.membership.is_none());
        for id in unseen.map(|instance| instance.session.id()).collect::<Vec<_>>() {
            self.no_witness(id);
        }
    }

    /// A window has closed with this copy.
    pub(super) fn state_adopted(&mut self, supervisor: &Supervisor, adopted: Stamp) {
        if supervisor.state().stamp() == adopted {
            // It stepped down instead.
            return;
        }
        supervisor.check_invariants();
        self.ghost.state.line.retain(|write| write.version <= adopted);
        for write in &mut self.ghost.state.line {
            write.welcomed = welcomed(supervisor);
        }
        let there = |id: &InstanceId| self.is_witness(*id) && supervisor.registry().get(*id).is_some();
        let lost = |promise: &&Acknowledged| {
            supervisor.state().version(&promise.key) < promise.version && promise.witnesses.iter().any(there)
        };
        if let Some(lost) = self.ghost.state.acknowledged.iter().find(lost) {
            self.fail(format!("WRITE LOST: {lost:?} is not in {adopted}"));
        }
    }

    pub(super) fn state_heard(&mut self, i: u8, notice: &Notice) {
        let slot = usize::from(i);
        let (epoch, id) = (self.at(i).session.stamp().epoch, self.at(i).session.id());
        match notice {
            Notice::Written(value) => {
                let now = (epoch, value.version);
                let last = self.ghost.state.last.insert((slot, value.key.clone()), now);
                if let Some(last) = last.filter(|last| last.0 == epoch && last.1 >= value.version) {
                    self.fail(format!("VERSION FELL: {i} has {} at {} after {}", value.key, value.version, last.1));
                }
            }
            Notice::Stored(request, version) => {
                let Some((key, _)) = self.ghost.state.asked.get(&(slot, *request)) else { return };
                let now = self.instances[slot].session.state().values().get(key);
                let has = now.is_some_and(|now| {
                    now.version > *version || now.version == *version && (now.writer, now.request) == (id, *request)
                });
                if !has {
                    self.fail(format!("STORED WRONG: {i} is told {version} of {key} and has {now:?}"));
                }
            }
            _ => {}
        }
    }

    /// What is wrong with the state when nothing is left to do.
    pub(super) fn state_unrest(&self, supervisor: &Supervisor) -> Option<String> {
        let state = supervisor.state();
        for (i, instance) in self.instances.iter().enumerate().filter(|(_, instance)| instance.is_alive()) {
            let copy = instance.session.state();
            if (copy.stamp(), copy.values()) != (state.stamp(), state.values()) {
                return Some(format!("STATE DIFFERS: {i} has {copy:?}, the supervisor {state:?}"));
            }
            if !instance.session.puts().is_empty() && !is_paused(supervisor, instance.session.id()) {
                return Some(format!("WRITE FORGOTTEN: {i} waits for {:?}", instance.session.puts()));
            }
        }
        let limit = |(name, limit): &(&Resource, u32)| supervisor.grants().limit(name) != Some(*limit);
        state.limits().find(limit).map(|(name, limit)| format!("LIMIT WRONG: {name} is not {limit}"))
    }
}
