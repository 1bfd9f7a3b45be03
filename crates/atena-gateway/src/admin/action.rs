//! What those do who run the system: a closed list, and what the log says of each in the open. Nothing of anybody of whom data is kept.

use std::path::PathBuf;

/// An action that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A gateway opens its port.
    StartGateway,
    /// It was asked to stop.
    StopGateway,
    /// Rules or registry are changed for others: SHA-256 of both.
    ChangeRules {
        /// Those in force.
        from: [u8; 32],
        /// Those that take their place.
        to: [u8; 32],
    },
    /// Accounts of people are changed for others.
    ChangeAccounts,
    /// Certificates and revocation lists are taken from their files again.
    ReloadCertificates,
    /// A key is made in the token.
    GenerateKeys,
    /// A key is made and not used yet.
    PrepareKey {
        /// `wrapping`, `blind-index` or `log`.
        key: &'static str,
    },
    /// A key is put in the place of another.
    RotateKey {
        /// `wrapping` or `blind-index`.
        key: &'static str,
    },
    /// A newer key signs beside the one in use.
    AddLogKey,
    /// The older key of the log is ended.
    EndLogKey,
    /// People are erased. Who, is told by no log in the open.
    Erase {
        /// `death`, `moved-out` or `order`.
        ground: &'static str,
    },
    /// A backup is made.
    Backup {
        /// The directory.
        to: PathBuf,
    },
    /// A backup is brought back.
    Restore {
        /// The directory.
        from: PathBuf,
        /// Transfers that were signed and are not in it.
        lost: u64,
        /// Records of the admin log that were signed and are not in it.
        lost_admin: u64,
    },
    /// The database is moved to another engine or place.
    Migrate,
    /// A system's certificate is issued.
    IssueSystemCertificate {
        /// Of which system.
        system: String,
    },
    /// The certificate of a person who signs in is issued. Whose, is told by no log in the open.
    IssuePersonCertificate {
        /// Of which account.
        account: String,
    },
    /// Certificates are revoked.
    RevokeCertificates {
        /// Their serial numbers.
        serials: Vec<String>,
    },
    /// Certificates that end soon, and the revocation list, are renewed.
    RenewCertificates,
    /// A further municipality is prepared beside this one.
    AddMunicipality {
        /// Its code.
        code: String,
    },
    /// A log is copied out.
    ExportLog {
        /// `transfers` or `admin`.
        log: &'static str,
        /// The directory.
        to: PathBuf,
    },
    /// An operator confirms that the clock is right.
    ConfirmClock {
        /// Leaves of the transfer log then: their times prove nothing any more.
        leaves: u64,
        /// What contradicted the clock; `nothing` where nothing did.
        found: &'static str,
    },
    /// A gateway that had nothing to write ran all the time: the next leaf is not out of reach.
    KeepTime,
    /// The newest signed head in the database is accepted, though the file that should vouch for it does not.
    AcceptHead {
        /// `transfers` or `admin`.
        log: &'static str,
        /// Leaves under it.
        size: u64,
        /// What is wrong with the file.
        file: &'static str,
    },
}

/// How the log names the confirmation of the clock.
pub(crate) const CONFIRM_CLOCK: &str = "Clock/Confirm";

// === impl Action ===

impl Action {
    /// As the log names it.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::StartGateway => "Gateway/Start",
            Self::StopGateway => "Gateway/Stop",
            Self::ChangeRules { .. } => "Gateway/ChangeRules",
            Self::ChangeAccounts => "Gateway/ChangeAccounts",
            Self::ReloadCertificates => "Gateway/ReloadCertificates",
            Self::GenerateKeys => "Keys/Generate",
            Self::PrepareKey { .. } => "Keys/Prepare",
            Self::RotateKey { .. } => "Keys/Rotate",
            Self::AddLogKey => "Keys/AddLogKey",
            Self::EndLogKey => "Keys/EndLogKey",
            Self::Erase { .. } => "People/Erase",
            Self::Backup { .. } => "Database/Backup",
            Self::Restore { .. } => "Database/Restore",
            Self::Migrate => "Database/Migrate",
            Self::IssueSystemCertificate { .. } | Self::IssuePersonCertificate { .. } => "Pki/Issue",
            Self::RevokeCertificates { .. } => "Pki/Revoke",
            Self::RenewCertificates => "Pki/Renew",
            Self::AddMunicipality { .. } => "Municipality/Add",
            Self::ExportLog { .. } => "Log/Export",
            Self::ConfirmClock { .. } => CONFIRM_CLOCK,
            Self::KeepTime => "Clock/Keep",
            Self::AcceptHead { .. } => "Log/AcceptHead",
        }
    }

    /// What it is about, in the open: `name:value`, without spaces.
    pub(crate) fn fields(&self) -> Vec<String> {
        let one = |name: &str, value: &str| vec![format!("{name}:{value}")];
        match self {
            Self::StartGateway
            | Self::StopGateway
            | Self::ChangeAccounts
            | Self::ReloadCertificates
            | Self::GenerateKeys
            | Self::AddLogKey
            | Self::EndLogKey
            | Self::Backup { .. }
            | Self::Migrate
            | Self::RenewCertificates
            | Self::KeepTime => Vec::new(),
            Self::ChangeRules { from, to } => vec![
                format!("from:{}", crate::convert::hexadecimal(from)),
                format!("to:{}", crate::convert::hexadecimal(to)),
            ],
            Self::PrepareKey { key } | Self::RotateKey { key } => one("key", key),
            Self::Erase { ground } => one("ground", ground),
            Self::Restore { lost, lost_admin, .. } => {
                vec![format!("lost:{lost}"), format!("lost-admin:{lost_admin}")]
            }
            Self::IssueSystemCertificate { system } => one("system", system),
            Self::IssuePersonCertificate { .. } => one("holder", "person"),
            Self::RevokeCertificates { serials } => serials.iter().map(|serial| format!("serial:{serial}")).collect(),
            Self::AddMunicipality { code } => one("municipality", code),
            Self::ExportLog { log, .. } => one("log", log),
            Self::ConfirmClock { leaves, found } => vec![format!("leaves:{leaves}"), format!("found:{found}")],
            Self::AcceptHead { log, size, file } => {
                vec![format!("log:{log}"), format!("size:{size}"), format!("file:{file}")]
            }
        }
    }

    /// What is sealed with it.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Backup { to } | Self::ExportLog { to, .. } => Some(to.display().to_string()),
            Self::Restore { from, .. } => Some(from.display().to_string()),
            Self::IssuePersonCertificate { account } => Some(account.clone()),
            _ => None,
        }
    }
}
