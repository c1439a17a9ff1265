//! The thread that every instance has: it elects, then sits where the election put it, and begins again when that ends.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::inherit::Owned;
use super::follow::{Followed, follow};
use super::reign::{self, Ended};
use super::shared::Shared;
use super::{clock, endpoint};
use crate::coordinator::election::{Bound, Connected, Election, Greeted, Step, Unusable};
use crate::coordinator::session::Session;
use crate::coordinator::setbacks::Setbacks;
use crate::error::{Error, PortReason};
use crate::event::Event;
use crate::ident::{InstanceId, Stamp};
use crate::wire::message::Refusal;

/// How long an instance that had a seat waits before it tries a port again that cannot be used.
const RETRY: Duration = Duration::from_millis(100);

/// Runs an instance until it leaves, or until it is clear that it never gets a seat. If this thread panics, or one without
/// which there is no reign, most likely in the application's logger, the instance leaves the group: none of its sockets may
/// stay open, or others would wait for it.
pub(crate) fn run(shared: &Arc<Shared>) {
    if catch_unwind(AssertUnwindSafe(|| elect(shared))).is_err() {
        shared.crash();
    }
    shared.end();
}

fn elect(shared: &Arc<Shared>) {
    let mut election = Election::first(clock::monotonic());
    // To whom alone the port is left, if it is; otherwise it is left to anybody else.
    let mut heir = None;
    // What the last open reign had come to when it lacked what the office takes.
    let mut lacked = None;
    let mut listener: Option<Owned<TcpListener>> = None;
    let mut stream: Option<Owned<TcpStream>> = None;
    let mut refusal = None;
    let mut setbacks = Setbacks::default();
    let mut kind = ErrorKind::Other;
    while !shared.is_leaving() {
        // Also between a connection that was made and the hello on it, and between a port that was won and the window: a
        // supervisor that completes its work later than this look has no port by then, or is the one to be greeted.
        shared.look_for_notice();
        match election.step() {
            Step::Bind => {
                let outcome = match endpoint::listen(shared.settings.port) {
                    Ok(bound) => {
                        listener = Some(bound);
                        Bound::Won
                    }
                    Err(failed) => {
                        log::trace!("binding: {failed}");
                        kind = failed.error.kind();
                        failed.outcome
                    }
                };
                election.bound(outcome, clock::monotonic());
            }
            Step::Connect { timeout } => {
                let outcome = match endpoint::connect(shared.settings.port, timeout) {
                    Ok(connected) => {
                        stream = Some(connected);
                        Connected::Made
                    }
                    Err(failed) => {
                        log::trace!("connecting: {failed}");
                        kind = failed.error.kind();
                        failed.outcome
                    }
                };
                if outcome == Connected::Refused && election.is_deferring() {
                    let gone = heir.map_or_else(|| !shared.is_anybody_there(), |heir| shared.is_gone(heir));
                    if gone {
                        election.others_gone();
                    }
                }
                election.connected(outcome, clock::monotonic(), clock::chance());
            }
            Step::Greet => {
                let followed = stream.take().map_or(Followed::Ended, |stream| follow(shared, stream));
                log::debug!("connection to the supervisor: {followed}");
                let greeted = match followed {
                    Followed::Disconnected | Followed::Renamed => {
                        (heir, election) = elect_again(shared, lacked);
                        continue;
                    }
                    Followed::Ended
                    | Followed::Refused(Refusal::Leaving | Refusal::Slow | Refusal::Attempt { .. } | Refusal::Taken) => {
                        Greeted::Ended
                    }
                    Followed::Foreign => Greeted::Foreign,
                    Followed::Refused(Refusal::Group) => Greeted::OtherGroup,
                    Followed::Refused(why) => {
                        refusal = Some(why);
                        Greeted::Refused
                    }
                };
                election.greeted(greeted, clock::monotonic(), clock::chance());
            }
            Step::Lead => {
                let Some(listener) = listener.take() else { break };
                let ended = reign::preside(shared, listener);
                lacked = (ended == Ended::Lacking).then(|| shared.state().session.stamp());
                election = match ended {
                    Ended::Left => break,
                    Ended::FailStop => after_a_failure(shared, &mut setbacks),
                    Ended::Crashed => {
                        shared.crash();
                        break;
                    }
                    Ended::Resigned | Ended::SteppedDown | Ended::Lacking => Election::resigned(clock::monotonic()),
                };
                heir = None;
            }
            Step::Pause(time) => {
                shared.pause(time);
                election.paused();
            }
            Step::Unusable(why) => {
                if shared.hopeless(unusable(shared.settings.port, why, refusal.take(), kind)) {
                    break;
                }
                shared.pause(RETRY);
                election = try_again(&shared.state().session, lacked);
            }
            Step::Follow => election = Election::again(clock::monotonic()),
        }
    }
}

/// The election after a failure of the own reign. Who fails again and again leaves the port to others, and says so.
fn after_a_failure(shared: &Shared, setbacks: &mut Setbacks) -> Election {
    let (count, pause) = setbacks.note(clock::monotonic(), clock::chance());
    if count < 2 {
        return Election::again(clock::monotonic());
    }
    if count == 2 {
        log::error!("the own reign has failed again; from now on the office is left to others for a while each time");
        shared.hub.emit(&Event::FailStop);
    }
    shared.pause(pause);
    Election::resigned(clock::monotonic())
}

/// The election after the end of a connection to a supervisor, and whom it is left to.
fn elect_again(shared: &Shared, lacked: Option<Stamp>) -> (Option<InstanceId>, Election) {
    let now = clock::monotonic();
    let mut state = shared.state();
    match state.session.take_reservation() {
        None => (None, try_again(&state.session, lacked)),
        Some(heir) if heir == state.session.id() => (None, Election::first(now)),
        Some(heir) => (Some(heir), Election::reserved(now)),
    }
}

/// Who lacked what the office takes leaves the port to others, from one to the next, until one of them has opened a reign:
/// otherwise those who cannot fill it could win it in turns, and those who can never.
fn try_again(session: &Session, lacked: Option<Stamp>) -> Election {
    let now = clock::monotonic();
    if lacked == Some(session.stamp()) { Election::resigned(now) } else { Election::again(now) }
}

/// `kind` is what the kernel said last.
fn unusable(port: u16, why: Unusable, refusal: Option<Refusal>, kind: ErrorKind) -> Error {
    let reason = match (why, refusal) {
        (Unusable::Refused, Some(refusal)) => return Error::Refused(refusal),
        (Unusable::SourcePort, _) => PortReason::SourcePort {
            range: endpoint::port::ephemeral_range().map(|range| (*range.start(), *range.end())),
        },
        (Unusable::OtherGroup, _) => PortReason::OtherGroup,
        (Unusable::Reserved, _) => PortReason::Reserved,
        (Unusable::Failing, _) => PortReason::Other(kind),
        (Unusable::Foreign | Unusable::HangsUp | Unusable::Refused, _) => PortReason::ForeignService,
    };
    Error::PortUnusable { port, reason }
}
