//! The server of an earlier run, which may still be ending when a killed program starts again.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::EmbeddedError;

/// A server that was told to end writes a checkpoint first.
const MAXIMUM_TIME: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
/// Above the largest process number that Linux gives.
const NO_PROCESS: i32 = i32::MAX;

/// Waits until no server of an earlier run works on `cluster`, telling one that does to end.
///
/// The caller holds the lock on the data folder, so whoever started that server has ended.
pub(super) async fn wait_until_gone(cluster: &Path) -> Result<(), EmbeddedError> {
    let Some(pid) = recorded_pid(cluster)? else { return Ok(()) };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    // The postmaster works in the folder of its cluster.
    let works_in = std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
    if works_in.ok().as_deref() != Some(cluster) {
        return disown(cluster);
    }
    tracing::info!(pid = pid.as_raw_nonzero(), "waiting for an earlier PostgreSQL to end");
    let _ended = pidfd_send_signal(&handle, Signal::INT);
    let gone = tokio::task::spawn_blocking(move || ends_in_time(&handle))
        .await
        .map_err(std::io::Error::from)
        .flatten()
        .map_err(EmbeddedError::io("wait for the server on", cluster))?;
    if gone {
        return Ok(());
    }
    let pid = pid.as_raw_nonzero().get();
    Err(EmbeddedError::PreviousStillRunning { pid, cluster: cluster.to_owned() })
}

/// Waits for the end of any process, not only of a child: its handle becomes readable.
fn ends_in_time(handle: &OwnedFd) -> std::io::Result<bool> {
    let mut handles = [PollFd::new(handle, PollFlags::IN)];
    Ok(retry_on_intr(|| poll(&mut handles, Some(&MAXIMUM_TIME)))? == 1)
}

fn recorded_pid(cluster: &Path) -> Result<Option<Pid>, EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.lines().next().and_then(|line| line.trim().parse().ok());
            Ok(number.and_then(|number: i32| Pid::from_raw(number.abs())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", path)(error)),
    }
}

/// The number in a stale `postmaster.pid` has gone to another program, as it easily does in a
/// container, and PostgreSQL would refuse to start. Only the number is replaced: by the rest of the
/// file PostgreSQL sees whether sessions of the dead server still live.
fn disown(cluster: &Path) -> Result<(), EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    let rewrite = || {
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        file.rewind()?;
        file.set_len(0)?;
        write!(file, "{NO_PROCESS}\n{rest}")
    };
    match rewrite() {
        // The server has removed its file and ended meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(EmbeddedError::io("correct", &path)),
    }
}
