//! The wire: what two instances of a group say to each other over their TCP connection, wire version 1.
//!
//! This page is the format's only description. The code beside it is pure: it makes messages of bytes and bytes of
//! messages and never touches a socket, a thread or a clock.
//!
//! # Framing
//!
//! A connection is two streams of frames, one in each direction, with nothing between frames. A frame is
//!
//! | bytes | what |
//! |---|---|
//! | 4 | *length*: u32, the bytes that follow it, the kind included |
//! | 1 | *kind*: which message |
//! | length − 1 | *body*: the fields of the message in the order given here, without padding |
//!
//! A frame is written with one write. The client is who connected; it speaks first.
//!
//! # Types
//!
//! All numbers are unsigned and big-endian.
//!
//! | type | encoding |
//! |---|---|
//! | `u8` `u16` `u32` `u64` | 1, 2, 4, 8 bytes |
//! | `bool` | u8: 0 no, 1 yes, nothing else |
//! | `text` | u16 length in bytes, UTF-8 |
//! | `name` | a text of 1 to 128 bytes, no control character, no character that cannot be seen or that changes the direction of others (`src/text.rs` lists them), no white space at either end |
//! | `bytes` | u32 length, bytes |
//! | `option T` | u8: 0 none, nothing follows; 1 some, `T` follows |
//! | `list T` | u32 count, then so many `T` |
//! | `id`, `epoch`, `token`, `attempt`, `request`, `tag` | u64 |
//! | `nonce` | u64; 0: not known, which no instance has |
//! | `named` | id, nonce |
//! | `stamp` | epoch, u64: a version of the registry, of the state, or of a state value; all zero: none |
//! | `resource` | u8 kind: 0 mutex, 1 rwlock, 2 semaphore, 3 once, 4 value, 5 barrier, which no request may name: it is denied; name |
//! | `ticket` | epoch, u64: a place in a queue |
//! | `order` | u8: 0 pause; 1 resume; 2 stop; 3 custom, then a value |
//! | `reason` | a text of at most 1024 bytes, for people |
//! | `value` | bytes of the application, at most [`VALUE_LIMIT`] |
//! | `end` | u8: 0 left, 1 failed, 2 evicted |
//! | `sort` | u8: 0 known (in the last closed view), 1 heard (during an open window) |
//! | `mode` | u8: 0 exclusive; 1 shared; 2 permits, then u32 count, at least 1, and u32 limit |
//! | `want` | request, resource, mode |
//! | `profile` | u32 pid, u32 program version, u64 milliseconds since 1970 of joining, u16 presence port or 0, bool paused, text label of at most 256 bytes, bytes payload of at most 4096 bytes |
//! | `entry` | id, profile, u8 standing: 0 active, 1 paused, 2 hung, 3 aside; nonce, 0 to observers |
//! | `view` | stamp, token base of the reign, u64 last write to the state in this reign, bool whole: the Values before are the whole state and not only what the member lacks |
//! | `time` | u64 milliseconds since 1970 |
//! | `row` | resource, option u32 limit, list of (id, mode, token, time) holders, list of (id, mode) waiters |
//! | `forfeit` | id, tag: who forfeited, and the tag of the membership that the kernel showed of it then |
//!
//! Every message has exactly one encoding: what decodes, encodes to the same bytes.
//!
//! # Bounds and errors
//!
//! A length is at most 4 KiB ([`LIMIT_BEFORE_TRUST`](frame::LIMIT_BEFORE_TRUST)) in the client's first frame, its Hello, then at
//! most 68 KiB ([`LIMIT_BEFORE_ACCEPTANCE`](frame::LIMIT_BEFORE_ACCEPTANCE)) until the handshake is accepted with ClaimsEnd, and
//! from then on at most 1 MiB and 4 KiB ([`LIMIT_AFTER_TRUST`](frame::LIMIT_AFTER_TRUST)). The client trusts the supervisor
//! from the beginning: the first frame to the client may be a whole view. The length is judged when its four bytes have
//! arrived, a text or bytes before they are copied, a count against the bytes behind it before room is made for the list.
//!
//! A handshake takes at most five seconds of the supervisor's running time, and a millisecond more for each name, claim and
//! arrival that it brings; at no time may it bring nothing new for five seconds; a connection that takes longer is
//! refused with reason 4. Before ClaimsEnd at most 256 frames more than there are items may come, and at most 136 KiB beyond
//! 192 bytes for each item; more, or more than 393 216 items, is refused with reason 3. Of more than 4096 connections, or if
//! they cost more than 64 MiB together, the supervisor refuses one with reason 8 that has said nothing, or that has brought
//! nothing for longest.
//!
//! A member closes when a supervisor sends more than any group can have: a view, names or forfeits of more than 65 536
//! members, a view of more than 64 MiB, a state beyond its bounds, a list of locks, with that of
//! barriers, of more than 256 MiB.
//!
//! A length of 0, a length above the bound, a kind that the direction does not have, a body that ends within a field or
//! goes on after the last, a text that is not UTF-8, a number that its field cannot have: each is a [`DecodeError`].
//! The supervisor answers with Refused (protocol, and the error in words) and closes; a member closes. Nothing of the
//! broken frame is acted upon.
//!
//! Lists that do not fit one frame travel in several: Entries, Names and Forfeits may be repeated, also with none in
//! them. Where this page says "Names\*", zero or more such frames are meant.
//!
//! # Versions
//!
//! A frozen message keeps its kind and its body in every wire version, so that two builds that meet can tell each other
//! that they differ, and what is held survives it. Frozen are **Hello, Held, Wants, ClaimsEnd, Forfeited, Lost**, and
//! **Refused** with reason 0, without which the refused side could not read why. A supervisor that reads a Hello of
//! another version answers with that Refused and closes. Every other change of a body, a kind or a bound is a new
//! version.
//!
//! # Order
//!
//! **Member.** Without waiting for an answer, in one write: Hello, Join, Names\*, Forfeits\*, Departed\*, Held\*, Wants\*,
//! Completed\*, ClaimsEnd. (A later trust sort puts its challenge and response between Hello and Join.) Only ClaimsEnd
//! accounts for the member, and of one that is asked to Fetch only the StateEnd. Before its Welcome it sends no request,
//! but it may already Cancel, Release, Abandon and Decline what it claimed. It sends no Put before the Welcome or Opened
//! that carries a view.
//!
//! A newcomer says of all these at most Completed\*: it may have had another id before, which forfeited.
//!
//! The supervisor answers one of these:
//!
//! - Refused, and closes.
//! - Forfeited, and closes. The member may come again as a newcomer, under a new id.
//! - Evicted, and closes, to one that was evicted in this reign.
//! - To a newcomer outside a window: Forfeits\*, Entries\*, Value\*, Welcome with a view.
//! - To a member of the reign that is back: Welcome without a view, Forfeits\*, Entries\*, Value\*, Opened; if it never had a
//!   view, as to a newcomer.
//! - To a survivor in an open window: Names (heard)\*, Welcome without a view, Fetch if its copy of the state is newer than
//!   all that have arrived; when the window closes, Forfeits\*, Entries\*, Value\*, Opened.
//! - To a newcomer in an open window: nothing until the window closes, then as outside a window.
//!
//! A client of which an epoch (also one in a stamp), the token base or a token lies more than 2^53 above the supervisor's clock and above
//! all that the supervisor's own member half knew when it won is refused with reason 3 after its ClaimsEnd. A member closes
//! when its supervisor says an epoch of a view, a token base or a token beyond 2^63. True ones are nanoseconds since 1970, and rise a little faster.
//!
//! Then Deltas, each on top of the view before. No Queued, Grant, Stored, Conflict, Complete, Go or Withdrawn comes before the Welcome
//! or Opened that carries a view. A Put or an Arrive that was not answered is said again after it. Of two Puts
//! with one request on one connection the second was said already, and nothing comes of it.
//!
//! The Values after the Welcome or Opened that carries a view are the writes of the reign, each numbered by one more than
//! the one before, the first by one more than the view says. Those before it are in no order and count only with it.
//!
//! **Observer.** Hello, Join, ClaimsEnd, and then nothing but Put, Survey, Post, Ask, Command, Cancel, Ping, Pong and Leave.
//! The answer is that to a newcomer.
//!
//! Post, Ask and Command are said on a connection that has a view. What was said and not answered when the connection ends
//! is done or not, and is not said again. Only if Leave came first, a Post or an Ask was not begun and is said to the next
//! supervisor.
//!
//! # From the client
//!
//! **1 Hello**: u32 0x42454C4C ("BELL"), u16 wire version, u8 purpose (0 member, 1 observer), id, attempt, nonce, u8
//! trust sort (0 open), u16 length and so many bytes of the trust sort's own (none for 0). *Frozen.* First frame of every
//! connection and only there. The attempt rises with every Hello of an instance; of two connections of one id the
//! higher counts. The instance chooses the nonce together with its id, and proves by it in every later Hello that the id is
//! its own. An observer's id is the writer of what it Puts, and means nothing else; it may not be a member's. A first word that is not the
//! magic number is a stranger. The layout is frozen, the trust sorts are not: a Hello of another version whose rest cannot
//! be read is answered like one whose rest can.
//!
//! **2 Join**: name of the group, stamp of the last closed view (zero: a newcomer), highest epoch heard of, highest
//! token or token base heard of, stamp of its copy of the state (the reign, and the last write of it; zero: none), bool
//! whether it was told to stop, profile. Who was told by an earlier supervisor has as long as if this one had told it.
//! A copy of a reign above the highest epoch heard of is refused. From a member or an observer, second. What it knows
//! follows.
//!
//! **3 Names**: sort, list named. From a joining member: the instances in its last closed view (known), those heard of in
//! a window that it saw open (heard), whose nonces it does not know.
//!
//! **4 Departed**: id, end. From a joining member: an instance that the old reign's supervisor said had ended, and how.
//! Nobody waits for it.
//!
//! **5 Held**: want, token, time of the grant. *Frozen.* From a joining member: it holds this, under this token. Confirmed in silence,
//! with a fresh Token, or answered with Lost.
//!
//! **6 Wants**: want, option ticket. *Frozen.* From a joining member: it waits for this, at this place if it was told
//! one. Answered as an Acquire is, once the window is closed; Denied may come before that, behind the Welcome.
//!
//! **7 ClaimsEnd**: nothing. *Frozen.* From a joining member or an observer: all was said. The handshake's answer follows.
//!
//! **8 Acquire**: want. From a member that wants a grant. Grant, Queued or Denied follows, after Queued a Grant.
//!
//! **9 Cancel**: request. From whoever no longer waits for the request: an Acquire, a Post, an Ask, a Command.
//! No answer; if a Grant crosses it, Decline follows. What has begun by then goes on, and is answered: a message that was
//! written to anybody, a question that the handler has.
//!
//! **10 Release**: request. From a holder that took the grant and is done. No answer.
//!
//! **11 Decline**: request. From a member that was granted what nobody waits for any more. No answer. Unlike a Release
//! it does not vouch for what the lock protects.
//!
//! **12 Put**: request, resource of the key, option stamp (write only if the key has this version; zero: only if never
//! written), option stamp (said again: the version that the key had at the writer's when it said it first), option value
//! (none deletes). From a member or an observer with a view; an observer says nothing again. Value, then Stored, or
//! Conflict, Interrupted or Denied follows. A key of a semaphore has four bytes, a u32, and one of a once is written once;
//! neither is deleted. A mutex and a rwlock have no value.
//!
//! **13 Value**: resource of the key, stamp version, id writer, request of the writer, option value (none: deleted). From a
//! member that was asked to Fetch: a state value that it has, of a version not above its copy's stamp.
//!
//! **14 Arrive**: request, name of the barrier, u32 parties, 1 to 4096. From a member that waits at a barrier, and again,
//! once, after each Opened or Welcome with a view until it may pass: only what was said on the present connection counts.
//! Complete and Go, Denied, or after a Withdraw Withdrawn follows.
//!
//! **15 Completed**: name of the barrier, stamp generation, list of (id, request). From a joining member that had Complete
//! and no Go yet. Whom it names and who is there is written Complete, unless it said Completed itself; then all are let go
//! as they say Arrive again. Who has forfeited since puts its requests at the end, under its new id.
//!
//! **16 Leave**: nothing. From whoever leaves; the end of the connection follows and is no failure.
//!
//! **17 Ping**: u64. From a member that has waited too long. Pong with the number follows.
//!
//! **18 Pong**: u64. The answer to a Ping.
//!
//! **19 Forfeits**: list forfeit. From a joining member: the Forfeits of its last closed view. Nobody waits for an id
//! whose memberships all have tags that are named so.
//!
//! **20 StateEnd**: nothing. From a member that was asked to Fetch: all was said.
//!
//! **21 Inquire**: request. From a member that waits and wants to know how it stands. Before it is answered the supervisor
//! asks the kernel whether those in the way live, and ends those that are gone. Grant or Queued follows, or nothing if the
//! request does not wait, or was never told a place.
//!
//! **22 Survey**: u64, which rises with every Survey of an instance. From a member or an observer. Locks\*, Barriers\*, and
//! Surveyed with the number or a higher one follow, interleaved with other frames: a long answer is written in parts, each
//! when the one before has reached the kernel, and each part is true of its own moment. One that was not answered is said again after the next Opened or Welcome.
//!
//! **23 Post**: request, option id, value. From a member or an observer with a view: a message for this one, or for all
//! others. Delivered, Undelivered, Interrupted or Denied follows. Those of one sender reach each recipient in their order.
//! Nothing is written before the reign is open, nor more than 2 MiB to one recipient before its kernel has them: the rest
//! waits, or is denied.
//!
//! **24 Ask**: request, value. From a member or an observer with a view: a question for the application's handler at the
//! supervisor. Reply, Failed, Denied, or before a Leave Interrupted follows. Those that wait are heard in their order, and answered in any.
//!
//! **25 Command**: request, option id, order. From an observer with a view: for this one, or for all. Delivered,
//! Undelivered, Interrupted or Denied follows. A member says no such thing; it is denied. Custom waits as messages do and
//! in one order with them; the others do not wait.
//!
//! **26 Abandon**: request. From a holder that took the grant and ends it in the middle of its work. No answer. Unlike
//! after a Release, the next owner is told that nobody vouches for what the lock protects.
//!
//! **27 Withdraw**: request. From a member that does not want to wait at a barrier any longer, behind the Arrive of the same
//! connection. Withdrawn or Denied follows, or Go if the request is part of a complete generation. One that was not answered is said
//! again on the next connection, behind the Arrive.
//!
//! # From the supervisor
//!
//! **64 Refused**: u8, then: 0 wire version, u16 supervisor's, u16 client's; 1 other group; 2 full, u32 limit; 3
//! protocol, reason; 4 slow; 5 leaving; 6 attempt, the last attempt that was accepted from this id; 7 taken, the id is another
//! instance's; 8 busy. *Frozen with 0.* The end of the connection follows. Before the Welcome nothing was
//! changed. After it the member is set aside: with 7 if the view of a survivor contradicts its claim, or if a member takes the
//! id of an observer, with 8 if there is no thread for the connection. A member without a nonce is refused with 3. With 6 the attempt was not
//! above the last one, or more than 2^20 above it; the member raises its own, within the same bound, and comes again. After
//! 4, 5, 7 and 8 it comes again as well.
//!
//! **65 Forfeited**: nothing. *Frozen.* To a member whose id has ended, or whose nonce is not that of the id. The end of the connection
//! follows.
//!
//! **66 Entries**: list entry. A part of a whole view, for the Welcome or Opened that follows.
//!
//! **67 Names**: sort, list id. Always heard: before a Welcome without a view, who has come so far.
//!
//! **68 Welcome**: id of the supervisor, u32 its pid, option view. Completes the handshake. With a view, the Entries
//! before are that view. Without one Opened follows, when the window is closed or, to a member of the reign, at once.
//!
//! **69 Opened**: id of the supervisor, view, list of id and end. To every member that was accounted for: the window
//! closed, the Entries before are the whole view, the list says who ended between the last reign's view and it. To a member
//! that is back: the list says who ended while it was away, as far as that is remembered.
//!
//! **70 Delta**: stamp, list entry, list of id and end. To everybody with a view, at every change: the number of the
//! view after it, entries that are new or changed, entries that ended.
//!
//! **71 Queued**: request, ticket, u32 waiters ahead, option (id, time) of who has held the lock for longest. To a member:
//! the request waits, at this place. A Grant follows.
//!
//! **72 Grant**: request, token, time, u8 abandoned: 0 clean; 1 died, then id of who died; 2 unknown. To a member: the
//! request is granted. Release, Abandon, Decline, or the member's end follows.
//!
//! **73 Token**: request, token. To a holder: its grant goes on under this token.
//!
//! **74 Lost**: request. *Frozen.* To a holder: its grant was revoked. No answer.
//!
//! **75 Denied**: request, reason. To whoever asked: the request is refused and nothing came of it.
//!
//! **76 Value**: as 13. To every connection that has a view: this is the key's value now. Before the Stored of its
//! writer. Before a Welcome or Opened: a part of the state, or of what the member lacks of it.
//!
//! **77 Stored**: request, stamp version. To a writer: every connection welcomed before has the value.
//!
//! **78 Conflict**: request, stamp. To a writer: the key has this version and not the expected one.
//!
//! **79 Complete**: as 15. To every waiter of the generation; Go to any of them follows when it was written to all that
//! have not ended; to one that has said no Arrive of it on this connection a Ping follows, and its Pong is awaited. From then on the wait cannot be given up. It may name requests that have passed.
//!
//! **80 Go**: request, bool leader. To a waiter that has had Complete and has said Arrive on this connection: the barrier
//! lets it pass. At most one of a generation leads: the first in the list, or the next if that one ended before any Go was
//! written.
//!
//! **81 Leave**: u8: 0 the supervisor leaves the group, 1 it stays as a subordinate, 2 it stays and leaves the office to a
//! newer version of the program, then its id, 3 it stays, since it has to refuse an awaited member, then its id and tag; no
//! supervisor resigns over that membership again. The end of the connection follows. Every Post, Ask and Command that was
//! begun is answered before; of those whose outcome is unknown with Interrupted. The others give that one 100 ms to bind
//! the port before they try, unless its presence ends, and no supervisor resigns in its favour again.
//!
//! **82 Ping**: u64. To a member of the newest version, before the office is left to it: it is to show that it runs. Pong
//! with the number follows.
//!
//! **83 Pong**: u64. The answer to a Ping.
//!
//! **84 Forfeits**: list forfeit. For the Welcome or Opened that follows, like Entries: who was over the limit of a
//! window, this reign's or an earlier one's, and was still shown by the kernel when this reign began.
//!
//! **85 Fetch**: nothing. To a survivor in an open window, after its Welcome, if its copy of the state is newer than all that
//! have arrived: Value\*, StateEnd follow.
//!
//! **86 Interrupted**: request. To a writer that said a Put again: the key has another version than then, by another
//! write, so that it is unknown whether this one was done. To the sender of a message or a command: the connection of the one
//! that it was for ended while it was on its way. Before a Leave also to the sender of a Post, an Ask or a Command that was
//! begun and whose outcome is not known.
//!
//! **87 Locks**: list row. A part of the answer to a Survey. Rows of the same resource in a row belong together.
//!
//! **88 Surveyed**: u64. The end of the answer to the Survey with this number, and to all that the connection said before
//! it and that were not answered.
//!
//! **89 Base**: token. To every member that has a view: the token base of the reign is this now. Tokens more than 2^20
//! above the base before are given only when this was written to everyone welcomed before.
//!
//! **90 Message**: id of the sender, value. To a member. No answer.
//!
//! **91 Delivered**: request, u32 recipients. To the sender of a Post or a Command: it has reached the kernels of so many,
//! and of nobody else. 1 if it was for one.
//!
//! **92 Undelivered**: request. To the sender of a Post or a Command: the one that it was for is not connected, and nothing
//! was written. Or its connection ended before anything was.
//!
//! **93 Reply**: request, value. To the asker: what the handler answered.
//!
//! **94 Failed**: request, reason. To the asker: the handler ran and has no answer.
//!
//! **95 Command**: order. To a member. Pause and Resume come behind the Delta that says the same of its entry, and that
//! is what counts: the member names itself paused to the next supervisor. After Stop, Leave or Evicted follows; a member
//! that comes back meanwhile is told again, behind its Welcome.
//!
//! **96 Evicted**: nothing. To a member that was told to stop and did not in time: it has lost all it held, and its entry
//! ends when this was written. The end of the connection follows, and the member does not come again; what it says
//! meanwhile means nothing. One that does come, because it has not read this, is answered so.
//!
//! **97 Barriers**: list barrier. A part of the answer to a Survey: name, u32 parties, u32 missing, list id of the members
//! that wait there.
//!
//! **98 Withdrawn**: request. To a member that said Withdraw: the arrival does not count, and never will.
//!
//! # The notice
//!
//! One message does not travel on a connection, since the sender may be unable to take any by the time at which it is
//! read. Where memberships have names, a supervisor sends one datagram to every membership of a member that is about to
//! lose everything without being connected: u32 0x4245_4C4E ("BELN"), u16 wire version, u8 (0: it has forfeited, as
//! after 65; 1: it is evicted, as after 96), id of the member. *Frozen*; the wire version decides nothing. It counts only
//! if the kernel says that a process of the same user sent it.

pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
#[allow(
    clippy::exhaustive_enums,
    reason = "a new message is a new wire version, and whoever matches on it has to say what becomes of it"
)]
pub mod message;

mod body;
mod codec;
mod display;
mod error;
mod kind;
mod notice;
mod parts;
mod split;
#[cfg(test)]
mod tests;

pub use self::error::DecodeError;
pub use self::notice::Notice;
pub use self::split::{chunk_barriers, chunk_entries, chunk_forfeits, chunk_ids, chunk_names, chunk_rows};

/// The version of the wire that this build speaks. It changes with every change that another build would misread.
pub const WIRE_VERSION: u16 = 1;

/// The largest state value, message, question or reply, in bytes: with its key and its numbers it fits a frame.
pub const VALUE_LIMIT: usize = 1024 * 1024;

/// The longest reason, in bytes. What is longer is cut short when it is sent.
pub const REASON_LIMIT: usize = 1024;

/// The first word of a connection, "BELL": tells a stranger before anything else is looked at.
const MAGIC: u32 = 0x4245_4C4C;
