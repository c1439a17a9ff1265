//! One joined instance, as the application holds it.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use crate::entry::{Entry, Role};
use crate::error::Error;
use crate::event::Event;
use crate::ident::{Epoch, InstanceId};
use crate::office::Office;
use crate::runtime::calls::{Patience, TRY};
use crate::runtime::endpoint::inherit;
use crate::runtime::lock;
use crate::runtime::outbox::Outbox;
use crate::runtime::reign::{Ended, Reign};
use crate::runtime::shared::{Seat, Shared};
use crate::state::State;
use crate::sync::{Barrier, LockStatus, Mutex, Once, RwLock, Semaphore};
use crate::wire::message::ToSupervisor;

/// One member of a group.
///
/// Clones are the same instance; it leaves when the last of them is dropped, or with [`Instance::leave`]. It may be used
/// from any number of threads.
///
/// # Caveats
///
/// A forked child that has not called `exec` inherits the sockets of its parent, and hides the parent's death from the
/// group while it keeps them open. Its calls on the parent's instance fail with [`Error::Forked`]. What cannot fail shows
/// nothing there: a subordinate with the parent's id in epoch 0, an empty registry, and events that have ended. On Linux with
/// the feature `native` the child can let go of the parent's sockets and [join again](crate#daemons-and-pre-fork-servers).
/// Children started through [`std::process::Command`] inherit nothing.
///
/// A policy or a request handler ([`Group::policy`](crate::Group::policy), [`Group::on_request`](crate::Group::on_request))
/// may read what its own instance knows, release what it holds and leave; every call that asks the supervisor or waits
/// fails there with [`Error::InCallback`].
#[derive(Clone)]
pub struct Instance {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    driver: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Instance {
    pub(crate) fn new(shared: Arc<Shared>, driver: JoinHandle<()>) -> Self {
        Self { handle: Arc::new(Handle { shared, driver: std::sync::Mutex::new(Some(driver)) }) }
    }

    /// What this instance is at the moment. During an election it is a subordinate.
    pub fn role(&self) -> Role {
        self.shared().look().map_or(Role::Subordinate, |state| state.role())
    }

    /// Its id. It changes only with [`Event::Forfeited`].
    pub fn id(&self) -> InstanceId {
        self.shared().id()
    }

    /// The reign that this instance was part of last; during an election that is the one that ended.
    pub fn epoch(&self) -> Epoch {
        self.shared().look().map_or_else(Epoch::default, |state| state.session.stamp().epoch)
    }

    /// Every instance of the group once, the supervisor and this one included, in the order of their ids.
    ///
    /// Does not block and sends nothing: every instance holds a copy. During an election it is the last one before it.
    pub fn registry(&self) -> Vec<Entry> {
        self.shared().registry()
    }

    /// A channel of everything that happens from now on. Works in `crossbeam::channel::select!`.
    ///
    /// It holds 1024 events, 16 MiB of messages and commands, and 16 MiB of values. A receiver that lags further behind
    /// misses some, and finds [`Event::Missed`] in their place as soon as it has read what was kept. Messages and commands
    /// that come before the first call of this method are kept within the same bounds, and are in the channel that it
    /// returns. The channel ends when the instance leaves, without a further event.
    ///
    /// ```
    /// use bellwether::{EndReason, Event, Group};
    ///
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// let group = Group::new("photo-sync")?.port(port);
    /// let instance = group.clone().join()?;
    /// let events = instance.events();
    /// drop(group.label("visitor").join()?);
    /// for event in &events {
    ///     match event {
    ///         Event::Joined(entry) => println!("{} is there", entry.label),
    ///         Event::Ended { entry, reason } => {
    ///             assert_eq!((entry.label.as_str(), reason), ("visitor", EndReason::Left));
    ///             break;
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Receiver<Event> {
        self.shared().subscribe()
    }

    /// Blocks until this instance is the supervisor, and returns the guard of work that only the supervisor does.
    ///
    /// While it waits, the present supervisor is asked every few seconds whether it answers; if not, [`Event::Hung`] is
    /// emitted.
    ///
    /// ```
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// # let group = bellwether::Group::new("photo-sync")?.port(port);
    /// let instance = group.join()?;
    /// let office = instance.office()?; // the first copy has it at once, the others wait
    /// println!("tidying up, with token {}", office.token());
    /// drop(office); // from here on it can be handed over
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Left`], [`Error::Forked`], [`Error::InCallback`].
    pub fn office(&self) -> Result<Office, Error> {
        self.office_within(None)
    }

    /// The same without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::office`], and [`Error::WouldBlock`].
    pub fn try_office(&self) -> Result<Office, Error> {
        self.office_within(Some(Duration::ZERO))
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Instance::office`], and [`Error::TimedOut`].
    pub fn office_timeout(&self, timeout: Duration) -> Result<Office, Error> {
        // Zero is the form that does not wait and has another error.
        self.office_within(Some(timeout.max(Duration::from_nanos(1))))
    }

    fn office_within(&self, timeout: Option<Duration>) -> Result<Office, Error> {
        let epoch = self.callable()?.take_office(timeout)?;
        Ok(Office::new(self.clone(), epoch))
    }

    /// The lock of this name that one holds at a time: see [`Mutex`]. Sends nothing.
    pub fn mutex(&self, name: &str) -> Mutex {
        Mutex::new(self, name)
    }

    /// The lock of this name that one holds alone or several share: see [`RwLock`]. Sends nothing.
    pub fn rwlock(&self, name: &str) -> RwLock {
        RwLock::new(self, name)
    }

    /// The permits of this name, and how many there are if nobody has used the name yet: see [`Semaphore`]. Sends nothing.
    pub fn semaphore(&self, name: &str, limit: u32) -> Semaphore {
        Semaphore::new(self, name, limit)
    }

    /// The place of this name where so many wait for each other: see [`Barrier`]. Sends nothing.
    pub fn barrier(&self, name: &str, parties: u32) -> Barrier {
        Barrier::new(self, name, parties)
    }

    /// What is done once under this name: see [`Once`]. Sends nothing.
    pub fn once(&self, name: &str) -> Once {
        Once::new(self, name)
    }

    /// The values that all instances share: see [`State`].
    pub fn state(&self) -> State<'_> {
        State::new(self.shared())
    }

    /// Returns every lock that is held or waited for, by kind and name, then every barrier at which instances wait. Asks the
    /// supervisor, and blocks until it has answered: during an election until that is over.
    ///
    /// Each row is true of one moment. Where there are thousands of rows, the supervisor lists them in parts and serves
    /// others in between, so that two rows need not be of the same moment.
    ///
    /// # Errors
    ///
    /// [`Error::Left`], [`Error::Forked`], [`Error::InCallback`].
    pub fn locks(&self) -> Result<Vec<LockStatus>, Error> {
        self.locks_within(Patience::Forever)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Instance::locks`], and [`Error::TimedOut`].
    pub fn locks_timeout(&self, timeout: Duration) -> Result<Vec<LockStatus>, Error> {
        self.locks_within(Patience::For(timeout))
    }

    fn locks_within(&self, patience: Patience) -> Result<Vec<LockStatus>, Error> {
        locks(self.callable()?, patience)
    }

    /// Hands the office over and stays as a subordinate. Blocks until every [`Office`] guard of this instance is dropped
    /// and another instance reigns, which takes about a millisecond if the others run.
    ///
    /// Request handlers that run have a second to answer, as with [`Instance::leave`]; within that, no request or message is
    /// lost to the change.
    ///
    /// No instance that runs loses anything it holds. As in every election, one that stands still for longer than the
    /// [window limit](crate::Group::window_limit) of the next supervisor does. An instance of a newer
    /// [version](crate::Group::version) goes first, if there is one and [`Group::succession`](crate::Group::succession) is
    /// on. If none of the others takes the office within a second of trying, this instance takes it again, and that is no
    /// error.
    ///
    /// ```
    /// use bellwether::{Error, Group, Role};
    ///
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// let group = Group::new("photo-sync")?.port(port);
    /// let old = group.clone().join()?;
    /// assert!(matches!(old.resign(), Err(Error::NoHeir)));
    /// let heir = group.join()?;
    /// old.resign()?;
    /// assert_eq!((old.role(), heir.role()), (Role::Subordinate, Role::Supervisor));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotSupervisor`], also if the office was handed over meanwhile, [`Error::NoHeir`] if it is alone,
    /// [`Error::Left`], [`Error::Forked`], [`Error::InCallback`].
    pub fn resign(&self) -> Result<(), Error> {
        self.resign_within(None)
    }

    /// The same with a [time-out](crate#time-outs), which is for the guards. If the time passes while a guard is held, nothing
    /// has happened; if it passes later, the office is handed over all the same, and request handlers that run have no more
    /// time than the call.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::resign`], and [`Error::TimedOut`].
    pub fn resign_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.resign_within(Some(timeout))
    }

    fn resign_within(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let began = Instant::now();
        let shared = self.callable()?;
        let (reign, epoch) = shared.prepare_resignation(began, timeout)?;
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        reign.stop(Ended::Resigned, left.unwrap_or(Reign::DRAIN).min(Reign::DRAIN));
        // The election is no more than a round trip, unless somebody is missing.
        shared.wait_after(epoch, began, timeout.map(|timeout| timeout.max(TRY)))
    }

    /// Leaves the group. What it held is released: a `try_lock` that begins after this call has returned does not find it
    /// held, unless the group is between two supervisors. The others see it end as left (as failed if it leaves during an
    /// election). Other clones see [`Error::Left`] from then on. Dropping the last clone does
    /// the same.
    ///
    /// Blocks until all its sockets are closed: if it was the last one, the port is free afterwards.
    ///
    /// - A subordinate also waits, for at most 200 ms, until the supervisor has taken it out of the registry. After that a
    ///   message to it is [`Error::Unreachable`] at once. Only a supervisor that stands still takes longer, and takes it out
    ///   when it runs again.
    /// - The supervisor also waits, for at most a second, for its request handlers that run, so that their answers arrive.
    ///   A request that takes longer is [`Error::Interrupted`] at its caller. A request or a message that was not begun with
    ///   goes to the next supervisor. A subordinate that stands still with full buffers takes up to 0.2 seconds more.
    ///
    /// The [events](Instance::events) just end: an instance that leaves gets no [`Event::Disconnected`]. A request handler
    /// that leaves is not waited for, and its own request is [`Error::Failed`].
    pub fn leave(&self) {
        self.handle.leave();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// What a call uses that asks the supervisor or waits.
    pub(crate) fn callable(&self) -> Result<&Shared, Error> {
        self.shared().callable()
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared().settings;
        f.debug_struct("Instance")
            .field("group", &settings.group)
            .field("port", &settings.port)
            .field("id", &self.id())
            .field("role", &self.role())
            .finish_non_exhaustive()
    }
}

/// Asks who holds what. The registry is read afterwards, so that it knows whoever the answer names, or did.
pub(crate) fn locks(shared: &Shared, patience: Patience) -> Result<Vec<LockStatus>, Error> {
    let survey = shared.survey(patience)?;
    let registry = shared.registry();
    let registry = registry.iter().map(|entry| (entry.id, entry)).collect();
    let locks = survey.locks.iter().map(|row| LockStatus::from_wire(row, &registry));
    let barriers = survey.barriers.iter().map(|row| LockStatus::from_barrier(row, &registry));
    Ok(locks.chain(barriers).collect())
}

impl Handle {
    /// In a forked child: lets go of what is the parent's.
    fn disown(&self) {
        // What cannot be closed now is an error of the next `join`.
        let _ = inherit::close_inherited();
        // The thread is none of this process. Its lock can be held by another thread of the parent.
        if let Ok(mut driver) = self.driver.try_lock() {
            std::mem::forget(driver.take());
        }
    }

    fn leave(&self) {
        // In a forked child the threads do not exist and the connection is the parent's: only give it back.
        if self.shared.is_forked() {
            self.disown();
            return;
        }
        match self.shared.begin_leaving() {
            Some(Seat::Subordinate(peer)) => {
                let until = Instant::now() + LEAVE;
                let _ = peer.stream.set_write_timeout(Some(Outbox::WRITE_TIMEOUT));
                peer.outbox.push(&ToSupervisor::Leave);
                // With the connection the kernel forgets what it has not sent.
                peer.outbox.watch();
                peer.outbox.finish(&peer.stream);
                // Gone for the kernel before the connection ends.
                self.shared.vanish();
                // The supervisor ends the connection when it has taken the instance out of the registry.
                self.shared.wait_left(until);
                let _ = peer.stream.shutdown(std::net::Shutdown::Both);
            }
            Some(Seat::Supervisor(reign)) => reign.stop(Ended::Left, Reign::DRAIN),
            Some(Seat::Electing | Seat::Left) | None => {}
        }
        // The lock is held while the thread ends, so that of two who leave at once both wait for it.
        let mut driver = lock(&self.driver);
        if let Some(driver) = driver.take() {
            // A driver that panicked has nothing left that would have to be waited for.
            let _ = driver.join();
        }
    }
}

/// How long an instance that leaves waits until its supervisor has seen that.
const LEAVE: Duration = Duration::from_millis(200);

impl Drop for Handle {
    fn drop(&mut self) {
        self.leave();
    }
}
