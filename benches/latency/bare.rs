//! The floor: an election with nothing around it.
//!
//! No registry, no frames, no secret, no claims. What is here is what made the bare race faster when it was measured,
//! so that the floor is an honest one: the listener on a high descriptor, connect before bind, answer before spawn.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::fcntl_dupfd_cloexec;
use socket2::{Domain, Socket, Type};

use crate::common::process::PATIENCE;
use crate::contender::{Board, Contender, Milestone, Role};

/// What an election and a join cost at least.
pub(crate) static CONTENDER: Contender = Contender { name: "bare", compete, join, reigns: false };

/// Bytes in each direction of the handshake.
const GREETING: usize = 64;

/// A request to connect that meets a listener in the act of closing gets no answer; the system would wait a second.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(5);

/// Of the accept queue. A full one drops requests, which costs their senders a second.
const BACKLOG: i32 = 4096;

/// Above every descriptor of a process with 64 connections, below the smallest usual limit, 256. A killed process
/// closes its highest descriptor first, so this frees the port before the survivors hear that it is free.
const HIGH_DESCRIPTOR: i32 = 200;

fn compete(port: u16, board: &Board) -> ! {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // After a death most find the port taken again, and connecting says so with one call less than binding.
    // Every failure means that the race is still on; whoever pauses gives the others a lead, so nobody does.
    loop {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(mut stream) => {
                // A dying listener can still accept: only the answer makes a subordinate.
                if greet(&mut stream).is_ok() {
                    board.note(Milestone::Welcomed, Role::Subordinate);
                    until_end(&mut stream);
                }
            }
            Err(_) => {
                if let Ok(listener) = listen(address) {
                    board.note(Milestone::Welcomed, Role::Supervisor);
                    serve(&listener);
                }
            }
        }
    }
}

fn join(port: u16) -> Duration {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the supervisor listens");
    greet(&mut stream).expect("the supervisor answers");
    start.elapsed()
}

/// The port, if this process wins it. Two can bind, only one can listen.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let high: OwnedFd = fcntl_dupfd_cloexec(&socket, HIGH_DESCRIPTOR)?;
    Ok(TcpListener::from(high))
}

fn serve(listener: &TcpListener) -> ! {
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        // The answer first: the next in the queue waits for the start of this thread, the one served does not.
        let mut greeting = [0; GREETING];
        if stream.read_exact(&mut greeting).and_then(|()| stream.write_all(&greeting)).is_ok() {
            let thread = thread::Builder::new().stack_size(64 * 1024);
            thread.spawn(move || until_end(&mut stream)).expect("a thread per connection");
        }
    }
}

/// The client's half of the handshake.
fn greet(stream: &mut TcpStream) -> io::Result<()> {
    let mut greeting = [0; GREETING];
    stream.write_all(&greeting)?;
    stream.read_exact(&mut greeting)
}

/// Blocks until the other side is disconnected. Nothing is ever sent, so any return means that.
fn until_end(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}
