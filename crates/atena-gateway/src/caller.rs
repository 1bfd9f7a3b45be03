//! Who is calling: step 1 of every call. A system proves itself by its certificate, a person by a certificate of their own or by a sign-in
//! token over the connection of a console.

use atena_domain::{OperatorId, SystemId};
use atena_oidc::TokenRefused;
use atena_policy::{AuditPermit, PERSON_CALLER, ReconstructPermit, Refusal, Role, RulesPermit};
use jiff::Timestamp;
use tonic::codegen::http::{Extensions, HeaderMap, HeaderValue, header::AUTHORIZATION};
use tonic::metadata::MetadataMap;

use crate::door::{Named, Peer};
use crate::error::{CallError, Reason};
use crate::hall::Hall;
use crate::transfer::{OperatorProof, PartialCaller};

/// Request metadata that carries the operator id (操作者ID).
pub(crate) const OPERATOR_METADATA: &str = "x-atena-operator-id";

/// What a request shows of who sends it.
#[derive(Clone)]
pub(crate) struct Shown {
    peer: Option<Peer>,
    /// Every `authorization` of the request; it may have one at most.
    tokens: Vec<HeaderValue>,
}

/// A caller found in a registry.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The system. Where a person calls, the console at which they signed in, or [`PERSON_CALLER`] with a certificate of their own; neither
    /// may do anything by itself.
    pub(crate) system_id: SystemId,
    pub(crate) division: String,
    pub(crate) person: Option<SignedIn>,
}

/// A person who signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) account: OperatorId,
    pub(crate) proof: OperatorProof,
    /// When they showed who they are; `None` where the provider does not say.
    pub(crate) at: Option<Timestamp>,
}

/// A caller that is refused before anything of the call is looked at.
pub(crate) struct Unidentified {
    pub(crate) known: Box<PartialCaller>,
    pub(crate) error: CallError,
}

/// Finds the caller: exactly what was proved, in the registry of systems or among the accounts, by exact match.
pub(crate) async fn identify(hall: &Hall, shown: &Shown) -> Result<Caller, Unidentified> {
    match shown.peer.as_ref().and_then(|peer| peer.named(hall.municipality_code().as_str())) {
        Some(Named::System(id)) => identify_system(hall, shown, id).await,
        Some(Named::Person(id)) => identify_person(hall, shown, id),
        None => Err(shown.unknown(Refusal::CallerUnknown)),
    }
}

async fn identify_system(hall: &Hall, shown: &Shown, id: &str) -> Result<Caller, Unidentified> {
    let policy = hall.policy();
    let system = SystemId::parse(id).ok().and_then(|id| policy.system(&id));
    let system = system.ok_or_else(|| shown.unknown(Refusal::CallerUnknown))?;
    if system.revoked() {
        return Err(shown.unknown(Refusal::CallerRevoked));
    }
    let caller = Caller { system_id: system.id().clone(), division: system.division().to_owned(), person: None };
    match (system.has_role(Role::Console), shown.tokens.is_empty()) {
        (false, true) => Ok(caller),
        (true, _) => sign_in(hall, shown, caller).await,
        (false, false) => Err(caller.refused(token_misplaced())),
    }
}

/// The person whose token comes through a console.
async fn sign_in(hall: &Hall, shown: &Shown, console: Caller) -> Result<Caller, Unidentified> {
    let refused = |error| console.refused(error);
    let token = shown.token().map_err(refused)?;
    let token = hall.people.verify(token).await.map_err(|why| refused(not_signed_in(why)))?;
    let accounts = hall.people.accounts();
    match accounts.by_subject(&token.subject, hall.today()) {
        Ok(account) => Ok(Caller {
            division: account.division().to_owned(),
            person: Some(SignedIn {
                account: account.id().clone(),
                proof: OperatorProof::SignIn,
                at: token.signed_in_at,
            }),
            system_id: console.system_id,
        }),
        Err(refusal) => {
            let account = accounts.of_subject(&token.subject).map(|account| account.id().clone());
            let mut unidentified = refused(refusal.into());
            unidentified.known.operator = account.map(|id| (id, OperatorProof::SignIn));
            Err(unidentified)
        }
    }
}

/// The person whose own certificate the connection showed.
fn identify_person(hall: &Hall, shown: &Shown, id: &str) -> Result<Caller, Unidentified> {
    let id = OperatorId::parse(id).ok();
    let refused = |refusal: Refusal| {
        let operator = id.clone().map(|id| (id, OperatorProof::Certificate));
        let known = PartialCaller { system: PERSON_CALLER.into(), division: None, operator };
        Unidentified { known: Box::new(known), error: refusal.into() }
    };
    let accounts = hall.people.accounts();
    let account = id.as_ref().ok_or(Refusal::CallerUnknown).and_then(|id| accounts.by_certificate(id, hall.today()));
    let account = account.map_err(refused)?;
    let person = SignedIn {
        account: account.id().clone(),
        proof: OperatorProof::Certificate,
        at: shown.peer.as_ref().map(Peer::proved_at),
    };
    let system_id = SystemId::parse(PERSON_CALLER).map_err(|_| refused(Refusal::CallerUnknown))?;
    let caller = Caller { system_id, division: account.division().to_owned(), person: Some(person) };
    if shown.tokens.is_empty() { Ok(caller) } else { Err(caller.refused(token_misplaced())) }
}

fn token_misplaced() -> CallError {
    CallError::field("authorization", "only a console (role console) takes the sign-in of somebody")
}

/// One answer for every token that is not believed: which check it failed is for the log of the gateway.
fn not_signed_in(why: TokenRefused) -> CallError {
    tracing::info!(%why, "a sign-in is refused");
    match why {
        TokenRefused::KeysUnavailable => CallError::new(
            Reason::SignInUnavailable,
            "the provider of sign-ins does not answer, so nobody can be recognised; try again later",
        ),
        _ => CallError::new(
            Reason::SignInRequired,
            "nobody is signed in here, or the sign-in has ended; sign in: atena login",
        ),
    }
}

// === impl Shown ===

impl Shown {
    /// What a request shows.
    pub(crate) fn by(extensions: &Extensions, headers: &HeaderMap) -> Self {
        Self {
            peer: extensions.get::<Peer>().cloned(),
            tokens: headers.get_all(AUTHORIZATION).iter().cloned().collect(),
        }
    }

    /// The one token (RFC 6750 §2.1).
    fn token(&self) -> Result<&str, CallError> {
        match self.tokens.as_slice() {
            [one] => bearer(one).ok_or_else(|| not_signed_in(TokenRefused::Malformed)),
            [] => Err(not_signed_in(TokenRefused::Absent)),
            _ => Err(not_signed_in(TokenRefused::Malformed)),
        }
    }

    /// Somebody who is in no registry, or revoked: named by the URI, and that only where the municipality's own authority vouched for it.
    fn unknown(&self, refusal: Refusal) -> Unidentified {
        let uri = self.peer.as_ref().and_then(Peer::uri);
        let known = PartialCaller { system: uri.unwrap_or("unknown").into(), division: None, operator: None };
        let error = match (refusal, uri) {
            (Refusal::CallerUnknown, Some(uri)) => CallError::new(
                Reason::CallerUnknown,
                format!(
                    "the certificate names {uri}, which is no registered system of this municipality (policy.toml)"
                ),
            ),
            (Refusal::CallerUnknown, None) => CallError::new(
                Reason::CallerUnknown,
                "the certificate has no single URI name (SAN), such as spiffe://CODE.atena/system/ID",
            ),
            (Refusal::CallerRevoked, Some(uri)) => {
                CallError::new(Reason::CallerRevoked, format!("the registration of {uri} is revoked (policy.toml)"))
            }
            (refusal, _) => refusal.into(),
        };
        Unidentified { known: Box::new(known), error }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

// === impl Caller ===

impl Caller {
    /// The caller, for the record of a refusal.
    pub(crate) fn known(&self) -> PartialCaller {
        PartialCaller {
            system: self.system_id.as_str().into(),
            division: Some(self.division.as_str().into()),
            operator: self.person.as_ref().map(|person| (person.account.clone(), person.proof)),
        }
    }

    fn refused(&self, error: CallError) -> Unidentified {
        Unidentified { known: Box::new(self.known()), error }
    }

    /// The operator id of a call: of a person the account, which is proved; otherwise what the system tells, recorded and not trusted.
    pub(crate) fn operator(&self, metadata: &MetadataMap) -> Result<Option<OperatorId>, CallError> {
        let told = told_operator(metadata)?;
        match &self.person {
            None => Ok(told),
            Some(person) if told.as_ref().is_none_or(|told| *told == person.account) => {
                Ok(Some(person.account.clone()))
            }
            Some(_) => Err(CallError::field(OPERATOR_METADATA, "must be left out, or be the account that signed in")),
        }
    }

    /// May the caller read the transfer log?
    pub(crate) fn authorize_audit(&self, hall: &Hall) -> Result<AuditPermit, Refusal> {
        match &self.person {
            Some(person) => hall.people.accounts().authorize_audit(&person.account, hall.today()),
            None => hall.policy().authorize_audit(&self.system_id, hall.today()),
        }
    }

    /// May the caller be shown the exact content of a transfer again?
    pub(crate) fn authorize_reconstruction(&self, hall: &Hall) -> Result<ReconstructPermit, Refusal> {
        match &self.person {
            Some(person) => hall.people.accounts().authorize_reconstruction(&person.account, hall.today()),
            None => hall.policy().authorize_reconstruction(&self.system_id, hall.today()),
        }
    }

    /// May the caller read the rules of every system? `None` for a system, which reads its own.
    pub(crate) fn authorize_rules(&self, hall: &Hall) -> Option<Result<RulesPermit, Refusal>> {
        let person = self.person.as_ref()?;
        Some(hall.people.accounts().authorize_rules(&person.account, hall.today()))
    }
}

fn told_operator(metadata: &MetadataMap) -> Result<Option<OperatorId>, CallError> {
    let Some(value) = metadata.get(OPERATOR_METADATA) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| OperatorId::parse(text).ok())
        .map(Some)
        .ok_or_else(|| CallError::field(OPERATOR_METADATA, "must be 1 to 10 of 0-9 A-Z a-z . _ -"))
}
