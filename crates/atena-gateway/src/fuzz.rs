//! Ways in for `crates/atena-gateway/fuzz`: readers of outside bytes that nobody else can reach. Compiled for fuzzing alone.
#![allow(missing_docs, clippy::expect_used, reason = "only fuzz targets see this")]

use std::sync::OnceLock;

use atena_domain::{Affair, Dataset, SystemId};
use atena_policy::{Accounts, Policy, RegistrationPermit, ReleasePermit};
use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use bytes::Bytes;
use jiff::civil::{Date, date};
use prost::Message as _;
use rustls::pki_types::CertificateDer;

use crate::catalog::field_catalog;
use crate::convert::person::parse_registration;
use crate::convert::pushed::{arrived, parse_record};
use crate::door::Peer;

const DAY: Date = date(2026, 11, 1);

fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let text = include_str!("../../../deploy/policy.toml");
    POLICY.get_or_init(|| Policy::compile(text, &field_catalog(), DAY).expect("the default rules are sound"))
}

fn registration_permit() -> RegistrationPermit {
    let pension = SystemId::parse("pension").expect("an id");
    policy().authorize_registration(&pension, DAY).expect("the default rules let it register")
}

fn release_permit() -> ReleasePermit {
    let (tax, affair) =
        (SystemId::parse("resident-tax").expect("an id"), Affair::parse("市都民税賦課業務").expect("an affair"));
    policy().authorize_release(&tax, &affair, Dataset::Payment, DAY).expect("the default rules release it")
}

/// Rules of any kind are taken or refused.
pub fn rules(text: &str) {
    let _ = Policy::compile(text, &field_catalog(), DAY);
}

/// What a filter lets through of any bytes is a message of allowed fields: filtering it again changes nothing.
pub fn field_filter(bytes: &[u8]) {
    let permit = release_permit();
    let mut out = Vec::new();
    if permit.filter().apply(bytes, &mut out).is_ok() {
        let mut again = Vec::new();
        permit.filter().apply(&out, &mut again).expect("what was let through is a message");
        assert_eq!(again, out);
        if let Ok(payment) = v1::Payment::decode(out.as_slice()) {
            assert!(payment.basic_pension_number.is_empty() && payment.remarks.is_empty(), "deny-by-default");
        }
    }
}

/// A record of any kind is taken or refused; what is kept of it is what its decoder reads.
pub fn record(bytes: &[u8]) {
    let Ok(record) = arrived(Bytes::copy_from_slice(bytes)) else { return };
    let Ok(parsed) = parse_record(record, DAY) else { return };
    let message = v1::PushedRecord::decode(bytes).expect("what is kept is a message");
    // What is kept is what the decoder makes of it, whether it was decoded or not.
    assert_eq!((parsed.record_key.as_str(), parsed.revision), (message.record_key.as_str(), message.revision));
    let content = match message.body {
        Some(Body::Qualification(body)) => Some(body.encode_to_vec()),
        Some(Body::Payment(body)) => Some(body.encode_to_vec()),
        Some(Body::Exemption(body)) => Some(body.encode_to_vec()),
        Some(Body::Benefit(body)) => Some(body.encode_to_vec()),
        Some(Body::WelfarePension(body)) => Some(body.encode_to_vec()),
        Some(Body::Deletion(_)) | None => None,
    };
    assert_eq!(parsed.content.as_deref(), content.as_deref());
}

/// A registration of any kind is taken or refused.
pub fn registration(bytes: &[u8]) {
    if let Ok(registration) = v1::PersonRegistration::decode(bytes) {
        let _ = parse_registration(registration, &registration_permit(), false, DAY);
    }
}

/// Any filter of the transfer log is taken or refused.
pub fn transfer_filter(text: &str) {
    let _ = crate::transfer_filter::parse(text);
}

/// Any opened cursor is a position, which is written down the same again, or none.
pub fn cursor(bytes: &[u8]) {
    crate::cursor::fuzz(bytes);
}

/// Any certificate has one identity or none.
pub fn certificate(bytes: &[u8]) {
    let peer = Peer::from_certificate(&CertificateDer::from(bytes.to_vec()), jiff::Timestamp::UNIX_EPOCH);
    let _ = peer.named("132098");
}

/// Accounts of any kind are taken or refused.
pub fn accounts(text: &str) {
    let _ = Accounts::read(text);
}

/// No token is believed that the provider's key did not sign.
pub fn id_token(text: &str) {
    atena_oidc::fuzz::id_token(text);
}
