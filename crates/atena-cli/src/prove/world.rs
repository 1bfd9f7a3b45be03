//! A small town with its gateway, in a temporary directory: the rules that are to be proved, made-up people, and one secret that may be
//! another one than in the next town.

use std::path::{Path, PathBuf};

use atena_domain::{Dataset, SystemId, check_digit};
use atena_gateway::Config;
use atena_policy::{Policy, Role};
use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use jiff::civil::Date;

use crate::client::{Caller, Client};
use crate::demo::server::GatewayProcess;
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::init;
use crate::pki::{Authority, CERTIFICATE_DAYS};
use crate::prove::telemetry::{self, Collector, Told};

/// People of the town.
pub(super) const PEOPLE: u64 = 12;

/// What is another in the second town, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// Every personal number.
    PersonalNumbers,
    /// This field of every record of the dataset.
    Field(Dataset, &'static str),
    /// How often `remarks` changed in all datasets, after the consumers pulled.
    Changes,
    /// One record of the dataset is not there. That is no secret from whoever watches: they have to see it.
    Missing(Dataset),
}

/// Every secret that is tried: of each dataset what tells most, and what belongs to its owner alone.
pub(super) const SECRETS: [Secret; 14] = [
    Secret::PersonalNumbers,
    Secret::Field(Dataset::Qualification, "basic_pension_number"),
    Secret::Field(Dataset::Qualification, "acquisition.date"),
    Secret::Field(Dataset::Qualification, "remarks"),
    Secret::Field(Dataset::Payment, "basic_pension_number"),
    Secret::Field(Dataset::Payment, "months.amount_yen"),
    Secret::Field(Dataset::Payment, "remarks"),
    Secret::Field(Dataset::Exemption, "decision"),
    Secret::Field(Dataset::Exemption, "remarks"),
    Secret::Field(Dataset::Benefit, "annual_amount_yen"),
    Secret::Field(Dataset::Benefit, "remarks"),
    Secret::Field(Dataset::WelfarePension, "annual_amount_yen"),
    Secret::Field(Dataset::WelfarePension, "remarks"),
    Secret::Changes,
];

/// The field that [`Secret::Changes`] is about.
const REMARKS: &str = "remarks";

/// Pushes that follow when the consumers have pulled. In one town they may change what is hidden, in
/// the other they change nothing.
const HIDDEN_PUSHES: u64 = 2;

/// What is tried so that the comparison of traces and counters is seen to fail.
pub(super) const CONTROL: Secret = Secret::Missing(Dataset::Payment);

/// Spans that a gateway may have waiting for the collector: none is to be lost, however many there are.
const SPANS_WAITING: (&str, &str) = ("OTEL_BSP_MAX_QUEUE_SIZE", "1000000");

/// A town that can be asked.
pub(super) struct World {
    home: Home,
    gateway: GatewayProcess,
    collector: Collector,
    /// When it was complete (nanoseconds since 1970): what comes later is asked.
    complete_at: u64,
}

// === impl World ===

impl World {
    /// Makes a town with these rules, and with the keys of another town if there is one: names of records come from them.
    pub(super) async fn make(
        root: &Path,
        rules: &Path,
        policy: &Policy,
        keys: Option<&Path>,
        secrets: &[Secret],
        today: Date,
    ) -> Result<Self, CliError> {
        let municipality = policy.municipality_code().as_str();
        let collector = Collector::open().await?;
        let endpoint = format!("otlp_endpoint = \"{}\"", collector.endpoint());
        let settings = Config::default_text().replace("otlp_endpoint = \"\"", &endpoint);
        let (home, known) = init::create_with(root, municipality, &[], &settings)?;
        std::fs::copy(rules, home.policy()).map_err(CliError::file("write", home.policy()))?;
        if let Some(keys) = keys {
            std::fs::copy(keys, home.keys()).map_err(CliError::file("write", home.keys()))?;
        }
        let authority = Authority::open(&home, today)?;
        for system in policy.systems().filter(|system| !known.iter().any(|known| known == system.id().as_str())) {
            let holder = Holder::System(system.id().as_str().to_owned());
            authority.issue_client(municipality, &holder, CERTIFICATE_DAYS, &home.systems())?;
        }
        let gateway = GatewayProcess::start(&home, &root.join("gateway.log"), "warn", &[SPANS_WAITING]).await?;
        let mut world = Self { home, gateway, collector, complete_at: 0 };
        world.fill(policy, secrets, today).await?;
        world.complete_at = telemetry::now();
        Ok(world)
    }

    /// A connection as a system.
    pub(super) async fn client(&self, system: &str) -> Result<Client, CliError> {
        let server = Some(self.gateway.address());
        Client::connect(&Caller { home: &self.home, system, server, operator: None, tape: None }).await
    }

    /// Ends the gateway, which tells its collector the rest before it ends.
    pub(super) async fn end(self) -> Result<Told, CliError> {
        self.gateway.stop().await?;
        Ok(self.collector.told_since(self.complete_at))
    }

    /// The file of its keys.
    pub(super) fn keys(&self) -> PathBuf {
        self.home.keys()
    }

    async fn fill(&self, policy: &Policy, secrets: &[Secret], today: Date) -> Result<(), CliError> {
        let owners: Vec<_> = Dataset::ALL.iter().filter_map(|dataset| policy.owner(*dataset)).collect();
        let (mut first, mut others): (Vec<_>, Vec<_>) = policy
            .systems()
            .filter(|system| {
                !system.revoked() && (system.has_role(Role::Consumer) || system.has_role(Role::DatasetOwner))
            })
            .partition(|system| owners.contains(&system.id()));
        first.append(&mut others);
        for system in first {
            let with_number = system.may_use_personal_number(today);
            let registrations = (0..PEOPLE).map(|person| registration(person, with_number, secrets)).collect();
            let chunk = v1::RegisterPersonsRequest { request_id: String::new(), registrations };
            let client = self.client(system.id().as_str()).await?;
            let mut answers = client.address().register_persons(tokio_stream::once(chunk)).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                whole(answer.results.iter().all(|result| result.error.is_none()))?;
            }
        }
        for dataset in Dataset::ALL {
            // Twice: a later revision that changes nothing that a caller may have must not be seen in any way.
            for revision in 1..=2 {
                let secrets = if revision == 2 { secrets.to_vec() } else { missing(secrets) };
                let records = (0..PEOPLE).filter_map(|person| record(dataset, person, revision, &secrets)).collect();
                self.push(policy, dataset, records).await?;
            }
        }
        Ok(())
    }

    /// Pushes more, after the consumers pulled: a change of the secret alone, further hidden changes, and
    /// new records that all may see who may see any.
    pub(super) async fn go_on(&self, policy: &Policy, secrets: &[Secret]) -> Result<(), CliError> {
        for dataset in Dataset::ALL {
            let of_all = |revision| {
                let missing = missing(secrets);
                let records = (0..PEOPLE).filter_map(|person| record(dataset, person, revision, &missing));
                records.collect::<Vec<_>>()
            };
            self.push(policy, dataset, of_all(3)).await?;
            for revision in 4..4 + HIDDEN_PUSHES {
                // As many calls in both towns: a call as such is no secret.
                let mut records = of_all(if secrets.contains(&Secret::Changes) { revision } else { 3 });
                records.iter_mut().filter(|record| record.revision > 3).for_each(change_remarks);
                self.push(policy, dataset, records).await?;
            }
            let new = (0..PEOPLE / 2).filter_map(|person| record(dataset, person, 1, &[]));
            let new = new.map(|record| v1::PushedRecord { record_key: format!("{}-new", record.record_key), ..record });
            self.push(policy, dataset, new.collect()).await?;
        }
        Ok(())
    }

    async fn push(&self, policy: &Policy, dataset: Dataset, records: Vec<v1::PushedRecord>) -> Result<(), CliError> {
        let Some(owner) = policy.owner(dataset) else { return Ok(()) };
        let client = self.client(owner.as_str()).await?;
        let chunk = v1::PushRecordsRequest { request_id: String::new(), records };
        let mut answers = client.records().push_records(tokio_stream::once(chunk)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            whole(answer.results.iter().all(|result| result.error.is_none()))?;
        }
        Ok(())
    }
}

/// A town that lacks something proves nothing.
fn whole(well: bool) -> Result<(), CliError> {
    if well { Ok(()) } else { Err(CliError::Answer("a made-up person or record was not taken")) }
}

/// A system's number of a person: the same text in every system, as it tells nothing.
pub(super) fn local(person: u64) -> String {
    format!("L{person}")
}

/// A made-up personal number of a person.
pub(super) fn personal_number(person: u64, secrets: &[Secret]) -> String {
    let body =
        if secrets.contains(&Secret::PersonalNumbers) { 50_000_000_000 } else { 10_000_000_000 } + 7_919 * person;
    let text = format!("{body:011}");
    let digits: Vec<u8> = text.bytes().map(|digit| digit - b'0').collect();
    format!("{text}{}", check_digit::m11w27(&digits))
}

fn registration(person: u64, with_number: bool, secrets: &[Secret]) -> v1::PersonRegistration {
    v1::PersonRegistration {
        local_address_number: local(person),
        person: Some(v1::Person {
            personal_number: if with_number { personal_number(person, secrets) } else { String::new() },
            name: Some(v1::PersonName { full_name: Some(format!("証明　{person}")), ..Default::default() }),
            sex: Some(v1::Sex::Female.into()),
            birth_date: Some(v1::UncertainDate {
                date: Some(format!("1980-01-{:02}", person + 1)),
                ..Default::default()
            }),
            ..Default::default()
        }),
        new_without_personal_number: !with_number,
        migrated_unified_address_number: String::new(),
    }
}

/// Those of the secrets that are a record which is not there: it is there in no revision.
fn missing(secrets: &[Secret]) -> Vec<Secret> {
    secrets.iter().copied().filter(|secret| matches!(secret, Secret::Missing(_))).collect()
}

fn change_remarks(record: &mut v1::PushedRecord) {
    let remarks = match &mut record.body {
        Some(Body::Qualification(of)) => &mut of.remarks,
        Some(Body::Payment(of)) => &mut of.remarks,
        Some(Body::Exemption(of)) => &mut of.remarks,
        Some(Body::Benefit(of)) => &mut of.remarks,
        Some(Body::WelfarePension(of)) => &mut of.remarks,
        Some(Body::Deletion(_)) | None => return,
    };
    *remarks = format!("note {}", record.revision);
}

fn record(dataset: Dataset, person: u64, revision: u64, secrets: &[Secret]) -> Option<v1::PushedRecord> {
    if secrets.contains(&Secret::Missing(dataset)) && person == 0 {
        return None;
    }
    let other = |field| secrets.contains(&Secret::Field(dataset, field));
    let basic_pension_number = if other("basic_pension_number") { "9876543210" } else { "1234567890" }.to_owned();
    let remarks = if other("remarks") { "another note" } else { "a note" }.to_owned();
    let text = str::to_owned;
    let amount = |field, usual| if other(field) { usual + 1_000 } else { usual };
    let body = match dataset {
        Dataset::Qualification => Body::Qualification(v1::Qualification {
            basic_pension_number,
            insured_type: v1::InsuredType::Category1.into(),
            acquisition: Some(v1::Acquisition {
                date: text(if other("acquisition.date") { "2005-04-02" } else { "2005-04-01" }),
                reason: v1::AcquisitionReason::Age20.into(),
            }),
            remarks,
            ..Default::default()
        }),
        Dataset::Payment => Body::Payment(v1::Payment {
            basic_pension_number,
            fiscal_year: 2025,
            months: vec![v1::PaymentMonth {
                month: text("2025-04"),
                status: text("B"),
                amount_yen: amount("months.amount_yen", 17_910),
            }],
            remarks,
            ..Default::default()
        }),
        Dataset::Exemption => Body::Exemption(v1::Exemption {
            basic_pension_number,
            kind: v1::ExemptionKind::Full.into(),
            application_date: text("2025-07-10"),
            decision: if other("decision") { v1::ExemptionDecision::Rejected } else { v1::ExemptionDecision::Pending }
                .into(),
            decision_date: if other("decision") { text("2025-09-01") } else { String::new() },
            remarks,
            ..Default::default()
        }),
        Dataset::Benefit => Body::Benefit(v1::Benefit {
            certificate_number: format!("{basic_pension_number}5350"),
            basic_pension_number,
            pension_code: text("5350"),
            kind: v1::BenefitKind::Disability.into(),
            disability_grade: 2,
            award_date: text("2020-06-01"),
            payment_start_month: text("2020-07"),
            annual_amount_yen: amount("annual_amount_yen", 831_700),
            remarks,
            ..Default::default()
        }),
        Dataset::WelfarePension => Body::WelfarePension(v1::WelfarePension {
            certificate_number: text("A1"),
            status: v1::WelfarePensionStatus::Full.into(),
            award_date: text("1986-04-01"),
            payment_start_month: text("1986-05"),
            annual_amount_yen: amount("annual_amount_yen", 400_000),
            remarks,
            ..Default::default()
        }),
        Dataset::Person => return None,
    };
    let record_key = format!("{}-{person}", dataset.as_str());
    Some(v1::PushedRecord { local_address_number: local(person), record_key, revision, body: Some(body) })
}

// === impl Secret ===

impl Secret {
    /// Whether it is among the fields that somebody is released.
    pub(super) fn is_among(self, released: &[(Dataset, String)]) -> bool {
        let (of, field) = match self {
            Self::PersonalNumbers => (Dataset::Person, "personal_number"),
            Self::Field(dataset, field) => (dataset, field),
            Self::Changes => return released.iter().any(|(_, path)| path == REMARKS),
            Self::Missing(_) => return false,
        };
        released.iter().any(|(dataset, path)| *dataset == of && path == field)
    }

    /// Whether a system may have it: then it may see the difference, and somebody who is released it has to.
    pub(super) fn is_for(self, policy: &Policy, system: &SystemId, released: &[(Dataset, String)]) -> bool {
        let owns = match self {
            Self::Field(dataset, _) => policy.owner(dataset) == Some(system),
            Self::Changes => Dataset::ALL.iter().any(|dataset| policy.owner(*dataset) == Some(system)),
            Self::PersonalNumbers | Self::Missing(_) => false,
        };
        owns || self.is_among(released)
    }
}
