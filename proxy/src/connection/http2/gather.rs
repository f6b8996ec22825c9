//! Below HTTP/2, above TLS: what is written in many small pieces goes down in one, so that the answers to many streams share
//! records of TLS and calls of the system.
//!
//! What is large is encrypted straight from where it lies, so that it is copied once and not twice.
//!
//! h2 flushes after nearly every frame; here that says nothing. Who serves the connection sends once there is nothing left to answer
//! ([`Sending::poll`]), and must do so before it waits for anything.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use pingora::protocols::{IO, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::request::write::SLOWEST;
use crate::tls::Secure;

/// With so much it goes down at once: two records of TLS.
const MOST: usize = 32 << 10;

/// A connection's stream, as h2 sees it.
pub(super) struct Gather(Arc<Mutex<Inner>>);

/// The same, as who serves the connection sees it.
pub(super) struct Sending(Arc<Mutex<Inner>>);

struct Inner {
    below: Below,
    waiting: BytesMut,
    /// Bytes that were encrypted and not sent.
    encrypted: usize,
    /// Whether something was written that the stream below may still hold back.
    unflushed: bool,
    /// Since when the client has been behind, moved on by what it takes at the slowest pace.
    behind: Option<Instant>,
    frames: Frames,
    sent: u64,
}

/// With so many frames that ask for nothing a client is cut.
const MOST_BESIDE: u64 = 10_000;
/// Pieces that are encrypted at a time; h2 writes two.
const MOST_PIECES: usize = 8;
/// Whoever takes bytes says so in frames: for each so many bytes it may send one more.
const BYTES_A_FRAME: u64 = 1 << 10;

/// With so much at a time it goes past what waits.
const LARGE: usize = 4 << 10;

/// What lies below: TLS, or anything else that takes bytes.
enum Below {
    Tls(Box<Secure>),
    Other(Stream),
}

impl Below {
    fn of(stream: Stream) -> Option<Self> {
        match stream.as_any().is::<Secure>() {
            true => stream.into_any().downcast().map(Self::Tls).ok(),
            false => Some(Self::Other(stream)),
        }
    }

    fn stream(&mut self) -> Pin<&mut (dyn IO + 'static)> {
        match self {
            Self::Tls(secure) => Pin::new(&mut **secure),
            Self::Other(stream) => Pin::new(&mut **stream),
        }
    }
}

/// Both views of a stream.
pub(super) fn gather(stream: Stream) -> Option<(Gather, Sending)> {
    let inner = Inner {
        below: Below::of(stream)?,
        waiting: BytesMut::new(),
        encrypted: 0,
        unflushed: false,
        behind: None,
        frames: Frames::new(),
        sent: 0,
    };
    let inner = Arc::new(Mutex::new(inner));
    Some((Gather(Arc::clone(&inner)), Sending(inner)))
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
            let written = ready!(self.below.stream().poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
            self.unflushed = true;
            self.went_down(written);
        }
        if self.unflushed {
            ready!(self.below.stream().poll_flush(cx))?;
            self.unflushed = false;
            let encrypted = std::mem::take(&mut self.encrypted);
            self.went_down(encrypted);
        }
        Poll::Ready(Ok(()))
    }

    fn went_down(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        let earned = Duration::from_millis((bytes * 1_000 / SLOWEST) as u64);
        self.behind = self.behind.map(|since| (since + earned).min(Instant::now()));
    }

    /// Encrypts what waits, and of the pieces as much as there is room for; how much of these. None when nothing lies below that could.
    fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let Below::Tls(secure) = &mut self.below else { return Ok(None) };
        let mut all = [IoSlice::new(&[]); MOST_PIECES];
        let together = std::iter::once(IoSlice::new(&self.waiting)).chain(pieces.iter().copied());
        let count = all.iter_mut().zip(together).map(|(place, piece)| *place = piece).count();
        let taken = secure.encrypt(all.get(..count).unwrap_or_default())?;
        self.unflushed |= taken > 0;
        self.encrypted += taken;
        let before = taken.min(self.waiting.len());
        self.waiting.advance(before);
        Ok(Some(taken - before))
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        let before = buffer.filled().len();
        ready!(inner.below.stream().poll_read(cx, buffer))?;
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
        if inner.waiting.len() + inner.encrypted >= MOST {
            ready!(inner.poll_send(cx))?;
        }
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        // Nothing is taken where there is no room: then it waits like the rest, and is sent before more is taken.
        if bytes >= LARGE
            && let Some(taken @ 1..) = inner.encrypt(pieces)?
        {
            return Poll::Ready(Ok(taken));
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
        inner.below.stream().poll_shutdown(cx)
    }
}
