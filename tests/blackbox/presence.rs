//! What an update does not say stays as it is: a column that is not in a file is no empty cell.

use atena_proto::v1;
use atena_proto::v1::RegistrationOutcome as Outcome;
use serde_json::Value;

use crate::people::{personal_number, registration, whole_person};
use crate::town::{Town, atena};

const PROTECTED: &str = "宛名番号,個人番号,氏名,性別,生年月日,市区町村コード,町字,番地号,支援措置対象者,住民状態\n\
    000000000000019,123456789018,試験　花子,2,1980-01-02,132098,森野,秘密二番地,1,1\n";
const IN_TAX: &str = "宛名番号,個人番号,氏名,性別,生年月日,市区町村コード,町字,番地号,住民状態\n\
    900000000000014,123456789018,試験　花子,2,1980-01-02,132098,森野,秘密二番地,1\n";
const COLUMNS_MISSING: &str = "宛名番号,個人番号,氏名\n000000000000019,123456789018,試験　花子\n";

/// A system's own view of a person, as far as the rules release it.
async fn view(town: &Town, system: &str, local: &str) -> v1::Person {
    let request = v1::GetPersonRequest {
        local_address_number: local.to_owned(),
        affair: "宛名管理事務".to_owned(),
        ..Default::default()
    };
    town.address_service(system).get_person(request).await.unwrap().into_inner().person.unwrap()
}

/// Registers a file as a system: what the program printed as JSON, and what it wrote to stderr.
fn register_file(town: &Town, system: &str, name: &str, content: &str) -> (Vec<Value>, String) {
    let file = town.home().join(name);
    std::fs::write(&file, content).unwrap();
    let file = file.to_str().unwrap();
    let arguments =
        ["register", "--home", town.home_text(), "--as", system, "--server", town.address(), "--json", file];
    let output = atena(&arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
}

/// The one outcome of all rows.
fn outcome_of(lines: &[Value]) -> &str {
    let outcomes: Vec<_> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes.len(), 1, "{lines:?}");
    outcomes[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_columns_keeps_the_address_and_the_protection() {
    let town = Town::start();
    let (lines, said) = register_file(&town, "pension", "protected.csv", PROTECTED);
    assert_eq!(outcome_of(&lines), "ISSUED");
    assert!(said.contains("方書") && !said.contains("番地号"), "only what the file lacks is named: {said}");
    register_file(&town, "resident-tax", "tax.csv", IN_TAX);
    assert!(view(&town, "resident-tax", "900000000000014").await.address.is_none(), "it is protected");

    let (lines, said) = register_file(&town, "pension", "missing.csv", COLUMNS_MISSING);
    assert_eq!(outcome_of(&lines), "UNCHANGED", "a row that repeats a part changes nothing");
    let missing = lines[0]["missing_columns"].as_array().unwrap();
    for column in ["番地号", "支援措置対象者", "生年月日"] {
        assert!(missing.iter().any(|one| one == column), "{column} is missing in {missing:?}");
        assert!(said.contains(column), "{said}");
    }
    let kept = view(&town, "pension", "000000000000019").await;
    assert_eq!((kept.protected, kept.birth_date.unwrap().date()), (Some(true), "1980-01-02"));
    let tax = view(&town, "resident-tax", "900000000000014").await;
    assert!(tax.address.is_none() && tax.protected(), "the protection holds for every reader");

    // An empty cell ends no protection; a 0 does, and an empty cell clears what it stands for.
    let cells = |flag: &str| format!("宛名番号,氏名,番地号,支援措置対象者\n000000000000019,試験　花子,,{flag}\n");
    let (lines, _) = register_file(&town, "pension", "empty.csv", &cells(""));
    assert_eq!(outcome_of(&lines), "UPDATED");
    assert!(view(&town, "resident-tax", "900000000000014").await.address.is_none());
    register_file(&town, "pension", "ended.csv", &cells("0"));
    let ended = view(&town, "pension", "000000000000019").await;
    let address = ended.address.unwrap();
    assert_eq!((address.town(), address.block()), ("森野", ""), "an empty cell cleared one of them");
    assert_eq!(view(&town, "resident-tax", "900000000000014").await.address.unwrap().block(), "秘密二番地");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_line_says_nothing_of_the_keys_it_lacks() {
    let town = Town::start();
    register_file(&town, "pension", "protected.csv", PROTECTED);
    let line = "{\"localAddressNumber\":\"000000000000019\",\"person\":{\"residentStatus\":\"RESIDENT_STATUS_MOVED_OUT\",\
        \"address\":{\"block\":\"\"}}}\n";
    let (lines, said) = register_file(&town, "pension", "moved.jsonl", line);
    assert_eq!((outcome_of(&lines), said.as_str()), ("UPDATED", ""));
    let kept = view(&town, "pension", "000000000000019").await;
    assert_eq!(kept.name.as_ref().unwrap().full_name(), "試験　花子");
    assert_eq!((kept.protected(), kept.resident_status()), (true, v1::ResidentStatus::MovedOut));
    let line = "{\"localAddressNumber\":\"000000000000019\",\"person\":{\"protected\":false}}\n";
    register_file(&town, "pension", "ended.jsonl", line);
    let address = view(&town, "pension", "000000000000019").await.address.unwrap();
    assert_eq!((address.town(), address.block()), ("森野", ""));
}

fn partial(local: &str, person: v1::Person) -> v1::PersonRegistration {
    v1::PersonRegistration { local_address_number: local.to_owned(), person: Some(person), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_person_stays_where_an_update_leaves_it_out() {
    let town = Town::start();
    let number = personal_number(51);
    let whole = v1::PersonRegistration {
        local_address_number: "A1".to_owned(),
        person: Some(whole_person(&number)),
        ..Default::default()
    };
    assert_eq!(town.register("pension", whole.clone()).await.unwrap().outcome(), Outcome::Issued);
    let before = view(&town, "pension", "A1").await;
    for said in [
        v1::Person::default(),
        v1::Person {
            address: Some(v1::Address::default()),
            name: Some(v1::PersonName::default()),
            ..Default::default()
        },
        v1::Person { personal_number: number.clone(), ..Default::default() },
        v1::Person { sex: before.sex, alias: before.alias.clone(), ..Default::default() },
    ] {
        let result = town.register("pension", partial("A1", said)).await.unwrap();
        assert_eq!(result.outcome(), Outcome::Unchanged);
    }
    let absent = v1::PersonRegistration { local_address_number: "A1".to_owned(), ..Default::default() };
    assert_eq!(town.register("pension", absent).await.unwrap().outcome(), Outcome::Unchanged, "no person at all");
    let female = v1::Person { sex: Some(v1::Sex::Female.into()), ..Default::default() };
    assert_eq!(town.register("pension", partial("A1", female)).await.unwrap().outcome(), Outcome::Updated);
    let after = view(&town, "pension", "A1").await;
    assert!(after == v1::Person { sex: Some(v1::Sex::Female.into()), ..before }, "one field changed");
    assert_eq!(town.register("pension", whole).await.unwrap().outcome(), Outcome::Updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_chunk_about_one_number_are_merged_in_their_order() {
    let town = Town::start();
    let text = |text: &str| Some(text.to_owned());
    let first = registration("A1", Some(&personal_number(61)));
    let address = |town: Option<String>, block: Option<String>| v1::Person {
        address: Some(v1::Address { town, block, ..Default::default() }),
        ..Default::default()
    };
    let nameless =
        v1::Person { name: Some(v1::PersonName { full_name: text(""), ..Default::default() }), ..Default::default() };
    let registrations = vec![
        partial("A2", address(text("原町田"), None)),
        first,
        partial("A1", address(text("森野"), text("1番"))),
        partial("A1", address(None, text("2番"))),
        partial("A1", nameless),
        partial("A1", address(text("森野"), None)),
        partial("A1", address(text(""), None)),
        partial("A1", v1::Person { sex: Some(v1::Sex::Female.into()), ..Default::default() }),
    ];
    let chunk = v1::RegisterPersonsRequest { request_id: String::new(), registrations };
    let mut answers =
        town.address_service("pension").register_persons(tokio_stream::once(chunk)).await.unwrap().into_inner();
    let results = answers.message().await.unwrap().unwrap().results;
    let fields = |result: &v1::RegistrationResult| -> Vec<String> {
        result.error.iter().flat_map(|error| &error.violations).map(|violation| violation.field.clone()).collect()
    };
    assert_eq!(fields(&results[0]), ["person.name"], "a first registration needs a name");
    assert_eq!(fields(&results[4]), ["person.name"], "and a name can't be cleared");
    let outcomes: Vec<_> = results.iter().map(v1::RegistrationResult::outcome).collect();
    let updated = Outcome::Updated;
    assert_eq!(outcomes[1..4], [Outcome::Issued, updated, updated]);
    assert_eq!(outcomes[5..], [Outcome::Unchanged, updated, updated]);
    let kept = view(&town, "pension", "A1").await;
    let address = kept.address.as_ref().unwrap();
    assert_eq!((address.town.as_deref(), address.block(), kept.sex()), (None, "2番", v1::Sex::Female));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_leaves_nothing_of_the_former_address_and_a_date_nothing_of_the_former_date() {
    let town = Town::start();
    let text = |text: &str| Some(text.to_owned());
    let mut first = registration("A1", Some(&personal_number(81)));
    let flat =
        v1::Address { town: text("森野"), block: text("1番"), building: text("101号"), ..Default::default() };
    let person = first.person.as_mut().unwrap();
    person.address = Some(flat.clone());
    person.birth_date =
        Some(v1::UncertainDate { unknown: Some(true), text: text("昭和１５年頃"), ..Default::default() });
    town.register("pension", first).await.unwrap();
    let moved = |building: Option<String>| {
        let address = v1::Address { town: text("原町田"), block: text("2番"), building, ..Default::default() };
        partial("A1", v1::Person { address: Some(address), ..Default::default() })
    };
    let refused = town.register("pension", moved(None)).await.err().unwrap();
    assert_eq!(crate::town::reason(&refused), "INVALID_FIELD");
    assert!(refused.message().contains("person.address.building"), "{}", refused.message());
    assert!(view(&town, "pension", "A1").await.address == Some(flat), "nothing changed");
    town.register("pension", moved(text(""))).await.unwrap();
    let address = view(&town, "pension", "A1").await.address.unwrap();
    assert_eq!((address.town(), address.block(), address.building()), ("原町田", "2番", ""));
    let date = v1::UncertainDate { date: text("1940-01-02"), ..Default::default() };
    let known = v1::Person { birth_date: Some(date.clone()), ..Default::default() };
    town.register("pension", partial("A1", known)).await.unwrap();
    assert!(view(&town, "pension", "A1").await.birth_date == Some(date));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protection_ends_only_by_the_system_that_set_it() {
    let town = Town::start();
    let number = personal_number(71);
    let of = |local: &str, protected: Option<bool>| {
        let mut registration = registration(local, Some(&number));
        let person = registration.person.as_mut().unwrap();
        person.address = Some(v1::Address { block: Some("秘密".to_owned()), ..Default::default() });
        person.protected = protected;
        registration
    };
    let hidden = async || view(&town, "resident-tax", "T1").await.address.is_none();
    for (system, local, protected, expected) in [
        ("pension", "A1", Some(true), None),
        ("resident-tax", "T1", Some(false), Some(true)),
        ("welfare", "W1", Some(true), Some(true)),
        ("pension", "A1", None, Some(true)),
        ("resident-tax", "T1", Some(false), Some(true)),
        ("pension", "A1", Some(false), Some(true)),
        ("welfare", "W1", None, Some(true)),
        ("welfare", "W1", Some(false), Some(false)),
    ] {
        town.register(system, of(local, protected)).await.unwrap();
        if let Some(expected) = expected {
            assert_eq!(hidden().await, expected, "after {system} said {protected:?}");
        }
    }
}
