//! What the fuzz targets check, beside the code that it is about. The same checks run as property tests.

use std::fmt::Debug;

use super::error::DecodeError;
use super::frame::{Decoder, LIMIT_AFTER_TRUST, LIMIT_BEFORE_TRUST, Message, SLACK};
use super::message::{ToMember, ToSupervisor};

/// A kind and a body: what decodes encodes to the same bytes, in either direction, and has its one line.
pub fn round_trip(data: &[u8]) {
    fn check<M: Message + std::fmt::Display>(kind: u8, body: &[u8]) {
        if let Ok(message) = M::decode(kind, body) {
            let mut frame = Vec::new();
            message.encode(&mut frame);
            assert_eq!(&frame[..4], (body.len() as u32 + 1).to_be_bytes());
            assert_eq!(frame[4], kind);
            assert_eq!(&frame[5..], body);
            assert!(!message.to_string().contains('\n'));
        }
    }
    if let Some((&kind, body)) = data.split_first() {
        check::<ToSupervisor>(kind, body);
        check::<ToMember>(kind, body);
    }
}

/// The number of cuts, the cuts, a stream: the stream decodes the same however it is cut.
pub fn chunking(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else { return };
    let (cuts, stream) = rest.split_at(rest.len().min(count.into()));
    let cuts: Vec<usize> = cuts.iter().map(|&cut| cut.into()).collect();
    same_frames::<ToSupervisor>([LIMIT_BEFORE_TRUST, LIMIT_AFTER_TRUST], &cuts, stream);
    same_frames::<ToMember>([LIMIT_BEFORE_TRUST, LIMIT_AFTER_TRUST], &cuts, stream);
}

/// Decodes the stream in pieces of these sizes, in turn, and holds the outcome against the [`Twin`]'s. The first limit
/// is for the first frame, the second for all others, as in a handshake.
pub(super) fn same_frames<M: Message + Debug + PartialEq>(limits: [usize; 2], cuts: &[usize], stream: &[u8]) {
    let mut twin = Twin { pending: Vec::new(), limit: limits[0] };
    let mut expected = Vec::new();
    let mut failure = None;
    for &byte in stream {
        match twin.push::<M>(byte) {
            Ok(None) => {}
            Ok(Some(message)) => {
                expected.push(message);
                twin.limit = limits[1];
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }

    let mut decoder = Decoder::new(limits[0]);
    let mut frames = Vec::new();
    let mut error = None;
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while error.is_none() && !rest.is_empty() {
        let mut piece = cuts.next().map_or(rest.len(), |&cut| cut.clamp(1, rest.len()));
        while error.is_none() && piece > 0 {
            let space = decoder.space();
            assert!(!space.is_empty(), "an emptied decoder has room");
            let count = piece.min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            decoder.filled(count);
            rest = &rest[count..];
            piece -= count;
            assert!(decoder.allocated() <= limits[0].max(limits[1]) + SLACK);
            loop {
                match decoder.next::<M>() {
                    Ok(None) => break,
                    Ok(Some(message)) => {
                        frames.push(message);
                        decoder.set_limit(limits[1]);
                    }
                    Err(broken) => {
                        assert_eq!(decoder.next::<M>(), Err(broken), "an error is for good");
                        error = Some(broken);
                        break;
                    }
                }
            }
        }
    }
    assert_eq!(frames, expected);
    assert_eq!(error, failure);
    assert_eq!(error.is_none() && decoder.is_mid_frame(), failure.is_none() && !twin.pending.is_empty());
}

/// A decoder too simple to be wrong: it looks at every byte as it comes and keeps one frame.
struct Twin {
    pending: Vec<u8>,
    limit: usize,
}

impl Twin {
    fn push<M: Message>(&mut self, byte: u8) -> Result<Option<M>, DecodeError> {
        self.pending.push(byte);
        let Some(&length) = self.pending.first_chunk() else { return Ok(None) };
        let len = u32::from_be_bytes(length);
        if len as usize > self.limit {
            return Err(DecodeError::Oversized { len, limit: self.limit as u32 });
        }
        if len == 0 {
            return Err(DecodeError::Empty);
        }
        if self.pending.len() < 4 + len as usize {
            return Ok(None);
        }
        let message = M::decode(self.pending[4], &self.pending[5..])?;
        self.pending.clear();
        Ok(Some(message))
    }
}
