//! The floor: a server that knows one lock and one value, and its clients.
//!
//! One thread per connection, which reads, decides under one mutex, and writes to whom it concerns. What it leaves out:
//! names, owners, tokens, what becomes of a lock whose holder dies, writers that do not wait for a stopped reader, and
//! more than one waiting thread per client. Who has to wait is not told its place, which in the library is a frame of its
//! own and most of the difference when there is contention. A semaphore is the same lock. A write is done when it was
//! given to the kernel for each connection; whether the kernel has sent it is not asked. Nothing is decoded but the length
//! and the kind of a frame.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::child;
use crate::common::process::Process;
use crate::contest::bare::{self, Connections, WHOLE};
use crate::contest::children::{Crowd, crowd, serving};
use crate::contest::compare::{Runner, repeated};
use crate::contest::frames::kind;
use crate::frames::Frames;
use crate::groups::{Timed, pairs};

/// A connection to the server.
struct Client {
    frames: Frames,
    connection: bare::Client,
}

impl Client {
    fn connect(port: u16) -> Self {
        Self { frames: Frames::new(), connection: bare::Client::connect(port) }
    }

    /// Blocks until the lock is held: one round trip.
    fn lock(&mut self) {
        self.connection.say(&self.frames.acquire);
        self.connection.hear(self.frames.grant.len());
    }

    /// One write, no answer.
    fn unlock(&mut self) {
        self.connection.say(&self.frames.release);
    }
}

/// Locks and unlocks.
pub(crate) fn lock(timed: Timed) -> Runner {
    let (server, mut client) = with_server();
    Box::new(move |count| {
        let _alive = &server;
        pairs(count, timed, &mut client, Client::lock, |client, ()| client.unlock())
    })
}

/// One frame there, one frame back, and then a write without an answer that does not count: the rhythm in which
/// [`Timed::Lock`] is measured, where the server is still awake when the next lock is asked for.
pub(crate) fn ping_after_write() -> Runner {
    let (server, mut client) = with_server();
    Box::new(move |count| {
        let _alive = &server;
        pairs(count, Timed::Lock, &mut client, |client| client.connection.ping(), |client, ()| client.unlock())
    })
}

/// Several clients, each in a process of its own, fight for the lock.
pub(crate) fn contention(fighters: u32) -> Runner {
    let (server, port) = serving("bare-server");
    child::fight(server, (0..fighters).map(|_| Process::start(&format!("bare-fighter {port}"))).collect())
}

/// Has everybody be written a value, and waits until that is done.
pub(crate) fn put(size: Crowd) -> Runner {
    let (server, port) = serving("bare-server");
    let members = crowd("bare-crowd", port, size);
    let Client { frames, connection } = Client::connect(port);
    Box::new(move |count| {
        let _alive = (&server, &members);
        repeated(count, |_| {
            connection.say(&frames.put);
            connection.hear(frames.value.len() + frames.stored.len());
        })
    })
}

fn with_server() -> (Process, Client) {
    let (server, port) = serving("bare-server");
    (server, Client::connect(port))
}

/// What one process of [`contention`] does between the shots.
pub(crate) fn fighter(port: u16) -> impl FnMut() {
    let mut client = Client::connect(port);
    move || {
        client.lock();
        client.unlock();
    }
}

/// The server.
struct Server {
    frames: Frames,
    lock: Mutex<Lock>,
}

#[derive(Default)]
struct Lock {
    held: bool,
    waiting: VecDeque<Arc<TcpStream>>,
}

/// Serves whoever connects, in threads, from now on.
pub(crate) fn serve(port: u16) -> JoinHandle<()> {
    let server = Server { frames: Frames::new(), lock: Mutex::default() };
    bare::serve(port, move |connections, from, frame| server.take(connections, from, kind(frame)))
}

impl Server {
    fn take(&self, connections: &Connections, from: &Arc<TcpStream>, what: u8) -> io::Result<()> {
        let frames = &self.frames;
        if what == kind(&frames.acquire) {
            let mut lock = self.lock.lock().expect(WHOLE);
            if std::mem::replace(&mut lock.held, true) {
                lock.waiting.push_back(from.clone());
                return Ok(());
            }
            drop(lock);
            return (&**from).write_all(&frames.grant);
        }
        if what == kind(&frames.release) {
            let mut lock = self.lock.lock().expect(WHOLE);
            let next = lock.waiting.pop_front();
            lock.held = next.is_some();
            drop(lock);
            return next.map_or(Ok(()), |next| (&*next).write_all(&frames.grant));
        }
        for to in &*connections.lock() {
            (&**to).write_all(&frames.value)?;
        }
        (&**from).write_all(&frames.stored)
    }
}

/// Of the threads of one process: nothing is shared with anybody else.
pub(crate) fn std_mutex() -> Runner {
    let mutex = Mutex::new(());
    Box::new(move |count| repeated(count, |_| drop(std::hint::black_box(mutex.lock().expect(WHOLE)))))
}
