//! The connections: what comes on them, what is written to them, and how they end.

use super::super::submission::{Gathered, Weight};
use super::{Awaiting, Link, LinkId, LinkState, Output, Phase, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{Refusal, ToMember, ToSupervisor};

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Not all was said yet, but so much.
    Unaccepted(Weight),
    /// The connection is a member's or an observer's. `owes`: it is still to say its copy of the state, and awaited.
    Accepted {
        /// Whether it is.
        owes: bool,
    },
    /// The connection was refused, or another one has taken its place.
    Over,
}

impl Supervisor {
    /// A connection was accepted.
    pub fn connected(&mut self, link: LinkId) {
        self.links.insert(link, Link { sent: 0, written: 0, state: LinkState::Silent });
    }

    /// Whether this connection still owes its handshake.
    pub fn is_unfinished(&self, link: LinkId) -> bool {
        let unfinished = |l: &Link| matches!(l.state, LinkState::Silent | LinkState::Gathering(_));
        self.links.get(&link).is_some_and(unfinished) || self.is_window_open() && self.writes.is_fetching(link)
    }

    /// How far the handshake of this connection has come.
    pub fn handshake(&self, link: LinkId) -> Handshake {
        match self.links.get(&link).map(|found| &found.state) {
            Some(LinkState::Silent) => Handshake::Unaccepted(Weight::default()),
            Some(LinkState::Gathering(submission)) => Handshake::Unaccepted(submission.weight()),
            Some(LinkState::Member(_) | LinkState::Observer { .. }) => {
                Handshake::Accepted { owes: self.is_unfinished(link) }
            }
            Some(LinkState::Closing) | None => Handshake::Over,
        }
    }

    /// Closes a connection that broke the protocol or took too long, with a reason that is written to it first.
    pub fn refuse(&mut self, link: LinkId, refusal: Refusal) {
        let Some(found) = self.links.get(&link).filter(|found| found.state != LinkState::Closing) else { return };
        let member = match found.state {
            LinkState::Member(id) => Some(id),
            _ => None,
        };
        self.send(link, ToMember::Refused(refusal));
        self.close_link(link);
        // What this link says from now on, its end included, means nothing; so its member is set aside here.
        if let Some(id) = member
            && !matches!(self.phase, Phase::Frozen)
            && self.is_current(link, id)
        {
            self.disconnected(id, false);
        }
        self.progress();
    }

    /// Takes one frame.
    pub fn frame(&mut self, link: LinkId, frame: ToSupervisor) {
        let Some(found) = self.links.get_mut(&link) else { return };
        if matches!(self.phase, Phase::Frozen) {
            return;
        }
        match &mut found.state {
            LinkState::Silent => match frame {
                ToSupervisor::Hello(hello) => self.hello(link, hello),
                _ => self.refuse(link, Refusal::Protocol("frame before hello".into())),
            },
            LinkState::Gathering(submission) => match frame {
                ToSupervisor::Leave => self.close_link(link),
                ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
                frame => match submission.gather(frame) {
                    Gathered::More => self.check_group(link),
                    Gathered::Complete => self.submitted(link),
                    Gathered::Misplaced(why) => self.refuse(link, Refusal::Protocol(why.into())),
                },
            },
            LinkState::Member(id) => {
                let id = *id;
                if !self.rules.highest_attempt || self.is_current(link, id) {
                    self.member_frame(link, id, frame);
                }
            }
            LinkState::Observer { id, welcomed, .. } => match frame {
                frame @ (ToSupervisor::Put(_)
                | ToSupervisor::Post(_)
                | ToSupervisor::Ask(_)
                | ToSupervisor::Command(_))
                    if *welcomed =>
                {
                    let id = *id;
                    self.admit(link, id, frame);
                }
                ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
                ToSupervisor::Survey(n) => self.survey(link, n),
                ToSupervisor::Cancel(request) => {
                    self.withdraw(link, request);
                    self.cancel_post(link, request);
                    self.asks.cancel(link, request);
                }
                ToSupervisor::Pong(_) => {}
                ToSupervisor::Leave => self.close_link(link),
                _ => self.refuse(link, Refusal::Protocol("request from an observer".into())),
            },
            LinkState::Closing => {}
        }
        self.progress();
    }

    /// A connection has ended, after everything readable was taken. `gone`: the kernel has closed the presence of the
    /// instance behind it ([`Supervisor::behind`]), so that this is its end and not only the connection's.
    pub fn ended(&mut self, link: LinkId, gone: bool) {
        let Some(Link { state, .. }) = self.links.remove(&link) else { return };
        self.forget_link(link);
        let (LinkState::Member(id), false) = (&state, matches!(self.phase, Phase::Frozen)) else {
            return self.progress();
        };
        if self.is_current(link, *id) || !self.rules.highest_attempt {
            self.disconnected(*id, gone || !self.rules.end_is_not_death);
        }
        self.progress();
    }

    /// Whose connection this is.
    pub fn behind(&self, link: LinkId) -> Option<InstanceId> {
        match self.links.get(&link)?.state {
            LinkState::Member(id) => Some(id),
            _ => None,
        }
    }

    /// The first `count` frames of a connection have reached its kernel: nothing of them is left unsent here.
    pub fn written(&mut self, link: LinkId, count: u64) {
        let outstanding = |awaiting: &mut Awaiting| {
            if awaiting.get(&link).is_some_and(|needed| *needed <= count) {
                awaiting.remove(&link);
            }
        };
        if let Phase::Opening(awaiting) = &mut self.phase {
            outstanding(awaiting);
        }
        self.round.as_mut().map(outstanding);
        if let Some((_, awaiting)) = &mut self.base_round {
            outstanding(awaiting);
        }
        self.writes.written(link, count);
        if let Some(found) = self.links.get_mut(&link) {
            found.written = found.written.max(count.min(found.sent));
        }
        self.completes_written(link, count);
        self.mail_written(link, count);
        self.eviction_written(link, count);
        self.progress();
    }

    pub(super) fn send(&mut self, link: LinkId, frame: ToMember) {
        if let Some(found) = self.links.get_mut(&link)
            && found.state != LinkState::Closing
        {
            found.sent += 1;
            self.outputs.push(Output::Send(link, frame));
        }
    }

    pub(super) fn set_state(&mut self, link: LinkId, state: LinkState) {
        if let Some(found) = self.links.get_mut(&link) {
            found.state = state;
        }
    }

    pub(super) fn close_link(&mut self, link: LinkId) {
        self.set_state(link, LinkState::Closing);
        self.forget_link(link);
        self.outputs.push(Output::Close(link));
    }

    pub(super) fn cut(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.forget_link(link);
            self.outputs.push(Output::Cut(link));
        }
    }

    /// Nobody waits for writes to a connection that has ended: its owner will be told everything when it is back.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        if let Phase::Opening(awaiting) = &mut self.phase {
            let unread = self.forfeiting.remove(&link).filter(|_| awaiting.contains_key(&link));
            if let Some(id) = unread.filter(|_| self.rules.expired_are_notified) {
                // The next supervisor that it finds may not be this one. Its memberships have other tags than the roll
                // call showed.
                self.noticing.insert(id, link);
                self.outputs.push(Output::Notify { id, tags: Vec::new(), evicted: false });
            } else {
                awaiting.remove(&link);
            }
        }
        if let Some(awaiting) = &mut self.round {
            awaiting.remove(&link);
        }
        if let Some((_, awaiting)) = &mut self.base_round {
            awaiting.remove(&link);
        }
        self.watchers.remove(&link);
        self.surveys.remove(&link);
        self.writes.forget_link(link);
        self.forget_lane(link);
        self.unwritten.remove(&link);
        self.unread.remove(&link);
        self.asks.forget_link(link);
        self.forget_mail(link);
        self.eviction_unread(link);
    }
}
