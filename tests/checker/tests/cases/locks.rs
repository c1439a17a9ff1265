//! Histories of locks.

use super::*;

#[test]
fn two_exclusive_holds_may_not_overlap() {
    const A: &str = "10 asked 1 m exclusive endless; 20 granted 1 1 clean; 30 releasing 1";
    const DEAD: &str = "10 asked 1 m exclusive endless; 20 granted 1 1 clean";
    judge(
        &[
            right(
                "one after the other",
                &[("a", A), ("b", "11 asked 1 m exclusive endless; 30 granted 1 2 clean; 40 releasing 1")],
            ),
            right(
                "two names have nothing to do with each other",
                &[("a", A), ("b", "11 asked 1 n exclusive endless; 25 granted 1 2 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Exclusion,
                "the second before the first is released",
                &[("a", A), ("b", "11 asked 1 m exclusive endless; 29 granted 1 2 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Exclusion,
                "one within the other, in one process",
                &[(
                    "a",
                    "10 asked 1 m exclusive endless; 11 asked 2 m exclusive endless; 20 granted 1 1 clean; \
                     22 granted 2 2 clean; 24 releasing 2; 30 releasing 1",
                )],
            ),
            right(
                "the holder is about to be killed, so it may be dead already",
                &[
                    ("a", DEAD),
                    ("b", "11 asked 1 m exclusive endless; 30 granted 1 2 died; 40 releasing 1"),
                    ("parent", "30 killing a; 50 dead a"),
                ],
            ),
            wrong(
                Property::Exclusion,
                "before the holder is killed",
                &[
                    ("a", DEAD),
                    ("b", "11 asked 1 m exclusive endless; 29 granted 1 2 died; 40 releasing 1"),
                    ("parent", "30 killing a; 50 dead a"),
                ],
            ),
            right(
                "a grant that is written down while the kill is on its way proves no hold",
                &[
                    ("a", "10 asked 1 m exclusive endless; 35 granted 1 1 clean"),
                    ("b", "11 asked 1 m exclusive endless; 36 granted 1 2 died; 40 releasing 1"),
                    ("parent", "30 killing a; 50 dead a"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn a_shared_hold_may_overlap_shared_ones_only() {
    const A: &str = "10 asked 1 l shared endless; 20 granted 1 1 clean; 30 releasing 1";
    judge(
        &[
            right(
                "two that share",
                &[("a", A), ("b", "11 asked 1 l shared endless; 21 granted 1 2 clean; 40 releasing 1")],
            ),
            right(
                "a writer after the readers",
                &[("a", A), ("b", "11 asked 1 l exclusive endless; 31 granted 1 2 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Sharing,
                "a writer beside a reader",
                &[("a", A), ("b", "11 asked 1 l exclusive endless; 29 granted 1 2 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Sharing,
                "a reader beside a writer",
                &[
                    ("a", "10 asked 1 l exclusive endless; 20 granted 1 1 clean; 30 releasing 1"),
                    ("b", "11 asked 1 l shared endless; 29 granted 1 2 clean; 40 releasing 1"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn permits_in_use_may_not_exceed_the_limit() {
    const A: &str = "10 asked 1 s permits:2 endless; 20 granted 1 1 clean; 30 releasing 1";
    judge(
        &[
            right(
                "as many as there are",
                &[("a", A), ("b", "11 asked 1 s permits:1 endless; 21 granted 1 2 clean; 40 releasing 1")],
            ),
            right(
                "more after a release",
                &[("a", A), ("b", "11 asked 1 s permits:3 endless; 30 granted 1 2 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Permits,
                "one too many",
                &[("a", A), ("b", "11 asked 1 s permits:2 endless; 29 granted 1 2 clean; 40 releasing 1")],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn tokens_must_rise() {
    const A: &str = "10 asked 1 m exclusive endless; 20 granted 1 5 clean; 30 releasing 1";
    judge(
        &[
            right(
                "a higher one for the later",
                &[("a", A), ("b", "11 asked 1 m exclusive endless; 31 granted 1 6 clean; 40 releasing 1")],
            ),
            right(
                "two that share may write their grants down in any order",
                &[
                    ("a", "10 asked 1 l shared endless; 20 granted 1 5 clean; 30 releasing 1"),
                    ("b", "11 asked 1 l shared endless; 21 granted 1 4 clean; 40 releasing 1"),
                ],
            ),
            wrong(
                Property::Tokens,
                "a lower one for the later, of the same name",
                &[("a", A), ("b", "11 asked 1 m exclusive endless; 31 granted 1 4 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Tokens,
                "a lower one for what was asked for later, of another name",
                &[("a", A), ("b", "21 asked 1 n exclusive endless; 31 granted 1 4 clean; 40 releasing 1")],
            ),
            wrong(
                Property::Tokens,
                "the same one twice",
                &[("a", A), ("b", "11 asked 1 n exclusive endless; 21 granted 1 5 clean; 40 releasing 1")],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn waiters_that_were_seen_waiting_may_not_be_overtaken() {
    // Instance 1 reigns and holds, instance 2 waits, instance 3 comes later.
    const A: &str = "1 joined 1; 2 reign 7 1; 10 asked 1 m exclusive endless; 20 granted 1 1 clean; 60 releasing 1";
    const FIRST: &str = "1 joined 2; 21 asked 1 m exclusive endless; 61 granted 1 2 clean; 70 releasing 1";
    const SECOND: &str = "1 joined 3; 35 asked 1 m exclusive endless; 71 granted 1 3 clean; 80 releasing 1";
    const LAST: &str = "1 joined 2; 21 asked 1 m exclusive endless; 71 granted 1 3 clean; 80 releasing 1";
    const OVERTAKES: &str = "1 joined 3; 35 asked 1 m exclusive endless; 61 granted 1 2 clean; 70 releasing 1";
    judge(
        &[
            right("in order", &[("a", A), ("b", FIRST), ("c", SECOND), ("parent", "34 waiters 30 7 m 2/exclusive")]),
            wrong(
                Property::Order,
                "overtaken",
                &[("a", A), ("b", LAST), ("c", OVERTAKES), ("parent", "34 waiters 30 7 m 2/exclusive")],
            ),
            right(
                "nobody knows who came first",
                &[("a", A), ("b", LAST), ("c", OVERTAKES), ("parent", "36 waiters 30 7 m 2/exclusive")],
            ),
            right(
                "who stands still is passed over",
                &[
                    ("a", A),
                    ("b", LAST),
                    ("c", OVERTAKES),
                    ("parent", "34 waiters 30 7 m 2/exclusive; 40 stopping b; 65 resumed b"),
                ],
            ),
            right(
                "who is told of the same reign again had lost its connection, and is passed over",
                &[
                    ("a", A),
                    (
                        "b",
                        "1 joined 2; 2 reign 7 1; 21 asked 1 m exclusive endless; 65 reign 7 1; 71 granted 1 3 clean; 80 releasing 1",
                    ),
                    ("c", OVERTAKES),
                    ("parent", "34 waiters 30 7 m 2/exclusive"),
                ],
            ),
            wrong(
                Property::Order,
                "overtaken, and had lost its connection long before",
                &[
                    ("a", A),
                    (
                        "b",
                        "1 joined 2; 2 reign 7 1; 4 reign 7 1; 5 asked 2 n exclusive endless; 6 granted 2 0 clean; 7 releasing 2; 21 asked 1 m exclusive endless; 71 granted 1 3 clean; 80 releasing 1",
                    ),
                    ("c", OVERTAKES),
                    ("parent", "34 waiters 30 7 m 2/exclusive"),
                ],
            ),
            right(
                "who stood still before it asked may not have been connected again",
                &[
                    ("a", A),
                    ("b", LAST),
                    ("c", OVERTAKES),
                    ("parent", "5 stopping b; 8 resumed b; 34 waiters 30 7 m 2/exclusive"),
                ],
            ),
            right(
                "its place may have been lost with the reign",
                &[
                    ("a", "1 joined 1; 2 reign 7 1; 10 asked 1 m exclusive endless; 20 granted 1 1 clean"),
                    ("b", "1 joined 2; 21 asked 1 m exclusive endless; 71 granted 1 3 unknown; 80 releasing 1"),
                    (
                        "c",
                        "1 joined 3; 35 asked 1 m exclusive endless; 58 reign 8 3; 61 granted 1 2 unknown; 70 releasing 1",
                    ),
                    ("parent", "34 waiters 30 7 m 2/exclusive; 55 killing a"),
                ],
            ),
            wrong(
                Property::Order,
                "overtaken in the next reign by one that came after its beginning",
                &[
                    ("a", "1 joined 1; 2 reign 7 1"),
                    ("b", "1 joined 2; 21 asked 1 m exclusive endless; 71 granted 1 3 unknown; 80 releasing 1"),
                    (
                        "c",
                        "1 joined 3; 58 reign 8 3; 59 asked 1 m exclusive endless; 61 granted 1 2 unknown; 70 releasing 1",
                    ),
                    ("parent", "34 waiters 30 7 m 2/exclusive; 55 killing a"),
                ],
            ),
            right(
                "of two requests of one process nobody knows which one was seen",
                &[
                    ("a", A),
                    (
                        "b",
                        "1 joined 2; 21 asked 1 m exclusive 5; 27 gave-up 1; 29 asked 2 m exclusive endless; 71 granted 2 3 clean; 80 releasing 2",
                    ),
                    ("c", OVERTAKES),
                    ("parent", "34 waiters 30 7 m 2/exclusive"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn every_waiter_that_lived_must_get_its_turn() {
    use Property::Turns;
    judge(
        &[
            right("nobody waits for the dead", &[("a", "10 asked 1 m exclusive endless"), ("parent", "20 killing a")]),
            right("enough is enough", &[("a", "10 asked 1 m exclusive 50; 60 gave-up 1")]),
            right("not even once", &[("a", "10 asked 1 m exclusive none; 11 gave-up 1")]),
            wrong(Turns, "waits for ever", &[("a", "10 asked 1 m exclusive endless")]),
            wrong(
                Turns,
                "gives up what it waits for without end",
                &[("a", "10 asked 1 m exclusive endless; 60 gave-up 1")],
            ),
            wrong(Turns, "gives up too early", &[("a", "10 asked 1 m exclusive 50; 59 gave-up 1")]),
            wrong(Turns, "is told of something else", &[("a", "10 asked 1 m exclusive 50; 60 failed 1 Left already")]),
            wrong(Turns, "its write is never answered", &[("a", "10 putting 1 k anything x")]),
            wrong(Turns, "ends by itself", &[("a", "10 joining; vanishes")]),
        ],
        Forfeits::Never,
    );
}

#[test]
fn nobody_may_lose_what_it_holds_unless_it_stood_still_and_could() {
    const A: &str = "10 asked 1 m exclusive endless; 20 granted 1 1 clean; 60 releasing 1; 61 lost 1";
    const B: &str = "11 asked 1 m exclusive endless; 40 granted 1 2 died; 50 releasing 1";
    const STOP: &str = "30 stopping a; 55 resumed a";
    judge(&[wrong(Property::Losses, "without a limit", &[("a", A), ("parent", STOP)])], Forfeits::Never);
    judge(
        &[
            right("over the limit", &[("a", A), ("b", B), ("parent", STOP)]),
            right(
                "it releases before it hears of the loss",
                &[
                    ("a", "10 asked 1 m exclusive endless; 20 granted 1 1 clean; 60 releasing 1"),
                    ("b", B),
                    ("parent", STOP),
                ],
            ),
            wrong(Property::Losses, "without having been stopped", &[("a", A), ("b", B)]),
            wrong(
                Property::Exclusion,
                "before it was stopped",
                &[("a", A), ("b", B), ("parent", "41 stopping a; 55 resumed a")],
            ),
            wrong(
                Property::Tokens,
                "the later holder has the lower token",
                &[
                    ("a", "10 asked 1 m exclusive endless; 20 granted 1 3 clean; 60 releasing 1; 61 lost 1"),
                    ("b", B),
                    ("parent", STOP),
                ],
            ),
            right(
                "the grant was forfeited before it was written down",
                &[
                    ("a", "10 asked 1 m exclusive endless; 60 granted 1 1 clean; 62 releasing 1; 63 lost 1"),
                    ("b", B),
                    ("parent", STOP),
                ],
            ),
        ],
        Forfeits::WhenStopped,
    );
}

#[test]
fn who_gets_what_a_dead_process_held_must_be_told() {
    const A: &str = "10 asked 1 m exclusive endless; 20 granted 1 1 clean";
    const KILL: &str = "30 killing a";
    judge(
        &[
            right(
                "died",
                &[
                    ("a", A),
                    ("b", "11 asked 1 m exclusive endless; 31 granted 1 2 died; 40 releasing 1"),
                    ("parent", KILL),
                ],
            ),
            right(
                "unknown",
                &[
                    ("a", A),
                    ("b", "11 asked 1 m exclusive endless; 31 granted 1 2 unknown; 40 releasing 1"),
                    ("parent", KILL),
                ],
            ),
            right(
                "it had begun to release",
                &[
                    ("a", "10 asked 1 m exclusive endless; 20 granted 1 1 clean; 29 releasing 1"),
                    ("b", "11 asked 1 m exclusive endless; 31 granted 1 2 clean; 40 releasing 1"),
                    ("parent", KILL),
                ],
            ),
            right(
                "somebody has made it well",
                &[
                    ("a", A),
                    (
                        "b",
                        "11 asked 1 m exclusive endless; 31 granted 1 2 died; 40 releasing 1; 41 asked 2 m shared endless; 42 granted 2 3 clean; 43 releasing 2",
                    ),
                    ("parent", KILL),
                ],
            ),
            wrong(
                Property::Abandoned,
                "clean",
                &[
                    ("a", A),
                    ("b", "11 asked 1 m exclusive endless; 31 granted 1 2 clean; 40 releasing 1"),
                    ("parent", KILL),
                ],
            ),
            wrong(
                Property::Abandoned,
                "who may only look makes nothing well",
                &[
                    ("a", A),
                    (
                        "b",
                        "11 asked 1 m shared endless; 31 granted 1 2 died; 40 releasing 1; 41 asked 2 m exclusive endless; 42 granted 2 3 clean; 43 releasing 2",
                    ),
                    ("parent", KILL),
                ],
            ),
        ],
        Forfeits::Never,
    );
}
