//! What a user would write by hand instead of Atena: plain records in PostgreSQL, a view with column `GRANT`s for the consumer, and an
//! audit row for each person inserted by the statement that reads, whose rows leave by `COPY` over TLS.
//!
//! It seals nothing, proves nothing, filters by column only and needs no gateway: what Atena does more has to cost less than what it saves.

use std::time::{Duration, Instant};

use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio_stream::StreamExt as _;

use crate::town::Town;

const SCHEMA: &str = "
    CREATE TABLE person (unified text PRIMARY KEY, resident_tax text UNIQUE, personal_number text UNIQUE);
    CREATE TABLE payment (
        unified text NOT NULL, record_key text NOT NULL, revision bigint NOT NULL, basic_pension_number text, fiscal_year int,
        months text, remarks text, PRIMARY KEY (unified, record_key));
    CREATE TABLE audit (
        id uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(), who text DEFAULT current_user, affair text, basis text,
        unified text, fields text, rows int);
    CREATE INDEX audit_of_person ON audit (unified, at);
    CREATE VIEW payment_for_tax AS
        SELECT person.unified, person.resident_tax, payment.record_key, payment.revision, payment.fiscal_year, payment.months,
            payment.remarks
        FROM payment JOIN person ON person.unified = payment.unified;
    CREATE ROLE tax_PROCESS LOGIN;
    GRANT SELECT (unified, resident_tax, record_key, revision, fiscal_year, months) ON payment_for_tax TO tax_PROCESS;
    GRANT INSERT (affair, basis, unified, fields, rows) ON audit TO tax_PROCESS;";

const FILL: &str = "
    INSERT INTO person SELECT lpad(n::text, 15, '0'), 'T' || lpad(n::text, 8, '0'), lpad(n::text, 12, '0')
        FROM generate_series(1, PEOPLE) AS n;
    INSERT INTO payment SELECT lpad(n::text, 15, '0'), 'PAY-' || lpad(n::text, 8, '0') || '-2025', 1, lpad(n::text, 10, '0'), 2025,
        repeat('2025-04:A:17510;', 12) || repeat('x', 80), 'internal note' FROM generate_series(1, PEOPLE) AS n;";

const PULL: &str = "COPY (
    WITH released AS (
        SELECT unified, resident_tax, record_key, revision, fiscal_year, months FROM payment_for_tax ORDER BY resident_tax),
    audited AS (
        INSERT INTO audit (affair, basis, unified, fields, rows)
        SELECT '市都民税賦課業務', '番号法第9条第2項', unified, 'fiscal_year,months', count(*) FROM released GROUP BY unified)
    SELECT resident_tax, record_key, revision, fiscal_year, months FROM released) TO STDOUT";

/// Time for the hand-written peer to hand over a record of each person.
pub(crate) async fn pull(town: &Town, people: u64) -> Duration {
    // A server of its own that speaks TLS and nothing else, with the certificate of the gateway.
    let cluster = atena_test_cluster::Cluster::start_primary();
    let pki = town.home().join("pki");
    let read = |file: &str| std::fs::read_to_string(pki.join(file)).unwrap();
    cluster.speak_tls_alone(&read("server.crt"), &read("server.key"));
    let role = format!("tax_{}", std::process::id());
    let mut owner = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    for script in
        [SCHEMA.replace("tax_PROCESS", &role), FILL.replace("PEOPLE", &people.to_string()), "ANALYZE".to_owned()]
    {
        owner.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(script))).await.unwrap();
    }
    let place = cluster.place().replace("127.0.0.1", "localhost");
    let url =
        format!("postgres://{role}@{place}/postgres?sslmode=verify-full&sslrootcert={}", pki.join("ca.crt").display());
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let mut best = Duration::MAX;
    for _ in 0..2 {
        let started = Instant::now();
        let mut stream = pool.copy_out_raw(PULL).await.unwrap();
        let mut lines = 0;
        while let Some(bytes) = stream.next().await {
            lines += bytes.unwrap().iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        assert_eq!(lines, people);
        best = best.min(started.elapsed());
    }
    best
}
