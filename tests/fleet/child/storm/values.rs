//! Values in a storm.

use bellwether::Error;

use super::{LARGE, Storm};
use crate::fleet::chance::Chance;
use crate::fleet::journal::{Expected, Found, Version, What, now};

impl Storm {
    pub(super) fn read(&self, key: &str) {
        let began = now();
        let found = self.found(key);
        self.note(What::Read { began, key: key.to_owned(), found });
    }

    pub(super) fn found(&self, key: &str) -> Found {
        let value = self.instance.state().get(key)?;
        let text = value.bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        Some((version(value.version), String::from_utf8_lossy(text).into_owned()))
    }

    pub(super) fn write(&self, key: &str, chance: &mut Chance) {
        let put = self.book.number();
        let state = self.instance.state();
        let seen = state.get(key).map(|value| value.version);
        // No other write of the whole storm has this value. What is not there cannot be deleted under a condition.
        let value = (!chance.percent(10)).then(|| format!("{}.{put}", self.book.name));
        let conditional = chance.percent(40) && (value.is_some() || seen.is_some());
        let expected = match seen {
            _ if !conditional => Expected::Anything,
            None => Expected::Nothing,
            Some(seen) => Expected::This(version(seen)),
        };
        self.note(What::Putting { put, key: key.to_owned(), expected, value: value.clone() });
        // Some are too large to be on their way in a moment.
        let padding = if chance.percent(10) { chance.below(LARGE) as usize } else { 0 };
        let value = value.map(|value| format!("{value} {}", "-".repeat(padding)));
        let written = match (value, seen.filter(|_| conditional)) {
            (Some(value), seen) if conditional => state.put_if(key, seen, value),
            (Some(value), _) => state.put(key, value),
            (None, Some(seen)) => state.delete_if(key, seen),
            (None, None) => state.delete(key),
        };
        self.note(match written {
            Ok(stored) => What::Stored { put, version: version(stored) },
            Err(Error::Conflict { version: other }) => What::Conflict { put, version: version(other) },
            Err(Error::Interrupted) => What::Unsure { put },
            Err(error) => panic!("{key} cannot be written: {error}"),
        });
    }
}

fn version(version: bellwether::Version) -> Version {
    version.to_string().parse().expect("a version is two numbers")
}
