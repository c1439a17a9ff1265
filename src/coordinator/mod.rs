//! What the supervisor and a subordinate decide. Pure: no socket, thread, lock, clock or randomness.
