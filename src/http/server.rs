//! One listener: accepts connections within a limit, serves HTTP/1 and HTTP/2 on them, and drains.
//!
//! `axum::serve` waits for ever for a slow head; this one does not. Answers that hyper makes itself,
//! to what is no HTTP request at all, carry no correlation id: there is no request to name.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    ListenerKind,
    idle::{Activity, IdleStream},
};
use crate::{config::Limits, telemetry};

/// How long to wait when the process is out of file descriptors: nothing tells when there are some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests at once on one HTTP/2 connection, so that the connection limit bounds requests too.
const MAX_STREAMS: u32 = 100;

/// A listener that is bound and not yet served: its address is known before anything answers.
#[derive(Debug)]
pub struct BoundListener {
    listener: TcpListener,
    kind: ListenerKind,
    local_addr: SocketAddr,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because their requests did not finish in time.
    pub cut: usize,
}

impl BoundListener {
    /// Binds an address; port 0 lets the system choose.
    ///
    /// # Errors
    /// The system's, when the address is taken or not this machine's.
    pub async fn bind(kind: ListenerKind, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, kind, local_addr })
    }

    /// The address, with the port that was chosen.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Which of the doors it is.
    #[must_use]
    pub const fn kind(&self) -> ListenerKind {
        self.kind
    }

    /// Serves until `shutdown`, then stops accepting and lets requests in flight finish within
    /// `limits.drain_timeout`.
    pub async fn serve(
        self,
        router: Router,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Drained {
        let Self { listener, kind, .. } = self;
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let graceful = GracefulShutdown::new();
        let cut = CancellationToken::new();
        let builder = Arc::new(builder(&limits));
        while let Some((permit, accepted)) =
            shutdown.run_until_cancelled(accept(&slots, &listener)).await
        {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let connection = Connection {
                stream,
                peer,
                kind,
                router: router.clone(),
                limits,
                builder: builder.clone(),
                permit,
            };
            tokio::spawn(connection.run(graceful.watcher(), cut.clone()));
        }
        drop(listener);
        let open = || limits.max_connections.saturating_sub(slots.available_permits());
        tracing::info!(listener = kind.as_str(), connections = open(), "draining");
        if tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let drained = Drained { cut: open() };
        cut.cancel();
        drained
    }
}

/// Waits for a free slot first: beyond the limit, connections wait in the system's queue.
async fn accept(
    slots: &Arc<Semaphore>,
    listener: &TcpListener,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    // The semaphore is never closed.
    let permit = slots.clone().acquire_owned().await.ok();
    (permit, listener.accept().await)
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes);
    let header_list = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_list)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    kind: ListenerKind,
    router: Router,
    limits: Limits,
    builder: Arc<auto::Builder<TokioExecutor>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn run(self, watcher: hyper_util::server::graceful::Watcher, cut: CancellationToken) {
        let counted = Counted::new(self.kind, self.permit);
        // Small answers must not wait for the acknowledgement of earlier ones.
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let activity = Arc::new(Activity::default());
        let stream = IdleStream::new(
            self.stream,
            activity.clone(),
            self.limits.header_timeout,
            self.limits.idle_timeout,
        )
        .holding(counted);
        let (router, peer) = (self.router, self.peer);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            handle(router.clone(), activity.clone(), peer, request)
        });
        let connection =
            self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        if let Some(Err(error)) = cut.run_until_cancelled(watcher.watch(connection)).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A connection that is open, also once it is a WebSocket: then hyper is done with it.
#[derive(Debug)]
struct Counted {
    kind: ListenerKind,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Counted {
    fn new(kind: ListenerKind, permit: Option<OwnedSemaphorePermit>) -> Self {
        metrics::gauge!(telemetry::HTTP_CONNECTIONS, "listener" => kind.as_str()).increment(1.0);
        Self { kind, _permit: permit }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(telemetry::HTTP_CONNECTIONS, "listener" => self.kind.as_str())
            .decrement(1.0);
    }
}

async fn handle(
    mut router: Router,
    activity: Arc<Activity>,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    let _in_flight = activity.begin(request.version());
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.call(request).await;
    if response.as_ref().is_ok_and(|it| it.status() == StatusCode::SWITCHING_PROTOCOLS) {
        activity.upgrade();
    }
    response
}
