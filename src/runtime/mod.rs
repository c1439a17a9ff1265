//! What is done: sockets, threads, clocks, locks.
