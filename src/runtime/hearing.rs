//! What the supervisor says, and what becomes of it: replies, events, calls that are woken.

use super::calls::Answer;
use super::endpoint;
use super::outbox::Outbox;
use super::presence::Presence;
use super::shared::{Shared, State, new_nonce, new_presence};
use crate::coordinator::session::{Effect, Misplaced, Notice};
use crate::coordinator::supervisor::Lack;
use crate::entry::Entry;
use crate::error::Error;
use crate::event::Event;
use crate::ident::{Kind, Request, Resource, Version};
use crate::wire::message::{ToMember, ToSupervisor, Value};

impl Shared {
    /// The same as [`Shared::receive`]; what is to be logged is left to [`Shared::log_notes`].
    pub(crate) fn receive_silently(&self, frame: ToMember) -> Result<Vec<ToSupervisor>, Misplaced> {
        let mut state = self.state();
        self.take_in(&mut state, frame)
    }

    /// Takes one frame of the supervisor and does what it asks for. What is to be written back is returned.
    pub(crate) fn receive(&self, frame: ToMember) -> Result<Vec<ToSupervisor>, Misplaced> {
        let mut state = self.state();
        let replies = self.take_in(&mut state, frame);
        self.let_go(state);
        replies
    }

    /// The same on a connection. What is to be written back is in its outbox before any call can put in something else:
    /// whoever gives up now what is said again here would otherwise be heard giving it up first. Says whether the
    /// connection may be used.
    pub(super) fn receive_on(&self, outbox: &Outbox, frame: ToMember) -> Result<bool, Misplaced> {
        let mut state = self.state();
        let welcome = matches!(frame, ToMember::Welcome(_));
        let replies = self.take_in(&mut state, frame)?;
        // A member that a newcomer could not find if it won must not ask for anything.
        let usable = !welcome || state.presence.as_ref().is_none_or(Presence::is_member);
        if usable {
            replies.iter().for_each(|reply| outbox.push(reply));
        }
        self.let_go(state);
        Ok(usable)
    }

    fn take_in(&self, state: &mut State, frame: ToMember) -> Result<Vec<ToSupervisor>, Misplaced> {
        let effects = state.session.receive(frame)?;
        Ok(self.carry_out(state, effects))
    }

    /// What a notice says: the same as the frame that was not read, or is never written.
    pub(super) fn lose_all(&self, state: &mut State, evicted: bool) {
        let frame = if evicted { ToMember::Evicted } else { ToMember::Forfeited };
        // Nobody is left to write to. And nobody is evicted who was never part of a reign.
        if self.take_in(state, frame).is_err() {
            let _ = self.take_in(state, ToMember::Forfeited);
        }
    }

    /// Does what the session decided; what is to be written is returned.
    pub(super) fn carry_out(&self, state: &mut State, effects: Vec<Effect>) -> Vec<ToSupervisor> {
        let mut replies = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(frame) => replies.push(frame),
                Effect::ShowMembership => state.show(),
                Effect::Tell(notice) => self.tell(state, notice),
                Effect::Rename => self.rename(state),
                Effect::End => self.end_for_good(state),
            }
        }
        replies
    }

    /// This instance is out of the group. Its thread sees it when the connection, or the reign, ends, and does not elect
    /// again.
    fn end_for_good(&self, state: &mut State) {
        let why = "this instance was told to stop, has not left in time, and is out of the group";
        state.note(log::Level::Warn, why.to_owned());
        state.leaving = true;
        self.changed.notify_all();
        state.calls.wake_all();
    }

    /// Tells the application of the end of a reign, now that the election is decided or takes longer.
    pub(super) fn tell_end(&self, state: &mut State) {
        if let Some((supervisor, at)) = state.untold.take() {
            self.hub.emit(&Event::Disconnected { supervisor, at });
        }
    }

    fn tell(&self, state: &mut State, notice: Notice) {
        self.tell_end(state);
        let role = state.role();
        let event = match notice {
            Notice::Welcomed(supervisor) => Event::Welcomed { supervisor, role },
            Notice::Reign(epoch, supervisor) => {
                if state.joined.is_none() {
                    state.joined = Some(Ok(()));
                }
                (state.obstructed, state.lacks) = (false, None);
                self.changed.notify_all();
                Event::Reign { epoch, supervisor, role }
            }
            Notice::Joined(entry) => Event::Joined(Entry::from_wire(&entry, state.session.supervisor())),
            Notice::Changed(entry) => Event::Changed(Entry::from_wire(&entry, state.session.supervisor())),
            Notice::Ended(entry, reason, supervisor) => {
                Event::Ended { entry: Entry::from_wire(&entry, supervisor), reason }
            }
            Notice::Pong(n) => {
                if let Some(question) = &mut state.question {
                    question.answered |= question.ping == n;
                }
                state.hung = false;
                state.ponged = state.ponged.max(n);
                return state.calls.ponged(n);
            }
            Notice::Lost(_, Resource { kind, name }, token) => Event::LockLost { kind, name, token },
            Notice::Queued(request, ahead, holder) => return state.calls.queued(request, ahead, holder),
            Notice::Granted(request) => return state.calls.wake(request),
            Notice::Denied(request, reason) => return state.calls.settle(request, Answer::Denied(reason)),
            Notice::Stored(request, version) => return state.calls.settle(request, Answer::Stored(version)),
            Notice::Conflict(request, version) => return state.calls.settle(request, Answer::Conflict(version)),
            Notice::Interrupted(request) => return state.calls.settle(request, Answer::Interrupted),
            Notice::Passed(request, leader) => return state.calls.settle(request, Answer::Passed(leader)),
            Notice::Withdrawn(request) => return state.calls.settle(request, Answer::Withdrawn),
            Notice::Delivered(request, count) => return state.calls.settle(request, Answer::Delivered(count)),
            Notice::Undelivered(request) => return state.calls.settle(request, Answer::Undelivered),
            Notice::Replied(request, bytes) => return state.calls.settle(request, Answer::Replied(bytes)),
            Notice::Failed(request, reason) => return state.calls.settle(request, Answer::Failed(reason)),
            Notice::Message(from, bytes) => Event::Message { from, bytes },
            Notice::Commanded(order) => Event::commanded(order),
            Notice::Evicted => Event::Evicted,
            Notice::Surveyed(number, rows) => {
                return state.calls.settle(Request::new(number), Answer::Surveyed(rows));
            }
            // `Rename` follows and tells both ids. A guard asks the session for its token.
            Notice::Forfeited | Notice::Raised(..) => return,
            Notice::Written(Value { key: Resource { kind: Kind::Value, name }, version, bytes, .. }) => {
                Event::State { key: name, version: Version::new(version), bytes }
            }
            Notice::Written(_) => return,
            Notice::Skipped(count) => return self.hub.skip(count),
        };
        self.hub.emit(&event);
    }

    fn rename(&self, state: &mut State) {
        let old = state.session.id();
        let is_scarcity =
            |error: &Error| matches!(error, Error::System { source, .. } if endpoint::is_scarcity(source));
        let made = new_presence(&self.settings).or_else(|error| {
            if !is_scarcity(&error) {
                return Err(error);
            }
            // All is lost under the old id, so that it may look gone.
            state.presence = None;
            new_presence(&self.settings)
        });
        match made {
            Ok((id, presence)) => {
                // The new sockets are there before the old ones go: at no time does this process look gone.
                state.presence = Some(presence);
                state.session.rename(id, new_nonce());
                self.note_id(id);
                self.hub.emit(&Event::Forfeited { old, new: id });
            }
            Err(error) => {
                if is_scarcity(&error) {
                    self.hub.emit(&Event::Starved { lacks: Lack::Descriptors });
                }
                let why = format!("cannot take a new id after forfeiting the old one: {error}");
                state.note(log::Level::Error, why);
                state.leaving = true;
            }
        }
    }
}
