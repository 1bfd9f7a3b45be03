//! The transfer log against bare SQLite, in the same run: `make bench`.
//!
//! `ATENA_BENCH_LEAVES` sets how many leaves are appended (default 1,000,000); the answer times are
//! measured at a tenth of it, and at all of it. Every figure comes with its bare baseline or with
//! the smaller size, and the ratio; nothing here passes or fails.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "this is a measurement")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use atena_domain::{MunicipalityCode, UnifiedAddressNumber};
use atena_ledger::{
    Direction, Frontier, Hash, Leaf, LeafShape, Outcome, RenderedShape, Salts, commit_content, commit_details,
    commit_subject, inclusion_nodes, inclusion_proof, verify_inclusion,
};
use atena_policy::{FieldCatalog, Policy};
use atena_store::{LogEntry, Store, StoreOptions};
use atena_vault::{KeyFile, KeySource, PersonKey, SealContext, Vault};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{QueryBuilder, SqlitePool};

const BATCH: u64 = 256;
const PEOPLE: u64 = 43_000;
const PROOFS: u32 = 2000;

fn main() {
    let leaves: u64 = std::env::var("ATENA_BENCH_LEAVES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(leaves));
}

async fn run(leaves: u64) {
    let folder = tempfile::tempdir().unwrap();
    let town = Town::new(folder.path()).await;
    println!("{leaves} leaves in commits of {BATCH}; people: {PEOPLE}\n");

    let bare = bare(&folder.path().join("bare.db"), &town, leaves).await;
    let sealing = town.sealing();
    let mut appended = Duration::ZERO;
    let mut done = 0;
    let mut small = None;
    while done < leaves {
        let entries = town.entries(done, BATCH.min(leaves - done));
        done += BATCH.min(leaves - done);
        let started = Instant::now();
        let mut transaction = town.store.begin_write("bench").await.unwrap();
        transaction.append_log(&entries).await.unwrap();
        transaction.commit().await.unwrap();
        appended += started.elapsed();
        if small.is_none() && done >= leaves / 10 {
            small = Some((done, answers(&town).await));
        }
    }
    let (rate, bare) = (per_second(leaves, appended), per_second(leaves, bare));
    println!(
        "append, sealed entries given      {rate:>10.0} /s   bare rows {bare:>10.0} /s   ratio {:.2}",
        rate / bare
    );
    println!("sealing one entry's details       {:>10.2} µs", sealing.as_secs_f64() * 1e6);

    let (small_size, (small_proof, small_person)) = small.unwrap();
    let (proof, person) = answers(&town).await;
    println!("\n{:<34}{:>14}{:>14}   ratio", "", format!("{small_size}"), format!("{leaves}"));
    for (name, small, large) in [
        ("inclusion proof, median", small_proof.0, proof.0),
        ("inclusion proof, p99", small_proof.1, proof.1),
        ("leaves of one person, first page", small_person, person),
    ] {
        let (small, large) = (small.as_secs_f64() * 1e6, large.as_secs_f64() * 1e6);
        println!("{name:<34}{small:>11.0} µs{large:>11.0} µs   {:.2}", large / small);
    }
    println!("\nevery stored hash, by one core     {:>10.2} s", start_up(&town).await.as_secs_f64());
    town.store.close().await;
}

/// Time to read the stored hashes and rebuild the tree by one core. A start does so for all but the
/// newest leaves, by all cores.
async fn start_up(town: &Town) -> Duration {
    let started = Instant::now();
    let mut tree = Frontier::empty();
    loop {
        let chunks = town.store.log_hashes_from(tree.size(), 1024).await.unwrap();
        if chunks.is_empty() {
            return started.elapsed();
        }
        for hash in chunks.into_iter().flat_map(|(_, hashes)| hashes) {
            tree.push(hash, |_, _, _| {});
        }
    }
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A municipality with its keys, and people whose details are sealed.
struct Town {
    store: Store,
    keys: Vec<(UnifiedAddressNumber, PersonKey)>,
    shape: Arc<RenderedShape>,
    policy: Policy,
}

impl Town {
    async fn new(folder: &std::path::Path) -> Self {
        let municipality = MunicipalityCode::parse("132098").unwrap();
        let path = folder.join("keys.toml");
        KeyFile::generate(&municipality).unwrap().write_new(&path).unwrap();
        let vault = Vault::open(&KeySource::File(path), &municipality).unwrap();
        let url = format!("sqlite:{}", folder.join("atena.db").display());
        let store = Store::open(&StoreOptions::new(&url), municipality).await.unwrap();
        let keys = (1..=PEOPLE)
            .map(|body| {
                let person = UnifiedAddressNumber::from_body(body).unwrap();
                let (key, _) = vault.new_person_key(&person, &vault.wrapping_ids()[0]).unwrap();
                (person, key)
            })
            .collect();
        let shape = LeafShape {
            direction: Direction::Outbound,
            method: "LinkageService/PullRecords".into(),
            system: "resident-tax".into(),
            division: Some("財務部市民税課".into()),
            affair: Some("市都民税賦課業務".into()),
            rule: Some(("transfer-1".into(), 1)),
            basis: Some("町田市個人番号及び特定個人情報の利用に関する条例; 番号法第19条第8項 別表第2(48)".into()),
            dataset: Some("payment".into()),
            fields: ["fiscal_year", "months.month", "months.status", "months.amount_yen"].map(str::to_owned).into(),
            policy: [7; 32],
        };
        Self { store, keys, shape: Arc::new(shape.render().unwrap()), policy: policy() }
    }

    /// The details of one transfer: about as long as a real one's.
    fn details(number: u64) -> Vec<u8> {
        format!("{:032}{number:015}{number:015}P-{number:015}-2025@1{:032}", number, number).into_bytes()
    }

    fn entry(&self, number: u64) -> LogEntry {
        let (person, key) = &self.keys[usize::try_from(number * 7919 % PEOPLE).unwrap()];
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let details = Self::details(number);
        let salts = Salts::from_seed(&[9; 32]);
        let leaf = Leaf {
            id,
            requested_us: 1_700_000_000_000_000 + number,
            provided_us: 1_700_000_000_000_100 + number,
            outcome: Outcome::Released,
            reason: None,
            records: 1,
            subject: commit_subject(&salts.subject, person.as_str()),
            content: commit_content(&salts.content, &[3; 32]),
            details: commit_details(&salts.details, &details),
        };
        let place = SealContext { table: "log_details", column: "sealed", row: &id };
        let details = key.seal(&place, &details).unwrap();
        LogEntry::new(Arc::clone(&self.shape), leaf, Some(person.clone()), details.into(), &mut Vec::new()).unwrap()
    }

    fn entries(&self, from: u64, count: u64) -> Vec<LogEntry> {
        (from..from + count).map(|number| self.entry(number)).collect()
    }

    /// Time to make one entry, commitments and sealing included.
    fn sealing(&self) -> Duration {
        let started = Instant::now();
        for number in 0..20_000 {
            std::hint::black_box(self.entry(number));
        }
        started.elapsed() / 20_000
    }
}

/// The same entries as one row each, by the fastest statement that SQLite has for it.
async fn bare(path: &std::path::Path, town: &Town, leaves: u64) -> Duration {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool: SqlitePool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::query(
        "CREATE TABLE transfer (municipality_code TEXT, number INTEGER, id BLOB, requested INTEGER, provided INTEGER, outcome TEXT, \
         shape INTEGER, records INTEGER, subject BLOB, content BLOB, details_hash BLOB, person TEXT, details BLOB, \
         PRIMARY KEY (municipality_code, number)) STRICT",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut took = Duration::ZERO;
    let mut done = 0;
    while done < leaves {
        let entries = town.entries(done, BATCH.min(leaves - done));
        let started = Instant::now();
        let mut transaction = pool.begin().await.unwrap();
        let mut query = QueryBuilder::new("INSERT INTO transfer ");
        query.push_values((done..).zip(&entries), |mut row, (number, entry)| {
            row.push_bind("132098")
                .push_bind(i64::try_from(number).unwrap())
                .push_bind(&entry.leaf().id[..])
                .push_bind(i64::try_from(entry.leaf().requested_us).unwrap())
                .push_bind(i64::try_from(entry.leaf().provided_us).unwrap())
                .push_bind("RELEASED")
                .push_bind(1)
                .push_bind(1)
                .push_bind(&entry.leaf().subject.0[..])
                .push_bind(&entry.leaf().content.0[..])
                .push_bind(&entry.leaf().details.0[..])
                .push_bind(entry.person().unwrap().as_str())
                .push_bind(entry.details());
        });
        query.build().execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        took += started.elapsed();
        done += u64::try_from(entries.len()).unwrap();
    }
    pool.close().await;
    took
}

/// Proof times (median, p99) and the time for a person's newest leaves, at the present size.
async fn answers(town: &Town) -> ((Duration, Duration), Duration) {
    let size = town.store.log_size().await.unwrap();
    index(town, size).await;
    let mut transaction = town.store.begin_write("bench").await.unwrap();
    let root: Hash = transaction.log_frontier().await.unwrap().root();
    drop(transaction);
    let mut times = Vec::new();
    for number in 0..PROOFS {
        let index = u64::from(number) * 2_654_435_761 % size;
        let leaf = {
            let mut text = Vec::new();
            town.entry(index).leaf().encode(&town.shape, &mut text).unwrap();
            atena_ledger::leaf_hash(&text)
        };
        let started = Instant::now();
        let nodes = town.store.log_nodes(&inclusion_nodes(index, size)).await.unwrap();
        let proof = inclusion_proof(index, size, |level, index| nodes.get(&(level, index)).copied().ok_or(())).unwrap();
        times.push(started.elapsed());
        verify_inclusion(index, size, &leaf, &proof, &root).unwrap();
    }
    times.sort_unstable();
    let permit = town
        .policy
        .authorize_audit(&atena_domain::SystemId::parse("auditor").unwrap(), jiff::civil::date(2026, 11, 1))
        .unwrap();
    let started = Instant::now();
    for number in 0..500_usize {
        let (person, _) = &town.keys[number * 83 % town.keys.len()];
        std::hint::black_box(town.store.log_leaves_of_person(&permit, person, None, 100).await.unwrap());
    }
    ((times[times.len() / 2], times[times.len() * 99 / 100]), started.elapsed() / 500)
}

/// Brings the search index up to the end, as the gateway does in the background.
async fn index(town: &Town, size: u64) {
    let mut from = town.store.log_index_size().await.unwrap();
    let started = Instant::now();
    let first = from;
    while from < size {
        let to = (from + 65_536).min(size);
        let leaves: Vec<_> = (from..to)
            .map(|number| (town.keys[usize::try_from(number * 7919 % PEOPLE).unwrap()].0.clone(), number))
            .collect();
        let mut transaction = town.store.begin_write("bench").await.unwrap();
        transaction.extend_log_index(&leaves, to).await.unwrap();
        transaction.commit().await.unwrap();
        from = to;
    }
    println!("indexed in the background          {:>10.0} /s", per_second(size - first, started.elapsed()));
}

/// Rules with an auditor who may ask, and nothing released.
fn policy() -> Policy {
    let mut text = r#"
municipality_code = "132098"
[registration]
affair = "宛名管理事務"
basis = [{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }]
[[system]]
id = "auditor"
name = "監査"
division = "市政情報課"
roles = ["auditor"]
[[system]]
id = "pension"
name = "国民年金システム"
division = "保険年金課"
roles = ["dataset_owner"]
"#
    .to_owned();
    for dataset in ["qualification", "payment", "exemption", "benefit", "welfare_pension"] {
        text += &format!(
            "[[dataset]]\nid = \"{dataset}\"\nowner = \"pension\"\naffair = \"国民年金事務\"\n\
             basis = [{{ citation = \"国民年金法第3条第3項\", valid_from = 1961-04-01 }}]\n"
        );
    }
    Policy::compile(&text, &FieldCatalog::default(), jiff::civil::date(2026, 11, 1)).unwrap()
}
