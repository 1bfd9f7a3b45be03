//! Operators (運用担当者) who sign in at the machine. What they show is believed exactly as the door and the consoles believe it: the same
//! authority, revocation lists, provider and accounts.

use atena_domain::{OperatorId, SystemId};
use atena_oidc::TokenRefused;
use atena_policy::{Refusal, Role};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::Actor;
use crate::clock;
use crate::config::Config;
use crate::door::{Clients, Named, Peer, TlsError};
use crate::load::{LoadError, people_of, policy_of};
use crate::people::People;
use crate::transfer::OperatorProof;

/// What is signed begins so: a signature under it is good for nothing else, a TLS handshake least of all (RFC 8446 §4.4.3).
const CHALLENGE: &[u8] = b"Atena: an operator signs in at the machine\0";

/// Random bytes after it: no signature is good twice.
const CHALLENGE_RANDOM_BYTES: usize = 32;

/// What somebody shows of themselves at the machine.
pub enum Showing<'a> {
    /// Their certificate, and the key to it in a file or on a card.
    Certificate {
        /// The account that they say is theirs.
        account: &'a str,
        /// Both.
        key: &'a CertifiedKey,
    },
    /// What came of their sign-in at a console.
    SignIn {
        /// The console.
        console: &'a str,
        /// The ID token.
        token: &'a str,
    },
}

/// Why somebody is not taken for an operator. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The settings want to know who it is.
    #[error(
        "this is done only by an operator who signs in (operators_sign_in in [people] of atena.toml), so nothing was done. Say who you are: --as person/ID \
         with a certificate or card in this home, or `atena login` and --as CONSOLE"
    )]
    Demanded,
    /// No account that signs in so, or not in force, or not an operator's.
    #[error("{who} may not act here: {}. Nothing was done; `atena people list` shows the accounts", reason(.why))]
    Account {
        /// `account ID`, or whose id is not known.
        who: String,
        /// Why.
        why: Refusal,
    },
    /// The certificate is not let in by the door either.
    #[error(
        "the certificate of {account} is not believed: {source}. Nothing was done; `atena pki status` shows certificates and revocation lists"
    )]
    Certificate {
        /// Whose it should be.
        account: String,
        /// Why.
        source: rustls::Error,
    },
    /// It is somebody else's.
    #[error("the certificate that was shown for {account} names somebody else, or several; nothing was done")]
    SomebodyElse {
        /// Whose it should be.
        account: String,
    },
    /// The key is not the one of the certificate.
    #[error("the key that was shown for {account} is not the one of the certificate; nothing was done")]
    Key {
        /// Whose it should be.
        account: String,
    },
    /// The key signs nothing: a card that was taken out, say.
    #[error("the key of {account} can't sign: {source}. Nothing was done")]
    Signing {
        /// Whose.
        account: String,
        /// Why.
        source: rustls::Error,
    },
    /// Not a console.
    #[error(
        "policy.toml has no console `{console}` at which somebody could sign in; nothing was done. With a certificate: --as person/ID"
    )]
    Console {
        /// As given.
        console: String,
    },
    /// The sign-in is not believed.
    #[error("the sign-in at {console} is not believed: {why}. Nothing was done; sign in again: atena login")]
    SignIn {
        /// Where.
        console: String,
        /// Why.
        why: TokenRefused,
    },
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers; nothing was done")]
    Random,
    /// The client authority or its lists.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Accounts, rules or provider.
    #[error(transparent)]
    Settings(Box<LoadError>),
}

/// Who acts on the system that these settings are of: the operator who is shown, once it is proved that they are, or the user of the process
/// where the settings do not ask for more.
///
/// # Errors
/// [`OperatorError`]; then nothing may be done.
pub async fn sign_in_operator(config: &Config, showing: Option<Showing<'_>>) -> Result<Actor, OperatorError> {
    let Some(showing) = showing else {
        let demanded = config.people.as_ref().is_some_and(|people| people.operators_sign_in);
        return if demanded { Err(OperatorError::Demanded) } else { Ok(Actor::of_process()) };
    };
    let policy = policy_of(config)?;
    let municipality = policy.municipality_code();
    let people = people_of(config)?;
    let today = clock::japanese_day(clock::now());
    let (account, proof) = match showing {
        Showing::Certificate { account, key } => {
            prove(&Clients::load(&config.tls)?, municipality.as_str(), account, key)?;
            let refused = |why| OperatorError::Account { who: format!("account {account}"), why };
            let id = OperatorId::parse(account).map_err(|_| refused(Refusal::CallerUnknown))?;
            let accounts = people.accounts();
            (accounts.by_certificate(&id, today).map_err(refused)?.id().clone(), OperatorProof::Certificate)
        }
        Showing::SignIn { console, token } => {
            let system = SystemId::parse(console).ok();
            let system = system.as_ref().and_then(|id| policy.system(id));
            if !system.is_some_and(|system| system.has_role(Role::Console) && !system.revoked()) {
                return Err(OperatorError::Console { console: console.to_owned() });
            }
            (signed_in(&people, console, token).await?, OperatorProof::SignIn)
        }
    };
    let permit = people.accounts().authorize_operator(&account, today);
    let permit = permit.map_err(|why| OperatorError::Account { who: format!("account {}", account.as_str()), why })?;
    Ok(Actor::operator(permit, municipality.clone(), proof))
}

/// That whoever shows this certificate has its key now, that the door would let them in, and that it names this account alone.
fn prove(clients: &Clients, municipality_code: &str, account: &str, key: &CertifiedKey) -> Result<(), OperatorError> {
    let of = || account.to_owned();
    clients.believes(&key.cert).map_err(|source| OperatorError::Certificate { account: of(), source })?;
    let somebody_else = || OperatorError::SomebodyElse { account: of() };
    let certificate = key.cert.first().ok_or_else(somebody_else)?;
    if Peer::from_certificate(certificate, clock::now()).named(municipality_code) != Some(Named::Person(account)) {
        return Err(somebody_else());
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut challenge = CHALLENGE.to_vec();
    let mut random = [0; CHALLENGE_RANDOM_BYTES];
    provider.secure_random.fill(&mut random).map_err(|_| OperatorError::Random)?;
    challenge.extend(random);
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let wrong_key = || OperatorError::Key { account: of() };
    let signer = key.key.choose_scheme(&schemes).ok_or_else(wrong_key)?;
    let signature = signer.sign(&challenge).map_err(|source| OperatorError::Signing { account: of(), source })?;
    if signed(certificate, signer.scheme(), &challenge, &signature) { Ok(()) } else { Err(wrong_key()) }
}

/// Whether the key of the certificate signed it.
fn signed(certificate: &CertificateDer<'_>, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let known = provider.signature_verification_algorithms.mapping.iter().find(|(known, _)| *known == scheme);
    let algorithms = known.map(|(_, algorithms)| *algorithms).unwrap_or_default();
    EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
        algorithms.iter().any(|algorithm| certificate.verify_signature(*algorithm, message, signature).is_ok())
    })
}

/// Whose sign-in it is, as a call through the console would find it.
async fn signed_in(people: &People, console: &str, token: &str) -> Result<OperatorId, OperatorError> {
    let verified = people.verify(token).await;
    let verified = verified.map_err(|why| OperatorError::SignIn { console: console.to_owned(), why })?;
    let accounts = people.accounts();
    let account = accounts.by_subject(&verified.subject, clock::japanese_day(clock::now()));
    let who = || "whoever signed in".to_owned();
    Ok(account.map_err(|why| OperatorError::Account { who: who(), why })?.id().clone())
}

/// The refusal in the words of accounts; those of [`Refusal`] are about systems.
fn reason(why: &Refusal) -> &'static str {
    match why {
        Refusal::CallerUnknown => "people.toml has no such account that signs in so",
        Refusal::CallerRevoked => "the account has not begun, or has ended",
        _ => "the account does not have the role operator",
    }
}

impl From<LoadError> for OperatorError {
    fn from(error: LoadError) -> Self {
        Self::Settings(Box::new(error))
    }
}
