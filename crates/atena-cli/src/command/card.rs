//! `atena card`: a key on a card, a request for its certificate, and the certificate beside it.

use std::fs;
use std::path::Path;

use atena_vault::ClientKey;
use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};

use crate::Finished;
use crate::card::{Card, CardPlace};
use crate::cli::CardCommand;
use crate::credential::certificates;
use crate::error::CliError;
use crate::output::Output;

/// Makes a key and its request, or keeps a certificate.
pub(super) fn run(command: &CardCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        CardCommand::Request { card, out } => request(&CardPlace::read(card)?, out, output),
        CardCommand::Store { card, certificate } => store(&CardPlace::read(card)?, certificate, output),
    }
}

/// A key on a card, as signing requests need it.
struct Requested {
    key: ClientKey,
    point: Vec<u8>,
}

// === impl Requested ===

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Requested {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn request(place: &CardPlace, out: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let key = ClientKey::generate(&place.token(), place.key())?;
    let point = key.public_point()?;
    // Who its holder is, is said by whoever issues the certificate.
    let request = CertificateParams::default().serialize_request(&Requested { key, point })?.pem()?;
    fs::write(out, request).map_err(CliError::file("write", out))?;
    output.note(&format!("The request for the key `{}` is in {}.", place.key(), out.display()))?;
    Ok(Finished::Clean)
}

fn store(place: &CardPlace, certificate: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let malformed = || CliError::NotX509 { what: "certificate", path: certificate.to_owned() };
    let der = certificates(certificate)?.into_iter().next().ok_or_else(malformed)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| malformed())?;
    let card = Card::open(place)?;
    card.key().store_certificate(&der, parsed.subject().as_raw())?;
    output.note(&format!("The certificate is on the card, beside the key `{}`.", place.key()))?;
    Ok(Finished::Clean)
}
