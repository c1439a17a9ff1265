//! What one connection has asked for and has not got yet. Knows nobody and decides nothing.

use std::collections::{BTreeMap, VecDeque};

use crate::ident::{InstanceId, Request};
use crate::wire::message::{ToSupervisor, Want};

/// What one connection has asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lane {
    /// Whose it is.
    pub(super) id: InstanceId,
    /// The question that the policy was asked last, until it is answered.
    pub(super) asked: Option<(u64, Asked)>,
    /// What it waited for before and brought along: queued already, and not judged. Asked about before all others.
    pub(super) claims: BTreeMap<Request, Want>,
    /// What was not judged, in the order in which it was said.
    waiting: VecDeque<ToSupervisor>,
    /// What was judged and is held by a pause, in the same order.
    held: VecDeque<ToSupervisor>,
    /// What these two cost.
    bytes: usize,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// A claim.
    Claim(Request),
    /// What was said first of all that waits.
    Frame(ToSupervisor),
    /// Nothing that anybody wants any more. The policy may still be busy with it, and is asked one thing at a time.
    Nothing,
}

impl Lane {
    /// The most that one connection may ask for before it takes effect: more than one process has callers.
    pub(super) const COUNT: usize = 16_384;
    /// The same in bytes: a member says few values and messages that are large before others were answered.
    pub(super) const BYTES: usize = 8 << 20;

    pub(super) const fn new(id: InstanceId) -> Self {
        Self { id, asked: None, claims: BTreeMap::new(), waiting: VecDeque::new(), held: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_none() && self.claims.is_empty() && self.waiting.is_empty() && self.held.is_empty()
    }

    /// Whether what is said now has to wait for what was said before.
    pub(super) fn is_busy(&self) -> bool {
        self.asked.is_some() || !self.waiting.is_empty()
    }

    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for something of this cost.
    pub(super) fn takes(&self, cost: usize) -> bool {
        self.waiting.len() + self.held.len() < Self::COUNT && self.bytes + cost <= Self::BYTES
    }

    pub(super) fn push(&mut self, frame: ToSupervisor) {
        self.bytes += cost(&frame);
        self.waiting.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<ToSupervisor> {
        let frame = self.waiting.pop_front()?;
        self.bytes -= cost(&frame);
        Some(frame)
    }

    pub(super) fn hold(&mut self, frame: ToSupervisor) {
        self.bytes += cost(&frame);
        self.held.push_back(frame);
    }

    pub(super) fn release(&mut self) -> Option<ToSupervisor> {
        let frame = self.held.pop_front()?;
        self.bytes -= cost(&frame);
        Some(frame)
    }

    /// Forgets a request, and says whether it was the last claim. `checked`: also if it was asked about and is not
    /// answered.
    pub(super) fn withdraw(&mut self, request: Request, checked: bool) -> bool {
        let bytes = &mut self.bytes;
        for queue in [&mut self.waiting, &mut self.held] {
            queue.retain(|frame| {
                let goes = is_withdrawn(frame, request);
                *bytes -= if goes { cost(frame) } else { 0 };
                !goes
            });
        }
        if let Some((_, asked)) = &mut self.asked
            && matches!(asked, Asked::Frame(frame) if is_withdrawn(frame, request))
            && checked
        {
            *asked = Asked::Nothing;
        }
        self.claims.remove(&request).is_some() && self.claims.is_empty()
    }

    pub(super) fn check_invariants(&self) {
        assert!(!self.is_empty(), "there is a lane with nothing in it");
        let frames = || self.waiting.iter().chain(&self.held);
        assert_eq!(self.bytes, frames().map(cost).sum::<usize>(), "what waits is miscounted");
        // What is asked about when it is said is not counted, and may be held afterwards.
        assert!(frames().count() <= Self::COUNT + 1, "{} things wait", frames().count());
        let idle = self.asked.is_none() && (!self.waiting.is_empty() || !self.claims.is_empty());
        assert!(!idle, "something waits for a verdict that nobody was asked for");
        assert!(self.held.iter().all(is_held_by_a_pause), "a pause holds what it does not hold");
    }
}

/// Whether the one who cancels this request means this.
fn is_withdrawn(frame: &ToSupervisor, cancelled: Request) -> bool {
    let can_be = !matches!(frame, ToSupervisor::Put(_) | ToSupervisor::Command(_));
    can_be && request(frame) == cancelled
}

/// Whether a pause holds this back. Requests for locks and arrivals are queued all the same, and passed over there.
pub(super) const fn is_held_by_a_pause(frame: &ToSupervisor) -> bool {
    matches!(frame, ToSupervisor::Put(_) | ToSupervisor::Post(_) | ToSupervisor::Ask(_))
}

/// The number of what is asked for.
pub(super) fn request(frame: &ToSupervisor) -> Request {
    match frame {
        ToSupervisor::Acquire(want) => want.request,
        ToSupervisor::Arrive(arrive) => arrive.request,
        ToSupervisor::Put(put) => put.request,
        ToSupervisor::Post(post) => post.request,
        ToSupervisor::Ask(ask) => ask.request,
        ToSupervisor::Command(command) => command.request,
        // Nothing else comes here.
        _ => Request::default(),
    }
}

/// What it costs to keep this: its own bytes, and about what its place takes.
pub(super) fn cost(frame: &ToSupervisor) -> usize {
    256 + frame.said().len()
}
