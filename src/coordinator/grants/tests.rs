//! Every rule by name, and a comparison with a plain model.

mod owners;
mod plain;
mod queue;
mod random;
mod slices;
mod window;

use super::*;
use crate::ident::{Kind, Name};
use crate::wire::message::{Abandoned, HeldClaim, WantClaim};

pub(super) const A: InstanceId = InstanceId::new(1);
pub(super) const B: InstanceId = InstanceId::new(2);
pub(super) const C: InstanceId = InstanceId::new(3);
pub(super) const D: InstanceId = InstanceId::new(4);

/// The base of every reign here, so that a token reads as its distance from it.
pub(super) const BASE: u64 = 1000;
pub(super) const X: Mode = Mode::Exclusive;
pub(super) const S: Mode = Mode::Shared;

pub(super) const fn permits(count: u32, limit: u32) -> Mode {
    Mode::Permits { count, limit }
}

pub(super) fn resource(kind: Kind, text: &str) -> Resource {
    Resource::new(kind, Name::new(text).expect("a name made for a test"))
}

/// A lock that goes with both modes of locks.
pub(super) fn name(text: &str) -> Resource {
    resource(Kind::RwLock, text)
}

/// What can be had in this mode.
pub(super) fn of(mode: Mode, text: &str) -> Resource {
    resource(if matches!(mode, Mode::Permits { .. }) { Kind::Semaphore } else { Kind::RwLock }, text)
}

pub(super) fn want(request: u64, text: &str, mode: Mode) -> Want {
    Want { request: Request::new(request), name: of(mode, text), mode }
}

pub(super) fn held(request: u64, text: &str, mode: Mode, token: u64) -> HeldClaim {
    HeldClaim { want: want(request, text, mode), token: Token::new(token), since: 0 }
}

pub(super) fn waits(request: u64, text: &str, mode: Mode, ticket: Option<(u64, u64)>) -> WantClaim {
    let ticket = ticket.map(|(epoch, n)| Ticket { epoch: Epoch::new(epoch), n });
    WantClaim { want: want(request, text, mode), ticket }
}

pub(super) const fn died(who: InstanceId) -> Abandoned {
    Abandoned::Died { who }
}

/// Grants of reign 9 that are open, with four members that are ready.
pub(super) fn open() -> Grants {
    let mut grants = closed(|_| {});
    grants.open();
    grants
}

/// Grants of reign 9, in order, closed after the window in which `claims` was said. Nothing of it is left to be told.
pub(super) fn closed(claims: impl FnOnce(&mut Grants)) -> Grants {
    let mut grants = Grants::new();
    for id in [A, B, C, D] {
        grants.set_ready(id, true);
    }
    claims(&mut grants);
    grants.close(Epoch::new(9), Token::new(BASE), false, false);
    grants.check_invariants();
    grants.take_told();
    grants
}

/// What was told, one line each.
pub(super) fn told(grants: &mut Grants) -> Vec<String> {
    grants.check_invariants();
    let line = |Told { to, what }: Told| {
        let to = to.number();
        match what {
            ToMember::Grant(Grant { request, token, abandoned, .. }) => {
                let token = token.number() - BASE;
                match abandoned {
                    Abandoned::Clean => format!("{to}: {request} granted {token}"),
                    Abandoned::Died { who } => format!("{to}: {request} granted {token}, {} died", who.number()),
                    Abandoned::Unknown => format!("{to}: {request} granted {token}, unknown"),
                }
            }
            ToMember::Queued(Queued { request, ticket, ahead, .. }) => {
                format!("{to}: {request} at {ticket} behind {ahead}")
            }
            ToMember::Token(request, token) => format!("{to}: {request} token {token}"),
            ToMember::Lost(request) => format!("{to}: {request} lost"),
            ToMember::Denied(request, reason) => format!("{to}: {request} denied: {reason}"),
            other => format!("{to}: {other:?}"),
        }
    };
    grants.take_told().into_iter().map(line).collect()
}

/// Both that have this name.
fn both(text: &str) -> [Resource; 2] {
    [of(X, text), of(permits(1, 1), text)]
}

/// Who holds what has this name: instance and request.
pub(super) fn holders(grants: &Grants, text: &str) -> Vec<(u64, u64)> {
    let holders = both(text).into_iter().flat_map(|name| grants.holders(&name).collect::<Vec<_>>());
    holders.map(|holder| (holder.who.number(), holder.request.number())).collect()
}

/// Who waits for what has this name: instance and request.
pub(super) fn waiters(grants: &Grants, text: &str) -> Vec<(u64, u64)> {
    let waiters = both(text).into_iter().flat_map(|name| grants.waiters(&name).collect::<Vec<_>>());
    waiters.map(|waiter| (waiter.who.number(), waiter.request.number())).collect()
}
