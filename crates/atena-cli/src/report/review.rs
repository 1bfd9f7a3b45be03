//! The monthly review (月次点検): what was unusual, for somebody to look into.

use std::collections::{BTreeMap, BTreeSet};

use atena_gateway::ReviewConfig;
use atena_proto::v1::{Transfer, TransferOutcome, TransferSummary};
use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, tz};
use maud::{Markup, html};

use super::chart::{Bar, bars};
use super::page::page;
use crate::terms;

/// What the review is made of.
pub(crate) struct Review<'a> {
    /// The first day of the month.
    pub(crate) month: Date,
    /// Counts of the month.
    pub(crate) counts: &'a [TransferSummary],
    /// Counts of the months before, for what is usual.
    pub(crate) before: &'a [TransferSummary],
    /// Calls of the month that a person may have caused: single questions.
    pub(crate) lookups: &'a [Transfer],
    /// Refused, cancelled and failed calls of the month.
    pub(crate) refusals: &'a [Transfer],
    /// What is unusual.
    pub(crate) limits: &'a ReviewConfig,
}

/// Something that somebody should look into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusual(pub(crate) String);

// === impl Review ===

impl Review<'_> {
    /// Everything unusual, in the order of the report.
    pub(crate) fn unusual(&self) -> Vec<Unusual> {
        let mut found = Vec::new();
        for (system, days) in self.volumes() {
            let usual = self.usual(&system);
            for (day, count) in days {
                if self.is_unusual_volume(count, usual) {
                    found.push(Unusual(format!(
                        "{system}: {day} の件数 {count} は通常 ({:.0}) を大きく上回る",
                        usual.unwrap_or_default()
                    )));
                }
            }
        }
        for ((system, operator), count) in self.out_of_hours() {
            found.push(Unusual(format!("{system} 操作者 {operator}: 時間外の照会 {count} 件")));
        }
        for ((system, person), count) in self.looked_up() {
            if count > self.limits.lookups_of_person_max {
                found.push(Unusual(format!("{system}: 宛名番号 {person} の照会が {count} 回 (見過ぎ)")));
            }
        }
        let operators = self.operators();
        let median = median(operators.values().copied().collect());
        for ((system, operator), count) in &operators {
            if operators.len() > 2 && as_f64(*count) > median * self.limits.operator_factor {
                found.push(Unusual(format!(
                    "{system} 操作者 {operator}: 照会 {count} 件は中央値 ({median:.0}) を大きく上回る"
                )));
            }
        }
        found
    }

    /// The page.
    pub(crate) fn to_html(&self) -> String {
        let unusual = self.unusual();
        let content = html! {
            h2 { "1. 確認を要するもの" }
            @if unusual.is_empty() { p { "ありません。" } } @else {
                ul { @for Unusual(text) in &unusual { li .unusual { (text) } } }
            }
            h2 { "2. システム別・日別の件数" }
            p .quiet { "破線は過去 3 か月の 1 日あたりの平均。赤は平均の " (self.limits.volume_factor) " 倍を超えた日。" }
            @for (system, days) in self.volumes() { h3 { (system) } (self.volume_chart(&system, &days)) }
            h2 { "3. 時間外の照会" }
            p .quiet { "平日 " (self.limits.office_from_hour) " 時から " (self.limits.office_to_hour) " 時まで以外の照会。夜間の一括受領は含まない。" }
            (pairs(&["システム", "操作者"], &self.out_of_hours()))
            h2 { "4. 拒否・取消し・失敗" }
            (pairs(&["システム", "結果と理由"], &self.refused()))
            h2 { "5. 照会の多い対象者 (見過ぎ)" }
            (pairs(&["システム", "宛名番号"], &most(self.looked_up(), 20)))
            h2 { "6. 操作者別の照会件数" }
            (pairs(&["システム", "操作者"], &most(self.operators(), 50)))
        };
        page(&format!("情報提供等の記録 月次点検 {}年{}月", self.month.year(), self.month.month()), &content)
    }

    /// Transfers by system and day.
    fn volumes(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        by_day(self.counts)
    }

    /// Transfers on a usual day of the months before.
    fn usual(&self, system: &str) -> Option<f64> {
        let before = by_day(self.before);
        let days = before.get(system)?;
        let all: BTreeSet<_> = before.values().flat_map(BTreeMap::keys).collect();
        let total: u64 = days.values().sum();
        Some(as_f64(total) / as_f64(u64::try_from(all.len().max(1)).unwrap_or(1)))
    }

    fn is_unusual_volume(&self, count: u64, usual: Option<f64>) -> bool {
        usual.is_some_and(|usual| as_f64(count) > usual * self.limits.volume_factor)
    }

    fn volume_chart(&self, system: &str, days: &BTreeMap<String, u64>) -> Markup {
        let usual = self.usual(system);
        let of_day = (1..=self.month.days_in_month()).map(|day| {
            let date = self.month.with().day(day).build().unwrap_or(self.month).to_string();
            let value = days.get(&date).copied().unwrap_or_default();
            Bar { label: day.to_string(), value, unusual: self.is_unusual_volume(value, usual) }
        });
        bars(&format!("{system} の日別件数"), &of_day.collect::<Vec<_>>(), usual)
    }

    fn out_of_hours(&self) -> BTreeMap<(String, String), u64> {
        count(self.lookups.iter().filter(|transfer| self.is_out_of_hours(transfer)), operator)
    }

    fn is_out_of_hours(&self, transfer: &Transfer) -> bool {
        let Some(at) = transfer.requested_time.as_ref().and_then(|time| Timestamp::new(time.seconds, 0).ok()) else {
            return false;
        };
        let local = tz::offset(9).to_datetime(at);
        matches!(local.date().weekday(), Weekday::Saturday | Weekday::Sunday)
            || !(self.limits.office_from_hour..self.limits.office_to_hour).contains(&local.hour())
    }

    fn refused(&self) -> BTreeMap<(String, String), u64> {
        count(self.refusals.iter(), |transfer| {
            let outcome = terms::outcome_japanese(terms::transfer_outcome(transfer.outcome()));
            format!("{outcome} {}", transfer.reason)
        })
    }

    fn looked_up(&self) -> BTreeMap<(String, String), u64> {
        let of_people = self
            .lookups
            .iter()
            .filter(|transfer| !transfer.local_address_number.is_empty() || transfer.local_address_number_withheld);
        count(of_people, number)
    }

    fn operators(&self) -> BTreeMap<(String, String), u64> {
        count(self.lookups.iter().filter(|transfer| !transfer.operator_id.is_empty()), operator)
    }
}

fn operator(transfer: &Transfer) -> String {
    if transfer.operator_id.is_empty() { "(なし)".to_owned() } else { transfer.operator_id.clone() }
}

/// The number that was asked for. Numbers without a person are shown with the right to content only.
fn number(transfer: &Transfer) -> String {
    match transfer.local_address_number_withheld {
        true => "(登録のない番号)".to_owned(),
        false => transfer.local_address_number.clone(),
    }
}

fn by_day(counts: &[TransferSummary]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut systems: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for one in counts.iter().filter(|one| one.outcome() != TransferOutcome::Refused) {
        *systems.entry(one.system_id.clone()).or_default().entry(one.day.clone()).or_default() += one.transfers;
    }
    systems
}

fn count<'t>(
    transfers: impl Iterator<Item = &'t Transfer>,
    by: impl Fn(&Transfer) -> String,
) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for transfer in transfers {
        *counts.entry((transfer.system_id.clone(), by(transfer))).or_default() += 1;
    }
    counts
}

/// The largest counts.
fn most(counts: BTreeMap<(String, String), u64>, limit: usize) -> BTreeMap<(String, String), u64> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.truncate(limit);
    sorted.into_iter().collect()
}

fn pairs(heads: &[&str; 2], counts: &BTreeMap<(String, String), u64>) -> Markup {
    if counts.is_empty() {
        return html! { p { "ありません。" } };
    }
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    html! {
        table {
            tr { th { (heads[0]) } th { (heads[1]) } th { "件数" } }
            @for ((one, other), count) in sorted { tr { td { (one) } td { (other) } td .number { (count) } } }
        }
    }
}

fn median(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().map_or(0.0, as_f64)
}

fn as_f64(value: u64) -> f64 {
    // Counts of a month are far below 2^53.
    value as f64
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn summary(day: &str, transfers: u64) -> TransferSummary {
        TransferSummary {
            day: day.to_owned(),
            system_id: "resident-tax".into(),
            outcome: TransferOutcome::Released.into(),
            transfers,
            ..Default::default()
        }
    }

    /// A question at this time in Japan.
    fn lookup(operator: &str, person: &str, time: &str) -> Transfer {
        let at: Timestamp = format!("{time}+09:00").parse().unwrap();
        Transfer {
            system_id: "resident-tax".into(),
            operator_id: operator.into(),
            local_address_number: person.into(),
            requested_time: Some(prost_types::Timestamp { seconds: at.as_second(), nanos: 0 }),
            ..Default::default()
        }
    }

    fn unusual(counts: &[TransferSummary], lookups: &[Transfer]) -> Vec<String> {
        let before = [summary("2026-10-01", 100), summary("2026-10-02", 100)];
        let limits = ReviewConfig::default();
        let review =
            Review { month: date(2026, 11, 1), counts, before: &before, lookups, refusals: &[], limits: &limits };
        assert!(review.to_html().contains("2026年11月"));
        review.unusual().into_iter().map(|Unusual(text)| text).collect()
    }

    #[test]
    fn an_ordinary_month_has_nothing_unusual() {
        let lookups = [lookup("A1", "1", "2026-11-02T09:00:00"), lookup("A2", "2", "2026-11-02T18:59:59")];
        assert_eq!(unusual(&[summary("2026-11-02", 180)], &lookups), Vec::<String>::new());
    }

    #[test]
    fn volumes_hours_people_and_operators_that_stand_out_are_named() {
        let mut lookups: Vec<_> = (0..30).map(|_| lookup("A1", "7", "2026-11-02T10:00:00")).collect();
        lookups.extend(["A2", "A3", "A4"].map(|operator| lookup(operator, "8", "2026-11-02T10:00:00")));
        lookups.push(lookup("A2", "9", "2026-11-07T10:00:00"));
        let found = unusual(&[summary("2026-11-02", 201)], &lookups);
        for text in ["201", "A2: 時間外の照会 1 件", "宛名番号 7 の照会が 30 回", "操作者 A1: 照会 30 件"]
        {
            assert!(found.iter().any(|found| found.contains(text)), "{text}: {found:?}");
        }
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
