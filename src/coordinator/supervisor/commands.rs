//! What the supervisor commands.

use super::{LinkId, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Command, ToMember};

impl Supervisor {
    /// Somebody who may commands something.
    pub(super) fn command(&mut self, link: LinkId, _from: InstanceId, command: Command) {
        self.send(link, ToMember::Undelivered(command.request));
    }
}
