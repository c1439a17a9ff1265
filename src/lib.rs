//! `std::sync`, but across processes, and it survives `kill -9`.

#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod coordinator;
pub mod ident;
mod runtime;
#[doc(hidden)]
pub mod wire;
