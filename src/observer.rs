//! A look at a group from outside.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use crate::coordinator::election::Connected;
use crate::entry::Entry;
use crate::error::{Error, PortReason};
use crate::event::Event;
use crate::ident::{Epoch, InstanceId};
use crate::instance;
use crate::runtime::calls::Patience;
use crate::runtime::follow::{Followed, follow};
use crate::runtime::presence::RollCall;
use crate::runtime::shared::{Seat, Shared};
use crate::runtime::{endpoint, lock, spawn};
use crate::state::State;
use crate::sync::LockStatus;
use crate::wire::message::Refusal;

/// Reads the registry without being in it: it never becomes supervisor and nobody waits for it.
///
/// It follows the group from reign to reign. Dropping it ends it. In a forked child it shows nothing, as an
/// [`Instance`](crate::Instance) does.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let group = bellwether::Group::new("photo-sync")?.port(port);
/// let instance = group.clone().join()?;
/// let observer = group.observe()?;
/// assert_eq!(observer.registry(), instance.registry());
/// assert_eq!(observer.supervisor(), Some(instance.id()));
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How long a connect may take.
const CONNECT: Duration = Duration::from_millis(100);
/// How often an observer looks for the next supervisor.
const RETRY: Duration = Duration::from_millis(10);
/// How often the first connection is tried again while members are there and none of them answers, as happens during an
/// election.
const TRIES: u32 = 500;

impl Observer {
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let thread = {
            let shared = shared.clone();
            spawn("bw-observer", move || watch(&shared))
        };
        let thread = thread.map_err(|source| Error::System { attempted: "start a thread", source })?;
        let observer = Self { shared, thread: Mutex::new(Some(thread)) };
        observer.shared.wait_joined(None)?;
        Ok(observer)
    }

    /// Every instance of the group once, in the order of their ids. Does not block.
    pub fn registry(&self) -> Vec<Entry> {
        self.shared.registry()
    }

    /// The values that the instances of the group share. An observer may write them, too: when everybody has the value it
    /// is done, and if the supervisor ends meanwhile that is [`Error::Interrupted`].
    pub fn state(&self) -> State<'_> {
        State::new(&self.shared)
    }

    /// Returns every lock that is held or waited for and every barrier at which instances wait, as
    /// [`crate::Instance::locks`].
    ///
    /// # Errors
    ///
    /// [`Error::Left`] if the observer has ended, [`Error::TimedOut`], [`Error::Forked`].
    pub fn locks_timeout(&self, timeout: Duration) -> Result<Vec<LockStatus>, Error> {
        instance::locks(self.unforked()?, Patience::For(timeout))
    }

    /// The last reign it saw.
    pub fn epoch(&self) -> Epoch {
        self.shared.look().map_or_else(Epoch::default, |state| state.session.stamp().epoch)
    }

    /// Who reigns; `None` between two reigns.
    pub fn supervisor(&self) -> Option<InstanceId> {
        self.shared.look()?.session.supervisor()
    }

    /// The group's supervisor port.
    pub fn port(&self) -> u16 {
        self.shared.settings.port
    }

    /// A channel of everything that happens from now on, as [`crate::Instance::events`].
    pub fn events(&self) -> Receiver<Event> {
        self.shared.subscribe()
    }

    pub(crate) fn unforked(&self) -> Result<&Shared, Error> {
        if self.shared.is_forked() { Err(Error::Forked) } else { Ok(&self.shared) }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("group", &self.shared.settings.group)
            .field("port", &self.port())
            .field("supervisor", &self.supervisor())
            .finish_non_exhaustive()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if self.shared.is_forked() {
            // As an instance does there.
            let _ = endpoint::inherit::close_inherited();
            if let Ok(mut thread) = self.thread.try_lock() {
                std::mem::forget(thread.take());
            }
            return;
        }
        if let Some(Seat::Subordinate(peer)) = self.shared.begin_leaving() {
            let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

fn is_nobody_there(shared: &Shared) -> bool {
    match shared.roll_call() {
        RollCall::Everyone(ids) => ids.is_empty(),
        RollCall::Somebody(somebody) => !somebody,
        RollCall::Unknown => true,
    }
}

fn watch(shared: &Shared) {
    let port = shared.settings.port;
    let (mut tries, began) = (0, Instant::now());
    while !shared.is_leaving() {
        let (followed, failed) = match endpoint::connect(port, CONNECT) {
            Ok(stream) => (Some(follow(shared, stream)), None),
            Err(failed) => (None, Some(failed)),
        };
        let outcome = failed.as_ref().map(|failed| failed.outcome);
        let error = match followed {
            Some(Followed::Disconnected | Followed::Renamed) => {
                tries = 0;
                continue;
            }
            Some(Followed::Ended | Followed::Refused(Refusal::Leaving | Refusal::Slow)) if tries < TRIES => None,
            Some(Followed::Refused(Refusal::Group)) => {
                Some(Error::PortUnusable { port, reason: PortReason::OtherGroup })
            }
            Some(Followed::Refused(refusal)) => Some(Error::Refused(refusal)),
            Some(Followed::Ended | Followed::Foreign) => {
                Some(Error::PortUnusable { port, reason: PortReason::ForeignService })
            }
            // Between two reigns nobody listens, but somebody is there.
            None if outcome == Some(Connected::Refused) && is_nobody_there(shared) => Some(Error::NoSupervisor),
            None if tries < TRIES => None,
            None => Some(match failed {
                Some(failed) if failed.outcome == Connected::Failed => {
                    Error::PortUnusable { port, reason: PortReason::Other(failed.error.kind()) }
                }
                Some(failed) if failed.outcome == Connected::TimedOut => {
                    Error::SupervisorUnresponsive { pid: None, waited: began.elapsed() }
                }
                _ => Error::NoSupervisor,
            }),
        };
        if error.is_some_and(|error| shared.hopeless(error)) {
            break;
        }
        tries += 1;
        shared.pause(RETRY);
    }
    shared.end();
}
