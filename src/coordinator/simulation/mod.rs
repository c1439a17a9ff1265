//! A simulation of whole groups over the real machines: instances, one port, and connections whose every buffer is
//! visible, with kills, stops, full buffers and everything else that a kernel does to programs, in any order.
//!
//! `BELLWETHER_SIM_SCHEDULES=n` multiplies the number of random schedules by n, `BELLWETHER_SIM_SEED=n` takes others.

mod control;
mod copies;
mod findings;
mod ghost;
mod heirs;
mod inquiries;
mod invariants;
mod meetings;
mod member;
mod noise;
mod notices;
mod possible;
mod script;
mod state;
mod steps;
mod strangers;
mod walk;
mod world;

use super::rules::Rules;
use crate::wire::frame::{Decoder, LIMIT_AFTER_TRUST, Message};

/// The lock that has permits, and how many.
const SEMAPHORE: u8 = 2;
const PERMITS: u32 = 3;

/// What may happen in a world, and how often.
#[derive(Clone, Copy, Debug)]
struct Config {
    rules: Rules,
    /// How many instances there can be, and how many are members at the start.
    slots: usize,
    members: usize,
    locks: u8,
    /// Whether the last of these locks may be shared.
    shared: bool,
    /// Whether there is a semaphore besides, lock 2.
    permits: bool,
    /// Whether the application takes its grants when it likes, and not at once.
    takes_late: bool,
    /// Whether calls that wait ask how they stand.
    inquires: bool,
    /// Who holds lock 0 at the start.
    held: Option<u8>,
    /// How often each instance may ask.
    acquires: u8,
    /// How often each instance may write to the state.
    puts: u8,
    barriers: u8,
    parties: u32,
    /// How often each instance may arrive at barriers, and with how many calls at once.
    arrives: u8,
    callers: u8,
    faults: [u8; Fault::COUNT],
    /// How many frames a receiver's buffer holds.
    capacity: usize,
    /// The window limit, in slices of time.
    slices: u32,
    clock: Clock,
    /// Whether the kernel can list the memberships.
    listing: bool,
    /// Whether its answer takes time, in which everything else goes on.
    late_call: bool,
    /// Whether everything else goes on between a connection and the hello on it.
    late_hello: bool,
    /// Whether instances are of different versions, and leave the office to newer ones.
    succession: bool,
    /// Whether supervisors have a policy.
    judges: bool,
    /// How many messages and questions each instance may send.
    errands: u8,
    /// Whether the kernel shows a membership besides, under which nobody but strangers speak.
    faked: bool,
    /// Whether every frame is encoded and decoded on its way.
    wire: bool,
    length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Rises,
    WasSetBack,
}

/// What happens only so often.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Start,
    Kill,
    Stop,
    Cancel,
    Abandon,
    Leave,
    Resign,
    FailStop,
    GiveUp,
    TimeOut,
    Limit,
    Pause,
    Deny,
    Lack,
    Intrude,
    Foreign,
    Undelivered,
}

impl Fault {
    const COUNT: usize = Self::Undelivered as usize + 1;
}

impl Config {
    /// The locks that there are.
    fn locks(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.locks).chain(self.permits.then_some(SEMAPHORE))
    }

    /// Three members, one lock, no faults.
    const SMALL: Self = Self {
        // As little as possible at a time, so that everything else can happen in between.
        rules: Rules { slice: 1, ..Rules::ALL },
        slots: 3,
        members: 3,
        locks: 1,
        shared: false,
        permits: false,
        takes_late: false,
        inquires: false,
        held: None,
        acquires: 1,
        puts: 0,
        barriers: 0,
        parties: 2,
        arrives: 0,
        callers: 1,
        faults: [0; Fault::COUNT],
        capacity: 99,
        slices: 1,
        clock: Clock::Rises,
        listing: true,
        late_call: false,
        late_hello: false,
        succession: false,
        judges: false,
        errands: 0,
        faked: false,
        wire: false,
        length: 60,
    };

    const fn with(mut self, faults: &[(Fault, u8)]) -> Self {
        let mut k = 0;
        while k < faults.len() {
            self.faults[faults[k].0 as usize] = faults[k].1;
            k += 1;
        }
        self
    }
}

/// The frame as its reader sees it.
fn through_the_wire<M: Message>(frame: M) -> M {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    let mut decoder = Decoder::new(LIMIT_AFTER_TRUST);
    decoder.feed(&bytes);
    decoder.next().expect("a frame").expect("a whole frame")
}

fn explore(name: &str, config: Config, schedules: u64) {
    let number = |key: &str, usual: u64| std::env::var(key).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let times = number("BELLWETHER_SIM_SCHEDULES", 1);
    walk::explore(name, config, number("BELLWETHER_SIM_SEED", 1) << 32, schedules * times);
}

#[test]
fn three_members_through_kills_and_cancels() {
    let config =
        Config { acquires: 2, ..Config::SMALL }.with(&[(Fault::Kill, 3), (Fault::Cancel, 2), (Fault::Abandon, 1)]);
    explore("kills", config, 20_000);
}

const EVERYTHING: Config = Config {
    slots: 5,
    members: 3,
    locks: 2,
    shared: true,
    permits: true,
    takes_late: true,
    acquires: 6,
    puts: 4,
    capacity: 3,
    length: 250,
    late_call: true,
    late_hello: true,
    ..Config::SMALL
}
.with(&[
    (Fault::Start, 2),
    (Fault::Kill, 3),
    (Fault::Stop, 3),
    (Fault::Cancel, 3),
    (Fault::Abandon, 2),
    (Fault::Limit, 3),
    (Fault::Leave, 1),
    (Fault::GiveUp, 2),
    (Fault::FailStop, 1),
    (Fault::Resign, 1),
]);

#[test]
fn everything_happens_to_five_instances_with_two_locks() {
    explore("everything", EVERYTHING, 40_000);
}

#[test]
fn five_members_fight_for_one_lock_through_many_faults() {
    let config = Config {
        members: 5,
        locks: 1,
        shared: false,
        permits: false,
        acquires: 10,
        capacity: 2,
        length: 350,
        ..EVERYTHING
    }
    .with(&[
        (Fault::Stop, 4),
        (Fault::Cancel, 4),
        (Fault::Limit, 4),
        (Fault::GiveUp, 3),
        (Fault::FailStop, 2),
        (Fault::Resign, 2),
    ]);
    explore("five members", config, 25_000);
}

#[test]
fn one_member_and_four_newcomers_through_many_faults() {
    let config =
        Config { members: 1, locks: 1, acquires: 8, capacity: 2, slices: 2, length: 300, ..EVERYTHING }.with(&[
            (Fault::Start, 4),
            (Fault::Kill, 4),
            (Fault::Cancel, 4),
            (Fault::Limit, 6),
            (Fault::GiveUp, 3),
            (Fault::FailStop, 2),
            (Fault::Resign, 2),
        ]);
    explore("newcomers", config, 25_000);
}

#[test]
fn winners_lack_what_it_takes_to_take_the_others_in() {
    let config = Config { slots: 4, locks: 1, ..EVERYTHING }.with(&[(Fault::Lack, 4), (Fault::Kill, 4)]);
    explore("lack", config, 25_000);
}

#[test]
fn the_clock_was_set_back() {
    let config = Config { slots: 4, clock: Clock::WasSetBack, acquires: 8, ..EVERYTHING }.with(&[
        (Fault::Start, 1),
        (Fault::FailStop, 2),
        (Fault::Resign, 2),
    ]);
    explore("clock", config, 25_000);
}

#[test]
fn the_clock_was_set_back_and_tokens_are_used_up_in_every_reign() {
    let rules = Rules { step: 2, ..EVERYTHING.rules };
    let config = Config { slots: 4, clock: Clock::WasSetBack, rules, locks: 1, acquires: 20, ..EVERYTHING }.with(&[
        (Fault::Start, 1),
        (Fault::FailStop, 2),
        (Fault::Resign, 2),
    ]);
    explore("tokens", config, 25_000);
}

#[test]
fn the_kernel_cannot_list_who_is_there() {
    // Nobody is over the limit here: whoever comes back after it needs a roll call that names it.
    let config = Config { listing: false, locks: 1, capacity: 99, ..EVERYTHING }.with(&[
        (Fault::Kill, 4),
        (Fault::Stop, 0),
        (Fault::Limit, 0),
        (Fault::GiveUp, 0),
    ]);
    explore("portable", config, 25_000);
}

#[test]
fn every_frame_is_read_from_its_bytes() {
    explore("wire", Config { wire: true, ..EVERYTHING }, 10_000);
}

#[test]
fn everything_happens_to_four_instances_that_write_to_the_state() {
    let config = Config { slots: 4, locks: 1, acquires: 1, puts: 10, ..EVERYTHING }.with(&[
        (Fault::Stop, 4),
        (Fault::GiveUp, 3),
        (Fault::FailStop, 2),
        (Fault::Resign, 2),
    ]);
    explore("state", config, 25_000);
}

/// A member whose supervisor stands still gives up its connection, and with it what it has not read.
#[test]
fn connections_are_given_up_unread_while_the_state_is_written() {
    let config = Config { slots: 3, locks: 0, acquires: 0, puts: 6, capacity: 2, length: 100, ..EVERYTHING }.with(&[
        (Fault::Start, 0),
        (Fault::Cancel, 0),
        (Fault::Abandon, 0),
        (Fault::Limit, 0),
        (Fault::Leave, 0),
        (Fault::Stop, 5),
        (Fault::GiveUp, 5),
        (Fault::FailStop, 3),
    ]);
    explore("given up unread", config, 30_000);
}

#[test]
fn many_short_lives() {
    let config = Config { slots: 4, locks: 1, held: Some(1), length: 40, slices: 1, ..EVERYTHING };
    explore("short", config, 100_000);
}
