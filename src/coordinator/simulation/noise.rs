//! Peers that say anything at any time: no sequence of frames makes a machine panic or contradict itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::numbers;
use super::super::supervisor::fuzzing::{self, Done, Trial};
use super::super::supervisor::{Control, LinkId, Supervisor};
use super::super::window::RollCall;
use super::Config;
use super::walk::Chance;
use super::world::{lock_name, new_session};
use crate::ident::{Attempt, Epoch, InstanceId, Kind, Nonce, Request, Resource, Stamp, Tag, Ticket, Token};
use crate::wire::frame::Message;
use crate::wire::message::*;

/// Small numbers, so that they meet, and now and then the largest.
fn number(chance: &mut Chance) -> u64 {
    match chance.below(40) {
        0 => u64::MAX,
        1 => u64::MAX - (1 << 32),
        2 => numbers::END - (1 << 22) + chance.below(3) as u64,
        3 => numbers::BELIEF - 1 + chance.below(3) as u64,
        4 => numbers::LAST,
        n => n as u64 % 5,
    }
}

fn id(chance: &mut Chance) -> InstanceId {
    InstanceId::new(1000 + chance.below(4) as u64)
}

/// Most of the time that of the id, as in [`Trial::greet`].
fn nonce(chance: &mut Chance) -> Nonce {
    Nonce::new([1000, 1001, 1002, 1003, 0, 7][chance.below(6)])
}

fn forfeit(chance: &mut Chance) -> Forfeit {
    (id(chance), Tag::new(chance.below(2) as u64))
}

fn stamp(chance: &mut Chance) -> Stamp {
    Stamp { epoch: Epoch::new(number(chance)), n: number(chance) }
}

fn want(chance: &mut Chance) -> Want {
    let count = chance.below(3) as u32;
    let mode = [Mode::Exclusive, Mode::Shared, Mode::Permits { count, limit: 2 }][chance.below(3)];
    Want { request: Request::new(number(chance)), name: lock_name(chance.below(2) as u8), mode }
}

fn request(chance: &mut Chance) -> Request {
    Request::new(number(chance))
}

fn key(chance: &mut Chance) -> Resource {
    let kind = [Kind::Mutex, Kind::Semaphore, Kind::Once, Kind::Value][chance.below(4)];
    Resource::new(kind, lock_name(chance.below(2) as u8).name)
}

fn bytes(chance: &mut Chance) -> Option<Arc<[u8]>> {
    [None, Some([].into()), Some([0; 4].into())][chance.below(3)].clone()
}

fn put(c: &mut Chance) -> Put {
    let option = |c: &mut Chance| (c.below(3) == 0).then(|| stamp(c));
    let (expected, again) = (option(c), option(c));
    Put { request: request(c), key: key(c), expected, again, bytes: bytes(c) }
}

fn value(c: &mut Chance) -> Value {
    Value { key: key(c), version: stamp(c), writer: id(c), request: request(c), bytes: bytes(c) }
}

fn said(c: &mut Chance) -> Arc<[u8]> {
    let size = [0, 4, 1 << 20][c.below(3)];
    vec![0; size].into()
}

fn someone(c: &mut Chance) -> Option<InstanceId> {
    (c.below(3) > 0).then(|| id(c))
}

fn order(c: &mut Chance) -> Order {
    match c.below(4) {
        0 => Order::Pause,
        1 => Order::Resume,
        2 => Order::Stop,
        _ => Order::Custom(said(c)),
    }
}

fn profile(chance: &mut Chance) -> Profile {
    let paused = chance.below(4) == 0;
    Profile { pid: 1, version: 0, since: 0, presence: 0, paused, label: "".into(), payload: [].into() }
}

fn sort(chance: &mut Chance) -> NameSort {
    [NameSort::Known, NameSort::Heard][chance.below(2)]
}

fn generation(chance: &mut Chance) -> Generation {
    let waiters = (0..chance.below(4)).map(|_| (id(chance), request(chance))).collect();
    Generation { name: lock_name(chance.below(2) as u8).name, number: stamp(chance), waiters }
}

fn to_supervisor(chance: &mut Chance) -> ToSupervisor {
    let c = chance;
    match c.below(38) {
        0..4 => ToSupervisor::Hello(Hello {
            wire: if c.below(30) == 0 { 9 } else { 1 },
            purpose: if c.below(8) == 0 { Purpose::Observer } else { Purpose::Member },
            trust: Trust::Open,
            id: id(c),
            attempt: Attempt::new(number(c)),
            nonce: nonce(c),
        }),
        4..7 => ToSupervisor::Join(Join {
            group: lock_name(u8::from(c.below(30) == 0)).name,
            state: stamp(c),
            stamp: if c.below(2) == 0 { Stamp::default() } else { stamp(c) },
            epoch: Epoch::new(number(c)),
            base: Token::new(number(c)),
            stopping: c.below(8) == 0,
            profile: profile(c),
        }),
        7 => ToSupervisor::Names(sort(c), vec![(id(c), nonce(c)), (id(c), nonce(c))]),
        8 => ToSupervisor::Departed(id(c), EndReason::Left),
        9 => ToSupervisor::Held(HeldClaim { want: want(c), token: Token::new(number(c)), since: number(c) }),
        10 => {
            let ticket = Ticket { epoch: Epoch::new(number(c)), n: number(c) };
            ToSupervisor::Wants(WantClaim { want: want(c), ticket: (c.below(2) == 0).then_some(ticket) })
        }
        11..14 => ToSupervisor::ClaimsEnd,
        14 | 15 => ToSupervisor::Acquire(want(c)),
        16 if c.below(3) == 0 => ToSupervisor::Withdraw(request(c)),
        16 => ToSupervisor::Cancel(request(c)),
        17 if c.below(4) == 0 => ToSupervisor::Abandon(request(c)),
        17 => ToSupervisor::Release(request(c)),
        18 => ToSupervisor::Decline(request(c)),
        19 => ToSupervisor::Forfeits(vec![forfeit(c), forfeit(c)]),
        20..23 => ToSupervisor::Put(put(c)),
        23 => ToSupervisor::Value(value(c)),
        24 => ToSupervisor::StateEnd,
        25 => ToSupervisor::Survey(number(c)),
        26 => ToSupervisor::Inquire(request(c)),
        27 | 28 => {
            let parties = c.below(4) as u32;
            ToSupervisor::Arrive(Arrive { request: request(c), name: lock_name(c.below(2) as u8).name, parties })
        }
        29 => ToSupervisor::Completed(generation(c)),
        32..34 => ToSupervisor::Post(Post { request: request(c), to: someone(c), bytes: said(c) }),
        34 => ToSupervisor::Ask(Ask { request: request(c), bytes: said(c) }),
        35 | 36 => ToSupervisor::Command(Command { request: request(c), to: someone(c), order: order(c) }),
        _ => [ToSupervisor::Leave, ToSupervisor::Ping(1), ToSupervisor::Pong(1)][c.below(3)].clone(),
    }
}

fn to_member(chance: &mut Chance) -> ToMember {
    let c = chance;
    let entry = |c: &mut Chance| Entry { id: id(c), profile: profile(c), standing: Standing::Active, nonce: nonce(c) };
    let head = |c: &mut Chance| ViewHead {
        stamp: stamp(c),
        base: Token::new(number(c)),
        written: number(c),
        whole: c.below(2) == 0,
    };
    match c.below(34) {
        0 => ToMember::Forfeited,
        1 => ToMember::Entries(vec![entry(c), entry(c)]),
        2 => ToMember::Names(sort(c), vec![id(c)]),
        3 | 4 => {
            let view = (c.below(3) > 0).then(|| head(c));
            ToMember::Welcome(Welcome { supervisor: id(c), pid: 1, view })
        }
        5 => ToMember::Opened(Opened { supervisor: id(c), view: head(c), departed: vec![(id(c), EndReason::Left)] }),
        6 => {
            ToMember::Delta(Delta { stamp: stamp(c), entries: vec![entry(c)], ended: vec![(id(c), EndReason::Failed)] })
        }
        7 => {
            let ticket = Ticket { epoch: Epoch::new(number(c)), n: number(c) };
            ToMember::Queued(Queued { request: request(c), ticket, ahead: 0, holder: None })
        }
        8 | 9 => {
            let token = Token::new(number(c));
            ToMember::Grant(Grant { request: request(c), token, since: 0, abandoned: Abandoned::Unknown })
        }
        10 => ToMember::Token(request(c), Token::new(number(c))),
        11 => ToMember::Lost(request(c)),
        12 => ToMember::Denied(request(c), "".into()),
        13 => ToMember::Forfeits(vec![forfeit(c)]),
        14 | 15 => ToMember::Value(value(c)),
        16 => ToMember::Fetch,
        17 => ToMember::Stored(request(c), stamp(c)),
        18 => ToMember::Conflict(request(c), stamp(c)),
        19 => ToMember::Interrupted(request(c)),
        20 => {
            ToMember::Locks(vec![LockRow { name: lock_name(0), limit: None, holders: Vec::new(), waiters: Vec::new() }])
        }
        21 if c.below(2) == 0 => ToMember::Barriers(Vec::new()),
        21 => ToMember::Surveyed(number(c)),
        22 => ToMember::Base(Token::new(number(c))),
        23 | 24 => ToMember::Complete(generation(c)),
        25 if c.below(3) == 0 => ToMember::Withdrawn(request(c)),
        25 => ToMember::Go(request(c), c.below(2) == 0),
        27 => ToMember::Message(id(c), said(c)),
        28 => ToMember::Delivered(request(c), number(c) as u32),
        29 => ToMember::Undelivered(request(c)),
        30 => ToMember::Reply(request(c), said(c)),
        31 => ToMember::Failed(request(c), "".into()),
        32 => ToMember::Command(order(c)),
        33 if c.below(9) == 0 => ToMember::Evicted,
        26 => ToMember::Leave(LeaveSort::ResigningOver(id(c), Tag::new(number(c)))),
        _ => ToMember::Leave(LeaveSort::Leaving),
    }
}

/// What a member or an observer may say at any time, and now and then something else, which ends its connection.
fn proper(c: &mut Chance) -> ToSupervisor {
    loop {
        let frame = to_supervisor(c);
        let is_request = matches!(
            frame,
            ToSupervisor::Acquire(_)
                | ToSupervisor::Cancel(_)
                | ToSupervisor::Release(_)
                | ToSupervisor::Abandon(_)
                | ToSupervisor::Decline(_)
                | ToSupervisor::Put(_)
                | ToSupervisor::Inquire(_)
                | ToSupervisor::Survey(_)
                | ToSupervisor::Arrive(_)
                | ToSupervisor::Withdraw(_)
                | ToSupervisor::Post(_)
                | ToSupervisor::Ask(_)
                | ToSupervisor::Command(_)
                | ToSupervisor::Pong(_)
        );
        if is_request || c.below(100) == 0 {
            return frame;
        }
    }
}

fn purpose(c: &mut Chance) -> Purpose {
    if c.below(4) == 0 { Purpose::Observer } else { Purpose::Member }
}

/// One supervisor and its peers, who have manners or none.
fn run(seed: u64, has_manners: bool) -> Done {
    let mut chance = Chance::new(seed);
    let c = &mut chance;
    let control = Control {
        judges: c.below(2) == 0,
        answers: c.below(2) == 0,
        stop_limit: (c.below(2) == 0).then_some(Supervisor::SLICE * 2),
        ..Control::default()
    };
    let roll = match c.below(3) {
        _ if has_manners => RollCall::Everyone(BTreeSet::new()),
        0 => RollCall::Somebody(true),
        _ => RollCall::Everyone(BTreeSet::from([forfeit(c), forfeit(c)])),
    };
    let mut trial = Trial::new(control);
    if has_manners {
        trial.supervisor.called(roll.clone());
        trial.greet(LinkId::LOCAL, Trial::ME, Purpose::Member, profile(c));
    }
    for _ in 0..200 {
        let slot = c.below(6);
        let link = trial.link(slot);
        // Most are asked about what was asked last.
        let question = trial.question(c.below(4));
        let supervisor = &mut trial.supervisor;
        match c.below(28) {
            0 => {
                let link = trial.connect(slot, c.below(2) == 0);
                if let Some(link) = link.filter(|_| has_manners) {
                    trial.greet(link, id(c), purpose(c), profile(c));
                }
            }
            1 if !has_manners || link != LinkId::LOCAL => supervisor.ended(link, c.below(2) == 0),
            2 => supervisor.written(link, number(c)),
            3 => supervisor.gone(id(c)),
            4 => supervisor.membership_gone(id(c)),
            5 => supervisor.time(Duration::from_secs(1), c.below(2) == 0),
            6 if c.below(30) == 0 => supervisor.freeze(LeaveSort::Resigning),
            7 => supervisor.nobody_else(),
            8 => supervisor.called(roll.clone()),
            9 => supervisor.judged(question, [Ok(()), Err("".into())][c.below(2)].clone()),
            10 => supervisor.handled(question, [Ok(said(c)), Err("".into())][c.below(2)].clone()),
            12 => supervisor.set_time(number(c)),
            11 if has_manners => supervisor.written(link, u64::MAX),
            _ if has_manners => supervisor.frame(link, proper(c)),
            _ => supervisor.frame(link, to_supervisor(c)),
        }
        trial.settle(if has_manners { 1 } else { number(c) });
    }
    trial.done
}

#[test]
fn a_supervisor_bears_whatever_its_peers_say() {
    for seed in 0..4000 {
        run(seed, false);
    }
}

#[test]
fn an_open_reign_bears_whatever_its_peers_ask_for() {
    let done = (0..2000).map(|seed| run(seed, true)).fold(Done::default(), Done::and);
    let Done { opened, asked, delivered, evicted } = done;
    assert!(opened > 1900 && asked > 500 && delivered > 1000 && evicted > 10, "{done:?}");
}

// ------------------------------------------------------------------------------------------------- for the fuzz target

/// Some connections, then some steps, in the bytes of [`fuzzing::supervisor`].
fn steps(seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let c = &mut chance;
    let mut bytes = vec![16 | c.below(16) as u8];
    (1..6).for_each(|slot| bytes.extend([1 + 16 * c.below(16) as u8, slot]));
    for _ in 0..200 {
        let (what, of) = (c.below(64), c.below(256) as u8);
        if what < 12 {
            bytes.extend([16 * c.below(16) as u8 + what as u8, of]);
            continue;
        }
        let mut frame = Vec::new();
        proper(c).encode(&mut frame);
        // Behind the length there are the kind and the body.
        if let [_, _, _, _, kind, body @ ..] = &frame[..]
            && let Ok(length) = u8::try_from(body.len())
        {
            bytes.extend([15, of, *kind, length]);
            bytes.extend(body);
        }
    }
    bytes
}

/// Fails when the seeds are not committed as they are here. `SEEDS=write cargo test seeds` writes them.
#[test]
fn committed_seeds_of_the_supervisor_are_replayed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/supervisor");
    let write = std::env::var_os("SEEDS").is_some_and(|word| word == "write");
    if write {
        fs::create_dir_all(&corpus).expect("the corpus is writable");
    } else if !corpus.exists() {
        // The published crate comes without the fuzz targets.
        return;
    }
    for seed in 0..8 {
        let path = corpus.join(format!("seed-{seed}"));
        if write {
            fs::write(&path, steps(seed)).expect("the corpus is writable");
        }
        assert_eq!(fs::read(&path).ok(), Some(steps(seed)), "{}", path.display());
    }
    for file in fs::read_dir(&corpus).expect("a folder").flatten() {
        fuzzing::supervisor(&fs::read(file.path()).expect("a seed"));
    }
}

#[test]
fn the_steps_of_the_fuzz_target_reach_what_a_supervisor_does() {
    let done = (0..400).map(|seed| fuzzing::run(&steps(seed))).fold(Done::default(), Done::and);
    let Done { opened, asked, delivered, .. } = done;
    assert!(opened > 390 && asked > 40 && delivered > 80, "{done:?}");
}

#[test]
fn a_member_bears_whatever_its_supervisor_says() {
    for seed in 0..4000 {
        let mut chance = Chance::new(seed);
        let c = &mut chance;
        let mut session = new_session(&Config::SMALL, InstanceId::new(1000));
        for _ in 0..100 {
            match c.below(19) {
                15 => drop(session.post(None, vec![0; 400_000].into())),
                16 => drop(session.ask(vec![0; 10].into())),
                17 => drop(session.command(None, Order::Stop)),
                18 => drop(session.forget_errand(request(c))),
                13 => drop(session.survey()),
                12 => drop(session.put(key(c), None, bytes(c))),
                0 => drop(session.hello()),
                1 => drop(session.disconnected()),
                2 => drop(session.acquire(lock_name(0), Mode::Exclusive)),
                3 => drop(session.cancel(request(c))),
                4 => drop(session.release(request(c))),
                5 => drop(session.arrive(lock_name(0).name, 2)),
                6 => drop(session.withdraw(request(c))),
                7 if c.below(4) == 0 => session.rename(id(c), nonce(c)),
                _ => drop(session.receive(to_member(c))),
            }
        }
    }
}
