//! The vault: every key of one municipality, and what is done with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use atena_domain::{Dataset, MunicipalityCode, SystemId, UnifiedAddressNumber};
use atena_policy::PersonalNumberPermit;
use bytes::Bytes;
use compact_str::CompactString;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::key_service::{DataKey, KeyService, LogKey, Purpose, begin_hmac_sha256, message};
use crate::key_source::KeySource;
use crate::personal_number::PersonalNumber;
use crate::pseudonym::Pseudonyms;
use crate::sealing::{PersonKey, SealContext, SealingKey, Suite};

/// The keys of one municipality, opened.
pub struct Vault {
    municipality: MunicipalityCode,
    source: KeySource,
    keys: ArcSwap<Keys>,
    cursor: SealingKey,
    municipal: Zeroizing<[u8; 32]>,
    pseudonym: Zeroizing<[u8; 32]>,
    /// The digest of contents, begun with its key and the municipality.
    digest: Hmac<Sha256>,
}

/// The keys as they were read last.
struct Keys {
    now: Arc<dyn KeyService>,
    /// Those before: what was read from the database before a rotation ended can still be opened.
    before: Option<Arc<dyn KeyService>>,
    read_at: Instant,
}

/// Keys are not read again more often than this because one is missing.
const READ_AGAIN_INTERVAL: Duration = Duration::from_millis(200);

/// A person's data key as it is stored: sealed by the municipality's wrapping key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Name of the wrapping key.
    pub kek_id: CompactString,
    /// The sealed key.
    pub bytes: Bytes,
}

/// What a personal number is found by: HMAC-SHA-256 under a key that never lies in the database, all 32 bytes.
///
/// It counts as a personal number (個人情報保護委員会 Q&A 9-4), so it can't be printed either.
pub struct BlindIndex([u8; 32]);

// === impl Vault ===

impl Vault {
    /// Opens the keys of a municipality.
    ///
    /// # Errors
    /// [`VaultError`]: the key file is readable by others, belongs to another municipality, or is damaged; the token can't be used, or
    /// does not have them.
    pub fn open(source: &KeySource, municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let keys = source.open(municipality)?;
        let cursor = SealingKey::new(Suite::Xaes256Gcm, &*keys.purpose_key(Purpose::Cursor)?, municipality, "cursor");
        Ok(Self {
            municipality: municipality.clone(),
            source: source.clone(),
            cursor,
            municipal: keys.purpose_key(Purpose::Municipal)?,
            pseudonym: keys.purpose_key(Purpose::Pseudonym)?,
            digest: begin_hmac_sha256(&*keys.purpose_key(Purpose::Digest)?)
                .chain_update(message(municipality, &[]).as_slice()),
            keys: ArcSwap::from_pointee(Keys { now: keys, before: None, read_at: Instant::now() }),
        })
    }

    /// Reads the keys again: there may be newer versions.
    ///
    /// # Errors
    /// As [`Vault::open`]; then those that were read before stay.
    pub fn read_again(&self) -> Result<(), VaultError> {
        let known = self.keys.load_full();
        let now = self.source.open(&self.municipality)?;
        self.keys.store(Arc::new(Keys { now, before: Some(Arc::clone(&known.now)), read_at: Instant::now() }));
        Ok(())
    }

    /// Whether the keys can be used now: a token may be away. It is looked for again where that is due.
    ///
    /// # Errors
    /// [`VaultError::Token`].
    pub fn probe(&self) -> Result<(), VaultError> {
        // Kept while it is asked: it may take long, and a reader of the keys must not wait for that.
        let now = Arc::clone(&self.keys.load().now);
        now.probe()
    }

    /// Whether the keys can go away while they are in use: those in a token can.
    #[must_use]
    pub fn may_go_away(&self) -> bool {
        matches!(self.source, KeySource::Token(_))
    }

    /// Names of the wrapping keys, oldest first.
    #[must_use]
    pub fn wrapping_ids(&self) -> Vec<String> {
        self.keys.load().now.wrapping_ids()
    }

    /// Versions of the blind index key, oldest first.
    #[must_use]
    pub fn index_versions(&self) -> Vec<u32> {
        self.keys.load().now.index_versions()
    }

    /// The blind index of a personal number under a version of the key, for a caller that the policy allows to use the number: without a
    /// permit nobody can even test whether a number is stored (number-confinement).
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`]; [`VaultError::Token`] where a token keeps the key and does not answer.
    pub fn blind_index(
        &self,
        number: &PersonalNumber,
        version: u32,
        _permit: &PersonalNumberPermit,
    ) -> Result<BlindIndex, VaultError> {
        self.index(number, version)
    }

    /// The blind index of a sealed personal number under another version of the key. The number does not leave the vault.
    ///
    /// # Errors
    /// As [`Vault::blind_index`]; [`VaultError::DoesNotOpen`].
    pub fn index_again(
        &self,
        key: &PersonKey,
        context: &SealContext<'_>,
        sealed: &[u8],
        version: u32,
    ) -> Result<BlindIndex, VaultError> {
        self.index(&key.open_personal_number_within(context, sealed)?, version)
    }

    fn index(&self, number: &PersonalNumber, version: u32) -> Result<BlindIndex, VaultError> {
        let parts: [&[u8]; 3] = [b"atena/v1/personal-number", &version.to_be_bytes(), number.digits().as_bytes()];
        Ok(BlindIndex(self.keys.load().now.index(version, &message(&self.municipality, &parts))?))
    }

    /// A new data key for a person, and its form to store, wrapped by the wrapping key of this name.
    ///
    /// # Errors
    /// [`VaultError::Random`], [`VaultError::UnknownKey`]; [`VaultError::Token`] where a token keeps the key and does not answer.
    pub fn new_person_key(
        &self,
        person: &UnifiedAddressNumber,
        wrapping_id: &str,
    ) -> Result<(PersonKey, WrappedKey), VaultError> {
        let mut key = DataKey { suite: Suite::Aes256Gcm, bytes: Zeroizing::new([0; 32]) };
        getrandom::fill(key.bytes.as_mut_slice()).map_err(|_| VaultError::Random)?;
        let wrapped = self.wrap(person, &key, wrapping_id)?;
        Ok((self.person_key(&key, person), wrapped))
    }

    /// A person's data key from its wrapped form.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] or [`VaultError::DoesNotOpen`]; [`VaultError::Token`] where a token keeps the key and does not answer.
    pub fn unwrap_person_key(
        &self,
        person: &UnifiedAddressNumber,
        wrapped: &WrappedKey,
    ) -> Result<PersonKey, VaultError> {
        Ok(self.person_key(&self.unwrap(person, wrapped)?, person))
    }

    /// The data keys of people, by person.
    ///
    /// # Errors
    /// As [`Vault::unwrap_person_key`], for the first that does not open.
    pub fn unwrap_person_keys(
        &self,
        wrapped: &HashMap<UnifiedAddressNumber, WrappedKey>,
    ) -> Result<HashMap<UnifiedAddressNumber, Arc<PersonKey>>, VaultError> {
        let unwrap = |(person, wrapped): (&UnifiedAddressNumber, &WrappedKey)| {
            Ok((person.clone(), Arc::new(self.unwrap_person_key(person, wrapped)?)))
        };
        wrapped.iter().map(unwrap).collect()
    }

    /// The same data key, wrapped by another wrapping key.
    ///
    /// # Errors
    /// As [`Vault::unwrap_person_key`].
    pub fn wrap_again(
        &self,
        person: &UnifiedAddressNumber,
        wrapped: &WrappedKey,
        wrapping_id: &str,
    ) -> Result<WrappedKey, VaultError> {
        self.wrap(person, &self.unwrap(person, wrapped)?, wrapping_id)
    }

    fn wrap(&self, person: &UnifiedAddressNumber, key: &DataKey, wrapping_id: &str) -> Result<WrappedKey, VaultError> {
        let bytes = self.keys.load().now.wrap(wrapping_id, person.as_str().as_bytes(), key)?;
        Ok(WrappedKey { kek_id: wrapping_id.into(), bytes: bytes.into() })
    }

    fn unwrap(&self, person: &UnifiedAddressNumber, wrapped: &WrappedKey) -> Result<DataKey, VaultError> {
        let keys = self.keys.load();
        let unwrap = |keys: &dyn KeyService| keys.unwrap(&wrapped.kek_id, person.as_str().as_bytes(), &wrapped.bytes);
        match unwrap(&*keys.now) {
            Err(VaultError::UnknownKey) => (),
            known => return known,
        }
        if let Some(before) = &keys.before
            && let Ok(key) = unwrap(&**before)
        {
            return Ok(key);
        }
        // Another gateway knows a newer one already.
        if keys.read_at.elapsed() < READ_AGAIN_INTERVAL {
            return Err(VaultError::UnknownKey);
        }
        self.read_again()?;
        unwrap(&*self.keys.load().now)
    }

    /// The key for what belongs to no person yet (review cases).
    #[must_use]
    pub fn municipal_key(&self) -> SealingKey {
        SealingKey::new(Suite::Xaes256Gcm, &self.municipal, &self.municipality, "municipal")
    }

    /// Seals a cursor for one consumer. All cursors of one content length have one length.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn seal_cursor(&self, consumer: &SystemId, content: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.cursor.seal(&cursor_context(consumer), content)
    }

    /// Opens a cursor that was sealed for this consumer.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`] for another consumer's cursor or anything else.
    pub fn open_cursor(&self, consumer: &SystemId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.cursor.open(&cursor_context(consumer), sealed)
    }

    /// The name of a record in one consumer's system: 32 hexadecimal digits, stable, different for every consumer, and nothing of
    /// the owner's key can be read from it (own-number-only).
    #[must_use]
    pub fn pseudonym(&self, consumer: &SystemId, dataset: Dataset, record_key: &str) -> String {
        self.pseudonyms(consumer, dataset).of(record_key).as_str().to_owned()
    }

    /// The names of a dataset's records in one consumer's system; see [`Vault::pseudonym`].
    #[must_use]
    pub fn pseudonyms(&self, consumer: &SystemId, dataset: Dataset) -> Pseudonyms {
        Pseudonyms::new(&self.pseudonym, &self.municipality, consumer, dataset)
    }

    /// A keyed digest of content, to tell whether two contents are the same without opening them.
    #[must_use]
    pub fn content_mac(&self, kind: &str, content: &[u8]) -> [u8; 32] {
        // Part by part: content may be long, and a message put together would have to be wiped again.
        let mut mac = self.digest.clone();
        for part in [kind.as_bytes(), content] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Fills `bytes` with the operating system's random numbers.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn fill_random(&self, bytes: &mut [u8]) -> Result<(), VaultError> {
        getrandom::fill(bytes).map_err(|_| VaultError::Random)
    }

    /// The keys that sign or signed heads of the log, oldest first: at least one, the newest of which has its private half.
    #[must_use]
    pub fn log_keys(&self) -> Vec<LogKey> {
        self.keys.load().now.log_keys()
    }

    /// Signs a head of the log with a version of its key (Ed25519, 64 bytes).
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] where its private half is not there; [`VaultError::Token`] where a token keeps it and does not answer.
    pub fn sign_log_head(&self, version: u32, text: &[u8]) -> Result<[u8; 64], VaultError> {
        self.keys.load().now.sign_log_head(version, text)
    }

    fn person_key(&self, key: &DataKey, person: &UnifiedAddressNumber) -> PersonKey {
        SealingKey::new(key.suite, &key.bytes, &self.municipality, person.as_str())
    }
}

// === impl BlindIndex ===

impl BlindIndex {
    /// The 32 bytes, for the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn cursor_context(consumer: &SystemId) -> SealContext<'_> {
    SealContext { table: "cursor", column: "sealed", row: consumer.as_str().as_bytes() }
}

static_assertions::assert_not_impl_any!(Vault: std::fmt::Debug, Clone);
static_assertions::assert_not_impl_any!(BlindIndex: std::fmt::Debug, std::fmt::Display, Clone, PartialEq);

#[cfg(test)]
mod tests;
