//! A logger that wants to know whose words it writes: it may ask, whichever thread says them.

mod fleet;

use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use bellwether::{Error, Group, Instance};

/// Those whom the logger asks. Whatever was logged before both had joined was nobody's.
static INSTANCES: OnceLock<[Instance; 2]> = OnceLock::new();

/// All that was logged.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the application entrusts to the group.
const SECRET: &str = "hunter2";

struct Curious;

impl log::Log for Curious {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
        for instance in INSTANCES.get().into_iter().flatten() {
            let (id, role, epoch) = (instance.id(), instance.role(), instance.epoch());
            let line = format!("{id} {role:?} {epoch} {instance:?} {}: {}", instance.registry().len(), record.args());
            std::hint::black_box(line);
        }
    }

    fn flush(&self) {}
}

/// Everything that is logged in the ordinary life of two instances, elections included.
fn live([one, other]: &[Instance; 2]) -> Result<(), Error> {
    for instance in [one, other, one] {
        instance.mutex("line").lock()?.unlock()?;
        instance.state().put("key", SECRET)?;
        instance.broadcast(SECRET.as_bytes())?;
        // One of the two asks over a connection.
        one.request(SECRET.as_bytes())?;
        other.request(SECRET.as_bytes())?;
        match instance.resign() {
            Ok(()) | Err(Error::NotSupervisor) => {}
            Err(error) => return Err(error),
        }
    }
    one.leave();
    other.office().map(drop)
}

#[test]
fn a_logger_may_ask_an_instance_who_it_is() {
    log::set_logger(&Curious).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let group = Group::new("curious").unwrap().port(fleet::free_port()).payload(SECRET);
    let group = group.on_request(|_| SECRET.into());
    let instances = [group.clone().join().unwrap(), group.join().unwrap()];
    let instances = INSTANCES.get_or_init(|| instances);
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || done.send(live(instances)));
    // Only in a test that has failed somebody waits for itself for so long.
    outcome.recv_timeout(Duration::from_secs(30)).expect("nobody waits for itself").unwrap();
    let (lines, bytes) = (LINES.lock().unwrap(), format!("{:?}", SECRET.as_bytes()));
    assert!(lines.iter().any(|line| line.contains("reply #")), "the frames are logged");
    for line in &*lines {
        assert!(!line.contains(SECRET) && !line.contains(bytes.trim_matches(['[', ']'])), "{line}");
    }
}
