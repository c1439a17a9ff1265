//! The frames of questions and messages.

use std::sync::Arc;

use bellwether::ident::{InstanceId, Request};
use bellwether::wire::message::{Ask, Post, ToMember, ToSupervisor};

use crate::contest::frames::encoded;

/// How many bytes a question has, and its answer.
pub(crate) const QUESTION: usize = 100;

/// One of each kind, encoded; the messages with so many bytes.
pub(crate) struct Frames {
    pub(crate) ask: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    pub(crate) post: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) delivered: Vec<u8>,
}

impl Frames {
    pub(crate) fn new(size: usize) -> Self {
        let request = Request::new(1);
        let from = InstanceId::new(1);
        Self {
            ask: encoded(&ToSupervisor::Ask(Ask { request, bytes: bytes(QUESTION) })),
            reply: encoded(&ToMember::Reply(request, bytes(QUESTION))),
            post: encoded(&ToSupervisor::Post(Post { request, to: Some(from), bytes: bytes(size) })),
            message: encoded(&ToMember::Message(from, bytes(size))),
            delivered: encoded(&ToMember::Delivered(request, 1)),
        }
    }
}

/// What a question or a message says.
pub(crate) fn bytes(size: usize) -> Arc<[u8]> {
    vec![7; size].into()
}
