//! Sealing: AES-256-GCM or XAES-256-GCM (C2SP), with the place of a value as associated data.

use std::cell::RefCell;

use atena_domain::MunicipalityCode;
use atena_policy::PersonalNumberPermit;
use aws_lc_rs::aead::{self, Aad, LessSafeKey, UnboundKey};
use compact_str::CompactString;
use rand::Rng as _;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{Aead, KeyInit, Payload};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::personal_number::PersonalNumber;

/// What a key seals with. A key has one for ever; its byte is the first of every ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// XAES-256-GCM with a random 192-bit nonce: for keys that seal without end.
    Xaes256Gcm,
    /// AES-256-GCM with a random 96-bit nonce, five times as fast: for keys that seal far fewer than 2³² values (NIST SP 800-38D §8.3).
    Aes256Gcm,
}

/// A key that seals: one person's data key, or one of the municipality's own.
pub struct SealingKey {
    cipher: Cipher,
    municipality: MunicipalityCode,
    /// The key's name.
    name: CompactString,
}

enum Cipher {
    Xaes(Box<Xaes256Gcm>),
    Aes(LessSafeKey),
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

// === impl Suite ===

impl Suite {
    fn byte(self) -> u8 {
        match self {
            Self::Xaes256Gcm => 0x01,
            Self::Aes256Gcm => 0x02,
        }
    }

    fn nonce_length(self) -> usize {
        match self {
            Self::Xaes256Gcm => 24,
            Self::Aes256Gcm => aead::NONCE_LEN,
        }
    }
}

/// Bytes of the tag, in both suites.
const TAG_LENGTH: usize = 16;

thread_local! {
    /// Where a thread puts associated data together, of which nothing is secret: several times for each record of a pull.
    static ASSOCIATED_DATA: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

// === impl Cipher ===

impl Cipher {
    fn suite(&self) -> Suite {
        match self {
            Self::Xaes(_) => Suite::Xaes256Gcm,
            Self::Aes(_) => Suite::Aes256Gcm,
        }
    }

    /// Appends ciphertext and tag.
    fn seal(&self, nonce: &[u8], aad: &[u8], content: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Xaes(cipher) => {
                let sealed = cipher.encrypt(&nonce.try_into().ok()?, Payload { msg: content, aad }).ok()?;
                out.extend_from_slice(&sealed);
            }
            Self::Aes(key) => {
                let start = out.len();
                out.extend_from_slice(content);
                let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), out.get_mut(start..)?).ok()?;
                out.extend_from_slice(tag.as_ref());
            }
        }
        Some(())
    }

    /// Writes what was sealed to `content`, which is as long as it.
    fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], content: &mut [u8]) -> Option<()> {
        match self {
            Self::Xaes(cipher) => {
                let opened = cipher.decrypt(&nonce.try_into().ok()?, Payload { msg: sealed, aad });
                let opened = Zeroizing::new(opened.ok()?);
                (opened.len() == content.len()).then(|| content.copy_from_slice(&opened))
            }
            Self::Aes(key) => {
                let (ciphertext, tag) = sealed.split_at_checked(content.len())?;
                let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
                key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, content).ok()
            }
        }
    }
}

// === impl SealingKey ===

impl SealingKey {
    pub(crate) fn new(suite: Suite, key: &[u8; 32], municipality: &MunicipalityCode, name: &str) -> Self {
        let cipher = match suite {
            Suite::Xaes256Gcm => Cipher::Xaes(Box::new(Xaes256Gcm::new(&(*key).into()))),
            #[expect(clippy::expect_used, reason = "an AES-256 key is any 32 bytes")]
            Suite::Aes256Gcm => Cipher::Aes(LessSafeKey::new(
                UnboundKey::new(&aead::AES_256_GCM, key).expect("32 bytes are a key of AES-256"),
            )),
        };
        Self { cipher, municipality: municipality.clone(), name: name.into() }
    }

    /// Seals `content` for its place: suite byte, nonce, ciphertext with tag.
    ///
    /// # Errors
    /// [`VaultError::TooLong`].
    pub fn seal(&self, context: &SealContext<'_>, content: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut out = Vec::with_capacity(1 + 24 + content.len() + TAG_LENGTH);
        self.seal_as(Purpose::Content, context, content, &mut out)?;
        Ok(out)
    }

    /// As [`Self::seal`], to the end of `out`, where many values stand together.
    ///
    /// # Errors
    /// As [`Self::seal`]; `out` may then end in part of it.
    pub fn seal_to(&self, context: &SealContext<'_>, content: &[u8], out: &mut Vec<u8>) -> Result<(), VaultError> {
        self.seal_as(Purpose::Content, context, content, out)
    }

    fn seal_as(
        &self,
        purpose: Purpose,
        context: &SealContext<'_>,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), VaultError> {
        let suite = self.cipher.suite();
        out.push(suite.byte());
        let mut nonce = [0; 24];
        let nonce = &mut nonce[..suite.nonce_length()];
        // A generator in this thread (ChaCha12, seeded by the operating system again and again): asking the system itself for each nonce
        // takes as long as sealing.
        rand::rng().fill_bytes(nonce);
        out.extend_from_slice(nonce);
        let sealed = self.with_associated_data(purpose, context, |aad| self.cipher.seal(nonce, aad, content, out));
        sealed.ok_or(VaultError::TooLong)
    }

    /// Opens what was sealed for this place. A personal number does not open this way.
    ///
    /// # Errors
    /// [`VaultError::UnknownSuite`] or [`VaultError::DoesNotOpen`].
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let mut content = Zeroizing::new(Vec::with_capacity(sealed.len()));
        self.open_as(Purpose::Content, context, sealed, &mut content)?;
        Ok(content)
    }

    /// As [`Self::open`], into a buffer that takes one value after the other. What was in it is overwritten, not wiped.
    ///
    /// # Errors
    /// As [`Self::open`]; the buffer then holds nothing of use.
    pub fn open_to(&self, context: &SealContext<'_>, sealed: &[u8], content: &mut Vec<u8>) -> Result<(), VaultError> {
        self.open_as(Purpose::Content, context, sealed, content)
    }

    /// Opens a key that was sealed for this place: 32 bytes, which are nowhere but in what is returned.
    pub(crate) fn open_key(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let (nonce, ciphertext) = self.parts(sealed)?;
        let mut key = Zeroizing::new([0; 32]);
        self.open_parts(Purpose::Content, context, nonce, ciphertext, key.as_mut_slice())?;
        Ok(key)
    }

    fn open_as(
        &self,
        purpose: Purpose,
        context: &SealContext<'_>,
        sealed: &[u8],
        content: &mut Vec<u8>,
    ) -> Result<(), VaultError> {
        let (nonce, ciphertext) = self.parts(sealed)?;
        let length = ciphertext.len().checked_sub(TAG_LENGTH).ok_or(VaultError::DoesNotOpen)?;
        content.clear();
        content.resize(length, 0);
        self.open_parts(purpose, context, nonce, ciphertext, content)
    }

    /// Nonce, and ciphertext with tag.
    fn parts<'s>(&self, sealed: &'s [u8]) -> Result<(&'s [u8], &'s [u8]), VaultError> {
        let (&byte, rest) = sealed.split_first().ok_or(VaultError::DoesNotOpen)?;
        let suite = self.cipher.suite();
        if byte != suite.byte() {
            return Err(VaultError::UnknownSuite);
        }
        rest.split_at_checked(suite.nonce_length()).ok_or(VaultError::DoesNotOpen)
    }

    fn open_parts(
        &self,
        purpose: Purpose,
        context: &SealContext<'_>,
        nonce: &[u8],
        ciphertext: &[u8],
        content: &mut [u8],
    ) -> Result<(), VaultError> {
        let opened =
            self.with_associated_data(purpose, context, |aad| self.cipher.open(nonce, aad, ciphertext, content));
        opened.ok_or(VaultError::DoesNotOpen)
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
        let mut out = Vec::new();
        self.seal_as(Purpose::PersonalNumber, context, number.digits().as_bytes(), &mut out)?;
        Ok(out)
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
        // Never moved while it grows: the digits are wiped where they stood.
        let mut digits = Zeroizing::new(Vec::with_capacity(sealed.len()));
        self.open_as(Purpose::PersonalNumber, context, sealed, &mut digits)?;
        PersonalNumber::from_digits(&digits).map_err(|_| VaultError::DoesNotOpen)
    }

    /// Does something with the associated data of a value: suite, municipality and name of the key, what it was sealed as, and its place.
    fn with_associated_data<T>(&self, purpose: Purpose, context: &SealContext<'_>, work: impl FnOnce(&[u8]) -> T) -> T {
        ASSOCIATED_DATA.with_borrow_mut(|data| {
            data.clear();
            data.push(self.cipher.suite().byte());
            let scope = [self.municipality.as_str(), self.name.as_str()].map(str::as_bytes);
            let place = [purpose.label(), context.table.as_bytes(), context.column.as_bytes(), context.row];
            for part in scope.into_iter().chain(place) {
                push_part(data, part);
            }
            work(data)
        })
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

    fn key_of(suite: Suite, municipality: &str, name: &str) -> SealingKey {
        SealingKey::new(suite, &[7; 32], &MunicipalityCode::parse(municipality).unwrap(), name)
    }

    fn key(municipality: &str, name: &str) -> SealingKey {
        key_of(Suite::Aes256Gcm, municipality, name)
    }

    const PLACE: SealContext<'static> = SealContext { table: "record", column: "sealed", row: b"payment/P-1/1" };

    #[test]
    fn a_key_of_one_suite_does_not_open_what_the_other_sealed() {
        for (one, other) in [(Suite::Xaes256Gcm, Suite::Aes256Gcm), (Suite::Aes256Gcm, Suite::Xaes256Gcm)] {
            let sealed = key_of(one, "132098", "person").seal(&PLACE, b"content").unwrap();
            assert_eq!(key_of(one, "132098", "person").open(&PLACE, &sealed).unwrap().as_slice(), b"content");
            let of_other = key_of(other, "132098", "person").open(&PLACE, &sealed);
            assert!(matches!(of_other, Err(VaultError::UnknownSuite)));
        }
    }

    /// Test case 14 of the GCM specification (McGrew and Viega): the cipher is the one that everybody else calls AES-256-GCM.
    #[test]
    fn aes_is_the_one_of_its_specification() {
        let key = SealingKey::new(Suite::Aes256Gcm, &[0; 32], &MunicipalityCode::parse("132098").unwrap(), "");
        let mut sealed = Vec::new();
        key.cipher.seal(&[0; 12], b"", &[0; 16], &mut sealed).unwrap();
        let expected = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
        assert_eq!(crate::key_file::hexadecimal(&sealed), expected);
    }

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
                .encrypt(&(*b"ABCDEFGHIJKLMNOPQRSTUVWX").into(), Payload { msg: b"XAES-256-GCM", aad })
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
        fn what_was_sealed_opens_and_any_flipped_bit_closes_it(
            content in proptest::collection::vec(any::<u8>(), 0..400),
            flip in any::<prop::sample::Index>(),
            suite in prop_oneof![Just(Suite::Xaes256Gcm), Just(Suite::Aes256Gcm)],
        ) {
            let key = key_of(suite, "132098", "person");
            let mut sealed = key.seal(&PLACE, &content).unwrap();
            let opened = key.open(&PLACE, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), content.as_slice());
            let bit = flip.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.open(&PLACE, &sealed).is_err());
        }
    }
}
