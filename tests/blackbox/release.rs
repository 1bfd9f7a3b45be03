//! deny-by-default: every system × affair × dataset × field, the bytes received against the rules.

use std::collections::{BTreeMap, BTreeSet};

use atena_proto::v1;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::people::{one_of_each, personal_number, registration, whole_person};
use crate::town::{Town, reason};

/// The pension datasets by the names of the policy and of the messages.
const DATASETS: [(&str, &str, v1::Dataset); 5] = [
    ("qualification", "Qualification", v1::Dataset::Qualification),
    ("payment", "Payment", v1::Dataset::Payment),
    ("exemption", "Exemption", v1::Dataset::Exemption),
    ("benefit", "Benefit", v1::Dataset::Benefit),
    ("welfare_pension", "WelfarePension", v1::Dataset::WelfarePension),
];

/// The rules as the file says them, read without Atena's own code: (system, affair, dataset) → fields.
struct Rules {
    systems: BTreeMap<String, bool>,
    affairs: BTreeSet<String>,
    fields: BTreeMap<(String, String, String), BTreeSet<String>>,
}

impl Rules {
    fn read(town: &Town) -> Self {
        let text = std::fs::read_to_string(town.home().join("policy.toml")).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let list = |value: &toml::Value| value.as_array().unwrap().clone();
        let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
        let systems = list(&file["system"])
            .iter()
            .map(|system| (text(&system["id"]), system.get("personal_number_basis").is_some()))
            .collect();
        let mut affairs = BTreeSet::from(["国民年金事務".to_owned()]);
        let mut fields = BTreeMap::new();
        for rule in list(&file["rule"]) {
            affairs.insert(text(&rule["affair"]));
            for (dataset, of_dataset) in rule["release"].as_table().unwrap() {
                for consumer in list(&rule["consumers"]) {
                    let place = (text(&consumer), text(&rule["affair"]), dataset.clone());
                    let known = fields.insert(place, list(of_dataset).iter().map(text).collect());
                    assert!(known.is_none(), "two rules for one place");
                }
            }
        }
        Self { systems, affairs, fields }
    }

    fn of(&self, system: &str, affair: &str, dataset: &str) -> Option<&BTreeSet<String>> {
        self.fields.get(&(system.to_owned(), affair.to_owned(), dataset.to_owned()))
    }
}

/// Paths of every field that is set; a field that the contract does not know fails the test.
fn leaves(message: &DynamicMessage, path: &str, found: &mut BTreeSet<String>) {
    assert_eq!(message.unknown_fields().count(), 0, "a field that the contract does not name arrived in {path}");
    for (field, value) in message.fields() {
        let path = format!("{path}{}", field.name());
        let inner: &[Value] = match value {
            Value::List(list) => list,
            one => std::slice::from_ref(one),
        };
        for value in inner {
            match value {
                Value::Message(inner) => leaves(inner, &format!("{path}."), found),
                _ => {
                    found.insert(path.clone());
                }
            }
        }
    }
}

fn leaves_of(message: &str, bytes: &[u8]) -> BTreeSet<String> {
    let pool = DescriptorPool::decode(atena_proto::FILE_DESCRIPTOR_SET).unwrap();
    let descriptor = pool.get_message_by_name(&format!("atena.v1.{message}")).unwrap();
    let mut found = BTreeSet::new();
    leaves(&DynamicMessage::decode(descriptor, bytes).unwrap(), "", &mut found);
    found
}

/// The system that does nothing by itself.
const CONSOLE: &str = "console";

/// How a system is refused, for this reason unless it is a console at which nobody signed in.
fn refused(system: &str, reason: &str) -> (String, tonic::Code) {
    match system {
        CONSOLE => ("SIGN_IN_REQUIRED".to_owned(), tonic::Code::Unauthenticated),
        _ => (reason.to_owned(), tonic::Code::PermissionDenied),
    }
}

/// A town where every system knows one person, and pension has pushed one record of each dataset with every field set.
async fn filled() -> (Town, Rules) {
    let town = Town::start();
    let rules = Rules::read(&town);
    let number = personal_number(31_415_926_535);
    for (system, may_use_numbers) in &rules.systems {
        if ["auditor", "internal-audit", CONSOLE].contains(&system.as_str()) {
            continue;
        }
        let mut whole = registration("P1", None);
        let person = whole_person(if *may_use_numbers { &number } else { "" });
        whole.new_without_personal_number = !may_use_numbers;
        whole.person = Some(person);
        let result = town.register(system, whole).await.unwrap();
        assert!(result.error.is_none(), "{system}: {:?}", result.error.map(|error| error.message));
    }
    for result in town.push(one_of_each("P1")).await {
        assert_eq!(result.outcome, i32::from(v1::PushOutcome::Stored), "{}", result.record_key);
    }
    (town, rules)
}

#[tokio::test(flavor = "multi_thread")]
async fn deny_by_default_every_system_gets_exactly_the_fields_that_the_rules_name() {
    let (town, rules) = filled().await;
    let mut released = 0;
    for system in rules.systems.keys() {
        let mut linkage = town.linkage(system);
        for affair in &rules.affairs {
            for (dataset, message, number) in DATASETS {
                let request = v1::GetRecordsRequest {
                    request_id: String::new(),
                    affair: affair.clone(),
                    datasets: vec![number.into()],
                    local_address_numbers: vec!["P1".to_owned()],
                };
                let answer = linkage.get_records(request).await;
                let place = format!("{system}, {affair}, {dataset}");
                let Some(allowed) = rules.of(system, affair, dataset) else {
                    let refusal = answer.err().unwrap_or_else(|| panic!("{place} was answered"));
                    assert_eq!((reason(&refusal), refusal.code()), refused(system, "RELEASE_NOT_PERMITTED"), "{place}");
                    continue;
                };
                let answer = answer.unwrap().into_inner();
                let [delivery] = answer.deliveries.as_slice() else { panic!("{place}") };
                let [record] = delivery.records.as_slice() else { panic!("{place}") };
                let body = record.body.as_ref().unwrap();
                assert_eq!(&leaves_of(message, body.bytes()), allowed, "{place}");
                // Whatever stands around the body is what the contract lists, and nothing else.
                let around = leaves_of("Delivery", &delivery.encode_to_vec());
                let prefix = format!("records.{dataset}.");
                let expected: BTreeSet<String> =
                    ["local_address_number", "dataset", "transfer_id", "records.record_id"]
                        .into_iter()
                        .map(str::to_owned)
                        .chain(allowed.iter().map(|field| format!("{prefix}{field}")))
                        .collect();
                assert_eq!(around, expected, "{place}");
                released += 1;
            }
        }
    }
    assert_eq!(released, 5, "two datasets for resident-tax, three for public-assistance");
}

#[tokio::test(flavor = "multi_thread")]
async fn deny_by_default_a_pull_releases_the_same_fields_as_a_question() {
    let (town, rules) = filled().await;
    for system in rules.systems.keys() {
        for affair in &rules.affairs {
            for (dataset, message, number) in DATASETS {
                let request = v1::PullRecordsRequest {
                    affair: affair.clone(),
                    datasets: vec![number.into()],
                    ..Default::default()
                };
                let place = format!("{system}, {affair}, {dataset}");
                let mut chunks = match town.linkage(system).pull_records(request).await {
                    Ok(chunks) => chunks.into_inner(),
                    // Refused before anything of the call was looked at.
                    Err(refusal) => {
                        assert_eq!((system.as_str(), reason(&refusal).as_str()), (CONSOLE, "SIGN_IN_REQUIRED"));
                        continue;
                    }
                };
                let Some(allowed) = rules.of(system, affair, dataset) else {
                    let refusal = chunks.message().await.err().unwrap_or_else(|| panic!("{place} was answered"));
                    assert_eq!(reason(&refusal), "RELEASE_NOT_PERMITTED", "{place}");
                    continue;
                };
                let mut records = 0;
                while let Some(chunk) = chunks.message().await.unwrap() {
                    for record in chunk.deliveries.iter().flat_map(|delivery| &delivery.records) {
                        assert_eq!(&leaves_of(message, record.body.as_ref().unwrap().bytes()), allowed, "{place}");
                        records += 1;
                    }
                }
                assert_eq!(records, 1, "{place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn number_confinement_a_system_reads_back_its_own_view_as_far_as_the_rules_say() {
    let (town, rules) = filled().await;
    for (system, may_use_numbers) in &rules.systems {
        let request = |include_personal_number| v1::GetPersonRequest {
            request_id: String::new(),
            local_address_number: "P1".to_owned(),
            affair: "宛名管理事務".to_owned(),
            include_personal_number,
        };
        let mut service = town.address_service(system);
        let Some(allowed) = rules.of(system, "宛名管理事務", "person") else {
            let refusal = service.get_person(request(false)).await.err().unwrap();
            assert_eq!(refusal.code(), refused(system, "").1, "{system}");
            continue;
        };
        let plain = service.get_person(request(false)).await.unwrap().into_inner();
        assert_eq!(plain.unified_address_number, "", "own-number-only: {system}");
        let got = leaves_of("Person", &plain.person.unwrap().encode_to_vec());
        let mut expected = allowed.clone();
        expected.remove("personal_number");
        // What is empty or false isn't on the wire: a birth date is either a date or unknown, and nobody here is protected.
        expected.remove("birth_date.date");
        expected.remove("protected");
        assert_eq!(got, expected, "{system}");
        let with_number = service.get_person(request(true)).await;
        if *may_use_numbers {
            let person = with_number.unwrap().into_inner().person.unwrap();
            assert_eq!(person.personal_number, personal_number(31_415_926_535), "{system}");
        } else {
            assert_eq!(reason(&with_number.err().unwrap()), "PERSONAL_NUMBER_NOT_PERMITTED", "{system}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumers_entitlements_are_the_rules_that_name_it() {
    let (town, rules) = filled().await;
    for system in rules.systems.keys() {
        let answer = town.linkage(system).list_entitlements(v1::ListEntitlementsRequest {}).await;
        let Ok(answer) = answer else { continue };
        let told: BTreeMap<_, BTreeSet<String>> = answer
            .into_inner()
            .entitlements
            .into_iter()
            .map(|entitlement| {
                assert!(!entitlement.bases.is_empty(), "{system}: a rule without a basis");
                let dataset = v1::Dataset::try_from(entitlement.dataset).unwrap();
                let dataset = dataset.as_str_name().strip_prefix("DATASET_").unwrap().to_lowercase();
                ((system.clone(), entitlement.affair, dataset), entitlement.fields.into_iter().collect())
            })
            .collect();
        let of_system = |place: &&(String, String, String)| place.0 == *system;
        let expected: BTreeMap<_, _> =
            rules.fields.keys().filter(of_system).map(|place| (place.clone(), rules.fields[place].clone())).collect();
        assert_eq!(told, expected, "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_protected_person_is_shown_to_nobody_who_may_not_see_it_whoever_said_so() {
    let (town, _) = filled().await;
    let view = |system: &'static str| {
        let mut service = town.address_service(system);
        async move {
            let request = v1::GetPersonRequest {
                local_address_number: "P1".to_owned(),
                affair: "宛名管理事務".to_owned(),
                ..Default::default()
            };
            service.get_person(request).await.unwrap().into_inner().person.unwrap()
        }
    };
    let before = view("resident-tax").await;
    assert!(before.address.is_some() && !before.protected());
    // 支援措置: one system learns of it; from then on it holds in the answers to all.
    let mut protected = registration("P1", None);
    protected.new_without_personal_number = false;
    protected.person = Some(v1::Person { protected: Some(true), ..whole_person(&personal_number(31_415_926_535)) });
    town.register("welfare", protected).await.unwrap();
    for system in ["resident-tax", "welfare", "pension"] {
        let after = view(system).await;
        assert!(after.protected(), "{system}");
        assert!(after.address.is_none(), "{system} sees the address of a protected person");
    }
}
