//! What a client shows of itself: a certificate, and the key to it in a file or on a card.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atena_vault::private_file;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::card::{Card, CardPlace};
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;

/// Where certificate and key of a holder are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Both in files of the home.
    Files {
        /// The chain, PEM.
        certificate: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
    /// On a card or in any other token (PKCS #11).
    Card(CardPlace),
}

// === impl Credential ===

impl Credential {
    /// The credential of a holder: `ID.card.toml` names a card, otherwise `ID.crt` and `ID.key` are files.
    ///
    /// # Errors
    /// [`CliError::NoCertificate`] when there is none; the text names those that have one.
    pub(crate) fn of(home: &Home, holder: &Holder) -> Result<Self, CliError> {
        let folder = holder.folder(home);
        let card = folder.join(format!("{}.card.toml", holder.id()));
        if card.exists() {
            return Ok(Self::Card(CardPlace::read(&card)?));
        }
        let known = home.holders()?;
        if known.contains(holder) {
            let file = |ending: &str| folder.join(format!("{}.{ending}", holder.id()));
            return Ok(Self::Files { certificate: file("crt"), key: file("key") });
        }
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        Err(CliError::NoCertificate { holder: holder.to_string(), folder, known: known.join(", ") })
    }

    /// The certificate, and the key that signs: of a card, signed in to.
    pub(crate) fn certified(&self) -> Result<CertifiedKey, CliError> {
        Ok(match self {
            Self::Files { certificate, key } => {
                private_file::check(key)?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|source| CliError::Pem { path: key.clone(), source })?;
                let provider = rustls::crypto::aws_lc_rs::default_provider();
                CertifiedKey::from_der(certificates(certificate)?, private, &provider)?
            }
            Self::Card(place) => {
                let card = Card::open(place)?;
                CertifiedKey::new(card.chain(place)?, Arc::new(card))
            }
        })
    }
}

impl fmt::Display for Credential {
    /// As an error names it: the file of the certificate, or the card.
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, .. } => write!(text, "{}", certificate.display()),
            Self::Card(place) => write!(text, "the certificate of the card `{}`", place.token().label),
        }
    }
}

/// The certificates of a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let pem = |source| CliError::Pem { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_certificate_is_told_who_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        for folder in [home.systems(), home.people_certificates()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for file in ["systems/pension.crt", "systems/pension.key", "systems/auditor.crt", "people/a1001.crt"] {
            std::fs::write(home.pki().join(file), "").unwrap();
        }
        let error = Credential::of(&home, &Holder::parse("pensions")).unwrap_err().to_string();
        assert!(error.contains("auditor, pension, person/a1001"), "{error}");
        let of = |text| Credential::of(&home, &Holder::parse(text)).unwrap();
        assert!(matches!(of("pension"), Credential::Files { key, .. } if key.ends_with("systems/pension.key")));
        assert!(matches!(of("person/a1001"), Credential::Files { key, .. } if key.ends_with("people/a1001.key")));
    }

    #[test]
    fn a_card_comes_before_files_and_is_found_beside_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        std::fs::create_dir_all(home.people_certificates()).unwrap();
        let settings = home.people_certificates().join("a1001.card.toml");
        let text = "module = \"/usr/lib/card.so\"\ntoken = \"a1001\"\npin_file = \"a1001.pin\"\nkey = \"a1001\"\n";
        std::fs::write(&settings, text).unwrap();
        let Credential::Card(place) = Credential::of(&home, &Holder::parse("person/a1001")).unwrap() else { panic!() };
        assert_eq!(place.token().pin_file, home.people_certificates().join("a1001.pin"));
        std::fs::write(&settings, format!("{text}pin = \"1234\"\n")).unwrap();
        let error = Credential::of(&home, &Holder::parse("person/a1001")).unwrap_err().to_string();
        assert!(error.contains("a1001.card.toml") && error.contains("unknown field `pin`"), "{error}");
    }
}
