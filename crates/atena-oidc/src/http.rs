//! The way to the provider: HTTP/1.1 over TLS 1.3, or in the clear to a loopback address. Redirects are never followed: where the
//! provider is, the settings and its own metadata say.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// Time for one request, from the connection to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why the provider could not be asked. Holds nothing of what was asked or answered.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The authorities can't be read.
    #[error("cannot read the authorities of the provider from {path}: {source}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// An address that is not to be called.
    #[error("{0} can't be called: https with ca_file, or http on this machine")]
    Address(String),
    /// TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The answer is larger than any that is expected, or broke off.
    #[error("its answer is larger than 1 MiB, or broke off")]
    Answer,
    /// Too slow.
    #[error("no answer within 10 seconds")]
    Timeout,
}

/// A client that calls one provider.
pub(crate) struct Http {
    tls: Option<TlsConnector>,
}

// === impl Http ===

impl Http {
    /// A client that believes these authorities.
    pub(crate) fn believing(ca_file: Option<&Path>) -> Result<Self, HttpError> {
        let Some(path) = ca_file else { return Ok(Self { tls: None }) };
        let pem = |source| HttpError::Authorities { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(path).map_err(pem)? {
            roots.add(authority.map_err(pem)?)?;
        }
        if roots.is_empty() {
            return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// One request and its answer.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.map_err(|_| HttpError::Timeout)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let refused = || HttpError::Address(format!("{}://{}", uri.scheme_str().unwrap_or_default(), authority(&uri)));
        let host = uri.host().ok_or_else(refused)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let response = match (uri.scheme_str(), &self.tls) {
            (Some("https"), Some(tls)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| refused())?;
                let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
                ask(tls.connect(name, tcp).await?, request).await?
            }
            (Some("http"), _) => {
                let mut addresses = lookup_host((host, uri.port_u16().unwrap_or(80))).await?.collect::<Vec<_>>();
                addresses.retain(|address| address.ip().is_loopback());
                if addresses.is_empty() {
                    return Err(refused());
                }
                ask(TcpStream::connect(addresses.as_slice()).await?, request).await?
            }
            _ => return Err(refused()),
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| HttpError::Answer)?;
        Ok(HttpResponse::from_parts(head, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

async fn ask<S>(stream: S, request: HttpRequest) -> Result<Response<Incoming>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when the sender is dropped.
    tokio::spawn(connection);
    let mut request = request.map(|body| Full::new(Bytes::from(body)));
    let uri = request.uri().clone();
    let host = HeaderValue::from_str(authority(&uri)).map_err(|_| HttpError::Address(String::new()))?;
    request.headers_mut().insert(HOST, host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| HttpError::Address(String::new()))?;
    Ok(sender.send_request(request).await?)
}

fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(http: &Http, uri: &str) -> String {
        let mut request = HttpRequest::default();
        *request.uri_mut() = uri.parse().unwrap();
        http.send(request).await.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn nothing_is_called_in_the_clear_but_this_machine() {
        let http = Http::believing(None).unwrap();
        for uri in ["http://192.0.2.1/", "https://login.city.example/", "ftp://127.0.0.1/", "http://[2001:db8::1]/"] {
            let told = refused(&http, uri).await;
            assert!(told.contains("can't be called"), "{uri}: {told}");
        }
    }

    #[test]
    fn authorities_that_are_none_are_refused() {
        assert!(Http::believing(Some(Path::new("/nowhere.pem"))).is_err());
        assert!(Http::believing(Some(Path::new("/dev/null"))).is_err(), "an empty file would believe nobody");
    }
}
