//! Who holds what and who waits for it, for people and for programs.

use std::time::SystemTime;

use bellwether::sync::{LockStatus, Mode};
use serde_json::{Value, json};

use crate::clock;
use crate::json::wide;
use crate::table::{Table, plain};

/// One row for everyone who holds something or waits for it: first the holders, the oldest grant first, then the waiters
/// in their order. At a barrier there are only waiters.
pub(crate) fn table(locks: &[LockStatus], now: SystemTime) -> Table<8> {
    let mut table = Table::new(["kind", "name", "place", "pid", "label", "mode", "since", "token"], 0);
    for LockStatus { kind, name, limit, parties, missing, holders, waiters, .. } in locks {
        let mode = |mode: Mode| match (mode, limit, parties, missing) {
            (Mode::Permits(count), Some(limit), ..) => format!("{count} of {limit}"),
            (Mode::Party, _, Some(parties), Some(missing)) => format!("party of {parties}, {missing} missing"),
            (mode, ..) => mode.to_string(),
        };
        let mut row = |place: String, pid: u32, label: &str, how: Mode, since: String, token: String| {
            let lock = [kind.to_string(), plain(name.as_str())];
            let [kind, name] = lock;
            table.push([kind, name, place, pid.to_string(), plain(label), mode(how), since, token]);
        };
        for held in holders {
            let since = clock::ago(held.holder.since, now);
            row("holds".to_owned(), held.holder.pid, &held.holder.label, held.mode, since, held.token.to_string());
        }
        for (place, waiter) in (1..).zip(waiters) {
            row(format!("waits {place}"), waiter.pid, &waiter.label, waiter.mode, String::new(), String::new());
        }
    }
    table
}

/// The same as one JSON value.
pub(crate) fn json(locks: &[LockStatus]) -> Value {
    locks.iter().map(lock).collect()
}

fn lock(lock: &LockStatus) -> Value {
    let holders = lock.holders.iter().map(|held| {
        json!({
            "id": wide(held.holder.id),
            "pid": held.holder.pid,
            "label": held.holder.label,
            "mode": word(held.mode),
            "permits": permits(held.mode),
            "since": clock::utc(held.holder.since),
            "token": wide(held.token),
        })
    });
    let waiters = lock.waiters.iter().map(|waiter| {
        json!({
            "id": wide(waiter.id),
            "pid": waiter.pid,
            "label": waiter.label,
            "mode": word(waiter.mode),
            "permits": permits(waiter.mode),
        })
    });
    json!({
        "kind": lock.kind.to_string(),
        "name": lock.name.as_str(),
        "limit": lock.limit,
        "parties": lock.parties,
        "missing": lock.missing,
        "holders": holders.collect::<Vec<_>>(),
        "waiters": waiters.collect::<Vec<_>>(),
    })
}

fn word(mode: Mode) -> String {
    match mode {
        Mode::Permits(_) => "permits".to_owned(),
        mode => mode.to_string(),
    }
}

const fn permits(mode: Mode) -> Option<u32> {
    match mode {
        Mode::Permits(count) => Some(count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_its_word_and_permits_have_their_number() {
        for (mode, expected) in [
            (Mode::Exclusive, ("exclusive", None)),
            (Mode::Shared, ("shared", None)),
            (Mode::Permits(3), ("permits", Some(3))),
        ] {
            assert_eq!((word(mode).as_str(), permits(mode)), expected);
        }
    }
}
