//! Poolers, played by a server that knows as much of the protocol as is asked of it here.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

/// What a pooler does with a client that comes in.
#[derive(Clone, Copy)]
enum Pooler {
    /// PgBouncer by its defaults.
    RefusesOptions,
    /// One session for all.
    SharesSessions,
    /// A session for each, without what was asked of it.
    DropsSettings,
    /// A session for each, with its settings: as good as the server.
    KeepsSessions,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The answer with one row of texts.
fn row(columns: &[&str]) -> Vec<u8> {
    let count = u16::try_from(columns.len()).unwrap().to_be_bytes();
    let (mut described, mut values) = (count.to_vec(), count.to_vec());
    for value in columns {
        // A name, no table; type int4, bool or text by its look; in text.
        let oid: u32 = if value.parse::<i32>().is_ok() {
            23
        } else if ["t", "f"].contains(value) {
            16
        } else {
            25
        };
        described.extend([b'c', 0, 0, 0, 0, 0, 0, 0]);
        described.extend([&oid.to_be_bytes()[..], &[0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]].concat());
        values.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        values.extend(value.as_bytes());
    }
    [message(b'T', &described), message(b'D', &values), message(b'C', b"SELECT 1\0")].concat()
}

fn read_frame(client: &mut TcpStream) -> Option<String> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    client.read_exact(&mut body).ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

fn serve(mut client: TcpStream, number: usize, pooler: Pooler) {
    let ready = message(b'Z', b"I");
    read_frame(&mut client).unwrap();
    if matches!(pooler, Pooler::RefusesOptions) {
        let refusal = message(b'E', b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0");
        client.write_all(&refusal).unwrap();
        return;
    }
    client.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat()).unwrap();
    let mut kind = [0];
    while client.read_exact(&mut kind).is_ok() && kind == *b"Q" {
        let asked = read_frame(&mut client).unwrap();
        let session = if matches!(pooler, Pooler::SharesSessions) { 7 } else { number };
        let lock_timeout = if matches!(pooler, Pooler::DropsSettings) { "0s" } else { "10s" };
        let answer = if asked.contains("pg_backend_pid") {
            row(&[&session.to_string()])
        } else if asked.contains("pg_settings") {
            row(&["lock_timeout", lock_timeout, "f"])
        } else {
            message(b'C', b"BEGIN\0")
        };
        client.write_all(&[answer, ready.clone()].concat()).unwrap();
    }
}

async fn met(pooler: Pooler) -> Result<(), StoreError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            std::thread::spawn(move || serve(client.unwrap(), number, pooler));
        }
    });
    let server: PgConnectOptions = format!("postgres://atena@127.0.0.1:{port}/town?sslmode=disable").parse().unwrap();
    let session = [("lock_timeout", "10s"), ("jit", "off")];
    refuse(&server.options(session), &session).await
}

#[tokio::test]
async fn a_pooler_is_refused_by_name_with_what_to_do() {
    for (pooler, why) in [
        (Pooler::RefusesOptions, "PgBouncer) refuses the settings"),
        (Pooler::SharesSessions, "pool_mode = transaction) gives each transaction another session"),
        (Pooler::DropsSettings, "dropped the setting lock_timeout = 10s (it is 0s)"),
    ] {
        let refused = met(pooler).await.unwrap_err().to_string();
        assert!(refused.contains(why) && refused.contains("must name PostgreSQL itself"), "{refused}");
    }
}

#[tokio::test]
async fn a_session_of_its_own_with_its_settings_is_served() {
    met(Pooler::KeepsSessions).await.unwrap();
}
