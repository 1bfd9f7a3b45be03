//! Sealing: XAES-256-GCM (C2SP) with the place of a value as associated data.

use atena_domain::MunicipalityCode;
use atena_policy::PersonalNumberPermit;
use xaes_256_gcm::aead::{Aead, KeyInit, Payload};
use xaes_256_gcm::{Nonce, Xaes256Gcm};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::personal_number::PersonalNumber;

/// First byte of every ciphertext: XAES-256-GCM with a random 192-bit nonce.
const SUITE: u8 = 0x01;

/// Bytes of the nonce.
const NONCE_LENGTH: usize = 24;

/// A key that seals: one person's data key, or one of the municipality's own.
pub struct SealingKey {
    cipher: Xaes256Gcm,
    /// What is the same for everything this key seals: municipality and name of the key.
    scope: Vec<u8>,
}

/// The data key of one person. Destroying its wrapped form erases what it sealed.
pub type PersonKey = SealingKey;

/// Where a sealed value stands. It opens there and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// Table.
    pub table: &'a str,
    /// Column.
    pub column: &'a str,
    /// The row, in a form that no other row of the table has.
    pub row: &'a [u8],
}

/// What a value was sealed as; a part of the associated data. A personal number does not open as content, whatever the place:
/// that would be a way to it without a permit (number-confinement).
#[derive(Clone, Copy)]
enum Purpose {
    Content,
    PersonalNumber,
}

// === impl SealingKey ===

impl SealingKey {
    pub(crate) fn new(key: &[u8; 32], municipality: &MunicipalityCode, name: &str) -> Self {
        let mut scope = Vec::new();
        for part in [municipality.as_str(), name] {
            push_part(&mut scope, part.as_bytes());
        }
        Self { cipher: Xaes256Gcm::new(&(*key).into()), scope }
    }

    /// Seals `content` for its place: suite byte, nonce, ciphertext with tag.
    ///
    /// # Errors
    /// [`VaultError::Random`] without random numbers, [`VaultError::TooLong`].
    pub fn seal(&self, context: &SealContext<'_>, content: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.seal_as(Purpose::Content, context, content)
    }

    fn seal_as(&self, purpose: Purpose, context: &SealContext<'_>, content: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let aad = self.associated_data(purpose, context);
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: content, aad: &aad })
            .map_err(|_| VaultError::TooLong)?;
        let mut out = Vec::with_capacity(1 + NONCE_LENGTH + sealed.len());
        out.push(SUITE);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what was sealed for this place. A personal number does not open this way.
    ///
    /// # Errors
    /// [`VaultError::UnknownSuite`] or [`VaultError::DoesNotOpen`].
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.open_as(Purpose::Content, context, sealed)
    }

    fn open_as(
        &self,
        purpose: Purpose,
        context: &SealContext<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (&suite, rest) = sealed.split_first().ok_or(VaultError::DoesNotOpen)?;
        if suite != SUITE {
            return Err(VaultError::UnknownSuite);
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(VaultError::DoesNotOpen)?;
        let aad = self.associated_data(purpose, context);
        self.cipher
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::DoesNotOpen)
    }

    /// Seals a personal number. Only [`Self::open_personal_number`] opens it again.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_personal_number(
        &self,
        number: &PersonalNumber,
        context: &SealContext<'_>,
    ) -> Result<Vec<u8>, VaultError> {
        self.seal_as(Purpose::PersonalNumber, context, number.digits().as_bytes())
    }

    /// Opens a personal number, for a caller that the policy allows to use it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_personal_number(
        &self,
        context: &SealContext<'_>,
        sealed: &[u8],
        _permit: &PersonalNumberPermit,
    ) -> Result<PersonalNumber, VaultError> {
        self.open_personal_number_within(context, sealed)
    }

    /// Opens a personal number for the vault itself, which lets nothing of it out.
    pub(crate) fn open_personal_number_within(
        &self,
        context: &SealContext<'_>,
        sealed: &[u8],
    ) -> Result<PersonalNumber, VaultError> {
        let digits = self.open_as(Purpose::PersonalNumber, context, sealed)?;
        PersonalNumber::from_digits(&digits).map_err(|_| VaultError::DoesNotOpen)
    }

    fn associated_data(&self, purpose: Purpose, context: &SealContext<'_>) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.scope.len() + context.row.len() + 64);
        data.push(SUITE);
        data.extend_from_slice(&self.scope);
        for part in [purpose.label(), context.table.as_bytes(), context.column.as_bytes(), context.row] {
            push_part(&mut data, part);
        }
        data
    }
}

// === impl Purpose ===

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Content => b"atena/v1/content",
            Self::PersonalNumber => b"atena/v1/personal-number",
        }
    }
}

/// Appends a part with its length, so that no two lists of parts are the same bytes.
pub(crate) fn push_part(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_permit::{number_of, personal_number_permit};

    fn key(municipality: &str, name: &str) -> SealingKey {
        SealingKey::new(&[7; 32], &MunicipalityCode::parse(municipality).unwrap(), name)
    }

    const PLACE: SealContext<'static> = SealContext { table: "record", column: "sealed", row: b"payment/P-1/1" };

    #[test]
    fn a_value_moved_elsewhere_does_not_open() {
        let sealed = key("132098", "person").seal(&PLACE, b"content").unwrap();
        for place in [
            SealContext { table: "person_view", ..PLACE },
            SealContext { column: "other", ..PLACE },
            SealContext { row: b"payment/P-1/2", ..PLACE },
        ] {
            assert!(matches!(key("132098", "person").open(&place, &sealed), Err(VaultError::DoesNotOpen)));
        }
        assert!(key("131016", "person").open(&PLACE, &sealed).is_err(), "municipality-apart");
        assert!(key("132098", "somebody else").open(&PLACE, &sealed).is_err());
    }

    /// number-confinement: without a permit there is no way in.
    #[test]
    fn a_sealed_personal_number_opens_with_a_permit_and_never_as_content() {
        let (key, permit, digits) = (key("132098", "person"), personal_number_permit(), number_of(98_765_432_109));
        let number = PersonalNumber::parse(&digits).ok().unwrap();
        let sealed = key.seal_personal_number(&number, &PLACE).unwrap();
        let opened = key.open_personal_number(&PLACE, &sealed, &permit).ok().unwrap();
        assert!(opened.expose(&permit) == digits);
        assert!(matches!(key.open(&PLACE, &sealed), Err(VaultError::DoesNotOpen)));
        let content = key.seal(&PLACE, digits.as_bytes()).unwrap();
        assert!(key.open_personal_number(&PLACE, &content, &permit).is_err());
    }

    /// The two vectors of <https://c2sp.org/XAES-256-GCM>.
    #[test]
    fn the_cipher_is_the_one_of_the_specification() {
        for (byte, aad, expected) in [
            (1, b"".as_slice(), "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, b"c2sp.org/XAES-256-GCM".as_slice(), "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let sealed = Xaes256Gcm::new(&[byte; 32].into())
                .encrypt(&Nonce::from(*b"ABCDEFGHIJKLMNOPQRSTUVWX"), Payload { msg: b"XAES-256-GCM", aad })
                .unwrap();
            assert_eq!(crate::key_file::hexadecimal(&sealed), expected);
        }
    }

    #[test]
    fn a_shortened_value_does_not_open() {
        let sealed = key("132098", "person").seal(&PLACE, b"content").unwrap();
        assert!((0..sealed.len()).all(|length| key("132098", "person").open(&PLACE, &sealed[..length]).is_err()));
    }

    #[test]
    fn an_unknown_suite_is_told_apart_from_damage() {
        let mut sealed = key("132098", "person").seal(&PLACE, b"content").unwrap();
        sealed[0] = 9;
        assert!(matches!(key("132098", "person").open(&PLACE, &sealed), Err(VaultError::UnknownSuite)));
    }

    #[test]
    fn the_same_content_is_never_sealed_the_same_way_twice() {
        let key = key("132098", "person");
        assert_ne!(key.seal(&PLACE, b"content").unwrap(), key.seal(&PLACE, b"content").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_sealed_opens_and_any_flipped_bit_closes_it(content in proptest::collection::vec(any::<u8>(), 0..400), flip in any::<prop::sample::Index>()) {
            let key = key("132098", "person");
            let mut sealed = key.seal(&PLACE, &content).unwrap();
            let opened = key.open(&PLACE, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), content.as_slice());
            let bit = flip.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.open(&PLACE, &sealed).is_err());
        }
    }
}
