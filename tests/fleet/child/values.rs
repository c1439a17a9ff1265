//! What a process of a fleet does with the state.

use bellwether::{Error, State, StateValue};

use super::{Desk, lock, millis, option};

impl Desk {
    /// `get KEY NAME`, `put KEY NAME TEXT [size=N] [within=MS] [if=seen|none]` (as the last `get` of this process saw it),
    /// `delete KEY NAME [within=MS] [if=seen]`, `snapshot KEY`, `tally KEY NAME ROUNDS` (counts up so many times), `scribble KEY NAME ROUNDS`
    /// (puts the numbers from 1 on, and reports each that is done).
    ///
    /// An instance and an observer both have a state.
    pub(super) fn obey_state(&self, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        let observer = lock(&self.observers).get(key).cloned();
        if let Some(observer) = observer {
            return self.obey_with(observer.state(), verb, key, rest);
        }
        let instance = self.instance(key)?;
        self.obey_with(instance.state(), verb, key, rest)
    }

    fn obey_with(&self, state: State<'_>, verb: &str, key: &str, rest: &[String]) -> Result<String, Error> {
        let name = rest.first().map(|name| name.replace('_', " ")).unwrap_or_default();
        match verb {
            "get" => {
                let value = state.get(&name);
                lock(&self.seen).insert((key.to_owned(), name), value.as_ref().map(|value| value.version));
                Ok(tell(value))
            }
            "put" => {
                let bytes = match option(rest, "size") {
                    Some(size) => vec![b'x'; size.parse().expect("a size")],
                    None => rest[1].clone().into_bytes(),
                };
                let seen = || lock(&self.seen).get(&(key.to_owned(), name.clone())).copied().flatten();
                let expected = option(rest, "if").map(|which| if which == "none" { None } else { seen() });
                let version = match (option(rest, "within").map(millis), expected) {
                    (Some(time), Some(expected)) => state.put_if_timeout(&name, expected, bytes, time)?,
                    (Some(time), None) => state.put_timeout(&name, bytes, time)?,
                    (None, Some(expected)) => state.put_if(&name, expected, bytes)?,
                    (None, None) => state.put(&name, bytes)?,
                };
                Ok(format!("version={version}"))
            }
            "delete" => {
                let seen = lock(&self.seen).get(&(key.to_owned(), name.clone())).copied().flatten();
                let version = match (option(rest, "within").map(millis), seen.filter(|_| option(rest, "if").is_some()))
                {
                    (Some(time), Some(seen)) => state.delete_if_timeout(&name, seen, time)?,
                    (Some(time), None) => state.delete_timeout(&name, time)?,
                    (None, Some(seen)) => state.delete_if(&name, seen)?,
                    (None, None) => state.delete(&name)?,
                };
                Ok(format!("version={version}"))
            }
            "snapshot" => {
                let snapshot = state.snapshot();
                let row = |(name, value): (&_, &StateValue)| {
                    format!("{name}:{}:{}", value.version, tell_bytes(Some(&value.bytes)))
                };
                Ok(format!("values={}", snapshot.iter().map(row).collect::<Vec<_>>().join(",")))
            }
            "tally" => self.tally(state, key, &name, rest[1].parse().expect("a number")),
            _ => {
                for number in 1..=rest[1].parse::<u32>().expect("a number") {
                    let version = state.put(&name, number.to_string())?;
                    self.report(&format!("event {key} scribbled number={number} version={version}"));
                }
                Ok(String::new())
            }
        }
    }

    /// Counts up by compare and set, and reports each time that is done, or that it is unknown.
    fn tally(&self, state: State<'_>, key: &str, name: &str, rounds: u32) -> Result<String, Error> {
        let (mut done, mut unknown, mut conflicts) = (0, 0, 0);
        while done + unknown < rounds {
            let seen = state.get(name);
            let text = seen.as_ref().map_or("0".into(), |seen| String::from_utf8_lossy(&seen.bytes));
            let next = text.parse::<u64>().expect("a count") + 1;
            match state.put_if(name, seen.as_ref().map(|seen| seen.version), next.to_string()) {
                Ok(_) => {
                    done += 1;
                    self.report(&format!("event {key} tallied to={next}"));
                }
                Err(Error::Conflict { .. }) => conflicts += 1,
                Err(Error::Interrupted) => {
                    unknown += 1;
                    self.report(&format!("event {key} unsure of={next}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(format!("done={done} unknown={unknown} conflicts={conflicts}"))
    }
}

fn tell(value: Option<StateValue>) -> String {
    value.map_or("none".to_owned(), |value| {
        format!("version={} bytes={}", value.version, tell_bytes(Some(&value.bytes)))
    })
}

/// Short ones as they are, of long ones the size.
pub(super) fn tell_bytes(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "deleted".to_owned(),
        Some(bytes) if bytes.len() <= 64 => String::from_utf8_lossy(bytes).into_owned(),
        Some(bytes) => format!("{}-bytes", bytes.len()),
    }
}
