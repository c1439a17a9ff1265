//! What members ask the application's handler, and what it answers.

use std::sync::Arc;

use super::{LinkId, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Ask, ToMember};

impl Supervisor {
    /// Somebody asks the handler.
    pub(super) fn ask(&mut self, link: LinkId, _from: InstanceId, ask: Ask) {
        self.send(link, ToMember::Denied(ask.request, "the supervisor has no handler for requests".into()));
    }

    /// What the handler says to a question, or why it says nothing: [`super::Output::Handle`]. The answer to a question
    /// that means nothing any more is ignored.
    pub fn handled(&mut self, _question: u64, _answer: Result<Arc<[u8]>, Box<str>>) {
        self.progress();
    }

    /// Whether somebody still waits for the handler's answer to a question.
    pub(super) fn is_asked(&self, _question: u64) -> bool {
        false
    }
}
