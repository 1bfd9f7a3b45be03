//! The black-box tests on PostgreSQL: the same as in `main.rs`, each in a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

mod accounts;
mod administration;
mod certificates;
mod clock;
mod distribution;
mod door;
mod erasure;
mod fleet;
mod freshness;
mod hostile;
mod log;
mod log_key;
mod moving;
mod municipalities;
mod numbers;
mod people;
mod program;
mod release;
mod residue;
mod resume;
mod rotation;
mod starting;
mod streams;
mod telemetry;
mod token;
mod town;

const ENGINE: town::Engine = town::Engine::Postgres;
