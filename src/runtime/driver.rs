//! The thread that every instance has: it elects, then sits where the election put it, and begins again when that ends.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::inherit::Owned;
use super::follow::{Course, Followed, follow};
use super::reign::{self, Ended};
use super::shared::Shared;
use super::{clock, endpoint, listener as listening};
use crate::coordinator::election::{Backoff, Bound, Connected, Election, Greeted, Step, Unusable};
use crate::coordinator::session::Session;
use crate::coordinator::setbacks::Setbacks;
use crate::coordinator::supervisor::Lack;
use crate::error::{Error, PortReason};
use crate::event::Event;
use crate::ident::{InstanceId, Stamp};
use crate::wire::message::Refusal;

/// How long an instance that had a seat waits before it tries a port again that cannot be used.
const RETRY: Duration = Duration::from_millis(100);

/// What is kept from one election to the next.
#[derive(Default)]
struct Memory {
    backoff: Backoff,
    /// Why the kernel or a supervisor said no last.
    error: Option<io::Error>,
    refusal: Option<Refusal>,
    /// The own running time of winning the port for nothing, since the last open reign.
    in_vain: Duration,
    /// It has got a new id since a supervisor has welcomed it.
    was_renamed: bool,
}

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
    let mut setbacks = Setbacks::default();
    let mut memory = Memory::default();
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
                        memory.failed(shared, failed.error);
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
                        memory.failed(shared, failed.error);
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
                let Some(stream) = stream.take() else { break };
                let course = follow(shared, stream, election.patience());
                log::debug!("connection to the supervisor: {}", course.ended);
                let greeted = match &course.ended {
                    Followed::Renamed if memory.renamed_in_vain(&course) => Greeted::PutOff,
                    Followed::Disconnected | Followed::Renamed => {
                        memory.ended(shared, &course);
                        (heir, election) = elect_again(shared, lacked);
                        continue;
                    }
                    Followed::Ended => Greeted::Ended,
                    Followed::Foreign => Greeted::Foreign,
                    Followed::Starved => Greeted::Starved,
                    Followed::Refused(Refusal::Group) => Greeted::OtherGroup,
                    Followed::Refused(why) => memory.refused(why.clone()),
                };
                election.greeted(greeted, course.silent, clock::monotonic(), clock::chance());
                // Its pauses count for the election.
                memory.ended(shared, &course);
            }
            Step::Lead => {
                let Some(listener) = listener.take() else { break };
                let began = Instant::now();
                let ended = reign::preside(shared, listener);
                lacked = (ended == Ended::Lacking).then(|| shared.state().session.stamp());
                let now = clock::monotonic();
                election = match ended {
                    Ended::Left => break,
                    Ended::FailStop => after_a_failure(shared, &mut setbacks),
                    Ended::Crashed => {
                        shared.crash();
                        break;
                    }
                    Ended::Resigned | Ended::SteppedDown | Ended::Lacking => Election::resigned(now),
                };
                heir = None;
                if memory.reigned(shared, ended, began.elapsed()) {
                    break;
                }
            }
            Step::Pause(time) => {
                shared.pause(time);
                election.paused();
            }
            Step::Unusable(why) => {
                let port = shared.settings.port;
                let error = unusable(port, why, election.ran(), memory.refusal.take(), memory.error.take());
                if shared.hopeless(error) {
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

impl Memory {
    /// The kernel said no.
    fn failed(&mut self, shared: &Shared, error: io::Error) {
        if endpoint::is_scarcity(&error) {
            self.starved(shared, Lack::Descriptors);
        }
        self.error = Some(error);
    }

    fn starved(&mut self, shared: &Shared, lack: Lack) {
        shared.starves(lack);
        self.backoff.starved();
        self.pause(shared);
    }

    /// An instance whose caller still waits for its first seat tries often enough that the time counts.
    fn pause(&self, shared: &Shared) {
        let pause = self.backoff.pause(clock::chance());
        shared.pause(if shared.has_joined() { pause } else { pause.min(RETRY) });
    }

    fn refused(&mut self, why: Refusal) -> Greeted {
        let greeted = match why {
            Refusal::Leaving | Refusal::Slow | Refusal::Busy | Refusal::Attempt { .. } | Refusal::Taken => {
                Greeted::PutOff
            }
            _ => Greeted::Refused,
        };
        self.refusal = Some(why);
        greeted
    }

    /// Whether the instance has a new id because of this connection, and that for the second time before any supervisor
    /// has welcomed it. Then it does not begin anew: whatever listens there would have it do so for ever.
    fn renamed_in_vain(&mut self, course: &Course) -> bool {
        course.supervisor.is_none() && std::mem::replace(&mut self.was_renamed, true)
    }

    /// A connection to a supervisor has ended.
    fn ended(&mut self, shared: &Shared, course: &Course) {
        if let Some(supervisor) = course.supervisor {
            self.in_vain = Duration::ZERO;
            self.was_renamed = false;
            self.backoff.ended(supervisor, course.lasted);
            // Whoever elects after the end of a supervisor waits for nothing.
            if course.lacks.is_none() && !self.backoff.pause(0).is_zero() && !shared.is_gone(supervisor) {
                log::debug!("the connections to this supervisor end soon after they began; waiting");
                self.pause(shared);
            }
        }
        if let Some(lack) = course.lacks {
            self.error = None;
            self.starved(shared, lack);
        }
    }

    /// The own reign has ended after so long. Whether there is no hope for a caller that waits for the first one.
    fn reigned(&mut self, shared: &Shared, how: Ended, lasted: Duration) -> bool {
        if how == Ended::Resigned {
            return false;
        }
        let began = Instant::now();
        if how != Ended::FailStop {
            self.backoff.ended(shared.id(), lasted);
            self.pause(shared);
        }
        let ran = (lasted + began.elapsed()).min(Duration::from_secs(2));
        self.in_vain = if shared.has_joined() { Duration::ZERO } else { self.in_vain + ran };
        self.in_vain >= IN_VAIN
            && shared.hopeless(Error::System {
                attempted: "supervise the group",
                source: io::Error::other(match how {
                    Ended::Lacking => "too few descriptors or threads to spare",
                    _ => "the office had to be given up again and again",
                }),
            })
    }
}

/// After so much of its own running time as a winner who had to give the office up, an instance that was never part of an
/// open reign gives up.
const IN_VAIN: Duration = Duration::from_secs(3);

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

/// What an application hears of a verdict. `error` is what the kernel said last.
pub(crate) fn unusable(
    port: u16,
    why: Unusable,
    waited: Duration,
    refusal: Option<Refusal>,
    error: Option<io::Error>,
) -> Error {
    let reason = match (why, refusal) {
        (Unusable::Refused, Some(refusal)) => return Error::Refused(refusal),
        (Unusable::Nobody, _) => return Error::NoSupervisor,
        (Unusable::Unresponsive, _) => {
            return Error::SupervisorUnresponsive { port, waited, listener: listening::find(port) };
        }
        (Unusable::Failing, _) => match error {
            Some(error) if !endpoint::is_scarcity(&error) => PortReason::Other(error.kind()),
            error => {
                let source = error.unwrap_or_else(|| io::Error::other("no descriptor is left"));
                return Error::System { attempted: "open another socket", source };
            }
        },
        (Unusable::SourcePort, _) => PortReason::SourcePort {
            range: endpoint::port::ephemeral_range().map(|range| (*range.start(), *range.end())),
        },
        (Unusable::OtherGroup, _) => PortReason::OtherGroup,
        (Unusable::Reserved, _) => PortReason::Reserved,
        (Unusable::HangsUp, _) => PortReason::HangsUp,
        (Unusable::Foreign | Unusable::Refused, _) => PortReason::ForeignService,
    };
    Error::PortUnusable { port, reason, listener: listening::find(port) }
}
