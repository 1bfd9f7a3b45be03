//! A private key in a token with which a client proves itself in TLS: an IC card, or an HSM. It signs inside and never leaves.

use cryptoki::error::Error;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use sha2::{Digest as _, Sha256};

use crate::error::VaultError;
use crate::token::{Token, TokenPlace};

/// The curve P-256 as PKCS #11 names it (DER of the OID 1.2.840.10045.3.1.7, RFC 5480 §2.1.1.1).
const P256: [u8; 10] = *b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// Bytes of r and of s in an ECDSA signature over P-256.
const P256_HALF_BYTES: usize = 32;

/// Bytes of a SHA-256 digest, which is also the length of the salt (RFC 8446 §4.2.3).
const DIGEST_BYTES: u64 = 32;

/// A client's key in a token.
pub struct ClientKey {
    token: Token,
    label: String,
    private: ObjectHandle,
    kind: ClientKeyKind,
}

/// Which key it is: the two kinds that cards have and TLS 1.3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKeyKind {
    /// ECDSA with P-256 and SHA-256.
    EcdsaP256,
    /// RSASSA-PSS with SHA-256.
    Rsa,
}

// === impl ClientKey ===

impl ClientKey {
    /// The private key with this label, in a token that the PIN opens.
    ///
    /// # Errors
    /// [`VaultError::Token`]: no such token or key, a wrong PIN, or a key of another kind.
    pub fn open(place: &TokenPlace, label: &str) -> Result<Self, VaultError> {
        let token = Token::open(place)?;
        let private = token.find(label, ObjectClass::PRIVATE_KEY)?;
        let private = private.ok_or_else(|| token.trouble("it has no private key with this label", None))?;
        let kind = kind(&token, private)?;
        Ok(Self { token, label: label.to_owned(), private, kind })
    }

    /// Makes a P-256 key with this label in the token, from which it can't be taken out.
    ///
    /// # Errors
    /// [`VaultError::Token`]: it can't be used, or has a key with this label already.
    pub fn generate(place: &TokenPlace, label: &str) -> Result<Self, VaultError> {
        let token = Token::open(place)?;
        if token.find(label, ObjectClass::PRIVATE_KEY)?.is_some() {
            return Err(token.trouble("it has a private key with this label already; it is never overwritten", None));
        }
        let named = || [Attribute::Label(label.into()), Attribute::Id(label.into()), Attribute::Token(true)];
        let mut public = named().to_vec();
        public.extend([Attribute::Private(false), Attribute::Verify(true), Attribute::EcParams(P256.to_vec())]);
        let mut private = named().to_vec();
        private.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        let (_, private) =
            token.with_session(|session| session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private))?;
        Ok(Self { token, label: label.to_owned(), private, kind: ClientKeyKind::EcdsaP256 })
    }

    /// Which key it is.
    #[must_use]
    pub fn kind(&self) -> ClientKeyKind {
        self.kind
    }

    /// Signs a message as TLS 1.3 has it: ECDSA in DER (RFC 3279 §2.2.3), or RSASSA-PSS.
    ///
    /// # Errors
    /// [`VaultError::Token`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, VaultError> {
        match self.kind {
            // Few tokens hash for ECDSA themselves, and all of them sign a digest.
            ClientKeyKind::EcdsaP256 => {
                let digest = Sha256::digest(message);
                let raw = self.token.with_session(|session| session.sign(&Mechanism::Ecdsa, self.private, &digest))?;
                let halves = raw.split_at_checked(P256_HALF_BYTES).filter(|(_, s)| s.len() == P256_HALF_BYTES);
                let (r, s) = halves.ok_or_else(|| self.token.trouble("its signature is not one of P-256", None))?;
                Ok(ecdsa_der(r, s))
            }
            ClientKeyKind::Rsa => {
                let parameters = PkcsPssParams {
                    hash_alg: MechanismType::SHA256,
                    mgf: PkcsMgfType::MGF1_SHA256,
                    s_len: DIGEST_BYTES.into(),
                };
                let mechanism = Mechanism::Sha256RsaPkcsPss(parameters);
                self.token.with_session(|session| session.sign(&mechanism, self.private, message))
            }
        }
    }

    /// The uncompressed point of a P-256 key (65 bytes, SEC 1 §2.3.3), for a signing request.
    ///
    /// # Errors
    /// [`VaultError::Token`]: a key of another kind, or no public key beside it.
    pub fn public_point(&self) -> Result<Vec<u8>, VaultError> {
        let missing = || self.token.trouble("it does not tell the public key of this key", None);
        let public = self.token.find(&self.label, ObjectClass::PUBLIC_KEY)?.ok_or_else(missing)?;
        let point = self.value(public, AttributeType::EcPoint)?.ok_or_else(missing)?;
        // Some libraries give the point as it is, some as an OCTET STRING.
        let bare = point.strip_prefix(&[0x04, 0x41]).unwrap_or(&point);
        if bare.len() == 1 + 2 * P256_HALF_BYTES { Ok(bare.to_vec()) } else { Err(missing()) }
    }

    /// The certificate (DER) that is in the token beside the key: under its id, or under its label.
    ///
    /// # Errors
    /// [`VaultError::Token`].
    pub fn certificate(&self) -> Result<Option<Vec<u8>>, VaultError> {
        let id = self.value(self.private, AttributeType::Id)?.filter(|id| !id.is_empty());
        let by_id = match id {
            Some(id) => self.token.with_session(|session| {
                let template = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Id(id.clone())];
                Ok(session.find_objects(&template)?.first().copied())
            })?,
            None => None,
        };
        let found = match by_id {
            Some(found) => Some(found),
            None => self.token.find(&self.label, ObjectClass::CERTIFICATE)?,
        };
        found.map_or(Ok(None), |certificate| self.value(certificate, AttributeType::Value))
    }

    /// Keeps a certificate (DER) in the token beside the key, in place of the one that is there.
    ///
    /// # Errors
    /// [`VaultError::Token`].
    pub fn store_certificate(&self, der: &[u8], subject: &[u8]) -> Result<(), VaultError> {
        let id = self.value(self.private, AttributeType::Id)?.unwrap_or_default();
        self.token.with_session(|session| {
            let old = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Label(self.label.as_bytes().to_vec())];
            for certificate in session.find_objects(&old)? {
                session.destroy_object(certificate)?;
            }
            let template = [
                Attribute::Class(ObjectClass::CERTIFICATE),
                Attribute::CertificateType(cryptoki::object::CertificateType::X_509),
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Label(self.label.as_bytes().to_vec()),
                Attribute::Id(id.clone()),
                Attribute::Subject(subject.to_vec()),
                Attribute::Value(der.to_vec()),
            ];
            session.create_object(&template).map(|_| ())
        })
    }

    fn value(&self, object: ObjectHandle, attribute: AttributeType) -> Result<Option<Vec<u8>>, VaultError> {
        self.token.with_session(|session| value(session.get_attributes(object, &[attribute])))
    }
}

fn value(found: Result<Vec<Attribute>, Error>) -> Result<Option<Vec<u8>>, Error> {
    Ok(found?.into_iter().find_map(|attribute| match attribute {
        Attribute::Id(bytes) | Attribute::Value(bytes) | Attribute::EcPoint(bytes) | Attribute::EcParams(bytes) => {
            Some(bytes)
        }
        _ => None,
    }))
}

fn kind(token: &Token, private: ObjectHandle) -> Result<ClientKeyKind, VaultError> {
    let found = token.with_session(|session| session.get_attributes(private, &[AttributeType::KeyType]))?;
    let curve = || token.with_session(|session| value(session.get_attributes(private, &[AttributeType::EcParams])));
    match found.first() {
        Some(Attribute::KeyType(KeyType::RSA)) => Ok(ClientKeyKind::Rsa),
        Some(Attribute::KeyType(KeyType::EC)) if curve()?.as_deref() == Some(&P256) => Ok(ClientKeyKind::EcdsaP256),
        _ => Err(token.trouble("this key is neither RSA nor ECDSA with P-256", None)),
    }
}

/// SEQUENCE { INTEGER r, INTEGER s }.
fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let mut bytes: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        // Positive, and never empty.
        if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        // Both fit into one byte: 33 at most here, 70 below.
        [vec![0x02, u8::try_from(bytes.len()).unwrap_or(0)], bytes].concat()
    };
    let both = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap_or(0)], both].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_a_signature_are_positive_and_as_short_as_they_can_be() {
        let half = |first: u8, last: u8| {
            let mut half = [0; 32];
            (half[0], half[31]) = (first, last);
            half
        };
        assert_eq!(ecdsa_der(&half(0, 1), &half(0, 0x80)), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        let long = ecdsa_der(&half(0x80, 0), &half(0x7f, 0));
        assert_eq!(
            (long.len(), &long[..6], long[37..40].to_vec()),
            (71, &[0x30, 69, 2, 33, 0, 0x80][..], vec![2, 32, 0x7f])
        );
        assert_eq!(ecdsa_der(&[0; 32], &[0; 32]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }
}
