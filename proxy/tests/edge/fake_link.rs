//! The link of the control plane in memory: real sessions over a list of events.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cargoman_edge_protocol::link::session::{Demand, Session, admission};
use cargoman_edge_protocol::link::{Closing, Event, FromControlPlane, Position};
use cargoman_edge_protocol::{AsOf, Change, Key};
use tokio::sync::watch;
use uuid::Uuid;

use super::fake::Fake;

pub(crate) struct FakeLink {
    /// Without it there is no link at all, as in the previous release.
    pub(crate) on: AtomicBool,
    /// Whether leases are given.
    pub(crate) leases: AtomicBool,
    pub(crate) grace_s: AtomicU64,
    pub(crate) granted: AtomicUsize,
    pub(crate) epoch: AtomicI64,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) head: watch::Sender<i64>,
    pub(crate) acked: watch::Sender<i64>,
    pub(crate) left: AtomicUsize,
    pub(crate) resumed: AtomicUsize,
    pub(crate) handed_over: Mutex<Vec<cargoman_credential::Digest>>,
    pub(crate) fenced: AtomicBool,
    /// Ends every stream.
    pub(crate) cut: watch::Sender<u64>,
    /// Fills wait here while it says true.
    pub(crate) holding: watch::Sender<bool>,
    pub(crate) held: AtomicUsize,
}

impl Default for FakeLink {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            leases: AtomicBool::new(true),
            grace_s: AtomicU64::new(3_600),
            granted: AtomicUsize::new(0),
            epoch: AtomicI64::new(1),
            events: Mutex::default(),
            head: watch::channel(0).0,
            acked: watch::channel(0).0,
            left: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            handed_over: Mutex::default(),
            fenced: AtomicBool::new(false),
            cut: watch::channel(0).0,
            holding: watch::channel(false).0,
            held: AtomicUsize::new(0),
        }
    }
}

impl FakeLink {
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        self.on
            .load(Ordering::SeqCst)
            .then(|| AsOf { epoch: self.epoch.load(Ordering::SeqCst), seq: *self.head.borrow() })
    }

    pub(crate) async fn hold_fills(&self, keys: usize) {
        if keys > 0 && *self.holding.borrow() {
            self.held.fetch_add(1, Ordering::SeqCst);
            self.holding.subscribe().wait_for(|holding| !holding).await.unwrap();
        }
    }

    /// Ends every stream, now and surely.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// A fact changed: an event for every edge.
    pub(crate) fn changed(&self, key: &Key, removed: bool) {
        let change = match key.clone() {
            Key::Host { .. } => Change::Hosts { tenant: super::world::tenant_id(1) },
            Key::Access { tenant, digest } => Change::Token { tenant, digest, revoked: removed },
            Key::Package { tenant, name } => Change::Package { tenant, name },
            Key::Collection { tenant, collection } => Change::Collection { tenant, collection },
            Key::Directory { tenant } => Change::Directory { tenant },
        };
        self.event(serde_json::to_value(change).unwrap());
    }

    pub(crate) fn event(&self, change: serde_json::Value) {
        let mut events = self.events.lock().unwrap();
        let seq = i64::try_from(events.len()).unwrap() + 1;
        events.push(Event { seq, event: Uuid::now_v7(), optional: false, change });
        drop(events);
        self.head.send_replace(seq);
    }

    fn position(&self) -> Position {
        let events = self.events.lock().unwrap();
        let epoch = self.epoch.load(Ordering::SeqCst);
        events.last().map_or(Position { epoch, seq: 0, event: Uuid::nil() }, |event| Position {
            epoch,
            seq: event.seq,
            event: event.event,
        })
    }

    fn take(&self, session: &mut Session, demand: Demand) -> Result<Vec<FromControlPlane>, Closing> {
        match demand {
            Demand::Admit(hello) => {
                let head = self.position();
                let at = hello.position.map_or(0, |position| usize::try_from(position.seq).unwrap());
                let found = self.events.lock().unwrap().get(at.wrapping_sub(1)).map(|event| event.event);
                let admission = admission(hello.position, head, found);
                self.resumed.fetch_add(
                    usize::from(admission == cargoman_edge_protocol::link::session::Admission::Resume),
                    Ordering::SeqCst,
                );
                Ok(vec![FromControlPlane::Welcome(session.admit(&hello, admission, head))])
            }
            Demand::Revoke(tokens, last) => {
                self.handed_over.lock().unwrap().extend(tokens.into_iter().map(|(_, digest)| digest));
                if last {
                    session.handed_over();
                }
                Ok(Vec::new())
            }
            Demand::Acked(seq) => {
                self.acked.send_replace(seq);
                Ok(Vec::new())
            }
            Demand::Renew(ask) => {
                if !self.leases.load(Ordering::SeqCst) {
                    return Ok(Vec::new());
                }
                let head = self.position();
                let mut messages = session.send(head.epoch, &self.events.lock().unwrap())?;
                let grace = self.grace_s.load(Ordering::SeqCst);
                self.granted.fetch_add(1, Ordering::SeqCst);
                messages.extend(session.grant(ask, head, 3_000, grace)?.map(FromControlPlane::Lease));
                Ok(messages)
            }
            Demand::Leave => {
                self.left.fetch_add(1, Ordering::SeqCst);
                Ok(vec![FromControlPlane::Left])
            }
        }
    }
}

pub(crate) async fn link(State(fake): State<Arc<Fake>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if !fake.link.on.load(Ordering::SeqCst) || fake.down.load(Ordering::SeqCst) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if !fake.knows(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(move |socket| async move { serve(&fake.link, socket).await.unwrap_or_default() })
}

async fn serve(link: &FakeLink, mut socket: WebSocket) -> Option<()> {
    let mut session = Session::default();
    let (mut head, mut cut) = (link.head.subscribe(), link.cut.subscribe());
    if link.fenced.load(Ordering::SeqCst) {
        let closing = FromControlPlane::Closing { reason: Closing::Fenced };
        socket.send(Message::Text(closing.write().into())).await.ok()?;
        return Some(());
    }
    loop {
        let messages = tokio::select! {
            _ = cut.changed() => return Some(()),
            frame = socket.recv() => match frame?.ok()? {
                Message::Text(text) => {
                    let demand = session.receive(&text).ok()?;
                    demand.map_or(Some(Vec::new()), |demand| link.take(&mut session, demand).ok())?
                }
                _ => Vec::new(),
            },
            _ = head.changed() => {
                let events = link.events.lock().unwrap().clone();
                session.send(link.epoch.load(Ordering::SeqCst), &events).ok()?
            }
        };
        for message in messages {
            socket.send(Message::Text(message.write().into())).await.ok()?;
        }
    }
}
