//! Tests of the format: what is said is heard, and what is not a message is an error that names the fault.

mod bad_input;
mod decoder;
mod format;
mod round_trip;
mod samples;
mod seeds;

use super::error::DecodeError;
use super::frame::Message;

/// The frame of a message.
fn frame(message: &impl Message) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    frame
}

/// Decodes what comes behind the length.
fn decode<M: Message>(kind_and_body: &[u8]) -> Result<M, DecodeError> {
    let (&kind, body) = kind_and_body.split_first().ok_or(DecodeError::Empty)?;
    M::decode(kind, body)
}
