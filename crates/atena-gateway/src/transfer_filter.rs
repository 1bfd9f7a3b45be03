//! The filter of transfer queries: comparisons joined by `AND`, a subset of AIP-160 (google.aip.dev/160).
//!
//! Pure. What it may ask for is a closed list of fields; everything else is refused, with the position and never with the text.

use atena_domain::{Dataset, LocalAddressNumber, SystemId};
use atena_ledger::{Direction, Outcome};
use jiff::Timestamp;

use crate::error::CallError;
use crate::log::query::{Comparison, Condition, TransferQuery};

/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 2000;

/// Most comparisons in a filter.
const COMPARISONS_MAX: usize = 20;

/// A parsed filter.
pub(crate) struct Filter {
    pub(crate) query: TransferQuery,
    /// The person asked for, as a system names them; looked up by the caller of [`parse`].
    pub(crate) person: Option<(SystemId, LocalAddressNumber)>,
}

/// One piece of a filter, with its position in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    position: usize,
    kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenKind {
    Word(String),
    Text(String),
    Operator(&'static str),
}

/// Parses a filter; an empty one matches everything.
pub(crate) fn parse(text: &str) -> Result<Filter, CallError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(CallError::field("filter", "is longer than 2,000 bytes"));
    }
    let tokens = tokens(text)?;
    let mut filter = Filter { query: TransferQuery { conditions: Vec::new() }, person: None };
    let mut rest = tokens.as_slice();
    while !rest.is_empty() {
        let [
            Token { position, kind: TokenKind::Word(field) },
            Token { kind: TokenKind::Operator(operator), .. },
            value,
            after @ ..,
        ] = rest
        else {
            return Err(wrong(rest.first().map_or(0, |token| token.position), "expected: field operator value"));
        };
        let (TokenKind::Word(value) | TokenKind::Text(value)) = &value.kind else {
            return Err(wrong(value.position, "expected a value"));
        };
        comparison(&mut filter, *position, field, operator, value)?;
        if filter.query.conditions.len() > COMPARISONS_MAX {
            return Err(wrong(*position, "more than 20 comparisons"));
        }
        rest = match after {
            [] => after,
            [Token { kind: TokenKind::Word(word), .. }, next @ ..] if word == "AND" && !next.is_empty() => next,
            [token, ..] => return Err(wrong(token.position, "expected AND and another comparison")),
        };
    }
    Ok(filter)
}

fn comparison(
    filter: &mut Filter,
    position: usize,
    field: &str,
    operator: &'static str,
    value: &str,
) -> Result<(), CallError> {
    if field == "requested_time" {
        let comparison = match operator {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return Err(wrong(position, "requested_time takes <, <=, > and >=")),
        };
        let at: Timestamp = value.parse().map_err(|_| {
            wrong(position, "requested_time takes an RFC 3339 time, e.g. \"2026-11-01T00:00:00+09:00\"")
        })?;
        filter.query.conditions.push(Condition::RequestedTime(comparison, at));
        return Ok(());
    }
    let equals = match operator {
        "=" => true,
        "!=" => false,
        _ => return Err(wrong(position, "this field takes = and !=")),
    };
    let text = || value.to_owned();
    let condition = match field {
        "system_id" => Condition::SystemId { equals, value: text() },
        "affair" => Condition::Affair { equals, value: text() },
        "rule_id" => Condition::RuleId { equals, value: text() },
        "operator_id" => Condition::OperatorId { equals, value: text() },
        "reason" => Condition::Reason { equals, value: text() },
        "method" => Condition::Method { equals, value: text() },
        "direction" => Condition::Direction {
            equals,
            value: match value {
                "INBOUND" => Direction::Inbound,
                "OUTBOUND" => Direction::Outbound,
                _ => return Err(wrong(position, "direction is INBOUND or OUTBOUND")),
            },
        },
        "outcome" => Condition::Outcome {
            equals,
            value: match value {
                "RELEASED" => Outcome::Released,
                "RECEIVED" => Outcome::Received,
                "REFUSED" => Outcome::Refused,
                "CANCELLED" => Outcome::Cancelled,
                "TIMED_OUT" => Outcome::TimedOut,
                "FAILED" => Outcome::Failed,
                "ERASED" => Outcome::Erased,
                "DONE" => Outcome::Done,
                _ => {
                    return Err(wrong(
                        position,
                        "outcome is RELEASED, RECEIVED, REFUSED, CANCELLED, TIMED_OUT, FAILED, ERASED or DONE",
                    ));
                }
            },
        },
        "dataset" => Condition::Dataset {
            equals,
            value: Dataset::parse(&value.to_lowercase()).map_err(|_| {
                wrong(position, "dataset is person, qualification, payment, exemption, benefit or welfare_pension")
            })?,
        },
        "person" if equals && filter.person.is_none() => {
            let person = value.split_once('/').and_then(|(system, local)| {
                Some((SystemId::parse(system).ok()?, LocalAddressNumber::parse(local).ok()?))
            });
            filter.person = Some(person.ok_or_else(|| {
                wrong(position, "person takes a system and its local number, e.g. \"pension/000000000000019\"")
            })?);
            return Ok(());
        }
        "person" => return Err(wrong(position, "person takes = and may appear once")),
        _ => {
            return Err(wrong(
                position,
                "fields are requested_time, system_id, direction, outcome, dataset, affair, rule_id, operator_id, reason, method and person",
            ));
        }
    };
    filter.query.conditions.push(condition);
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<Token>, CallError> {
    let mut tokens = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((position, character)) = rest.next() {
        let kind = match character {
            character if character.is_whitespace() => continue,
            '"' => {
                let mut value = String::new();
                loop {
                    match rest.next() {
                        Some((_, '"')) => break TokenKind::Text(value),
                        Some((_, '\\')) => value.extend(rest.next().map(|(_, escaped)| escaped)),
                        Some((_, character)) => value.push(character),
                        None => return Err(wrong(position, "this text has no end")),
                    }
                }
            }
            '=' => TokenKind::Operator("="),
            '<' | '>' | '!' => {
                let with_equals = rest.next_if(|(_, next)| *next == '=').is_some();
                TokenKind::Operator(match (character, with_equals) {
                    ('<', true) => "<=",
                    ('<', false) => "<",
                    ('>', true) => ">=",
                    ('>', false) => ">",
                    (_, true) => "!=",
                    (_, false) => return Err(wrong(position, "expected an operator: = != < <= > >=")),
                })
            }
            first => {
                let mut word = String::from(first);
                while let Some((_, next)) =
                    rest.next_if(|(_, next)| !next.is_whitespace() && !"\"=<>!()".contains(*next))
                {
                    word.push(next);
                }
                TokenKind::Word(word)
            }
        };
        tokens.push(Token { position, kind });
    }
    Ok(tokens)
}

fn wrong(position: usize, what: &'static str) -> CallError {
    CallError::field("filter", format!("at byte {position}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn comparisons_are_joined_by_and() {
        let filter = parse(
            "requested_time >= \"2026-11-01T00:00:00+09:00\" AND system_id=\"resident-tax\" AND outcome != RELEASED AND person = \"pension/000000000000019\"",
        )
        .unwrap();
        assert_eq!(filter.query.conditions.len(), 3);
        assert_eq!(filter.person.unwrap().0.as_str(), "pension");
    }

    #[test]
    fn an_empty_filter_matches_everything() {
        assert!(parse("  ").unwrap().query.conditions.is_empty());
    }

    #[test]
    fn what_is_not_in_the_list_is_refused_without_its_text() {
        for text in [
            "personal_number = \"123456789018\"",
            "system_id > \"a\"",
            "system_id = \"a\" OR system_id = \"b\"",
            "system_id = \"a\" AND",
            "system_id",
            "\"system_id\" = a",
            "system_id = \"a",
            "requested_time = \"2026-11-01T00:00:00Z\"",
            "requested_time > yesterday",
            "dataset = secrets",
            "person = \"123456789018\"",
            "system_id ! a",
            "(",
        ] {
            let error = parse(text).err().unwrap();
            assert_eq!(error.reason, Reason::InvalidField, "{text}");
            assert!(!format!("{error:?}").contains("123456789018"), "{text}");
        }
    }
}
