//! A lock that one instance holds at a time.

use std::fmt;
use std::time::Duration;

use super::{Guard, Named};
use crate::error::Error;
use crate::ident::Kind;
use crate::instance::Instance;
use crate::runtime::calls::Patience;
use crate::wire::message::Mode;

/// A lock that one holds at a time, of all threads of all copies of the program; from [`Instance::mutex`].
///
/// First come, first served, also across a change of supervisor. When the holder dies the next in line has it at once,
/// and [`Guard::abandoned`] says so. It cannot be taken twice by the same thread: the second attempt waits for the first
/// guard, like `std::sync::Mutex`.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
/// let catalog = instance.mutex("catalog");
/// let guard = catalog.lock()?;
/// println!("alone, with token {}", guard.token());
/// assert!(matches!(catalog.try_lock(), Err(bellwether::Error::WouldBlock { holder: Some(_) })));
/// drop(guard);
/// assert!(catalog.try_lock().is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mutex(Named);

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shown(f, "Mutex").finish()
    }
}

impl Mutex {
    pub(crate) fn new(instance: &Instance, name: &str) -> Self {
        Self(Named::new(instance, Kind::Mutex, name))
    }

    /// Blocks until it is held.
    ///
    /// If the supervisor ends meanwhile the call goes on waiting, in its place in the queue. While it waits, the
    /// supervisor is asked every few seconds whether it answers; if not, [`Event::Hung`](crate::Event::Hung) is emitted.
    ///
    /// # Errors
    ///
    /// [`Error::Name`]. [`Error::Denied`] by the policy, because too much of what this instance asks for waits at the
    /// supervisor, or because it holds or waits for 131 072 things already. [`Error::Left`], [`Error::Forked`],
    /// [`Error::InCallback`].
    pub fn lock(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::Forever)
    }

    /// Tries to take it without waiting for a holder. Asks the supervisor: one round trip if it is free, two if it is held.
    ///
    /// It is not refused because of a holder that is known to have ended: one whose [`Guard::unlock`] has returned, or whose
    /// process has been waited for after it ended or was killed. Before the call is refused, the supervisor asks the kernel
    /// whether the holders live, and those that wait ahead. A guard that was dropped is another matter: its release may be on
    /// its way.
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock`], and [`Error::WouldBlock`] with the holder; without one while there is no supervisor, an
    /// election is on, or the supervisor does not answer within a second.
    pub fn try_lock(&self) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::Try)
    }

    /// Blocks until it is held, waiting for holders and those ahead for at most [this long](crate#time-outs), and up to a tenth
    /// of a second longer, or to a second in all if the time is shorter, for a last answer, which is as exact as that of [`Mutex::try_lock`].
    ///
    /// # Errors
    ///
    /// Those of [`Mutex::lock`], and [`Error::TimedOut`] with the holder and the place in the queue at the end.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.0.acquire(Mode::Exclusive, Patience::For(timeout))
    }
}
