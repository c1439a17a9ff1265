//! In whose favour supervisors have resigned: nobody does so twice for the same one, and whoever hears of it lets that one
//! bind first.

use std::collections::BTreeSet;

use super::Session;
use crate::ident::InstanceId;
use crate::wire::message::{EndReason, Forfeit, LeaveSort};

/// What this instance knows of heirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heirs {
    /// Every one in whose favour somebody has resigned, as long as it is in a view.
    known: BTreeSet<InstanceId>,
    /// For which memberships, which had to be refused, winners have left the office since the last window closed.
    yielded: BTreeSet<Forfeit>,
    /// To whom the next election belongs.
    next: Option<InstanceId>,
}

impl Session {
    /// In whose favour somebody has resigned before.
    pub fn heirs(&self) -> &BTreeSet<InstanceId> {
        &self.heirs.known
    }

    /// To whom the election that begins now belongs, if the last supervisor has named anybody. Asked once.
    pub fn take_reservation(&mut self) -> Option<InstanceId> {
        self.heirs.next.take()
    }

    /// This instance reigned and resigns in favour of that one.
    pub fn resigned_for(&mut self, heir: InstanceId) {
        self.heirs.known.insert(heir);
    }

    /// For which memberships, which had to be refused, winners have left the office.
    pub fn yielded(&self) -> &BTreeSet<Forfeit> {
        &self.heirs.yielded
    }

    /// This instance won, or its supervisor has, and leaves the office for this membership. The kernel shows it, no view
    /// names it: so many are remembered, and until a window closes.
    pub fn yielded_for(&mut self, membership: Forfeit) {
        if self.heirs.yielded.len() < Self::YIELDED {
            self.heirs.yielded.insert(membership);
        }
    }

    /// For how many memberships winners leave the office in favour of others, between two closed windows.
    pub(in super::super) const YIELDED: usize = 256;

    /// The supervisor leaves its office.
    pub(super) fn office_left(&mut self, sort: LeaveSort) {
        self.hold_errands();
        match sort {
            // The successor finds its presence closed and would take that for a failure.
            LeaveSort::Leaving => {
                if let Some(id) = self.supervisor {
                    self.departed.insert(id, EndReason::Left);
                }
            }
            LeaveSort::Resigning => {}
            // Of one that no view names nobody could tell whether it is still there; and a supervisor that names
            // anybody could fill the memory.
            LeaveSort::ResigningFor(heir) if self.is_settled() && self.view.contains_key(&heir) => {
                self.heirs.known.insert(heir);
                self.heirs.next = Some(heir);
            }
            LeaveSort::ResigningFor(_) => {}
            LeaveSort::ResigningOver(id, tag) => self.yielded_for((id, tag)),
        }
    }

    /// A whole view was adopted: an id that is not in it has ended and never comes back.
    pub(super) fn forget_heirs(&mut self) {
        self.heirs.known.retain(|id| self.view.contains_key(id));
        self.heirs.yielded.retain(|(id, _)| self.view.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{member, welcome};
    use super::super::{Effect, Notice};
    use super::*;
    use crate::ident::{Epoch, Nonce, Stamp, Token};
    use crate::wire::message::{Delta, Entry, Opened, Standing, ToMember, ViewHead, Welcome};

    const OTHER: InstanceId = InstanceId::new(3);

    fn entry(id: InstanceId) -> Entry {
        Entry {
            id,
            profile: super::super::tests::profile(),
            standing: Standing::Active,
            nonce: Nonce::new(id.number()),
        }
    }

    /// A member, 2, of the reign of 1, to which 3 belongs too.
    fn joined() -> Session {
        let (mut session, _) = member(false);
        let stamp = Stamp { n: session.stamp().n + 1, ..session.stamp() };
        let delta = Delta { stamp, entries: vec![entry(OTHER)], ended: Vec::new() };
        session.receive(ToMember::Delta(delta)).expect("the next view");
        session
    }

    /// The next reign, of 1, to which these belong.
    fn next_reign(session: &mut Session, ids: &[InstanceId]) -> Vec<Effect> {
        session.disconnected();
        session.hello();
        let supervisor = InstanceId::new(1);
        session.receive(ToMember::Welcome(Welcome { supervisor, pid: 1, view: None })).expect("the welcome");
        session.receive(ToMember::Entries(ids.iter().copied().map(entry).collect())).expect("a view");
        let epoch = session.stamp().epoch.number() + 1;
        let view = ViewHead {
            stamp: Stamp { epoch: Epoch::new(epoch), n: 1 },
            base: Token::new(1000),
            written: 0,
            whole: true,
        };
        session.receive(ToMember::Opened(Opened { supervisor, view, departed: Vec::new() })).expect("the opening")
    }

    #[test]
    fn a_supervisor_that_has_left_has_not_failed_whatever_the_next_one_knows() {
        for (leaves, reason) in [(true, EndReason::Left), (false, EndReason::Failed)] {
            let mut session = joined();
            let me = session.id();
            if leaves {
                session.receive(ToMember::Leave(LeaveSort::Leaving)).expect("a word of leave");
            }
            let effects = next_reign(&mut session, &[me, OTHER]);
            let ended = |effect: &Effect| match effect {
                Effect::Tell(Notice::Ended(entry, reason, _)) => Some((entry.id, *reason)),
                _ => None,
            };
            assert_eq!(effects.iter().filter_map(ended).collect::<Vec<_>>(), [(InstanceId::new(1), reason)]);
        }
    }

    #[test]
    fn an_heir_is_remembered_as_long_as_a_view_names_it() {
        let mut session = joined();
        let me = session.id();
        session.receive(ToMember::Leave(LeaveSort::ResigningFor(OTHER))).expect("a word of leave");
        assert_eq!(session.heirs(), &BTreeSet::from([OTHER]));
        next_reign(&mut session, &[InstanceId::new(1), me, OTHER]);
        assert_eq!(session.heirs(), &BTreeSet::from([OTHER]));
        session.resigned_for(me);
        assert_eq!(session.heirs(), &BTreeSet::from([me, OTHER]));
        next_reign(&mut session, &[InstanceId::new(1), me]);
        assert_eq!(session.heirs(), &BTreeSet::from([me]));
    }

    #[test]
    fn for_whom_the_office_was_left_is_remembered_until_a_window_closes() {
        use crate::ident::Tag;
        let mut session = joined();
        let me = session.id();
        let faked = (InstanceId::new(77), Tag::new(7));
        session.receive(ToMember::Leave(LeaveSort::ResigningOver(faked.0, faked.1))).expect("a word of leave");
        session.disconnected();
        session.yielded_for((OTHER, Tag::new(8)));
        assert_eq!(session.yielded(), &BTreeSet::from([faked, (OTHER, Tag::new(8))]));
        next_reign(&mut session, &[InstanceId::new(1), me, OTHER]);
        assert_eq!(session.yielded(), &BTreeSet::from([(OTHER, Tag::new(8))]), "the other is in the view");
        next_reign(&mut session, &[InstanceId::new(1), me]);
        assert!(session.yielded().is_empty());
        (0..1000).for_each(|tag| session.yielded_for((OTHER, Tag::new(tag))));
        assert_eq!(session.yielded().len(), Session::YIELDED);
    }

    #[test]
    fn the_next_election_and_no_other_belongs_to_the_heir() {
        let mut session = joined();
        session.receive(ToMember::Leave(LeaveSort::ResigningFor(OTHER))).expect("a word of leave");
        session.disconnected();
        assert_eq!(session.take_reservation(), Some(OTHER));
        assert_eq!(session.take_reservation(), None);
        session.resigned_for(OTHER);
        assert_eq!(session.take_reservation(), None, "who resigns leaves the port to everybody");
    }

    #[test]
    fn nobody_is_an_heir_of_whom_nothing_is_known_or_outside_a_reign() {
        let mut session = joined();
        session.receive(ToMember::Leave(LeaveSort::ResigningFor(InstanceId::new(77)))).expect("a word of leave");
        session.receive(ToMember::Leave(LeaveSort::Resigning)).expect("a word of leave");
        session.receive(ToMember::Leave(LeaveSort::Leaving)).expect("a word of leave");
        session.disconnected();
        session.hello();
        session.receive(ToMember::Leave(LeaveSort::ResigningFor(OTHER))).expect("a word of leave");
        assert!(session.heirs().is_empty() && session.take_reservation().is_none());
        assert!(session.receive(welcome(4)).is_ok(), "that was not the end of the connection");
    }
}
