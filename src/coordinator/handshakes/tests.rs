use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets so much running time pass, in slices, and says who is sent away meanwhile.
fn run(handshakes: &mut Handshakes, time: Duration) -> Vec<LinkId> {
    let mut gone = Vec::new();
    for _ in 0..time.as_millis() / 10 {
        handshakes.pass(Duration::from_millis(10));
        while let Some(link) = handshakes.overdue() {
            handshakes.end(link);
            gone.push(link);
        }
    }
    gone
}

/// The next frames of a connection, which bring its items to so many.
fn brings(handshakes: &mut Handshakes, link: u64, items: usize) -> Result<(), &'static str> {
    let weight = Weight { items, bytes: items * 100 };
    handshakes.heard(LinkId(link), Heard { received: 100, frames: 1, buffered: 4096, weight })
}

#[test]
fn a_connection_that_is_silent_or_brings_nothing_new_is_sent_away_after_five_seconds() {
    let mut handshakes = Handshakes::default();
    (1..=3).for_each(|link| handshakes.begin(LinkId(link)));
    let mut gone = Vec::new();
    for second in 0..6 {
        // 1 is silent; 2 dribbles bytes that complete no frame; 3 says the same again and again.
        handshakes.heard(LinkId(2), Heard { received: 1, buffered: 4096, ..Heard::default() }).unwrap();
        brings(&mut handshakes, 3, 0).unwrap();
        gone.extend(run(&mut handshakes, secs(1)).into_iter().map(|link| (second, link.0)));
    }
    assert_eq!(gone, [(4, 1), (4, 2), (4, 3)]);
    assert!(handshakes.is_empty() && handshakes.costly.is_empty() && handshakes.order.is_empty());
    assert_eq!(handshakes.bytes, 0);
}

#[test]
fn a_member_with_very_many_claims_has_the_time_that_they_take_on_a_busy_machine() {
    let mut handshakes = Handshakes::default();
    handshakes.begin(LinkId(1));
    for part in 1..=100 {
        run(&mut handshakes, secs(1));
        brings(&mut handshakes, 1, part * 1310).unwrap();
        assert_eq!(handshakes.overdue(), None, "after {part} s");
    }
    assert_eq!(run(&mut handshakes, secs(5)), [LinkId(1)], "it has fallen silent");
}

#[test]
fn a_connection_that_brings_less_than_the_least_is_sent_away_though_it_brings_something() {
    let mut handshakes = Handshakes::default();
    handshakes.begin(LinkId(1));
    let mut seconds = 0;
    while run(&mut handshakes, secs(1)).is_empty() {
        seconds += 1;
        brings(&mut handshakes, 1, seconds * 100).unwrap();
    }
    assert_eq!(seconds, 5);
}

#[test]
fn a_process_that_stood_still_sends_nobody_away_for_that() {
    let mut handshakes = Handshakes::default();
    handshakes.begin(LinkId(1));
    handshakes.pass(secs(3600));
    assert_eq!(handshakes.overdue(), None);
}

#[test]
fn frames_and_bytes_that_bring_nothing_are_bounded() {
    let mut handshakes = Handshakes::default();
    handshakes.begin(LinkId(1));
    let said = (1..).find(|_| brings(&mut handshakes, 1, 3).is_err());
    assert_eq!(said, Some(3 + Handshakes::IDLE_FRAMES + 1));
    let large =
        |items| Heard { received: LIMIT_BEFORE_ACCEPTANCE, frames: 1, buffered: 0, weight: Weight { items, bytes: 0 } };
    handshakes.begin(LinkId(2));
    let said = (1..).find(|_| handshakes.heard(LinkId(2), large(8)).is_err());
    assert_eq!(said, Some(3), "the same names again and again");
    handshakes.begin(LinkId(3));
    for frame in 1..100 {
        handshakes.heard(LinkId(3), large(frame * 8000)).expect("each brings other names");
    }
}

#[test]
fn the_connection_that_has_been_silent_for_longest_goes_first() {
    let mut handshakes = Handshakes::default();
    let count = Handshakes::COUNT_LIMIT as u64;
    (1..=count).for_each(|link| handshakes.begin(LinkId(link)));
    assert_eq!(handshakes.excess(), None);
    // A member says at once what it has to say, whenever it came.
    (1..=3).for_each(|link| brings(&mut handshakes, link, 1).unwrap());
    for next in 1..=10_000 {
        handshakes.begin(LinkId(count + next));
        let excess = handshakes.excess().expect("one too many");
        assert_eq!(excess, Excess { link: LinkId(3 + next), may_be_a_member: false });
        handshakes.end(excess.link);
        assert_eq!(handshakes.excess(), None);
    }
}

#[test]
fn among_those_that_have_spoken_the_one_that_pauses_for_longest_goes_first() {
    let mut handshakes = Handshakes::default();
    let count = Handshakes::COUNT_LIMIT as u64;
    for link in 1..=count {
        handshakes.begin(LinkId(link));
        brings(&mut handshakes, link, 1).unwrap();
    }
    run(&mut handshakes, Duration::from_millis(500));
    brings(&mut handshakes, 1, 2).unwrap();
    handshakes.begin(LinkId(count + 1));
    brings(&mut handshakes, count + 1, 1).unwrap();
    assert_eq!(handshakes.excess(), Some(Excess { link: LinkId(2), may_be_a_member: true }));
    run(&mut handshakes, Duration::from_millis(500));
    assert_eq!(handshakes.excess(), Some(Excess { link: LinkId(2), may_be_a_member: false }));
}

#[test]
fn a_member_with_very_many_claims_gets_through_beside_hundreds_that_cost_memory() {
    let mut handshakes = Handshakes::default();
    let large = Weight { items: 4000, bytes: 1 << 20 };
    let mut dropped = BTreeSet::new();
    handshakes.begin(LinkId(0));
    for round in 1..=600 {
        handshakes.begin(LinkId(round));
        let heard = Heard { received: 600_000, frames: 4000, buffered: LIMIT_BEFORE_ACCEPTANCE, weight: large };
        handshakes.heard(LinkId(round), heard).unwrap();
        brings(&mut handshakes, 0, round as usize * 218).unwrap();
        while let Some(excess) = handshakes.excess() {
            handshakes.end(excess.link);
            dropped.insert(excess.link);
        }
        assert!(handshakes.bytes <= Handshakes::BYTES_LIMIT);
        handshakes.pass(Duration::from_millis(1));
    }
    assert!(dropped.len() > 500 && !dropped.contains(&LinkId(0)), "{}", dropped.len());
}

#[test]
fn what_came_before_a_slice_is_told_from_what_comes_meanwhile() {
    let mut backlog = Backlog::default();
    assert!(backlog.read(1, 10, 64, || unreachable!("all was read")));
    // A peer that writes faster than it is read.
    assert!(!backlog.read(2, 64, 64, || 100));
    assert!(!backlog.read(2, 64, 64, || unreachable!("asked already")));
    assert!(backlog.read(2, 64, 64, || unreachable!("asked already")), "what lay there at first has been read");
    assert!(backlog.read(2, 64, 64, || unreachable!("asked already")));
    assert!(!backlog.read(3, 64, 64, || 100), "another slice");
    assert!(backlog.read(3, 0, 64, || unreachable!("all was read")));
}
