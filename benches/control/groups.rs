//! What is compared with what.

use criterion::Criterion;

use crate::common::is_trial;
use crate::contest::bare::ping_pong;
use crate::contest::children::Crowd;
use crate::contest::compare::{Contender, compare, print};
use crate::{bare, library};

/// How much is measured.
struct Effort {
    crowds: &'static [Crowd],
    /// Bytes of a message.
    sizes: &'static [usize],
    /// How many samples of each contender the table rests on, and how many questions each of them is.
    turns: usize,
    batch: u32,
}

const FULL: Effort = Effort {
    crowds: &[
        Crowd { connections: 8, processes: 8 },
        Crowd { connections: 64, processes: 8 },
        Crowd { connections: 256, processes: 8 },
    ],
    sizes: &[100, 64 * 1024],
    turns: 40,
    batch: 400,
};

/// Does everything work? Seconds on a small machine.
const TRIAL: Effort =
    Effort { crowds: &[Crowd { connections: 4, processes: 2 }], sizes: &[100, 64 * 1024], turns: 1, batch: 2 };

/// Measures everything and prints the table.
pub(crate) fn measure() {
    let effort = if is_trial() { TRIAL } else { FULL };
    let mut criterion = Criterion::default().configure_from_args();
    let (turns, batch) = (effort.turns, effort.batch);

    let mut rows = Vec::new();
    let contenders = [
        Contender::new("ping-pong", || ping_pong("bare-server 0")),
        Contender::new("hand-over", bare::question),
        Contender::new("bellwether", library::question),
    ];
    rows.extend(compare(&mut criterion, "request", contenders, turns, batch));
    let contenders = [Contender::new("threads", bare::threads), Contender::new("bellwether", library::own_question)];
    rows.extend(compare(&mut criterion, "supervisor's own request", contenders, turns, batch));
    for &size in effort.sizes {
        let contenders = [
            Contender::new("server", move || bare::message(Crowd { connections: 1, processes: 1 }, size)),
            Contender::new("bellwether", move || library::send(size)),
        ];
        rows.extend(compare(&mut criterion, &format!("send {size} bytes"), contenders, turns, batch));
    }
    for (&size, &crowd) in effort.sizes.iter().flat_map(|size| effort.crowds.iter().map(move |crowd| (size, crowd))) {
        let contenders = [
            Contender::new("server", move || bare::message(crowd, size)),
            Contender::new("bellwether", move || library::broadcast(crowd, size)),
        ];
        let others = crowd.connections;
        // A batch takes about as long as one of questions.
        let batch = (batch * 2 / others).max(2);
        rows.extend(compare(&mut criterion, &format!("broadcast {size} bytes to {others}"), contenders, turns, batch));
    }
    let contenders = [
        Contender::new("no policy", || library::lock("supervisor")),
        Contender::new("policy", || library::lock("judging")),
    ];
    rows.extend(compare(&mut criterion, "lock and unlock", contenders, turns, batch));
    criterion.final_summary();

    print("handlers and policies run on threads of their own, as in the hand-over", &rows);
}
