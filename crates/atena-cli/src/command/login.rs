//! `atena login`: a person signs in at a console, in a browser that comes back to a loopback address (RFC 8252).

use std::net::Ipv4Addr;
use std::time::Duration;

use atena_gateway::Config;
use atena_oidc::{Provider, SignIn, SignInFresh};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{Timestamp, tz};
use maud::{DOCTYPE, html};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Finished;
use crate::cli::LoginArgs;
use crate::credential::Credential;
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::output::Output;
use crate::session;

/// How long a browser is waited for, in minutes.
const WAIT_MINUTES: u64 = 5;

/// Requests that wait to be looked at; who floods the address waits.
const REQUESTS_WAITING_MAX: usize = 4;

/// What a browser brought, and where it is told whether that was an answer.
type Brought = (String, oneshot::Sender<bool>);

/// Signs in, and keeps what came of it.
pub(super) async fn run(args: &LoginArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.console.home)?;
    let config = Config::load(&home.config())?;
    let settings = config.oidc.ok_or_else(|| CliError::NoProvider { settings: home.config() })?;
    // Names those that have one, if it has none: nothing could be called with the sign-in.
    Credential::of(&home, &Holder::System(args.console.console.clone()))?;
    let within = Duration::from_secs(config.people.unwrap_or_default().sign_in_age_max_s);
    let provider = Provider::of(settings)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(CliError::Runtime)?;
    let port = listener.local_addr().map_err(CliError::Runtime)?.port();
    let fresh = if args.again { SignInFresh::Now } else { SignInFresh::Within(within) };
    let sign_in = provider.begin(&format!("http://127.0.0.1:{port}/callback"), fresh).await?;
    if output.is_json() {
        output.line(&json!({ "open": sign_in.url() }).to_string())?;
    } else {
        output.line(&format!(
            "Open this in a browser on this machine (ブラウザーで開いてください):\n{}",
            sign_in.url()
        ))?;
    }
    let waiting = tokio::time::timeout(Duration::from_secs(60 * WAIT_MINUTES), answer(listener, &sign_in));
    let query = waiting.await.map_err(|_| CliError::SignInTimeout { minutes: WAIT_MINUTES })??;
    let (token, verified) = sign_in.finish(&provider, &query, Timestamp::now()).await?;
    session::keep(&home, &args.console.console, &token)?;
    session::announce(&home, &token);
    let until = tz::offset(9).to_datetime(verified.expires_at).strftime("%Y-%m-%d %H:%M").to_string();
    if output.is_json() {
        output.json_line(&json!({ "signed_in_until": verified.expires_at.to_string() }))?;
    } else {
        output.line(&format!("Signed in until {until} at the latest (サインインしました)."))?;
    }
    Ok(Finished::Clean)
}

/// Waits for the browser to bring the answer to `sign_in`. What is none is told so and changes nothing: any page may call this address.
async fn answer(listener: TcpListener, sign_in: &SignIn) -> Result<String, CliError> {
    let (sender, mut brought) = mpsc::channel::<Brought>(REQUESTS_WAITING_MAX);
    let done = CancellationToken::new();
    let router = Router::new().route("/callback", get(callback)).with_state(sender);
    let serving = axum::serve(listener, router).with_graceful_shutdown(done.clone().cancelled_owned());
    let serving = tokio::spawn(serving.into_future());
    let mut answer = None;
    while let Some((query, told)) = brought.recv().await {
        let is_answer = sign_in.is_answered_by(&query);
        // The browser may be gone; what it brought counts.
        let _ = told.send(is_answer);
        if is_answer {
            answer = Some(query);
            break;
        }
    }
    done.cancel();
    // The page on its way to the browser; a browser that does not take it holds up nothing.
    let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
    answer.ok_or(CliError::SignInTimeout { minutes: WAIT_MINUTES })
}

async fn callback(State(brought): State<mpsc::Sender<Brought>>, RawQuery(query): RawQuery) -> Response {
    let (told, is_answer) = oneshot::channel();
    let sent = brought.send((query.unwrap_or_default(), told)).await;
    match sent.is_ok() && is_answer.await.unwrap_or(false) {
        true => page(
            StatusCode::OK,
            "受け付けました。端末に戻ってください。",
            "Go back to the terminal; this page can be closed.",
        ),
        false => page(
            StatusCode::BAD_REQUEST,
            "このサインインへの回答ではありません。",
            "This is not the answer to the sign-in under way.",
        ),
    }
}

fn page(status: StatusCode, japanese: &str, english: &str) -> Response {
    let body = html! {
        (DOCTYPE)
        html lang="ja" {
            head { meta charset="utf-8"; title { "Atena" } }
            body { p { (japanese) } p lang="en" { (english) } }
        }
    };
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    (status, headers, body.into_string()).into_response()
}
