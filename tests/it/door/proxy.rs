//! A proxy in front of PostgreSQL's socket, which holds answers back and slips statements in.

use std::{path::PathBuf, sync::Arc};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Mutex, Notify, broadcast, watch},
    task::JoinHandle,
};

/// See the [module](self). It ends when it is dropped.
pub struct Proxy {
    folder: TempDir,
    line: Arc<Line>,
    slip_in: broadcast::Sender<&'static str>,
    listening: JoinHandle<()>,
}

struct Line {
    server: PathBuf,
    /// Once a client sends this, nothing of the server's gets through any more.
    trap: Mutex<Option<&'static str>>,
    held: watch::Sender<bool>,
    caught: Notify,
    slipped_in: Notify,
}

impl Proxy {
    /// A proxy before the server of `options`, and the options to connect through it.
    pub fn before(options: &PgConnectOptions) -> (Self, PgConnectOptions) {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(".s.PGSQL.{}", options.get_port());
        let line = Arc::new(Line {
            server: options.get_socket().unwrap().join(&name),
            trap: Mutex::new(None),
            held: watch::Sender::new(false),
            caught: Notify::new(),
            slipped_in: Notify::new(),
        });
        let slip_in = broadcast::Sender::new(4);
        let listener = UnixListener::bind(folder.path().join(name)).unwrap();
        let (of_task, statements) = (line.clone(), slip_in.clone());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, of_task.clone(), statements.subscribe()));
            }
        });
        let options = options.clone().socket(folder.path());
        (Self { folder, line, slip_in, listening }, options)
    }

    /// From when a client sends `word`, answers are held back.
    pub async fn hold_answers_from(&self, word: &'static str) {
        *self.line.trap.lock().await = Some(word);
    }

    /// Waits until it was sent.
    pub async fn caught(&self) {
        self.line.caught.notified().await;
    }

    /// Lets everything through again.
    pub fn let_through(&self) {
        self.line.held.send_replace(false);
    }

    /// Runs `sql` on the connection behind the client's back.
    pub async fn slip_in(&self, sql: &'static str) {
        assert_eq!(self.slip_in.send(sql).unwrap(), 1, "there is one connection");
        self.line.slipped_in.notified().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        let _ = self.folder.path();
    }
}

async fn carry(
    mut client: UnixStream,
    line: Arc<Line>,
    mut statements: broadcast::Receiver<&'static str>,
) {
    let mut server = UnixStream::connect(&line.server).await.unwrap();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut held = line.held.subscribe();
    let mut swallowing = false;
    loop {
        let open = !*held.borrow_and_update();
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let mut trap = line.trap.lock().await;
                let sent = String::from_utf8_lossy(&asked[..length]);
                if trap.is_some_and(|word| sent.contains(word)) {
                    *trap = None;
                    line.held.send_replace(true);
                    line.caught.notify_one();
                }
                if to_server.write_all(&asked[..length]).await.is_err() { return }
            }
            read = from_server.read(&mut answered), if open => {
                let Ok(length @ 1..) = read else { return };
                if !swallowing {
                    if to_client.write_all(&answered[..length]).await.is_err() { return }
                } else if answered[..length].ends_with(b"Z\0\0\0\x05T")
                    || answered[..length].ends_with(b"Z\0\0\0\x05E")
                {
                    swallowing = false;
                    line.slipped_in.notify_one();
                }
            }
            _ = held.changed() => {}
            Ok(sql) = statements.recv() => {
                swallowing = true;
                let length = i32::try_from(4 + sql.len() + 1).unwrap();
                let message = [b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat();
                to_server.write_all(&message).await.unwrap();
            }
        }
    }
}
