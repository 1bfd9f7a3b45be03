//! Several gateways on one PostgreSQL, a primary that is lost, and a replica that lags: what was acknowledged stays, and happened once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use atena_proto::v1;
use atena_test_cluster::{Cluster, Server};

use crate::people::{personal_number, record, registration};
use crate::town::{Town, atena, printed, seen};

/// What the gateways of a test have acknowledged: the local number of each person, and the transfer that says so.
type Acknowledged = HashMap<String, String>;

/// Registers people one by one, asking a gateway again, or the next one, until each is acknowledged.
async fn register_all(
    gateways: [&Town; 2],
    system: &str,
    people: std::ops::Range<u64>,
    progress: &AtomicU64,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut clients: Vec<_> = gateways.iter().map(|gateway| gateway.address_service(system)).collect();
    let mut at = 0;
    for one in people {
        let local = format!("{}{one:05}", system.chars().next().unwrap_or('x').to_uppercase());
        // The same request_id each time: it is the same call.
        let request_id = format!("00000000-0000-4000-8000-{one:012}");
        let registration = registration(&local, Some(&personal_number(one)));
        let result = loop {
            let request =
                v1::RegisterPersonRequest { request_id: request_id.clone(), registration: Some(registration.clone()) };
            let gateway = at % clients.len();
            match clients[gateway].register_person(request).await {
                Ok(answer) => break answer.into_inner().result.unwrap(),
                Err(status) => {
                    let code = status.code();
                    assert!(
                        matches!(
                            code,
                            tonic::Code::Unavailable
                                | tonic::Code::Unknown
                                | tonic::Code::Cancelled
                                | tonic::Code::DeadlineExceeded
                        ),
                        "only a call that may be made again fails: {status:?}"
                    );
                    at += 1;
                }
            }
        };
        assert!(result.error.is_none(), "{local}");
        acknowledged.insert(local, result.transfer_id);
        progress.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Every acknowledged transfer is in the log, the log is sound, and each person has one number.
async fn check(town: &Town, database: &str, people: u64, acknowledged: &[Acknowledged]) {
    let kept = town.transfers("method = \"AddressService/RegisterPerson\" AND outcome = \"RECEIVED\"").await;
    let kept: HashSet<_> = kept.into_iter().map(|transfer| transfer.transfer_id).collect();
    for transfer_id in acknowledged.iter().flat_map(HashMap::values) {
        assert!(kept.contains(transfer_id), "{transfer_id} was acknowledged");
    }
    let counts = Server::sql(
        database,
        "SELECT count(*), (SELECT count(DISTINCT unified_address_number) FROM personal_number) FROM person",
    );
    assert_eq!(counts, format!("{people}|{people}"), "one person, one number");
    let fsck = printed(&atena(&["log", "fsck", "--home", town.home_text()]));
    assert!(fsck.contains("sound"), "no fork, no gap: {fsck}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_one_of_them_killed_keep_one_person_one_number_and_one_log() {
    const PEOPLE: u64 = 120;
    let mut town = Town::start();
    let (second, third) = (town.another_gateway(), town.another_gateway());
    let progress = AtomicU64::new(0);
    let database = town.database_url();
    let killed = third.process_id();
    let work = async {
        tokio::join!(
            register_all([&town, &second], "pension", 0..PEOPLE, &progress),
            register_all([&second, &town], "resident-tax", 0..PEOPLE, &progress),
            register_all([&third, &town], "welfare", 0..PEOPLE, &progress),
        )
    };
    let kill = async {
        // At a moment that the load decides.
        while progress.load(Ordering::Relaxed) < PEOPLE {
            tokio::task::yield_now().await;
        }
        let kill = tokio::process::Command::new("kill").args(["-KILL", &killed.to_string()]).status().await.unwrap();
        assert!(kill.success());
    };
    let ((pension, tax, welfare), ()) = tokio::join!(work, kill);
    // What one gateway wrote the others read.
    let records: Vec<_> = (0..50).map(|one| payment(&format!("P{one:05}"), one)).collect();
    let pushed = second.push(records).await;
    assert!(pushed.iter().all(|result| result.error.is_none()));
    let (pulled, _) = pull(&town, Vec::new()).await;
    assert_eq!(pulled, 50);
    check(&town, &database, PEOPLE, &[pension, tax, welfare]).await;
    drop(second);
    town.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_is_durable_when_the_primary_is_lost_and_a_standby_promoted() {
    const PEOPLE: u64 = 150;
    let primary = Cluster::start_primary();
    primary.sql("postgres", "CREATE DATABASE town");
    let standby = primary.start_standby();
    let mut town = Town::prepare();
    let now = town.database_url();
    let both = format!("postgres://atena@{},{}/town", standby.place(), primary.place());
    town.change("atena.toml", |text| text.replace(&now, &both));
    town.serve();
    let other = town.another_gateway();
    let progress = AtomicU64::new(0);
    let work = async {
        tokio::join!(
            register_all([&town, &other], "pension", 0..PEOPLE, &progress),
            register_all([&other, &town], "resident-tax", 0..PEOPLE, &progress),
        )
    };
    let lose = async {
        while progress.load(Ordering::Relaxed) < PEOPLE / 2 {
            tokio::task::yield_now().await;
        }
        tokio::task::block_in_place(|| {
            primary.stop("immediate");
            standby.promote();
        });
    };
    let ((pension, tax), ()) = tokio::join!(work, lose);
    check(&town, &standby.url("town"), PEOPLE, &[pension, tax]).await;
    drop(other);
    town.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_while_it_is_new_enough_for_the_pull() {
    let primary = Cluster::start_primary();
    primary.sql("postgres", "CREATE DATABASE town");
    let standby = primary.start_standby();
    let mut town = Town::prepare();
    let now = town.database_url();
    let setting = format!("{}\"\ndatabase_replica_url = \"{}", primary.url("town"), standby.url("town"));
    town.change("atena.toml", |text| text.replace(&now, &setting));
    town.serve();
    let (mut people, mut payments) = (Vec::new(), Vec::new());
    for one in 0..20 {
        for (system, prefix) in [("pension", "P"), ("resident-tax", "T")] {
            let number = personal_number(one);
            people
                .push(town.register(system, registration(&format!("{prefix}{one:05}"), Some(&number))).await.unwrap());
        }
        payments.push(payment(&format!("P{one:05}"), one));
    }
    let later = payments.split_off(10);
    town.push(payments).await;
    // The consumer's first pull opens its feed. Until the replica has that, the primary is read.
    assert_eq!(pull(&town, Vec::new()).await.0, 10);
    // Everything is replayed before the replica stands still.
    let then = primary.sql("town", "SELECT last FROM change_sequence");
    seen("the replica has it", async || {
        (standby.sql("town", "SELECT last FROM change_sequence") == then).then_some(())
    })
    .await;
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    let state = || standby.sql("postgres", "SELECT pg_get_wal_replay_pause_state()");
    seen("the replica stands still", async || (state().trim() == "paused").then_some(())).await;
    town.push(later).await;

    let (pulled, cursor) = pull(&town, Vec::new()).await;
    assert_eq!(pulled, 10, "a full pull is read from the replica, as it stands");
    standby.sql("postgres", "SELECT pg_wal_replay_resume()");
    let now = primary.sql("town", "SELECT last FROM change_sequence");
    seen("the replica has it", async || (standby.sql("town", "SELECT last FROM change_sequence") == now).then_some(()))
        .await;
    let (pulled, cursor) = pull(&town, cursor).await;
    assert_eq!(pulled, 10, "its cursor says how old it was: nothing is left out");

    // A cursor that is newer than the replica is served by the primary.
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    let state = || standby.sql("postgres", "SELECT pg_get_wal_replay_pause_state()");
    seen("the replica stands still", async || (state().trim() == "paused").then_some(())).await;
    town.push(vec![payment("P00003", 99)]).await;
    let (pulled, newest) = pull(&town, cursor.clone()).await;
    assert_eq!(pulled, 0, "the replica is as new as this cursor");
    primary.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    standby.stop("immediate");
    let (pulled, newest) = pull(&town, newest).await;
    assert_eq!(pulled, 1, "without the replica the primary is read");
    standby.serve(&["listen_addresses=127.0.0.1"]);
    let (pulled, _) = pull(&town, newest).await;
    assert_eq!(pulled, 0);
    town.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_database_is_tls_with_a_verified_server() {
    let cluster = Cluster::start_primary();
    cluster.sql("postgres", "CREATE DATABASE town");
    let (mut town, stranger) = (Town::prepare(), Town::prepare());
    let file = |town: &Town, file: &str| std::fs::read_to_string(town.home().join("pki").join(file)).unwrap();
    cluster.speak_tls_alone(&file(&town, "server.crt"), &file(&town, "server.key"));
    let url = |authority: &Town| {
        let authority = authority.home().join("pki/ca.crt");
        let place = cluster.place().replace("127.0.0.1", "localhost");
        format!("postgres://atena@{place}/town?sslmode=verify-full&sslrootcert={}", authority.display())
    };
    let change = |to: &str| {
        let now = town.database_url();
        town.change("atena.toml", |text| text.replace(&now, to));
    };
    for (refused, why) in [
        (url(&stranger), "an authority that did not vouch for the server"),
        (format!("postgres://atena@{}/town?sslmode=disable", cluster.place()), "no TLS"),
    ] {
        change(&refused);
        let started = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
        assert!(!started.status.success(), "{why}");
    }
    change(&url(&town));
    town.serve();
    let registered = town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    assert!(registered.error.is_none());
    let encrypted = "SELECT bool_and(ssl), min(version) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'atena' AND backend_type = 'client backend'";
    assert_eq!(cluster.sql("town", encrypted).trim(), "t|TLSv1.3");
    town.stop();
}

fn payment(local: &str, number: u64) -> v1::PushedRecord {
    let payment = v1::Payment {
        // Zeros alone stand for no number.
        basic_pension_number: format!("{:010}", number + 1),
        fiscal_year: 2025,
        months: vec![v1::PaymentMonth { month: "2025-04".into(), status: "A".into(), amount_yen: 17_510 }],
        ..Default::default()
    };
    record(local, &format!("PAY-{number}"), 1, v1::pushed_record::Body::Payment(payment))
}

/// Pulls payments as the tax system; how many records came, and the last cursor.
async fn pull(town: &Town, cursor: Vec<u8>) -> (usize, Vec<u8>) {
    let request = v1::PullRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        cursor,
        ..Default::default()
    };
    let mut chunks = town.linkage("resident-tax").pull_records(request).await.unwrap().into_inner();
    let (mut records, mut last) = (0, Vec::new());
    while let Some(chunk) = chunks.message().await.unwrap() {
        records += chunk.deliveries.iter().map(|delivery| delivery.records.len()).sum::<usize>();
        last = chunk.next_cursor;
    }
    (records, last)
}
