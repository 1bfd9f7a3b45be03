//! Certificates: a built-in authority for those who have none, and a look at any.

mod authority;
mod certificate;
mod files;
mod revocation;

use jiff::civil::Date;
use rcgen::date_time_ymd;

pub(crate) use authority::{Authority, CERTIFICATE_DAYS};
pub(crate) use certificate::{Certificate, RevocationList};
pub(crate) use files::{replace_secret, write_public};
pub(crate) use revocation::Revoked;

/// Names of the server that are always in its certificate.
pub(crate) const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The beginning of a day, as certificates write it. The type is the one of `rcgen`.
fn date_time(day: Date) -> time::OffsetDateTime {
    date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
}
