//! A town of its own for a test: `atena init`, `atena serve`, and clients with the certificates that init made.

use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atena_proto::v1;
use atena_proto::v1::address_service_client::AddressServiceClient;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::record_service_client::RecordServiceClient;
use atena_proto::v1::transfer_log_service_client::TransferLogServiceClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_types::StatusExt as _;

/// Longest wait for something that a program does in its own time. A test that waits longer has
/// failed.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Pause between two looks at it: the program needs the processor more.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a town keeps everything in.
#[derive(PartialEq, Eq)]
#[allow(dead_code, reason = "each suite runs on one of them")]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A home directory with a running gateway.
pub(crate) struct Town {
    folder: Arc<TempDir>,
    home: PathBuf,
    /// `RUST_LOG` of the gateway.
    log_level: &'static str,
    environment: Vec<(String, String)>,
    /// A command that starts the gateway in its own process; empty: the gateway is started directly.
    starter: &'static [&'static str],
    serving: Option<Serving>,
    address: String,
}

/// What a town kept at some time.
pub(crate) struct Kept {
    files: Vec<(PathBuf, Vec<u8>)>,
    database: Option<String>,
}

struct Serving {
    process: Child,
    /// Kept open: the gateway would be told that nobody reads.
    stdout: BufReader<ChildStdout>,
}

/// The program under test.
pub(crate) fn atena(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atena")).args(arguments).output().unwrap()
}

/// The program under test, with something in its environment.
#[allow(dead_code, reason = "not every suite that shares this file asks")]
pub(crate) fn atena_with(environment: &[(&str, String)], arguments: &[&str]) -> Output {
    let environment = environment.iter().map(|(name, value)| (name, value));
    Command::new(env!("CARGO_BIN_EXE_atena")).args(arguments).envs(environment).output().unwrap()
}

/// What a run printed, and that it ended well.
pub(crate) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Looks until there is something to see.
#[allow(dead_code, reason = "not every suite that shares this file asks")]
pub(crate) async fn seen<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT_MAX;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not within {WAIT_MAX:?}: {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The stable reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "atena.v1");
    info.reason.clone()
}

// === impl Town ===

impl Town {
    /// A home without a gateway yet.
    pub(crate) fn prepare() -> Self {
        Self::prepare_on(&crate::ENGINE)
    }

    /// A home that keeps everything in an engine of the caller's choice.
    pub(crate) fn prepare_on(engine: &Engine) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let home = folder.path().join("home");
        let town = Self {
            folder,
            home,
            log_level: "trace",
            environment: Vec::new(),
            starter: &[],
            serving: None,
            address: String::new(),
        };
        printed(&atena(&["init", "--home", town.home_text()]));
        if *engine == Engine::Postgres {
            let url = atena_test_cluster::Server::shared().new_database();
            town.change("atena.toml", |text| text.replace("sqlite:atena.db", &url));
        }
        town
    }

    /// Lets the gateway log this much from its next start on.
    #[allow(dead_code, reason = "for benches/gateway, which shares this file")]
    pub(crate) fn log_at(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// Puts something into the environment of the gateway, from its next start on.
    #[allow(dead_code, reason = "not every suite that shares this file asks")]
    pub(crate) fn surround(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the gateway by a command that ends in `exec`, from its next start on.
    #[allow(dead_code, reason = "not every suite that shares this file asks")]
    pub(crate) fn start_by(&mut self, starter: &'static [&'static str]) {
        self.starter = starter;
    }

    /// The gateway's process.
    #[allow(dead_code, reason = "not every suite that shares this file asks")]
    pub(crate) fn process_id(&self) -> u32 {
        self.serving.as_ref().unwrap().process.id()
    }

    /// A home with its gateway.
    pub(crate) fn start() -> Self {
        let mut town = Self::prepare();
        town.serve();
        town
    }

    /// Starts the gateway.
    pub(crate) fn serve(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let words = [self.starter, &[env!("CARGO_BIN_EXE_atena")]].concat();
        let mut process = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--home", self.home_text(), "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", self.log_level)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        self.serving = Some(Serving { process, stdout });
        self.address = self.listening().1;
    }

    /// The next municipality, if the gateway names it, and where it takes its calls.
    fn listening(&mut self) -> (String, String) {
        let mut line = String::new();
        self.serving.as_mut().unwrap().stdout.read_line(&mut line).unwrap();
        let Some(told) = line.trim().strip_prefix("listening on ") else {
            let log = std::fs::read_to_string(self.log_file()).unwrap();
            panic!("it does not serve: {}", &log[log.floor_char_boundary(log.len().saturating_sub(2000))..]);
        };
        let (address, code) = told.split_once(" for ").unwrap_or((told, ""));
        (code.to_owned(), address.to_owned())
    }

    /// The next of the further municipalities that the gateway serves, in the order of their codes.
    pub(crate) fn next_municipality(&mut self) -> Self {
        let (code, address) = self.listening();
        let mut further = self.beside();
        further.home = self.home.join("municipalities").join(code);
        further.address = address;
        further
    }

    /// The same home, without a gateway of its own.
    pub(crate) fn beside(&self) -> Self {
        let (folder, home) = (Arc::clone(&self.folder), self.home.clone());
        Self {
            folder,
            home,
            log_level: self.log_level,
            environment: self.environment.clone(),
            starter: self.starter,
            serving: None,
            address: self.address.clone(),
        }
    }

    /// A second gateway on the same home.
    pub(crate) fn another_gateway(&self) -> Self {
        let mut other = self.beside();
        other.serve();
        other
    }

    /// The line of the gateway's log that holds `text`, the last of them, once there is one.
    #[allow(clippy::disallowed_methods, reason = "a file that grows is no event to wait for")]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let (mut log, mut file) = (Vec::new(), std::fs::File::open(self.log_file()).unwrap());
        let end = Instant::now() + WAIT_MAX;
        let mut looked = 0;
        loop {
            // Only what was added; the last line may not be whole.
            file.read_to_end(&mut log).unwrap();
            let added = String::from_utf8_lossy(&log[looked..]);
            if let Some(line) = added.lines().rev().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            looked = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if Instant::now() > end {
                let all = String::from_utf8_lossy(&log);
                let tail = &all[all.floor_char_boundary(all.len().saturating_sub(2000))..];
                panic!("not in the log within {WAIT_MAX:?}: {text}\n{tail}");
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// What the gateway logged until now.
    #[allow(dead_code, reason = "not every suite that shares this file asks")]
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap()).into_owned()
    }

    /// A copy of what is kept now, the signed head beside it included; the gateway must not run.
    pub(crate) fn copy(&self) -> Kept {
        let mut files = vec!["log.checkpoint", "admin.checkpoint"];
        let mut database = None;
        if crate::ENGINE == Engine::Postgres {
            database = Some(atena_test_cluster::Server::shared().copy_of(&self.database_url()));
        } else {
            files.push("atena.db");
        }
        let files = files.iter().map(|file| self.home().join(file));
        Kept { files: files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect(), database }
    }

    /// Brings a copy back; the gateway must not run.
    pub(crate) fn restore(&self, copy: Kept) {
        for (path, content) in copy.files {
            std::fs::write(path, content).unwrap();
        }
        if let Some(database) = copy.database {
            let now = self.database_url();
            self.change("atena.toml", |text| text.replace(&now, &database));
        }
    }

    pub(crate) fn database_url(&self) -> String {
        let settings = std::fs::read_to_string(self.home().join("atena.toml")).unwrap();
        let line = settings.lines().find(|line| line.starts_with("database_url")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    /// Keeps everything in another, empty database from the next start on.
    pub(crate) fn move_to_an_empty_database(&self) {
        let now = self.database_url();
        let empty = match crate::ENGINE {
            Engine::Sqlite => "sqlite:empty.db".to_owned(),
            Engine::Postgres => atena_test_cluster::Server::shared().new_database(),
        };
        self.change("atena.toml", |text| text.replace(&now, &empty));
    }

    /// Ends the gateway with SIGTERM: it drains and exits 0.
    pub(crate) fn stop(&mut self) {
        let Some(Serving { mut process, .. }) = self.serving.take() else { return };
        let pid = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(process.wait().unwrap().code(), Some(0), "SIGTERM drains and exits 0");
    }

    /// Changes a file of the home and starts the gateway again.
    pub(crate) fn restart_with(&mut self, file: &str, change: impl FnOnce(String) -> String) {
        self.stop();
        self.change(file, change);
        self.serve();
    }

    /// Changes a file of the home.
    pub(crate) fn change(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.home().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "the change found nothing to change");
        std::fs::write(path, after).unwrap();
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.clone()
    }

    pub(crate) fn home_text(&self) -> &'static str {
        // Leaked once for each town: a test's few bytes for a plain signature.
        Box::leak(self.home().into_os_string().into_string().unwrap().into_boxed_str())
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The settings of a TLS client with the certificate of `system`.
    pub(crate) fn tls(&self, system: &str) -> ClientConfig {
        let systems = self.home().join("pki/systems");
        self.tls_with(&systems.join(format!("{system}.crt")), &systems.join(format!("{system}.key")))
    }

    pub(crate) fn tls_with(&self, certificate: &Path, key: &Path) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.home().join("pki/ca.crt")).unwrap()).unwrap();
        self.tls_trusting(roots, certificate, key)
    }

    /// The settings of a TLS client that believes servers of other authorities.
    pub(crate) fn tls_trusting(&self, roots: RootCertStore, certificate: &Path, key: &Path) -> ClientConfig {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// A connection as `system`, made at the first call.
    pub(crate) fn channel(&self, system: &str) -> Channel {
        self.channel_over(self.tls(system))
    }

    /// A connection as a person with a certificate of their own, made at the first call.
    #[allow(dead_code, reason = "not every suite that shares this file asks")]
    pub(crate) fn person_channel(&self, account: &str) -> Channel {
        let people = self.home().join("pki/people");
        self.channel_over(self.tls_with(&people.join(format!("{account}.crt")), &people.join(format!("{account}.key"))))
    }

    fn channel_over(&self, tls: ClientConfig) -> Channel {
        let tls = TlsConnector::from(Arc::new(tls));
        let address = self.address().to_owned();
        let target = address.clone();
        let connect = tower::service_fn(move |_: Uri| {
            let (tls, target) = (tls.clone(), target.clone());
            async move {
                let tcp = TcpStream::connect(target).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from("localhost").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
            }
        });
        Endpoint::from_shared(format!("https://{address}")).unwrap().connect_with_connector_lazy(connect)
    }

    pub(crate) fn address_service(&self, system: &str) -> AddressServiceClient<Channel> {
        AddressServiceClient::new(self.channel(system))
    }

    pub(crate) fn records(&self, system: &str) -> RecordServiceClient<Channel> {
        RecordServiceClient::new(self.channel(system))
    }

    pub(crate) fn linkage(&self, system: &str) -> LinkageServiceClient<Channel> {
        LinkageServiceClient::new(self.channel(system))
    }

    pub(crate) fn transfer_log(&self, system: &str) -> TransferLogServiceClient<Channel> {
        TransferLogServiceClient::new(self.channel(system))
    }

    /// Registers one person.
    pub(crate) async fn register(
        &self,
        system: &str,
        registration: v1::PersonRegistration,
    ) -> Result<v1::RegistrationResult, Status> {
        let request = v1::RegisterPersonRequest { request_id: String::new(), registration: Some(registration) };
        let answer = self.address_service(system).register_person(request).await?;
        Ok(answer.into_inner().result.unwrap())
    }

    /// Pushes records as the pension system, in one chunk.
    pub(crate) async fn push(&self, records: Vec<v1::PushedRecord>) -> Vec<v1::PushResult> {
        let chunk = v1::PushRecordsRequest { request_id: String::new(), records };
        let mut answers = self.records("pension").push_records(tokio_stream::once(chunk)).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        assert!(answers.message().await.unwrap().is_none());
        answer.results
    }

    /// Transfers that match, newest first.
    pub(crate) async fn transfers(&self, filter: &str) -> Vec<v1::Transfer> {
        let request =
            v1::ListTransfersRequest { filter: filter.to_owned(), page_size: 1000, page_token: String::new() };
        self.transfer_log("auditor").list_transfers(request).await.unwrap().into_inner().transfers
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(Serving { mut process, .. }) = self.serving.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
