//! A lock that one instance holds alone, or several share.

use std::fmt;
use std::time::Duration;

use super::{Guard, Named};
use crate::error::Error;
use crate::ident::Kind;
use crate::instance::Instance;
use crate::runtime::calls::Patience;
use crate::wire::message::Mode;

/// A lock that one holds to write, or any number share to read; from [`Instance::rwlock`].
///
/// First come, first served: a reader waits behind a writer that waits, so writers are not starved. A
/// thread that reads while it has a guard to read already can therefore wait for ever, as with `std::sync::RwLock`: for a
/// writer that waits for the first guard. Otherwise like
/// [`Mutex`](super::Mutex), to which the blocking, the errors and the guards are the same. [`Guard::abandoned`] is about the
/// last writer: a reader leaves nothing half done, also when it is killed.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
/// let index = instance.rwlock("index");
/// let (one, two) = (index.read()?, index.read()?);
/// assert!(index.try_write().is_err());
/// drop((one, two));
/// let alone = index.write()?;
/// assert!(alone.is_held());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RwLock(Named);

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shown(f, "RwLock").finish()
    }
}

impl RwLock {
    pub(crate) fn new(instance: &Instance, name: &str) -> Self {
        Self(Named::new(instance, Kind::RwLock, name))
    }

    /// Blocks until it is shared with this caller.
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock`](super::Mutex::lock).
    pub fn read(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Shared, Patience::Forever)
    }

    /// The same without waiting for a holder or for a writer that waits.
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::try_lock`](super::Mutex::try_lock).
    pub fn try_read(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Shared, Patience::Try)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock_timeout`](super::Mutex::lock_timeout).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.0.acquire(Mode::Shared, Patience::For(timeout))
    }

    /// Blocks until it is held alone.
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock`](super::Mutex::lock).
    pub fn write(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::Forever)
    }

    /// The same without waiting for a holder.
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::try_lock`](super::Mutex::try_lock).
    pub fn try_write(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::Try)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock_timeout`](super::Mutex::lock_timeout).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::For(timeout))
    }
}
