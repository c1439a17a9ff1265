//! Histories of the state.

use super::*;

#[test]
fn writes_must_have_one_order() {
    const A: &str = "10 putting 1 k anything x; 20 stored 1 7.1; 800 final k 7.2 y";
    judge(
        &[
            right(
                "one after the other",
                &[("a", A), ("b", "21 putting 1 k anything y; 30 stored 1 7.2; 800 final k 7.2 y")],
            ),
            right(
                "at the same time in any order",
                &[
                    ("a", "10 putting 1 k anything y; 20 stored 1 7.2; 800 final k 7.2 y"),
                    ("b", "19 putting 1 k anything x; 30 stored 1 7.1; 800 final k 7.2 y"),
                ],
            ),
            wrong(
                Property::Versions,
                "a lower version for the later, of one key",
                &[
                    ("a", "10 putting 1 k anything y; 20 stored 1 7.2; 800 final k 7.2 y"),
                    ("b", "21 putting 1 k anything x; 30 stored 1 7.1; 800 final k 7.2 y"),
                ],
            ),
            wrong(
                Property::Versions,
                "the same version twice",
                &[
                    ("a", "10 putting 1 k anything -; 20 stored 1 7.1"),
                    ("b", "11 putting 1 k anything -; 21 stored 1 7.1"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn what_is_read_must_have_been_written() {
    use Property::Origin;
    const A: &str = "10 putting 1 k anything x; 20 stored 1 7.1; 800 final k 7.1 x";
    const LAST: &str = "800 final k 7.1 x";
    judge(
        &[
            right("while it is being written", &[("a", A), ("b", "16 read 15 k 7.1 x; 800 final k 7.1 x")]),
            right(
                "by one that dies with it, before the writer says it again",
                &[("a", A), ("b", "16 read 15 k 6.9 x"), ("parent", "17 killing b")],
            ),
            wrong(Origin, "before", &[("a", A), ("b", "9 read 8 k 7.1 x; 800 final k 7.1 x")]),
            wrong(Origin, "nobody wrote it", &[("a", A), ("b", "16 read 15 k 6.1 z; 800 final k 7.1 x")]),
            wrong(Origin, "under another key", &[("a", A), ("b", "16 read 15 j 6.1 x; 800 final k 7.1 x")]),
            wrong(
                Origin,
                "it was refused",
                &[("a", "10 putting 1 k 7.1 z; 20 conflict 1 7.2"), ("b", "16 read 15 k 7.3 z")],
            ),
            wrong(
                Origin,
                "two values under one version",
                &[
                    ("a", A),
                    ("b", "11 putting 1 k anything y"),
                    ("c", LAST),
                    ("d", "16 read 15 k 7.1 y; 800 final k 7.1 x"),
                    ("parent", "17 killing b"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn what_was_acknowledged_must_be_seen() {
    use Property::Visibility;
    const A: &str =
        "10 putting 1 k anything x; 20 stored 1 7.1; 30 putting 2 k anything y; 40 stored 2 7.2; 800 final k 7.2 y";
    judge(
        &[
            right("another copy may be a moment behind", &[("a", A), ("b", "45 read 44 k 7.1 x; 800 final k 7.2 y")]),
            right(
                "after a word with the supervisor it is not",
                &[
                    ("a", A),
                    (
                        "b",
                        "41 asked 1 m shared endless; 42 granted 1 1 clean; 43 releasing 1; 45 read 44 k 7.2 y; 800 final k 7.2 y",
                    ),
                ],
            ),
            wrong(
                Visibility,
                "still behind after a word with the supervisor",
                &[
                    ("a", A),
                    (
                        "b",
                        "41 asked 1 m shared endless; 42 granted 1 1 clean; 43 releasing 1; 45 read 44 k 7.1 x; 800 final k 7.2 y",
                    ),
                ],
            ),
            wrong(
                Visibility,
                "joined later and lacks it",
                &[("a", A), ("b", "41 joining; 43 joined 2; 45 read 44 k - -; 800 final k 7.2 y")],
            ),
            wrong(
                Visibility,
                "the writer does not see its own",
                &[("a", "10 putting 1 k anything x; 20 stored 1 7.1; 22 read 21 k - -; 800 final k 7.1 x")],
            ),
            wrong(
                Visibility,
                "a copy goes back",
                &[("a", A), ("b", "45 read 44 k 7.2 y; 47 read 46 k 7.1 x; 800 final k 7.2 y")],
            ),
            right(
                "it was deleted since",
                &[(
                    "a",
                    "10 putting 1 k anything x; 20 stored 1 7.1; 30 putting 2 k anything -; 35 read 32 k - -; 40 stored 2 7.2",
                )],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn all_copies_must_end_equal_and_whole() {
    use Property::Finals;
    const A: &str = "10 putting 1 k anything x; 20 stored 1 7.1; 800 final k 7.1 x";
    judge(
        &[
            right("equal", &[("a", A), ("b", "800 final k 7.1 x")]),
            right("the dead need no end", &[("a", A), ("b", "10 joining"), ("parent", "20 killing b")]),
            right(
                "what was never acknowledged may have been written or not",
                &[("a", "10 putting 1 k anything x; 20 unsure 1; 800 final k 7.1 x"), ("b", "800 final k 7.1 x")],
            ),
            wrong(Finals, "one lacks it", &[("a", A), ("b", "800 final k - -")]),
            wrong(
                Finals,
                "all lack it",
                &[("a", "10 putting 1 k anything x; 20 stored 1 7.1; 800 final k - -"), ("b", "800 final k - -")],
            ),
            wrong(
                Finals,
                "an older value came back",
                &[(
                    "a",
                    "10 putting 1 k anything x; 20 stored 1 7.1; 30 putting 2 k anything y; 40 stored 2 7.2; 800 final k 7.1 x",
                )],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn conditional_writes_must_form_a_chain() {
    use Property::Chain;
    const A: &str = "10 putting 1 k nothing x; 20 stored 1 7.1; 800 final k 7.2 y";
    judge(
        &[
            right("one link", &[("a", A), ("b", "21 putting 1 k 7.1 y; 30 stored 1 7.2; 800 final k 7.2 y")]),
            right(
                "the second of two is refused",
                &[
                    ("a", A),
                    ("b", "21 putting 1 k 7.1 y; 30 stored 1 7.2; 800 final k 7.2 y"),
                    ("c", "21 putting 1 k 7.1 z; 31 conflict 1 7.2; 800 final k 7.2 y"),
                ],
            ),
            right(
                "nothing is there after a delete",
                &[
                    ("a", "10 putting 1 k anything -; 20 stored 1 7.1; 800 final k 7.2 y"),
                    ("b", "21 putting 1 k nothing y; 30 stored 1 7.2; 800 final k 7.2 y"),
                ],
            ),
            wrong(
                Chain,
                "nothing is expected, and a later delete excuses nobody",
                &[(
                    "a",
                    "10 putting 1 k anything x; 20 stored 1 7.1; 21 putting 2 k nothing y; 30 stored 2 7.2; \
                     31 putting 3 k anything -; 40 stored 3 7.3",
                )],
            ),
            wrong(
                Chain,
                "two replace the same version",
                &[
                    ("a", "10 putting 1 k nothing x; 20 stored 1 7.1; 800 final k 7.3 z"),
                    ("b", "21 putting 1 k 7.1 y; 30 stored 1 7.2; 800 final k 7.3 z"),
                    ("c", "21 putting 1 k 7.1 z; 31 stored 1 7.3; 800 final k 7.3 z"),
                ],
            ),
            wrong(
                Chain,
                "two are the first",
                &[("a", A), ("b", "11 putting 1 k nothing y; 30 stored 1 7.2; 800 final k 7.2 y")],
            ),
            wrong(
                Chain,
                "refused though the version was right",
                &[
                    ("a", "10 putting 1 k anything x; 20 stored 1 7.1; 800 final k 7.1 x"),
                    ("b", "21 putting 1 k 7.1 z; 31 conflict 1 7.1; 800 final k 7.1 x"),
                ],
            ),
        ],
        Forfeits::Never,
    );
}
