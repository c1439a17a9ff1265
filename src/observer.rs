//! A look at a group from outside.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::Receiver;

use crate::coordinator::election::{Backoff, Connected, Election, Greeted, Step};
use crate::entry::Entry;
use crate::error::Error;
use crate::event::Event;
use crate::ident::{Epoch, InstanceId};
use crate::instance;
use crate::runtime::calls::Patience;
use crate::runtime::driver::unusable;
use crate::runtime::follow::{Followed, follow};
use crate::runtime::presence::RollCall;
use crate::runtime::shared::{Seat, Shared};
use crate::runtime::{clock, endpoint, lock, spawn};
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

/// How long an observer that has seen a reign waits before it tries a port again that cannot be used.
const RETRY: Duration = Duration::from_millis(100);

impl Observer {
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let thread = {
            let shared = shared.clone();
            spawn("bw-observer", move || {
                if catch_unwind(AssertUnwindSafe(|| watch(&shared))).is_err() {
                    shared.crash();
                }
                shared.end();
            })
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
    let mut election = Election::observing(clock::monotonic());
    let mut backoff = Backoff::default();
    let (mut stream, mut refusal, mut error) = (None, None, None);
    while !shared.is_leaving() {
        match election.step() {
            Step::Connect { timeout } => {
                let outcome = match endpoint::connect(port, timeout) {
                    Ok(connected) => {
                        stream = Some(connected);
                        Connected::Made
                    }
                    Err(failed) => {
                        error = Some(failed.error);
                        failed.outcome
                    }
                };
                // Between two reigns nobody listens, but somebody is there.
                if outcome == Connected::Refused && is_nobody_there(shared) && shared.hopeless(Error::NoSupervisor) {
                    break;
                }
                election.connected(outcome, clock::monotonic(), clock::chance());
            }
            Step::Greet => {
                let Some(stream) = stream.take() else { break };
                let course = follow(shared, stream, election.patience());
                let greeted = match course.ended {
                    Followed::Disconnected | Followed::Renamed => {
                        if let Some(supervisor) = course.supervisor {
                            backoff.ended(supervisor, course.lasted);
                        }
                        shared.pause(backoff.pause(clock::chance()));
                        election = Election::observing(clock::monotonic());
                        continue;
                    }
                    Followed::Ended => Greeted::Ended,
                    Followed::Foreign => Greeted::Foreign,
                    Followed::Starved => Greeted::Starved,
                    Followed::Refused(Refusal::Group) => Greeted::OtherGroup,
                    Followed::Refused(why) => {
                        let put_off = matches!(why, Refusal::Leaving | Refusal::Slow | Refusal::Busy | Refusal::Taken);
                        refusal = Some(why);
                        if put_off { Greeted::PutOff } else { Greeted::Refused }
                    }
                };
                election.greeted(greeted, course.silent, clock::monotonic(), clock::chance());
            }
            Step::Pause(time) => {
                shared.pause(time);
                election.paused();
            }
            Step::Unusable(why) => {
                if shared.hopeless(unusable(port, why, election.ran(), refusal.take(), error.take())) {
                    break;
                }
                shared.pause(RETRY);
                election = Election::observing(clock::monotonic());
            }
            // It never binds, and what it follows has ended.
            Step::Bind | Step::Lead | Step::Follow => break,
        }
    }
}
