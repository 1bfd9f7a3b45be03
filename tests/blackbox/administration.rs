//! What those do who run the system is recorded before it is done and after, in a log that proves itself; what can't be recorded is not done.

use std::path::Path;

use atena_ledger::{TileKind, decode_bundle, open_checkpoint, tiles_of};
use serde_json::Value;
use sqlx::Connection as _;
use tonic::codegen::http::StatusCode;

use crate::log::get;
use crate::people::{personal_number, registration};
use crate::town::{Engine, Town, atena, printed};

/// The admin log, record by record.
fn records(town: &Town) -> Vec<Value> {
    let told = printed(&atena(&["log", "admin", "--home", town.home_text(), "--json"]));
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn done(town: &Town) -> Vec<String> {
    let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    records(town).iter().map(|record| format!("{} {}", text(record, "action"), text(record, "outcome"))).collect()
}

/// Runs a statement past the program.
async fn change(town: &Town, sqlite: &'static str, postgres: &'static str) {
    let url = town.database_url();
    if crate::ENGINE == Engine::Postgres {
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(postgres).execute(&mut connection).await.unwrap();
    } else {
        let file = format!("sqlite://{}", town.home().join("atena.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
        sqlx::raw_sql(sqlite).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_recorded_when_it_begins_and_when_it_ends_with_who_did_it() {
    let mut town = Town::prepare();
    let home = town.home_text();
    let run = |arguments: &[&str]| atena(&[arguments, &["--home", home]].concat());
    // Nothing was ever kept here, so there is no log yet to record it in.
    printed(&run(&["pki", "renew"]));
    assert!(!Path::new(home).join("atena.db").exists() || crate::ENGINE == Engine::Postgres);
    town.serve();
    let number = personal_number(77);
    town.register("pension", registration("ADMIN77", Some(&number))).await.unwrap();
    let folder = town.home();
    let out = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    printed(&run(&["backup", "--out", &out("a backup")]));
    printed(&run(&["keys", "rotate", "--key", "blind-index"]));
    printed(&run(&["keys", "rotate", "--key", "log"]));
    printed(&run(&["keys", "rotate", "--key", "log", "--end-old"]));
    printed(&run(&["pki", "revoke", "--system", "welfare"]));
    std::fs::create_dir(folder.join("issued")).unwrap();
    printed(&run(&["pki", "issue", "--system", "welfare", "--out", &out("issued")]));
    printed(&run(&["municipality", "add", "--municipality", "131016"]));
    printed(&run(&["erase", "pension/ADMIN77", "--order", "1", "--yes"]));
    assert_eq!(
        run(&["erase", "pension/ADMIN77", "--order", "1"]).status.code(),
        Some(2),
        "only asked, and nobody is there"
    );
    printed(&run(&["log", "export", "--out", &out("transfers")]));
    assert!(!run(&["backup", "--out", &out("a backup")]).status.success(), "it is there already");
    town.change("policy.toml", |text| text.replace("市民税課", "市民税第一課"));
    town.wait_for_log("rules read anew");
    town.wait_for_log("certificates read anew");
    town.stop();

    let mut found = done(&town);
    // The reload may come between any two of the others.
    let reloads: Vec<_> = found.extract_if(.., |one| one.starts_with("Gateway/ReloadCertificates")).collect();
    assert!(!reloads.is_empty() && reloads.iter().filter(|one| one.ends_with("DONE")).count() * 2 == reloads.len());
    let twice = |actions: &[&str]| -> Vec<String> {
        actions.iter().flat_map(|action| [format!("{action} BEGUN"), format!("{action} DONE")]).collect()
    };
    let mut expected = twice(&[
        "Gateway/Start",
        "Database/Backup",
        "Keys/Rotate",
        "Keys/AddLogKey",
        "Keys/EndLogKey",
        "Pki/Revoke",
        "Pki/Issue",
        "Municipality/Add",
        "People/Erase",
        "Log/Export",
    ]);
    expected.extend(["Database/Backup BEGUN".to_owned(), "Database/Backup FAILED".to_owned()]);
    expected.extend(twice(&["Gateway/ChangeRules", "Gateway/Stop"]));
    assert_eq!(found, expected);
    let all = records(&town);
    assert!(all.iter().all(|record| record["actor"].as_str().unwrap().starts_with("os:")));
    let of = |action: &str, outcome: &str| {
        let of = |record: &&Value| record["action"] == action && record["outcome"] == outcome;
        all.iter().rfind(of).unwrap()
    };
    assert_eq!(of("People/Erase", "DONE")["records"], 1);
    assert!(of("People/Erase", "DONE")["fields"].as_str().unwrap().starts_with("ground:order begun:"));
    assert!(of("Database/Backup", "FAILED")["note"].as_str().unwrap().contains("is there already"));
    let rules = of("Gateway/ChangeRules", "DONE")["fields"].as_str().unwrap().to_owned();
    assert!(rules.starts_with("from:") && rules.contains(" to:"), "{rules}");

    // Anybody with the key can check it; in the open it tells neither who acted nor on whom.
    printed(&run(&["log", "export", "--log", "admin", "--out", &out("admin")]));
    let keys = out("admin.vkey");
    std::fs::write(&keys, printed(&run(&["log", "key", "--log", "admin"]))).unwrap();
    printed(&atena(&["verify", "export", "--key", &keys, &out("admin")]));
    let transfers = printed(&run(&["log", "key"]));
    let other = transfers.lines().last().unwrap();
    assert!(!atena(&["verify", "export", "--key", other, &out("admin")]).status.success(), "each log by its own name");
    let mut text = String::new();
    for entry in walk(&town.home().join("admin/tile/entries")) {
        text.push_str(&String::from_utf8_lossy(&std::fs::read(entry).unwrap()));
    }
    assert!(text.contains("method Pki/Revoke") && text.contains("system atena"));
    for secret in ["os:", "ADMIN77", &number, "a backup"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(printed(&run(&["log", "fsck"])).matches("is sound").count(), 2);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_recorded_is_not_done() {
    let mut town = Town::start();
    town.register("pension", registration("P1", None)).await.unwrap();
    change(
        &town,
        "CREATE TRIGGER full BEFORE INSERT ON admin_log_chunk BEGIN SELECT RAISE(ABORT, 'full'); END",
        "ALTER TABLE admin_log_chunk ADD CONSTRAINT is_full CHECK (false) NOT VALID",
    )
    .await;
    let home = town.home();
    let kept = || {
        let read = |file: &str| std::fs::read(home.join(file)).unwrap();
        (read("keys.toml"), read("pki/ca.crl"))
    };
    let (before, leaves) = (kept(), records(&town).len());
    let out = home.join("out");
    let to = out.to_str().unwrap();
    for action in [
        &["backup", "--out", to][..],
        &["keys", "rotate", "--key", "wrapping"],
        &["keys", "rotate", "--key", "log"],
        &["keys", "rotate", "--key", "log", "--prepare"],
        &["pki", "revoke", "--system", "welfare"],
        &["pki", "issue", "--system", "welfare", "--out", to],
        &["pki", "renew"],
        &["municipality", "add", "--municipality", "131016"],
        &["erase", "pension/P1", "--order", "1", "--yes"],
        &["log", "export", "--out", to],
    ] {
        let refused = atena(&[action, &["--home", town.home_text()]].concat());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains("so nothing was done"), "{action:?}: {told}");
    }
    assert!(kept() == before && !out.exists() && !home.join("municipalities/131016").exists());
    assert_eq!(
        town.transfers("person = \"pension/P1\"").await.len(),
        1,
        "still known, and asked about for the first time"
    );
    // Rules that can't be recorded do not come into force.
    town.change("policy.toml", |text| text.replace("市民税課", "市民税第一課"));
    town.wait_for_log("the new rules can't be used");
    let division = |town: &Town| {
        let filter = "method = \"AddressService/RegisterPerson\" AND system_id = \"resident-tax\"";
        let town = town.beside();
        async move { town.transfers(filter).await.first().map(|transfer| transfer.division.clone()) }
    };
    town.register("resident-tax", registration("T1", None)).await.unwrap();
    assert!(division(&town).await.unwrap().ends_with("市民税課"));
    town.stop();
    let refused = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("so nothing was done"), "{refused:?}");
    assert_eq!(records(&town).len(), leaves);
    change(&town, "DROP TRIGGER full", "ALTER TABLE admin_log_chunk DROP CONSTRAINT is_full").await;
    town.serve();
    town.register("resident-tax", registration("T2", None)).await.unwrap();
    assert!(division(&town).await.unwrap().ends_with("市民税第一課"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_evident_the_admin_log_is_not_changed_or_set_back_unnoticed() {
    let mut town = Town::start();
    let home = town.home_text();
    for path in ["/admin-log/checkpoint", "/admin-log/tile/0/000.p/2", "/admin-log/tile/entries/000.p/2"] {
        assert_eq!(get(&town, "pension", path).await.0, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(get(&town, "auditor", path).await.0, StatusCode::OK, "{path}");
    }
    let key = printed(&atena(&["log", "key", "--home", home, "--log", "admin"]));
    let key = atena_ledger::VerifierKey::parse(key.trim()).unwrap();
    let (_, note) = get(&town, "auditor", "/admin-log/checkpoint").await;
    let head = open_checkpoint(std::str::from_utf8(&note).unwrap(), &key).unwrap();
    let tile = tiles_of(head.size).find(|tile| tile.kind == TileKind::Entries).unwrap();
    let (_, bundle) = get(&town, "auditor", &format!("/admin-log/{tile}")).await;
    assert_eq!(
        u64::try_from(decode_bundle(&bundle).unwrap().len()).unwrap(),
        head.size,
        "signed as soon as it is written"
    );
    town.stop();
    assert_eq!(printed(&atena(&["log", "fsck", "--home", home])).matches("is sound").count(), 2);

    // Somebody with the password of the database rewrites who did what.
    change(
        &town,
        "DROP TRIGGER admin_log_chunk_is_never_changed; UPDATE admin_log_chunk SET leaves = CAST(replace(CAST(leaves AS TEXT), \
            'Gateway/Stop', 'Gateway/Halt') AS BLOB)",
        "ALTER TABLE admin_log_chunk DISABLE TRIGGER USER; UPDATE admin_log_chunk SET leaves = \
            decode(replace(encode(leaves, 'hex'), encode('Gateway/Stop', 'hex'), encode('Gateway/Halt', 'hex')), 'hex')",
    )
    .await;
    let told = atena(&["log", "fsck", "--home", home]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.code() == Some(2) && text.contains("admin") && text.contains("was changed"), "{text}");
    let refused = atena(&["log", "admin", "--home", home]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not what was signed"), "{refused:?}");
    let refused = atena(&["serve", "--home", home, "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the admin log is damaged"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_an_old_backup_takes_no_further_record() {
    let mut town = Town::start();
    town.stop();
    let yesterday = town.copy();
    printed(&atena(&["pki", "renew", "--home", town.home_text()]));
    let signed = std::fs::read(town.home().join("admin.checkpoint")).unwrap();
    town.restore(yesterday);
    std::fs::write(town.home().join("admin.checkpoint"), signed).unwrap();
    let refused = atena(&["pki", "renew", "--home", town.home_text()]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("shorter than its last signed head"), "there would be two heads of one size: {told}");
    let refused = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the admin log is damaged"), "{refused:?}");
}
