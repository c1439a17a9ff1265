//! A server with one thread per connection, and its clients.
//!
//! It answers a ping; what else it does is the business of the benchmark. Nothing is decoded but the length and the kind
//! of a frame.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use bellwether::wire::message::{ToMember, ToSupervisor};

use super::children::serving;
use super::compare::{Runner, repeated};
use super::frames::{encoded, first, kind};

/// What `expect` says of a mutex.
pub(crate) const WHOLE: &str = "no thread panics while it holds this";

/// More than any frame that is sent.
const BUFFER: usize = 128 * 1024;

/// All connections of a server.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Vec<Arc<TcpStream>>>>);

impl Connections {
    /// In the order in which they were made. Nobody else can connect meanwhile.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.0.lock().expect(WHOLE)
    }
}

/// Serves whoever connects, in threads, from now on: does this with every frame but a ping, and whose it is.
pub(crate) fn serve(
    port: u16,
    take: impl Fn(&Connections, &Arc<TcpStream>, &[u8]) -> io::Result<()> + Send + Sync + 'static,
) -> JoinHandle<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    let connections = Connections::default();
    let take = Arc::new(take);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).expect("an option of every TCP connection");
            let stream = Arc::new(stream);
            connections.lock().push(stream.clone());
            let (connections, take) = (connections.clone(), take.clone());
            let thread = thread::Builder::new().stack_size(64 * 1024);
            // An end, a failure included, is the end of the benchmark or of one of its parts.
            thread.spawn(move || converse(&connections, &stream, &*take)).expect("a thread per connection");
        }
    })
}

fn converse(
    connections: &Connections,
    stream: &Arc<TcpStream>,
    take: impl Fn(&Connections, &Arc<TcpStream>, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (ping, pong) = (ping(), pong());
    let mut buffer = vec![0; BUFFER];
    let mut end = 0;
    loop {
        match (&**stream).read(&mut buffer[end..])? {
            0 => return Ok(()),
            count => end += count,
        }
        let mut start = 0;
        while let Some(length) = first(&buffer[start..end]) {
            let frame = &buffer[start..start + length];
            match kind(frame) == kind(&ping) {
                true => (&**stream).write_all(&pong)?,
                false => take(connections, stream, frame)?,
            }
            start += length;
        }
        buffer.copy_within(start..end, 0);
        end -= start;
    }
}

/// A connection to the server of another process.
pub(crate) struct Client {
    stream: TcpStream,
    ping: Vec<u8>,
    pong: usize,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
        stream.set_nodelay(true).expect("an option of every TCP connection");
        Self { stream, ping: ping(), pong: pong().len() }
    }

    /// One frame there.
    pub(crate) fn say(&self, frame: &[u8]) {
        (&self.stream).write_all(frame).expect("the server reads");
    }

    /// So many bytes back, at most 256.
    pub(crate) fn hear(&self, length: usize) {
        let mut buffer = [0; 256];
        (&self.stream).read_exact(&mut buffer[..length]).expect("the server answers");
    }

    /// One round trip about nothing.
    pub(crate) fn ping(&self) {
        self.say(&self.ping);
        self.hear(self.pong);
    }
}

/// One frame there, one frame back. The task is that of the server.
pub(crate) fn ping_pong(task: &'static str) -> Runner {
    let (server, port) = serving(task);
    let client = Client::connect(port);
    Box::new(move |count| {
        let _alive = &server;
        repeated(count, |_| client.ping())
    })
}

/// So many connections that read whatever comes, as one process of a crowd.
pub(crate) fn members(port: u16, count: u32) -> Vec<JoinHandle<()>> {
    let member = |_| {
        let client = Client::connect(port);
        // One answer shows that the server has the connection on its list.
        client.ping();
        let read = move || {
            let mut buffer = vec![0; BUFFER];
            while (&client.stream).read(&mut buffer).is_ok_and(|count| count > 0) {}
        };
        thread::Builder::new().stack_size(64 * 1024).spawn(read).expect("a thread per connection")
    };
    (0..count).map(member).collect()
}

fn ping() -> Vec<u8> {
    encoded(&ToSupervisor::Ping(1))
}

fn pong() -> Vec<u8> {
    encoded(&ToMember::Pong(1))
}
