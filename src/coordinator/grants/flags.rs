//! What became of the last owner of each name that nobody holds or waits for.
//!
//! Bounded: a name that cannot be remembered any more reads as [`Abandoned::Unknown`], never as clean.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ident::Resource;
use crate::wire::message::Abandoned;

/// The flags of idle names: one usual flag for all, and those names that differ from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flags {
    /// The flag of every name that is not kept: `Clean`, or `Unknown` once there is doubt. It never goes back.
    usual: Abandoned,
    /// Never more than [`KEPT`] names. The number is the name's key in `order`.
    kept: BTreeMap<Resource, (Abandoned, u64)>,
    /// The kept names, oldest first.
    order: BTreeMap<u64, Resource>,
    /// The next key in `order`.
    next: u64,
    /// The keys of the names that were kept when the doubt came and were not looked at since: only these can have a flag
    /// that is the usual one by now. To look at all of them at once would take too long.
    unswept: Range<u64>,
    /// How many kept names the last call looked at.
    #[cfg(test)]
    looked: usize,
}

impl Flags {
    /// The flag of a name that was held when its reign began: what the holder was told of the owners before is not
    /// known any more.
    pub(super) const CLAIMED: Abandoned = Abandoned::Unknown;

    /// How many names are looked at each time that one more is to be kept, after the doubt has come.
    const SWEEP: usize = 4;

    /// Every name is clean.
    pub(super) const fn new() -> Self {
        Self {
            usual: Abandoned::Clean,
            kept: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
            unswept: 0..0,
            #[cfg(test)]
            looked: 0,
        }
    }

    /// The flag of an idle name.
    pub(super) fn of(&self, name: &Resource) -> Abandoned {
        self.kept.get(name).map_or(self.usual, |(flag, _)| *flag)
    }

    /// The flag of a name that is idle no more: from here on its lock keeps it.
    pub(super) fn take(&mut self, name: &Resource) -> Abandoned {
        match self.kept.remove(name) {
            Some((flag, key)) => {
                self.order.remove(&key);
                flag
            }
            None => self.usual,
        }
    }

    /// The flag of a name that became idle.
    pub(super) fn put(&mut self, name: Resource, flag: Abandoned) {
        self.take(&name);
        self.sweep();
        if flag != self.usual && self.kept.len() >= KEPT {
            // Whatever is forgotten from here on has to read as unknown.
            self.doubt();
            self.sweep();
        }
        if flag == self.usual {
            return;
        }
        if self.kept.len() >= KEPT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.kept.remove(&oldest);
        }
        self.order.insert(self.next, name.clone());
        self.kept.insert(name, (flag, self.next));
        self.next += 1;
    }

    /// From here on a name of which nothing is known is not taken for clean.
    pub(super) fn doubt(&mut self) {
        if self.usual != Abandoned::Unknown {
            self.usual = Abandoned::Unknown;
            self.unswept = 0..self.next;
        }
    }

    /// Forgets some of the names whose flag is the usual one since the doubt came.
    fn sweep(&mut self) {
        #[cfg(test)]
        (self.looked = 0);
        for _ in 0..Self::SWEEP {
            let Some((key, name)) =
                self.order.range(self.unswept.clone()).next().map(|(key, name)| (*key, name.clone()))
            else {
                self.unswept = 0..0;
                return;
            };
            #[cfg(test)]
            (self.looked += 1);
            self.unswept.start = key + 1;
            if self.of(&name) == self.usual {
                self.take(&name);
            }
        }
    }

    /// Panics if the parts contradict each other.
    pub(super) fn check_invariants(&self) {
        assert!(self.kept.len() <= KEPT, "more than {KEPT} idle names are remembered");
        assert_eq!(self.kept.len(), self.order.len(), "the idle names and their order differ in number");
        for (name, (flag, key)) in &self.kept {
            assert!(
                *flag != self.usual || self.unswept.contains(key),
                "{name} is remembered though its flag is the usual one"
            );
            assert_eq!(self.order.get(key), Some(name), "{name} is not where the order of idle names has it");
        }
    }

    /// Whether the name takes memory.
    pub(super) fn keeps(&self, name: &Resource) -> bool {
        self.kept.contains_key(name)
    }
}

/// How many idle names are remembered. With the longest names this is about 20 MB.
const KEPT: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::InstanceId;

    const DIED: Abandoned = Abandoned::Died { who: InstanceId::new(7) };

    fn name(number: usize) -> Resource {
        Resource::new(crate::ident::Kind::Mutex, crate::ident::Name::new(format!("n{number}")).expect("a short name"))
    }

    #[test]
    fn without_doubt_only_flagged_names_take_memory() {
        let mut flags = Flags::new();
        for (flag, keeps) in [(Abandoned::Clean, false), (Abandoned::Unknown, true), (DIED, true)] {
            flags.put(name(1), flag);
            flags.check_invariants();
            assert_eq!((flags.of(&name(1)), flags.keeps(&name(1))), (flag, keeps));
        }
    }

    #[test]
    fn in_doubt_only_names_known_better_take_memory() {
        let mut flags = Flags::new();
        flags.doubt();
        for (flag, keeps) in [(Abandoned::Clean, true), (Abandoned::Unknown, false), (DIED, true)] {
            flags.put(name(1), flag);
            flags.check_invariants();
            assert_eq!((flags.of(&name(1)), flags.keeps(&name(1))), (flag, keeps));
        }
    }

    #[test]
    fn a_flood_of_names_ends_in_unknown_and_never_in_clean() {
        for (doubt, flag) in [(true, Abandoned::Clean), (true, DIED), (false, Abandoned::Unknown), (false, DIED)] {
            let mut flags = Flags::new();
            if doubt {
                flags.doubt();
            }
            for number in 0..KEPT + 10 {
                flags.put(name(number), flag);
            }
            flags.check_invariants();
            assert_eq!(flags.of(&name(KEPT + 9)), flag, "the newest is remembered");
            assert_eq!(flags.of(&name(0)), Abandoned::Unknown, "the oldest is not");
            assert_eq!(
                flags.of(&name(KEPT + 10)),
                Abandoned::Unknown,
                "one that never was is taken for a forgotten one"
            );
        }
    }

    /// Once there are so many names that not all can be remembered, each is forgotten or remembered as quickly as before.
    #[test]
    fn no_idle_name_makes_all_others_be_looked_at() {
        let unknown = Abandoned::Unknown;
        for (doubt, first, then) in
            [(true, Abandoned::Clean, Abandoned::Clean), (false, unknown, DIED), (false, DIED, DIED)]
        {
            let mut flags = Flags::new();
            if doubt {
                flags.doubt();
            }
            let mut looked = 0;
            for number in 0..2 * KEPT {
                flags.put(name(number), if number < KEPT { first } else { then });
                looked = looked.max(flags.looked);
            }
            flags.check_invariants();
            assert!(looked <= 2 * Flags::SWEEP, "{looked} names were looked at for one");
            assert_eq!(flags.of(&name(2 * KEPT - 1)), then);
            assert_eq!(flags.of(&name(0)), unknown);
        }
    }
}
