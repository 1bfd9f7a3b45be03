//! Settings that can't work are refused before anything is opened, each with its name and what it may be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::{CHECKPOINT_INTERVAL_MS_MAX, Config, Limits};

/// Seconds of a day, a month and a year: what longer times are measured in.
const DAY_S: u64 = 86_400;
const MONTH_S: u64 = 31 * DAY_S;

/// A hundred years, in days.
const DAYS_MAX: u32 = 36_525;

/// Everything that is wrong, in the order of the file.
#[derive(Default)]
struct Problems(Vec<String>);

/// Everything that is wrong with the settings; nothing where they can work.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Problems::default();
    problems.database(config);
    problems.files(config);
    problems.people(config);
    problems.limits(&config.limits);
    problems.log(config);
    problems.review(config);
    let erasure = &config.erasure;
    problems.range("erasure.after_death_days", erasure.after_death_days, 0, DAYS_MAX);
    problems.range("erasure.after_moving_out_days", erasure.after_moving_out_days, 0, DAYS_MAX);
    problems.range("feeds.kept_days", config.feeds.kept_days, 1, DAYS_MAX);
    problems.range("clock.ahead_of_log_days_max", config.clock.ahead_of_log_days_max, 1, 3650);
    let endpoint = &config.telemetry.otlp_endpoint;
    if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        problems.say("telemetry.otlp_endpoint", "must be empty, or begin with http:// or https://");
    }
    problems.0
}

// === impl Problems ===

impl Problems {
    fn say(&mut self, name: &str, rule: impl Display) {
        self.0.push(format!("  {name} {rule}"));
    }

    /// A number with a least and a largest value.
    fn range<N: PartialOrd + Display>(&mut self, name: &str, value: N, least: N, largest: N) {
        if !(value >= least && value <= largest) {
            self.say(name, format!("is {value}, and must be {least} to {largest}"));
        }
    }

    /// A number that must not be larger than another one.
    fn at_most<N: PartialOrd + Display>(&mut self, (name, value): (&str, N), (other, limit): (&str, N)) {
        if value > limit {
            self.say(name, format!("is {value}, and must be at most {other}, which is {limit}"));
        }
    }

    fn database(&mut self, config: &Config) {
        let postgres = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        let file = config.database_url.strip_prefix("sqlite:");
        if !postgres(&config.database_url) && file.is_none_or(|file| file.ends_with('/')) {
            self.say("database_url", "must be sqlite:FILE or postgres://USER@HOST/DATABASE");
        }
        if let Some(replica) = &config.database_replica_url {
            if !postgres(&config.database_url) {
                self.say("database_replica_url", "is for PostgreSQL, and database_url names none");
            } else if !postgres(replica) {
                self.say("database_replica_url", "must be postgres://USER@HOST/DATABASE");
            }
        }
        // One to write with, and one to read with meanwhile.
        self.range("database_connections_max", config.database_connections_max, 2, 10_000);
    }

    /// Files that are written must be files of their own.
    fn files(&mut self, config: &Config) {
        let mut files: Vec<(&str, PathBuf)> = vec![
            ("policy_file", config.policy_file.clone()),
            ("tls.certificate", config.tls.certificate.clone()),
            ("tls.key", config.tls.key.clone()),
            ("tls.client_ca", config.tls.client_ca.clone()),
            ("log.checkpoint_file", config.log.checkpoint_file.clone()),
            ("log.admin_checkpoint_file", config.log.admin_checkpoint_file.clone()),
        ];
        match &config.token {
            None => files.push(("keys_file", config.keys_file.clone())),
            Some(token) => {
                files.push(("token.pin_file", token.pin_file.clone()));
                if token.label.trim().is_empty() {
                    self.say("token.label", "must not be empty");
                }
            }
        }
        files.extend(config.people.as_ref().map(|people| ("people.file", people.file.clone())));
        files.extend(config.tls.client_crls.iter().map(|list| ("tls.client_crls", list.clone())));
        files.extend(config.store_options().sqlite_file().map(|file| ("database_url", file.to_owned())));
        let mut seen = BTreeMap::new();
        for (name, file) in files {
            if let Some(other) = seen.insert(plain(&file), name) {
                // One file may hold several things in PEM, and all of these are only read.
                let both_pem = [other, name].iter().all(|name| name.starts_with("tls."));
                if !both_pem {
                    self.say(name, format!("names the same file as {other}"));
                }
            }
        }
    }

    fn people(&mut self, config: &Config) {
        if let Some(people) = &config.people {
            self.range("people.sign_in_age_max_s", people.sign_in_age_max_s, 1, MONTH_S);
            self.range("people.content_sign_in_age_max_s", people.content_sign_in_age_max_s, 1, MONTH_S);
            let sign_in = ("people.sign_in_age_max_s", people.sign_in_age_max_s);
            self.at_most(("people.content_sign_in_age_max_s", people.content_sign_in_age_max_s), sign_in);
        }
        let Some(provider) = &config.oidc else { return };
        if provider.client_id.trim().is_empty() {
            self.say("oidc.client_id", "must not be empty");
        }
        if provider.algorithms.is_empty() {
            self.say("oidc.algorithms", "must name at least one of RS256, PS256, ES256, EdDSA");
        }
        if !provider.issuer.starts_with("https://") && !is_on_this_machine(&provider.issuer) {
            self.say("oidc.issuer", "must begin with https:// (or http:// on this machine)");
        }
    }

    fn limits(&mut self, limits: &Limits) {
        self.range("limits.connections_max", limits.connections_max, 1, 1_000_000);
        self.range("limits.connections_per_system_max", limits.connections_per_system_max, 1, 1_000_000);
        self.range("limits.handshakes_max", limits.handshakes_max, 1, 1_000_000);
        self.range("limits.streams_per_connection_max", limits.streams_per_connection_max, 1, 1_000_000);
        self.range("limits.calls_per_connection_max", limits.calls_per_connection_max, 1, 1_000_000);
        // The headers of any call take hundreds of bytes.
        self.range("limits.header_bytes_max", limits.header_bytes_max, 1024, 1 << 20);
        self.range("limits.message_bytes_max", limits.message_bytes_max, 4096, 1 << 28);
        self.range("limits.arriving_bytes_per_system_max", limits.arriving_bytes_per_system_max, 4096, 1 << 34);
        for (name, seconds, largest) in [
            ("limits.handshake_timeout_s", limits.handshake_timeout_s, 3600),
            ("limits.first_byte_timeout_s", limits.first_byte_timeout_s, 3600),
            ("limits.message_timeout_s", limits.message_timeout_s, DAY_S),
            ("limits.call_timeout_s", limits.call_timeout_s, DAY_S),
            ("limits.stream_timeout_s", limits.stream_timeout_s, MONTH_S),
            ("limits.keepalive_interval_s", limits.keepalive_interval_s, DAY_S),
            ("limits.keepalive_timeout_s", limits.keepalive_timeout_s, DAY_S),
            ("limits.connection_age_max_s", limits.connection_age_max_s, MONTH_S),
            ("limits.start_timeout_s", limits.start_timeout_s, DAY_S),
        ] {
            self.range(name, seconds, 1, largest);
        }
        // 0: calls under way are cut off at once.
        self.range("limits.drain_timeout_s", limits.drain_timeout_s, 0, DAY_S);
        let all = ("limits.connections_max", limits.connections_max);
        self.at_most(("limits.connections_per_system_max", limits.connections_per_system_max), all);
        let stream = ("limits.stream_timeout_s", limits.stream_timeout_s);
        self.at_most(("limits.call_timeout_s", limits.call_timeout_s), stream);
    }

    fn log(&mut self, config: &Config) {
        let log = &config.log;
        self.range("log.checkpoint_interval_ms", log.checkpoint_interval_ms, 1, CHECKPOINT_INTERVAL_MS_MAX);
        // 0: details are erased at the next look.
        self.range("log.retention.transfers_days", log.retention.transfers_days, 0, DAYS_MAX);
        self.range("log.retention.refusals_days", log.retention.refusals_days, 0, DAYS_MAX);
        self.range("log.retention.audits_days", log.retention.audits_days, 0, DAYS_MAX);
    }

    fn review(&mut self, config: &Config) {
        let review = &config.review;
        self.range("review.office_from_hour", review.office_from_hour, 0, 23);
        self.range("review.office_to_hour", review.office_to_hour, 1, 24);
        if review.office_from_hour >= review.office_to_hour {
            let to = review.office_to_hour;
            let rule =
                format!("is {}, and must be before review.office_to_hour, which is {to}", review.office_from_hour);
            self.say("review.office_from_hour", rule);
        }
        self.range("review.volume_factor", review.volume_factor, 1.0, 1_000_000.0);
        self.range("review.operator_factor", review.operator_factor, 1.0, 1_000_000.0);
        self.range("review.lookups_of_person_max", review.lookups_of_person_max, 1, 1_000_000_000);
    }
}

/// A path without `.` and `..`, so that two spellings of one file are seen to be one.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Whether an address is http:// and of this machine.
fn is_on_this_machine(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, ConfigError};

    /// What is said of the default settings with one change.
    fn refused(from: &str, to: &str) -> String {
        let text = Config::default_text();
        assert!(text.contains(from), "{from}");
        match Config::parse(&text.replacen(from, to, 1), Path::new("/x")) {
            Err(ConfigError::Refused { problems, .. }) => problems.join("\n"),
            other => panic!("{from} -> {to}: {:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn every_limit_has_a_least_value_and_is_named_with_it() {
        let limits = Config::default_text().split("[limits]\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let mut seen = 0;
        for line in limits.lines() {
            let (name, _) = line.split_once(" = ").unwrap();
            for wrong in ["0", "9999999999999"] {
                if (name, wrong) == ("drain_timeout_s", "0") || (name, wrong) == ("header_bytes_max", "9999999999999") {
                    continue;
                }
                let to = format!("\n{name} = {wrong}\n");
                let text = Config::default_text().replacen(&format!("\n{line}\n"), &to, 1);
                match Config::parse(&text, Path::new("/x")) {
                    Err(ConfigError::Refused { problems, .. }) => {
                        assert!(problems.iter().any(|problem| problem.contains(name)), "{problems:?}");
                    }
                    // Too large for its type: the parser names the line, and shows no value.
                    Err(ConfigError::Malformed { message, .. }) => {
                        let at = text.lines().position(|line| line == to.trim()).unwrap() + 1;
                        assert!(message.starts_with(&format!("line {at}: ")), "{message}");
                    }
                    other => panic!("{name} = {wrong}: {:?}", other.map(|_| ())),
                }
                seen += 1;
            }
        }
        assert!(seen >= 34, "{seen}");
    }

    #[test]
    fn what_can_not_work_is_refused_with_its_name_and_what_it_may_be() {
        for (from, to, said) in [
            (
                "header_bytes_max = 8192",
                "header_bytes_max = 1",
                "limits.header_bytes_max is 1, and must be 1024 to 1048576",
            ),
            (
                "checkpoint_interval_ms = 500",
                "checkpoint_interval_ms = 0",
                "log.checkpoint_interval_ms is 0, and must be 1 to 1000",
            ),
            ("checkpoint_interval_ms = 500", "checkpoint_interval_ms = 1001", "must be 1 to 1000"),
            (
                "connections_per_system_max = 64",
                "connections_per_system_max = 2000",
                "at most limits.connections_max, which is 1024",
            ),
            ("call_timeout_s = 30", "call_timeout_s = 7200", "at most limits.stream_timeout_s, which is 3600"),
            ("office_from_hour = 8", "office_from_hour = 20", "must be before review.office_to_hour, which is 19"),
            ("office_to_hour = 19", "office_to_hour = 25", "review.office_to_hour is 25, and must be 1 to 24"),
            ("volume_factor = 2.0", "volume_factor = nan", "review.volume_factor"),
            ("lookups_of_person_max = 20", "lookups_of_person_max = 0", "review.lookups_of_person_max is 0"),
            ("sign_in_age_max_s = 36000", "sign_in_age_max_s = 0", "people.sign_in_age_max_s is 0"),
            (
                "ahead_of_log_days_max = 40",
                "ahead_of_log_days_max = 0",
                "clock.ahead_of_log_days_max is 0, and must be 1 to 3650",
            ),
            ("\"admin.checkpoint\"", "\"log.checkpoint\"", "names the same file as log.checkpoint_file"),
            ("sqlite:atena.db", "mysql://x/y", "database_url must be sqlite:FILE or postgres://"),
            (
                "# database_connections_max = 16",
                "database_connections_max = 1",
                "database_connections_max is 1, and must be 2",
            ),
            ("otlp_endpoint = \"\"", "otlp_endpoint = \"collector:4317\"", "telemetry.otlp_endpoint"),
        ] {
            let told = refused(from, to);
            assert!(told.contains(said), "{to}: {told}");
        }
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let text = Config::default_text().replacen("handshakes_max = 128", "handshakes_max = 0", 1);
        let text = text.replacen("transfers_days = 2557", "transfers_days = 99999", 1);
        let error = Config::parse(&text, Path::new("/x")).unwrap_err().to_string();
        assert!(error.contains("limits.handshakes_max") && error.contains("log.retention.transfers_days"), "{error}");
    }
}
