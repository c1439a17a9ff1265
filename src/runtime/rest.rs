//! Work that is too much for one input of the machine: a thread of its own does it in slices, and leaves the registry's
//! mutex to the others for as long as it had it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reign::Reign;
use super::spawn;
use crate::coordinator::supervisor::Supervisor;

/// The mutex is free for at least this long between two slices. It need not be fair: a thread that waits for it is woken
/// and has it long before.
const PAUSE: Duration = Duration::from_micros(200);

/// Starts the thread. Where there is none to be had, the caller does the work.
pub(super) fn begin(reign: &Arc<Reign>) {
    let worker = reign.clone();
    let work_or_crash = move || {
        if catch_unwind(AssertUnwindSafe(|| work(&worker))).is_err() {
            worker.crash();
        }
    };
    if let Err(error) = spawn("bw-rest", work_or_crash) {
        work(reign);
        log::debug!("cannot start a thread for the work that is left: {error}");
    }
}

/// Does all that is left, and what comes to it meanwhile.
fn work(reign: &Reign) {
    while is_behind(reign) {
        let began = Instant::now();
        let Some((touched, ())) = reign.decide(Supervisor::go_on, |_| ()) else { return };
        let took = began.elapsed();
        // More may be left when this is written.
        reign.flush(touched);
        std::thread::sleep(took.max(PAUSE));
    }
}

/// Whether work is left. If there is none, whoever leaves some starts another thread.
fn is_behind(reign: &Reign) -> bool {
    let mut core = reign.core();
    core.has_rest = core.ended.is_none() && core.machine.is_behind();
    core.has_rest
}
