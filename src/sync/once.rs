//! Something that is done once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Named;
use crate::error::Error;
use crate::ident::{Kind, Stamp};
use crate::instance::Instance;
use crate::runtime::calls::Patience;
use crate::wire::message::Mode;

/// Something that is done once by all copies of the program together, and whose result all of them get; from
/// [`Instance::once`].
///
/// The closure runs in one process. If it fails, or that process dies, the next in line runs its own: so it can run more
/// than once, but only one result is ever returned, to everybody the same. A complete restart of the group forgets it;
/// until then its name is one of the 16 384 keys of the [state](crate::State), its result counts among their bytes, and
/// neither is ever deleted.
///
/// A closure that runs what it is part of itself waits for itself.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
/// let migrate = instance.once("migrate");
/// assert_eq!(migrate.run(|| Ok(b"schema 7".to_vec()))?, b"schema 7");
/// assert_eq!(migrate.run(|| unreachable!("it was done"))?, b"schema 7");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Once(Named);

/// What the closure of a [`Once`] may fail with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shown(f, "Once").finish()
    }
}

impl Once {
    pub(crate) fn new(instance: &Instance, name: &str) -> Self {
        Self(Named::new(instance, Kind::Once, name))
    }

    /// The result; runs the closure if there is none yet and nobody else is at it. Blocks while somebody else is.
    ///
    /// Nobody gets a result, whoever computed it included, before every instance that is connected has it. After the first
    /// time the call asks nobody. When it returns because the closure has failed, the supervisor has heard so, and the next
    /// caller runs its own without waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with what the closure returned: the next caller runs its own. [`Error::Option`] if the result has
    /// more than 1 MiB, [`Error::Denied`] by the policy or if the state has no room for it. [`Error::Interrupted`] if it is
    /// unknown whether it was written, after several supervisors in a row have ended. Otherwise those of
    /// [`Mutex::lock`](super::Mutex::lock).
    pub fn run(&self, work: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Error> {
        self.run_within(Patience::Forever, work)
    }

    /// The same without waiting for another one who runs it.
    ///
    /// # Errors
    ///
    /// Those of [`Once::run`], and [`Error::WouldBlock`] with who runs it, or without as from
    /// [`Mutex::try_lock`](super::Mutex::try_lock).
    pub fn try_run(&self, work: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Error> {
        self.run_within(Patience::Try, work)
    }

    /// The same, waiting for another one who runs it for at most [this long](crate#time-outs).
    /// The own closure takes as long as it takes, and so does the writing of its result.
    ///
    /// # Errors
    ///
    /// Those of [`Once::run`], and [`Error::TimedOut`] with who runs it.
    pub fn run_timeout(
        &self,
        timeout: Duration,
        work: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Error> {
        self.run_within(Patience::For(timeout), work)
    }

    fn run_within(
        &self,
        patience: Patience,
        work: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Error> {
        let resource = self.0.resource()?;
        let shared = self.0.instance.callable()?;
        if let Some(known) = shared.known_result(resource) {
            return Ok(known.to_vec());
        }
        let here = || shared.value(resource).and_then(|value| value.bytes);
        // That it is here does not mean that everybody has it: whoever wrote it may be dead. The supervisor says so when it
        // is asked to write another one. For that it does not matter who runs what, or has not said yet that it is done.
        if let Some(found) = here() {
            return self.settle(found, patience);
        }
        let alone = self.0.acquire(Mode::Exclusive, patience)?;
        let bytes = match here() {
            Some(found) => found,
            None => match work() {
                Ok(bytes) => bytes.into(),
                Err(failure) => {
                    // Whoever hears of the failure finds nobody at it.
                    let _ = alone.unlock();
                    return Err(Error::Failed(failure));
                }
            },
        };
        self.settle(bytes, Patience::Forever)
    }

    /// Makes it the result, unless there is one, and returns the result there is, when everybody has it.
    fn settle(&self, bytes: Arc<[u8]>, patience: Patience) -> Result<Vec<u8>, Error> {
        let resource = self.0.resource()?;
        let shared = self.0.instance.callable()?;
        for _ in 0..TRIES {
            match shared.put(resource.clone(), Some(Stamp::default()), Some(bytes.clone()), patience) {
                Ok(version) => {
                    shared.note_result(resource, version);
                    return Ok(bytes.to_vec());
                }
                Err(Error::Conflict { version }) => {
                    if let Some(result) = shared.value(resource).and_then(|value| value.bytes) {
                        shared.note_result(resource, version.stamp());
                        return Ok(result.to_vec());
                    }
                }
                // Somebody else's result is there. Asked again, the supervisor says which.
                Err(Error::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Interrupted)
    }
}

/// How often a result is written whose fate is unknown. Each time but the first takes another death of a supervisor.
const TRIES: u32 = 16;
