//! What the benchmarks share in which the library and a bare server do the same thing again and again.

pub(crate) mod bare;
pub(crate) mod children;
pub(crate) mod compare;
pub(crate) mod frames;
pub(crate) mod library;
