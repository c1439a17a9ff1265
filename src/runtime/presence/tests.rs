use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::runtime::testing::{eventually, free_port};

#[cfg(any(target_os = "linux", target_os = "android"))]
const MECHANISMS: &[Mechanism] = &[Mechanism::Named, Mechanism::Datagram];
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MECHANISMS: &[Mechanism] = &[Mechanism::Datagram];

const A: InstanceId = InstanceId::new(0xa);
const B: InstanceId = InstanceId::new(0xb);

/// Tells a child process where its parent listens; absent in a usual run of the tests.
const PARENT: &str = "BELLWETHER_TEST_PRESENCE";

/// A child process that has joined, and the connection to it.
struct Instance {
    child: Child,
    connection: TcpStream,
    udp_port: u16,
}

/// What an instance does in a process of its own: returns at once in a usual run.
#[test]
fn instance_in_a_child_process() {
    let Ok(given) = env::var(PARENT) else { return };
    let mut words = given.split(' ');
    let mut word = || words.next().unwrap();
    let (parent, datagram, port, id) = (word(), word(), word().parse().unwrap(), word().parse().unwrap());
    let mechanism = if datagram == "true" { Mechanism::Datagram } else { Mechanism::native() };
    let mut connection = TcpStream::connect(parent).unwrap();
    let mut presence = Presence::bind(mechanism, port, id).unwrap();
    presence.join().unwrap();
    connection.write_all(&presence.udp_port().to_be_bytes()).unwrap();
    let mut order = [0];
    // The end of the connection is the end of the parent: nothing is left behind.
    if connection.read(&mut order).unwrap_or(0) == 1 && order[0] == b'x' {
        panic!("{}", Command::new("cat").exec());
    }
}

impl Instance {
    fn start(mechanism: Mechanism, port: u16, id: InstanceId) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let parent = listener.local_addr().unwrap();
        let datagram = mechanism == Mechanism::Datagram;
        let module = module_path!().split_once("::").unwrap().1;
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::instance_in_a_child_process"), "--nocapture"])
            .env(PARENT, format!("{parent} {datagram} {port} {id}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (mut connection, _) = listener.accept().unwrap();
        let mut udp_port = [0; 2];
        connection.read_exact(&mut udp_port).unwrap();
        Self { child, connection, udp_port: u16::from_be_bytes(udp_port) }
    }

    fn until_its_end(&mut self) {
        // A reset is an end as well.
        let _ = self.connection.read(&mut [0]);
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who is there, whatever the tags.
fn call(mechanism: Mechanism, port: u16, own: Option<&mut Presence>) -> Called {
    match roll_call(mechanism, port, own).unwrap_or(RollCall::Unknown) {
        RollCall::Everyone(memberships) => Called::Everyone(memberships.into_iter().map(|(id, _)| id).collect()),
        RollCall::Somebody(somebody) => Called::Somebody(somebody),
        RollCall::Unknown => Called::Unknown,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Called {
    Everyone(Vec<InstanceId>),
    Somebody(bool),
    Unknown,
}

/// The tags under which the kernel shows this instance.
fn shown(mechanism: Mechanism, port: u16, id: InstanceId) -> Vec<Tag> {
    match roll_call(mechanism, port, None).unwrap_or(RollCall::Unknown) {
        RollCall::Everyone(memberships) => {
            memberships.iter().filter(|(of, _)| *of == id).map(|(_, tag)| *tag).collect()
        }
        _ => Vec::new(),
    }
}

/// The roll call that this mechanism gives if these are the members, asked by one that is none.
fn members(mechanism: Mechanism, ids: &[InstanceId]) -> Called {
    match mechanism {
        Mechanism::Datagram => Called::Somebody(!ids.is_empty()),
        _ => Called::Everyone(ids.to_vec()),
    }
}

#[test]
fn a_killed_instance_is_gone_although_nobody_has_reaped_it() {
    for &mechanism in MECHANISMS {
        let port = free_port();
        let mut instance = Instance::start(mechanism, port, A);
        assert!(!presence_gone(mechanism, port, A, instance.udp_port));
        let tags = shown(mechanism, port, A);
        assert!(!membership_gone(mechanism, port, A, &tags));
        assert_eq!(call(mechanism, port, None), members(mechanism, &[A]));
        instance.child.kill().unwrap();
        instance.until_its_end();
        assert!(eventually(|| presence_gone(mechanism, port, A, instance.udp_port)), "{mechanism:?}");
        assert!(eventually(|| call(mechanism, port, None) == members(mechanism, &[])), "{mechanism:?}");
        #[cfg(target_os = "linux")]
        {
            let stat = format!("/proc/{}/stat", instance.child.id());
            assert!(eventually(|| std::fs::read_to_string(&stat).unwrap().contains(") Z ")));
            assert!(presence_gone(mechanism, port, A, instance.udp_port));
            assert!(mechanism == Mechanism::Datagram || membership_gone(mechanism, port, A, &tags));
        }
    }
}

#[test]
fn an_instance_that_became_another_program_is_gone() {
    for &mechanism in MECHANISMS {
        let port = free_port();
        let mut instance = Instance::start(mechanism, port, A);
        instance.connection.write_all(b"x").unwrap();
        instance.until_its_end();
        assert!(eventually(|| presence_gone(mechanism, port, A, instance.udp_port)), "{mechanism:?}");
        assert!(eventually(|| call(mechanism, port, None) == members(mechanism, &[])), "{mechanism:?}");
        assert!(instance.child.try_wait().unwrap().is_none());
    }
}

#[test]
fn a_stopped_instance_is_not_gone() {
    for &mechanism in MECHANISMS {
        let port = free_port();
        let instance = Instance::start(mechanism, port, A);
        instance.signal("STOP");
        #[cfg(target_os = "linux")]
        {
            let stat = format!("/proc/{}/stat", instance.child.id());
            assert!(eventually(|| std::fs::read_to_string(&stat).unwrap().contains(") T ")));
        }
        let tags = shown(mechanism, port, A);
        for _ in 0..100 {
            assert!(!presence_gone(mechanism, port, A, instance.udp_port), "{mechanism:?}");
            assert!(!membership_gone(mechanism, port, A, &tags), "{mechanism:?}");
        }
        assert_eq!(call(mechanism, port, None), members(mechanism, &[A]));
    }
}

#[test]
fn instances_in_several_processes_are_all_found_and_those_of_another_port_are_not() {
    for &mechanism in MECHANISMS {
        let (port, other) = (free_port(), free_port());
        let first = Instance::start(mechanism, port, A);
        let _second = Instance::start(mechanism, port, B);
        let _stranger = Instance::start(mechanism, other, InstanceId::new(0xc));
        assert_eq!(call(mechanism, port, None), members(mechanism, &[A, B]));
        drop(first);
        assert!(eventually(|| call(mechanism, port, None) == members(mechanism, &[B])), "{mechanism:?}");
    }
}

#[test]
fn only_what_has_joined_is_called_and_what_left_is_not() {
    for &mechanism in MECHANISMS {
        let port = free_port();
        let mut own = Presence::bind(mechanism, port, A).unwrap();
        let mut other = Presence::bind(mechanism, port, B).unwrap();
        assert!(eventually(|| call(mechanism, port, Some(&mut own)) == members(mechanism, &[])));
        other.join().unwrap();
        other.join().unwrap();
        assert!(other.is_member() && !own.is_member());
        assert_eq!(call(mechanism, port, Some(&mut own)), members(mechanism, &[B]));
        assert!(!presence_gone(mechanism, port, B, other.udp_port()));
        let udp_port = other.udp_port();
        drop(other);
        assert!(eventually(|| call(mechanism, port, Some(&mut own)) == members(mechanism, &[])));
        assert!(eventually(|| presence_gone(mechanism, port, B, udp_port)), "{mechanism:?}");
    }
}

#[test]
fn the_one_who_calls_is_still_a_member_afterwards() {
    for &mechanism in MECHANISMS {
        let port = free_port();
        let mut own = Presence::bind(mechanism, port, A).unwrap();
        own.join().unwrap();
        let alone = match mechanism {
            Mechanism::Datagram => Called::Somebody(false),
            _ => Called::Everyone(vec![A]),
        };
        assert!(eventually(|| call(mechanism, port, Some(&mut own)) == alone), "{mechanism:?}");
        assert!(own.is_member());
        assert_eq!(call(mechanism, port, None), members(mechanism, &[A]));
    }
}

#[test]
fn an_id_cannot_be_taken_twice_where_that_can_be_told() {
    let port = free_port();
    for &mechanism in MECHANISMS {
        let first = Presence::bind(mechanism, port, A).unwrap();
        let second = Presence::bind(mechanism, port, A);
        match mechanism {
            Mechanism::Datagram => assert_ne!(second.unwrap().udp_port(), first.udp_port()),
            _ => assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse),
        }
        // The same id in another group is another instance.
        Presence::bind(mechanism, port + 1, A).unwrap();
    }
}

#[test]
fn a_name_that_is_only_being_tested_is_waited_for() {
    let mut tests = 3;
    let outcome = persist(|| match tests {
        0 => Ok(()),
        _ => {
            tests -= 1;
            Err(io::ErrorKind::AddrInUse.into())
        }
    });
    assert!(outcome.is_ok());
    let mut tries = 0;
    let outcome: io::Result<()> = persist(|| {
        tries += 1;
        Err(io::ErrorKind::AddrInUse.into())
    });
    assert_eq!((outcome.unwrap_err().kind(), tries), (io::ErrorKind::AddrInUse, TRIES));
    let outcome: io::Result<()> = persist(|| Err(io::ErrorKind::PermissionDenied.into()));
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn no_port_says_nothing_about_an_instance() {
    assert!(!presence_gone(Mechanism::Datagram, free_port(), A, 0));
}
