//! Messages of the application on their way to those that they are for.

use super::{LinkId, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Post, ToMember};

impl Supervisor {
    /// A message is to go out.
    pub(super) fn post(&mut self, link: LinkId, _from: InstanceId, post: Post) {
        self.send(link, ToMember::Undelivered(post.request));
    }
}
