//! An answer as bytes of HTTP/1: the head and, as far as it fits, the body go out in one write.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::protocols::Stream;
use tokio::io::AsyncWriteExt;

use super::pace::Pace;
use super::sendfile::Socket;
use crate::cache::dists::Archive;
use crate::link::usage::Due;
use crate::request::reply::{Body, Reply};
use crate::request::write::{CHUNK, Chunks};

/// A head that is made once, in both of its forms.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) fields: Box<[(HeaderName, HeaderValue)]>,
    /// Status line and fields, without the empty line.
    wire: Box<[u8]>,
}

impl Head {
    /// Of these fields, which must be all but those that each answer has of its own: `Date` and `Connection`.
    pub(crate) fn new(status: StatusCode, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        let mut wire = BytesMut::with_capacity(512);
        status_line(&mut wire, status);
        fields.iter().for_each(|(name, value)| field(&mut wire, name, value));
        Self { status, fields: fields.into(), wire: Box::from(&*wire) }
    }

    /// The field of that name.
    #[cfg(test)]
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.fields.iter().find(|(there, _)| there == name).map(|(_, value)| value)
    }

    /// What it takes in memory. Values that are the same for all take none.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.fields) + self.wire.len() + OF_VALUES
    }
}

/// What values of a head's own take.
const OF_VALUES: usize = 64;

/// Bodies up to this size are copied behind their heads; larger ones are worth a second piece of memory in the same write.
const COPIED: usize = 8 << 10;

/// Writes a reply; gives the bytes of the body that were sent. After an error the connection must not be used again.
pub(super) async fn write(
    stream: &mut Stream,
    out: &mut BytesMut,
    reply: Reply,
    (head_only, now, stall): (bool, DateTime<Utc>, Duration),
) -> io::Result<u64> {
    out.clear();
    head(out, &reply, now);
    let mut pace = Pace::new(stall);
    match reply.body {
        Body::Bytes(bytes) if !head_only => {
            if bytes.len() <= COPIED {
                out.extend_from_slice(&bytes);
                both(stream, out, &[], &mut pace).await?;
            } else {
                both(stream, out, &bytes, &mut pace).await?;
            }
            Ok(bytes.len() as u64)
        }
        Body::File { archive, first, length, due } if !head_only && length > 0 => {
            // The head goes before anything is counted.
            both(stream, out, &[], &mut pace).await?;
            send_file(stream, (archive, first, length), due, &mut pace).await?;
            Ok(length)
        }
        _ => both(stream, out, &[], &mut pace).await.map(|()| 0),
    }
}

/// The head of a reply.
pub(crate) fn head(out: &mut BytesMut, reply: &Reply, now: DateTime<Utc>) {
    match &reply.head {
        // Fields that come to those of the head stand beside them or in their place.
        Some(head) if reply.headers.is_empty() => out.extend_from_slice(&head.wire),
        Some(head) => {
            status_line(out, reply.status);
            let replaced = |name: &HeaderName| reply.headers.iter().any(|(there, _)| there == name);
            head.fields.iter().filter(|(name, _)| !replaced(name)).for_each(|(name, value)| field(out, name, value));
        }
        None => status_line(out, reply.status),
    }
    reply.headers.iter().for_each(|(name, value)| field(out, name, value));
    if let Some(length) = reply.length().filter(|_| reply.head.is_none()) {
        field(out, &header::CONTENT_LENGTH, &HeaderValue::from(length));
    }
    date(out, now);
    // Said in both cases, as Pingora does: an answer must not show which of the two wrote it.
    out.extend_from_slice(if reply.close { b"Connection: close\r\n\r\n" } else { b"Connection: keep-alive\r\n\r\n" });
}

fn status_line(out: &mut BytesMut, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The same for a second, so that it is made once a second and thread.
fn date(out: &mut BytesMut, now: DateTime<Utc>) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now.timestamp() || text.is_empty() {
            *second = now.timestamp();
            *text = now.format("date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        }
        out.extend_from_slice(text.as_bytes());
    });
}

/// What is `due` is kept before the last piece goes out, as [`Chunks`] does.
async fn send_file(
    stream: &mut Stream,
    (mut archive, first, length): (Archive, u64, u64),
    due: Option<Box<Due>>,
    pace: &mut Pace,
) -> io::Result<()> {
    let Some(mut socket) = Socket::of(stream) else {
        let mut chunks = Chunks::new(archive, (first, length), due);
        let mut piece = Vec::new();
        while chunks.read(&mut piece).await? {
            both(stream, &piece, &[], pace).await?;
        }
        return Ok(());
    };
    let (end, last) = (first + length, first + length - length.min(CHUNK));
    let mut at = first;
    while at < last {
        let to = archive.until(at, last).await?;
        socket.send(archive.file(), at, to - at, pace).await?;
        at = to;
    }
    // All of it is right before anything is counted.
    archive.until(end - 1, end).await?;
    if let Some(due) = due {
        due.count().await;
    }
    socket.send(archive.file(), last, end - last, pace).await
}

/// Two pieces as one write, as long as the system takes them so.
async fn both(stream: &mut Stream, first: &[u8], second: &[u8], pace: &mut Pace) -> io::Result<()> {
    let (mut first, mut second) = (first, second);
    loop {
        let written = match first.is_empty() || second.is_empty() {
            true => pace.step(stream.write(if first.is_empty() { second } else { first })).await?,
            false => pace.step(stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])).await?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_first = written.min(first.len());
        first = first.get(of_first..).unwrap_or_default();
        second = second.get(written - of_first..).unwrap_or_default();
        if first.is_empty() && second.is_empty() {
            break;
        }
        pace.goes_on()?;
    }
    let flushed = async { stream.flush().await.map(|()| 0) };
    pace.step(flushed).await.map(drop)
}
