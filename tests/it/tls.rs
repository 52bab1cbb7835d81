//! A PostgreSQL of somebody else's, over TLS: `sslmode=verify-full` as the program uses it. // D30

use std::{
    fs::Permissions,
    io::{BufRead, BufReader},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use drr::{
    config::{Settings, Sources},
    db::{Db, DbSettings},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{app::settings, cluster::run};

/// A server on 127.0.0.1 with a certificate for `name`, ended when dropped.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a certificate authority in `folder/ca.pem` and a server certificate for `name`.
pub fn certificates(folder: &Path, name: &str) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// PostgreSQL refuses root; the account that Debian's package makes is there then.
fn unprivileged(command: &mut Command) -> &mut Command {
    if geteuid().is_root() { command.uid(account().0).gid(account().1) } else { command }
}

/// `postgres`, else `nobody`.
fn account() -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = accounts.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Some((fields.next()?, fields.next()?))
    };
    find("postgres").or_else(|| find("nobody")).unwrap()
}

fn binaries() -> PathBuf {
    let usual = || {
        let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().collect();
        found.sort_by_key(|entry| entry.file_name().to_str().and_then(|v| v.parse::<u32>().ok()));
        Some(found.pop()?.path().join("bin"))
    };
    std::env::var_os("DRR_PG_BIN").map(PathBuf::from).or_else(usual).unwrap()
}

fn start(name: &str) -> Server {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    if geteuid().is_root() {
        chown(folder.path(), Some(account().0), Some(account().1)).unwrap();
    }
    let mut initdb = Command::new(binaries().join("initdb"));
    initdb.args(["--no-sync", "--auth=trust", "--username=drr_app", "-D"]).arg(&data);
    assert!(unprivileged(initdb.env_clear().stdout(Stdio::null())).status().unwrap().success());
    certificates(folder.path(), name);
    std::fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    let key = folder.path().join("server.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        chown(&key, Some(account().0), Some(account().1)).unwrap();
    }
    // The port is free when it is chosen; PostgreSQL has no way to choose one by itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut postgres = Command::new(binaries().join("postgres"));
    postgres.arg("-D").arg(&data);
    for setting in [
        "ssl=on".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", data.display()),
        format!("ssl_cert_file={}", folder.path().join("server.pem").display()),
        format!("ssl_key_file={}", key.display()),
        "ssl_min_protocol_version=TLSv1.3".to_owned(),
    ] {
        postgres.arg("-c").arg(setting);
    }
    let mut child = unprivileged(postgres.env_clear().stderr(Stdio::piped())).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("ready to accept connections"));
    assert!(ready, "the server ended instead");
    // Read on, so that the server never waits for a reader.
    std::thread::spawn(move || lines.count());
    Server { child, port, folder }
}

impl Server {
    /// Whether the program reaches the server by a URL that ends like this.
    async fn answers(&self, host: &str, query: &str) -> bool {
        let port = self.port;
        let url = format!("postgres://drr_app@{host}:{port}/postgres?{query}");
        let sources = Sources {
            environment: [("DRR_DATABASE_URL".to_owned(), url)].into(),
            default_data_dir: PathBuf::from("/nonexistent"),
            ..Sources::default()
        };
        let url = Settings::load(&sources).unwrap().database.url.unwrap();
        let db = Db::new(DbSettings {
            connect: url.connect_options().unwrap(),
            schema: "storage_drr".to_owned(),
            max_connections: 1,
            acquire_timeout: settings().database.acquire_timeout,
            statement_timeout: settings().database.statement_timeout,
        });
        let answers = db.ping().await.is_ok();
        db.close().await;
        answers
    }
}

#[test]
fn verify_full_means_this_server_and_no_other() {
    run(async {
        let server = start("localhost");
        let own = server.folder.path().join("ca.pem").display().to_string();
        let other = TempDir::new().unwrap();
        certificates(other.path(), "localhost");
        let other = other.path().join("ca.pem").display().to_string();

        let full = |authority: &str| format!("sslmode=verify-full&sslrootcert={authority}");
        assert!(server.answers("localhost", &full(&own)).await);
        assert!(!server.answers("127.0.0.1", &full(&own)).await, "the name is not in it");
        assert!(!server.answers("localhost", &full(&other)).await, "another authority's");
        assert!(!server.answers("localhost", "sslmode=verify-full").await, "nobody's that we know");
        assert!(!server.answers("localhost", "sslmode=disable").await, "in clear");
    });
}
