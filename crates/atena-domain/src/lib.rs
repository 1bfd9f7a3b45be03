//! Identifiers, check digits, dates and pension records of a Japanese municipality: parse, don't validate. No I/O.
