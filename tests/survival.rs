//! Real processes take and release locks and write values while others are killed, stopped and continued.

mod checker;
