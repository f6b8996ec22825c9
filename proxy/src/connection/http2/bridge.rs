//! A stream that is no question of Composer's becomes a request of HTTP/1, over a connection in memory, and Pingora serves it as any
//! other: what the control plane answers takes one way, whatever the client speaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pingora::apps::HttpServerApp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::respond::{Broken, respond, send};
use super::{Http2, Shared};
use crate::connection::carried::Carried;
use crate::connection::pace::Pace;
use crate::request::admit::Fault;
use crate::request::refuse::Refusal;

/// Bytes on their way in each direction.
const BUFFER: usize = 64 << 10;

/// Fields of a connection of HTTP/1, which no stream has (RFC 9113, 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Lets Pingora answer a stream.
pub(super) async fn cross(shared: &Shared, head: RequestHeader, body: RecvStream, mut respond_to: SendResponse<Bytes>) {
    let request = match request(head, body) {
        Ok(request) => request,
        Err(fault) => {
            let Http2 { parts, limits, .. } = &*shared.server;
            let refused =
                respond(respond_to, Refusal::Fault(fault).reply(), (false, (parts.now)(), limits.stall)).await;
            return refused.map(drop).unwrap_or_default();
        }
    };
    let (near, far) = tokio::io::duplex(BUFFER);
    let mut session = ServerSession::new_http1(Box::new(Carried::new(far, &shared.origin)));
    session.set_keepalive(None);
    let serving = shared.proxy.process_new_http(session, &shared.stopping);
    let asking = async {
        if let Err(error) = ask(shared, near, request, &mut respond_to).await {
            tracing::debug!(target: "cargoman::edge", %error, "an answer broke off");
            respond_to.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    };
    tokio::join!(serving, asking);
}

/// Why a stream was not answered.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] Broken),
}

async fn ask(
    shared: &Shared,
    near: tokio::io::DuplexStream,
    request: Request<Arriving>,
    respond_to: &mut SendResponse<Bytes>,
) -> Result<(), Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await?;
    let answering = async {
        let answer = sender.send_request(request).await;
        // Else the connection would wait for another one.
        drop(sender);
        pass_on(shared, answer?, respond_to).await
    };
    let (answered, _) = tokio::join!(answering, connection);
    answered
}

async fn pass_on(
    shared: &Shared,
    answer: Response<Incoming>,
    respond_to: &mut SendResponse<Bytes>,
) -> Result<(), Failed> {
    let (mut head, mut body) = answer.into_parts();
    OF_CONNECTIONS.iter().for_each(|name| drop(head.headers.remove(name)));
    head.version = Version::HTTP_2;
    let ended = body.is_end_stream();
    let response = Response::from_parts(head, ());
    let mut stream = respond_to.send_response(response, ended).map_err(Broken::Http2)?;
    if ended {
        return Ok(());
    }
    while let Some(frame) = body.frame().await {
        // Trailers go no further, as over HTTP/1.
        if let Ok(data) = frame?.into_data() {
            // Anew for each piece: in between it may be the control plane that is waited for.
            send(&mut stream, data, false, &mut Pace::new(shared.server.limits.stall)).await?;
        }
    }
    Ok(stream.send_data(Bytes::new(), true).map_err(Broken::Http2)?)
}

/// The same request of HTTP/1; a fault where the two versions could be read differently.
fn request(head: RequestHeader, body: RecvStream) -> Result<Request<Arriving>, Fault> {
    let mut fields = head.headers.clone();
    let authority = head.uri.authority().map(|authority| authority.as_str());
    match (authority, fields.get(header::HOST)) {
        (Some(authority), Some(host)) if !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            return Err(Fault::Host);
        }
        (None, None) => return Err(Fault::Host),
        (Some(authority), None) => {
            let host = HeaderValue::try_from(authority).map_err(|_| Fault::Host)?;
            fields.insert(header::HOST, host);
        }
        _ => {}
    }
    if head.method == Method::CONNECT || head.raw_path().first() != Some(&b'/') {
        return Err(Fault::Target);
    }
    OF_CONNECTIONS.iter().for_each(|name| drop(fields.remove(name)));
    one_cookie(&mut fields);
    let target = std::str::from_utf8(head.raw_path()).map_err(|_| Fault::Target)?.to_owned();
    let mut request = Request::builder().method(head.method.clone()).uri(target);
    if let Some(headers) = request.headers_mut() {
        *headers = fields;
    }
    request.body(Arriving(body)).map_err(|_| Fault::Target)
}

/// HTTP/2 may send the pieces of a cookie one by one (RFC 9113, 8.2.3).
fn one_cookie(fields: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..]))
    {
        fields.insert(header::COOKIE, whole);
    }
}

/// A request's body, as it arrives.
struct Arriving(RecvStream);

impl Body for Arriving {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let data = ready!(self.0.poll_data(cx));
        Poll::Ready(data.map(|data| {
            let data = data?;
            // What was handed on makes room for more.
            self.0.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
