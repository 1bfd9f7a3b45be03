//! What can go wrong with keys and sealed data.

use std::io;
use std::path::{Path, PathBuf};

/// Why keys or sealed data can't be used. Never holds a key, a personal number, or any part of one.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file can't be read or written.
    #[error("cannot use the key file {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner can get at the key file.
    #[error("the key file {path} can be read or written by others (mode {mode:04o}); run: chmod 600 {path}")]
    KeyFileMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file is no regular file (a symbolic link, say).
    #[error("the key file {path} is not a regular file; put the file itself there")]
    KeyFileKind {
        /// The file.
        path: PathBuf,
    },
    /// The key file does not hold what it should.
    #[error("the key file {path} is refused: {what}")]
    KeyFileContent {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The file with the PIN of a token can't be read.
    #[error("cannot read the PIN of the token {token} from {path} (pin_file): {source}; put the PIN there, mode 0600")]
    PinFile {
        /// Label of the token.
        token: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with a secret (a private key, a PIN) can't be read.
    #[error("cannot read the secret in {path}: {source}")]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner can get at a secret.
    #[error("{path} holds a secret that others can read or write (mode {mode:04o}); run: chmod 600 {path}")]
    SecretFileMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A secret belongs to another user.
    #[error("{path} holds a secret and belongs to another user (uid {owner}); {}", owner_remedy(*owner, *user, path))]
    SecretFileOwner {
        /// The file.
        path: PathBuf,
        /// The uid of its owner.
        owner: u32,
        /// The uid of the one who runs this.
        user: u32,
    },
    /// The token has no keys of this municipality. Whether they may be made depends on what is stored, so nothing is advised here.
    #[error("the token {token} has no keys of municipality {municipality}")]
    TokenWithoutKeys {
        /// Its label.
        token: String,
        /// The municipality.
        municipality: String,
    },
    /// The token (HSM) can't be used.
    #[error("the token {token} can't be used: {what}{}", cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Token {
        /// Its label.
        token: String,
        /// What was tried, and what to do about it.
        what: &'static str,
        /// What the token said.
        cause: Option<String>,
    },
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// Sealed under a suite that this version does not know.
    #[error("sealed under an unknown suite")]
    UnknownSuite,
    /// Made with a key that is not here.
    #[error("made with a key that is not here (any more)")]
    UnknownKey,
    /// Damaged, moved from another row, or sealed under another key.
    #[error("sealed data does not open: damaged, moved, or sealed under another key")]
    DoesNotOpen,
    /// Longer than the cipher takes.
    #[error("too long to seal")]
    TooLong,
}

/// Root is never told to take a file: the service that reads it runs as its owner.
fn owner_remedy(owner: u32, user: u32, path: &Path) -> String {
    match user {
        0 => format!("run this as that user: sudo -u '#{owner}' atena …"),
        user => format!("run: chown {user} {}", path.display()),
    }
}
