//! An IC card, or any other token that speaks PKCS #11, with the key of a client: the key never leaves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atena_vault::{ClientKey, ClientKeyKind, TokenPlace};
use rustls::pki_types::CertificateDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use serde::Deserialize;

use crate::credential::certificates;
use crate::error::CliError;

/// `ID.card.toml`: where the card is. Relative paths are beside the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardPlace {
    /// The library of the card's maker.
    module: PathBuf,
    /// The label of the token on it.
    token: String,
    /// Its serial number, where several tokens have this label.
    #[serde(default)]
    serial: Option<String>,
    /// A file of mode 0600 that holds the PIN.
    pin_file: PathBuf,
    /// The label of the private key.
    key: String,
    /// The certificate chain (PEM); without it the certificate on the card that has the key's id.
    #[serde(default)]
    certificate: Option<PathBuf>,
}

/// A card that somebody has signed in to.
#[derive(Clone)]
pub(crate) struct Card {
    key: Arc<ClientKey>,
}

// === impl CardPlace ===

impl CardPlace {
    /// Reads `ID.card.toml`.
    ///
    /// # Errors
    /// A file that can't be read, or says something unknown.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = fs::read_to_string(path).map_err(CliError::file("read", path))?;
        let mut place: Self = toml::from_str(&text).map_err(|error| {
            let (line, problem) = atena_policy::toml_problem(&text, &error);
            CliError::CardSettings { path: path.to_owned(), reason: format!("line {line}: {problem}") }
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        place.module = folder.join(&place.module);
        place.pin_file = folder.join(&place.pin_file);
        place.certificate = place.certificate.map(|file| folder.join(file));
        Ok(place)
    }

    /// The token, as the vault names it.
    pub(crate) fn token(&self) -> TokenPlace {
        TokenPlace {
            module: self.module.clone(),
            label: self.token.clone(),
            serial: self.serial.clone(),
            pin_file: self.pin_file.clone(),
        }
    }

    /// The label of the private key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

// === impl Card ===

impl Card {
    /// Signs in to the card, once: cards lock themselves after a few wrong PINs.
    ///
    /// # Errors
    /// [`CliError::Keys`]: no such token or key, or a wrong PIN.
    pub(crate) fn open(place: &CardPlace) -> Result<Self, CliError> {
        Ok(Self { key: Arc::new(ClientKey::open(&place.token(), &place.key)?) })
    }

    /// The certificate chain that goes with the key.
    pub(crate) fn chain(&self, place: &CardPlace) -> Result<Vec<CertificateDer<'static>>, CliError> {
        match (&place.certificate, self.key.certificate()?) {
            (Some(path), _) => certificates(path),
            (None, Some(der)) => Ok(vec![CertificateDer::from(der)]),
            (None, None) => Err(CliError::NoCardCertificate { key: place.key.clone() }),
        }
    }

    /// The key on the card.
    pub(crate) fn key(&self) -> &ClientKey {
        &self.key
    }

    /// TLS 1.3 knows one scheme for each kind of key (RFC 8446 §4.2.3).
    fn own_scheme(&self) -> SignatureScheme {
        match self.key.kind() {
            ClientKeyKind::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            ClientKeyKind::Rsa => SignatureScheme::RSA_PSS_SHA256,
        }
    }
}

impl std::fmt::Debug for Card {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("Card")
    }
}

impl SigningKey for Card {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.own_scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.key.kind() {
            ClientKeyKind::EcdsaP256 => SignatureAlgorithm::ECDSA,
            ClientKeyKind::Rsa => SignatureAlgorithm::RSA,
        }
    }
}

impl Signer for Card {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.key.sign(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.own_scheme()
    }
}
