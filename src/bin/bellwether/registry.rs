//! The registry for people and for programs.

use std::time::SystemTime;

use bellwether::{Entry, Epoch, Role};
use serde_json::{Value, json};

use crate::clock;
use crate::json::wide;
use crate::table::{Table, plain};

/// The entries as a table, in the order given.
pub(crate) fn table(entries: &[Entry], now: SystemTime, indent: usize) -> Table<6> {
    let mut table = Table::new(["id", "pid", "label", "role", "state", "since"], indent);
    for entry in entries {
        table.push([
            entry.id.to_string(),
            entry.pid.to_string(),
            plain(&entry.label),
            role(entry.role).to_owned(),
            entry.standing.to_string(),
            clock::ago(entry.since, now),
        ]);
    }
    table
}

/// The registry as one JSON value.
pub(crate) fn json(group: &str, port: u16, epoch: Epoch, entries: &[Entry]) -> Value {
    let entry = |entry: &Entry| {
        json!({
            "id": wide(entry.id),
            "pid": entry.pid,
            "label": entry.label,
            "role": role(entry.role),
            "state": entry.standing.to_string(),
            "since": clock::utc(entry.since),
        })
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    json!({ "group": group, "port": port, "epoch": wide(epoch), "entries": entries })
}

/// The word for a role.
pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::Supervisor => "supervisor",
        Role::Subordinate => "subordinate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_without_entries_is_a_heading() {
        assert_eq!(table(&[], SystemTime::now(), 0).to_string(), "id  pid  label  role  state  since\n");
    }

    #[test]
    fn the_json_names_the_group_and_the_reign() {
        let value = json("a \"b\"", 20_000, Epoch::new(u64::MAX), &[]);
        let text = format!(r#"{{"group": "a \"b\"", "port": 20000, "epoch": "{}", "entries": []}}"#, u64::MAX);
        assert_eq!(value, text.parse::<Value>().unwrap());
    }

    #[test]
    fn the_roles_have_the_words_of_the_registry() {
        assert_eq!((role(Role::Supervisor), role(Role::Subordinate)), ("supervisor", "subordinate"));
    }
}
