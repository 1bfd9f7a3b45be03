//! Release rules compiled into field filters, and the proof over all of them. No I/O.
