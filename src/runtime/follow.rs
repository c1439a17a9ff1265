//! Being a subordinate: one connection to a supervisor, from the hello to its end.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint;
use super::peer::{Peer, Watch};
use super::shared::{Seat, Shared};
use crate::coordinator::supervisor::Lack;
use crate::ident::InstanceId;
use crate::wire::message::{Purpose, Refusal, ToSupervisor};

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// The instance had been welcomed; then the connection ended.
    Disconnected,
    /// The connection ended before that.
    Ended,
    /// What answered does not speak this wire.
    Foreign,
    /// The supervisor does not take this instance in.
    Refused(Refusal),
    /// The id has ended; the instance has a new one and may try again.
    Renamed,
    /// There is no descriptor for what a member shows the kernel.
    Starved,
}

/// What is known of a connection that has ended.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) ended: Followed,
    /// Whose it was, if it was welcomed.
    pub(crate) supervisor: Option<InstanceId>,
    /// How long it lasted.
    pub(crate) lasted: Duration,
    /// For how much of the own running time the supervisor has said nothing, before the Welcome.
    pub(crate) silent: Duration,
    /// What was lacking, if it ended for that.
    pub(crate) lacks: Option<Lack>,
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("disconnected"),
            Self::Ended => f.write_str("ended before the welcome"),
            Self::Foreign => f.write_str("not this wire"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Renamed => f.write_str("ended; to be tried again under a new id"),
            Self::Starved => f.write_str("given up for want of a descriptor"),
        }
    }
}

/// How long the supervisor has to say its first word, and then again to answer a ping. On a machine that is busy with
/// hundreds of joins at once, a second each would be too short.
pub(super) const ANSWER: Duration = Duration::from_millis(1500);

/// Says hello on this connection and takes what comes until it ends. The first word is waited for so long.
pub(crate) fn follow(shared: &Shared, stream: TcpStream, patience: Duration) -> Course {
    let began = Instant::now();
    let mut course = Course {
        ended: Followed::Ended,
        supervisor: None,
        lasted: Duration::ZERO,
        silent: Duration::ZERO,
        lacks: None,
    };
    let Ok(peer) = Peer::new(stream) else { return course };
    peer.set_patience((patience / 2).min(ANSWER));
    let peer = Arc::new(peer);
    let Some(greeted) = greet(shared, &peer) else { return course };
    course.ended = greeted.map_or_else(|ended| ended, |()| read(shared, &peer));
    course.supervisor = shared.state().session.supervisor();
    shared.stand_up();
    course.lasted = began.elapsed();
    course.silent = peer.silence();
    course.lacks = match course.ended {
        Followed::Starved => Some(Lack::Descriptors),
        _ => peer.lacks_threads().then_some(Lack::Threads),
    };
    course
}

/// Builds the hello and switches the connection in one step, so that no release can fall between the two.
fn greet(shared: &Shared, peer: &Arc<Peer>) -> Option<Result<(), Followed>> {
    let frames = {
        let mut state = shared.state();
        if !state.sit(Seat::Subordinate(peer.clone())) {
            return None;
        }
        // Now that the connection is made, and not earlier: whoever will read this hello reigns already.
        if !state.show_another() {
            shared.let_go(state);
            return Some(Err(Followed::Starved));
        }
        let mut frames = state.hello();
        if shared.settings.purpose == Purpose::Observer {
            // It has no claims and nobody needs to know what it knows.
            frames.retain(|frame| {
                matches!(frame, ToSupervisor::Hello(_) | ToSupervisor::Join(_) | ToSupervisor::ClaimsEnd)
            });
            if let Some(ToSupervisor::Hello(hello)) = frames.first_mut() {
                hello.purpose = Purpose::Observer;
            }
        }
        frames.iter().for_each(|frame| peer.outbox.push(frame));
        frames
    };
    // Not before: a logger may ask this instance who it is.
    frames.iter().for_each(|frame| log::trace!("says {frame}"));
    peer.flush();
    Some(peer.stream.set_read_timeout(Some(Watch::SLICE)).map_err(|_| Followed::Ended))
}

/// Reads until the connection ends, or leaves the reading to the calls that wait for what comes.
fn read(shared: &Shared, peer: &Arc<Peer>) -> Followed {
    let mut over = false;
    loop {
        {
            let turn = peer.take_turn();
            while over || !peer.is_shared() || !peer.is_busy() {
                if let Some(ended) = peer.hear_or_end(&turn, shared) {
                    return ended;
                }
            }
        }
        // Whoever waits for an answer reads it itself: to be woken by this thread would take longer than the answer.
        // This thread only looks out for the end, until there has been no call for a while.
        shared.state().calls.hand_over();
        while peer.is_busy() && !over {
            over = endpoint::wait_hangup(&peer.stream, Peer::BUSY);
        }
    }
}
