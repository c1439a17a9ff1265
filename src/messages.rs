//! What instances and observers say to each other: messages, requests to the supervisor's handler, commands.

use std::sync::Arc;
use std::time::Duration;

use crate::control::Command;
use crate::error::Error;
use crate::ident::InstanceId;
use crate::instance::Instance;
use crate::observer::Observer;
use crate::runtime::calls::Patience;

/// # Messages, requests and commands
///
/// Each is done once or not at all, whatever becomes of the supervisor. If the supervisor dies before the answer has come,
/// the call fails with [`Error::Interrupted`] at once. A supervisor that [leaves](Instance::leave) or
/// [resigns](Instance::resign) answers first what it has begun with; a message or a request that it has not begun with goes
/// to the next one. So does what could not be sent yet, because nobody reigned.
///
/// Up to 1 MiB of bytes each. Of what one instance sends at the same time, from several threads, about 1 MiB is under way
/// at a time, and the rest waits its turn.
///
/// The [time](crate#time-outs) given for a call, and a second if it is shorter, holds also while the supervisor stands still. Only at the supervisor's own instance it can
/// be exceeded: a subordinate that stands still and has full buffers keeps a call there for up to 0.4 seconds, several of
/// them one after the other. That happens once to each, since its connection is given up then.
impl Instance {
    /// Sends a message to one instance, where it arrives as [`Event::Message`](crate::Event::Message). To oneself is fine.
    ///
    /// Blocks until the message lies in the kernel for that instance, and while an election is on. That says nothing of
    /// its application: one that reads its [events](Instance::events) too slowly is told there how many it has missed.
    /// What one instance sends to another arrives in the order in which the calls were made.
    ///
    /// ```
    /// use bellwether::{Event, Group};
    ///
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// # let group = Group::new("photo-sync")?.port(port);
    /// let instance = group.clone().join()?;
    /// let other = group.join()?;
    /// let events = other.events();
    /// instance.send(other.id(), *b"the catalog has changed")?;
    /// for event in &events {
    ///     if let Event::Message { from, bytes } = event {
    ///         assert_eq!((from, &*bytes), (instance.id(), &b"the catalog has changed"[..]));
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if there is no such instance, or it is not connected: nothing was sent.
    /// [`Error::Interrupted`] if it is unknown whether the message arrives. [`Error::Denied`] by the policy, or because
    /// too much waits for slow recipients. [`Error::Option`] if the message is larger than 1 MiB; [`Error::Left`],
    /// [`Error::Forked`], [`Error::InCallback`].
    pub fn send(&self, to: InstanceId, bytes: impl Into<Arc<[u8]>>) -> Result<(), Error> {
        self.send_within(Some(to), bytes.into(), Patience::Forever).map(drop)
    }

    /// The same, but not while there is no open reign, and for at most a second.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::send`], and [`Error::WouldBlock`] without a holder: at once if at this moment there is no open
    /// reign to send it in; then nothing was sent. Or after a second, if the supervisor stands still or the recipient is
    /// slow: then the message may have arrived, or may still arrive.
    pub fn try_send(&self, to: InstanceId, bytes: impl Into<Arc<[u8]>>) -> Result<(), Error> {
        self.send_within(Some(to), bytes.into(), Patience::Try).map(drop)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Instance::send`], and [`Error::TimedOut`]: then the message may have arrived, or may still arrive.
    pub fn send_timeout(&self, to: InstanceId, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<(), Error> {
        self.send_within(Some(to), bytes.into(), Patience::For(timeout)).map(drop)
    }

    /// Sends a message to all other instances that are connected, and returns to how many. `Ok(0)` if there are none; an
    /// instance whose connection ends meanwhile is no error either. Otherwise as [`Instance::send`]; what one instance
    /// sends to one and to all has one order as well.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if it is unknown whom the message reaches. [`Error::Denied`] by the policy, or because
    /// too much waits for slow recipients. [`Error::Option`] if the message is larger than 1 MiB; [`Error::Left`],
    /// [`Error::Forked`], [`Error::InCallback`].
    pub fn broadcast(&self, bytes: impl Into<Arc<[u8]>>) -> Result<usize, Error> {
        self.send_within(None, bytes.into(), Patience::Forever)
    }

    /// The same, but not while there is no open reign, and for at most a second.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::broadcast`], and [`Error::WouldBlock`] without a holder: at once if at this moment there is no
    /// open reign to send it in; then nothing was sent. Or after a second, if the supervisor stands still or a recipient is
    /// slow: then the message may have reached some, or may still reach them.
    pub fn try_broadcast(&self, bytes: impl Into<Arc<[u8]>>) -> Result<usize, Error> {
        self.send_within(None, bytes.into(), Patience::Try)
    }

    /// The same with a [time-out](crate#time-outs); at the supervisor's own instance up to 0.4 seconds longer for each
    /// subordinate that stands still with full buffers.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::broadcast`], and [`Error::TimedOut`]: then the message may have reached some, or may still
    /// reach them.
    pub fn broadcast_timeout(&self, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<usize, Error> {
        self.send_within(None, bytes.into(), Patience::For(timeout))
    }

    /// Asks the handler of the supervisor, in whichever process that is, and returns what it answers: see
    /// [`Group::on_request`](crate::Group::on_request). The supervisor may ask itself.
    ///
    /// Blocks until the handler has answered, and while an election is on. The handler hears a request at most once.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if it is unknown whether the handler has heard it. [`Error::Failed`] if the handler has
    /// no answer, since it panicked or answered with more than 1 MiB. [`Error::Denied`] by the policy, or because there is
    /// no handler. [`Error::Option`] if the request is larger than 1 MiB; [`Error::Left`], [`Error::Forked`],
    /// [`Error::InCallback`].
    pub fn request(&self, bytes: impl Into<Arc<[u8]>>) -> Result<Arc<[u8]>, Error> {
        self.request_within(bytes.into(), Patience::Forever)
    }

    /// The same, but not while there is no open reign, and for at most a second. Of a handler that takes longer ask with
    /// [`Instance::request_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Instance::request`], and [`Error::WouldBlock`] without a holder: at once if at this moment there is no
    /// open reign to ask in; then nothing was asked. Or after a second, if the supervisor stands still or its handler is
    /// slow: then the handler may have heard it, or may still hear it.
    pub fn try_request(&self, bytes: impl Into<Arc<[u8]>>) -> Result<Arc<[u8]>, Error> {
        self.request_within(bytes.into(), Patience::Try)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Instance::request`], and [`Error::TimedOut`]: then the handler may have heard it, or may still hear it.
    pub fn request_timeout(&self, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<Arc<[u8]>, Error> {
        self.request_within(bytes.into(), Patience::For(timeout))
    }

    /// Commands something to one instance, where it arrives as [`Event::Command`](crate::Event::Command). To oneself is
    /// fine. Only the supervisor can do that.
    ///
    /// Blocks until the command lies in the kernel for that instance. A pause is in force then; it ends with
    /// [`Command::Resume`], not with the reign.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupervisor`]; also while the own reign is not open yet. [`Error::Unreachable`] if there is no such
    /// instance, or it is not connected: nothing was sent. [`Error::Interrupted`] if it is unknown whether the command
    /// arrives. [`Error::Denied`] if too much waits for slow recipients. [`Error::Option`] if a
    /// [`Command::Custom`] is larger than 1 MiB; [`Error::Left`], [`Error::Forked`], [`Error::InCallback`].
    pub fn command(&self, to: InstanceId, command: Command) -> Result<(), Error> {
        self.command_within(Some(to), command).map(drop)
    }

    /// Commands something to all other instances that are connected, and returns to how many: `Ok(0)` if there are none. Otherwise
    /// as [`Instance::command`].
    ///
    /// ```
    /// use bellwether::{Command, Error, Event, Group};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// # let group = Group::new("photo-sync")?.port(port);
    /// let supervisor = group.clone().join()?; // the first copy
    /// let other = group.join()?;
    /// assert!(matches!(other.command_all(Command::Pause), Err(Error::NotSupervisor)));
    /// supervisor.command_all(Command::Custom((*b"read your configuration").into()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Instance::command`] but [`Error::Unreachable`].
    pub fn command_all(&self, command: Command) -> Result<usize, Error> {
        self.command_within(None, command)
    }

    fn send_within(&self, to: Option<InstanceId>, bytes: Arc<[u8]>, patience: Patience) -> Result<usize, Error> {
        self.callable()?.send(to, bytes, patience).map(number)
    }

    fn request_within(&self, bytes: Arc<[u8]>, patience: Patience) -> Result<Arc<[u8]>, Error> {
        self.callable()?.ask(bytes, patience)
    }

    fn command_within(&self, to: Option<InstanceId>, command: Command) -> Result<usize, Error> {
        self.callable()?.command(to, command.order(), Patience::Forever).map(number)
    }
}

/// # Messages, requests and commands
///
/// As those of an [`Instance`]. An observer has no entry and is sent nothing; whoever hears of it sees an id that is in no
/// registry.
impl Observer {
    /// Sends a message to one instance, as [`Instance::send_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Instance::send_timeout`].
    pub fn send_timeout(&self, to: InstanceId, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<(), Error> {
        self.unforked()?.send(Some(to), bytes.into(), Patience::For(timeout)).map(drop)
    }

    /// Sends a message to all instances, as [`Instance::broadcast_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Instance::broadcast_timeout`].
    pub fn broadcast_timeout(&self, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<usize, Error> {
        self.unforked()?.send(None, bytes.into(), Patience::For(timeout)).map(number)
    }

    /// Asks the handler of the supervisor, as [`Instance::request_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Instance::request_timeout`].
    pub fn request_timeout(&self, bytes: impl Into<Arc<[u8]>>, timeout: Duration) -> Result<Arc<[u8]>, Error> {
        self.unforked()?.ask(bytes.into(), Patience::For(timeout))
    }

    /// Commands something to one instance, as [`Instance::command`]. An observer need not be the supervisor; the
    /// supervisor's policy is asked, if there is one, and without one everybody who can observe the group may command.
    /// Blocks also while an election is on.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::command`] but [`Error::NotSupervisor`]; [`Error::Denied`] by the policy, [`Error::TimedOut`]:
    /// then the command may have arrived, or may still arrive.
    pub fn command_timeout(&self, to: InstanceId, command: Command, timeout: Duration) -> Result<(), Error> {
        self.unforked()?.command(Some(to), command.order(), Patience::For(timeout)).map(drop)
    }

    /// Commands something to all instances, and says to how many. Otherwise as [`Observer::command_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Observer::command_timeout`] but [`Error::Unreachable`].
    pub fn command_all_timeout(&self, command: Command, timeout: Duration) -> Result<usize, Error> {
        self.unforked()?.command(None, command.order(), Patience::For(timeout)).map(number)
    }
}

fn number(count: u32) -> usize {
    // A count of instances, of which there are at most 65536.
    count as usize
}
