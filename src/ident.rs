//! The numbers and names that cross a boundary, each its own type.
//!
//! Owns no behaviour beyond validation, order and display.

use std::fmt;
use std::str::FromStr;

use crate::text::is_unseen;

/// Who an instance is: a random number that it chose itself when it joined.
///
/// It stays the same across reigns. It changes only when the instance was silent in an election beyond the window limit and lost
/// everything it held: an id that has ended never comes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// The id with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the id.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not an instance id: sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instance id is sixteen hexadecimal digits")
    }
}

impl std::error::Error for ParseIdError {}

impl FromStr for InstanceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ParseIdError)
    }
}

/// The number of a reign. It rises with every change of supervisor and is never shared by two of them.
///
/// It is no counter: a reign's epoch is at least the nanoseconds since 1970 at which its window closed, so that epochs
/// rise across a complete restart as well, unless the clock was set back meanwhile. Its last 16 bits are those of its
/// supervisor's id, so that also two reigns that know nothing of each other are not counted the same. Zero means: no
/// reign yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the epoch.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which of its memberships an instance shows: a random number that it chooses anew for every supervisor it says hello to.
///
/// Who was given up and still shows the same one has said nothing to anybody since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

impl Tag {
    /// The tag with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the tag.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What proves that a Hello is of the instance that its id names: a random number that the instance chooses together with
/// the id. It travels to members and to supervisors, and is shown to nobody else: it has no `Display`, and `Debug` hides it.
///
/// The instance chooses it, and no Welcome carries it: an instance whose Welcome was lost with its connection has to prove
/// who it is as well. Zero is the nonce that is not known.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(u64);

impl Nonce {
    /// The nonce that is not known. No instance has it.
    pub const UNKNOWN: Self = Self(0);

    /// The nonce with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the nonce.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The nonce, unless it is the one that is not known.
    pub const fn known(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(self) }
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// A fencing token: one number per grant, rising across all grants of a group, reigns included.
///
/// As long as one copy of the program lives it rises whatever the clock does. A group of which all copies have ended
/// begins at the nanoseconds since 1970, so that its tokens are higher than those before unless the clock was set back in
/// between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// The token with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the token.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which version of the registry: the reign and the number of the change within it. Compared in that order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The reign that made this view.
    pub epoch: Epoch,
    /// The change within the reign; the view with which a window closes is 1.
    pub n: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.n)
    }
}

/// Which write of the state made a value: of two the later one is greater, reigns included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Stamp);

impl Version {
    /// The version that travels as this.
    pub(crate) const fn new(stamp: Stamp) -> Self {
        Self(stamp)
    }

    /// The version as it travels.
    pub(crate) const fn stamp(self) -> Stamp {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A place in a queue that the waiter was told: sorts waiters of several reigns into one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The reign that told the place.
    pub epoch: Epoch,
    /// The count of places told in that reign.
    pub n: u64,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.n)
    }
}

/// The number of a connection attempt, rising per instance: the entry belongs to the highest one seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u64);

impl Attempt {
    /// How far an attempt may lie above the last one that a supervisor accepted. An instance raises its number by one per
    /// connection, so that no instance comes near this within a reign.
    pub const STRIDE: u64 = 1 << 20;

    /// The attempt with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the attempt.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The attempt after this one; the last one follows itself.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether this attempt may follow that one: it lies above it, and not more than [`Attempt::STRIDE`].
    pub const fn may_follow(self, last: Self) -> bool {
        self.0 > last.0 && self.0 - last.0 <= Self::STRIDE
    }
}

/// The number of a request, rising per instance and kept for the whole life of what it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(u64);

impl Request {
    /// The request with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the request.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A name that the users of a group agree on: of the group itself, or of something in it that is coordinated.
///
/// 1 to 128 bytes of UTF-8, without control characters, without white space at either end, and without characters that
/// cannot be seen or change the direction of others. Those are refused since two names that look the same would be two
/// names. They include the joiners and the variation selectors of composed emoji. Names are compared byte by byte: a
/// letter that Unicode can compose in several ways makes several names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The longest name, in bytes.
    pub const LIMIT: usize = 128;

    /// Checks the text and makes it a name.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::LIMIT {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        if let Some(character) = text.chars().find(|letter| is_unseen(*letter)) {
            return Err(NameError::Unseen { character });
        }
        if text.trim().len() != text.len() {
            return Err(NameError::Padded);
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a name names: two things of different kinds may have the same name and have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A lock that one holds.
    Mutex,
    /// A lock that one holds, or several share.
    RwLock,
    /// A number of permits, and their limit.
    Semaphore,
    /// Something that is done once, and its result.
    Once,
    /// A value of the state that belongs to the application.
    Value,
    /// A barrier, at which instances wait for each other.
    Barrier,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mutex => "mutex",
            Self::RwLock => "rwlock",
            Self::Semaphore => "semaphore",
            Self::Once => "once",
            Self::Value => "value",
            Self::Barrier => "barrier",
        })
    }
}

/// Something in a group that has a name: a lock, or a value of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// What it is called among those of its kind.
    pub name: Name,
}

impl Resource {
    /// The thing of this kind with this name.
    pub const fn new(kind: Kind, name: Name) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name.as_str())
    }
}

/// Why a text cannot be a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters.
    Empty,
    /// It is longer than [`Name::LIMIT`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It has a control character, such as a line feed.
    Control,
    /// It has a character that cannot be seen, such as a zero-width space, or that changes the direction of others.
    Unseen {
        /// The first of them.
        character: char,
    },
    /// It begins or ends with white space.
    Padded,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must have at least one character"),
            Self::TooLong { bytes } => write!(f, "name of {bytes} bytes exceeds {}", Name::LIMIT),
            Self::Control => f.write_str("a name may not have control characters"),
            Self::Unseen { character } => {
                write!(f, "a name may not have the unseen character U+{:04X}", u32::from(*character))
            }
            Self::Padded => f.write_str("a name may not begin or end with white space"),
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(129);
        for (text, outcome) in [
            ("", Err(NameError::Empty)),
            (" a", Err(NameError::Padded)),
            ("a\n", Err(NameError::Control)),
            (long.as_str(), Err(NameError::TooLong { bytes: 129 })),
            ("a\u{202e}b", Err(NameError::Unseen { character: '\u{202e}' })),
            ("\u{2067}a", Err(NameError::Unseen { character: '\u{2067}' })),
            ("a\u{200e}", Err(NameError::Unseen { character: '\u{200e}' })),
            ("photo\u{200b}sync", Err(NameError::Unseen { character: '\u{200b}' })),
            ("\u{feff}photo", Err(NameError::Unseen { character: '\u{feff}' })),
            ("☂\u{fe0f}", Err(NameError::Unseen { character: '\u{fe0f}' })),
            ("photo sync ☂", Ok(())),
            ("写真 の\u{3000}同期 e\u{301}", Ok(())),
        ] {
            assert_eq!(Name::new(text).map(|_| ()), outcome, "{text:?}");
        }
    }

    #[test]
    fn an_id_reads_back_from_its_own_text() {
        let id = InstanceId::new(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "+0abcdef01234567", "00abcdef012345678", "00abcdef0123456g"] {
            assert_eq!(text.parse::<InstanceId>(), Err(ParseIdError), "{text:?}");
        }
    }
}
