//! A child process that cannot outlive the program.
//!
//! The kernel ties "tell the child when its parent ends" to the parent **thread**. A thread of the
//! runtime may end early, so each child has a thread of its own that spawns it and then waits for
//! it: that thread ends with the child or with the program, never before.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{io, thread};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{oneshot, watch};

use super::account::Account;
use super::log::ChildLog;
use super::parent_death::end_with_parent;

/// A running child; dropped, it is told to end and not waited for.
#[derive(Debug)]
pub(super) struct ChildProcess {
    pid: Pid,
    /// Names the process even when its number has gone to another one.
    handle: OwnedFd,
    end_signal: Signal,
    status: watch::Receiver<Option<ExitStatus>>,
    pub(super) log: ChildLog,
}

impl ChildProcess {
    /// Starts `command` as `account`, with an empty environment (the program's holds secrets) and
    /// in a process group of its own (a Ctrl-C in the terminal is for the program, which drains
    /// first). `end_signal` reaches the child when the program ends or this value is dropped.
    pub(super) async fn spawn(
        mut command: Command,
        account: &Account,
        end_signal: Signal,
    ) -> io::Result<Self> {
        account.apply(&mut command);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        end_with_parent(&mut command, end_signal);
        let (started, answer) = oneshot::channel();
        thread::Builder::new()
            .name("postgres-parent".to_owned())
            .spawn(move || live_with(command, end_signal, started))?;
        answer.await.map_err(io::Error::other)?
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        // The only refusal left is that the process has ended already.
        let _ended = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits until the child has ended.
    pub(super) async fn ended(&self) -> io::Result<ExitStatus> {
        let mut status = self.status.clone();
        let status = status.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        status.ok_or_else(|| io::Error::other("the child's status was not kept"))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.status.borrow().is_none() {
            self.signal(self.end_signal);
        }
    }
}

/// The life of the thread described above.
fn live_with(
    mut command: Command,
    end_signal: Signal,
    started: oneshot::Sender<io::Result<ChildProcess>>,
) {
    let (report, status) = watch::channel(None);
    let spawned =
        command.spawn().and_then(|mut child| match describe(&mut child, end_signal, status) {
            Ok(process) => Ok((child, process)),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        });
    match spawned {
        Ok((mut child, process)) => {
            // If nobody waits for the answer any more, it is dropped here, which ends the child.
            drop(started.send(Ok(process)));
            if let Ok(status) = child.wait() {
                report.send_replace(Some(status));
            }
        }
        Err(error) => drop(started.send(Err(error))),
    }
}

fn describe(
    child: &mut Child,
    end_signal: Signal,
    status: watch::Receiver<Option<ExitStatus>>,
) -> io::Result<ChildProcess> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let stderr = child.stderr.take().ok_or_else(|| io::Error::other("the child has no stderr"))?;
    let (log, read) = ChildLog::of(stderr);
    thread::Builder::new().name("postgres-log".to_owned()).spawn(read)?;
    Ok(ChildProcess { pid, handle, end_signal, status, log })
}
