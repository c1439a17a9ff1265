//! The claim table: the truth about what this instance holds and waits for.
//!
//! A request enters it when it is made and stays until it is released, given up, refused or lost, whoever reigns
//! meanwhile. A grant is *taken* when the call that waited for it returns. Until then the application knows nothing of
//! it: if it is lost, the request simply waits again.

use super::{Connection, Effect, Notice, Session};
use crate::ident::{Request, Resource, Ticket, Token};
use crate::wire::message::{Abandoned, Grant, HeldClaim, Mode, ToSupervisor, Want, WantClaim};

/// What an instance says it holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Waits, at this place if it was told one.
    Wants(Want, Option<Ticket>),
    /// Holds.
    Holds(Want, Hold),
}

/// How something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Under which token. It may rise.
    pub token: Token,
    /// When it was granted, in milliseconds since 1970 by the clock of the supervisor that granted it.
    pub since: u64,
    /// What became of the owner before.
    pub abandoned: Abandoned,
    /// The application knows that it holds this.
    pub taken: bool,
}

impl Claim {
    /// What was asked for.
    pub fn want(&self) -> &Want {
        match self {
            Self::Wants(want, _) | Self::Holds(want, _) => want,
        }
    }

    /// The claim as it travels.
    pub(super) fn frame(&self) -> ToSupervisor {
        match self.clone() {
            Self::Wants(want, ticket) => ToSupervisor::Wants(WantClaim { want, ticket }),
            Self::Holds(want, hold) => ToSupervisor::Held(HeldClaim { want, token: hold.token, since: hold.since }),
        }
    }
}

impl Session {
    /// Asks for a grant: enters it into the claim table and says what to write, if there is anybody to write to.
    pub fn acquire(&mut self, name: Resource, mode: Mode) -> (Request, Option<ToSupervisor>) {
        let request = self.next_request();
        let want = Want { request, name, mode };
        self.claims.insert(request, Claim::Wants(want.clone(), None));
        // A newcomer's requests follow its Welcome: what is not sent now is sent then, or travels as a claim.
        let send = self.standing != Connection::Apart && !self.is_fresh();
        (request, send.then_some(ToSupervisor::Acquire(want)))
    }

    /// Takes a grant, from the moment of which on the application holds it. `None` if the request is not granted, or if
    /// it cannot be told whether it still is: between two reigns a grant that was not taken is a claim that the next
    /// supervisor has to confirm.
    pub fn take(&mut self, request: Request) -> Option<Hold> {
        let settled = self.is_settled() || !self.rules.take_only_when_settled;
        match self.claims.get_mut(&request) {
            Some(Claim::Holds(_, hold)) if settled && !hold.taken => {
                hold.taken = true;
                Some(*hold)
            }
            _ => None,
        }
    }

    /// Whether [`Session::take`] would take it.
    pub fn is_takeable(&self, request: Request) -> bool {
        self.is_settled() && self.held(request).is_some_and(|hold| !hold.taken)
    }

    /// How a request is held; `None` if it is not, or not any more.
    pub fn held(&self, request: Request) -> Option<Hold> {
        match self.claims.get(&request) {
            Some(Claim::Holds(_, hold)) => Some(*hold),
            _ => None,
        }
    }

    /// Gives up waiting, also for a grant that was not taken. Nothing happens if the application holds it already.
    pub fn cancel(&mut self, request: Request) -> Option<ToSupervisor> {
        let frame = match self.claims.get(&request)? {
            Claim::Wants(..) => ToSupervisor::Cancel(request),
            Claim::Holds(_, hold) if !hold.taken => ToSupervisor::Decline(request),
            Claim::Holds(..) => return None,
        };
        self.claims.remove(&request);
        (self.standing != Connection::Apart).then_some(frame)
    }

    /// Releases a grant. Nothing happens if the request holds nothing.
    pub fn release(&mut self, request: Request) -> Option<ToSupervisor> {
        self.held(request)?;
        self.claims.remove(&request);
        (self.standing != Connection::Apart).then_some(ToSupervisor::Release(request))
    }

    /// Ends a grant in the middle of the work. Nothing happens if the request holds nothing. Who could only look leaves
    /// nothing half done, so that is a release.
    pub fn abandon(&mut self, request: Request) -> Option<ToSupervisor> {
        let looks = matches!(self.claims.get(&request)?.want().mode, Mode::Shared);
        let frame = self.release(request)?;
        Some(if looks { frame } else { ToSupervisor::Abandon(request) })
    }

    pub(super) fn granted(&mut self, grant: &Grant, effects: &mut Vec<Effect>) {
        self.base = self.base.max(grant.token);
        match self.claims.get_mut(&grant.request) {
            Some(claim @ Claim::Wants(..)) => {
                let Grant { request, token, since, abandoned } = *grant;
                let hold = Hold { token, since, abandoned, taken: false };
                *claim = Claim::Holds(claim.want().clone(), hold);
                effects.push(Effect::Tell(Notice::Granted(request)));
            }
            Some(Claim::Holds(..)) => {}
            // Nothing is ever granted to nobody: the wait was given up while the grant travelled.
            None => effects.push(Effect::Send(ToSupervisor::Decline(grant.request))),
        }
    }

    pub(super) fn raised(&mut self, request: Request, token: Token, effects: &mut Vec<Effect>) {
        self.base = self.base.max(token);
        if let Some(Claim::Holds(_, hold)) = self.claims.get_mut(&request) {
            hold.token = token;
            effects.push(Effect::Tell(Notice::Raised(request, token)));
        }
    }

    pub(super) fn lost(&mut self, request: Request, effects: &mut Vec<Effect>) {
        match self.claims.get_mut(&request) {
            Some(Claim::Holds(want, hold)) if hold.taken => {
                effects.push(Effect::Tell(Notice::Lost(request, want.name.clone(), hold.token)));
                self.claims.remove(&request);
            }
            Some(claim @ Claim::Holds(..)) => {
                let want = claim.want().clone();
                *claim = Claim::Wants(want.clone(), None);
                // In a window it is no claim of this hello any more, and would be queued by nobody.
                effects.push(Effect::Send(ToSupervisor::Acquire(want)));
            }
            Some(Claim::Wants(..)) | None => {}
        }
    }

    /// The id has ended: what was held is lost, what was waited for is to be asked for again.
    pub(super) fn lose_all(&mut self, effects: &mut Vec<Effect>) {
        let mut lost = Vec::new();
        for (request, claim) in &mut self.claims {
            match claim {
                Claim::Holds(want, hold) if hold.taken => lost.push((*request, want.name.clone(), hold.token)),
                Claim::Wants(..) | Claim::Holds(..) => *claim = Claim::Wants(claim.want().clone(), None),
            }
        }
        for (request, name, token) in lost {
            self.claims.remove(&request);
            effects.push(Effect::Tell(Notice::Lost(request, name, token)));
        }
    }

    /// A newcomer, which claimed nothing, has been welcomed: it asks for everything that it waits for.
    pub(super) fn ask_again(&mut self, effects: &mut Vec<Effect>) {
        for claim in self.claims.values_mut() {
            if let Claim::Wants(want, ticket) = claim {
                *ticket = None;
                effects.push(Effect::Send(ToSupervisor::Acquire(want.clone())));
            }
        }
    }

    /// An open reign has heard the claims and has not answered with Lost: grants that were not taken are confirmed.
    pub(super) fn confirm_grants(&self, effects: &mut Vec<Effect>) {
        let waiting = |claim: &Claim| matches!(claim, Claim::Holds(_, hold) if !hold.taken);
        let granted = self.claims.iter().filter(|(_, claim)| waiting(claim));
        effects.extend(granted.map(|(request, _)| Effect::Tell(Notice::Granted(*request))));
    }
}
