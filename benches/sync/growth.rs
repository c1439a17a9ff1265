//! What very many locks cost those that have few: the longest wait of a member while another one with very many locks ends,
//! and an unlock after very many names were used in a reign that followed a failure. Each beside the same at rest, measured
//! just before.

use std::env;
use std::time::{Duration, Instant};

use bellwether::sync::Guard;
use bellwether::{Instance, Role};

use crate::common::is_trial;
use crate::common::process::Process;
use crate::contest::children::serving;
use crate::contest::library::subordinate;
use crate::library::GRANTED;

/// As many as one instance may hold.
const MANY: u32 = 131_072;
/// To take them all may take long on a busy machine.
const LONG: Duration = Duration::from_secs(600);
/// For how long the waits are measured: the end takes less, unless it takes very much too long, and then one wait does.
const PERIOD: Duration = Duration::from_secs(5);

/// Measures what was asked for and prints it.
pub(crate) fn measure() {
    let filters: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let many = if is_trial() { 1000 } else { MANY };
    if is_wanted("longest wait at an end") {
        longest_wait(many);
    }
    if is_wanted("unlock after many names") {
        many_names(many);
    }
}

/// A member takes so many locks and is killed, while this one locks and unlocks another one all the time.
fn longest_wait(many: u32) {
    let (server, port) = serving("supervisor");
    let mut hoarder = Process::start(&format!("hoarder {port} {many}"));
    assert_eq!(hoarder.hear("that it has all locks", Instant::now() + LONG), "ready");
    let instance = subordinate(port);
    let (rest, rest_pairs) = longest_pair(&instance);
    hoarder.kill();
    let (longest, pairs) = longest_pair(&instance);
    println!(
        "\nlongest wait at an end: {longest:.2?} for a lock and its unlock, of {pairs} in {PERIOD:.0?}, while a member with \
         {many} locks ends; {rest:.2?} at rest, of {rest_pairs}"
    );
    drop(server);
}

/// Locks and unlocks for a while: the longest time that a pair took, and how many there were.
fn longest_pair(instance: &Instance) -> (Duration, u32) {
    let mutex = instance.mutex("beside");
    let (mut longest, mut pairs) = (Duration::ZERO, 0);
    let began = Instant::now();
    while began.elapsed() < PERIOD {
        let start = Instant::now();
        drop(mutex.lock().expect(GRANTED));
        longest = longest.max(start.elapsed());
        pairs += 1;
    }
    (longest, pairs)
}

/// Each name is used once, in a reign whose predecessor was killed.
fn many_names(many: u32) {
    let (mut server, port) = serving("supervisor");
    let instance = subordinate(port);
    server.kill();
    let deadline = Instant::now() + LONG;
    while instance.role() != Role::Supervisor {
        assert!(Instant::now() < deadline, "nobody else is there to reign");
        std::thread::yield_now();
    }
    let sample = many / 16;
    let use_names = |names: std::ops::Range<u32>| {
        let count = names.len() as u32;
        let start = Instant::now();
        names.for_each(|number| drop(instance.mutex(&name(number)).lock().expect(GRANTED)));
        start.elapsed() / count
    };
    let first = use_names(0..sample);
    use_names(sample..many);
    let last = use_names(many..many + sample);
    println!(
        "\nunlock after many names: {last:.2?} for a lock and its unlock of a new name after {many} others in a reign that \
         followed a failure; {first:.2?} for the first"
    );
}

/// What the process does that is killed.
pub(crate) fn hoarder(port: u16, many: u32) -> (Instance, Vec<Guard>) {
    let instance = subordinate(port);
    let guards = (0..many).map(|number| instance.mutex(&name(number)).lock().expect(GRANTED)).collect();
    (instance, guards)
}

fn name(number: u32) -> String {
    format!("hoard-{number:06}")
}
