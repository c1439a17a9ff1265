//! How a person sees what an application chose freely: bytes as a number of bytes.
//!
//! Owns no message: only the parts that messages, logs and errors are made of.

use std::fmt;

/// A number of bytes, shown in place of the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl Size {
    /// The size of these bytes.
    pub const fn of(bytes: &[u8]) -> Self {
        Self(bytes.len())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
