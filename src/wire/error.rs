//! Why bytes are no message.

use std::fmt;

use crate::ident::NameError;

/// Why bytes are no message. The connection they came from is broken for good: nothing tells where the next frame
/// begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The length field is zero: not even a kind follows.
    Empty,
    /// The length field is above the bound for this peer.
    Oversized {
        /// What the length field says.
        len: u32,
        /// The bound.
        limit: u32,
    },
    /// No message of this direction has this kind.
    UnknownKind(u8),
    /// The first word of a Hello is not the magic number: the peer is something else altogether.
    Magic(u32),
    /// The Hello is of this other wire version, and what follows the version is not what was frozen.
    ///
    /// A supervisor answers it exactly as it answers a foreign Hello that it can read: with a refusal that names both
    /// versions.
    ForeignWire(u16),
    /// The body ends before the field does.
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// The body goes on after the last field.
    Trailing {
        /// The kind of the frame.
        kind: u8,
        /// How many bytes are left over.
        bytes: usize,
    },
    /// A list says that it has more elements than the rest of the body has room for.
    Count {
        /// What the list is made of.
        field: &'static str,
        /// How many elements it says.
        count: u32,
        /// How many bytes are left.
        bytes: usize,
    },
    /// A text is not UTF-8.
    Utf8 {
        /// The field.
        field: &'static str,
    },
    /// A text or some bytes are longer than the field may be.
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The bound.
        limit: usize,
    },
    /// A text cannot be a name.
    BadName {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: NameError,
    },
    /// A number that the field cannot have.
    BadValue {
        /// The field.
        field: &'static str,
        /// The number.
        value: u64,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("frame of 0 bytes has no kind"),
            Self::Oversized { len, limit } => write!(f, "frame of {len} bytes exceeds {limit}"),
            Self::UnknownKind(kind) => write!(f, "unknown kind {kind}"),
            Self::Magic(word) => write!(f, "first word {word:#010x} is not the magic number"),
            Self::ForeignWire(version) => write!(f, "hello of wire version {version} is not readable"),
            Self::Truncated { field } => write!(f, "body ends within {field}"),
            Self::Trailing { kind, bytes } => write!(f, "{bytes} bytes too many in a frame of kind {kind}"),
            Self::Count { field, count, bytes } => write!(f, "{field} list of {count} exceeds the {bytes} bytes left"),
            Self::Utf8 { field } => write!(f, "{field} is not utf-8"),
            Self::TooLong { field, len, limit } => write!(f, "{field} of {len} bytes exceeds {limit}"),
            Self::BadName { field, reason } => write!(f, "{field}: {reason}"),
            Self::BadValue { field, value } => write!(f, "{field} may not be {value}"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadName { reason, .. } => Some(reason),
            _ => None,
        }
    }
}
