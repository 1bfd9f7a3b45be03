//! The logs over HTTPS, read-only, in the layout that standard tools read (c2sp.org/tlog-tiles): `/log/checkpoint`, `/log/tile/…`, and the same
//! below `/admin-log`. For auditors, on the same port and with the same certificates as every call.

use std::sync::Arc;

use atena_ledger::TilePath;
use atena_store::Log;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::export;
use crate::caller::{self, Shown};
use crate::hall::Hall;

/// The routes.
pub(crate) fn router(hall: Arc<Hall>) -> Router {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/tile/{*path}", get(tile))
        .route("/admin-log/checkpoint", get(admin_checkpoint))
        .route("/admin-log/tile/{*path}", get(admin_tile))
        .with_state(hall)
}

/// Auditors only: the same registries, the same decision as for every call.
async fn may_they(hall: &Hall, shown: &Shown) -> Result<(), StatusCode> {
    let caller = caller::identify(hall, shown).await.map_err(|_| StatusCode::UNAUTHORIZED)?;
    caller.authorize_audit(hall).map(|_| ()).map_err(|_| StatusCode::FORBIDDEN)
}

async fn checkpoint(State(hall): State<Arc<Hall>>, request: Request) -> Response {
    let shown = Shown::by(request.extensions(), request.headers());
    if let Err(status) = may_they(&hall, &shown).await {
        return status.into_response();
    }
    signed(hall.log.newest_head().map(|head| head.note))
}

async fn admin_checkpoint(State(hall): State<Arc<Hall>>, request: Request) -> Response {
    let shown = Shown::by(request.extensions(), request.headers());
    if let Err(status) = may_they(&hall, &shown).await {
        return status.into_response();
    }
    match hall.store.about_log(Log::Administration).newest_checkpoint().await {
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

async fn tile(hall: State<Arc<Hall>>, path: Path<String>, request: Request) -> Response {
    tile_of(Log::Transfers, hall, path, request).await
}

async fn admin_tile(hall: State<Arc<Hall>>, path: Path<String>, request: Request) -> Response {
    tile_of(Log::Administration, hall, path, request).await
}

async fn tile_of(log: Log, State(hall): State<Arc<Hall>>, Path(path): Path<String>, request: Request) -> Response {
    let shown = Shown::by(request.extensions(), request.headers());
    if let Err(status) = may_they(&hall, &shown).await {
        return status.into_response();
    }
    let Some(tile) = TilePath::parse(&format!("tile/{path}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match export::tile(&hall.store.about_log(log), &tile).await {
        Ok(Some(content)) => {
            let headers = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "private, immutable")];
            (headers, content).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
