//! Histories of messages.

use super::*;

const JOINED: &str = "1 joined id-b";
const SENT: &str = "1 joined id-a; 10 sending 1 id-b endless; 20 sent 1 1";

#[test]
fn what_is_received_must_have_been_sent() {
    use Property::Receipts;
    const GOT: &str = "1 joined id-b; 15 received id-a a.1";
    judge(
        &[
            right("to it", &[("a", SENT), ("b", GOT)]),
            right("to itself", &[("a", "1 joined id-a; 10 sending 1 id-a endless; 20 sent 1 1; 21 received id-a a.1")]),
            right("to all", &[("a", "1 joined id-a; 10 sending 1 all endless; 20 sent 1 1"), ("b", GOT)]),
            right(
                "and nobody knew that it arrived",
                &[("a", "1 joined id-a; 10 sending 1 id-b endless; 20 unsent 1 interrupted"), ("b", GOT)],
            ),
            wrong(Receipts, "nobody sent it", &[("a", "1 joined id-a"), ("b", GOT)]),
            wrong(Receipts, "before it was sent", &[("a", SENT), ("b", "1 joined id-b; 9 received id-a a.1")]),
            wrong(Receipts, "from somebody else", &[("a", SENT), ("b", "1 joined id-b; 15 received id-b a.1")]),
            wrong(
                Receipts,
                "to somebody else",
                &[("a", SENT), ("b", GOT), ("c", "1 joined id-c; 15 received id-a a.1")],
            ),
            wrong(
                Receipts,
                "to all others",
                &[("a", "1 joined id-a; 10 sending 1 all endless; 15 received id-a a.1; 20 sent 1 1"), ("b", GOT)],
            ),
            wrong(
                Receipts,
                "and refused",
                &[("a", "1 joined id-a; 10 sending 1 id-b endless; 20 unsent 1 refused"), ("b", GOT)],
            ),
            wrong(
                Receipts,
                "and never said",
                &[("a", "1 joined id-a; 10 sending 1 id-b none; 20 unsent 1 blocked"), ("b", GOT)],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn messages_of_one_sender_must_come_in_their_order() {
    use Property::Sequence;
    const TWO: &str = "1 joined id-a; 10 sending 1 id-b endless; 20 sent 1 1; 21 sending 2 all endless; 30 sent 2 1";
    judge(
        &[
            right("they do", &[("a", TWO), ("b", "1 joined id-b; 15 received id-a a.1; 25 received id-a a.2")]),
            right(
                "of two at the same time nobody knows which is the first",
                &[
                    (
                        "a",
                        "1 joined id-a; 10 sending 1 id-b endless; 11 sending 2 id-b endless; 20 sent 1 1; 21 sent 2 1",
                    ),
                    ("b", "1 joined id-b; 15 received id-a a.2; 16 received id-a a.1"),
                ],
            ),
            right(
                "of two senders everybody has its own order",
                &[
                    ("a", "1 joined id-a; 10 sending 1 id-b endless; 20 sent 1 1"),
                    ("c", "1 joined id-c; 21 sending 1 id-b endless; 31 sent 1 1"),
                    ("b", "1 joined id-b; 40 received id-c c.1; 41 received id-a a.1"),
                ],
            ),
            wrong(
                Sequence,
                "the second is received first",
                &[("a", TWO), ("b", "1 joined id-b; 25 received id-a a.2; 26 received id-a a.1")],
            ),
            wrong(
                Sequence,
                "nobody waited for the first, and it was overtaken",
                &[
                    (
                        "a",
                        "1 joined id-a; 10 sending 1 id-b 5; 15 unsent 1 timed-out; 16 sending 2 id-b endless; 20 sent 2 1",
                    ),
                    ("b", "1 joined id-b; 25 received id-a a.2; 26 received id-a a.1"),
                ],
            ),
            wrong(
                Sequence,
                "twice",
                &[("a", SENT), ("b", "1 joined id-b; 25 received id-a a.1; 26 received id-a a.1")],
            ),
        ],
        Forfeits::Never,
    );
}

#[test]
fn what_was_sent_with_success_must_be_received() {
    use Property::Delivery;
    const ALL: &str = "1 joined id-a; 10 sending 1 all endless; 20 sent 1 2";
    const GOT: &str = "1 joined id-c; 30 received id-a a.1";
    judge(
        &[
            right("by the one that it was for", &[("a", SENT), ("b", "1 joined id-b; 40 received id-a a.1")]),
            right("unless that one dies", &[("a", SENT), ("b", JOINED), ("parent", "15 killing b; 16 dead b")]),
            right("or misses something", &[("a", SENT), ("b", "1 joined id-b; 16 missed 3")]),
            right("or is about to leave", &[("a", SENT), ("b", "1 joined id-b; 20 leaving")]),
            right(
                "or nobody knows",
                &[("a", "1 joined id-a; 10 sending 1 id-b endless; 20 unsent 1 interrupted"), ("b", JOINED)],
            ),
            right(
                "by as many as were reached",
                &[("a", ALL), ("b", "1 joined id-b; 25 received id-a a.1"), ("c", GOT)],
            ),
            right("or died", &[("a", ALL), ("b", JOINED), ("c", GOT), ("parent", "8 killing b; 11 dead b")]),
            wrong(Delivery, "and is not", &[("a", SENT), ("b", JOINED)]),
            wrong(Delivery, "by one that is just joining", &[("a", SENT), ("b", "11 joined id-b")]),
            wrong(Delivery, "and is missed before it was sent", &[("a", SENT), ("b", "1 joined id-b; 9 missed 3")]),
            wrong(Delivery, "by one that leaves later", &[("a", SENT), ("b", "1 joined id-b; 21 leaving")]),
            wrong(Delivery, "by more than who received it", &[("a", ALL), ("b", JOINED), ("c", GOT)]),
            wrong(
                Delivery,
                "by one that was dead already",
                &[("a", ALL), ("b", JOINED), ("c", GOT), ("parent", "8 killing b; 9 dead b")],
            ),
        ],
        Forfeits::Never,
    );
    judge(
        &[
            right(
                "who stood still may have come back as somebody else",
                &[("a", SENT), ("b", JOINED), ("parent", "5 stopping b; 30 resumed b")],
            ),
            wrong(Delivery, "who did not, has not", &[("a", SENT), ("b", JOINED)]),
        ],
        Forfeits::WhenStopped,
    );
}
