//! Peers that speak the wire, or not even that, without being instances.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bellwether::ident::{Attempt, Nonce, Stamp};
use bellwether::wire::WIRE_VERSION;
use bellwether::wire::frame::{Decoder, LIMIT_AFTER_TRUST, Message};
use bellwether::wire::message::{Hello, Join, Profile, Purpose, ToMember, ToSupervisor, Trust};
use bellwether::{InstanceId, Name, Token};

pub fn hello(id: u64, attempt: u64) -> ToSupervisor {
    ToSupervisor::Hello(Hello {
        wire: WIRE_VERSION,
        purpose: Purpose::Member,
        trust: Trust::Open,
        id: InstanceId::new(id),
        attempt: Attempt::new(attempt),
        nonce: Nonce::new(id),
    })
}

pub fn join(group: &str) -> ToSupervisor {
    join_from(group, Stamp::default())
}

/// The word of a member whose last closed view had this number.
pub fn join_from(group: &str, stamp: Stamp) -> ToSupervisor {
    ToSupervisor::Join(Join {
        group: Name::new(group).unwrap(),
        stamp,
        epoch: stamp.epoch,
        base: Token::default(),
        state: Stamp::default(),
        stopping: false,
        profile: Profile {
            pid: 1,
            version: 0,
            since: 0,
            presence: 0,
            paused: false,
            label: "stranger".into(),
            payload: Box::default(),
        },
    })
}

pub fn encoded(frames: &[impl Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // Only a test that has failed waits so long.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Everything that the supervisor answers until it ends the connection.
pub fn answers(mut stream: TcpStream) -> Vec<ToMember> {
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    let mut frames = Vec::new();
    loop {
        while let Some(frame) = decoder.next().expect("the supervisor speaks the wire") {
            frames.push(frame);
        }
        match stream.read(decoder.space()) {
            Ok(0) => return frames,
            Ok(count) => decoder.filled(count),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return frames,
            Err(error) => panic!("the connection was not ended: {error}, after {frames:?}"),
        }
    }
}

/// A presence or a membership, held by this test.
pub fn show(name: String) -> UnixDatagram {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
}

/// So many connections that say this and no more, whatever becomes of them: those that end are made again.
pub struct Crowd {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Crowd {
    /// Returns when all of them have been connected once.
    pub fn new(port: u16, count: usize, words: Vec<u8>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let made = Arc::new(AtomicUsize::new(0));
        let (seen, counted) = (over.clone(), made.clone());
        let thread = std::thread::spawn(move || {
            let mut crowd: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
            while !seen.load(Ordering::Relaxed) {
                let mut renewed = 0;
                for one in &mut crowd {
                    let stands = one.as_ref().is_some_and(|stream| {
                        let read = (&mut &*stream).read(&mut [0; 256]);
                        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
                    });
                    if stands || seen.load(Ordering::Relaxed) {
                        continue;
                    }
                    let address = ([127, 0, 0, 1], port).into();
                    *one = TcpStream::connect_timeout(&address, Duration::from_millis(20)).ok();
                    if let Some(stream) = one {
                        stream.set_nonblocking(true).unwrap();
                        let _ = stream.write(&words);
                        counted.fetch_add(1, Ordering::Relaxed);
                        renewed += 1;
                    }
                }
                if renewed == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        super::eventually("the crowd is there", || made.load(Ordering::Relaxed) >= count);
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Lets this process and its children have as many descriptors as they may, and says how many that is.
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum.or(Some(20_000)), maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.map_or(20_000, |limit| limit as usize)
}
