//! What a database says of an error, in words that an operator can act on. Never a value, though
//! databases quote them.

use std::io::ErrorKind;

use sqlx::error::DatabaseError;

/// What the code of an error means, and what to do about it. SQLite's codes are numbers, those of
/// PostgreSQL (SQLSTATE) have five letters.
pub(crate) fn of_database(error: &dyn DatabaseError) -> &'static str {
    let code = error.code();
    let code = code.as_deref().unwrap_or_default();
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => of_sqlite(number),
        _ => of_postgres(code),
    }
}

/// Extended codes have their primary one in the lowest byte.
fn of_sqlite(code: i32) -> &'static str {
    match code & 0xff {
        5 | 6 => "another process holds the lock of the database file: end it, or try again later",
        7 => "there is no memory left",
        8 => "the database file, its directory or its file system is read-only: make it writable",
        10 => "reading or writing the database file failed: is the disk full? Look at it and its file system",
        11 => "the database file is damaged: bring a backup back (atena restore)",
        13 => "the disk is full: make room on it",
        14 => {
            "the database file, or its -wal and -shm, can't be opened: look at the owner and mode of them and their directory"
        }
        23 => "the operating system refuses the database file to this user",
        26 => "the file is not an SQLite database: look at database_url, or bring a backup back (atena restore)",
        _ => UNKNOWN,
    }
}

fn of_postgres(code: &str) -> &'static str {
    match code {
        "28000" | "28P01" => "the server refuses this user: look at the password (PGPASSFILE) and at pg_hba.conf",
        "3D000" => "the server has no such database: create it, or look at database_url",
        "42501" => "this user lacks a right in the database: make it the owner of the database",
        "25006" => "the server is read-only: it is a standby",
        "53100" => "the disk of the server is full: make room on it",
        "53200" => "the server has no memory left",
        "53300" => "the server has no connection left: raise max_connections, or lower database_connections_max",
        "55P03" => "another gateway or command holds the lock: try again once it has ended",
        "40001" | "40P01" => "another transaction was in the way: try again",
        "57014" => "the server cancelled the statement",
        "57P01" | "57P02" | "57P03" => "the server is starting or stopping: try again later",
        "58030" => "reading or writing failed on the server: look at its disk",
        "XX001" | "XX002" => "the data on the server are damaged: bring a backup back (atena restore)",
        _ if code.starts_with("08") => "the connection to the server was lost",
        _ => UNKNOWN,
    }
}

/// The code and the database's text stand behind it.
const UNKNOWN: &str = "the database could not run a statement";

/// No encrypted connection came about.
pub(crate) const TLS: &str = "TLS to the server failed: look at sslmode, sslrootcert and the server's certificate";

/// What an error of the connection means.
pub(crate) fn of_io(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "the server refuses connections: is it running, and does it listen there?",
        ErrorKind::NotFound => "the server's socket or the file is not there",
        ErrorKind::PermissionDenied => "the operating system refuses it to this user",
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "the server can't be reached"
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => "the connection to the server was lost",
        ErrorKind::StorageFull => "the disk is full: make room on it",
        _ => "input or output failed",
    }
}

/// Whether PostgreSQL's text of this SQLSTATE may quote a value: data exceptions and constraints.
/// SQLite's codes are shorter.
pub(crate) fn quotes_values(code: &str) -> bool {
    code.len() == 5 && ["22", "23"].iter().any(|class| code.starts_with(class))
}

/// Puts the code into the log, and the text where it can't hold a value.
pub(crate) fn log(error: &dyn DatabaseError) {
    let code = error.code().unwrap_or_default();
    let text = if quotes_values(&code) { "" } else { error.message() };
    tracing::error!(%code, text, "the database refused a statement");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_code_of_sqlite_says_what_its_primary_code_says() {
        // SQLITE_READONLY_DBMOVED and SQLITE_IOERR_WRITE.
        assert!(of_sqlite(1032).contains("read-only"));
        assert!(of_sqlite(778).contains("Look at it"));
        assert!(of_sqlite(13).contains("full"));
    }

    #[test]
    fn texts_about_data_and_constraints_may_quote_a_value() {
        assert!(quotes_values("22P02") && quotes_values("23505"));
        assert!(!quotes_values("53100") && !quotes_values("2067"), "SQLITE_CONSTRAINT_UNIQUE is 2067");
    }

    #[test]
    fn states_of_postgresql_say_what_to_do() {
        assert!(of_postgres("28P01").contains("PGPASSFILE"));
        assert!(of_postgres("08006").contains("lost"));
        assert_eq!(of_postgres("99999"), UNKNOWN);
    }
}
