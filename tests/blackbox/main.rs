//! Black-box tests: the real program, real mutual TLS, a real database, in folders of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

mod accounts;
mod administration;
mod cards;
mod certificates;
mod clock;
mod door;
mod erasure;
mod freshness;
mod hostile;
mod log;
mod log_key;
mod moving;
mod municipalities;
mod numbers;
mod operators;
mod people;
mod program;
mod release;
mod resume;
mod rotation;
mod starting;
mod streams;
mod telemetry;
mod token;
mod town;

/// What these tests keep everything in; `postgres.rs` runs the same ones on PostgreSQL.
const ENGINE: town::Engine = town::Engine::Sqlite;
