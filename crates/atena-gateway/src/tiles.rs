//! The logs over HTTPS, read-only, in the layout that standard tools read (c2sp.org/tlog-tiles): `/log/checkpoint`, `/log/tile/…`, and the same
//! below `/admin-log`. For auditors, on the same port and with the same certificates as every call.
//!
//! Fetching is recorded in the transfer log, before anything is sent, like every query. One record stands for everything that a caller
//! fetches of one log in [`WINDOW`]: a copy takes thousands of requests, and a monitor that finds its own record as news and fetches again
//! would otherwise make the log grow for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atena_domain::{OperatorId, SystemId};
use atena_ledger::{Direction, Outcome, TilePath};
use atena_store::Log;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

use crate::caller::{self, Caller, Shown, Unidentified};
use crate::clock;
use crate::error::CallError;
use crate::hall::Hall;
use crate::log::export;
use crate::transfer::{self, Method, PartialCaller};

/// What the records say was done.
const FETCH: Method = Method { name: crate::log::FETCH, direction: Direction::Outbound };

/// How long one record stands for what a caller fetches of one log.
const WINDOW: Duration = Duration::from_secs(600);

/// Who fetches which log. A person and a system may have the same name, and a person may come by
/// several systems.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Fetcher {
    system: SystemId,
    account: Option<OperatorId>,
    log: &'static str,
}

/// Until when a record stands for what a caller fetches.
#[derive(Default)]
pub(crate) struct Fetches(Mutex<HashMap<Fetcher, Timestamp>>);

#[derive(Clone)]
struct Fetching {
    hall: Arc<Hall>,
    fetches: Arc<Fetches>,
}

/// The routes.
pub(crate) fn router(hall: Arc<Hall>) -> Router {
    let fetching = Fetching { hall, fetches: Arc::default() };
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/tile/{*path}", get(tile))
        .route("/admin-log/checkpoint", get(admin_checkpoint))
        .route("/admin-log/tile/{*path}", get(admin_tile))
        .with_state(fetching)
}

// === impl Fetching ===

impl Fetching {
    /// Who, may they, and the record: auditors only, by the same registries and the same decision as for every call.
    async fn admit(&self, log: Log, shown: Shown) -> Result<(), StatusCode> {
        let (hall, requested_at) = (&self.hall, clock::now());
        let caller = match caller::identify(hall, &shown).await {
            Ok(caller) => caller,
            Err(Unidentified { known, error }) => {
                return Err(self.refuse(log, *known, requested_at, &error, StatusCode::UNAUTHORIZED).await);
            }
        };
        if let Err(refusal) = caller.authorize_audit(hall) {
            return Err(self.refuse(log, caller.known(), requested_at, &refusal.into(), StatusCode::FORBIDDEN).await);
        }
        self.record(log, &caller, requested_at).await
    }

    async fn record(&self, log: Log, caller: &Caller, requested_at: Timestamp) -> Result<(), StatusCode> {
        let key = Fetcher {
            system: caller.system_id.clone(),
            account: caller.person.as_ref().map(|person| person.account.clone()),
            log: name(log),
        };
        if self.fetches.covers(&key, requested_at) {
            return Ok(());
        }
        let unavailable = |_| StatusCode::SERVICE_UNAVAILABLE;
        let size = self.hall.store.about_log(log).log_size().await.map_err(unavailable)?;
        let fields = Arc::from([format!("log:{}", name(log)), format!("leaves:{size}")]);
        let mut record = transfer::without_call(self.hall.policy_hash(), FETCH, caller.known(), requested_at, fields);
        record.outcome = Outcome::Released;
        self.hall.log.append(vec![record]).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        self.hall.metrics.call(FETCH.name, "OK");
        self.fetches.begin(key, requested_at);
        Ok(())
    }

    /// Records the refusal; without the record nothing is said but that.
    async fn refuse(
        &self,
        log: Log,
        known: PartialCaller,
        requested_at: Timestamp,
        error: &CallError,
        status: StatusCode,
    ) -> StatusCode {
        let (hall, reason) = (&self.hall, error.reason);
        hall.metrics.call(FETCH.name, reason.as_str());
        tracing::info!(method = FETCH.name, reason = reason.as_str(), caller = known.system.as_str(), "call refused");
        let fields = Arc::from([format!("log:{}", name(log))]);
        let mut record = transfer::without_call(hall.policy_hash(), FETCH, known, requested_at, fields);
        transfer::refuse(&mut record, reason);
        match hall.log.append(vec![record]).await {
            Ok(()) => status,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

// === impl Fetches ===

impl Fetches {
    fn covers(&self, key: &Fetcher, now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back covers nothing.
        known.get(key).is_some_and(|until| now < *until && until.duration_since(now).unsigned_abs() <= WINDOW)
    }

    fn begin(&self, key: Fetcher, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| now < *until);
        known.insert(key, now + WINDOW);
    }
}

fn shown(request: &Request) -> Shown {
    Shown::by(request.extensions(), request.headers())
}

/// As the record names it.
fn name(log: Log) -> &'static str {
    match log {
        Log::Transfers => "transfers",
        Log::Administration => "admin",
    }
}

async fn checkpoint(State(fetching): State<Fetching>, request: Request) -> Response {
    if let Err(status) = fetching.admit(Log::Transfers, shown(&request)).await {
        return status.into_response();
    }
    signed(fetching.hall.log.newest_head().map(|head| head.note))
}

async fn admin_checkpoint(State(fetching): State<Fetching>, request: Request) -> Response {
    if let Err(status) = fetching.admit(Log::Administration, shown(&request)).await {
        return status.into_response();
    }
    match fetching.hall.store.about_log(Log::Administration).newest_checkpoint().await {
        Ok(head) => signed(head.map(|head| head.note)),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn signed(note: Option<String>) -> Response {
    match note {
        Some(note) => {
            let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
            (headers, note).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tile(fetching: State<Fetching>, path: Path<String>, request: Request) -> Response {
    tile_of(Log::Transfers, fetching, path, request).await
}

async fn admin_tile(fetching: State<Fetching>, path: Path<String>, request: Request) -> Response {
    tile_of(Log::Administration, fetching, path, request).await
}

async fn tile_of(log: Log, State(fetching): State<Fetching>, Path(path): Path<String>, request: Request) -> Response {
    if let Err(status) = fetching.admit(log, shown(&request)).await {
        return status.into_response();
    }
    let Some(tile) = TilePath::parse(&format!("tile/{path}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match export::tile(&fetching.hall.store.about_log(log), &tile).await {
        Ok(Some(content)) => {
            let headers = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "private, immutable")];
            (headers, content).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_stands_for_a_caller_a_log_and_ten_minutes() {
        let (fetches, at) = (Fetches::default(), |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap());
        let key = |system, account: Option<&str>, log| Fetcher {
            system: SystemId::parse(system).unwrap(),
            account: account.map(|account| OperatorId::parse(account).unwrap()),
            log,
        };
        let first = key("auditor", None, "transfers");
        assert!(!fetches.covers(&first, at(0)));
        fetches.begin(first.clone(), at(0));
        assert!(fetches.covers(&first, at(599)));
        for (other, second) in [
            (first.clone(), 600),
            (first, -1),
            (key("auditor", None, "admin"), 1),
            (key("console", Some("a1001"), "transfers"), 1),
            // An account with the name of a system, and one account by two systems.
            (key("auditor", Some("auditor"), "transfers"), 1),
            (key("console", Some("auditor"), "transfers"), 1),
        ] {
            assert!(!fetches.covers(&other, at(second)), "{} {second}", other.log);
        }
    }
}
