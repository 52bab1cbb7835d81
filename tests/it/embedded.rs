//! The private cluster, from outside: every way to start it, to end it, and to refuse.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use drr::db::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedPostgres};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// Longer than any of these waits takes on a busy machine.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
const NOBODY: u32 = 65_534;
const DATA_DIR: &str = "DRR_TEST_EMBEDDED_DATA_DIR";
const BIN_DIR: &str = "DRR_TEST_EMBEDDED_BIN_DIR";

fn options(data_dir: &Path) -> EmbeddedOptions {
    let bin_dir = std::env::var_os("DRR_PG_BIN").map(PathBuf::from);
    EmbeddedOptions { data_dir: data_dir.to_owned(), bin_dir }
}

async fn start(data_dir: &Path) -> Result<EmbeddedPostgres, EmbeddedError> {
    EmbeddedPostgres::start(options(data_dir)).await
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

async fn text(connection: &mut PgConnection, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(connection).await.unwrap()
}

/// A process that ended, or did not in time, found by an event and not by asking again and again.
struct Watched(std::os::fd::OwnedFd);

impl Watched {
    fn of(pid: i32) -> Self {
        Self(pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap())
    }

    fn ends_within(&self, time: &Timespec) -> bool {
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(time)).unwrap() == 1
    }
}

/// This test binary once more, as the program whose end is tested; see [`child_program`].
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
}

impl Program {
    fn run(data_dir: &Path, bin_dir: Option<&Path>, uid: Option<u32>) -> Self {
        // Another account may not be able to reach the build folder.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let own = std::env::current_exe().unwrap();
        let program = folder.path().join("it");
        std::fs::hard_link(&own, &program)
            .or_else(|_| std::fs::copy(&own, &program).map(drop))
            .unwrap();
        let mut command = Command::new(program);
        command
            .args(["--exact", "embedded::child_program", "--ignored", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .current_dir("/")
            .stdout(Stdio::piped());
        if let Some(bin_dir) = bin_dir {
            command.env(BIN_DIR, bin_dir);
        }
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, _folder: folder }
    }

    /// The process of the server, once it is ready.
    fn server(&mut self) -> i32 {
        let ready = self.lines.by_ref().map(Result::unwrap).find_map(|line| {
            assert!(!line.contains("refused:"), "{line}");
            line.split_once("server: ").map(|(_, pid)| pid.parse().unwrap())
        });
        ready.expect("the program ended before its server was ready")
    }

    fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Not a test: what [`Program`] runs. Starts the server, says so, stops it at SIGTERM.
#[tokio::test]
#[ignore = "run by the other tests as their child"]
async fn child_program() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let mut options = options(Path::new(&data_dir));
    options.bin_dir = std::env::var_os(BIN_DIR).map(PathBuf::from).or(options.bin_dir);
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    match EmbeddedPostgres::start(options).await {
        Ok(server) => {
            server.bootstrap().await.unwrap();
            println!("server: {}", server.pid());
            terminate.recv().await;
            server.stop().await.unwrap();
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[tokio::test]
async fn a_later_start_finds_what_the_first_has_kept() {
    let top = tempfile::tempdir().unwrap();
    let data_dir = top.path().join("with spaces, a comma, a 'quote' and \"more\"");
    let server = start(&data_dir).await.unwrap();
    let first = server.bootstrap().await.unwrap();
    let mut owner = connect(&first.owner).await;
    owner
        .execute("CREATE SCHEMA kept; CREATE TABLE kept.t AS SELECT 'kept' AS value")
        .await
        .unwrap();
    let watched = Watched::of(server.pid());
    server.stop().await.unwrap();
    assert!(watched.ends_within(&Timespec { tv_sec: 0, tv_nsec: 0 }), "stop returned too early");

    let server = start(&data_dir).await.unwrap();
    let later = server.bootstrap().await.unwrap();
    assert_eq!(text(&mut connect(&later.owner).await, "SELECT value FROM kept.t").await, "kept");
    connect(&first.application).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_private_and_set_as_promised() {
    let top = tempfile::tempdir().unwrap();
    let server = start(&top.path().join("data")).await.unwrap();
    let options = server.superuser_options("postgres");
    let mut admin = connect(&options).await;
    for (setting, value) in [
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
    ] {
        let query = format!("SELECT current_setting('{setting}')");
        assert_eq!(text(&mut admin, &query).await, value, "{setting}");
    }
    assert_eq!(
        text(&mut admin, "SELECT lower('ÄÖ') || max(x) FROM unnest('{a,B}'::text[]) x").await,
        "äöa"
    );
    let socket_dir = server.socket_dir().metadata().unwrap();
    assert_eq!(socket_dir.mode() & 0o777, 0o700);
    let account = std::fs::metadata(format!("/proc/{}", server.pid())).unwrap().uid();
    assert_ne!(account, 0, "PostgreSQL runs as root");
    assert_eq!(account, socket_dir.uid());
    for file in std::fs::read_dir(top.path().join("data/credentials")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
    let refused = PgConnection::connect_with(&options.clone().password("guess")).await;
    let refused = refused.expect_err("a wrong password is good enough");
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "28P01");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bootstrap_gives_each_role_what_it_needs_and_no_more() {
    let top = tempfile::tempdir().unwrap();
    let server = start(&top.path().join("data")).await.unwrap();
    let connections = server.bootstrap().await.unwrap();
    let mut admin = connect(&server.superuser_options("drr")).await;
    // What somebody has loosened is as it should be again, and the second time is no error.
    admin.execute("ALTER ROLE drr_app BYPASSRLS CREATEROLE INHERIT").await.unwrap();
    server.bootstrap().await.unwrap();
    let roles = "SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolbypassrls, rolcreatedb,
                        rolcreaterole, rolinherit, rolcanlogin), '; ' ORDER BY rolname)
                 FROM pg_roles WHERE rolname LIKE 'drr\\_%' AND rolname <> 'drr_admin'";
    let expected = "drr_app f f f f f t; drr_owner f f f t t t";
    assert_eq!(text(&mut admin, roles).await, expected);
    let owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'drr'";
    assert_eq!(text(&mut admin, owner).await, "drr_owner");

    let mut application = connect(&connections.application).await;
    for forbidden in [
        "CREATE TABLE public.t ()",
        "CREATE TEMPORARY TABLE t ()",
        "CREATE SCHEMA s",
        "SET ROLE drr_owner",
    ] {
        let refused = application.execute(forbidden).await.expect_err(forbidden);
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
    let elsewhere = connections.application.clone().database("postgres");
    assert!(PgConnection::connect_with(&elsewhere).await.is_err(), "drr_app enters `postgres`");
    let mut owner = connect(&connections.owner).await;
    owner.execute("CREATE ROLE drr_reader; GRANT drr_reader TO drr_app").await.unwrap();
    application.execute("SET ROLE drr_reader").await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_very_long_data_folder_gets_its_socket_elsewhere() {
    let top = tempfile::tempdir().unwrap();
    let data_dir = top.path().join("d".repeat(120)).join("e".repeat(120));
    let server = start(&data_dir).await.unwrap();
    assert!(!server.socket_dir().starts_with(top.path()));
    assert_eq!(server.socket_dir().metadata().unwrap().mode() & 0o777, 0o700);
    assert_eq!(
        text(&mut connect(&server.superuser_options("postgres")).await, "SELECT 'x'").await,
        "x"
    );
    let socket_dir = server.socket_dir().to_owned();
    server.stop().await.unwrap();
    assert!(!socket_dir.exists(), "{} stays behind", socket_dir.display());
}

#[tokio::test]
async fn a_second_instance_is_refused_and_the_first_unharmed() {
    let top = tempfile::tempdir().unwrap();
    let server = start(top.path()).await.unwrap();
    let error = start(top.path()).await.expect_err("two servers on one folder");
    assert!(matches!(error, EmbeddedError::InUse { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(top.path().to_str().unwrap()), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert_eq!(
        text(&mut connect(&server.superuser_options("postgres")).await, "SELECT 'x'").await,
        "x"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn another_major_version_is_refused() {
    let top = tempfile::tempdir().unwrap();
    start(top.path()).await.unwrap().stop().await.unwrap();
    std::fs::write(top.path().join("cluster/PG_VERSION"), "99\n").unwrap();
    let error = start(top.path()).await.expect_err("a cluster of version 99 was opened");
    assert!(matches!(error, EmbeddedError::WrongMajor { .. }), "{error}");
    assert!(error.to_string().contains("PostgreSQL 99"), "{error}");
}

#[tokio::test]
async fn no_binaries_is_said_clearly() {
    let top = tempfile::tempdir().unwrap();
    let bin_dir = top.path().join("empty");
    std::fs::create_dir(&bin_dir).unwrap();
    let data_dir = top.path().join("data");
    let options = EmbeddedOptions { data_dir: data_dir.clone(), bin_dir: Some(bin_dir.clone()) };
    let error = EmbeddedPostgres::start(options).await.expect_err("started without binaries");
    assert!(matches!(error, EmbeddedError::NoBinaries { .. }), "{error}");
    for part in [bin_dir.to_str().unwrap(), "DRR_PG_BIN", "DRR_DATABASE_URL"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert!(!data_dir.join("cluster").exists());
}

#[tokio::test]
async fn a_lost_password_is_not_replaced() {
    let top = tempfile::tempdir().unwrap();
    start(top.path()).await.unwrap().stop().await.unwrap();
    std::fs::remove_file(top.path().join("credentials/drr_admin")).unwrap();
    let error = start(top.path()).await.expect_err("a cluster was opened without its password");
    assert!(matches!(error, EmbeddedError::CredentialLost { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let top = tempfile::tempdir().unwrap();
    start(top.path()).await.unwrap().stop().await.unwrap();
    let configuration = top.path().join("cluster/postgresql.conf");
    std::fs::write(configuration, "no_such_setting = 1\n").unwrap();
    let error = start(top.path()).await.expect_err("started with a broken configuration");
    assert!(matches!(error, EmbeddedError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_dropped_server_ends_and_one_that_ends_is_noticed() {
    let top = tempfile::tempdir().unwrap();
    let server = start(top.path()).await.unwrap();
    let watched = Watched::of(server.pid());
    drop(server);
    assert!(watched.ends_within(&PATIENCE), "dropped, the server lives on");

    let server = start(top.path()).await.unwrap();
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::QUIT).unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), server.failed()).await.unwrap();
    assert!(error.to_string().contains("immediate shutdown"), "{error}");
}

/// The accounts a program can run as here: its own and, as root, an ordinary one too.
fn accounts() -> Vec<Option<u32>> {
    if geteuid().is_root() { vec![None, Some(NOBODY)] } else { vec![None] }
}

fn data_dir_of(uid: Option<u32>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), uid, uid).unwrap();
    folder
}

#[test]
fn terminated_the_program_takes_its_server_along() {
    for uid in accounts() {
        let folder = data_dir_of(uid);
        let mut program = Program::run(folder.path(), None, uid);
        let server = Watched::of(program.server());
        let status = program.end(Signal::TERM);
        assert!(status.success(), "{status}");
        assert!(server.ends_within(&PATIENCE), "the server of account {uid:?} lives on");
    }
}

#[test]
fn killed_the_program_takes_its_server_along_and_can_start_again() {
    for uid in accounts() {
        let folder = data_dir_of(uid);
        for _ in 0..2 {
            let mut program = Program::run(folder.path(), None, uid);
            let server = program.server();
            let watched = Watched::of(server);
            let owner = std::fs::metadata(format!("/proc/{server}")).unwrap().uid();
            assert!(owner != 0 && uid.is_none_or(|uid| uid == owner), "runs as {owner}");
            program.end(Signal::KILL);
            assert!(watched.ends_within(&PATIENCE), "the server of account {uid:?} lives on");
        }
        // And at once, while the old server may still be ending.
        let mut killed = Program::run(folder.path(), None, uid);
        killed.server();
        killed.end(Signal::KILL);
        let mut next = Program::run(folder.path(), None, uid);
        next.server();
        assert!(next.end(Signal::TERM).success());
    }
}

#[test]
fn interrupted_at_the_terminal_only_the_program_is_told() {
    let folder = data_dir_of(None);
    let mut program = Program::run(folder.path(), None, None);
    let server = Pid::from_raw(program.server()).unwrap();
    let group = |pid| rustix::process::getpgid(Some(pid)).unwrap();
    assert_ne!(group(server), group(Pid::from_child(&program.child)));
    assert!(program.end(Signal::TERM).success());
}

#[tokio::test]
async fn a_start_waits_for_the_server_of_a_killed_program() {
    let folder = data_dir_of(None);
    let mut program = Program::run(folder.path(), None, None);
    let old = program.server();
    // A server ends after its children, and this one of them holds still.
    let children = std::fs::read_to_string(format!("/proc/{old}/task/{old}/children")).unwrap();
    let held = children.split_whitespace().next().unwrap().parse().unwrap();
    let held = Pid::from_raw(held).unwrap();
    kill_process(held, Signal::STOP).unwrap();
    program.end(Signal::KILL);
    let path = folder.path().to_owned();
    let mut next = tokio::spawn(async move { start(&path).await });
    let early = tokio::time::timeout(Duration::from_secs(2), &mut next).await;
    kill_process(held, Signal::CONT).unwrap();
    assert!(early.is_err(), "started beside a server that still lives: {early:?}");
    let server = next.await.unwrap().unwrap();
    assert_ne!(server.pid(), old);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_process_number_that_another_program_has_got_is_no_hindrance() {
    let top = tempfile::tempdir().unwrap();
    start(top.path()).await.unwrap().stop().await.unwrap();
    let cluster = top.path().join("cluster");
    let owner = cluster.metadata().unwrap();
    let mut other = Command::new("sleep");
    let mut other = other.arg("600").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    let stale = cluster.join("postmaster.pid");
    let lines = format!("{}\n{}\n1700000000\n5432\n\n\n", other.id(), cluster.display());
    std::fs::write(&stale, lines).unwrap();
    std::fs::set_permissions(&stale, PermissionsExt::from_mode(0o600)).unwrap();
    chown(&stale, Some(owner.uid()), Some(owner.gid())).unwrap();
    let started = start(top.path()).await;
    let unharmed = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    started.unwrap().stop().await.unwrap();
    assert!(unharmed, "the other program was ended");
}

/// An `initdb` that gets half way, reports its process and goes on for ever.
fn halting_initdb(folder: &Path, report: &Path) {
    for (name, script) in [
        ("postgres", "#!/bin/sh\necho 'postgres (PostgreSQL) 18.0'\n".to_owned()),
        (
            "initdb",
            format!(
                "#!/bin/sh\nmkdir \"$2\"\necho 15 >\"$2/PG_VERSION\"\necho $$ >{}\nexec sleep 600\n",
                report.display()
            ),
        ),
    ] {
        std::fs::write(folder.join(name), script).unwrap();
        std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn an_interrupted_initdb_leaves_nothing_half_made() {
    let fake = tempfile::tempdir().unwrap();
    std::fs::set_permissions(fake.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let report = fake.path().join("report");
    let made = Command::new("mkfifo").args(["-m", "666"]).arg(&report).status().unwrap();
    assert!(made.success());
    halting_initdb(fake.path(), &report);
    let folder = data_dir_of(None);
    let mut program = Program::run(folder.path(), Some(fake.path()), None);
    // Opening a pipe waits for its writer.
    let initdb = std::fs::read_to_string(&report).unwrap();
    let initdb = Watched::of(initdb.trim().parse().unwrap());
    program.end(Signal::KILL);
    assert!(initdb.ends_within(&PATIENCE), "initdb lives on");
    assert!(!folder.path().join("cluster").exists());

    start(folder.path()).await.unwrap().stop().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("new-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
