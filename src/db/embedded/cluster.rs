//! Making a new cluster: whole or not at all.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use super::account::Account;
use super::binaries::Binaries;
use super::credentials::Credentials;
use super::data_dir::DataDir;
use super::error::EmbeddedError;
use super::log::LogState;
use super::process::ChildProcess;

/// How the folder of a cluster in the making begins.
const STAGE_PREFIX: &str = "new-";
/// Generous: a slow disk that flushes every file of a new cluster.
const MAXIMUM_TIME: Duration = Duration::from_secs(300);

/// The superuser's password of the cluster in `data`, which is made if it is not there yet.
///
/// `initdb` works in a folder of its own, which takes its place by a rename once it is complete:
/// a cluster that is there is a whole one. It works with the password already kept, so that no
/// cluster is there without its password either.
pub(super) async fn ensure(
    data: &DataDir,
    binaries: &Binaries,
    account: &Account,
    credentials: &Credentials,
    superuser: &str,
) -> Result<SecretString, EmbeddedError> {
    let cluster = data.cluster();
    remove_leftovers(data.path());
    if cluster.exists() {
        return credentials.load(superuser);
    }
    let password = credentials.create(superuser)?;
    let stage = tempfile::Builder::new()
        .prefix(STAGE_PREFIX)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir_in(data.path())
        .map_err(EmbeddedError::io("make a folder in", data.path()))?;
    initialise(&stage, binaries, account, superuser, &password).await?;
    std::fs::rename(stage.path().join("cluster"), &cluster)
        .and_then(|()| std::fs::File::open(data.path())?.sync_all())
        .map_err(EmbeddedError::io("put in place", cluster))?;
    Ok(password)
}

async fn initialise(
    stage: &TempDir,
    binaries: &Binaries,
    account: &Account,
    superuser: &str,
    password: &SecretString,
) -> Result<(), EmbeddedError> {
    // A file, since standard input as a file name cannot be opened after a change of user.
    let password_file = stage.path().join("password");
    std::fs::write(&password_file, password.expose_secret())
        .map_err(EmbeddedError::io("write", &password_file))?;
    account.own(&password_file)?;
    account.own(stage.path())?;
    let mut command = binaries.command("initdb");
    command
        .arg("--pgdata")
        .arg(stage.path().join("cluster"))
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", superuser])
        .args(["--auth-local", "scram-sha-256", "--auth-host", "reject"])
        // Order by bytes, the same on every machine and for ever; letters beyond ASCII known.
        .args(["--encoding", "UTF8", "--locale", "C", "--lc-ctype", "C.UTF-8"])
        .args(["--data-checksums", "--no-instructions"]);
    let failed = |reason: String, log| EmbeddedError::InitialisationFailed { reason, log };
    // At SIGTERM initdb removes what it has made.
    let child = ChildProcess::spawn(command, account, Signal::TERM)
        .await
        .map_err(|error| failed(error.to_string(), String::new()))?;
    let status = tokio::time::timeout(MAXIMUM_TIME, child.ended()).await.map_err(|_| {
        failed(format!("not done after {} s", MAXIMUM_TIME.as_secs()), child.log.tail())
    })?;
    let status = status.map_err(|error| failed(error.to_string(), child.log.tail()))?;
    if status.success() {
        return Ok(());
    }
    child.log.reaches(LogState::Closed).await;
    Err(failed(status.to_string(), child.log.tail()))
}

/// What a killed program has left. One that cannot be removed is in nobody's way.
fn remove_leftovers(data_dir: &Path) {
    for entry in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGE_PREFIX))
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "a leftover stays");
        }
    }
}
