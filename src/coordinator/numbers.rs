//! The numbers of a reign: its epoch, its token base, how far its tokens may go, and which numbers are believed.
//!
//! # Tokens rise
//!
//! A base is good for [`STEP`] tokens above it, and no more are given before a higher base was written to every member
//! that was welcomed before. So whoever saw a reign, and was connected to it to the end, knows a base, or a token, that
//! lies less than a step below every token of it; and since the next reign begins a step above the highest number that
//! anybody brings, its tokens are above all of them, whatever the clock says. Only one that was set aside in a reign and
//! outlives everybody who was not can bring too little, and then the clock has to have been set back as well.
//!
//! # And the clock
//!
//! After a complete restart nobody brings anything, and only the clock makes tokens rise: a base is at least the
//! nanoseconds since 1970. That works as long as bases do not outrun the clock. A reign moves them by one step, plus one
//! token per grant: they outrun the clock only where supervisors change more than 900 times per second, or grants come
//! faster than one per nanosecond, for long. With a step of 2^32, which would need no second base for most reigns, one
//! change in 4.3 seconds would be enough, and a build tool whose processes live for a second would be days ahead of the
//! clock after a day; restarted then, it would be refused by every storage that remembers its tokens until the clock has
//! caught up.
//!
//! # Numbers that cannot be
//!
//! One absurd number would otherwise be the last: nothing rises above the highest. So a winner believes others only up to
//! [`BELIEF`] above its clock, or above the highest number that its own member half knows, if that is more: a group whose
//! clock was set back goes on above the numbers that it had. A client that brings more is refused. A winner that knows
//! nothing and whose clock is wrong would refuse the survivors of a true group that way: it leaves the office to them.
//!
//! So one reign raises the numbers by at most [`BELIEF`], and they reach the end, 2^63, no sooner than in the year 2262, or
//! after 800 reigns with a liar in each. A reign begins at [`LAST`] at the latest, which leaves it room for 2^40 tokens; beyond that
//! numbers rise by one from reign to reign, and stop at the end. A supervisor that names a number beyond the end has broken
//! the protocol.

use crate::ident::{Epoch, InstanceId, Token};
use crate::wire::message::{HeldClaim, Join, ToMember, ViewHead};

/// How many tokens a base is good for.
pub const STEP: u64 = 1 << 20;

/// No epoch, base or token lies beyond this.
pub const END: u64 = 1 << 63;

/// Above this a new reign rises by no more than it has to.
pub const LAST: u64 = END - (1 << 40);

/// How far above what a winner knows a number is believed: in nanoseconds, 104 days.
pub const BELIEF: u64 = 1 << 53;

/// The highest number that a winner believes. `clock` is in nanoseconds since 1970, `known` the highest number that the
/// winner's own member half knows.
pub fn believed(clock: u64, known: u64) -> u64 {
    usable(clock).max(known).saturating_add(BELIEF).min(END)
}

/// The clock, unless it is beyond all numbers, and so broken.
const fn usable(clock: u64) -> u64 {
    if clock <= LAST { clock } else { 0 }
}

/// A number above this one, if there is any: by a step, or near the end by as much as there is room for.
fn above(number: u64, step: u64) -> u64 {
    let far = number.saturating_add(step);
    if far <= LAST { far } else { number.saturating_add(1).clamp(LAST, END) }
}

/// The numbers of a new reign, above the highest ones that anybody brings. `clock` is in nanoseconds since 1970.
pub fn next(epoch: Epoch, base: Token, step: u64, clock: u64) -> (Epoch, Token) {
    let base = above(base.number(), step).max(usable(clock));
    let epoch = above(epoch.number(), 1).max(base);
    (Epoch::new(epoch), Token::new(base))
}

/// The least epoch from this one on whose last bits are those of the winner's id.
///
/// If the clock was set back, and nobody who is there has heard of the reign before, the same number could come out
/// again, and a copy of the state of that reign would be taken for one of this. The bits are 65 microseconds, in which no
/// group restarts, so that the epochs of a rising clock rise.
pub fn own(epoch: Epoch, winner: InstanceId) -> Epoch {
    let own = (epoch.number() & !OWN_BITS) | (winner.number() & OWN_BITS);
    let own = if own < epoch.number() { own.saturating_add(OWN_BITS + 1) } else { own };
    Epoch::new(own.min(END))
}

/// The bits of an epoch that are the winner's.
const OWN_BITS: u64 = 0xffff;

/// Whether what a client brings lies within what is [`believed`].
pub fn are_within(believed: u64, join: &Join, held: &[HeldClaim]) -> bool {
    let epochs = [join.epoch, join.stamp.epoch, join.state.epoch];
    epochs.iter().all(|epoch| epoch.number() <= believed)
        && join.base.number() <= believed
        && held.iter().all(|claim| claim.token.number() <= believed)
}

/// Whether a supervisor can say these numbers.
pub fn is_credible(frame: &ToMember) -> bool {
    let head = |head: &ViewHead| head.stamp.epoch.number() <= END && head.base.number() <= END;
    match frame {
        ToMember::Welcome(welcome) => welcome.view.as_ref().is_none_or(head),
        ToMember::Opened(opened) => head(&opened.view),
        ToMember::Grant(grant) => grant.token.number() <= END,
        ToMember::Token(_, token) | ToMember::Base(token) => token.number() <= END,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nanoseconds since 1970 on a day of 2023.
    const NOW: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_reign_begins_above_all_that_anybody_brings_and_not_before_the_clock() {
        for (epoch, base, clock, expected) in [
            (0, 0, NOW, (NOW, NOW)),
            (7, 5, 9, (STEP + 5, STEP + 5)),
            (2 * STEP, 5, 9, (2 * STEP + 1, STEP + 5)),
            // Set back by fifty years.
            (NOW + 3, NOW + 8, 0, (NOW + 8 + STEP, NOW + 8 + STEP)),
            // By a clock that is nonsense.
            (7, NOW, u64::MAX, (NOW + STEP, NOW + STEP)),
            (7, NOW, LAST + 1, (NOW + STEP, NOW + STEP)),
            // With hardly any room, and with none.
            (LAST - 1, LAST - 1, NOW, (LAST, LAST)),
            (LAST, LAST, NOW, (LAST + 1, LAST + 1)),
            (END - 1, END - 1, NOW, (END, END)),
            (END, END, NOW, (END, END)),
            (u64::MAX, u64::MAX, NOW, (END, END)),
        ] {
            let (epoch, base) = next(Epoch::new(epoch), Token::new(base), STEP, clock);
            assert_eq!((epoch.number(), base.number()), expected);
        }
    }

    #[test]
    fn a_winner_believes_as_much_as_it_knows_and_a_little_more() {
        for (clock, known, most) in [
            (NOW, 0, NOW + BELIEF),
            (0, NOW, NOW + BELIEF),
            (NOW, NOW + 5, NOW + 5 + BELIEF),
            (u64::MAX, NOW, NOW + BELIEF),
            (NOW, END, END),
            (0, 0, BELIEF),
        ] {
            assert_eq!(believed(clock, known), most);
        }
    }

    #[test]
    fn liars_need_hundreds_of_reigns_to_use_the_numbers_up_and_the_group_goes_on_then() {
        let (mut epoch, mut base) = (Epoch::new(NOW), Token::new(NOW));
        let mut reigns = 0;
        for _ in 0..2000 {
            let most = believed(NOW, epoch.number().max(base.number()));
            let (last, brought) = ((epoch, base), Token::new(most));
            (epoch, base) = next(epoch.max(Epoch::new(most)), brought, STEP, NOW);
            epoch = own(epoch, InstanceId::new(0xffff));
            assert!((epoch, base) >= last && epoch.number() <= END && base.number() <= END);
            reigns += u32::from(base.number() < LAST);
        }
        assert!(reigns > 800, "{reigns}");
    }
}
