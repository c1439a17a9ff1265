//! What one or several are to be written, and what its sender is told.

use super::super::LinkId;
use super::Mail;
use crate::ident::{InstanceId, Request};
use crate::wire::message::{Order, ToMember};

/// What one or several are to be written.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Letter {
    pub(super) frame: ToMember,
    /// Who is told what became of it, as long as its connection lasts.
    pub(super) sender: Option<(LinkId, Request)>,
    pub(super) to_one: bool,
    /// What it takes of what may be under way to a recipient; nothing: it goes out at once.
    pub(super) cost: usize,
    /// What it takes of the room for what waits, until it waits no more.
    pub(super) kept: usize,
    /// For how many it waits.
    pub(super) waits: usize,
    /// Of how many recipients it is not known yet whether it reached them.
    pub(super) open: usize,
    pub(super) reached: u32,
    /// It was under way to somebody whose connection ended.
    pub(super) interrupted: bool,
    /// The own instance gets it as well, once it is known of all others and the sender was told.
    pub(super) own_last: bool,
}

impl Letter {
    pub(in super::super) fn new(frame: ToMember, sender: Option<(LinkId, Request)>, to: Option<InstanceId>) -> Self {
        let cost = match &frame {
            ToMember::Message(_, bytes) | ToMember::Reply(_, bytes) | ToMember::Command(Order::Custom(bytes)) => {
                bytes.len() + Mail::OVERHEAD
            }
            // Whoever commands this does so perhaps because too much waits.
            _ => 0,
        };
        let to_one = to.is_some();
        Self {
            frame,
            sender,
            to_one,
            cost,
            kept: 0,
            waits: 0,
            open: 0,
            reached: 0,
            interrupted: false,
            own_last: false,
        }
    }

    /// What its sender is told.
    pub(super) fn answer(&self) -> Option<(LinkId, ToMember)> {
        let (link, request) = self.sender?;
        let answer = match self.reached {
            0 if self.to_one && self.interrupted => ToMember::Interrupted(request),
            0 if self.to_one => ToMember::Undelivered(request),
            reached => ToMember::Delivered(request, reached),
        };
        Some((link, answer))
    }

    /// Which question it answers, if it is an answer of the handler.
    pub(super) const fn replies_to(&self) -> Option<Request> {
        match self.frame {
            ToMember::Reply(request, _) => Some(request),
            _ => None,
        }
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.waits == self.open && self.reached == 0 && !self.interrupted
    }
}
