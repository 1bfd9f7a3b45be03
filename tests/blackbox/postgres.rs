//! The black-box tests on PostgreSQL: the same as in `main.rs`, each in a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

mod accounts;
mod administration;
mod broken_off;
mod certificates;
mod clock;
mod door;
mod erasure;
mod feeds;
mod files;
mod fleet;
mod freshness;
mod hostile;
mod log;
mod log_key;
mod moving;
mod municipalities;
mod numbers;
mod people;
mod presence;
mod program;
mod promises;
mod release;
mod residue;
mod resume;
mod revocation;
mod rotation;
mod starting;
mod streams;
mod telemetry;
mod token;
mod town;

const ENGINE: town::Engine = town::Engine::Postgres;
