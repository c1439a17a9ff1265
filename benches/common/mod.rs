//! What the benchmarks share that run several processes: the processes themselves, and the table at the end.

use std::env;

pub(crate) mod process;
pub(crate) mod table;

/// Whether only to find out that everything works, with few processes and in seconds.
///
/// Criterion's own rule: `cargo bench` says --bench, `cargo test --benches` does not.
pub(crate) fn is_trial() -> bool {
    env::args().any(|argument| argument == "--test") || env::args().all(|argument| argument != "--bench")
}
