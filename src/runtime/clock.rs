//! Time and chance, which the pure part takes as arguments.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Time since the first call in this process; never goes back.
pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Nanoseconds since 1970, by a clock that may be set back at any time.
pub(crate) fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds() -> u64 {
    nanoseconds() / 1_000_000
}

/// A number that no other call returns, here or in another process, but by chance. Not secret.
pub(crate) fn chance() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    // std seeds this hasher from the operating system's randomness, once per thread. The process, the time and the count
    // keep a forked child and two quick calls apart.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u64(CALLS.fetch_add(1, Ordering::Relaxed));
    hasher.write_u64(nanoseconds());
    hasher.finish()
}
