//! The program itself, run as its users run it: with an environment in which nothing else stands.

use std::{
    fs::File,
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use crate::app::{AUDIENCE, ISSUER, KEY};

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
    lines: Lines<BufReader<ChildStdout>>,
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

/// `drr serve` on a private database in `folder/data`, on ports that the system chooses, trusting
/// the key of the tests.
pub fn serve(folder: &Path) -> Command {
    let keys = folder.join("jwks.json");
    std::fs::write(&keys, KEY.jwks_json().as_bytes()).unwrap();
    let mut command = drr(&["serve"]);
    command
        .env("DRR_DATA_DIR", folder.join("data"))
        .env("DRR_AUTH__ISSUER", ISSUER)
        .env("DRR_AUTH__AUDIENCE", AUDIENCE)
        .env("DRR_AUTH__JWKS_FILE", keys)
        // None of these tests is about too many callers at once.
        .env("DRR_LIMITS__CONCURRENT_REQUESTS", "1000");
    for listener in ["PUBLIC", "INTERNAL", "OPERATIONS"] {
        command.env(format!("DRR_LISTEN__{listener}"), "127.0.0.1:0");
    }
    command
}

/// A running `drr serve`; killed when dropped.
pub struct Serving {
    child: Child,
    /// Reads what it goes on to say: a full pipe would hold it up for ever.
    reading: Option<JoinHandle<Vec<String>>>,
    /// Every log line until it served.
    pub log: Vec<String>,
    pub public: SocketAddr,
    pub operations: SocketAddr,
}

impl Serving {
    /// Starts it and waits for the log line that says where it serves.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            log.push(line.clone());
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if entry["message"] == "serving" {
                let address = |name: &str| entry[name].as_str().unwrap().parse().unwrap();
                let public = address("public");
                let operations = address("operations");
                let reading = Some(thread::spawn(|| lines.map_while(Result::ok).collect()));
                return Self { child, reading, log, public, operations };
            }
        }
        let status = child.wait().unwrap();
        panic!("the program ended with {status}: {log:#?}");
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end; answers its exit code (none if a signal ended it) and its whole log.
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        let rest = self.reading.take().unwrap().join().unwrap();
        (code, [std::mem::take(&mut self.log), rest].concat())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
