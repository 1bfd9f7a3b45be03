//! Pension histories that obey the rules of the contract.

use atena_proto::v1::pushed_record::Body;
use atena_proto::v1::{
    Acquisition, AcquisitionReason, Benefit, BenefitKind, Dataset, Exemption, ExemptionDecision, ExemptionKind,
    InsuredType, Loss, LossReason, Payment, PaymentMonth, PushedRecord, Qualification, Suspension, SuspensionReason,
    WelfarePension, WelfarePensionStatus,
};
use jiff::civil::Date;
use rand::RngExt;

use super::resident::{Resident, TODAY};

/// Fiscal years of payments, with the monthly premium (国民年金保険料) and half of it.
const PREMIUMS: [(i16, i64, i64); 4] =
    [(2023, 16_520, 8_260), (2024, 16_980, 8_490), (2025, 17_510, 8_760), (2026, 17_920, 8_960)];

/// 老齢福祉年金 is for people born before this day.
const WELFARE_PENSION_BEFORE: Date = Date::constant(1916, 4, 2);

/// A time in which somebody is insured with the municipality.
struct Period {
    insured_type: InsuredType,
    from: Date,
    acquired: AcquisitionReason,
    to: Option<(Date, LossReason)>,
}

/// How somebody pays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Pays,
    Owes,
    Exempt,
    Half,
    Student,
    Deferred,
}

/// What a resident's pension history is made from.
pub(super) struct History<'a> {
    resident: &'a Resident,
    periods: Vec<Period>,
    habit: Habit,
    /// 0 to 999: decides what is left to chance.
    chance: u32,
}

// === impl History ===

impl<'a> History<'a> {
    pub(super) fn new(resident: &'a Resident) -> Self {
        let mut dice = resident.dice.clone();
        let chance = dice.random_range(0..1_000);
        let habit = match dice.random_range(0..100) {
            _ if resident.age() < 22 => Habit::Student,
            0..65 => Habit::Pays,
            65..75 => Habit::Owes,
            75..87 => Habit::Exempt,
            87..93 => Habit::Half,
            _ if resident.age() < 50 => Habit::Deferred,
            _ => Habit::Pays,
        };
        Self { resident, periods: periods(resident, chance), habit, chance }
    }

    /// The records of one dataset.
    pub(super) fn records(&self, dataset: Dataset) -> Vec<PushedRecord> {
        let bodies: Vec<(char, Body)> = match dataset {
            Dataset::Qualification => {
                self.qualifications().into_iter().map(|body| ('Q', Body::Qualification(body))).collect()
            }
            Dataset::Payment => self.payments().into_iter().map(|body| ('P', Body::Payment(body))).collect(),
            Dataset::Exemption => self.exemptions().into_iter().map(|body| ('E', Body::Exemption(body))).collect(),
            Dataset::Benefit => self.benefits().into_iter().map(|body| ('B', Body::Benefit(body))).collect(),
            Dataset::WelfarePension => {
                self.welfare_pensions().into_iter().map(|body| ('W', Body::WelfarePension(body))).collect()
            }
            Dataset::Person | Dataset::Unspecified => Vec::new(),
        };
        let local_address_number = self.resident.in_pension();
        (1..)
            .zip(bodies)
            .map(|(number, (letter, body))| PushedRecord {
                record_key: format!("{letter}-{local_address_number}-{number}"),
                local_address_number: local_address_number.clone(),
                revision: 1,
                body: Some(body),
            })
            .collect()
    }

    fn basic_pension_number(&self) -> String {
        self.resident.basic_pension_number.clone()
    }

    fn qualifications(&self) -> Vec<Qualification> {
        let periods = self.periods.iter().map(|period| Qualification {
            basic_pension_number: self.basic_pension_number(),
            insured_type: period.insured_type.into(),
            acquisition: Some(Acquisition { date: period.from.to_string(), reason: period.acquired.into() }),
            loss: period.to.map(|(day, reason)| Loss { date: day.to_string(), reason: reason.into() }),
            notification_date: period.from.saturating_add(jiff::Span::new().days(10)).to_string(),
            remarks: if self.chance < 100 { "窓口で届出".into() } else { String::new() },
            ..Qualification::default()
        });
        periods.collect()
    }

    fn payments(&self) -> Vec<Payment> {
        PREMIUMS.into_iter().filter_map(|(year, premium, half)| self.payment(year, premium, half)).collect()
    }

    fn payment(&self, year: i16, premium: i64, half: i64) -> Option<Payment> {
        let months = (4..=15).map(|month| if month > 12 { (year + 1, month - 12) } else { (year, month) });
        let months: Vec<PaymentMonth> = months
            .filter(|(year, month)| (*year, *month) < (TODAY.year(), TODAY.month()) && self.insured_in(*year, *month))
            .map(|(year, month)| {
                let (status, amount_yen) = match self.habit {
                    Habit::Pays if self.chance.is_multiple_of(9) => ("B", premium + 400),
                    Habit::Pays => ("A", premium),
                    Habit::Owes if month % 3 == 0 => ("A", premium),
                    Habit::Owes => ("*", 0),
                    Habit::Exempt => ("Z", 0),
                    Habit::Half => ("イ", half),
                    Habit::Student => ("サ", 0),
                    Habit::Deferred => ("セ", 0),
                };
                PaymentMonth { month: format!("{year}-{month:02}"), status: status.into(), amount_yen }
            })
            .collect();
        if months.is_empty() {
            return None;
        }
        Some(Payment {
            basic_pension_number: self.basic_pension_number(),
            fiscal_year: year.into(),
            months,
            remarks: if self.chance < 50 { "口座振替".into() } else { String::new() },
            ..Payment::default()
        })
    }

    /// One application for each year in which the habit is an exemption and the resident is insured.
    fn exemptions(&self) -> Vec<Exemption> {
        let (kind, first_month) = match self.habit {
            Habit::Exempt => (ExemptionKind::Full, 7),
            Habit::Half => (ExemptionKind::Half, 7),
            Habit::Deferred => (ExemptionKind::Deferment, 7),
            Habit::Student => (ExemptionKind::Student, 4),
            Habit::Pays | Habit::Owes => return Vec::new(),
        };
        let years = PREMIUMS.iter().filter(|(year, ..)| self.insured_in(*year, first_month) && *year < TODAY.year());
        let exemptions = years.map(|(year, ..)| {
            let last = if first_month == 7 { 6 } else { 3 };
            Exemption {
                basic_pension_number: self.basic_pension_number(),
                kind: kind.into(),
                application_date: format!("{year}-{first_month:02}-10"),
                decision: ExemptionDecision::Approved.into(),
                decision_date: format!("{year}-{:02}-20", first_month + 2),
                approved_from: format!("{year}-{first_month:02}"),
                approved_to: format!("{}-{last:02}", year + 1),
                ..Exemption::default()
            }
        });
        exemptions.collect()
    }

    fn benefits(&self) -> Vec<Benefit> {
        let age = self.resident.age();
        let (kind, code, grade, start) = match self.chance {
            _ if age > 65 && self.welfare_pensions().is_empty() => {
                (BenefitKind::OldAge, "1150", 0, self.resident.birthday(65))
            }
            0..15 if age > 25 => (BenefitKind::Disability, "6350", 1, self.resident.birthday(21)),
            15..35 if age > 40 => (BenefitKind::Disability, "5350", 2, self.resident.birthday(38)),
            35..45 if age > 40 => (BenefitKind::Survivor, "6450", 0, self.resident.birthday(39)),
            _ => return Vec::new(),
        };
        let next = start.saturating_add(jiff::Span::new().months(1));
        let suspended = self.chance.is_multiple_of(40);
        vec![Benefit {
            basic_pension_number: self.basic_pension_number(),
            pension_code: code.into(),
            certificate_number: format!("{}{code}", self.resident.basic_pension_number),
            kind: kind.into(),
            disability_grade: grade,
            award_date: start.to_string(),
            payment_start_month: format!("{}-{:02}", next.year(), next.month()),
            annual_amount_yen: 500_000 + i64::from(self.chance) * 331,
            suspension: suspended.then(|| Suspension {
                reason: SuspensionReason::OtherPension.into(),
                from: "2026-04".into(),
                to: String::new(),
            }),
            ..Benefit::default()
        }]
    }

    fn welfare_pensions(&self) -> Vec<WelfarePension> {
        if self.resident.born >= WELFARE_PENSION_BEFORE {
            return Vec::new();
        }
        let suspended = self.chance < 200;
        vec![WelfarePension {
            certificate_number: format!("13{:06}", self.chance),
            status: if suspended { WelfarePensionStatus::PartlySuspended } else { WelfarePensionStatus::Full }.into(),
            award_date: "1986-04-01".into(),
            payment_start_month: "1986-05".into(),
            annual_amount_yen: if suspended { 200_000 } else { 424_900 },
            suspension: suspended.then(|| Suspension {
                reason: SuspensionReason::Income.into(),
                from: "2026-08".into(),
                to: "2027-07".into(),
            }),
            income_report_date: "2026-08-20".into(),
            ..WelfarePension::default()
        }]
    }

    fn insured_in(&self, year: i16, month: i8) -> bool {
        let first = Date::constant(year, month, 1);
        self.periods.iter().any(|period| {
            let begun = (period.from.year(), period.from.month()) <= (year, month);
            begun && period.to.is_none_or(|(day, _)| day > first && (day.year(), day.month()) > (year, month))
        })
    }
}

/// 第1号 from 20 to 60, for some with years of employment (第2号) between, and 任意 after 60 for a few.
fn periods(resident: &Resident, chance: u32) -> Vec<Period> {
    let age = resident.age();
    if age <= 20 {
        return Vec::new();
    }
    let at_60 = (age > 60).then(|| (resident.birthday(60), LossReason::Age60));
    let first = |to| Period {
        insured_type: InsuredType::Category1,
        from: resident.birthday(20),
        acquired: AcquisitionReason::Age20,
        to,
    };
    let mut periods = match chance % 3 {
        0 if age > 45 => vec![
            first(Some((resident.birthday(24), LossReason::ToCategory2))),
            Period {
                insured_type: InsuredType::Category1,
                from: resident.birthday(44),
                acquired: AcquisitionReason::FromCategory2,
                to: at_60,
            },
        ],
        1 if age > 24 => vec![first(Some((resident.birthday(23), LossReason::ToCategory2)))],
        _ => vec![first(at_60)],
    };
    if age > 61 && chance.is_multiple_of(7) {
        periods.push(Period {
            insured_type: InsuredType::Voluntary,
            from: resident.birthday(61),
            acquired: AcquisitionReason::Voluntary,
            to: (age > 65).then(|| (resident.birthday(65), LossReason::Age65)),
        });
    }
    periods
}
