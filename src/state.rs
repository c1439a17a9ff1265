//! The state: a small map of named values that every instance has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::ident::{Kind, Name, Resource, Stamp, Version};
use crate::runtime::calls::Patience;
use crate::runtime::shared::Shared;
use crate::text::Size;
use crate::wire::message::Value;

/// A small map of named values, of which every instance has a copy: configuration, for instance. From
/// [`Instance::state`](crate::Instance::state) and [`Observer::state`](crate::Observer::state).
///
/// Reading asks nobody. A write goes through the supervisor, which puts all writes into one order and sends them to
/// everyone in it; it returns when it lies in the kernel for everyone who is connected. A read of the key after that, in
/// any instance that is connected, returns this value or a later one: reading takes in first what has come. (Without the
/// feature `native`, or elsewhere than on Linux, it may take some moments more.) An instance that has lost its connection,
/// for instance because it was stopped for long, reads its old copy until it is back. [`Event::State`](crate::Event::State)
/// tells of each write that reaches this instance, and [`Event::Missed`](crate::Event::Missed) that there were others:
/// then read again. What was acknowledged survives the supervisor; a complete restart of the group forgets everything. Who
/// reads a value before its writer is told that the write is done can have read one that is gone again after the death of
/// the supervisor.
///
/// A value has up to 1 MiB, all keys and values together 4 MiB, and there are up to 16 384 keys: deleted ones are
/// included, and every name of a [`Semaphore`](crate::sync::Semaphore) or a [`Once`](crate::sync::Once) that was used.
///
/// ```
/// use bellwether::{Error, Group};
///
/// # fn main() -> Result<(), Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// # let group = Group::new("photo-sync")?.port(port);
/// let instance = group.clone().join()?;
/// let other = group.join()?;
/// let first = instance.state().put("bandwidth", "10 MB/s")?;
///
/// let value = other.state().get("bandwidth").expect("it was written");
/// assert_eq!((&*value.bytes, value.version), (&b"10 MB/s"[..], first));
///
/// other.state().put_if("bandwidth", Some(first), "20 MB/s")?; // nobody has written it meanwhile
/// let late = instance.state().put_if("bandwidth", Some(first), "5 MB/s");
/// assert!(matches!(late, Err(Error::Conflict { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct State<'a> {
    shared: &'a Shared,
}

/// One value of the state.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateValue {
    /// The bytes.
    pub bytes: Arc<[u8]>,
    /// Which write made it.
    pub version: Version,
}

impl<'a> State<'a> {
    pub(crate) const fn new(shared: &'a Shared) -> Self {
        Self { shared }
    }

    /// The value of a key; `None` if it has none, if the key is no name, and in a forked child. Does not block. During an
    /// election it is the last one before it.
    pub fn get(&self, key: &str) -> Option<StateValue> {
        self.unforked()?;
        StateValue::from_wire(self.shared.value(&resource(key).ok()?)?)
    }

    /// All keys that have a value; none in a forked child. Does not block.
    pub fn snapshot(&self) -> BTreeMap<Name, StateValue> {
        let values = self.unforked().map(Shared::values).unwrap_or_default().into_iter();
        values.filter_map(|value| Some((value.key.name.clone(), StateValue::from_wire(value)?))).collect()
    }

    /// Writes a value, whatever the key had before. Blocks until everyone who is connected can read it, and while an
    /// election is on; a write that the end of a supervisor interrupts is done by the next one.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] if the key is none, [`Error::Option`] if the value is too large. [`Error::Denied`] by the policy, if
    /// the state is full, or because too much of what this instance asks for waits at the supervisor.
    /// [`Error::Interrupted`] if the connection to the supervisor has ended, mostly with it, and the key has been
    /// written by somebody else since, so that it is unknown whether this write came before that. [`Error::Left`],
    /// [`Error::Forked`], [`Error::InCallback`].
    pub fn put(&self, key: &str, bytes: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.write(key, None, Some(bytes.as_ref()), Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs). At the supervisor's own instance it takes up to 0.4 seconds longer for each
    /// subordinate that stands still with full buffers; once, since its connection is given up then.
    ///
    /// # Errors
    ///
    /// Those of [`State::put`], and [`Error::TimedOut`]: then the write may have been done, or may still be done.
    pub fn put_timeout(&self, key: &str, bytes: impl AsRef<[u8]>, timeout: Duration) -> Result<Version, Error> {
        self.write(key, None, Some(bytes.as_ref()), Patience::For(timeout))
    }

    /// Writes a value only if the key still has this version, as [`State::get`] gave it; `None`: only if it has no value.
    ///
    /// # Errors
    ///
    /// Those of [`State::put`], and [`Error::Conflict`]; nothing was written then.
    pub fn put_if(&self, key: &str, version: Option<Version>, bytes: impl AsRef<[u8]>) -> Result<Version, Error> {
        self.write_if(key, version, bytes.as_ref(), Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`State::put_if`], and [`Error::TimedOut`]: then the write may have been done, or may still be done.
    pub fn put_if_timeout(
        &self,
        key: &str,
        version: Option<Version>,
        bytes: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> Result<Version, Error> {
        self.write_if(key, version, bytes.as_ref(), Patience::For(timeout))
    }

    /// Deletes a value. It is no error if there is none. Blocks as [`State::put`].
    ///
    /// # Errors
    ///
    /// Those of [`State::put`].
    pub fn delete(&self, key: &str) -> Result<Version, Error> {
        self.write(key, None, None, Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`State::put_timeout`].
    pub fn delete_timeout(&self, key: &str, timeout: Duration) -> Result<Version, Error> {
        self.write(key, None, None, Patience::For(timeout))
    }

    /// Deletes a value only if it still has this version.
    ///
    /// # Errors
    ///
    /// Those of [`State::put_if`].
    pub fn delete_if(&self, key: &str, version: Version) -> Result<Version, Error> {
        self.write(key, Some(version.stamp()), None, Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`State::put_if_timeout`].
    pub fn delete_if_timeout(&self, key: &str, version: Version, timeout: Duration) -> Result<Version, Error> {
        self.write(key, Some(version.stamp()), None, Patience::For(timeout))
    }

    /// In a forked child the copy is the parent's, and its lock may be in the hands of a thread that does not exist there.
    fn unforked(&self) -> Option<&Shared> {
        (!self.shared.is_forked()).then_some(self.shared)
    }

    fn write(
        &self,
        key: &str,
        expected: Option<Stamp>,
        bytes: Option<&[u8]>,
        patience: Patience,
    ) -> Result<Version, Error> {
        self.shared.callable()?.put(resource(key)?, expected, bytes.map(Arc::from), patience).map(Version::new)
    }

    fn write_if(
        &self,
        key: &str,
        version: Option<Version>,
        bytes: &[u8],
        patience: Patience,
    ) -> Result<Version, Error> {
        if let Some(version) = version {
            return self.write(key, Some(version.stamp()), Some(bytes), patience);
        }
        let began = Instant::now();
        let mut expected = self.vacant(key)?.unwrap_or_default();
        loop {
            match self.write(key, Some(expected), Some(bytes), patience.left(began)) {
                // If it was written and deleted meanwhile it has no value still, and nothing else was asked for.
                Err(conflict @ Error::Conflict { .. }) => match self.vacant(key)? {
                    Some(now) if now != expected => expected = now,
                    _ => return Err(conflict),
                },
                Err(Error::TimedOut { .. }) => return Err(Error::timed_out(began.elapsed())),
                done => return done,
            }
        }
    }

    /// The version of a key that has no value: that of its deletion, or zero if it was never written. `None`: it has one.
    fn vacant(&self, key: &str) -> Result<Option<Stamp>, Error> {
        // A forked child may not even look.
        let value = self.shared.callable()?.value(&resource(key)?);
        Ok(value.map_or(Some(Stamp::default()), |value| value.bytes.is_none().then_some(value.version)))
    }
}

impl StateValue {
    fn from_wire(value: Value) -> Option<Self> {
        Some(Self { bytes: value.bytes?, version: Version::new(value.version) })
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared } = self;
        let mut shown = f.debug_struct("State");
        shown.field("group", &shared.settings.group).field("instance", &shared.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for StateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, version } = self;
        f.debug_struct("StateValue").field("bytes", &Size::of(bytes)).field("version", version).finish()
    }
}

fn resource(key: &str) -> Result<Resource, Error> {
    Ok(Resource::new(Kind::Value, Name::new(key)?))
}
