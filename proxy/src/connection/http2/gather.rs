//! Below HTTP/2, above TLS: what is written in many small pieces goes down in one, so that the answers to many streams share
//! records of TLS and calls of the system.
//!
//! h2 flushes after nearly every frame; here that says nothing. Who serves the connection sends once there is nothing left to answer
//! ([`Sending::poll`]), and must do so before it waits for anything.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::request::write::SLOWEST;

/// With so much it goes down at once: two records of TLS.
const MOST: usize = 32 << 10;

/// A connection's stream, as h2 sees it.
pub(super) struct Gather(Arc<Mutex<Inner>>);

/// The same, as who serves the connection sees it.
pub(super) struct Sending(Arc<Mutex<Inner>>);

struct Inner {
    stream: Stream,
    waiting: BytesMut,
    /// Whether something was written that the stream below may still hold back.
    unflushed: bool,
    /// Since when the client has been behind, moved on by what it takes at the slowest pace.
    behind: Option<Instant>,
    frames: Frames,
    sent: u64,
}

/// With so many frames that ask for nothing a client is cut.
const MOST_BESIDE: u64 = 10_000;
/// Whoever takes bytes says so in frames: for each so many bytes it may send one more.
const BYTES_A_FRAME: u64 = 1 << 10;

/// Both views of a stream.
pub(super) fn gather(stream: Stream) -> (Gather, Sending) {
    let inner =
        Inner { stream, waiting: BytesMut::new(), unflushed: false, behind: None, frames: Frames::new(), sent: 0 };
    let inner = Arc::new(Mutex::new(inner));
    (Gather(Arc::clone(&inner)), Sending(inner))
}

impl Sending {
    /// Sends what waits. Ready when everything went down.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx)
    }

    /// Whether the client has been behind for longer than it may.
    pub(super) fn is_stuck(&self, stall: Duration) -> bool {
        lock(&self.0).behind.is_some_and(|since| since.elapsed() > stall)
    }
}

/// Never contended: both views belong to one task.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.poll_down(cx);
        match &sent {
            Poll::Ready(_) => self.behind = None,
            Poll::Pending => drop(self.behind.get_or_insert_with(Instant::now)),
        }
        sent
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
            self.unflushed = true;
            self.sent += written as u64;
            let earned = Duration::from_millis((written * 1_000 / SLOWEST) as u64);
            self.behind = self.behind.map(|since| (since + earned).min(Instant::now()));
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut inner.stream).poll_read(cx, buffer))?;
        inner.frames.read(buffer.filled().get(before..).unwrap_or_default());
        if inner.frames.beside() > MOST_BESIDE + inner.sent / BYTES_A_FRAME {
            return Poll::Ready(Err(io::Error::other("too many frames that ask for nothing")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        if inner.waiting.len() >= MOST {
            ready!(inner.poll_send(cx))?;
        }
        let mut taken = 0;
        for piece in pieces {
            inner.waiting.extend_from_slice(piece);
            taken += piece.len();
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}
