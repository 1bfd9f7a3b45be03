//! `atena pki`.

use std::fs;

use atena_gateway::{Action, CERTIFICATE_NOTICE_DAYS, Config, LIST_NOTICE_DAYS, municipality_of, registered_systems};
use jiff::Timestamp;
use rcgen::RevocationReason;
use serde_json::{Value, json};

use crate::Finished;
use crate::cli::{PkiCommand, PkiIssueArgs, PkiRenewArgs, PkiRevokeArgs, ReasonArg};
use crate::error::CliError;
use crate::home::Home;
use crate::init::japanese_day;
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
    let systems = registered_systems(&config)?;
    if !systems.contains(&args.system) {
        return Err(CliError::NotRegistered { system: args.system.clone(), known: systems.join(", ") });
    }
    let folder = args.out.clone().unwrap_or_else(|| home.systems());
    let path = folder.join(format!("{}.crt", args.system));
    if path.exists() {
        return Err(CliError::HasCertificate { system: args.system.clone(), path });
    }
    let municipality = municipality_of(&config)?;
    let authority = Authority::open(&home, japanese_day())?;
    let request =
        args.csr.as_ref().map(|csr| fs::read_to_string(csr).map_err(CliError::file("read", csr))).transpose()?;
    let issue = || match &request {
        Some(request) => authority.issue_requested(municipality.as_str(), &args.system, args.days, request, &folder),
        None => authority.issue_system(municipality.as_str(), &args.system, args.days, &folder),
    };
    let action = Action::IssueCertificate { system: args.system.clone() };
    let certificate = super::recorded(&home, action, issue, |_| 1).await?;
    tell(output, "issued", &args.system, &certificate)?;
    Ok(Finished::Clean)
}

async fn revoke(args: &PkiRevokeArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let authority = Authority::open(&home, japanese_day())?;
    let (now, gone) = (Timestamp::now(), revoked_serials(&[home.revocation_list()])?);
    let asked_for = |certificate: &Certificate| match (&args.system, &args.serial) {
        (Some(system), _) => certificate.system_id() == Some(system),
        (None, Some(serial)) => certificate.serial.eq_ignore_ascii_case(serial.trim()),
        (None, None) => false,
    };
    let mut found = issued(&home)?;
    found.retain(|it| asked_for(it) && it.not_after > now && !gone.contains(&it.serial));
    if found.is_empty() {
        let what = args.system.as_ref().or(args.serial.as_ref()).cloned().unwrap_or_default();
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
    super::recorded(&home, action, || authority.revoke(&revoked), |_| count).await?;
    for certificate in &found {
        tell(output, "revoked", certificate.system_id().unwrap_or(&certificate.subject), certificate)?;
    }
    Ok(Finished::Clean)
}

async fn renew(args: &PkiRenewArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    super::recorded(&home, Action::RenewCertificates, || renew_due(&home, args, output), |renewed| *renewed).await?;
    Ok(Finished::Clean)
}

/// Renews the list and what is due, and tells how many certificates were.
fn renew_due(home: &Home, args: &PkiRenewArgs, output: &mut Output) -> Result<u64, CliError> {
    let config = Config::load(&home.config())?;
    let municipality = municipality_of(&config)?;
    let authority = Authority::open(home, japanese_day())?;
    let (now, known) = (Timestamp::now(), home.systems_with_certificate()?);
    for system in &args.system {
        // Names those that have one, if it has none.
        home.client_certificate(system)?;
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
    for system in &known {
        let path = home.systems().join(format!("{system}.crt"));
        let certificate = Certificate::read(&path)?;
        let wanted = args.system.contains(system);
        // One that was revoked comes back only if somebody says so.
        if !wanted && (!due(&certificate) || gone.contains(&certificate.serial)) {
            continue;
        }
        if !path.with_extension("key").exists() {
            output.note(&format!("{system}: its key is not here; issue the next one with --csr"))?;
            continue;
        }
        let renewed = authority.issue_system(municipality.as_str(), system, CERTIFICATE_DAYS, &home.systems())?;
        renewed_count += 1;
        tell(output, "renewed", system, &renewed)?;
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
    certificates.retain(|it| it.system_id().is_some());
    certificates.sort_by(|one, other| {
        (one.system_id(), other.not_after, &one.serial).cmp(&(other.system_id(), one.not_after, &other.serial))
    });
    let mut newest = None;
    for it in &certificates {
        let system = it.system_id();
        // What was replaced may end.
        let matters = newest != system && !gone.contains(&it.serial);
        newest = if gone.contains(&it.serial) { newest } else { system };
        row("system", system.unwrap_or_default(), &it.serial, it.not_after, certificate_state(it), matters);
    }
    output.table(&table)?;
    Ok(if well { Finished::Clean } else { Finished::SomeItemsFailed })
}

/// What the built-in authority ever issued. Homes from before it kept copies have those that are in use.
fn issued(home: &Home) -> Result<Vec<Certificate>, CliError> {
    let mut found: Vec<Certificate> = Vec::new();
    for folder in [home.issued(), home.systems()] {
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
