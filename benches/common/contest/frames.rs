//! Frames of the sizes that the library's have, for the floor.

use bellwether::wire::frame::Message;

/// The name of everything that is measured.
pub(crate) const NAME: &str = "bench";

/// Which byte of a frame says what it is.
const KIND: usize = 4;

/// The frame of a message.
pub(crate) fn encoded(message: &impl Message) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    frame
}

/// What kind of frame this is.
pub(crate) fn kind(frame: &[u8]) -> u8 {
    frame[KIND]
}

/// How long the first frame of these bytes is, if it is there in full.
pub(crate) fn first(bytes: &[u8]) -> Option<usize> {
    let length: [u8; KIND] = bytes.get(..KIND)?.try_into().ok()?;
    let whole = KIND + usize::try_from(u32::from_be_bytes(length)).ok()?;
    (bytes.len() >= whole).then_some(whole)
}
