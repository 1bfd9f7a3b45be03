//! Databases from before go on: what older versions stored is found the way this one looks for it.

use std::path::Path;

use atena_domain::UnifiedAddressNumber;
use atena_store::NewRevision;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgPool, SqlitePool};

use crate::Database;
use crate::feeds::permit;
use crate::records::revision;

/// Two records and a link as they were kept until the second schema: one record changed twice,
/// after another was added.
const BEFORE: [&str; 4] = [
    "INSERT INTO change_sequence VALUES ('132098', 5)",
    "INSERT INTO link VALUES ('132098', 'resident-tax', 'T1', '000000000000019', 1)",
    "INSERT INTO record VALUES ('132098', '000000000000019', 'payment', 'A', 9, 5, 0, 'nine', 'mac', 0), \
        ('132098', '000000000000019', 'benefit', 'B', 1, 3, 1, '', 'mac', 0)",
    "INSERT INTO record_history VALUES ('132098', 'payment', 'A', 1, '000000000000019', 2, 0, 'one', 'mac', 0), \
        ('132098', 'payment', 'A', 4, '000000000000019', 4, 0, 'four', 'mac', 0)",
];

/// What superseded a former revision, the change that it was itself, and its revision.
type Former = (i64, i64, i64);

/// A database as the first two migrations made it.
pub(crate) async fn made_before(database: &Database) {
    let engine = if database.is_postgres() { "postgres" } else { "sqlite" };
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    let folder = tempfile::tempdir().unwrap();
    for name in ["0001_schema.sql", "0002_key_state.sql"] {
        std::fs::copy(all.join(name), folder.path().join(name)).unwrap();
    }
    let migrator = Migrator::new(folder.path()).await.unwrap();
    if database.is_postgres() {
        migrator.run(&PgPool::connect(database.url()).await.unwrap()).await.unwrap();
    } else {
        let options: SqliteConnectOptions = database.url().parse().unwrap();
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        migrator.run(&pool).await.unwrap();
        pool.close().await;
    }
    for statement in BEFORE {
        // SQLite's tables are strict: a text is no BLOB there, and a cast of its own for each
        // engine would be no clearer.
        let statement = if database.is_postgres() { statement.to_owned() } else { blobs(statement) };
        database.change(Box::leak(statement.into_boxed_str())).await.unwrap();
    }
}

/// The statement with its contents and digests as SQLite writes bytes.
fn blobs(statement: &str) -> String {
    ["nine", "four", "one", "mac"]
        .iter()
        .fold(statement.to_owned(), |text, word| text.replace(&format!("'{word}'"), &format!("CAST('{word}' AS BLOB)")))
        .replace("1, 3, 1, ''", "1, 3, 1, CAST('' AS BLOB)")
}

async fn what_superseded_a_revision_leads_to_it_and_records_get_their_numbers(database: Database) {
    made_before(&database).await;
    let store = database.open("132098").await;
    assert_eq!(store.last_change_sequence().await.unwrap(), 5);
    const FORMER: &str = "SELECT superseded_by, change_sequence, revision FROM record_history ORDER BY superseded_by";
    let former: Vec<Former> = if database.is_postgres() {
        let pool = PgPool::connect(database.url()).await.unwrap();
        sqlx::query_as(FORMER).fetch_all(&pool).await.unwrap()
    } else {
        let pool = SqlitePool::connect(database.url()).await.unwrap();
        sqlx::query_as(FORMER).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(
        former,
        [(4, 2, 1), (5, 4, 4)],
        "from the newest, of change 5, to revision 4, and from there to revision 1"
    );
    // A record from before gets its number with its next change, and keeps it.
    let person = UnifiedAddressNumber::parse_migrated("000000000000019").unwrap();
    let number = async || {
        let records = store.numbered_records(&[permit(&["f1"])], std::slice::from_ref(&person)).await.unwrap();
        records.iter().find(|one| one.stored.record_key.as_str() == "A").unwrap().record_number
    };
    assert_eq!(number().await, 0);
    for (next, known) in [(10, None), (11, Some(6))] {
        let mut transaction = store.begin_write("push").await.unwrap();
        let revision = NewRevision { record_number: known, ..revision("A", next, &person, true) };
        transaction.insert_revisions(&[revision]).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(number().await, 6);
    }
}

crate::on_both_engines!(what_superseded_a_revision_leads_to_it_and_records_get_their_numbers);

/// No plan depends on what was there at the last ANALYZE, which the owner of the tables does not
/// undo by `DELETE FROM pg_statistic`.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_database_before_are_gone_and_do_not_come_back() {
    let database = Database::postgres();
    made_before(&database).await;
    const STATISTICS: &str =
        "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'";
    database.change("ANALYZE").await.unwrap();
    assert!(database.count(STATISTICS).await > 10);
    let store = database.open("132098").await;
    assert_eq!(database.count(STATISTICS).await, 0);
    database.change("ANALYZE").await.unwrap();
    assert_eq!(database.count(STATISTICS).await, 0);
    assert_eq!(store.last_change_sequence().await.unwrap(), 5, "the rows are as they were");
}
