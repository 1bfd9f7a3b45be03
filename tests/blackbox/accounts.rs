//! People with certificates of their own: who they are, what their role lets them do, and until when.

use std::path::{Path, PathBuf};

use atena_proto::v1;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::transfer_log_service_client::TransferLogServiceClient;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::people::registration;
use crate::town::{Town, atena, printed, reason, seen};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/people-matrix.txt")
}

fn today() -> Date {
    tz::offset(9).to_datetime(Timestamp::now()).date()
}

/// An account that is good from yesterday to tomorrow.
pub(crate) fn account(id: &str, role: &str) -> String {
    let (from, to) = (today().saturating_sub(1.day()), today().saturating_add(1.day()));
    format!(
        "[[account]]\nid = \"{id}\"\ndivision = \"監査事務局\"\nroles = [\"{role}\"]\ncertificate = true\nvalid_from = {from}\nexpires = {to}\n"
    )
}

/// Writes people.toml as an editor would that replaces the file.
pub(crate) fn write_accounts(town: &Town, accounts: &[String]) {
    let new = town.home().join("people.new");
    std::fs::write(&new, accounts.join("\n")).unwrap();
    std::fs::rename(new, town.home().join("people.toml")).unwrap();
}

pub(crate) fn issue(town: &Town, account: &str) {
    printed(&atena(&["pki", "issue", "--home", town.home_text(), "--person", account]));
}

/// A town that has these accounts.
pub(crate) fn town_with(accounts: &[String]) -> Town {
    let mut town = Town::prepare();
    write_accounts(&town, accounts);
    town.serve();
    town
}

/// A town whose people are these, each with a certificate.
fn town_of(people: &[(&str, &str)]) -> Town {
    let town = town_with(&people.iter().map(|(id, role)| account(id, role)).collect::<Vec<_>>());
    people.iter().for_each(|(id, _)| issue(&town, id));
    town
}

async fn list(channel: Channel) -> Result<Vec<v1::Transfer>, Status> {
    let request = v1::ListTransfersRequest { page_size: 1000, ..Default::default() };
    Ok(TransferLogServiceClient::new(channel).list_transfers(request).await?.into_inner().transfers)
}

/// Any method of the contract with an empty message: whoever may call it is told what is missing, and not that they may not.
async fn call(channel: &Channel, method: &str) -> Result<(), Status> {
    let path: PathAndQuery = format!("/atena.v1.{method}").parse().unwrap();
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    client.unary(tonic::Request::new(()), path, ProstCodec::<(), ()>::default()).await.map(|_| ())
}

#[test]
fn deny_by_default_what_each_role_of_people_may_call_is_the_golden_file() {
    let matrix = printed(&atena(&["people", "roles"]));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(), &matrix).unwrap();
    }
    let expected = std::fs::read_to_string(golden()).unwrap();
    assert!(matrix == expected, "what people may call has changed: run `make golden` and look at the difference");
}

/// The golden file is what happens: every call of the contract, as a person of each role.
#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_call_what_the_golden_file_says_and_nothing_else() {
    let roles = ["operator", "information-manager", "auditor", "auditor-with-content"];
    let people: Vec<_> = ["p1", "p2", "p3", "p4"].into_iter().zip(roles).collect();
    let town = town_of(&people);
    let text = std::fs::read_to_string(golden()).unwrap();
    let mut called = 0;
    for (id, role) in people {
        let channel = town.person_channel(id);
        for line in text.lines() {
            let [of, method, may] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
            if of != role {
                continue;
            }
            called += 1;
            let answer = call(&channel, method).await;
            match may {
                "refused" => assert_eq!(reason(&answer.unwrap_err()), "ROLE_REQUIRED", "{line}"),
                _ => {
                    let code = answer.err().map(|status| status.code());
                    assert!(!matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated)), "{line}: {code:?}");
                }
            }
        }
    }
    assert_eq!(called, text.lines().count(), "every line was tried");
    let refused = town.transfers("reason = \"ROLE_REQUIRED\"").await;
    assert_eq!(
        refused.len(),
        text.lines().filter(|line| line.ends_with("refused")).count(),
        "each refusal is recorded"
    );
    assert!(refused.iter().all(|transfer| transfer.system_id == "person" && transfer.operator_id.starts_with('p')));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_asks_is_recorded_under_an_account_that_is_proved_and_stands_in_no_leaf() {
    let town = town_of(&[("aud-4711", "auditor")]);
    town.register("pension", registration("P1", None)).await.unwrap();
    list(town.person_channel("aud-4711")).await.unwrap();
    let told = v1::ListTransfersRequest::default();
    let mut told_request = tonic::Request::new(told.clone());
    told_request.metadata_mut().insert("x-atena-operator-id", "clerk-9".parse().unwrap());
    town.transfer_log("internal-audit").list_transfers(told_request).await.unwrap();

    let found = list(town.person_channel("aud-4711")).await.unwrap();
    let of = |operator: &str| found.iter().find(|transfer| transfer.operator_id == operator).unwrap();
    let (person, system) = (of("aud-4711"), of("clerk-9"));
    assert_eq!((person.operator_proof(), person.system_id.as_str()), (v1::OperatorProof::Certificate, "person"));
    assert_eq!(person.division, "監査事務局");
    assert_eq!((system.operator_proof(), system.system_id.as_str()), (v1::OperatorProof::Told, "internal-audit"));
    let nobody = found.iter().find(|transfer| transfer.method == "AddressService/RegisterPerson").unwrap();
    assert_eq!(nobody.operator_proof(), v1::OperatorProof::Unspecified);

    // Nobody acts in the name of another.
    let mut other = tonic::Request::new(told);
    other.metadata_mut().insert("x-atena-operator-id", "clerk-9".parse().unwrap());
    let mut client = TransferLogServiceClient::new(town.person_channel("aud-4711"));
    assert_eq!(reason(&client.list_transfers(other).await.err().unwrap()), "INVALID_FIELD");

    let out = town.home().join("copy");
    printed(&atena(&["log", "export", "--home", town.home_text(), "--out", out.to_str().unwrap()]));
    let mut folders = vec![out];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                assert!(memchr::memmem::find(&content, b"aud-4711").is_none(), "{}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_taken_away_or_has_ended_opens_nothing_and_ends_open_connections() {
    let town = town_of(&[("a1", "auditor"), ("a2", "auditor"), ("a3", "auditor")]);
    let channel = town.person_channel("a1");
    list(channel.clone()).await.unwrap();
    let yesterday = today().saturating_sub(1.day());
    let ended = account("a2", "auditor")
        .replace(&format!("expires = {}", today().saturating_add(1.day())), &format!("expires = {yesterday}"));
    let without_certificate = account("a3", "auditor").replace("certificate = true", "oidc_subject = \"x\"");
    write_accounts(&town, &[ended, without_certificate]);
    town.wait_for_log("a connection is cut off: the account of its person");
    for (id, refused) in [("a1", "CALLER_UNKNOWN"), ("a2", "CALLER_REVOKED"), ("a3", "CALLER_UNKNOWN")] {
        let status = refusal(&town, id).await;
        assert_eq!((reason(&status).as_str(), status.code()), (refused, Code::Unauthenticated), "{id}");
        let recorded = town.transfers(&format!("operator_id = \"{id}\" AND reason = \"{refused}\"")).await;
        assert!(!recorded.is_empty(), "a refused sign-in is recorded, of whom the certificate names");
        assert_eq!(recorded[0].operator_proof(), v1::OperatorProof::Certificate);
    }
    // A broken file adds nothing, and an account that comes back is let in again.
    std::fs::write(town.home().join("people.toml"), "[[account]]\nid = \"a1\"\n").unwrap();
    town.wait_for_log("the new accounts can't be used");
    assert!(list(town.person_channel("a1")).await.is_err());
    write_accounts(&town, &[account("a1", "auditor")]);
    seen("a1 is let in again", async || list(town.person_channel("a1")).await.ok()).await;
}

/// How the gateway refuses a person. Each look at the accounts cuts off open connections of people who
/// may not sign in, so a call may also end without an answer.
async fn refusal(town: &Town, id: &str) -> Status {
    let answered = |status: &Status| !status.details().is_empty();
    seen("a refusal", async || list(town.person_channel(id)).await.err().filter(answered)).await
}

/// deny-by-default: the end of an account is never held up by what else is wrong in the file.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_ends_ends_though_the_file_is_wrong_elsewhere() {
    let tomorrow = format!("expires = {}", today().saturating_add(1.day()));
    let yesterday = format!("expires = {}", today().saturating_sub(1.day()));
    for trouble in ["[[account]]\nid = \"a9\"\n", "[[oops"] {
        let town = town_of(&[("a1", "auditor"), ("a2", "auditor")]);
        let open = town.person_channel("a1");
        list(open.clone()).await.unwrap();
        let ended = account("a1", "auditor").replace(&tomorrow, &yesterday);
        write_accounts(&town, &[ended, account("a2", "auditor"), trouble.to_owned()]);
        town.wait_for_log("a connection is cut off: the account of its person");
        town.wait_for_log("taken away at once, though the new accounts are refused");
        assert_eq!(reason(&refusal(&town, "a1").await), "CALLER_REVOKED", "{trouble}");
        assert!(list(town.person_channel("a2")).await.is_ok(), "the others go on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_person_is_issued_for_an_account_revoked_and_never_outlives_it() {
    let town = town_of(&[("a1", "auditor")]);
    let unknown = atena(&["pki", "issue", "--home", town.home_text(), "--person", "nobody"]);
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(told.contains("people.toml has no account `nobody`") && told.contains("a1"), "{told}");
    let status = printed(&atena(&["pki", "status", "--home", town.home_text(), "--json"]));
    let line = status.lines().find(|line| line.contains("\"person\"")).unwrap();
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(row["days_left"].as_i64().unwrap() <= 2, "it ends with the account: {row}");
    list(town.person_channel("a1")).await.unwrap();
    let listed = printed(&atena(&[
        "transfers",
        "--home",
        town.home_text(),
        "--server",
        town.address(),
        "--as",
        "person/a1",
        "--json",
    ]));
    assert!(listed.contains("TransferLogService/ListTransfers"), "{listed}");
    printed(&atena(&["pki", "revoke", "--home", town.home_text(), "--person", "a1"]));
    town.wait_for_log("certificates read anew");
    assert!(list(town.person_channel("a1")).await.is_err());
    assert!(list(town.channel("auditor")).await.is_ok(), "a system of no such name is untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_information_manager_reads_the_rules_of_every_system() {
    let town = town_of(&[("m1", "information-manager")]);
    let mut client = LinkageServiceClient::new(town.person_channel("m1"));
    let all = client.list_entitlements(v1::ListEntitlementsRequest {}).await.unwrap().into_inner().entitlements;
    for system in ["resident-tax", "public-assistance", "welfare"] {
        let own = town.linkage(system).list_entitlements(v1::ListEntitlementsRequest {}).await.unwrap().into_inner();
        let of_system: Vec<_> = all.iter().filter(|it| it.system_id == system).cloned().collect();
        assert!(own.entitlements == of_system && !of_system.is_empty(), "{system}");
    }
}

/// A console may do nothing by itself, and nobody's token goes through anything but a console.
#[tokio::test(flavor = "multi_thread")]
async fn a_console_at_which_nobody_signed_in_may_do_nothing() {
    let town = town_of(&[("a1", "auditor")]);
    let console = town.channel("console");
    let text = std::fs::read_to_string(golden()).unwrap();
    for method in text.lines().filter_map(|line| line.strip_prefix("auditor | ")?.split(" | ").next()) {
        let status = call(&console, method).await.unwrap_err();
        assert_eq!((reason(&status).as_str(), status.code()), ("SIGN_IN_REQUIRED", Code::Unauthenticated), "{method}");
    }
    let with_token = |channel| {
        let mut request = tonic::Request::new(v1::ListTransfersRequest::default());
        request.metadata_mut().insert("authorization", "Bearer a.b.c".parse().unwrap());
        async move { reason(&TransferLogServiceClient::new(channel).list_transfers(request).await.err().unwrap()) }
    };
    // Without a provider in the settings there is nobody who could vouch for it.
    assert_eq!(with_token(console).await, "SIGN_IN_UNAVAILABLE");
    assert_eq!(with_token(town.channel("auditor")).await, "INVALID_FIELD");
    assert_eq!(with_token(town.person_channel("a1")).await, "INVALID_FIELD");
    let recorded = town.transfers("reason = \"SIGN_IN_REQUIRED\"").await;
    assert!(recorded.iter().all(|transfer| transfer.system_id == "console" && transfer.operator_id.is_empty()));
    assert!(!recorded.is_empty(), "refused sign-ins are recorded like other refusals");
}

#[test]
fn accounts_with_a_problem_stop_a_start_and_are_told_with_their_lines() {
    let town = Town::prepare();
    write_accounts(&town, &[account("a1", "auditor").replace("監査事務局", " "), account("A1", "root")]);
    let file = town.home().join("people.toml");
    for arguments in [
        &["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"][..],
        &["people", "check", file.to_str().unwrap()],
    ] {
        let refused = atena(arguments);
        assert_eq!(refused.status.code(), Some(1));
        let told = String::from_utf8(refused.stderr).unwrap();
        for part in ["people.toml:3: ", "division must be", "account \"A1\" is there twice", "role \"root\""] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    write_accounts(&town, &[account("a1", "auditor")]);
    assert!(
        printed(&atena(&["people", "check", file.to_str().unwrap()])).contains("1 accounts, 1 of them valid today")
    );
    let listed = printed(&atena(&["people", "list", "--home", town.home_text(), "--json"]));
    assert!(listed.contains("\"valid\"") && listed.contains("監査事務局"), "{listed}");
    std::fs::remove_file(file).unwrap();
    let refused = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot read the accounts"));
}

/// number-confinement: what a caller sent as a number, and under which no person was found, may be anything.
/// It is shown with the right to content alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_nobody_is_shown_only_to_an_auditor_who_may_see_content() {
    let town = town_of(&[("p1", "auditor"), ("p2", "auditor-with-content")]);
    town.register("resident-tax", registration("T1", None)).await.unwrap();
    let padded = format!("X{}", crate::people::personal_number(4711));
    let request = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        local_address_numbers: vec![padded.clone(), "T1".to_owned()],
        ..Default::default()
    };
    town.linkage("resident-tax").get_records(request).await.unwrap();
    let person = |account: &str| town.person_channel(account);
    for (channel, sees) in [
        (town.channel("auditor"), false),
        (town.channel("internal-audit"), true),
        (person("p1"), false),
        (person("p2"), true),
    ] {
        let listed = list(channel.clone()).await.unwrap();
        let asked = |outcome: v1::TransferOutcome| {
            let mut of_call = listed.iter().filter(|one| one.method == "LinkageService/GetRecords");
            of_call.find(|one| one.outcome() == outcome).unwrap()
        };
        let linked = asked(v1::TransferOutcome::Released);
        assert_eq!((linked.local_address_number.as_str(), linked.local_address_number_withheld), ("T1", false));
        let of_nobody = asked(v1::TransferOutcome::Refused);
        let request = v1::GetTransferRequest { transfer_id: of_nobody.transfer_id.clone() };
        let one = TransferLogServiceClient::new(channel).get_transfer(request).await.unwrap().into_inner();
        for transfer in [of_nobody, &one.transfer.unwrap()] {
            let expected = if sees { padded.as_str() } else { "" };
            assert_eq!(transfer.local_address_number, expected);
            assert_eq!(transfer.local_address_number_withheld, !sees);
        }
    }
}
