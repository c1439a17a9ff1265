//! Leaving the office to a newer version of the program.

use super::{LinkId, Supervisor};
use crate::ident::InstanceId;

impl Supervisor {
    /// A member answers a ping: one who is to have the office has proved that it runs.
    pub(super) fn ponged(&mut self, _link: LinkId, _id: InstanceId, _number: u64) {}

    /// Whether somebody should have the office instead of this instance.
    pub(super) fn look_for_heir(&mut self) {}
}
