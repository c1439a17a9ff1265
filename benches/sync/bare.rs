//! The floor: a server that knows one lock and one value, and its clients.
//!
//! One thread per connection, which reads, decides under one mutex, and writes to whom it concerns. What it leaves out:
//! names, owners, tokens, what becomes of a lock whose holder dies, writers that do not wait for a stopped reader, and
//! more than one waiting thread per client. Who has to wait is not told its place, which in the library is a frame of its
//! own and most of the difference when there is contention. A semaphore is the same lock. A write is done when it was
//! given to the kernel for each connection; whether the kernel has sent it is not asked. Nothing is decoded but the length
//! and the kind of a frame.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::child;
use crate::common::process::Process;
use crate::frames::{Frames, first, kind};
use crate::groups::{Crowd, Runner, Timed, pairs};

/// A server in another process, and a connection to it.
struct Client {
    frames: Frames,
    stream: TcpStream,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
        stream.set_nodelay(true).expect("an option of every TCP connection");
        Self { frames: Frames::new(), stream }
    }

    /// Blocks until the lock is held: one round trip.
    fn lock(&mut self) {
        say(&self.stream, &self.frames.acquire);
        hear(&self.stream, self.frames.grant.len());
    }

    /// One round trip about nothing.
    fn ping(&mut self) {
        say(&self.stream, &self.frames.ping);
        hear(&self.stream, self.frames.pong.len());
    }

    /// One write, no answer.
    fn unlock(&mut self) {
        say(&self.stream, &self.frames.release);
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
        pairs(count, Timed::Lock, &mut client, Client::ping, |client, ()| client.unlock())
    })
}

/// One frame there, one frame back.
pub(crate) fn ping_pong() -> Runner {
    let (server, mut client) = with_server();
    Box::new(move |count| {
        let _alive = &server;
        let start = Instant::now();
        (0..count).for_each(|_| client.ping());
        start.elapsed()
    })
}

/// Several clients, each in a process of its own, fight for the lock.
pub(crate) fn contention(fighters: u32) -> Runner {
    let (server, port) = child::serving("bare-server");
    child::fight(server, (0..fighters).map(|_| Process::start(&format!("bare-fighter {port}"))).collect())
}

/// Has everybody be written a value, and waits until that is done.
pub(crate) fn put(crowd: Crowd) -> Runner {
    let (server, port) = child::serving("bare-server");
    let members = child::crowd("bare-crowd", port, crowd);
    let client = Client::connect(port);
    Box::new(move |count| {
        let _alive = (&server, &members);
        let start = Instant::now();
        for _ in 0..count {
            say(&client.stream, &client.frames.put);
            hear(&client.stream, client.frames.value.len() + client.frames.stored.len());
        }
        start.elapsed()
    })
}

fn with_server() -> (Process, Client) {
    let (server, port) = child::serving("bare-server");
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

/// So many connections that read whatever comes, as one process of the crowd.
pub(crate) fn members(port: u16, count: u32) -> Vec<JoinHandle<()>> {
    let member = |_| {
        let Client { frames, mut stream } = Client::connect(port);
        // One answer shows that the server has the connection on its list.
        say(&stream, &frames.ping);
        hear(&stream, frames.pong.len());
        let read = move || while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {};
        thread::Builder::new().stack_size(64 * 1024).spawn(read).expect("a thread per connection")
    };
    (0..count).map(member).collect()
}

fn say(mut stream: &TcpStream, frame: &[u8]) {
    stream.write_all(frame).expect("the server reads");
}

fn hear(mut stream: &TcpStream, length: usize) {
    let mut buffer = [0; 256];
    stream.read_exact(&mut buffer[..length]).expect("the server answers");
}

/// The server.
struct Server {
    frames: Frames,
    lock: Mutex<Lock>,
    connections: Mutex<Vec<Arc<TcpStream>>>,
}

#[derive(Default)]
struct Lock {
    held: bool,
    waiting: VecDeque<Arc<TcpStream>>,
}

/// Serves whoever connects, in threads, from now on.
pub(crate) fn serve(port: u16) -> JoinHandle<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let server = Arc::new(Server { frames: Frames::new(), lock: Mutex::default(), connections: Mutex::default() });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).expect("an option of every TCP connection");
            let stream = Arc::new(stream);
            server.connections.lock().expect(WHOLE).push(stream.clone());
            let server = server.clone();
            let thread = thread::Builder::new().stack_size(64 * 1024);
            // An end, a failure included, is the end of the benchmark or of one of its parts.
            thread.spawn(move || server.converse(&stream)).expect("a thread per connection");
        }
    })
}

impl Server {
    fn converse(&self, stream: &Arc<TcpStream>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let mut end = 0;
        loop {
            match (&**stream).read(&mut buffer[end..])? {
                0 => return Ok(()),
                count => end += count,
            }
            let mut start = 0;
            while let Some(length) = first(&buffer[start..end]) {
                self.take(stream, kind(&buffer[start..]))?;
                start += length;
            }
            buffer.copy_within(start..end, 0);
            end -= start;
        }
    }

    fn take(&self, from: &Arc<TcpStream>, what: u8) -> io::Result<()> {
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
        if what == kind(&frames.put) {
            for to in &*self.connections.lock().expect(WHOLE) {
                (&**to).write_all(&frames.value)?;
            }
            return (&**from).write_all(&frames.stored);
        }
        (&**from).write_all(&frames.pong)
    }
}

/// What `expect` says of a mutex.
const WHOLE: &str = "no thread panics while it holds this";

/// Of the threads of one process: nothing is shared with anybody else.
pub(crate) fn std_mutex() -> Runner {
    let mutex = Mutex::new(());
    Box::new(move |count| {
        let start = Instant::now();
        for _ in 0..count {
            drop(std::hint::black_box(mutex.lock().expect(WHOLE)));
        }
        start.elapsed()
    })
}
