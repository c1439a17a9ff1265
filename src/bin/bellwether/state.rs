//! `bellwether state`: the values that the copies of a program share, read and written from outside.

use std::ffi::OsString;
use std::io::{self, Write};

use bellwether::{Name, Observer, StateValue, Version};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::input;
use crate::json::{line, wide};
use crate::status::{self, PATIENCE};
use crate::table::{Table, plain};

mod watch;

/// What `state` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Print the value of a key: its bytes and nothing else.
    ///
    /// The exit status is 1 if the key has no value.
    Get(Key),

    /// Write the value of a key, whatever it had before, and print the version.
    ///
    /// It is done when the value is sure to reach every copy that is connected. If the supervisor dies meanwhile it can
    /// be unknown whether it was done; that is an error that says so.
    Put {
        #[command(flatten)]
        key: Key,

        /// The value; `-` reads it from standard input.
        #[arg(allow_hyphen_values = true)]
        value: OsString,
    },

    /// Print the values that there are and then what changes, one line each, until interrupted.
    ///
    /// Goes on through changes of supervisor. Of several writes to one key in such a moment, or faster than they are
    /// printed, it may tell only the last. It ends with status 0 when the last copy of the program has ended: the values have ended with it.
    Watch {
        #[command(flatten)]
        group: Group,

        /// Only this key.
        #[arg(value_parser = crate::name)]
        key: Option<Name>,
    },

    /// Delete the value of a key and print the version of that. It is no error if there is none.
    Delete(Key),

    /// Print all keys that have a value.
    List(Group),
}

#[derive(Debug, Args)]
struct Group {
    /// The name of the group.
    #[arg(value_parser = crate::name)]
    group: Name,

    /// Print JSON: bytes that are UTF-8 as `value`, others in hexadecimal digits as `hex`; versions as strings.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Key {
    #[command(flatten)]
    group: Group,

    /// The key.
    #[arg(value_parser = crate::name)]
    key: Name,
}

/// Does what it is told.
pub(crate) fn run(options: Options, port: Option<u16>) -> Result<(), Failure> {
    match options.task {
        Task::Get(key) => get(&key, port),
        Task::Put { key, value } => put(&key, value, port),
        Task::Watch { group, key } => watch::run(&group, key.as_ref(), port),
        Task::Delete(key) => {
            let deleted = key.group.observe(port)?.state().delete_timeout(key.key.as_str(), PATIENCE);
            key.tell("delete", deleted)
        }
        Task::List(group) => list(&group, port),
    }
}

fn get(key: &Key, port: Option<u16>) -> Result<(), Failure> {
    let (group, name) = (key.group.group.as_str(), key.key.as_str());
    let value = key.group.observe(port)?.state().get(name);
    let value = value.ok_or_else(|| Failure::NoValue { group: group.to_owned(), key: name.to_owned() })?;
    let mut out = io::stdout().lock();
    if key.group.json {
        writeln!(out, "{}", line(&json(name, value.version, Some(&value.bytes))))?;
    } else {
        out.write_all(&value.bytes)?;
    }
    Ok(out.flush()?)
}

fn put(key: &Key, value: OsString, port: Option<u16>) -> Result<(), Failure> {
    let bytes = input::bytes(value)?;
    let stored = key.group.observe(port)?.state().put_timeout(key.key.as_str(), bytes, PATIENCE);
    key.tell("write", stored)
}

fn list(group: &Group, port: Option<u16>) -> Result<(), Failure> {
    let observer = group.observe(port)?;
    let values = observer.state().snapshot();
    let mut out = io::stdout().lock();
    if group.json {
        let values: Vec<_> =
            values.iter().map(|(key, value)| json(key.as_str(), value.version, Some(&value.bytes))).collect();
        let list = json!({ "group": group.group.as_str(), "port": observer.port(), "values": values });
        writeln!(out, "{}", line(&list))?;
    } else {
        let mut table = Table::new(["key", "version", "bytes", "value"], 0);
        for (key, StateValue { bytes, version, .. }) in values {
            let text = plain(&String::from_utf8_lossy(&bytes));
            table.push([plain(key.as_str()), version.to_string(), bytes.len().to_string(), text]);
        }
        write!(out, "{table}")?;
    }
    Ok(out.flush()?)
}

impl Group {
    /// An observer that has the state of an open reign.
    fn observe(&self, port: Option<u16>) -> Result<Observer, Failure> {
        let observer = status::observe(crate::group(&self.group, port)?, self.group.as_str())?;
        status::settled(&observer, |_, _| true, "the next supervisor", PATIENCE)?;
        Ok(observer)
    }
}

impl Key {
    /// Prints what became of a write.
    fn tell(&self, attempted: &str, done: Result<Version, bellwether::Error>) -> Result<(), Failure> {
        let version = done.map_err(|error| Failure::NotDone {
            attempted: format!("{attempted} {:?} in {:?}", self.key.as_str(), self.group.group.as_str()),
            error,
        })?;
        let mut out = io::stdout().lock();
        if self.group.json {
            writeln!(out, "{}", line(&json!({ "key": self.key.as_str(), "version": wide(version) })))?;
        } else {
            writeln!(out, "{version}")?;
        }
        Ok(out.flush()?)
    }
}

/// One value, or the deletion of one, as JSON.
fn json(key: &str, version: Version, bytes: Option<&[u8]>) -> Value {
    let version = wide(version);
    match bytes.map(str::from_utf8) {
        Some(Ok(text)) => json!({ "key": key, "version": version, "value": text }),
        Some(Err(_)) => json!({ "key": key, "version": version, "hex": hex(bytes.unwrap_or_default()) }),
        None => json!({ "key": key, "version": version, "deleted": true }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_digits_each() {
        assert_eq!(hex(&[0x00, 0x0f, 0xff]), "000fff");
    }
}
