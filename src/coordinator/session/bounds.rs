//! How much of what a supervisor sends is kept until another frame uses it up, or for as long as the reign lasts. All that a
//! true supervisor can have fits; beyond it the supervisor has broken the protocol, and the memory stays bounded.

use super::Misplaced;
use crate::ident::InstanceId;
use crate::wire::message::{BarrierRow, Entry, Forfeit, LockRow};

/// The most members of a group: no supervisor can be set to bear more.
pub(super) const MEMBERS: usize = 65_536;

/// The most that a view may cost. Every member has a copy, so that no machine has the memory for a larger one.
const VIEW_BYTES: usize = 64 << 20;

/// The most that a list of all locks may cost: some two million of them.
const LOCKS_BYTES: usize = 256 << 20;

/// What something costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    count: usize,
    bytes: usize,
}

impl Cost {
    /// What these rows of a view cost.
    pub(super) fn of_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let bytes = |entry: &Entry| size_of::<Entry>() + entry.profile.label.len() + entry.profile.payload.len();
        entries.into_iter().fold(Self::default(), |cost, entry| cost.and(Self { count: 1, bytes: bytes(entry) }))
    }

    /// What these rows of a list of locks cost.
    pub(super) fn of_locks(rows: &[LockRow]) -> Self {
        let bytes = |row: &LockRow| {
            size_of::<LockRow>()
                + row.name.name.as_str().len()
                + size_of_val(&row.holders[..])
                + size_of_val(&row.waiters[..])
        };
        Self { count: rows.len(), bytes: rows.iter().map(bytes).sum() }
    }

    /// What these rows of a list of barriers cost.
    pub(super) fn of_barriers(rows: &[BarrierRow]) -> Self {
        let bytes =
            |row: &BarrierRow| size_of::<BarrierRow>() + row.name.as_str().len() + size_of_val(&row.waiters[..]);
        Self { count: rows.len(), bytes: rows.iter().map(bytes).sum() }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    pub(super) fn without(self, other: Self) -> Self {
        let (count, bytes) = (self.count.saturating_sub(other.count), self.bytes.saturating_sub(other.bytes));
        Self { count, bytes }
    }

    /// The same, if no view is larger.
    pub(super) fn of_a_view(self) -> Result<Self, Misplaced> {
        self.within(MEMBERS, VIEW_BYTES, "larger view than any group can have")
    }

    /// The same, if no list of locks is larger.
    pub(super) fn of_all_locks(self) -> Result<Self, Misplaced> {
        self.within(usize::MAX, LOCKS_BYTES, "more locks than any group can have")
    }

    fn within(self, count: usize, bytes: usize, why: &'static str) -> Result<Self, Misplaced> {
        if self.count <= count && self.bytes <= bytes { Ok(self) } else { Err(Misplaced(why)) }
    }
}

/// Whether a list of forfeits may grow by these.
pub(super) fn check_forfeits(have: usize, more: &[Forfeit]) -> Result<(), Misplaced> {
    if have + more.len() <= MEMBERS { Ok(()) } else { Err(Misplaced("more forfeits than any group can have")) }
}

/// Whether so many names that are new may be heard.
pub(super) fn check_names<'a>(have: usize, new: impl Iterator<Item = &'a InstanceId>) -> Result<(), Misplaced> {
    if have + new.count() <= MEMBERS { Ok(()) } else { Err(Misplaced("more names than any group can have")) }
}

#[cfg(test)]
mod tests {
    use super::super::Session;
    use super::super::tests::{entry, lock, member, name, profile, welcome};
    use super::*;
    use crate::coordinator::state::State;
    use crate::ident::{Kind, Name, Nonce, Request, Resource, Stamp, Tag};
    use crate::wire::message::{Delta, HolderRow, LockRow, Mode, NameSort, ToMember, Value};

    /// How often a supervisor may send this before it has broken the protocol.
    fn taken(session: &mut Session, mut frame: impl FnMut(u64) -> ToMember) -> u64 {
        let mut copy = session.clone();
        let broken = (0..1_000_000).find(|n| copy.receive(frame(*n)).is_err()).expect("there is a bound");
        (0..broken).for_each(|n| drop(session.receive(frame(n)).expect("within it")));
        let before = session.clone();
        assert!(session.receive(frame(broken)).is_err() && *session == before, "nothing was changed");
        broken
    }

    fn ids(part: u64) -> impl Iterator<Item = InstanceId> {
        (part * 1024..(part + 1) * 1024).map(InstanceId::new)
    }

    fn newcomer() -> Session {
        let mut session = Session::new(InstanceId::new(2), Nonce::new(2), name(), profile());
        session.hello();
        session
    }

    #[test]
    fn parts_of_a_view_are_bounded_in_number_and_in_bytes() {
        let small = |part: u64| ToMember::Entries(ids(part).map(|id| entry(id.number())).collect());
        assert_eq!(taken(&mut newcomer(), small), 64);
        let large = |part: u64| {
            let mut entry = entry(part);
            entry.profile.payload = vec![0; 4096].into();
            ToMember::Entries(vec![entry; 128])
        };
        let frames = taken(&mut newcomer(), large);
        assert!((100..=128).contains(&frames), "{frames}");
    }

    #[test]
    fn a_view_does_not_grow_beyond_that_by_its_changes_either() {
        let (mut session, _) = member(false);
        let stamp = session.stamp();
        let delta = |part: u64| {
            let entries = ids(part).map(|id| entry(id.number())).collect();
            ToMember::Delta(Delta { stamp: Stamp { n: stamp.n + 1 + part, ..stamp }, entries, ended: Vec::new() })
        };
        assert_eq!(taken(&mut session, delta), 64);
        // One that takes the place of another costs nothing.
        let (mut session, _) = member(false);
        for n in 1..200 {
            let entries = ids(0).map(|id| entry(id.number())).collect();
            let stamp = Stamp { n: stamp.n + n, ..stamp };
            session.receive(ToMember::Delta(Delta { stamp, entries, ended: Vec::new() })).expect("a change");
        }
    }

    #[test]
    fn names_and_forfeits_are_bounded() {
        let names = |part: u64| ToMember::Names(NameSort::Heard, ids(part).collect());
        assert_eq!(taken(&mut newcomer(), names), 64);
        let mut session = newcomer();
        (0..200).for_each(|_| drop(session.receive(names(0)).expect("the same ones")));
        let forfeits = |part: u64| ToMember::Forfeits(ids(part).map(|id| (id, Tag::new(1))).collect());
        assert_eq!(taken(&mut newcomer(), forfeits), 64);
    }

    fn value(n: u64, size: usize) -> Value {
        let key = Resource::new(Kind::Value, Name::new(n.to_string()).expect("a name"));
        let version = Stamp { n, ..Stamp::default() };
        let bytes = Some(vec![0; size].into());
        Value { key, version, writer: InstanceId::new(1), request: Request::new(1), bytes }
    }

    #[test]
    fn a_copy_of_the_state_is_bounded_before_the_welcome_and_after_it() {
        let part = |n: u64| ToMember::Value(value(n, 0));
        assert_eq!(taken(&mut newcomer(), part), State::KEY_LIMIT as u64);
        let part = |n: u64| ToMember::Value(value(n, 1 << 20));
        assert_eq!(taken(&mut newcomer(), part), 3);
        for (size, limit) in [(0, State::KEY_LIMIT as u64), (1 << 20, 3)] {
            let mut session = newcomer();
            session.receive(welcome(1)).expect("the welcome");
            let epoch = session.stamp().epoch;
            let write = |n: u64| {
                let version = Stamp { epoch, n: n + 1 };
                ToMember::Value(Value { version, ..value(n, size) })
            };
            assert_eq!(taken(&mut session, write), limit);
        }
        // And from one connection to the next.
        let mut session = newcomer();
        session.receive(welcome(1)).expect("the welcome");
        let broken = (0..10).find(|n| {
            session.disconnected();
            session.hello();
            session.receive(ToMember::Value(value(*n, 1 << 20))).expect("a part");
            let ToMember::Welcome(mut welcome) = welcome(2 + n) else { unreachable!("it is a welcome") };
            welcome.view.iter_mut().for_each(|view| view.whole = false);
            session.receive(ToMember::Welcome(welcome)).is_err()
        });
        assert_eq!(broken, Some(3));
    }

    #[test]
    fn the_list_of_all_locks_is_bounded() {
        let (mut session, _) = member(false);
        session.survey();
        let holder =
            HolderRow { who: InstanceId::new(1), mode: Mode::Shared, token: crate::ident::Token::new(1), since: 0 };
        let rows = |_| {
            let holders = vec![holder; 20_000];
            ToMember::Locks(vec![LockRow { name: lock(), limit: None, holders, waiters: Vec::new() }])
        };
        let frames = taken(&mut session, rows);
        assert!((200..=400).contains(&frames), "{frames}");
    }

    #[test]
    fn a_list_of_barriers_is_bounded_as_one_of_locks() {
        let (mut session, _) = member(false);
        session.survey();
        let waiters: Vec<_> = (0..64).flat_map(ids).collect();
        let row = BarrierRow { name: name(), parties: 4096, missing: 0, waiters };
        let frames = taken(&mut session, |_| ToMember::Barriers(vec![row.clone(); 2]));
        assert!((200..=256).contains(&frames), "{frames}");
    }
}
