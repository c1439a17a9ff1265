//! What a command line gives as bytes: the words themselves, or with `-` what standard input has.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use crate::failure::Failure;

/// More than any value or message has: what is longer is refused by the library, which says what the limit is, and need
/// not be read to its end.
const LIMIT: u64 = 4 << 20;

/// The bytes that are meant.
pub(crate) fn bytes(word: OsString) -> Result<Vec<u8>, Failure> {
    match word.into_vec() {
        dash if dash == b"-" => standard(),
        bytes => Ok(bytes),
    }
}

fn standard() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(LIMIT).read_to_end(&mut bytes).map_err(Failure::Input)?;
    Ok(bytes)
}
