//! What goes wrong with one call.

use std::io;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use s3s::service::S3Service;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and this code, and nothing is done.
    Refuse(u16, &'static str),
    /// There is never an answer, and nothing is done.
    Hang,
    /// The connection breaks, and nothing is done.
    Break,
    /// It is done, but the connection breaks instead of the answer.
    BreakAfter,
    /// Half of the answer's body comes, then the connection breaks.
    CutBody,
    /// One byte of the answer's body is another one.
    AlterAnswer,
    /// One byte of the request's body is another one when it arrives.
    AlterRequest,
    /// The service says that it is done, and it is not.
    Pretend,
}

/// The answer, or what becomes of it.
pub(super) async fn answer(
    service: S3Service,
    request: Request<Incoming>,
    fault: Option<Fault>,
) -> Result<Response<Body>, io::Error> {
    let broken = || io::Error::other("broken on purpose");
    let Some(fault) = fault else { return done(service, request.map(s3s::Body::from)).await };
    match fault {
        Fault::Refuse(status, code) => {
            let text =
                format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>On purpose.</Message></Error>");
            drain(request).await;
            Ok(Response::builder().status(status).body(full(text.into())).expect("a status"))
        }
        Fault::Hang => std::future::pending().await,
        Fault::Break => Err(broken()),
        Fault::BreakAfter => {
            done(service, request.map(s3s::Body::from)).await?;
            Err(broken())
        }
        Fault::Pretend => {
            drain(request).await;
            Ok(Response::builder().header("etag", "\"0\"").body(full(Bytes::new())).expect("an answer"))
        }
        Fault::AlterRequest => {
            let (head, body) = request.into_parts();
            let body = altered(body.collect().await.map_err(io::Error::other)?.to_bytes());
            done(service, Request::from_parts(head, s3s::Body::from(body))).await
        }
        Fault::AlterAnswer => {
            let (head, body) = done(service, request.map(s3s::Body::from)).await?.into_parts();
            Ok(Response::from_parts(head, full(altered(body.collect().await?.to_bytes()))))
        }
        Fault::CutBody => {
            let (head, body) = done(service, request.map(s3s::Body::from)).await?.into_parts();
            let whole = body.collect().await?.to_bytes();
            let half = whole.slice(..whole.len() / 2);
            let pieces = stream::iter([Ok(Frame::data(half)), Err(broken())]);
            Ok(Response::from_parts(head, StreamBody::new(pieces).boxed_unsync()))
        }
    }
}

async fn done(service: S3Service, request: Request<s3s::Body>) -> Result<Response<Body>, io::Error> {
    let response = service.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
    Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}

async fn drain(request: Request<Incoming>) {
    // Whoever goes away meanwhile gets no answer either.
    request.into_body().collect().await.ok();
}

fn altered(bytes: Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    bytes.into()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
