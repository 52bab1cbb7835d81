//! A Redis of the test's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use redis::{Client, aio::MultiplexedConnection};
use rustix::process::{Pid, Signal, kill_process};

/// A running server, in memory only; it ends with the test.
pub struct Redis {
    pub url: String,
    port: u16,
    program: String,
    server: Child,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// A new one; none where there is no program to start, which is said aloud.
    pub async fn start() -> Option<Self> {
        let Ok(program) = std::env::var("DRR_TEST_REDIS") else {
            eprintln!("SKIPPED: DRR_TEST_REDIS names no redis-server");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let server = run(&program, port, folder.path());
        let url = format!("redis://127.0.0.1:{port}");
        let own = Self { url, port, program, server, _folder: folder };
        own.connection().await;
        Some(own)
    }

    /// A connection of one's own, as soon as it answers.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(self.url.as_str()).unwrap();
        loop {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return connection;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn tell(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async::<()>(&mut self.connection().await).await.unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).unwrap();
    }

    /// Starts it again after a kill, as empty as it was.
    pub async fn restart(&mut self) {
        self.server.wait().unwrap();
        self.server = run(&self.program, self.port, self._folder.path());
        self.connection().await;
    }
}

fn run(program: &str, port: u16, folder: &std::path::Path) -> Child {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(folder);
    command.arg("--port").arg(port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
