//! The program itself, as a person starts it: `drr …`, with an environment of the test's own.

use std::{
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::app::{AUDIENCE, ISSUER, KEY};

/// The program with nothing of this process's environment but where programs are found.
pub fn drr(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drr"));
    command.args(arguments).env_clear();
    for name in ["PATH", "DRR_PG_BIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
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
        .env("DRR_AUTH__JWKS_FILE", keys);
    for listener in ["PUBLIC", "INTERNAL", "OPERATIONS"] {
        command.env(format!("DRR_LISTEN__{listener}"), "127.0.0.1:0");
    }
    command
}

/// A running `drr serve`; killed when dropped.
pub struct Serving {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// Every log line so far.
    pub log: Vec<String>,
    pub public: SocketAddr,
    pub internal: SocketAddr,
    pub operations: SocketAddr,
}

impl Serving {
    /// Starts it and waits for the log line that says where it serves.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            log.push(line.clone());
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if entry["message"] == "serving" {
                let address = |name: &str| entry[name].as_str().unwrap().parse().unwrap();
                let (public, internal) = (address("public"), address("internal"));
                let operations = address("operations");
                return Self { child, lines, log, public, internal, operations };
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
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.lines.by_ref().map(Result::unwrap));
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
