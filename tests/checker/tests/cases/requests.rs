//! Histories of requests to the supervisor's handler.

use super::*;

const ASKED: &str = "10 requesting 1 endless; 30 answered 1 b.7 a.1";
const RAN: &str = "20 ran 7 a.1";

#[test]
fn a_request_must_run_at_most_once() {
    use Property::Runs;
    const UNSURE: &str = "10 requesting 1 endless; 30 unanswered 1 interrupted";
    const DEAD: &str = "10 requesting 1 endless";
    judge(
        &[
            right("once", &[("a", ASKED), ("b", RAN)]),
            right("once, and nobody heard the answer", &[("a", UNSURE), ("b", RAN), ("parent", "21 killing b")]),
            right("not at all", &[("a", UNSURE), ("b", ""), ("parent", "21 killing b")]),
            right(
                "late, when the asker had given up",
                &[("a", "10 requesting 1 15; 26 unanswered 1 timed-out"), ("b", "40 ran 7 a.1")],
            ),
            right("of one that died", &[("a", DEAD), ("b", RAN), ("parent", "15 killing a")]),
            right("in the own handler", &[("a", "10 requesting 1 none; 20 ran 2 a.1; 30 answered 1 a.2 a.1")]),
            wrong(Runs, "twice", &[("a", ASKED), ("b", "20 ran 7 a.1; 21 ran 8 a.1")]),
            wrong(
                Runs,
                "twice, and nobody heard of either",
                &[("a", UNSURE), ("b", RAN), ("c", "25 ran 1 a.1"), ("parent", "21 killing b")],
            ),
            wrong(Runs, "before it was asked", &[("a", ASKED), ("b", "9 ran 7 a.1")]),
            wrong(Runs, "nobody asked it", &[("a", ASKED), ("b", "20 ran 7 a.1; 21 ran 8 a.2")]),
            wrong(Runs, "it was refused", &[("a", "10 requesting 1 endless; 30 unanswered 1 refused"), ("b", RAN)]),
            wrong(Runs, "it was not said", &[("a", "10 requesting 1 none; 11 unanswered 1 blocked"), ("b", RAN)]),
        ],
        Forfeits::Never,
    );
}

#[test]
fn an_answer_must_be_that_of_the_run() {
    use Property::Answers;
    judge(
        &[
            right("its own", &[("a", ASKED), ("b", RAN), ("parent", "21 killing b; 40 dead b")]),
            right(
                "several at a time",
                &[
                    (
                        "a",
                        "10 requesting 1 endless; 11 requesting 2 endless; 30 answered 1 b.7 a.1; 31 answered 2 b.6 a.2",
                    ),
                    ("b", "20 ran 6 a.2; 21 ran 7 a.1"),
                ],
            ),
            right("the handler failed", &[("a", "10 requesting 1 endless; 30 unanswered 1 failed"), ("b", RAN)]),
            wrong(Answers, "nothing ran", &[("a", ASKED), ("b", "")]),
            wrong(Answers, "another run's", &[("a", ASKED), ("b", "20 ran 8 a.1")]),
            wrong(Answers, "another process's run", &[("a", ASKED), ("b", ""), ("c", "20 ran 7 a.1")]),
            wrong(
                Answers,
                "to another request",
                &[
                    ("a", "10 requesting 1 endless; 30 answered 1 b.7 c.1"),
                    ("b", "20 ran 7 a.1; 21 ran 8 c.1"),
                    ("c", "10 requesting 1 endless; 31 answered 1 b.8 c.1"),
                ],
            ),
            wrong(Answers, "before the run", &[("a", ASKED), ("b", "31 ran 7 a.1")]),
            wrong(
                Answers,
                "the handler failed before it ran",
                &[("a", "10 requesting 1 endless; 30 unanswered 1 failed"), ("b", "31 ran 7 a.1")],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn who_asks_or_sends_must_be_told_what_came_of_it() {
    use Property::Turns;
    judge(
        &[
            right(
                "unless it dies",
                &[("a", "10 requesting 1 endless; 11 sending 2 all endless"), ("parent", "30 killing a")],
            ),
            right(
                "or gives up in its time",
                &[("a", "10 requesting 1 15; 25 unanswered 1 timed-out; 30 sending 2 all 15; 45 unsent 2 timed-out")],
            ),
            right("or would not wait", &[("a", "10 sending 2 all none; 11 unsent 2 blocked")]),
            right("or may not", &[("a", "10 requesting 1 endless; 20 unanswered 1 refused")]),
            wrong(Turns, "it asked and was told nothing", &[("a", "10 requesting 1 endless")]),
            wrong(Turns, "it sent and was told nothing", &[("a", "10 sending 1 all endless")]),
            wrong(Turns, "too early", &[("a", "10 requesting 1 15; 24 unanswered 1 timed-out")]),
            wrong(Turns, "although it had no limit", &[("a", "10 sending 1 all endless; 90 unsent 1 timed-out")]),
            wrong(Turns, "although it would have waited", &[("a", "10 sending 1 all 15; 11 unsent 1 blocked")]),
        ],
        Forfeits::Never,
    );
}
