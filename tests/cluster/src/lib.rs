//! PostgreSQL for tests: the server that `ATENA_TEST_DATABASE_URL` names, or a throw-away cluster
//! made with `initdb` from the installed binaries, run by an unprivileged user in a folder of its
//! own, reached through a socket there, and gone with the test's process.
#![allow(clippy::expect_used, clippy::panic, reason = "tests are told by panics")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a server whose user may create databases, e.g. `postgres://postgres@localhost/postgres`.
pub const URL_VARIABLE: &str = "ATENA_TEST_DATABASE_URL";

/// Where databases for tests are made.
pub enum Server {
    /// The one that the environment names.
    Given {
        /// Its URL.
        url: String,
    },
    /// One of our own.
    Own(Cluster),
}

/// A throw-away cluster.
pub struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    data: String,
    port: u16,
    /// Ends the server and removes the folder once its standard input is closed: with this value,
    /// or with the process.
    _keeper: Child,
}

// === impl Server ===

impl Server {
    /// The server of this process.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| match std::env::var(URL_VARIABLE) {
            Ok(url) => Self::Given { url },
            Err(_) => Self::Own(Cluster::start(&[])),
        })
    }

    /// The URL of a new, empty database.
    pub fn new_database(&self) -> String {
        self.database_from("template0")
    }

    /// The URL of a new database with all that another one, which nobody uses now, holds.
    pub fn copy_of(&self, url: &str) -> String {
        let (before, _) = url.split_once('?').unwrap_or((url, ""));
        self.database_from(before.rsplit('/').next().unwrap_or_default())
    }

    /// Runs a statement past the gateways; what it answers, unaligned.
    pub fn sql(url: &str, statement: &str) -> String {
        let psql = Command::new(binaries().join("psql")).args(["-X", "-q", "-A", "-t", "-c", statement, url]).output();
        let done = psql.expect("psql runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Runs a script of psql past the gateways, up to its first error; what it answers, unaligned.
    pub fn script(url: &str, script: &str) -> String {
        let psql = Command::new(binaries().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut psql = psql.expect("psql runs");
        let mut input = psql.stdin.take().expect("its standard input is piped");
        let script = script.to_owned();
        let written = std::thread::spawn(move || std::io::Write::write_all(&mut input, script.as_bytes()));
        let done = psql.wait_with_output().expect("psql ends");
        let _ = written.join();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn database_from(&self, template: &str) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("atena_test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let make = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        match self {
            Self::Own(cluster) => {
                cluster.sql("postgres", &make);
                cluster.url(&name)
            }
            Self::Given { url } => {
                Self::sql(url, &make);
                let (before, query) = url
                    .split_once('?')
                    .map_or((url.as_str(), String::new()), |(before, query)| (before, format!("?{query}")));
                let server = before.rfind('/').map_or(before, |end| &before[..end]);
                format!("{server}/{name}{query}")
            }
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Makes a cluster and starts its server with additional settings (`name=value`).
    pub fn start(settings: &[&str]) -> Self {
        let cluster = Self::initialised(5432);
        cluster.serve(settings);
        cluster
    }

    /// A folder for a cluster whose server will be reached through the socket of this port, without
    /// data yet.
    fn make(port: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("atena-pg").tempdir().expect("a temporary folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("the folder's mode");
        if let Some((user, group)) = unprivileged() {
            chown(&folder, Some(user), Some(group)).expect("the folder's owner");
        }
        let binaries = binaries();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", "cat >/dev/null; \"$0\" stop -s -m immediate -D \"$1\"/data 2>/dev/null; rm -rf \"$1\""])
            .args([binaries.join("pg_ctl").as_path(), folder.as_path()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        as_unprivileged(&mut keeper);
        let keeper = keeper.spawn().expect("a shell");
        let data = folder.join("data").to_str().expect("a path in UTF-8").to_owned();
        Self { binaries, folder, data, port, _keeper: keeper }
    }

    /// A cluster with data, not served yet.
    fn initialised(port: u16) -> Self {
        let cluster = Self::make(port);
        cluster.run(
            "initdb",
            &["--no-locale", "--encoding=UTF8", "--auth=trust", "--no-sync", "-U", "atena", "-D", cluster.data()],
        );
        cluster
    }

    /// A primary that also listens on a port of 127.0.0.1.
    pub fn start_primary() -> Self {
        let cluster = Self::initialised(free_port());
        cluster.serve(&["listen_addresses=127.0.0.1"]);
        cluster
    }

    /// A standby of this primary, fed by streaming replication; from now on a commit waits for it
    /// (`synchronous_commit`).
    pub fn start_standby(&self) -> Self {
        let standby = Self::make(free_port());
        let primary = format!("host=127.0.0.1 port={} user=atena application_name=standby", self.port);
        standby.run(
            "pg_basebackup",
            &["-d", &primary, "-D", standby.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        );
        standby.serve(&["listen_addresses=127.0.0.1"]);
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        while !self.sql("postgres", "SELECT sync_state FROM pg_stat_replication").contains("sync") {}
        standby
    }

    /// Lets the server speak TLS with this certificate and key (PEM), and nothing else over TCP.
    pub fn speak_tls_alone(&self, certificate: &str, key: &str) {
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        for (file, content) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", rules)] {
            let path = Path::new(&self.data).join(file);
            fs::write(&path, content).expect("a file of the cluster");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
            if let Some((user, group)) = unprivileged() {
                chown(&path, Some(user), Some(group)).expect("its owner");
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w", "-s", "-D", self.data()]);
    }

    /// Where the server listens, for a primary or a standby.
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts the server and waits until it answers.
    pub fn serve(&self, settings: &[&str]) {
        let mut options = format!(
            "-p {} -c listen_addresses='' -c unix_socket_directories={} -c shared_buffers=64MB -c max_connections=200",
            self.port,
            self.folder.display()
        );
        for setting in settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = self.folder.join("server.log");
        let log = log.to_str().expect("a path in UTF-8");
        self.run("pg_ctl", &["start", "-w", "-s", "-D", self.data(), "-l", log, "-o", &options]);
    }

    /// Stops the server: `immediate` as if the power was cut, `fast` in good order.
    pub fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["stop", "-s", "-m", mode, "-D", self.data()]);
    }

    /// Runs a program of PostgreSQL as the cluster's user.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.binaries.join(program));
        // The server keeps what it inherits: a pipe would never end.
        let out = tempfile::tempfile().expect("a temporary file");
        command.args(arguments).current_dir("/").stdin(Stdio::null());
        command.stdout(out.try_clone().expect("the file again")).stderr(out.try_clone().expect("the file again"));
        as_unprivileged(&mut command);
        let status = command.status().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut printed = String::new();
        let mut out = out;
        std::io::Seek::rewind(&mut out).expect("the file's beginning");
        std::io::Read::read_to_string(&mut out, &mut printed).expect("what was printed");
        assert!(status.success(), "{program} {arguments:?}: {printed}");
    }

    /// Runs a statement in a database; what it answers, unaligned.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        Server::sql(&self.url(database), statement)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.to_str().expect("a path in UTF-8").replace('/', "%2F");
        format!("postgres://atena@localhost:{}/{database}?host={socket}", self.port)
    }

    /// The folder of the data.
    fn data(&self) -> &str {
        &self.data
    }
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// The folder of PostgreSQL's programs: those of the newest version that Debian installed, or those
/// on the path.
fn binaries() -> PathBuf {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.join("initdb").exists()).collect::<Vec<_>>();
    debian.filter(|folder| folder.join("initdb").exists()).max().or_else(|| on_path.into_iter().next()).unwrap_or_else(|| {
        panic!("PostgreSQL 15 or newer is needed for these tests (Debian: apt-get install postgresql), or {URL_VARIABLE}")
    })
}

/// The user that a server is run by if we are root, which PostgreSQL refuses to be.
fn unprivileged() -> Option<(u32, u32)> {
    let us =
        fs::metadata("/proc/self").map(|process| std::os::unix::fs::MetadataExt::uid(&process)).unwrap_or_default();
    if us != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let postgres = users.lines().find_map(|line| {
        let mut parts = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    Some(postgres.unwrap_or((65_534, 65_534)))
}

fn as_unprivileged(command: &mut Command) {
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
}
