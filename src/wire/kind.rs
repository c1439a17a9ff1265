//! The table of kinds: the byte behind the length, one number per message and direction.
//!
//! A number is never used again for something else. The two directions share none, so that a peer that mistakes its
//! role is told so by the first frame.

/// What a member or an observer says.
pub(super) mod to_supervisor {
    pub(in crate::wire) const HELLO: u8 = 1;
    pub(in crate::wire) const JOIN: u8 = 2;
    pub(in crate::wire) const NAMES: u8 = 3;
    pub(in crate::wire) const DEPARTED: u8 = 4;
    pub(in crate::wire) const HELD: u8 = 5;
    pub(in crate::wire) const WANTS: u8 = 6;
    pub(in crate::wire) const CLAIMS_END: u8 = 7;
    pub(in crate::wire) const ACQUIRE: u8 = 8;
    pub(in crate::wire) const CANCEL: u8 = 9;
    pub(in crate::wire) const RELEASE: u8 = 10;
    pub(in crate::wire) const DECLINE: u8 = 11;
    pub(in crate::wire) const PUT: u8 = 12;
    pub(in crate::wire) const VALUE: u8 = 13;
    pub(in crate::wire) const ARRIVE: u8 = 14;
    pub(in crate::wire) const COMPLETED: u8 = 15;
    pub(in crate::wire) const LEAVE: u8 = 16;
    pub(in crate::wire) const PING: u8 = 17;
    pub(in crate::wire) const PONG: u8 = 18;
    pub(in crate::wire) const FORFEITS: u8 = 19;
    pub(in crate::wire) const STATE_END: u8 = 20;
    pub(in crate::wire) const INQUIRE: u8 = 21;
    pub(in crate::wire) const SURVEY: u8 = 22;
    pub(in crate::wire) const POST: u8 = 23;
    pub(in crate::wire) const ASK: u8 = 24;
    pub(in crate::wire) const COMMAND: u8 = 25;
    pub(in crate::wire) const ABANDON: u8 = 26;
    pub(in crate::wire) const WITHDRAW: u8 = 27;
}

/// What the supervisor says.
pub(super) mod to_member {
    pub(in crate::wire) const REFUSED: u8 = 64;
    pub(in crate::wire) const FORFEITED: u8 = 65;
    pub(in crate::wire) const ENTRIES: u8 = 66;
    pub(in crate::wire) const NAMES: u8 = 67;
    pub(in crate::wire) const WELCOME: u8 = 68;
    pub(in crate::wire) const OPENED: u8 = 69;
    pub(in crate::wire) const DELTA: u8 = 70;
    pub(in crate::wire) const QUEUED: u8 = 71;
    pub(in crate::wire) const GRANT: u8 = 72;
    pub(in crate::wire) const TOKEN: u8 = 73;
    pub(in crate::wire) const LOST: u8 = 74;
    pub(in crate::wire) const DENIED: u8 = 75;
    pub(in crate::wire) const VALUE: u8 = 76;
    pub(in crate::wire) const STORED: u8 = 77;
    pub(in crate::wire) const CONFLICT: u8 = 78;
    pub(in crate::wire) const COMPLETE: u8 = 79;
    pub(in crate::wire) const GO: u8 = 80;
    pub(in crate::wire) const LEAVE: u8 = 81;
    pub(in crate::wire) const PING: u8 = 82;
    pub(in crate::wire) const PONG: u8 = 83;
    pub(in crate::wire) const FORFEITS: u8 = 84;
    pub(in crate::wire) const FETCH: u8 = 85;
    pub(in crate::wire) const INTERRUPTED: u8 = 86;
    pub(in crate::wire) const LOCKS: u8 = 87;
    pub(in crate::wire) const SURVEYED: u8 = 88;
    pub(in crate::wire) const BASE: u8 = 89;
    pub(in crate::wire) const MESSAGE: u8 = 90;
    pub(in crate::wire) const DELIVERED: u8 = 91;
    pub(in crate::wire) const UNDELIVERED: u8 = 92;
    pub(in crate::wire) const REPLY: u8 = 93;
    pub(in crate::wire) const FAILED: u8 = 94;
    pub(in crate::wire) const COMMAND: u8 = 95;
    pub(in crate::wire) const EVICTED: u8 = 96;
    pub(in crate::wire) const BARRIERS: u8 = 97;
    pub(in crate::wire) const WITHDRAWN: u8 = 98;
}
