//! A TCP stream that ends a connection which keeps silent.
//!
//! hyper's own header timeout starts with the wait for the next request, so it would close every
//! idle connection after the few seconds that a head may take; and neither it nor hyper-util bounds
//! the wait for a connection's first bytes. Both clocks are therefore kept here, where the bytes
//! pass: one for the head of a request that has begun, one for silence.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// What the service tells the stream: how many requests began and ended.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    multiplexed: AtomicBool,
    upgraded: AtomicBool,
}

/// A request that is being handled.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Activity {
    /// A request's head is complete.
    pub(super) fn begin(self: &Arc<Self>, version: axum::http::Version) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if version == axum::http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        InFlight(self.clone())
    }

    /// The connection is no HTTP connection any more: its clocks are somebody else's.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    fn in_flight(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != self.ended.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct IdleStream<S> {
    stream: S,
    activity: Arc<Activity>,
    idle_timeout: Duration,
    header_timeout: Duration,
    last_byte: Instant,
    /// When the head that has begun must be complete, and how many requests had begun before it.
    head: Option<(Instant, u64)>,
    alarm: Pin<Box<Sleep>>,
    /// What is held for as long as the connection is there, whatever it becomes.
    _held: Option<Box<dyn std::fmt::Debug + Send + Sync>>,
}

impl<S> IdleStream<S> {
    pub(super) fn new(
        stream: S,
        activity: Arc<Activity>,
        header_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let now = Instant::now();
        // A connection owes its first head from the start.
        let head = Some((now + header_timeout, 0));
        let alarm = Box::pin(tokio::time::sleep_until(now + header_timeout.min(idle_timeout)));
        Self {
            stream,
            activity,
            idle_timeout,
            header_timeout,
            last_byte: now,
            head,
            alarm,
            _held: None,
        }
    }

    /// Keeps something until the connection is closed.
    pub(super) fn holding(mut self, held: impl std::fmt::Debug + Send + Sync + 'static) -> Self {
        self._held = Some(Box::new(held));
        self
    }

    fn bytes_came(&mut self) {
        if self.activity.upgraded.load(Ordering::Relaxed) {
            self.head = None;
            return;
        }
        let now = Instant::now();
        self.last_byte = now;
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if self.head.is_some_and(|(_, before)| before != begun) {
            self.head = None;
        }
        // Between requests a multiplexed connection still speaks: settings, pings, windows.
        let between =
            !self.activity.in_flight() && !self.activity.multiplexed.load(Ordering::Relaxed);
        if self.head.is_none() && between {
            let deadline = now + self.header_timeout;
            self.head = Some((deadline, begun));
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
        }
    }

    /// Called whenever nothing moves: an error once a clock has run out.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.activity.upgraded.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let now = Instant::now();
            let begun = self.activity.begun.load(Ordering::Relaxed);
            if self.head.is_some_and(|(_, before)| before != begun) {
                self.head = None;
            }
            if self.activity.in_flight() {
                // The request's own deadline counts, not this one.
                self.last_byte = now;
            }
            let silence = self.last_byte + self.idle_timeout;
            let next = self.head.map_or(silence, |(deadline, _)| deadline.min(silence));
            if next <= now {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(next);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.bytes_came();
                // A head that trickles in keeps the stream ready; its clock counts all the same.
                if self.head.is_some_and(|(deadline, _)| deadline <= Instant::now()) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(result) => {
                self.last_byte = Instant::now();
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Ready(result) => {
                self.last_byte = Instant::now();
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
