//! A reply as an HTTP/2 stream.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::connection::pace::Pace;
use crate::request::reply::{Body, Reply};
use crate::request::write::Chunks;

/// Why a reply broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The stream or the connection is over.
    #[error(transparent)]
    Http2(#[from] h2::Error),
    /// The file cannot be read, or the client does not take it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a reply; gives the bytes of the body that were handed over. There is nothing to wait for when the client's window has room
/// for all of it.
pub(super) async fn respond(
    mut respond: SendResponse<Bytes>,
    reply: Reply,
    (head_only, now, stall): (bool, DateTime<Utc>, Duration),
) -> Result<u64, Broken> {
    let mut response = Response::new(());
    *response.status_mut() = reply.status;
    *response.headers_mut() = fields(&reply, now);
    let nothing_follows = head_only || reply.length().unwrap_or(0) == 0 || matches!(reply.body, Body::Length(_));
    let mut stream = respond.send_response(response, nothing_follows)?;
    let sending = async {
        match reply.body {
            _ if nothing_follows => Ok(0),
            Body::Bytes(bytes) => send(&mut stream, bytes, true, &mut Pace::new(stall)).await,
            Body::File { archive, first, length, due } => {
                Box::pin(send_file(&mut stream, Chunks::new(archive, (first, length), due), stall)).await
            }
            Body::None | Body::Length(_) => Ok(0),
        }
    };
    let sent = sending.await;
    if sent.is_err() {
        // Nobody must take half of it for the whole.
        respond.send_reset(h2::Reason::CANCEL);
    }
    sent
}

async fn send_file(stream: &mut SendStream<Bytes>, mut chunks: Chunks, stall: Duration) -> Result<u64, Broken> {
    let (mut sent, mut pace) = (0, Pace::new(stall));
    while let Some(chunk) = chunks.next().await? {
        sent += send(stream, chunk, chunks.is_over(), &mut pace).await?;
    }
    Ok(sent)
}

/// Hands over as much as the client's window takes, and waits for more of it.
pub(super) async fn send(
    stream: &mut SendStream<Bytes>,
    mut bytes: Bytes,
    last: bool,
    pace: &mut Pace,
) -> Result<u64, Broken> {
    let all = bytes.len() as u64;
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let mut room = stream.capacity();
        if room == 0 {
            pace.goes_on()?;
            let more = poll_fn(|cx| stream.poll_capacity(cx));
            let waiting = async {
                room = more.await.unwrap_or(Err(h2::Reason::CANCEL.into())).map_err(io::Error::other)?;
                Ok(0)
            };
            pace.step(waiting).await?;
        }
        let piece = bytes.split_to(room.min(bytes.len()));
        pace.took(piece.len());
        stream.send_data(piece, last && bytes.is_empty())?;
    }
    Ok(all)
}

fn fields(reply: &Reply, now: DateTime<Utc>) -> HeaderMap {
    let ready = reply.head.as_ref().map_or(&[][..], |head| &head.fields);
    let mut fields = HeaderMap::with_capacity(ready.len() + reply.headers.len() + 2);
    for (name, value) in ready.iter().chain(&reply.headers) {
        fields.insert(name.clone(), value.clone());
    }
    if let Some(length) = reply.length().filter(|_| reply.head.is_none()) {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    fields.insert(header::DATE, date(now));
    fields
}

/// The same for a second, so that it is made once a second and thread.
fn date(now: DateTime<Utc>) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((second, value)) if *second == now.timestamp() => value.clone(),
        _ => {
            let text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
            *last = Some((now.timestamp(), value.clone()));
            value
        }
    })
}
