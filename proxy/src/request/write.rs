//! Between a reply and Pingora's session. Where HTTP/1 and HTTP/2 differ, they differ here and nowhere else.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr};
use rustix::io::{ReadWriteFlags, preadv2};

use super::refuse::Refusal;
use super::reply::{Body, Reply};
use crate::cache::dists::Archive;
use crate::link::usage::Due;

/// Slowest pace at which a client may take an answer, in bytes a second.
pub(crate) const SLOWEST: usize = 1_024;

/// Bytes of a file that are read and sent at a time.
pub(crate) const CHUNK: u64 = 32 << 10;

/// A body that nobody reads is drained up to this size, so that the connection can go on; a larger one ends it.
const MOST_DRAINED: u64 = 64 << 10;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Writes a reply. After an error the connection must not be used again.
pub(crate) async fn write(session: &mut Session, reply: Reply) -> pingora::Result<()> {
    let head_only = session.req_header().method == Method::HEAD;
    if reply.close || !drain(session).await {
        session.set_keepalive(None);
    }
    let length = reply.length();
    let has_length = reply.head.is_some();
    let ready = reply.head.as_ref().map_or(&[][..], |head| &head.fields);
    let mut header = ResponseHeader::build_no_case(reply.status, Some(ready.len() + reply.headers.len() + 3))?;
    for (name, value) in ready.iter().cloned().chain(reply.headers) {
        header.insert_header(name, value)?;
    }
    if let Some(length) = length.filter(|_| !has_length) {
        header.insert_header(header::CONTENT_LENGTH, length)?;
    }
    let nothing_follows = head_only || length.unwrap_or(0) == 0 || matches!(reply.body, Body::Length(_));
    write_header(session, header, nothing_follows).await?;
    match reply.body {
        _ if nothing_follows => Ok(()),
        Body::Bytes(bytes) => session.as_downstream_mut().write_response_body(bytes, true).await,
        Body::File { archive, first, length, due } => write_file(session, archive, (first, length), due).await,
        Body::None | Body::Length(_) => Ok(()),
    }
}

/// HTTP/1 knows from the header that no body follows; an HTTP/2 stream is ended by it.
async fn write_header(session: &mut Session, header: ResponseHeader, end: bool) -> pingora::Result<()> {
    match session.as_downstream_mut() {
        ServerSession::H2(stream) => stream.write_response_header(Box::new(header), end),
        other => other.write_response_header(Box::new(header)).await,
    }
}

async fn write_file(
    session: &mut Session,
    archive: Archive,
    range: (u64, u64),
    due: Option<Box<Due>>,
) -> pingora::Result<()> {
    let mut chunks = Chunks::new(archive, range, due);
    while let Some(chunk) = chunks.next().await.or_err(ErrorType::FileReadError, "reading a cached archive")? {
        session.as_downstream_mut().write_response_body(chunk, chunks.is_over()).await?;
    }
    Ok(())
}

/// Part of an archive, piece by piece.
///
/// What is `due` is kept after the header has gone out and before the last piece does: whoever has the whole file was counted, and
/// whoever is counted had at least its beginning.
pub(crate) struct Chunks {
    archive: Archive,
    at: u64,
    end: u64,
    due: Option<Box<Due>>,
}

impl Chunks {
    pub(crate) const fn new(archive: Archive, (first, length): (u64, u64), due: Option<Box<Due>>) -> Self {
        Self { archive, at: first, end: first + length, due }
    }

    /// Whether the last piece was given.
    pub(crate) const fn is_over(&self) -> bool {
        self.at == self.end
    }

    /// The next piece.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = Vec::new();
        Ok(self.read(&mut piece).await?.then(|| Bytes::from(piece)))
    }

    /// The next piece in the place of the one before; false when there is none. One buffer for all pieces stays in the processor's
    /// caches.
    pub(crate) async fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        if self.is_over() {
            return Ok(false);
        }
        let to = self.archive.until(self.at, self.end).await?;
        let size = usize::try_from((to - self.at).min(CHUNK)).unwrap_or(0);
        let is_last = self.at + size as u64 == self.end;
        if let Some(due) = self.due.take_if(|_| is_last) {
            due.count().await;
        }
        piece.resize(size, 0);
        match read_from_memory(self.archive.file(), self.at, piece) {
            Some(read) => piece.truncate(read),
            None => {
                let (file, from, mut buffer) = (Arc::clone(self.archive.file()), self.at, std::mem::take(piece));
                let read = tokio::task::spawn_blocking(move || file.read_exact_at(&mut buffer, from).map(|()| buffer));
                *piece = read.await.map_err(io::Error::other).and_then(|buffer| buffer)?;
            }
        }
        self.at += piece.len() as u64;
        Ok(true)
    }
}

/// What the system has in memory of a piece, if anything: reading it keeps nobody waiting, so no other thread is asked for it.
fn read_from_memory(file: &File, at: u64, buffer: &mut [u8]) -> Option<usize> {
    let read = preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT).ok()?;
    (read > 0).then_some(read)
}

/// Reads a request's body of at most `most` bytes.
pub(crate) async fn read_body(session: &mut Session, most: usize) -> Result<Bytes, Refusal> {
    if declared_length(session).is_some_and(|length| length > most as u64) {
        return Err(Refusal::BodyTooLarge { most });
    }
    let reading = async {
        if session.req_header().headers.get(header::EXPECT).is_some() {
            session.as_downstream_mut().write_continue_response().await.map_err(|_| Refusal::BodyLate)?;
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = session.as_downstream_mut().read_request_body().await.map_err(|_| Refusal::BodyLate)? {
            if body.len() + chunk.len() > most {
                return Err(Refusal::BodyTooLarge { most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(BODY_DEADLINE, reading).await.unwrap_or(Err(Refusal::BodyLate))
}

/// Whether nothing of the request is left unread, or could be read away cheaply.
async fn drain(session: &mut Session) -> bool {
    let downstream = session.as_downstream_mut();
    if downstream.is_body_done() {
        return true;
    }
    if declared_length(session).is_none_or(|length| length > MOST_DRAINED) {
        return false;
    }
    if session.req_header().headers.get(header::EXPECT).is_some() {
        // The client waits for a word before it sends anything; none will come.
        return false;
    }
    session.as_downstream_mut().set_total_drain_timeout(Some(BODY_DEADLINE));
    session.as_downstream_mut().drain_request_body().await.is_ok()
}

fn declared_length(session: &Session) -> Option<u64> {
    session.req_header().headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Ends a connection on which an answer broke off, so that nobody takes half of it for the whole.
pub(crate) async fn abandon(session: &mut Session, error: &Error) {
    tracing::debug!(target: "cargoman::edge", %error, "an answer broke off");
    session.set_keepalive(None);
    session.as_downstream_mut().shutdown().await;
}
