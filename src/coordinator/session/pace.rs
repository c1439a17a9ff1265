//! How much of the application's bytes is under way to the supervisor at a time: far more than fits would wait on the
//! connection, and end it.

use std::collections::BTreeMap;

use crate::ident::Request;

/// What was said on the present connection and takes room on it until it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    sizes: BTreeMap<Request, usize>,
    bytes: usize,
}

impl Pace {
    /// How many bytes may be under way at a time.
    pub(super) const LIMIT: usize = 1 << 20;

    /// A request of this size is to be said; whether it may be. One at least may always be under way.
    pub(super) fn begin(&mut self, request: Request, size: usize) -> bool {
        let fits = self.sizes.is_empty() || self.bytes + size <= Self::LIMIT;
        if fits {
            self.sizes.insert(request, size);
            self.bytes += size;
        }
        fits
    }

    /// It takes no room any more.
    pub(super) fn end(&mut self, request: Request) {
        self.bytes -= self.sizes.remove(&request).unwrap_or_default();
    }

    /// Whether it takes room.
    pub(super) fn holds(&self, request: Request) -> bool {
        self.sizes.contains_key(&request)
    }
}
