//! Looks at the presences of members, for exact answers. On threads of their own: neither under the registry's mutex nor on
//! the thread of a connection or a caller, since under many questions one look follows the other.

use std::collections::VecDeque;
use std::sync::Weak;

use super::pool::{Failure, Job};
use super::reign::Reign;
use crate::ident::InstanceId;

/// Whether these members live.
#[derive(Debug)]
pub(super) struct Look {
    /// Work that waits does not keep the reign.
    pub(super) reign: Weak<Reign>,
    pub(super) ids: Vec<InstanceId>,
}

impl Job for Look {
    fn run(&self) {
        let Some(reign) = self.reign.upgrade() else { return };
        let gone: Vec<_> = self.ids.iter().copied().filter(|id| reign.shared().is_gone(*id)).collect();
        reign.step(|machine| machine.looked(&gone));
    }

    fn failed(self, _: Failure) {
        // Without a thread the answers are what the supervisor knows.
        if let Some(reign) = self.reign.upgrade() {
            reign.step(|machine| machine.looked(&[]));
        }
    }

    fn cost(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.ids)
    }

    fn sift(_: &mut VecDeque<Self>) {}
}
