//! `std::sync`, but across processes, and it survives `kill -9`.
//!
//! When several copies of one program run on one machine, they often have to act together: one of them does the work
//! that must be done once, all know of each other, and when one dies the others notice and go on. `bellwether` elects a
//! **supervisor** among the copies; the others are its **subordinates**, each with one TCP connection to it on the
//! loopback interface. There is no daemon to install, no lock file to clean up and no lease to wait for: whoever binds
//! the group's port is the supervisor, and the machine's own TCP stack tells everyone at once when a process is gone.
//!
//! ```
//! use bellwether::{Event, Group, Role};
//!
//! # fn main() -> Result<(), bellwether::Error> {
//! # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
//! # let group = Group::new("photo-sync")?.port(port);
//! # let other = group.clone();
//! let instance = group.label("worker 3").join()?;
//! let events = instance.events();
//! # let other = other.join()?;
//!
//! assert_eq!(instance.role(), Role::Supervisor); // the first copy that runs
//! match events.recv() {
//!     Ok(Event::Joined(entry)) => println!("process {} joined", entry.pid),
//!     other => panic!("{other:?}"),
//! }
//! for entry in instance.registry() {
//!     println!("{} {} {:?}", entry.id, entry.label, entry.role);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Joining
//!
//! [`Group`] names the group and its options; [`Group::join`] blocks until this copy is the supervisor or a subordinate.
//! The [`Instance`] it returns can be cloned and shared between threads; the copy leaves the group when the last clone
//! is dropped. [`Group::observe`] looks at a group without joining it.
//!
//! # Locks
//!
//! [`Instance::mutex`], [`rwlock`](Instance::rwlock), [`semaphore`](Instance::semaphore),
//! [`barrier`](Instance::barrier) and [`once`](Instance::once) are what [`std::sync`] has under these names, with a name
//! that all copies agree on in place of a memory address: see [`sync`]. Each blocks, and has a form that waits for a given
//! time, and one that does not wait where that means anything (not at a barrier). First come, first served; the holder is
//! named in the error of whoever does not wait, and [`Instance::locks`] shows them all.
//!
//! ```
//! # fn main() -> Result<(), bellwether::Error> {
//! # let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
//! # let instance = bellwether::Group::new("photo-sync")?.port(port).join()?;
//! let catalog = instance.mutex("catalog");
//! let guard = catalog.lock()?; // no other copy, and no other thread, is here
//! if guard.abandoned() != bellwether::Abandoned::Clean {
//!     // The owner before may have died in the middle of its work: check what it left.
//! }
//! // What can refuse a late writer is given the token: it rises with every grant.
//! println!("writing with token {}", guard.token());
//! drop(guard); // released; the next in line has it at once
//! # Ok(())
//! # }
//! ```
//!
//! A lock is held until it is released or its holder's process is gone, whatever happens to the supervisor: holders
//! keep what they hold, and waiters their places. There is no lease to renew.
//!
//! # Time-outs
//!
//! Most calls that block have a form with a time-out. The time is for what the call waits for:
//!
//! | call | waits for |
//! |---|---|
//! | `lock`, `read`, `write`, `acquire` | the holders, and the calls ahead in the queue |
//! | `run` of a [`Once`](sync::Once) | another copy that runs it |
//! | `put`, `delete`, `put_if`, `delete_if`, `resize` | nothing but an answer |
//! | `send`, `broadcast`, `command` | nothing but an answer, which a slow recipient can delay |
//! | `request` | the handler |
//! | `locks` | nothing but an answer |
//! | [`office`](Instance::office) | the time when this copy is the supervisor; asks nobody |
//! | [`resign`](Instance::resign) | the guards of the office |
//! | [`join`](Group::join) | copies that a new supervisor waits for |
//! | `wait` at a [`Barrier`](sync::Barrier) | the other parties |
//!
//! All but `office` also wait for the end of an election, of a pause, and of a policy.
//!
//! The round trip to the supervisor is not counted: a call gives the supervisor a second to answer, also if its time is
//! shorter. So a time-out of zero means "do not wait for others". The call succeeds if there is nothing else to wait for. It
//! fails with [`Error::TimedOut`] at once if a lock is held, if an election is on, or if this copy has not the office or
//! has a guard of it (`join` waits that second, and `wait_timeout` of a barrier can fail with [`Error::Interrupted`]: see
//! there); and within that second if a handler, a policy or a recipient is slow, since the supervisor
//! cannot know that they will be.
//!
//! # Values that all copies share
//!
//! [`Instance::state`] is a small map of named values with versions: whoever writes is told when the value is
//! sure to reach every copy, and every copy reads its own without asking ([`Event::State`] tells of changes).
//!
//! # What copies say to each other
//!
//! [`Instance::send`] and [`broadcast`](Instance::broadcast) bring a message to one copy or to all
//! ([`Event::Message`]), in the order in which they were sent. [`Instance::request`] asks the handler
//! ([`Group::on_request`]) in whichever copy is supervisor. None of these is ever done twice: if nobody can know whether it
//! was done, the call says so ([`Error::Interrupted`]).
//!
//! # What the supervisor decides
//!
//! [`Group::policy`] is asked before any operation of any copy takes effect, and may deny it. [`Instance::command`] tells
//! others to pause, to resume or to stop ([`Event::Command`]). With [`Group::version`] a newer version of the program takes
//! the office over when it joins.
//!
//! # Examples
//!
//! Two complete programs. Licence counting:
//!
//! ```no_run
#![doc = include_str!("../examples/licences.rs")]
//! ```
//!
//! A configuration that reaches all copies:
//!
//! ```no_run
#![doc = include_str!("../examples/configuration.rs")]
//! ```
//!
//! # Who is there
//!
//! [`Instance::registry`] has one [`Entry`] for every copy, on every copy, without asking anybody.
//! [`Instance::events`] is a channel of what changes: who joined, who ended and how ([`EndReason`]), who reigns.
//!
//! # Work that only one does
//!
//! [`Instance::office`] blocks until this copy is the supervisor. The [`Office`] it returns keeps the copy from handing
//! the office over ([`Instance::resign`]) before the work is done.
//!
//! # When a process dies
//!
//! The kernel closes a dead process's sockets, and that is all there is to failure detection: nothing polls, nothing is
//! sent while nobody waits, and no time-out ever takes a process for dead. When the supervisor ends, however it ends, the
//! others elect the next one at once. It opens its reign when every survivor is back, which takes about as long as their
//! reconnecting. A process that is stopped or hangs is not dead: it keeps its place, and only if it is silent during a
//! whole election longer than [`Group::window_limit`] does it lose it, and is told so when it runs again
//! ([`Event::Forfeited`]).
//!
//! # Daemons and pre-fork servers
//!
//! A forked child inherits the sockets of its parent. On Linux with the feature `native` it closes all of them that belong
//! to this crate when it drops an [`Instance`] or an [`Observer`] of its parent, and at the latest when it calls
//! [`Group::join`] or [`Group::observe`]. The parent notices nothing: it stays in the group with all that it holds. The
//! child is then an instance like any other. If the parent dies, the group notices at once although the child lives.
//!
//! Fork while no other thread of the program is joining or leaving a group: a socket that is opened at the very moment of
//! the fork can stay open in the child. A child that neither drops nor joins keeps all of them open, and so does one that is
//! forked inside a policy or a request handler until it has left it; it must not return from there.
//!
//! A program that joins, so that its user sees what fails, and then becomes a daemon (Linux):
//!
//! ```no_run
//! # #[cfg(unix)]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let group = bellwether::Group::new("photo-sync")?;
//!     let instance = group.clone().join()?;
//!
//!     // SAFETY: `daemon` forks, and goes on in the child, which has this thread alone. Nothing here holds a lock.
//!     if unsafe { libc::daemon(0, 0) } != 0 {
//!         return Err(std::io::Error::last_os_error().into());
//!     }
//!     drop(instance); // the parent's; its process has ended without a word, as if it were killed
//!     let instance = group.join()?;
//!
//!     let _office = instance.office()?;
//!     Ok(()) // the work that one of them does
//! }
//! # #[cfg(not(unix))] fn main() {}
//! ```
//!
//! On other systems, and without `native`, joining in a forked child is [`Error::Forked`] while the parent's sockets are
//! open in it: call `exec`, or join after the last fork.
//!
//! [`Group::join`] and [`Group::observe`] give up within five seconds if no supervisor says a word. An instance that was
//! part of a reign never gives up: its calls without a time wait until a supervisor answers, or until the instance leaves or
//! is evicted. What it waits for is told by [`Event::Hung`], [`Event::PortUnusable`] and [`Event::Starved`]. The forms with
//! a time end when that has passed, whether there is a supervisor or not.
//!
//! # In scope
//!
//! Copies of one program, of one user, on one machine, in one network namespace. Synchronous code, threads. Linux; other
//! Unix systems use a presence mechanism that is tested on Linux.
//!
//! # Out of scope
//!
//! More than one machine, async interfaces, persistence, keeping out local users who mean harm: for now whoever can
//! reach the port on the loopback interface is trusted. Windows.
//!
//! # Features
//!
//! `native` (default): Unix calls beyond the standard library, through `rustix` and `nix`: sockets that the kernel closes
//! first when a process dies, which makes failover faster; on Linux also notices to members that were given up, and joining
//! again in a forked child. `cli`: the `bellwether` command.

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("bellwether runs on Unix; on other systems it has not been built or tested");

mod control;
#[doc(hidden)]
pub mod coordinator;
mod entry;
mod error;
mod event;
mod group;
#[doc(hidden)]
pub mod ident;
mod instance;
mod messages;
mod observer;
mod office;
mod runtime;
mod state;
pub mod sync;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod wire;

pub use control::{Command, Operation, Request, Verdict};
pub use coordinator::supervisor::Lack;
pub use entry::{EndReason, Entry, Holder, Role, Standing};
pub use error::{Error, Listener, PortReason};
pub use event::Event;
pub use group::Group;
pub use ident::{Epoch, InstanceId, Kind, Name, NameError, ParseIdError, Token, Version};
pub use instance::Instance;
pub use observer::Observer;
pub use office::Office;
pub use state::{State, StateValue};
pub use wire::message::{Abandoned, Refusal};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
