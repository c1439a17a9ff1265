//! How many tokens may be given, as far as the grants know.

use super::super::numbers;
use super::super::rules::Rules;
use super::{Grants, Phase};
use crate::ident::Token;

impl Grants {
    /// The same with other rules.
    pub(crate) const fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// The highest token that was given, or the base if none was. After [`Grants::close`] this is what everybody has to
    /// be told as the base of the reign.
    pub const fn highest(&self) -> Token {
        Token::new(self.last)
    }

    /// Whether the tokens come to their end: [`Grants::highest`] is to be told to everybody as a new base, and then
    /// [`Grants::raise`] to be called.
    pub fn is_short(&self) -> bool {
        let higher = self.ceiling_above(self.last) > self.ceiling;
        self.phase == Phase::Open && self.ceiling.saturating_sub(self.last) <= self.rules.step / 2 && higher
    }

    /// The highest token that may be given while everybody knows this base.
    pub(super) fn ceiling_above(&self, base: u64) -> u64 {
        base.saturating_add(self.rules.step).min(numbers::END)
    }

    /// This base is known to everybody: grants may go on above it.
    pub fn raise(&mut self, base: Token) {
        self.ceiling = self.ceiling.max(self.ceiling_above(base.number()));
        self.settle_short();
    }
}
