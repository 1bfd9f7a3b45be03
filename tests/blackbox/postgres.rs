//! The black-box tests on PostgreSQL: the same as in `main.rs`, each in a database of its own. Left
//! out is what no engine has a part in: files and failures of the client, and what a start refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

mod accounts;
mod administration;
mod certificates;
mod clock;
mod door;
mod erasure;
mod feeds;
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
mod streams;
mod telemetry;
mod token;
mod town;

const ENGINE: town::Engine = town::Engine::Postgres;
