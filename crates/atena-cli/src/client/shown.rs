//! The client certificate of a connection, as an error names it.

use std::fmt;
use std::path::PathBuf;

use jiff::{Timestamp, tz};
use rustls::pki_types::CertificateDer;

use crate::credential::Credential;
use crate::holder::Holder;

/// What a client shows of itself, in words.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    holder: Holder,
    /// Its file, or its card.
    place: String,
    subject: String,
    /// First and last moment.
    validity: Option<(Timestamp, Timestamp)>,
    /// The file with the authorities that the server's certificate must come from.
    pub(super) authority: PathBuf,
}

// === impl Shown ===

impl Shown {
    pub(super) fn new(
        holder: &Holder,
        credential: &Credential,
        chain: &[CertificateDer<'_>],
        authority: PathBuf,
    ) -> Self {
        let parsed = chain.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok());
        let time = |seconds| Timestamp::from_second(seconds).ok();
        let validity = parsed.as_ref().and_then(|(_, own)| {
            Some((time(own.validity().not_before.timestamp())?, time(own.validity().not_after.timestamp())?))
        });
        let subject = parsed.map(|(_, own)| own.subject().to_string()).unwrap_or_default();
        Self { holder: holder.clone(), place: credential.to_string(), subject, validity, authority }
    }

    /// For tests of what does not depend on it.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        let (holder, authority) = (Holder::parse("pension"), PathBuf::from("ca.crt"));
        Self { holder, place: "pension.crt".into(), subject: String::new(), validity: None, authority }
    }

    /// How `atena pki` is asked for this holder.
    pub(super) fn option(&self) -> String {
        format!("--{} {}", self.holder.kind(), self.holder.id())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{} (subject {}", self.place, self.subject)?;
        if let Some((from, to)) = self.validity {
            // In Japan, as certificates are issued.
            let day = |time: Timestamp| tz::offset(9).to_datetime(time).date();
            write!(text, ", valid from {} to {}", day(from), day(to))?;
        }
        text.write_str(")")
    }
}
