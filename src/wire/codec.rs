//! The primitive types of the wire, read and written.
//!
//! Owns the rules that hold for every field: byte order, length prefixes, the bounds that are checked before anything
//! is allocated. Knows no message and never sees the length of a frame.

use byteorder::{BigEndian, ByteOrder};

use super::error::DecodeError;
use crate::ident::Name;

/// Something that has one encoding, inside a body.
pub(super) trait Part: Sized {
    /// What errors call it.
    const FIELD: &'static str;

    /// The fewest bytes it can take, so that a count can be held against the bytes that are left.
    const MIN: usize;

    /// Appends it.
    fn put(&self, to: &mut Writer<'_>);

    /// Reads it.
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Reads a body from front to back. It only moves forward and has nothing but the body, so it cannot leave it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Ends the reading: what is left over is an error, so that every message has exactly one encoding.
    pub(super) fn finish(self, kind: u8) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { kind, bytes }),
        }
    }

    fn raw(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.raw(1, field)?[0])
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.raw(2, field).map(BigEndian::read_u16)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.raw(4, field).map(BigEndian::read_u32)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.raw(8, field).map(BigEndian::read_u64)
    }

    /// A number of things of which there must be one at least.
    pub(super) fn positive(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        match self.u32(field)? {
            0 => Err(DecodeError::BadValue { field, value: 0 }),
            number => Ok(number),
        }
    }

    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::BadValue { field, value: other.into() }),
        }
    }

    pub(super) fn text(&mut self, field: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        let len = usize::from(self.u16(field)?);
        if len > limit {
            return Err(DecodeError::TooLong { field, len, limit });
        }
        std::str::from_utf8(self.raw(len, field)?).map_err(|_| DecodeError::Utf8 { field })
    }

    pub(super) fn bytes(&mut self, field: &'static str, limit: usize) -> Result<Box<[u8]>, DecodeError> {
        let len = self.u32(field)? as usize;
        if len > limit {
            return Err(DecodeError::TooLong { field, len, limit });
        }
        self.raw(len, field).map(Box::from)
    }
}

/// Appends fields to a frame. It cannot fail.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.out.push(number);
    }

    pub(super) fn u16(&mut self, number: u16) {
        let mut bytes = [0; 2];
        BigEndian::write_u16(&mut bytes, number);
        self.out.extend_from_slice(&bytes);
    }

    pub(super) fn u32(&mut self, number: u32) {
        let mut bytes = [0; 4];
        BigEndian::write_u32(&mut bytes, number);
        self.out.extend_from_slice(&bytes);
    }

    pub(super) fn u64(&mut self, number: u64) {
        let mut bytes = [0; 8];
        BigEndian::write_u64(&mut bytes, number);
        self.out.extend_from_slice(&bytes);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// Writes at most `limit` bytes of the text, whole characters only.
    ///
    /// A reason may quote somebody's words and so be of any length; cut short it still arrives, where a frame that
    /// breaks a bound would end the connection without one.
    pub(super) fn text(&mut self, text: &str, limit: usize) {
        let limit = limit.min(usize::from(u16::MAX));
        let end = if text.len() <= limit {
            text.len()
        } else {
            (0..=limit).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
        };
        self.u16(end as u16);
        self.out.extend_from_slice(&text.as_bytes()[..end]);
    }

    /// Writes the bytes, all of them: bytes cut short would be other bytes. Who makes the message keeps to the limit.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.out.extend_from_slice(bytes);
    }
}

impl Part for Name {
    const FIELD: &'static str = "name";
    const MIN: usize = 2 + 1;

    fn put(&self, to: &mut Writer<'_>) {
        to.text(self.as_str(), Self::LIMIT);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = from.text(Self::FIELD, Self::LIMIT)?;
        Self::new(text).map_err(|reason| DecodeError::BadName { field: Self::FIELD, reason })
    }
}

impl<T: Part> Part for Option<T> {
    const FIELD: &'static str = T::FIELD;
    const MIN: usize = 1;

    fn put(&self, to: &mut Writer<'_>) {
        to.bool(self.is_some());
        if let Some(part) = self {
            part.put(to);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if from.bool(T::FIELD)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Part> Part for Vec<T> {
    const FIELD: &'static str = T::FIELD;
    const MIN: usize = 4;

    fn put(&self, to: &mut Writer<'_>) {
        to.u32(self.len() as u32);
        for part in self {
            part.put(to);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = from.u32(T::FIELD)?;
        // A count is four bytes that anybody can send; only as much is allocated as the bytes behind it can fill.
        if u64::from(count) * T::MIN as u64 > from.rest.len() as u64 {
            return Err(DecodeError::Count { field: T::FIELD, count, bytes: from.rest.len() });
        }
        let mut list = Self::with_capacity(count as usize);
        for _ in 0..count {
            list.push(T::take(from)?);
        }
        Ok(list)
    }
}

impl<A: Part, B: Part> Part for (A, B) {
    const FIELD: &'static str = A::FIELD;
    const MIN: usize = A::MIN + B::MIN;

    fn put(&self, to: &mut Writer<'_>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}
