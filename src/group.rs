//! How an instance joins: the group's name and the options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{Operation, Request, Verdict};
use crate::coordinator::session::Session;
use crate::entry::Entry;
use crate::error::Error;
use crate::ident::Name;
use crate::instance::Instance;
use crate::observer::Observer;
use crate::runtime::callbacks::Callbacks;
use crate::runtime::calls::TRY;
use crate::runtime::presence::Mechanism;
use crate::runtime::shared::{self, Settings, Shared};
use crate::runtime::{clock, driver, endpoint, spawn};
use crate::text::Size;
use crate::wire::message::{Profile, Purpose};

/// All copies of one program on this machine, as seen by one that wants to join them.
///
/// Copies belong together if they use the same name and the same port on the same machine (more exactly: in the same
/// network namespace).
///
/// ```
/// # fn main() -> Result<(), bellwether::Error> {
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
/// let instance = bellwether::Group::new("photo-sync")?.port(port).label("worker 3").join()?;
/// assert_eq!(instance.registry().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a group does nothing until it is joined or observed"]
pub struct Group {
    name: Name,
    port: Option<u16>,
    label: String,
    payload: Vec<u8>,
    version: u32,
    window_limit: Option<Duration>,
    member_limit: u32,
    stop_limit: Option<Duration>,
    callbacks: Callbacks,
    succession: bool,
    mechanism: Mechanism,
}

impl Group {
    /// A group of this name, which is what [`Name`](crate::Name) allows: 1 to 128 bytes of characters that can be seen.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] says what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        Ok(Self {
            name: Name::new(name)?,
            port: None,
            label: String::new(),
            payload: Vec::new(),
            version: 0,
            window_limit: Some(Duration::from_secs(5)),
            member_limit: 8192,
            stop_limit: Some(Duration::from_secs(5)),
            callbacks: Callbacks::default(),
            succession: true,
            mechanism: Mechanism::native(),
        })
    }

    /// The supervisor port. All copies must use the same one.
    ///
    /// Defaults to a port in 10240..=32767 that is derived from the group's name and the effective user id, so that two
    /// users' groups of one name do not meet. A process under `sudo`, or in a systemd unit with `DynamicUser=`, is another
    /// user's and so in another group; a container mostly has a network namespace, and so ports, of its own. Port 0 is refused when joining; ports below 1024 need permission.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A text that the registry shows for this instance, at most 256 bytes. Defaults to none.
    ///
    /// Any text is taken, since labels often come from file names and the like. Errors, and the `bellwether` command, show
    /// control characters and what else cannot be seen as escapes; a program that shows [`Entry::label`] itself has to do
    /// the same.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Bytes that the registry shows for this instance, at most 4096. Defaults to none.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The version of the program, shown in the registry; a higher number is a newer one. Defaults to 0.
    ///
    /// The office goes to the newest version that is there, so that a program can be replaced copy by copy while it runs:
    /// an older supervisor hands it over as [`Instance::resign`] does, and stays as a subordinate. Nobody loses
    /// anything. What it says about this is [`Group::succession`].
    ///
    /// ```
    /// use bellwether::{Group, Role};
    ///
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// let group = Group::new("photo-sync")?.port(port);
    /// let old = group.clone().version(1).join()?;
    /// let new = group.version(2).join()?;
    /// new.office()?; // The office comes by itself.
    /// assert_eq!((old.role(), new.role()), (Role::Subordinate, Role::Supervisor));
    /// # Ok(())
    /// # }
    /// ```
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Whether this instance, when it is the supervisor, leaves the office to an instance of a newer
    /// [`version`](Group::version). Defaults to true. The choice of whoever is supervisor applies.
    ///
    /// It resigns as soon as a newer instance is a member, is not paused, was not told to stop, no
    /// [`Office`](crate::Office) guard is left, and it has shown by an answer since then that it runs; new guards can be
    /// taken until then. If several are
    /// newer, the newest is asked; if it does not answer, it is waited for, and the office stays where it is. The others
    /// leave the port to that instance for 100 milliseconds, unless it ends meanwhile.
    ///
    /// It is tried once for each instance: one that does not take the office then, or loses it again, is not offered it
    /// a second time by anybody who heard of the first. Whoever is supervisor afterwards stays it.
    pub fn succession(mut self, succession: bool) -> Self {
        self.succession = succession;
        self
    }

    /// Sets how long a new supervisor waits for a member of the reign before that is alive but silent, for instance
    /// because it was stopped. After it, everything that member held is lost. It learns so when it runs again, on
    /// Linux with the feature `native` even if no supervisor answers it then: see
    /// [`Guard::is_held`](crate::sync::Guard::is_held). `None` waits for ever. Counts only time in which the
    /// supervisor itself ran. Defaults to 5 seconds. The limit of the instance that is supervisor applies.
    ///
    /// Under a supervisor that stays there is no limit: a stopped member keeps what it holds, for days if need be and
    /// however much the others send, until it runs again, ends, or is evicted after [`Command::Stop`](crate::Command::Stop).
    /// Only where the kernel cannot name the living (everywhere but on Linux and Android) does the limit also count while
    /// a member has no connection: another program's socket can look there like that of a dead member.
    pub fn window_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.window_limit = limit.into();
        self
    }

    /// How many instances a supervisor takes in, 1 to 65536. Defaults to 8192: every one costs it a thread.
    pub fn member_limit(mut self, limit: u32) -> Self {
        self.member_limit = limit;
        self
    }

    /// Who may do what: asked by the supervisor before anything takes effect, and once for each thing. The policy of
    /// whoever is supervisor applies, so all copies should name the same one; an observer's is never asked. Defaults to
    /// none: everything is allowed.
    ///
    /// It is asked about every [`Operation`] of every instance, the supervisor's own included (but for its commands),
    /// and of observers. It is not asked about giving back or giving up something, about reading, and about what is held
    /// already: after a change of supervisor the new one asks its policy only about what still waits, and what it has not
    /// answered yet keeps its place and is passed over. What is refused is [`Error::Denied`] with the reason at the
    /// caller. The first use of a semaphore writes its limit, a [`Once`](crate::sync::Once) is acquired and its result
    /// written: each of these is asked about for itself. A result that is there already is told without asking.
    ///
    /// The [`Entry`] is that of who asks, as the registry of the supervisor has it. That of an observer is what the
    /// observer's `Group` named; its id is in no registry and its [`Role`](crate::Role) is `Subordinate`.
    ///
    /// It runs on threads of its own, up to 64 at one time, and may take as long as it likes: only who asked waits.
    /// The operations of one instance are judged one after the other. If it panics, the answer is no.
    ///
    /// What a callback may not do is call its own instance for anything that asks or waits: [`Error::InCallback`].
    /// [`Instance::registry`], [`Instance::id`] and [`State::get`](crate::State::get) are fine. Nor should it wait for a
    /// thread of its program that does so. One that keeps a clone of its own instance keeps it from leaving when the
    /// others are dropped.
    ///
    /// ```
    /// use bellwether::{Error, Group, Operation, Verdict};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// let group = Group::new("photo-sync")?.port(port).policy(|who, operation| match operation {
    ///     Operation::Acquire { name, .. } if name.as_str() == "catalog" && who.label == "visitor" => {
    ///         Verdict::Deny("visitors only look".to_owned())
    ///     }
    ///     _ => Verdict::Allow,
    /// });
    /// let worker = group.clone().label("worker").join()?;
    /// let visitor = group.label("visitor").join()?;
    /// drop(worker.mutex("catalog").lock()?);
    /// match visitor.mutex("catalog").lock() {
    ///     Err(Error::Denied(reason)) => assert_eq!(reason, "visitors only look"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn policy(mut self, policy: impl Fn(&Entry, &Operation) -> Verdict + Send + Sync + 'static) -> Self {
        self.callbacks.policy = Some(Arc::new(policy));
        self
    }

    /// What the supervisor answers to [`Instance::request`]: the handler of whoever is supervisor. Defaults to none: then
    /// requests are [`Error::Denied`]. An answer has up to 1 MiB; a larger one is [`Error::Failed`] at who asked.
    ///
    /// It runs on threads of its own, up to 64 at one time, and may take as long as it likes; what comes meanwhile is
    /// answered beside it, or waits for its turn. Every request reaches a handler at most once. If the handler panics,
    /// that is [`Error::Failed`] at who asked; if the supervisor dies meanwhile, [`Error::Interrupted`]. A supervisor that
    /// [leaves](Instance::leave) or [resigns](Instance::resign) waits for its handlers for a second; requests that they have
    /// not begun with go to the next supervisor. If who asked has given up or is gone, the answer goes nowhere.
    ///
    /// What it may call is what a [policy](Group::policy) may.
    ///
    /// ```
    /// use bellwether::Group;
    ///
    /// # fn main() -> Result<(), bellwether::Error> {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    /// let group = Group::new("photo-sync")?
    ///     .port(port)
    ///     .on_request(|request| format!("{}, process {}", request.bytes.len(), request.from.pid).into_bytes());
    /// let supervisor = group.clone().join()?;
    /// let instance = group.join()?;
    /// let answer = instance.request(*b"how long is this?")?;
    /// assert_eq!(&*answer, format!("17, process {}", std::process::id()).as_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_request(mut self, handler: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.callbacks.handler = Some(Arc::new(handler));
        self
    }

    /// How long an instance may take to leave that is told to with [`Command::Stop`](crate::Command::Stop). After it, it
    /// is evicted: the others see it end, and what it held is free. `None`: it is never evicted. Counts only time in
    /// which the supervisor itself ran. Defaults to 5 seconds. The limit of whoever is supervisor applies.
    pub fn stop_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.stop_limit = limit.into();
        self
    }

    /// Uses the presence mechanism of systems other than Linux. All copies must use the same one.
    #[doc(hidden)]
    pub fn portable_presence(mut self) -> Self {
        self.mechanism = Mechanism::Datagram;
        self
    }

    /// Joins the group: blocks until this instance is the supervisor or a subordinate of an open reign.
    ///
    /// That takes about a millisecond, unless a supervisor has just ended and one of its subordinates is alive but
    /// silent; then up to the window limit. As long as no supervisor says a word it lasts at most five seconds of this
    /// process's own running time.
    ///
    /// # Errors
    ///
    /// - [`Error::SupervisorUnresponsive`] if the process that listens on the port does not answer.
    /// - [`Error::PortUnusable`] if the port belongs to somebody else.
    /// - [`Error::Refused`] by the supervisor, with its reason.
    /// - [`Error::System`] if this process lacks descriptors or threads.
    /// - [`Error::Sandboxed`] if this process may not have abstract Unix sockets.
    /// - [`Error::Forked`] if it cannot close what it inherited from a parent that is an instance.
    /// - [`Error::Crashed`] if the application's logger has panicked meanwhile.
    /// - [`Error::PresenceTaken`], and [`Error::Option`] for an option out of its range.
    pub fn join(self) -> Result<Instance, Error> {
        self.join_within(None)
    }

    /// The same with a [time-out](crate#time-outs).
    ///
    /// # Errors
    ///
    /// Those of [`Group::join`], and [`Error::TimedOut`].
    pub fn join_timeout(self, timeout: Duration) -> Result<Instance, Error> {
        self.join_within(Some(timeout))
    }

    fn join_within(self, timeout: Option<Duration>) -> Result<Instance, Error> {
        let settings = self.settings(Purpose::Member)?;
        endpoint::inherit::close_inherited().map_err(|_| Error::Forked)?;
        let grown = endpoint::raise::grow_at_once();
        let (id, presence) = shared::new_presence(&settings)?;
        let profile = self.profile(presence.udp_port());
        let session = Session::new(id, shared::new_nonce(), self.name, profile);
        let shared = Arc::new(Shared::new(settings, session, Some(presence)));
        let driver = {
            let shared = shared.clone();
            spawn("bellwether", move || driver::run(&shared))
        };
        let driver = driver.map_err(|source| Error::System { attempted: "start a thread", source })?;
        let instance = Instance::new(shared.clone(), driver);
        // On failure the instance is dropped, which ends its thread.
        shared.wait_joined(timeout.map(|timeout| timeout.max(TRY)))?;
        if !grown {
            shared.raise_later();
        }
        Ok(instance)
    }

    /// Looks at the group without joining it: the observer never becomes supervisor and has no entry. As long as no
    /// supervisor says a word it blocks for at most five seconds of this process's own running time.
    ///
    /// # Errors
    ///
    /// [`Error::NoSupervisor`] if no copy of the program runs; otherwise those of [`Group::join`].
    pub fn observe(self) -> Result<Observer, Error> {
        let settings = self.settings(Purpose::Observer)?;
        endpoint::inherit::close_inherited().map_err(|_| Error::Forked)?;
        let profile = self.profile(0);
        let id = crate::ident::InstanceId::new(clock::chance());
        let session = Session::new(id, shared::new_nonce(), self.name, profile);
        Observer::start(Arc::new(Shared::new(settings, session.observing(), None)))
    }

    /// The supervisor port that this group uses.
    ///
    /// ```
    /// # fn main() -> Result<(), bellwether::Error> {
    /// let port = bellwether::Group::new("photo-sync")?.supervisor_port();
    /// assert!((10240..=32767).contains(&port));
    /// # Ok(())
    /// # }
    /// ```
    pub fn supervisor_port(&self) -> u16 {
        self.port
            .unwrap_or_else(|| endpoint::port::default_port(&self.name, &endpoint::port::user().unwrap_or_default()))
    }

    fn settings(&self, purpose: Purpose) -> Result<Settings, Error> {
        let within = |option, value: u64, limit: u64| match value {
            value if value <= limit => Ok(()),
            value => Err(Error::Option { option, value, limit }),
        };
        within("label", self.label.len() as u64, Profile::LABEL_LIMIT as u64)?;
        within("payload", self.payload.len() as u64, Profile::PAYLOAD_LIMIT as u64)?;
        within("member limit", self.member_limit.into(), 65_536)?;
        if self.member_limit == 0 {
            // Not even the supervisor would have a place.
            return Err(Error::Option { option: "member limit", value: 0, limit: 65_536 });
        }
        let port = self.supervisor_port();
        if port == 0 {
            return Err(Error::PortUnusable { port, reason: crate::PortReason::Reserved, listener: None });
        }
        Ok(Settings {
            group: self.name.clone(),
            port,
            purpose,
            mechanism: self.mechanism,
            window_limit: self.window_limit,
            member_limit: self.member_limit,
            stop_limit: self.stop_limit,
            callbacks: self.callbacks.clone(),
            succession: self.succession,
        })
    }

    fn profile(&self, presence: u16) -> Profile {
        Profile {
            pid: std::process::id(),
            version: self.version,
            since: clock::milliseconds(),
            presence,
            paused: false,
            label: self.label.as_str().into(),
            payload: self.payload.as_slice().into(),
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("port", &self.port)
            .field("label", &self.label)
            .field("payload", &Size::of(&self.payload))
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
