//! A number of permits that all copies share.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Guard, Named};
use crate::error::Error;
use crate::ident::{Kind, Stamp};
use crate::instance::Instance;
use crate::runtime::calls::Patience;
use crate::wire::message::Mode;

/// A number of permits that all copies of the program share: licences, connections, cores. From
/// [`Instance::semaphore`].
///
/// First come, first served: who wants many is not passed by those who want few. What a copy holds comes back when it
/// dies. The limit belongs to the group: the first copy that acquires creates it with the number it brings; from then on
/// that counts, whatever numbers others bring, until [`Semaphore::resize`]. It survives the supervisor. Each name that was
/// used is one of the 16 384 keys of the [state](crate::State) and is never deleted: names are for things that stay.
///
/// There are never more permits in use than the limit allows, with one exception: the permits of a copy that was silent in
/// an election beyond the [window limit](crate::Group::window_limit) are lent again. With a limit of `None` there is none.
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
/// let licences = instance.semaphore("licences", 25);
/// let three = licences.acquire(3)?;
/// assert!(licences.try_acquire(23).is_err());
/// licences.resize(26)?;
/// assert!(licences.try_acquire(23).is_ok());
/// drop(three);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Semaphore {
    named: Named,
    limit: u32,
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named.shown(f, "Semaphore").field("limit", &self.limit).finish()
    }
}

impl Semaphore {
    pub(crate) fn new(instance: &Instance, name: &str, limit: u32) -> Self {
        Self { named: Named::new(instance, Kind::Semaphore, name), limit }
    }

    /// Blocks until it has so many permits, at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] if it is to have none. [`Error::Denied`] if that is more than the limit, also when a resize makes it so while the call waits; otherwise
    /// those of [`Mutex::lock`](super::Mutex::lock), and those of [`State::put`](crate::State::put) for the limit.
    pub fn acquire(&self, permits: u32) -> Result<Guard, Error> {
        self.acquire_within(permits, Patience::Forever)
    }

    /// The same without waiting for a holder.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::acquire`], and [`Error::WouldBlock`] with the oldest holder, or without one as from
    /// [`Mutex::try_lock`](super::Mutex::try_lock), and as exactly.
    pub fn try_acquire(&self, permits: u32) -> Result<Guard, Error> {
        self.acquire_within(permits, Patience::Try)
    }

    /// The same, waiting for holders and those ahead for at most [this long](crate#time-outs), and up to a tenth of a second
    /// longer, or to a second in all if the time is shorter, for a last answer, as from [`Mutex::lock_timeout`](super::Mutex::lock_timeout).
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::acquire`], and [`Error::TimedOut`] with the oldest holder and the place in the queue.
    pub fn acquire_timeout(&self, permits: u32, timeout: Duration) -> Result<Guard, Error> {
        self.acquire_within(permits, Patience::For(timeout))
    }

    fn acquire_within(&self, permits: u32, patience: Patience) -> Result<Guard, Error> {
        if permits == 0 {
            return Err(Error::Option { option: "permits", value: 0, limit: u32::MAX.into() });
        }
        let began = Instant::now();
        let limit = match self.limit()? {
            Some(limit) => limit,
            None => self.create(patience)?,
        };
        self.named.acquire(Mode::Permits { count: permits, limit }, patience.left(began))
    }

    /// Nobody has used the name before, as far as this instance knows: whoever is first makes the limit.
    fn create(&self, patience: Patience) -> Result<u32, Error> {
        let began = Instant::now();
        for _ in 0..TRIES {
            match self.write(Some(Stamp::default()), self.limit, patience.left(began)) {
                Ok(()) => return Ok(self.limit),
                // Somebody else was first, or has changed it since: that counts. Or it is unknown what came of it: if
                // nothing is there, nothing was written.
                Err(Error::Conflict { .. } | Error::Interrupted) => {
                    if let Some(limit) = self.limit()? {
                        return Ok(limit);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Interrupted)
    }

    /// Changes the limit for everybody; blocks until everybody has it: a call that begins after this one has returned is
    /// served under the new limit, in whatever process it is made. Holders keep what they have, even if that is more
    /// than the new limit; a call that waits for more than it is refused. With 0 nobody gets any more.
    ///
    /// # Errors
    ///
    /// Those of [`State::put`](crate::State::put).
    pub fn resize(&self, limit: u32) -> Result<(), Error> {
        self.write(None, limit, Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`State::put_timeout`](crate::State::put_timeout).
    pub fn resize_timeout(&self, limit: u32, timeout: Duration) -> Result<(), Error> {
        self.write(None, limit, Patience::For(timeout))
    }

    /// The limit as this instance knows it; `None` if nobody has used the name yet. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Forked`].
    pub fn limit(&self) -> Result<Option<u32>, Error> {
        let value = self.named.instance.shared().unforked()?.value(self.named.resource()?);
        let bytes = value.and_then(|value| value.bytes);
        Ok(bytes.and_then(|bytes| <[u8; 4]>::try_from(&*bytes).ok()).map(u32::from_be_bytes))
    }

    fn write(&self, expected: Option<Stamp>, limit: u32, patience: Patience) -> Result<(), Error> {
        let bytes = limit.to_be_bytes()[..].into();
        let key = self.named.resource()?.clone();
        self.named.instance.callable()?.put(key, expected, Some(bytes), patience).map(|_| ())
    }
}

/// How often the limit is written that nobody seems to have written. Each time but the first takes a loss of everything
/// that this instance held.
const TRIES: u32 = 16;
