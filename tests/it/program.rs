//! The program itself, run as its users run it: with an environment in which nothing else stands.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// `drr` with these arguments. Of the environment it gets only what finds PostgreSQL.
pub fn drr(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drr"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "DRR_PG_BIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// Runs it to its end.
pub fn output(arguments: &[&str]) -> Output {
    drr(arguments).output().unwrap()
}

/// What a run that succeeds says on standard output.
pub fn answer(arguments: &[&str]) -> String {
    let output = output(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run that goes on until it is told to end; its log is in a file.
pub struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    pub fn start(arguments: &[&str], log: &Path) -> Self {
        let mut command = drr(arguments);
        let log = File::create(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line of its answer; `None` if it ended before.
    pub fn wait_for(&mut self, line: &str) -> Option<()> {
        self.lines.by_ref().map(Result::unwrap).find(|said| said == line).map(drop)
    }

    /// Says SIGTERM, and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        // To the end, so that it is never held up by a full pipe.
        for line in self.lines.by_ref() {
            line.unwrap();
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The server of the cluster in a data folder, to be watched.
pub fn postgres(data_dir: &Path) -> std::os::fd::OwnedFd {
    let file = std::fs::read_to_string(data_dir.join("cluster/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap().parse().unwrap();
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}
