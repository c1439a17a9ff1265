//! What members ask for, and how they end.

use std::time::Duration;

use super::super::registry::Place;
use super::{LinkId, Output, Phase, StepDown, Supervisor};
use crate::ident::InstanceId;
use crate::wire::message::{EndReason, LeaveSort, Refusal, ToMember, ToSupervisor};

impl Supervisor {
    pub(super) fn member_frame(&mut self, link: LinkId, id: InstanceId, frame: ToSupervisor) {
        match frame {
            ToSupervisor::Cancel(request) => {
                // All that a member asks for shares the numbers of requests.
                self.grants.cancel(id, request);
                self.withdraw(link, request);
                self.cancel_post(link, request);
                self.asks.cancel(link, request);
            }
            ToSupervisor::Release(request) => self.grants.release(id, request),
            ToSupervisor::Abandon(request) => self.grants.abandon(id, request),
            ToSupervisor::Decline(request) => self.grants.decline(id, request),
            ToSupervisor::Inquire(request) => self.inquire(id, request),
            ToSupervisor::Withdraw(request) => self.barriers.withdraw(id, request),
            ToSupervisor::Survey(n) => self.survey(link, n),
            ToSupervisor::Leave => self.left(link, id),
            ToSupervisor::Ping(n) => self.send(link, ToMember::Pong(n)),
            ToSupervisor::Pong(n) => {
                self.ponged(link, id, n);
                self.completes_read(link, n);
            }
            ToSupervisor::Value(value) => self.fetched_value(link, value),
            ToSupervisor::StateEnd => self.fetched(link, id),
            frame @ (ToSupervisor::Acquire(_)
            | ToSupervisor::Arrive(_)
            | ToSupervisor::Put(_)
            | ToSupervisor::Post(_)
            | ToSupervisor::Ask(_)
            | ToSupervisor::Command(_)) => self.admit(link, id, frame),
            _ => self.refuse(link, Refusal::Protocol("handshake frame after the handshake".into())),
        }
    }

    pub(super) fn left(&mut self, link: LinkId, id: InstanceId) {
        if let Phase::Window(window) = &mut self.phase {
            window.ended(id, EndReason::Left);
        }
        self.note_stopped(link);
        self.end(id, EndReason::Left);
        self.close_link(link);
    }

    /// The connection of a member is over. That alone frees nothing.
    pub(super) fn disconnected(&mut self, id: InstanceId, gone: bool) {
        self.note_end(id);
        let Some(place) = self.registry.get(id).map(|member| member.place) else { return };
        if let Phase::Window(window) = &mut self.phase {
            // What it claimed it will say again; if it cannot, the kernel will show that.
            window.unaccount(id);
            if gone {
                window.ended(id, EndReason::Failed);
            }
            self.registry.remove(id);
            self.grants.forget(id);
            self.barriers.end(id);
            return;
        }
        match place {
            _ if gone => self.end(id, EndReason::Failed),
            // No view names it, and it has read no Welcome: it comes again as a newcomer.
            Place::Parked(_) => {
                self.forget_claimant(id);
                self.registry.remove(id);
                self.grants.forget(id);
                self.barriers.end(id);
            }
            Place::Named(_) => self.end(id, EndReason::Failed),
            Place::Here(_) => {
                self.registry.move_to(id, Place::Aside(Duration::ZERO));
                self.refresh_ready(id);
                self.announce(&[id], Vec::new(), None);
            }
            Place::Aside(_) => {}
        }
    }

    /// An entry ends, and with it everything it held.
    pub(super) fn end(&mut self, id: InstanceId, reason: EndReason) {
        if reason != EndReason::Evicted {
            // Who was evicted lives: an older hello of it may still lie unread somewhere.
            self.forget_claimant(id);
        }
        self.note_end(id);
        let Some(member) = self.registry.remove(id) else { return };
        if let Some(link) = member.place.link() {
            self.forget_lane(link);
        }
        self.stops.forget(id);
        self.grants.end(id, reason != EndReason::Left);
        self.barriers.end(id);
        let named = !matches!(member.place, Place::Parked(_));
        if named && !self.is_window_open() {
            self.announce(&[], vec![(id, reason)], None);
        }
    }

    pub(super) fn step_down(&mut self, why: StepDown) {
        self.freeze(LeaveSort::Resigning);
        self.outputs.push(Output::StepDown(why));
    }
}
