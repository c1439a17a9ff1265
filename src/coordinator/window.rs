//! What a new supervisor waits for, what it has been told so far, and how it judges that when everyone is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::numbers;
use super::rules::Rules;
use super::submission::Submission;
use crate::ident::{Epoch, InstanceId, Nonce, Stamp, Tag, Token};
use crate::wire::message::{EndReason, Forfeit, Join};

/// The kernel's answer to the question who is alive, asked right after the port was won, and again only if it could not name
/// anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollCall {
    /// Every membership on this port. An instance that is saying hello at this moment shows two.
    Everyone(BTreeSet<(InstanceId, Tag)>),
    /// The kernel cannot list them, only say whether there is anybody else.
    Somebody(bool),
}

/// The time in which a new supervisor collects the claims of its predecessor's subordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The kernel has answered.
    called: bool,
    /// Whose memberships the roll call found, and who is not accounted for.
    roll: BTreeSet<InstanceId>,
    /// The tags of every membership that it found.
    shown: BTreeMap<InstanceId, BTreeSet<Tag>>,
    /// Who forfeited in an earlier window, as far as anybody knows, and in this one.
    forfeits: BTreeSet<Forfeit>,
    /// Whether the kernel showed any member besides the winner.
    found: bool,
    /// Whether somebody lives whom the kernel cannot name.
    stranger: bool,
    /// Whether somebody other than the winner brought a closed view.
    witness: bool,
    /// Names of the merged views that are not accounted for.
    awaited: BTreeSet<InstanceId>,
    /// The last closed view of everyone who is there; zero for newcomers, which had none.
    brought: BTreeMap<InstanceId, Stamp>,
    /// The newest closed view that anyone brought.
    best: Stamp,
    best_known: BTreeSet<InstanceId>,
    /// What closed views say of how each id proves itself: the winner's, then those of others.
    nonces: BTreeMap<InstanceId, Nonce>,
    /// Whose memberships the roll call showed and the kernel has closed since.
    closed: BTreeSet<InstanceId>,
    highest_epoch: Epoch,
    highest_base: Token,
    departed: BTreeMap<InstanceId, EndReason>,
    /// Who has ended while the window was open: those who still name it make nobody wait for it again.
    ended: BTreeSet<InstanceId>,
    /// Who was missing when the limit passed. Each of them is missing until it has been sent a notice, and no hello of it
    /// counts from here on: it may have read the notice by then.
    expiring: BTreeSet<InstanceId>,
    /// How long the window has been open, as far as it counts.
    waited: Duration,
    limited: bool,
    rules: Rules,
}

impl Window {
    /// Of how many the reason of their end is taken over from earlier reigns: less than one frame holds.
    const DEPARTED_LIMIT: usize = 32_768;

    /// A window that waits for the winner's own word and for the kernel's.
    pub fn new(me: InstanceId, rules: Rules) -> Self {
        Self {
            called: false,
            roll: BTreeSet::new(),
            shown: BTreeMap::new(),
            forfeits: BTreeSet::new(),
            found: false,
            stranger: false,
            witness: false,
            awaited: BTreeSet::from([me]),
            brought: BTreeMap::new(),
            best: Stamp::default(),
            best_known: BTreeSet::new(),
            nonces: BTreeMap::new(),
            closed: BTreeSet::new(),
            highest_epoch: Epoch::default(),
            highest_base: Token::default(),
            departed: BTreeMap::new(),
            ended: BTreeSet::new(),
            expiring: BTreeSet::new(),
            waited: Duration::ZERO,
            limited: false,
            rules,
        }
    }

    /// The kernel has answered who is there, `me` among them or not. Whoever is accounted for by then is not awaited. If it
    /// could not name anybody, it may be asked again.
    pub fn called(&mut self, me: InstanceId, roll: RollCall) {
        self.called = true;
        match roll {
            RollCall::Everyone(memberships) => {
                for (id, tag) in memberships {
                    self.shown.entry(id).or_default().insert(tag);
                }
                self.found |= self.shown.keys().any(|id| *id != me);
                let is_back = |id: &InstanceId| {
                    let claims = |stamp: &Stamp| *stamp != Stamp::default() || !self.rules.takeover_needs_the_nonce;
                    *id == me || self.brought.get(id).is_some_and(claims)
                };
                let missing = |id: &&InstanceId| !is_back(id) && !self.ended.contains(id);
                self.roll = self.shown.keys().filter(missing).copied().collect();
                self.stranger = false;
            }
            RollCall::Somebody(stranger) => {
                self.found |= stranger;
                self.stranger = stranger;
            }
        }
    }

    /// A newcomer is there: it holds nothing, so nobody waits for it any more. But if the kernel showed a member of that id,
    /// the kernel has to show as well that there is none any more: a client that says that it is new proves nothing.
    pub fn newcomer(&mut self, id: InstanceId, join: &Join) {
        self.highest_epoch = self.highest_epoch.max(join.epoch);
        self.highest_base = self.highest_base.max(join.base);
        self.brought.insert(id, Stamp::default());
        self.awaited.remove(&id);
        if !self.rules.takeover_needs_the_nonce || !self.is_shown(id) {
            self.roll.remove(&id);
        }
    }

    /// A survivor is back with all it knows.
    pub fn survivor(&mut self, id: InstanceId, join: &Join, brought: &Submission, is_winner: bool) {
        self.highest_epoch = self.highest_epoch.max(join.epoch);
        self.highest_base = self.highest_base.max(join.base);
        for claim in &brought.held {
            self.highest_base = self.highest_base.max(claim.token);
        }
        for (gone, reason) in &brought.departed {
            // All of them travel in one frame. Of the others only the reason is lost.
            if self.departed.len() < Self::DEPARTED_LIMIT {
                self.departed.insert(*gone, *reason);
            }
        }
        self.forfeits.extend(&brought.forfeits);
        // What it says of itself is no more than its claim.
        let named = brought.known.iter().filter(|(other, nonce)| **other != id && nonce.known().is_some());
        for (other, nonce) in named {
            if is_winner {
                self.nonces.insert(*other, *nonce);
            } else {
                self.nonces.entry(*other).or_insert(*nonce);
            }
        }
        let names = brought.known.keys().chain(&brought.heard);
        self.awaited.extend(names.filter(|name| !self.brought.contains_key(name) && !self.ended.contains(name)));
        self.brought.insert(id, join.stamp);
        self.witness |= !is_winner;
        if join.stamp > self.best {
            self.best = join.stamp;
            self.best_known = brought.known.keys().copied().collect();
        }
        self.account(id);
    }

    /// A survivor is back, but its copy of the state is still on its way.
    pub fn fetching(&mut self, id: InstanceId) {
        self.awaited.insert(id);
    }

    /// The copy has arrived.
    pub fn fetched(&mut self, id: InstanceId) {
        if self.brought.contains_key(&id) {
            self.account(id);
        }
    }

    /// Somebody accounted for has lost its connection, or was not what it said: a survivor is waited for again, a newcomer
    /// is not, unless the kernel shows a member of that id.
    pub fn unaccount(&mut self, id: InstanceId) {
        let Some(stamp) = self.brought.remove(&id) else { return };
        if stamp != Stamp::default() {
            self.awaited.insert(id);
        }
        if self.is_shown(id) {
            self.roll.insert(id);
        }
    }

    /// Whether the kernel showed a membership of this instance, and has not closed it since as far as anybody looked.
    fn is_shown(&self, id: InstanceId) -> bool {
        self.shown.contains_key(&id) && !self.closed.contains(&id)
    }

    /// How this id proves itself, if a closed view says so.
    pub fn nonce(&self, id: InstanceId) -> Option<Nonce> {
        self.nonces.get(&id).copied()
    }

    /// The kernel has closed the presence of this instance, or it said itself that it leaves.
    pub fn ended(&mut self, id: InstanceId, reason: EndReason) {
        self.account(id);
        self.brought.remove(&id);
        self.ended.insert(id);
        self.departed.entry(id).or_insert(reason);
    }

    /// The kernel has closed the membership of this instance: it is no member any more, dead or alive.
    pub fn membership_ended(&mut self, id: InstanceId) {
        self.roll.remove(&id);
        self.closed.insert(id);
    }

    /// A later look found nobody else.
    pub fn nobody_else(&mut self) {
        self.stranger = false;
    }

    /// Whom the merged views name and who is neither back nor gone, nor has nothing that counts.
    pub fn awaited(&self) -> impl Iterator<Item = InstanceId> {
        self.awaited.iter().copied().filter(|id| !self.is_forfeited(*id))
    }

    /// Whom only the roll call names.
    pub fn unnamed(&self) -> impl Iterator<Item = InstanceId> {
        self.roll.difference(&self.awaited).copied().filter(|id| !self.is_forfeited(*id))
    }

    /// Whether it may come back with claims that count.
    pub fn is_awaited(&self, id: InstanceId) -> bool {
        self.knows(id) && !self.is_forfeited(id) && !self.is_expiring(id)
    }

    /// Whether it is missing, awaited or not: what is remembered of it means something here.
    pub fn knows(&self, id: InstanceId) -> bool {
        self.awaited.contains(&id) || self.roll.contains(&id)
    }

    /// The tags of the memberships that the roll call showed of this instance.
    pub fn shown(&self, id: InstanceId) -> impl Iterator<Item = Tag> {
        self.shown.get(&id).into_iter().flatten().copied()
    }

    /// Whether an earlier window was closed without it by the limit, and it has said hello to nobody since. Then it holds
    /// nothing that counts, and nobody has to wait for it again.
    ///
    /// That its id once forfeited would not be enough: before anybody could tell it, it may have reigned under that id,
    /// or been confirmed by one who reigned, over those who were silent then. Whoever wins now may be one of these.
    fn is_forfeited(&self, id: InstanceId) -> bool {
        if !self.rules.forfeits_need_the_same_tag {
            return self.forfeits.iter().any(|(forfeited, _)| *forfeited == id);
        }
        let Some(tags) = self.shown.get(&id) else { return false };
        // The kernel finds them without anybody's word, so that the forfeits of an old view are as good as any.
        tags.iter().all(|tag| self.forfeits.contains(&(id, *tag)))
    }

    /// Who has forfeited and is still there, for the windows after this one.
    pub fn forfeits(&self) -> Vec<Forfeit> {
        // A tag that is shown no more is never shown again.
        let shown = |(id, tag): &&Forfeit| self.shown.get(id).is_some_and(|tags| tags.contains(tag));
        self.forfeits.iter().filter(shown).copied().collect()
    }

    /// Whether somebody may be there whom neither the kernel nor any view names.
    pub fn awaits_stranger(&self) -> bool {
        // One witness of the last reign is enough: the order rule made its view name everyone welcomed before it.
        self.stranger && !self.witness
    }

    /// Whether the kernel has answered.
    pub const fn is_called(&self) -> bool {
        self.called
    }

    /// Whether only the kernel's answer is missing.
    pub fn lacks_only_the_call(&self) -> bool {
        !self.called && self.awaited().next().is_none()
    }

    /// Whether everyone is accounted for.
    pub fn is_complete(&self) -> bool {
        self.called && self.awaited().next().is_none() && self.unnamed().next().is_none() && !self.awaits_stranger()
    }

    /// Counts time towards the limit and says whether it has passed. Before the kernel has answered none of it counts.
    pub fn wait(&mut self, slice: Duration, limit: Option<Duration>) -> bool {
        if !self.called {
            return false;
        }
        self.waited += slice;
        limit.is_some_and(|limit| self.waited >= limit)
    }

    /// The limit has passed: returns every member that is missing and has not been returned before. Each of them has
    /// forfeited all claims, and is missing until [`Window::expire`].
    pub fn begin_expiry(&mut self) -> Vec<InstanceId> {
        self.limited |= self.stranger;
        self.stranger = false;
        let missing = self.awaited().chain(self.unnamed()).filter(|id| !self.expiring.contains(id));
        let missing: Vec<_> = missing.collect();
        self.expiring.extend(&missing);
        missing
    }

    /// Whether this member was missing when the limit passed.
    pub fn is_expiring(&self, id: InstanceId) -> bool {
        self.expiring.contains(&id)
    }

    /// Ends a member that was missing when the limit passed, unless it has ended otherwise meanwhile.
    pub fn expire(&mut self, id: InstanceId) {
        if !self.expiring.contains(&id) || !self.knows(id) || self.is_forfeited(id) {
            return;
        }
        self.limited = true;
        // Of one that only a view names it is not known what it shows. It is awaited once more.
        let tags = self.shown.get(&id).into_iter().flatten();
        self.forfeits.extend(tags.map(|tag| (id, *tag)));
        self.ended(id, EndReason::Evicted);
    }

    /// Everyone counts as accounted for.
    #[cfg(test)]
    pub(crate) fn wait_for_nobody(&mut self) {
        self.called = true;
        self.roll.clear();
        self.awaited.clear();
        self.stranger = false;
    }

    /// Who is accounted for but had ended before: the newest closed view anyone brought does not name it.
    pub fn forfeiters(&self) -> BTreeSet<InstanceId> {
        let stale = |(id, stamp): &(&InstanceId, &Stamp)| {
            **stamp != Stamp::default() && **stamp < self.best && !self.best_known.contains(id)
        };
        self.brought.iter().filter(stale).map(|(id, _)| *id).collect()
    }

    /// Whether the limit closed it.
    pub fn was_limited(&self) -> bool {
        self.limited
    }

    /// Whether there was an earlier reign, as far as anybody remembers or the kernel showed: who was found and then died
    /// may have held anything.
    pub fn follows_a_reign(&self) -> bool {
        self.found || self.limited || self.brought.values().any(|stamp| *stamp != Stamp::default())
    }

    /// Who ended between the last reign's view and the new one.
    pub fn departed(&self) -> Vec<(InstanceId, EndReason)> {
        let mut departed = self.departed.clone();
        // An older view may still name who was not awaited.
        for id in self.awaited.iter().filter(|id| self.is_forfeited(**id)) {
            departed.entry(*id).or_insert(EndReason::Evicted);
        }
        departed.into_iter().collect()
    }

    /// The numbers of the new reign of `me`. `claimed` is the highest token in any claim, `clock` nanoseconds since 1970.
    pub fn numbers(&self, me: InstanceId, claimed: Token, clock: u64) -> (Epoch, Token) {
        let (epoch, base) = numbers::next(self.highest_epoch, self.highest_base.max(claimed), self.rules.step, clock);
        (if self.rules.epochs_are_unique { numbers::own(epoch, me) } else { epoch }, base)
    }

    fn account(&mut self, id: InstanceId) {
        self.roll.remove(&id);
        self.awaited.remove(&id);
    }
}

#[cfg(test)]
mod tests;
