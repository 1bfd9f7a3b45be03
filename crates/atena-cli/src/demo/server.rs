//! The gateway of the demo: `atena serve` as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::CliError;
use crate::home::Home;

/// Time for the gateway to come up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for the gateway to finish when asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `atena serve`; killed when dropped.
pub(crate) struct GatewayProcess {
    child: Child,
    address: String,
    log: PathBuf,
}

// === impl GatewayProcess ===

impl GatewayProcess {
    /// Starts it on a free port and waits until it takes calls. It logs into `log`, as much as `level` says; `environment` is added to its own.
    ///
    /// # Errors
    /// [`CliError::Child`] when it does not come up.
    pub(crate) async fn start(
        home: &Home,
        log: &Path,
        level: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(CliError::file("find", "this program"))?;
        let stderr = File::create(log).map_err(CliError::file("create", log))?;
        let failed = |problem: &str| CliError::Child { problem: problem.to_owned(), log: log.to_owned() };
        let mut child = Command::new(&program)
            .args(["serve", "--listen", "127.0.0.1:0", "--home"])
            .arg(home.root())
            .env("RUST_LOG", level)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(CliError::file("start", program))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("has no stdout"))?;
        let line = timeout(START_TIMEOUT, BufReader::new(stdout).lines().next_line()).await;
        let address = match line {
            Ok(Ok(Some(line))) => line.strip_prefix("listening on ").map(ToOwned::to_owned),
            _ => None,
        };
        let address = address.ok_or_else(|| failed("did not come up"))?;
        Ok(Self { child, address, log: log.to_owned() })
    }

    /// Where it takes calls.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`CliError::Child`] when it does not end in time.
    pub(crate) async fn stop(mut self) -> Result<ExitStatus, CliError> {
        let failed = |problem: &str| CliError::Child { problem: problem.to_owned(), log: self.log.clone() };
        let id = self.child.id().ok_or_else(|| failed("ended before it was asked to"))?;
        // The shell's own `kill`: a signal to one process id without unsafe code.
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id.to_string()]).status().await;
        if !asked.is_ok_and(|status| status.success()) {
            return Err(failed("could not be asked to stop"));
        }
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status),
            _ => Err(failed("did not stop when asked to")),
        }
    }
}
