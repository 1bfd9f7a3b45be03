//! From the written policy to the compiled one: every problem is found in one go.

mod registry;
mod rules;

use atena_domain::{Affair, MunicipalityCode};
use jiff::civil::Date;
use toml::Spanned;
use toml::value::Datetime;

use crate::canonical;
use crate::catalog::FieldCatalog;
use crate::declaration::{Declaration, DeclaredBasis, day};
use crate::legal_basis::{LegalBasis, Validity};
use crate::policy::Policy;
use crate::problem::{PolicyError, Problem, Reason, line_of, toml_problem};

#[cfg(test)]
mod tests;

/// The work under way: what is wrong so far.
struct Compiler<'a> {
    text: &'a str,
    catalog: &'a FieldCatalog,
    today: Date,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// What may be missing from a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Nothing: it is a file as a person wrote it.
    Whole,
    /// Anything: it is what was left of a sound declaration after parts were taken away. An empty rule or a dataset without a legal
    /// basis releases and permits nothing, and the proof is made all the same.
    Remainder,
}

/// Characters of a name, division or citation.
const TEXT_CHARACTERS_MAX: usize = 200;

// === impl Policy ===

impl Policy {
    /// Reads, checks, compiles and proves a policy: `text` is the content of `policy.toml`, `catalog` the fields of the contract.
    ///
    /// It is proved for `today` and for every later day on which a rule or legal basis begins or ends.
    ///
    /// # Errors
    ///
    /// All problems with their lines. A policy with a problem is not loaded at all. A consumer that is revoked is
    /// no problem, because it gets nothing, but one of the [`Policy::warnings`].
    pub fn compile(text: &str, catalog: &FieldCatalog, today: Date) -> Result<Self, PolicyError> {
        let declared: Declaration = toml::from_str(text).map_err(|error| {
            let (line, message) = toml_problem(text, &error);
            PolicyError::new(vec![Problem { line, reason: Reason::Format(message) }])
        })?;
        Self::compile_declared(declared, text, catalog, today, Strictness::Whole)
    }

    /// The second half of [`Policy::compile`]. `text` is what the places of `declared` are in.
    pub(crate) fn compile_declared(
        declared: Declaration,
        text: &str,
        catalog: &FieldCatalog,
        today: Date,
        strictness: Strictness,
    ) -> Result<Self, PolicyError> {
        let mut compiler = Compiler { text, catalog, today, problems: Vec::new(), warnings: Vec::new() };
        let municipality_code = compiler.municipality_code(&declared.municipality_code);
        let systems = compiler.systems(&declared.systems);
        let datasets = compiler.datasets(&declared.datasets, &systems);
        compiler.owners_own(&declared.systems, &datasets);
        let registration = compiler.registration(&declared.registration);
        let rules = compiler.rules(&declared.rules, &systems);
        let Compiler { problems, mut warnings, .. } = compiler;
        let sound = problems.is_empty() || strictness == Strictness::Remainder;
        let (Some(municipality_code), Some(registration), true) = (municipality_code, registration, sound) else {
            return Err(PolicyError::new(problems));
        };
        warnings.sort_by_key(|warning| warning.line);
        let hash = canonical::hash(&municipality_code, &systems, &datasets, &registration, &rules, catalog);
        let mut policy = Self::assemble(declared, municipality_code, systems, datasets, registration, rules, hash);
        policy.warnings = warnings;
        for day in policy.days_of_change(today) {
            policy.prove(catalog, day).map_err(|counterexample| {
                PolicyError::new(vec![Problem { line: 1, reason: Reason::NotProved(counterexample) }])
            })?;
        }
        Ok(policy)
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    fn report(&mut self, offset: usize, reason: Reason) {
        self.problems.push(Problem { line: line_of(self.text, offset), reason });
    }

    fn warn(&mut self, offset: usize, reason: Reason) {
        self.warnings.push(Problem { line: line_of(self.text, offset), reason });
    }

    fn municipality_code(&mut self, code: &Spanned<String>) -> Option<MunicipalityCode> {
        let parsed = MunicipalityCode::parse(code.get_ref()).ok();
        if parsed.is_none() {
            let reason = Reason::InvalidValue {
                place: "policy".to_owned(),
                key: "municipality_code",
                rule: "must be 6 digits with a valid check digit (全国地方公共団体コード)",
            };
            self.report(code.span().start, reason);
        }
        parsed
    }

    fn affair(&mut self, place: &str, affair: &Spanned<String>) -> Option<Affair> {
        let parsed = Affair::parse(affair.get_ref()).ok();
        if parsed.is_none() {
            let rule = "must be 1 to 64 characters without control characters";
            self.report(affair.span().start, Reason::InvalidValue { place: place.to_owned(), key: "affair", rule });
        }
        parsed
    }

    fn text(&mut self, place: &str, key: &'static str, text: &Spanned<String>) -> String {
        let value = text.get_ref();
        let characters = value.chars().count();
        if value.trim().is_empty() || characters > TEXT_CHARACTERS_MAX || value.chars().any(char::is_control) {
            let rule = "must be 1 to 200 characters without control characters, not all blank";
            self.report(text.span().start, Reason::InvalidValue { place: place.to_owned(), key, rule });
        }
        value.clone()
    }

    fn date(&mut self, place: &str, key: &'static str, datetime: &Spanned<Datetime>) -> Option<Date> {
        let date = day(datetime.get_ref());
        if date.is_none() {
            let rule = "must be a date without time, e.g. 2026-04-01";
            self.report(datetime.span().start, Reason::InvalidValue { place: place.to_owned(), key, rule });
        }
        date
    }

    fn validity(&mut self, place: &str, from: &Spanned<Datetime>, to: Option<&Spanned<Datetime>>) -> Option<Validity> {
        let first = self.date(place, "valid_from", from)?;
        let last = match to {
            Some(to) => Some(self.date(place, "valid_to", to)?),
            None => None,
        };
        if last.is_some_and(|last| last < first) {
            self.report(from.span().start, Reason::EndsBeforeItBegins { place: place.to_owned() });
            return None;
        }
        Some(Validity { from: first, to: last })
    }

    fn bases(&mut self, place: &str, bases: &[DeclaredBasis]) -> Vec<LegalBasis> {
        let mut parsed = Vec::with_capacity(bases.len());
        for basis in bases {
            let citation = self.text(place, "citation", &basis.citation);
            if let Some(validity) = self.validity(place, &basis.valid_from, basis.valid_to.as_ref()) {
                parsed.push(LegalBasis { citation, valid_from: validity.from, valid_to: validity.to });
            }
        }
        parsed
    }

    /// The bases of something that may not be without one; `offset` is where the thing itself is.
    fn needed_bases(&mut self, place: &str, offset: usize, bases: Option<&[DeclaredBasis]>) -> Vec<LegalBasis> {
        let declared = bases.unwrap_or_default();
        let parsed = self.bases(place, declared);
        if declared.is_empty() {
            self.report(offset, Reason::NoBasis { place: place.to_owned() });
        } else if !parsed.is_empty() && parsed.iter().all(|basis| basis.validity().ended(self.today)) {
            self.report(offset, Reason::BasisEnded { place: place.to_owned() });
        }
        parsed
    }
}
