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
//! One absurd number would otherwise be the last: nothing rises above the highest. Bounds that move with the clock would
//! refuse survivors with true numbers when the clock was set back by years, so the bound is a fixed one, [`END`], which
//! true numbers reach in the year 2262. Whoever brings a number beyond it has broken the protocol, a member as well as a
//! supervisor. A number below it is believed, also a wrong one: that moves the group's tokens into the future, where
//! they go on rising, and leaves room for 2^40 steps unless it was chosen to leave none.

use crate::ident::{Epoch, InstanceId, Token};
use crate::wire::message::{HeldClaim, Join, ToMember, ViewHead};

/// How many tokens a base is good for.
pub const STEP: u64 = 1 << 20;

/// No epoch, base or token lies beyond this.
pub const END: u64 = 1 << 63;

/// The numbers of a new reign, above the highest ones that anybody brings. `clock` is in nanoseconds since 1970.
pub fn next(epoch: Epoch, base: Token, step: u64, clock: u64) -> (Epoch, Token) {
    // A clock that is beyond the end of all numbers is broken.
    let clock = if clock <= END { clock } else { 0 };
    let base = base.number().saturating_add(step).max(clock);
    let epoch = epoch.number().saturating_add(1).max(base);
    (Epoch::new(epoch), Token::new(base))
}

/// The least epoch from this one on whose last bits are those of the winner's id.
///
/// If the clock was set back, and nobody who is there has heard of the reign before, the same number could come out
/// again, and a copy of the state of that reign would be taken for one of this. The bits are 65 microseconds, in which no
/// group restarts, so that the epochs of a rising clock rise.
pub fn own(epoch: Epoch, winner: InstanceId) -> Epoch {
    let own = (epoch.number() & !OWN_BITS) | (winner.number() & OWN_BITS);
    Epoch::new(if own < epoch.number() { own.saturating_add(OWN_BITS + 1) } else { own })
}

/// The bits of an epoch that are the winner's.
const OWN_BITS: u64 = 0xffff;

/// Whether a member can have these numbers.
pub fn are_credible(join: &Join, held: &[HeldClaim]) -> bool {
    let epochs = [join.epoch, join.stamp.epoch, join.state.epoch];
    epochs.iter().all(|epoch| epoch.number() <= END)
        && join.base.number() <= END
        && held.iter().all(|claim| claim.token.number() <= END)
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
            // The same with hardly any room, and by a clock that is nonsense.
            (END, END, NOW, (END + STEP, END + STEP)),
            (7, NOW, u64::MAX, (NOW + STEP, NOW + STEP)),
            (u64::MAX, u64::MAX, NOW, (u64::MAX, u64::MAX)),
        ] {
            let (epoch, base) = next(Epoch::new(epoch), Token::new(base), STEP, clock);
            assert_eq!((epoch.number(), base.number()), expected);
        }
    }
}
