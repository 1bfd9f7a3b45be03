//! Revocation lists (CRL): which authority signed one, and what of several lists of one authority
//! is believed.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::BorrowedCertRevocationList;
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::num_bigint::BigUint;
use x509_parser::parse_x509_crl;
use x509_parser::prelude::X509Certificate;

use super::expiry;
use super::issuer::issuer_of_list;

/// A list and its file.
pub(super) type List = (PathBuf, CertificateRevocationListDer<'static>);

/// Certificates that are revoked though no list in force names them: the name of the issuer and the
/// serial number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Revoked(BTreeSet<(Vec<u8>, Vec<u8>)>);

// === impl Revoked ===

impl Revoked {
    /// Whether one of these certificates is among them.
    pub(super) fn has_one_of<'c>(&self, chain: impl IntoIterator<Item = &'c CertificateDer<'c>>) -> bool {
        !self.0.is_empty() && chain.into_iter().any(|certificate| self.has(certificate))
    }

    /// A certificate that can't be parsed is for others to refuse.
    fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return false };
        self.0.contains(&(parsed.issuer().as_raw().to_vec(), parsed.raw_serial().to_vec()))
    }

    /// Adds what a list names.
    fn extend(&mut self, list: &CertificateRevocationListDer<'_>) {
        self.0.extend(entries(list));
    }

    /// Takes out what a list names.
    fn subtract(&mut self, list: &CertificateRevocationListDer<'_>) {
        entries(list).iter().for_each(|entry| {
            self.0.remove(entry);
        });
    }
}

fn entries(list: &CertificateRevocationListDer<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Ok((_, parsed)) = parse_x509_crl(list) else { return Vec::new() };
    let issuer = parsed.issuer().as_raw();
    parsed.iter_revoked_certificates().map(|entry| (issuer.to_vec(), entry.raw_serial().to_vec())).collect()
}

/// The lists to believe instead of `known`, and what is revoked besides: all that one of them names
/// or that `revoked` names.
///
/// `new` may hold anything that is a list. One of them replaces a known one only where the same
/// authority signed it, and it is newer and has not run out: the list of another authority of the
/// same name would keep every client out, and an older one would let revoked clients in again. An
/// older one still counts for the certificates that it alone names.
pub(super) fn narrowed(
    known: &[List],
    new: &[List],
    authorities: &[CertificateDer<'_>],
    revoked: &Revoked,
    now: Timestamp,
) -> (Vec<List>, Revoked) {
    let (mut lists, mut revoked) = (Vec::with_capacity(known.len()), revoked.clone());
    for before in known {
        let signers: Vec<_> = authorities.iter().filter(|authority| is_signed_by(&before.1, authority)).collect();
        let same = |list: &&List| {
            BorrowedCertRevocationList::from_der(&list.1).is_ok()
                && signers.iter().any(|authority| is_signed_by(&list.1, authority))
        };
        let same: Vec<_> = new.iter().filter(same).collect();
        same.iter().copied().chain([before]).for_each(|(_, list)| revoked.extend(list));
        if signers.is_empty() {
            // Of an authority between, whose certificate is in no file: its signature can't be
            // checked, so nothing is replaced.
            let alike = new.iter().filter(|(_, list)| is_of_one_key(list, &before.1));
            alike.for_each(|(_, list)| revoked.extend(list));
        }
        let newest = same.into_iter().filter(|(_, list)| !is_older(list, &before.1) && !has_run_out(list, now));
        lists.push(newest.min_by_key(|(_, list)| Reverse(age(list))).unwrap_or(before).clone());
    }
    lists.dedup();
    lists.iter().for_each(|(_, list)| revoked.subtract(list));
    (lists, revoked)
}

/// Whether two lists say that they are of the same authority, and of the same key.
fn is_of_one_key(one: &CertificateRevocationListDer<'_>, other: &CertificateRevocationListDer<'_>) -> bool {
    let (one, other) = (issuer_of_list(one), issuer_of_list(other));
    one.zip(other).is_some_and(|(one, other)| one.is_of_one_key(&other))
}

/// Whether a list was made before another one of the same authority.
pub(super) fn is_older(list: &CertificateRevocationListDer<'_>, than: &CertificateRevocationListDer<'_>) -> bool {
    age(list) < age(than)
}

/// When it was made, and its number: several of one day may bear one time.
pub(super) fn age(list: &CertificateRevocationListDer<'_>) -> Option<(i64, Option<BigUint>)> {
    let (_, parsed) = parse_x509_crl(list).ok()?;
    Some((parsed.last_update().timestamp(), parsed.crl_number().cloned()))
}

/// Whether nothing may be believed of it any more.
pub(super) fn has_run_out(list: &CertificateRevocationListDer<'_>, now: Timestamp) -> bool {
    expiry::of_revocation_list(list).is_none_or(|expiry| expiry.left_s(now) <= 0)
}

/// Whether the list is of the name of an authority, and its key signed it. By the algorithms with
/// which a handshake looks at it.
pub(super) fn is_signed_by(list: &CertificateRevocationListDer<'_>, authority: &CertificateDer<'_>) -> bool {
    signature(list, authority).unwrap_or(false)
}

fn signature(list: &CertificateRevocationListDer<'_>, authority: &CertificateDer<'_>) -> Option<bool> {
    let ((_, parsed), (_, authority)) = (parse_x509_crl(list).ok()?, X509Certificate::from_der(authority).ok()?);
    if parsed.issuer().as_raw() != authority.subject().as_raw() {
        return Some(false);
    }
    // CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm SEQUENCE, signatureValue }
    let (_, whole) = Any::from_der(list).ok()?;
    let (after, _signed) = Any::from_der(whole.data).ok()?;
    let (_, algorithm) = Any::from_der(after).ok()?;
    // SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE, subjectPublicKey }
    let key = authority.public_key();
    let (_, info) = Any::from_der(key.raw).ok()?;
    let (_, of_key) = Any::from_der(info.data).ok()?;
    let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let mut fitting = known.all.iter().filter(|known| {
        known.signature_alg_id().as_ref() == algorithm.data && known.public_key_alg_id().as_ref() == of_key.data
    });
    let (key, signature) = (&key.subject_public_key.data, &parsed.signature_value.data);
    let message = parsed.tbs_cert_list.as_ref();
    Some(fitting.any(|known| known.verify_signature(key, message, signature).is_ok()))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
        KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    /// An authority; all of them have one name, and their lists name no key.
    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "City");
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn list(authority: &Authority, day: u8, serials: &[u64]) -> List {
        numbered(authority, day, day, serials)
    }

    fn numbered(authority: &Authority, day: u8, number: u8, serials: &[u64]) -> List {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, day),
            next_update: date_time_ymd(2026, 2, day),
            crl_number: SerialNumber::from(u64::from(number)),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        (PathBuf::from("ca.crl"), params.signed_by(authority).unwrap().into())
    }

    fn left(authority: &Authority, known: &List, new: &[List]) -> (Vec<List>, usize) {
        let now: Timestamp = "2026-02-02T00:00:00Z".parse().unwrap();
        let (known, authorities) = (std::slice::from_ref(known), [authority.der().clone()]);
        let (lists, revoked) = narrowed(known, new, &authorities, &Revoked::default(), now);
        (lists, revoked.0.len())
    }

    #[test]
    fn a_list_of_another_authority_of_the_same_name_changes_nothing() {
        let (own, other) = (authority(), authority());
        let known = list(&own, 10, &[1]);
        assert!(is_signed_by(&known.1, own.der()) && !is_signed_by(&known.1, other.der()));
        for wrong in [list(&other, 20, &[1, 2]), list(&other, 1, &[])] {
            assert_eq!(left(&own, &known, &[wrong]), (vec![known.clone()], 0));
        }
        let mut damaged = list(&own, 20, &[1, 2]).1.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(left(&own, &known, &[(known.0.clone(), damaged.into())]), (vec![known.clone()], 0));
    }

    #[test]
    fn a_newer_list_replaces_the_one_in_force_and_nothing_that_was_revoked_is_let_in() {
        let own = authority();
        let known = list(&own, 10, &[1]);
        let newer = list(&own, 20, &[1, 2]);
        assert_eq!(left(&own, &known, std::slice::from_ref(&newer)), (vec![newer], 0));
        let same_day = numbered(&own, 10, 9, &[]);
        assert_eq!(left(&own, &known, &[same_day]), (vec![known.clone()], 0), "of the same day, with a lower number");
        let shorter = list(&own, 20, &[2]);
        assert_eq!(left(&own, &known, std::slice::from_ref(&shorter)), (vec![shorter], 1));
        assert_eq!(left(&own, &known, &[list(&own, 5, &[])]), (vec![known.clone()], 0), "an older one");
        assert_eq!(left(&own, &known, &[list(&own, 5, &[2])]), (vec![known.clone()], 1), "what it alone names counts");
        let run_out = list(&own, 2, &[1]);
        assert_eq!(
            left(&own, &list(&own, 1, &[]), std::slice::from_ref(&run_out)).1,
            1,
            "one that has run out as well"
        );
        assert_eq!(left(&own, &known, &[]), (vec![known.clone()], 0));
    }

    #[test]
    fn who_is_revoked_besides_is_found_by_issuer_and_serial() {
        let own = authority();
        let client = |serial: u64| {
            let mut params = CertificateParams::default();
            params.serial_number = Some(SerialNumber::from(serial));
            params.signed_by(&KeyPair::generate().unwrap(), &own).unwrap().der().clone()
        };
        let mut revoked = Revoked::default();
        revoked.extend(&list(&own, 1, &[7, 0x80]).1);
        let has = |serial| revoked.has_one_of([&client(serial)]);
        assert_eq!([7, 0x80, 8].map(has), [true, true, false]);
        revoked.subtract(&list(&own, 1, &[7]).1);
        assert!(!revoked.has_one_of([&client(7)]) && revoked.has_one_of([&client(0x80)]));
    }
}
