//! Being a subordinate: one connection to a supervisor, from the hello to its end.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::{Peer, Seat, Shared};
use crate::coordinator::session::Misplaced;
use crate::wire::DecodeError;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST};
use crate::wire::message::{Purpose, Refusal, ToMember, ToSupervisor};

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
}

/// How long the supervisor has to say its first word, and then again to answer a ping. On a machine that is busy with
/// hundreds of joins at once, a second each would be too short.
const ANSWER: Duration = Duration::from_millis(1500);

/// Says hello on this connection and takes what comes until it ends.
pub(crate) fn follow(shared: &Shared, stream: TcpStream) -> Followed {
    let Ok(peer) = Peer::new(stream) else { return Followed::Ended };
    let peer = Arc::new(peer);
    let Some(followed) = greet(shared, &peer) else { return Followed::Ended };
    let ended = followed.and_then(|()| read(shared, &peer)).unwrap_or_else(|ended| ended);
    shared.stand_up();
    ended
}

/// Builds the hello and switches the connection in one step, so that no release can fall between the two.
fn greet(shared: &Shared, peer: &Arc<Peer>) -> Option<Result<(), Followed>> {
    {
        let mut state = shared.state();
        if !state.sit(Seat::Subordinate(peer.clone())) {
            return None;
        }
        // Now that the connection is made, and not earlier: whoever will read this hello reigns already.
        if !state.show_another() {
            return Some(Err(Followed::Ended));
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
        for frame in &frames {
            log::trace!("says {frame}");
            peer.outbox.push(frame);
        }
    }
    peer.flush();
    Some(peer.stream.set_read_timeout(Some(ANSWER)).map_err(|_| Followed::Ended))
}

fn read(shared: &Shared, peer: &Peer) -> Result<Followed, Followed> {
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    let mut welcomed = false;
    let mut watch = Watch { began: Instant::now(), asked: false, waits: true };
    loop {
        match (&peer.stream).read(decoder.space()) {
            Ok(0) => return Ok(if welcomed { Followed::Disconnected } else { Followed::Ended }),
            Ok(count) => decoder.filled(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                watch.silence(shared, peer);
                continue;
            }
            // Everything that came before a reset has been read by now.
            Err(_) => return Ok(if welcomed { Followed::Disconnected } else { Followed::Ended }),
        }
        loop {
            let frame = match decoder.next::<ToMember>() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Ok(undecodable(error, welcomed)),
            };
            log::trace!("hears {frame}");
            watch.heard();
            match frame {
                ToMember::Refused(refusal) => return Ok(Followed::Refused(refusal)),
                ToMember::Forfeited => {
                    let _ = shared.receive(ToMember::Forfeited);
                    return Ok(Followed::Renamed);
                }
                frame => {
                    let welcome = matches!(frame, ToMember::Welcome(_));
                    match shared.receive(frame) {
                        // A member that a newcomer could not find if it won must not ask for anything.
                        Ok(_) if welcome && !shared.is_shown() => return Ok(Followed::Ended),
                        Ok(replies) => answer(peer, &replies),
                        Err(Misplaced(why)) => {
                            log::warn!("the supervisor broke the protocol: {why}");
                            return Ok(if welcomed { Followed::Disconnected } else { Followed::Foreign });
                        }
                    }
                    if welcome {
                        welcomed = true;
                        watch.stop(peer);
                    }
                }
            }
        }
    }
}

fn undecodable(error: DecodeError, welcomed: bool) -> Followed {
    log::warn!("the supervisor's bytes make no sense: {error}");
    if welcomed { Followed::Disconnected } else { Followed::Foreign }
}

fn answer(peer: &Peer, replies: &[ToSupervisor]) {
    if replies.is_empty() {
        return;
    }
    for reply in replies {
        peer.outbox.push(reply);
    }
    peer.flush();
}

/// Notices a supervisor that says nothing. It only reports: nothing is closed, and nobody is taken for dead.
struct Watch {
    began: Instant,
    /// A ping was sent and nothing was heard since.
    asked: bool,
    waits: bool,
}

impl Watch {
    fn silence(&mut self, shared: &Shared, peer: &Peer) {
        if !self.waits {
            return;
        }
        if !self.asked {
            // The window may be open for long; a living supervisor answers meanwhile. Only a second silence, which
            // began after this thread ran again, is reported.
            self.asked = true;
            answer(peer, &[ToSupervisor::Ping(0)]);
            return;
        }
        shared.unresponsive(None, self.began.elapsed());
        self.stop(peer);
    }

    fn heard(&mut self) {
        self.asked = false;
    }

    /// From here on nothing wakes the thread but the supervisor.
    fn stop(&mut self, peer: &Peer) {
        if std::mem::replace(&mut self.waits, false) {
            let _ = peer.stream.set_read_timeout(None);
        }
    }
}
