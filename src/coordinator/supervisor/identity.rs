//! Who may speak under an id, and from when on.
//!
//! # When
//!
//! What a connection says before its handshake is complete affects that connection alone. Everything that concerns others
//! happens when the last frame of the handshake was judged: the id is claimed, an older connection of it is cut, the
//! attempt is remembered. A handshake that comes to nothing leaves nothing behind.
//!
//! # Who
//!
//! An instance chooses a nonce together with its id; see [`Nonce`]. Of a Hello under an id
//!
//! - that is the supervisor's own: a connection is refused, whatever it says. The own instance has none.
//! - that an observer names and a member has: it is refused, since an observer acts and writes under its id. An observer
//!   that was there before the member is sent away when the member is accepted.
//! - that is in the registry, in whatever place: it takes the place over with the nonce of the entry only. After the window
//!   any other nonce is answered with Forfeited: the id is not that client's, and a new one is what it needs. In a window
//!   it is refused, since the entry may be the one that does not prove true.
//! - that was evicted in this reign: the same, with the nonce by which it was accepted.
//! - that the window awaits, and whose nonce a closed view names: with that nonce only. The own view of the winner counts
//!   for more than those of others, and of others the first. An id never changes its nonce, so that views which differ are
//!   not all true.
//! - that the window awaits, and whose nonce is not known, since the winner is a newcomer: the first claim counts as long as
//!   its connection stands. When the view of another survivor names another nonce, the claim is refused and the id is
//!   awaited again. What that claim said of others is not taken back: a client that completes the handshake of a survivor
//!   is believed, like any member.
//!   A newcomer's word counts for less than a survivor's, and does not account for an id of which the kernel shows a member.
//! - that was given up while its owner lived, as far back as that is remembered: nobody is new under that id, since one that
//!   has ended never comes back.
//! - that nobody knows: with any nonce.
//!
//! With the right nonce the attempt has to follow the last one that was accepted. It is answered with that one otherwise,
//! never cut in silence.

use super::{Claimant, LinkId, LinkState, Phase, Place, Supervisor};
use crate::ident::{InstanceId, Nonce};
use crate::wire::message::{Hello, Named, Purpose, Refusal, ToMember};

impl Supervisor {
    /// Whether this client may be what its Hello says; otherwise the last frame that it is sent.
    pub(super) fn identify(&self, link: LinkId, hello: &Hello, is_fresh: bool) -> Result<(), ToMember> {
        let refused = |refusal| Err(ToMember::Refused(refusal));
        let Hello { id, attempt, nonce, .. } = *hello;
        if hello.purpose == Purpose::Observer {
            return if self.is_a_members(id) { refused(Refusal::Taken) } else { Ok(()) };
        }
        if self.rules.takeover_needs_the_nonce {
            if id == self.settings.me && link != LinkId::LOCAL {
                return refused(Refusal::Taken);
            }
            if nonce == Nonce::UNKNOWN {
                return refused(Refusal::Protocol("member without a nonce".into()));
            }
            if self.nonce_of(id, is_fresh).is_some_and(|known| known != nonce) {
                return if self.is_window_open() { refused(Refusal::Taken) } else { Err(ToMember::Forfeited) };
            }
            if is_fresh && self.rules.new_id && self.registry.get(id).is_none() && self.registry.was_evicted(id) {
                return Err(ToMember::Forfeited);
            }
        }
        match self.claimants.get(&id) {
            Some(last) if self.rules.highest_attempt && last.nonce == nonce && !attempt.may_follow(last.attempt) => {
                refused(Refusal::Attempt { last: last.attempt })
            }
            _ => Ok(()),
        }
    }

    /// The handshake is accepted: the id is this connection's. Its owner has given an older one up, or it would not have
    /// made this one.
    pub(super) fn take_over(&mut self, link: LinkId, hello: &Hello) {
        let Hello { id, attempt, nonce, .. } = *hello;
        let before = self.claimants.get(&id).map(|last| last.link);
        if self.rules.highest_attempt
            && let Some(older) = before
        {
            self.cut(older);
            if self.registry.get(id).is_some() {
                self.disconnected(id, false);
            }
        }
        self.claimants.insert(id, Claimant { attempt, nonce, link });
        let namesakes: Vec<_> = self.watchers.iter().filter(|(_, of)| **of == id).map(|(link, _)| *link).collect();
        for namesake in namesakes {
            self.refuse(namesake, Refusal::Taken);
        }
    }

    /// Without the rule, a Hello alone does it.
    pub(super) fn take_over_by_hello(&mut self, link: LinkId, hello: &Hello) -> bool {
        if let Some(last) = self.claimants.get(&hello.id)
            && self.rules.highest_attempt
            && last.attempt >= hello.attempt
        {
            self.cut(link);
            return false;
        }
        self.take_over(link, hello);
        true
    }

    /// A survivor, or the winner itself, brings its view: claims that it contradicts do not count, as long as no view has
    /// vouched for them.
    pub(super) fn contradict(&mut self, by: InstanceId, known: &[Named]) {
        if !self.rules.takeover_needs_the_nonce {
            return;
        }
        for (id, nonce) in known.iter().copied() {
            let Phase::Window(window) = &self.phase else { return };
            let is_settled = by != self.settings.me && window.nonce(id).is_some();
            let Some(member) = self.registry.get(id) else { continue };
            if id == by || id == self.settings.me || is_settled || nonce == Nonce::UNKNOWN || member.nonce == nonce {
                continue;
            }
            if let Some(link) = member.place.link() {
                self.claimants.remove(&id);
                self.refuse(link, Refusal::Taken);
                self.disconnected(id, false);
            }
        }
    }

    /// The nonce that a Hello under this id has to have, if anything is known of it.
    fn nonce_of(&self, id: InstanceId, is_fresh: bool) -> Option<Nonce> {
        let window = match &self.phase {
            Phase::Window(window) => Some(window),
            _ => None,
        };
        let yields = |place: Place| window.is_some() && !is_fresh && matches!(place, Place::Parked(_));
        let accepted = || self.registry.get(id).filter(|member| !yields(member.place)).map(|member| member.nonce);
        // One that has ended and whose attempts mean something all the same. In a window that is a claim that was given up.
        let ended = || self.claimants.get(&id).filter(|_| window.is_none()).map(|last| last.nonce);
        window.and_then(|window| window.nonce(id)).or_else(accepted).or_else(ended)
    }

    /// Whether this is the id of a member, or of an instance that the window awaits as one.
    fn is_a_members(&self, id: InstanceId) -> bool {
        let awaited = |phase: &Phase| matches!(phase, Phase::Window(window) if window.knows(id));
        id == self.settings.me
            || self.registry.get(id).is_some()
            || self.claimants.contains_key(&id)
            || awaited(&self.phase)
    }

    /// An id that has ended is claimed by nobody any more.
    pub(super) fn forget_claimant(&mut self, id: InstanceId) {
        self.claimants.remove(&id);
    }

    /// Whether the connection is the one by which its member speaks.
    pub(super) fn is_current(&self, link: LinkId, id: InstanceId) -> bool {
        self.claimants.get(&id).is_some_and(|last| last.link == link)
    }

    /// An observer is accepted.
    pub(super) fn watch(&mut self, link: LinkId, id: InstanceId) {
        self.watchers.insert(link, id);
    }

    /// Whether the connection is an observer's.
    pub(super) fn is_an_observers(&self, link: LinkId) -> bool {
        matches!(self.links.get(&link).map(|found| &found.state), Some(LinkState::Observer { .. }))
    }
}

#[cfg(test)]
mod tests;
