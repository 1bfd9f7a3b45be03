//! `atena pki`.

use std::fs;

use atena_gateway::{
    Action, CERTIFICATE_NOTICE_DAYS, Config, LIST_NOTICE_DAYS, accounts_of, municipality_of, registered_systems,
};
use jiff::Timestamp;
use rcgen::RevocationReason;
use serde_json::{Value, json};

use super::acting;
use crate::Finished;
use crate::cli::{PkiCommand, PkiIssueArgs, PkiRenewArgs, PkiRevokeArgs, ReasonArg};
use crate::credential::Credential;
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::init::{japanese_day, private_directory};
use crate::output::Output;
use crate::pki::{Authority, CERTIFICATE_DAYS, Certificate, RevocationList, Revoked};
use crate::table::Table;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Issues, revokes, renews or shows.
pub(super) async fn run(command: &PkiCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        PkiCommand::Issue(args) => issue(args, output).await,
        PkiCommand::Revoke(args) => revoke(args, output).await,
        PkiCommand::Renew(args) => renew(args, output).await,
        PkiCommand::Status { home } => status(&Home::existing(home)?, output),
    }
}

async fn issue(args: &PkiIssueArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let config = Config::load(&home.config())?;
    let holder = match (&args.holder.system, &args.holder.person) {
        (_, Some(account)) => Holder::Person(account.clone()),
        (system, None) => Holder::System(system.clone().unwrap_or_default()),
    };
    let days = args.days.min(days_of(&holder, &config)?);
    let folder = args.out.clone().unwrap_or_else(|| holder.folder(&home));
    let path = folder.join(format!("{}.crt", holder.id()));
    if path.exists() {
        return Err(CliError::HasCertificate { kind: holder.kind(), id: holder.id().to_owned(), path });
    }
    let actor = acting::actor(&home, &config, &args.acting).await?;
    let municipality = municipality_of(&config)?;
    let authority = Authority::open(&home, japanese_day())?;
    let request =
        args.csr.as_ref().map(|csr| fs::read_to_string(csr).map_err(CliError::file("read", csr))).transpose()?;
    let issue = || {
        private_directory(&folder)?;
        match &request {
            Some(request) => authority.issue_requested(municipality.as_str(), &holder, days, request, &folder),
            None => authority.issue_client(municipality.as_str(), &holder, days, &folder),
        }
    };
    let action = match &holder {
        Holder::System(system) => Action::IssueSystemCertificate { system: system.clone() },
        Holder::Person(account) => Action::IssuePersonCertificate { account: account.clone() },
    };
    let certificate = super::recorded(&home, actor, action, issue, |_| 1).await?;
    tell(output, "issued", &holder.to_string(), &certificate)?;
    Ok(Finished::Clean)
}

/// Days that a certificate of this holder may be valid, if there is such a holder at all.
fn days_of(holder: &Holder, config: &Config) -> Result<u16, CliError> {
    match holder {
        Holder::System(system) => {
            let systems = registered_systems(config)?;
            match systems.contains(system) {
                true => Ok(u16::MAX),
                false => Err(CliError::NotRegistered { system: system.clone(), known: systems.join(", ") }),
            }
        }
        Holder::Person(id) => {
            let (accounts, today) = (accounts_of(config)?, japanese_day());
            let with_certificate =
                || accounts.iter().filter(|it| it.signs_in_with_certificate() && it.expires() >= today);
            let account = with_certificate().find(|account| account.id().as_str() == id).ok_or_else(|| {
                let known: Vec<_> = with_certificate().map(|account| account.id().as_str()).collect();
                CliError::NoAccount { account: id.clone(), known: known.join(", ") }
            })?;
            // To the end of the account's last day.
            Ok(u16::try_from((account.expires() - today).get_days() + 1).unwrap_or(u16::MAX))
        }
    }
}

async fn revoke(args: &PkiRevokeArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let authority = Authority::open(&home, japanese_day())?;
    let (now, gone) = (Timestamp::now(), revoked_serials(&[home.revocation_list()])?);
    let system = args.system.clone().map(Holder::System);
    let holder = system.or_else(|| args.person.clone().map(Holder::Person));
    let asked_for = |certificate: &Certificate| match (&holder, &args.serial) {
        (Some(holder), _) => certificate.holder().as_ref() == Some(holder),
        (None, Some(serial)) => certificate.serial.eq_ignore_ascii_case(serial.trim()),
        (None, None) => false,
    };
    let mut found = issued(&home)?;
    found.retain(|it| asked_for(it) && it.not_after > now && !gone.contains(&it.serial));
    if found.is_empty() {
        let what = holder.map(|holder| holder.to_string()).or_else(|| args.serial.clone()).unwrap_or_default();
        return Err(CliError::NothingToRevoke { what });
    }
    let reason = match args.reason {
        ReasonArg::Unspecified => RevocationReason::Unspecified,
        ReasonArg::KeyCompromise => RevocationReason::KeyCompromise,
        ReasonArg::Superseded => RevocationReason::Superseded,
        ReasonArg::CessationOfOperation => RevocationReason::CessationOfOperation,
    };
    let revoked: Vec<_> = found.iter().map(|it| Revoked { serial: it.serial_bytes.clone(), reason }).collect();
    let action = Action::RevokeCertificates { serials: found.iter().map(|it| it.serial.clone()).collect() };
    let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let actor = acting::actor(&home, &Config::load(&home.config())?, &args.acting).await?;
    super::recorded(&home, actor, action, || authority.revoke(&revoked), |_| count).await?;
    for certificate in &found {
        let whose = certificate.holder().map_or_else(|| certificate.subject.clone(), |holder| holder.to_string());
        tell(output, "revoked", &whose, certificate)?;
    }
    Ok(Finished::Clean)
}

async fn renew(args: &PkiRenewArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let config = Config::load(&home.config())?;
    // What a timer does daily gives nobody anything that they did not have, and without it the door closes to all.
    let actor = match args.system.is_empty() && args.person.is_empty() && !args.server {
        true => acting::unattended(&home, &config, &args.acting).await?,
        false => acting::actor(&home, &config, &args.acting).await?,
    };
    let renew = || renew_due(&home, args, output);
    super::recorded(&home, actor, Action::RenewCertificates, renew, |renewed| *renewed).await?;
    Ok(Finished::Clean)
}

/// Renews the list and what is due, and tells how many certificates were.
fn renew_due(home: &Home, args: &PkiRenewArgs, output: &mut Output) -> Result<u64, CliError> {
    let config = Config::load(&home.config())?;
    let municipality = municipality_of(&config)?;
    let authority = Authority::open(home, japanese_day())?;
    let (now, known) = (Timestamp::now(), home.holders()?);
    let people = args.person.iter().cloned().map(Holder::Person);
    let named: Vec<_> = args.system.iter().cloned().map(Holder::System).chain(people).collect();
    for holder in &named {
        // Names those that have one, if it has none.
        Credential::of(home, holder)?;
    }
    let mut renewed_count = 0;
    authority.revoke(&[])?;
    let gone = revoked_serials(&[home.revocation_list()])?;
    let due = |certificate: &Certificate| days_left(certificate.not_after, now) < CERTIFICATE_NOTICE_DAYS;
    if home.server().exists() {
        let server = Certificate::read(&home.server())?;
        if args.server || due(&server) {
            let renewed = authority.issue_server(server.names.iter().map(String::as_str))?;
            renewed_count += 1;
            tell(output, "renewed", "server", &renewed)?;
        }
    }
    for holder in &known {
        let folder = holder.folder(home);
        let path = folder.join(format!("{}.crt", holder.id()));
        let certificate = Certificate::read(&path)?;
        let wanted = named.contains(holder);
        // One that was revoked comes back only if somebody says so; whether a person goes on is never decided here.
        let by_itself = matches!(holder, Holder::System(_)) && due(&certificate) && !gone.contains(&certificate.serial);
        if !wanted && !by_itself {
            continue;
        }
        if !path.with_extension("key").exists() {
            output.note(&format!("{holder}: its key is not here; issue the next one with --csr"))?;
            continue;
        }
        let days = CERTIFICATE_DAYS.min(days_of(holder, &config)?);
        let renewed = authority.issue_client(municipality.as_str(), holder, days, &folder)?;
        renewed_count += 1;
        tell(output, "renewed", &holder.to_string(), &renewed)?;
    }
    let lists = RevocationList::read(&home.revocation_list())?;
    for list in &lists {
        let until = list.next_update.map(|next| next.to_string()).unwrap_or_default();
        if output.is_json() {
            output.json_line(&json!({ "done": "renewed", "what": "revocation list", "until": until }))?;
        } else {
            output.line(&format!("renewed  revocation list  until {until}"))?;
        }
    }
    Ok(renewed_count)
}

fn status(home: &Home, output: &mut Output) -> Result<Finished, CliError> {
    let config = Config::load(&home.config())?;
    let now = Timestamp::now();
    let mut table = Table::new(&[
        ("what", "種別"),
        ("name", "名称"),
        ("serial", "シリアル番号"),
        ("until", "有効期限"),
        ("days_left", "残日数"),
        ("state", "状態"),
    ]);
    let gone = revoked_serials(&config.tls.client_crls)?;
    let mut well = true;
    let mut row = |what: &str, name: &str, serial: &str, until: Timestamp, state: &str, matters: bool| {
        well &= !matters || state == "valid";
        let cells = [json!(what), json!(name), json!(serial), json!(until.to_string())];
        table.row(cells.into_iter().chain([Value::from(days_left(until, now)), json!(state)]));
    };
    let certificate_state = |it: &Certificate| match days_left(it.not_after, now) {
        _ if gone.contains(&it.serial) => "revoked",
        ..0 => "ended",
        0..CERTIFICATE_NOTICE_DAYS => "ends soon",
        _ => "valid",
    };
    for (what, path) in [("client authority", &config.tls.client_ca), ("server", &config.tls.certificate)] {
        let it = Certificate::read(path)?;
        row(what, &it.subject, &it.serial, it.not_after, certificate_state(&it), true);
    }
    for path in &config.tls.client_crls {
        for list in RevocationList::read(path)? {
            let until = list.next_update.unwrap_or(Timestamp::MAX);
            let state = match days_left(until, now) {
                ..0 => "ended",
                0..LIST_NOTICE_DAYS => "ends soon",
                _ => "valid",
            };
            row("revocation list", &list.issuer_name, &format!("{} revoked", list.revoked.len()), until, state, true);
        }
    }
    let mut certificates = issued(home)?;
    certificates.retain(|it| it.holder().is_some());
    certificates.sort_by(|one, other| {
        (one.holder(), other.not_after, &one.serial).cmp(&(other.holder(), one.not_after, &other.serial))
    });
    let mut newest = None;
    for it in &certificates {
        let Some(holder) = it.holder() else { continue };
        // What was replaced may end, and so may the certificate of a person, with the account.
        let matters = newest.as_ref() != Some(&holder) && !gone.contains(&it.serial) && holder.kind() == "system";
        row(holder.kind(), holder.id(), &it.serial, it.not_after, certificate_state(it), matters);
        newest = if gone.contains(&it.serial) { newest } else { Some(holder) };
    }
    output.table(&table)?;
    Ok(if well { Finished::Clean } else { Finished::SomeItemsFailed })
}

/// What the built-in authority ever issued. Homes from before it kept copies have those that are in use.
fn issued(home: &Home) -> Result<Vec<Certificate>, CliError> {
    let mut found: Vec<Certificate> = Vec::new();
    for folder in [home.issued(), home.systems(), home.people_certificates()] {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(CliError::file("read", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(CliError::file("read", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                let certificate = Certificate::read(&path)?;
                if found.iter().all(|known| known.serial != certificate.serial) {
                    found.push(certificate);
                }
            }
        }
    }
    Ok(found)
}

fn revoked_serials(lists: &[std::path::PathBuf]) -> Result<Vec<String>, CliError> {
    let mut serials = Vec::new();
    for path in lists {
        serials.extend(RevocationList::read(path)?.into_iter().flat_map(|list| list.revoked));
    }
    Ok(serials)
}

/// Whole days; negative once it has ended.
fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    (until.as_second() - now.as_second()).div_euclid(DAY_S)
}

fn tell(output: &mut Output, done: &str, what: &str, certificate: &Certificate) -> Result<(), CliError> {
    let (serial, until) = (&certificate.serial, certificate.not_after.to_string());
    if output.is_json() {
        return output.json_line(&json!({ "done": done, "what": what, "serial": serial, "until": until }));
    }
    output.line(&format!("{done}  {what}  serial {serial}  until {until}"))
}
