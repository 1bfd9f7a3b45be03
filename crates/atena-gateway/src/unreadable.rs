//! Requests that are not in the form of the contract. tonic reads a message before any handler sees it, and answers by itself when it
//! can't: this layer turns that answer into a refusal like any other, with its reason and its transfer record.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::call::refuse_unheard;
use crate::caller::Shown;
use crate::clock;
use crate::error::CallError;
use crate::hall::Hall;
use crate::service;

/// Wraps the services.
#[derive(Clone)]
pub(crate) struct UnreadableLayer {
    pub(crate) hall: Arc<Hall>,
}

/// The services, wrapped.
#[derive(Clone)]
pub(crate) struct Unreadable<S> {
    hall: Arc<Hall>,
    services: S,
}

// === impl UnreadableLayer ===

impl<S> Layer<S> for UnreadableLayer {
    type Service = Unreadable<S>;

    fn layer(&self, services: S) -> Unreadable<S> {
        Unreadable { hall: Arc::clone(&self.hall), services }
    }
}

// === impl Unreadable ===

impl<S> Service<Request<Body>> for Unreadable<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(method) = service::method(request.uri().path()) else {
            return Box::pin(self.services.call(request));
        };
        let requested_at = clock::now();
        let shown = Shown::by(request.extensions(), request.headers());
        let hall = Arc::clone(&self.hall);
        let answer = self.services.call(request);
        Box::pin(async move {
            let response = answer.await?;
            match Status::from_header_map(response.headers()).filter(nobody_of_ours_said) {
                Some(status) => {
                    let error = CallError::from_inbound(&status);
                    Ok(refuse_unheard(&hall, method, &shown, requested_at, error).await.into_http())
                }
                None => Ok(response),
            }
        })
    }
}

/// Whether tonic itself answered: every refusal of ours carries details, and what is not implemented is nothing that was asked of us.
fn nobody_of_ours_said(status: &Status) -> bool {
    status.details().is_empty() && !matches!(status.code(), Code::Ok | Code::Unimplemented)
}
