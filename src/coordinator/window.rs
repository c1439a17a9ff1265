//! What a new supervisor waits for, what it has been told so far, and how it judges that when everyone is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::submission::Submission;
use crate::ident::{Epoch, InstanceId, Stamp, Token};
use crate::wire::message::{EndReason, Join};

/// The kernel's answer to the question who is alive, asked once, right after the port was won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollCall {
    /// Every membership on this port.
    Everyone(BTreeSet<InstanceId>),
    /// The kernel cannot list them, only say whether there is anybody else.
    Somebody(bool),
}

/// The time in which a new supervisor collects the claims of its predecessor's subordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The kernel has answered.
    called: bool,
    /// Memberships that the roll call found and that are not accounted for.
    roll: BTreeSet<InstanceId>,
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
    highest_epoch: Epoch,
    highest_base: Token,
    departed: BTreeMap<InstanceId, EndReason>,
    /// Who has ended while the window was open: those who still name it make nobody wait for it again.
    ended: BTreeSet<InstanceId>,
    /// How long the window has been open, as far as it counts.
    waited: Duration,
    limited: bool,
}

impl Window {
    /// How much of the numbers between two bases one reign may use up.
    pub const TOKENS_PER_REIGN: u64 = 1 << 32;

    /// A window that waits for the winner's own word and for the kernel's.
    pub fn new(me: InstanceId) -> Self {
        Self {
            called: false,
            roll: BTreeSet::new(),
            found: false,
            stranger: false,
            witness: false,
            awaited: BTreeSet::from([me]),
            brought: BTreeMap::new(),
            best: Stamp::default(),
            best_known: BTreeSet::new(),
            highest_epoch: Epoch::default(),
            highest_base: Token::default(),
            departed: BTreeMap::new(),
            ended: BTreeSet::new(),
            waited: Duration::ZERO,
            limited: false,
        }
    }

    /// The kernel has answered who is there, `me` among them or not. Whoever is accounted for by then is not awaited.
    pub fn called(&mut self, me: InstanceId, roll: RollCall) {
        self.called = true;
        match roll {
            RollCall::Everyone(ids) => {
                self.found = ids.iter().any(|id| *id != me);
                self.roll = ids;
                self.roll.retain(|id| !self.brought.contains_key(id) && !self.ended.contains(id));
            }
            RollCall::Somebody(stranger) => {
                self.found = stranger;
                self.stranger = stranger;
            }
        }
    }

    /// A newcomer is there: it holds nothing, so nobody waits for it any more.
    pub fn newcomer(&mut self, id: InstanceId, join: &Join) {
        self.highest_epoch = self.highest_epoch.max(join.epoch);
        self.highest_base = self.highest_base.max(join.base);
        self.brought.insert(id, Stamp::default());
        self.account(id);
    }

    /// A survivor is back with all it knows.
    pub fn survivor(&mut self, id: InstanceId, join: &Join, brought: &Submission, is_winner: bool) {
        self.highest_epoch = self.highest_epoch.max(join.epoch);
        self.highest_base = self.highest_base.max(join.base);
        for claim in &brought.held {
            self.highest_base = self.highest_base.max(claim.token);
        }
        for (gone, reason) in &brought.departed {
            self.departed.insert(*gone, *reason);
        }
        let names = brought.known.iter().chain(&brought.heard);
        self.awaited.extend(names.filter(|name| !self.brought.contains_key(name) && !self.ended.contains(name)));
        self.brought.insert(id, join.stamp);
        self.witness |= !is_winner;
        if join.stamp > self.best {
            self.best = join.stamp;
            self.best_known.clone_from(&brought.known);
        }
        self.account(id);
    }

    /// Somebody accounted for has lost its connection: a survivor is waited for again, a newcomer is not.
    pub fn unaccount(&mut self, id: InstanceId) {
        if self.brought.remove(&id).is_some_and(|stamp| stamp != Stamp::default()) {
            self.awaited.insert(id);
        }
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
    }

    /// A later look found nobody else.
    pub fn nobody_else(&mut self) {
        self.stranger = false;
    }

    /// Whom the merged views name and who is neither back nor gone.
    ///
    /// Also who forfeited in an earlier reign and still lives under its old id. It may have reigned since, over those who
    /// were silent then: whoever wins now may be one of them, and cannot tell.
    pub fn awaited(&self) -> impl Iterator<Item = InstanceId> {
        self.awaited.iter().copied()
    }

    /// Whom only the roll call names.
    pub fn unnamed(&self) -> impl Iterator<Item = InstanceId> {
        self.roll.difference(&self.awaited).copied()
    }

    /// Whether somebody may be there whom neither the kernel nor any view names.
    pub fn awaits_stranger(&self) -> bool {
        // One witness of the last reign is enough: the order rule made its view name everyone welcomed before it.
        self.stranger && !self.witness
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

    /// The limit has passed: whoever is missing has forfeited all claims.
    pub fn expire(&mut self) {
        self.limited = true;
        let missing: Vec<_> = self.awaited().chain(self.unnamed()).collect();
        for id in missing {
            self.ended(id, EndReason::Evicted);
        }
        self.stranger = false;
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
        self.departed.iter().map(|(id, reason)| (*id, *reason)).collect()
    }

    /// The numbers of the new reign. `claimed` is the highest token in any claim, `clock` nanoseconds since 1970.
    pub fn numbers(&self, claimed: Token, clock: u64) -> (Epoch, Token) {
        let seen = self.highest_base.max(claimed).number();
        let base = seen.saturating_add(Self::TOKENS_PER_REIGN).max(clock);
        let epoch = self.highest_epoch.number().saturating_add(1).max(base);
        (Epoch::new(epoch), Token::new(base))
    }

    fn account(&mut self, id: InstanceId) {
        self.roll.remove(&id);
        self.awaited.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::{Attempt, Name};
    use crate::wire::message::{Hello, Profile, Purpose, Trust};

    const fn id(number: u64) -> InstanceId {
        InstanceId::new(number)
    }

    fn roll(ids: &[u64]) -> RollCall {
        RollCall::Everyone(ids.iter().copied().map(InstanceId::new).collect())
    }

    /// Somebody with this closed view; no epoch: a newcomer.
    fn member(epoch: u64, known: &[u64]) -> (Join, Submission) {
        let profile =
            Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
        let stamp = Stamp { epoch: Epoch::new(epoch), n: epoch.min(1) };
        let group = Name::new("group").expect("a short name");
        let join = Join { group, stamp, epoch: stamp.epoch, base: Token::new(epoch), profile };
        let hello =
            Hello { wire: 1, purpose: Purpose::Member, trust: Trust::Open, id: id(0), attempt: Attempt::default() };
        let mut submission = Submission::new(hello);
        submission.known = known.iter().copied().map(InstanceId::new).collect();
        (join, submission)
    }

    fn called(roll: RollCall) -> Window {
        let mut window = Window::new(id(1));
        window.called(id(1), roll);
        window
    }

    fn back(window: &mut Window, number: u64, epoch: u64, known: &[u64]) {
        let (join, submission) = member(epoch, known);
        window.survivor(id(number), &join, &submission, number == 1);
    }

    #[test]
    fn everyone_named_or_found_is_accounted_for_before_the_window_is_complete() {
        let mut window = called(roll(&[1, 2, 4]));
        back(&mut window, 1, 1, &[1, 2, 3]);
        assert_eq!(window.awaited().collect::<Vec<_>>(), [id(2), id(3)]);
        assert_eq!(window.unnamed().collect::<Vec<_>>(), [id(4)]);
        back(&mut window, 2, 1, &[1, 2, 3]);
        window.ended(id(3), EndReason::Failed);
        assert!(!window.is_complete());
        window.membership_ended(id(4));
        assert!(window.is_complete());
    }

    #[test]
    fn without_the_kernels_word_the_window_stays_open() {
        let mut window = Window::new(id(1));
        back(&mut window, 1, 1, &[1, 2]);
        back(&mut window, 2, 1, &[1, 2]);
        assert!(!window.is_complete());
        assert!(!window.wait(Duration::from_secs(9), Some(Duration::from_secs(5))), "nor does its limit run");
        window.called(id(1), roll(&[1, 2, 3]));
        assert_eq!(window.unnamed().collect::<Vec<_>>(), [id(3)], "who is back already is not awaited again");
        window.membership_ended(id(3));
        assert!(window.is_complete());
    }

    #[test]
    fn who_was_found_gone_is_not_awaited_again_when_a_survivor_names_it() {
        let mut window = called(roll(&[1, 2]));
        back(&mut window, 1, 1, &[1, 2, 3]);
        window.ended(id(3), EndReason::Failed);
        back(&mut window, 2, 1, &[1, 2, 3]);
        assert!(window.is_complete());
    }

    #[test]
    fn a_newcomer_that_a_survivor_knows_already_is_not_awaited_again() {
        let mut window = called(roll(&[1, 2]));
        back(&mut window, 1, 1, &[1, 2]);
        window.newcomer(id(3), &member(0, &[]).0);
        back(&mut window, 2, 1, &[1, 2, 3]);
        assert!(window.is_complete());
        window.unaccount(id(3));
        assert!(window.is_complete(), "it holds nothing");
    }

    #[test]
    fn a_survivor_that_loses_its_connection_is_awaited_again() {
        let mut window = called(roll(&[1, 2]));
        back(&mut window, 1, 1, &[1, 2]);
        back(&mut window, 2, 1, &[1, 2]);
        window.unaccount(id(2));
        assert_eq!(window.awaited().collect::<Vec<_>>(), [id(2)]);
    }

    #[test]
    fn who_is_missing_in_a_newer_closed_view_has_forfeited() {
        let mut window = called(roll(&[1, 2, 3]));
        back(&mut window, 1, 1, &[1, 2, 3]);
        back(&mut window, 2, 2, &[2, 3]);
        back(&mut window, 3, 1, &[1, 2, 3]);
        assert_eq!(window.forfeiters(), BTreeSet::from([id(1)]), "3 is late as well, but still a member");
    }

    #[test]
    fn the_numbers_of_a_reign_lie_above_all_that_anybody_heard_of() {
        let mut window = called(roll(&[1]));
        back(&mut window, 1, 7_000_000_000, &[1]);
        let base = 7_000_000_000 + Window::TOKENS_PER_REIGN;
        assert_eq!(window.numbers(Token::new(5), 9), (Epoch::new(base), Token::new(base)));
        let clock = u64::MAX / 2;
        assert_eq!(window.numbers(Token::new(5), clock), (Epoch::new(clock), Token::new(clock)));
    }

    #[test]
    fn without_a_list_one_witness_besides_the_winner_is_enough() {
        let mut window = called(RollCall::Somebody(true));
        back(&mut window, 1, 1, &[1]);
        assert!(!window.is_complete(), "the winner is no witness for itself");
        back(&mut window, 2, 1, &[1, 2]);
        assert!(window.is_complete());
    }

    #[test]
    fn only_a_reign_of_which_nobody_and_nothing_is_left_has_no_successor() {
        let mut window = called(roll(&[1]));
        window.newcomer(id(1), &member(0, &[]).0);
        assert!(!window.follows_a_reign());
        let mut window = called(roll(&[1, 2]));
        window.newcomer(id(1), &member(0, &[]).0);
        window.membership_ended(id(2));
        assert!(window.is_complete() && window.follows_a_reign(), "2 may have died holding anything");
    }

    #[test]
    fn the_limit_ends_whoever_is_missing() {
        let mut window = called(roll(&[1, 3]));
        back(&mut window, 1, 1, &[1, 2]);
        assert!(!window.wait(Duration::from_secs(4), Some(Duration::from_secs(5))));
        assert!(!window.wait(Duration::from_secs(4), None), "no limit is never over");
        assert!(window.wait(Duration::from_secs(1), Some(Duration::from_secs(5))));
        window.expire();
        assert!(window.is_complete() && window.was_limited());
        assert_eq!(window.departed(), [(id(2), EndReason::Evicted), (id(3), EndReason::Evicted)]);
    }
}
