//! What a child process says: passed on to the program's own log, its end kept for an error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// How many lines an error shows.
const TAIL_LINES: usize = 30;
/// What the postmaster says once it takes connections; its language is fixed to `C`.
const READY: &str = "database system is ready to accept connections";

/// The log of one child.
#[derive(Debug, Clone)]
pub(super) struct ChildLog {
    tail: Arc<Mutex<VecDeque<String>>>,
    state: watch::Receiver<LogState>,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LogState {
    /// Nothing decisive was said.
    Open,
    /// The server takes connections.
    Ready,
    /// Nobody is left to write to it.
    Closed,
}

impl ChildLog {
    /// The log, and what reads `stream` to its end; that belongs on a thread of its own, since a
    /// pipe that nobody reads stops its writers.
    pub(super) fn of(stream: impl Read + Send + 'static) -> (Self, impl FnOnce() + Send) {
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_LINES)));
        let (progress, state) = watch::channel(LogState::Open);
        let log = Self { tail: Arc::clone(&tail), state };
        let read = move || {
            let mut stream = BufReader::new(stream);
            let mut bytes = Vec::new();
            while let Ok(1..) = stream.read_until(b'\n', &mut bytes) {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                pass_on(&line);
                if line.contains(READY) {
                    progress.send_replace(LogState::Ready);
                }
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            progress.send_replace(LogState::Closed);
        };
        (log, read)
    }

    /// Waits until the log has come to `state` or further.
    pub(super) async fn reaches(&self, state: LogState) {
        // An error means that the reader has ended, which is as far as a log gets.
        let mut progress = self.state.clone();
        let _ended = progress.wait_for(|reached| *reached >= state).await;
    }

    /// Whether the server has said that it takes connections.
    pub(super) fn is_ready(&self) -> bool {
        *self.state.borrow() == LogState::Ready
    }

    /// The last lines.
    pub(super) fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// What a session did wrong (`ERROR`) was told to that session; it is not the server's trouble.
fn pass_on(line: &str) {
    let severity = line.split_once(':').map_or("", |(severity, _)| severity);
    match severity {
        "PANIC" => tracing::error!(target: "drr::postgres", "{line}"),
        "FATAL" | "WARNING" => tracing::warn!(target: "drr::postgres", "{line}"),
        _ => tracing::debug!(target: "drr::postgres", "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_kept_and_readiness_is_noticed() {
        let said: String = (0..100).map(|n| format!("LOG:  line {n}\n")).collect();
        let said = format!("{said}LOG:  {READY}\nno newline \u{fffd}");
        let (log, read) = ChildLog::of(std::io::Cursor::new(said));
        assert!(!log.is_ready());
        let reader = std::thread::spawn(read);
        log.reaches(LogState::Closed).await;
        reader.join().unwrap();
        let tail = log.tail();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("no newline \u{fffd}") && !tail.contains("line 50"), "{tail}");
    }

    #[tokio::test]
    async fn ready_comes_before_the_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (log, read) = ChildLog::of(reader);
        let reading = std::thread::spawn(read);
        std::io::Write::write_all(&mut writer, format!("LOG:  {READY}\n").as_bytes()).unwrap();
        log.reaches(LogState::Ready).await;
        assert!(log.is_ready());
        drop(writer);
        log.reaches(LogState::Closed).await;
        reading.join().unwrap();
    }
}
