//! An edge by its stream alone: the real rules of an edge over a real WebSocket, and nothing behind them.

use std::net::SocketAddr;
use std::time::Duration;

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::edge::{EdgeLink, Effect, Identity};
use cargoman_edge_protocol::link::{Closing, FromEdge, LINK_PATH, Position, Revoked};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use crate::fixture::EDGE;

/// Whatever a test waits for comes within this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What an edge knows while it has no stream.
pub(crate) struct EdgeProcess {
    pub(crate) link: EdgeLink,
    pub(crate) state: Uuid,
    /// Tokens that it knows to be revoked, with the epoch of that knowledge.
    pub(crate) revoked: Option<(i64, Revoked)>,
}

impl EdgeProcess {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, Uuid::now_v7(), None)
    }

    /// A run with that state folder and what was saved in it.
    pub(crate) fn with(name: &str, state: Uuid, position: Option<Position>) -> Self {
        let incarnation = Uuid::now_v7();
        let identity =
            Identity { name: name.to_owned(), state, incarnation, software: "cargoman-edge/test".to_owned() };
        Self { link: EdgeLink::new(identity, position), state, revoked: None }
    }

    pub(crate) async fn connect(self, address: SocketAddr) -> LinkedEdge {
        self.connect_as(address, EDGE).await.unwrap()
    }

    /// Opens a stream and says its hello.
    pub(crate) async fn connect_as(
        mut self,
        address: SocketAddr,
        credential: &str,
    ) -> Result<LinkedEdge, tungstenite::Error> {
        let mut request = format!("ws://{address}{LINK_PATH}").into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
        let (socket, _) = connect_async(request).await?;
        let hello = self.link.open(self.revoked.as_ref().map(|(epoch, _)| *epoch));
        let mut edge = LinkedEdge {
            process: self,
            socket,
            acks: true,
            welcome: false,
            applied: Vec::new(),
            dropped: 0,
            leased: None,
            left: false,
            closed: None,
            started: Instant::now(),
        };
        edge.say(&hello).await;
        Ok(edge)
    }
}

/// An edge with a stream.
pub(crate) struct LinkedEdge {
    pub(crate) process: EdgeProcess,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Whether it says what it applied.
    pub(crate) acks: bool,
    pub(crate) welcome: bool,
    pub(crate) applied: Vec<(Position, Change)>,
    /// How often it dropped everything.
    pub(crate) dropped: usize,
    /// The end of the lease on its own clock.
    pub(crate) leased: Option<Duration>,
    pub(crate) left: bool,
    /// With what the stream ended; inside, what was said.
    pub(crate) closed: Option<Option<Closing>>,
    started: Instant,
}

impl LinkedEdge {
    pub(crate) async fn say(&mut self, message: &FromEdge) {
        self.say_text(message.write()).await;
    }

    pub(crate) async fn say_text(&mut self, text: String) {
        // A stream that is closed already says so when it is read.
        self.socket.send(Message::text(text)).await.ok();
    }

    /// Asks for a lease.
    pub(crate) async fn ask(&mut self) {
        if let Some(renew) = self.process.link.ask(self.started.elapsed()) {
            self.say(&renew).await;
        }
    }

    /// Takes one message; false at the end of the stream.
    pub(crate) async fn step(&mut self) -> bool {
        let text = match self.socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return true,
            _ => {
                self.closed.get_or_insert(None);
                return false;
            }
        };
        for effect in self.process.link.receive(&text) {
            match effect {
                Effect::DropAll => self.dropped += 1,
                Effect::Apply(position, change) => self.applied.push((position, change)),
                Effect::Pass(_) => self.welcome = true,
                Effect::Send(FromEdge::Ack { .. }) if !self.acks => {}
                Effect::Send(message) => self.say(&message).await,
                Effect::HandOver => {
                    let (_, revoked) = self.process.revoked.clone().expect("it said that it has some");
                    self.say(&FromEdge::Revoked(revoked)).await;
                }
                Effect::Leased { until, .. } => self.leased = Some(until),
                Effect::Left => self.left = true,
                Effect::Close(reason) => self.closed = Some(reason),
            }
        }
        self.closed.is_none()
    }

    /// Takes messages until something holds.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let stepping = async {
                while !holds(self) {
                    assert!(
                        self.step().await || holds(self),
                        "{caller}: the stream ended ({:?}) before: {what}",
                        self.closed
                    );
                }
            };
            assert!(timeout(DEADLINE, stepping).await.is_ok(), "{caller}: not in time: {what}");
        }
    }

    /// Waits until it is welcome.
    pub(crate) async fn welcomed(mut self) -> Self {
        self.until("a welcome", |edge| edge.welcome).await;
        self
    }

    /// Gets a lease.
    pub(crate) async fn lease(&mut self) {
        self.until("a welcome", |edge| edge.welcome).await;
        self.leased = None;
        self.ask().await;
        self.until("a lease", |edge| edge.leased.is_some()).await;
    }

    pub(crate) fn seq(&self) -> i64 {
        self.process.link.position().unwrap().seq
    }

    /// Goes on by itself: applies, acks and renews its lease.
    pub(crate) fn live(mut self) -> LiveEdge {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    going = self.step() => if !going { return self },
                    _ = every.tick() => self.ask().await,
                    _ = &mut stopped => return self,
                }
            }
        });
        LiveEdge { stop, task }
    }
}

/// An edge that goes on by itself.
pub(crate) struct LiveEdge {
    stop: oneshot::Sender<()>,
    task: JoinHandle<LinkedEdge>,
}

impl LiveEdge {
    /// Takes it over again, with its stream as it is.
    pub(crate) async fn halt(self) -> LinkedEdge {
        // An error means that its stream ended already.
        self.stop.send(()).ok();
        self.task.await.unwrap()
    }

    /// Waits for the end of its stream.
    #[track_caller]
    pub(crate) fn ended(self) -> impl Future<Output = LinkedEdge> {
        let caller = std::panic::Location::caller();
        let Self { stop, task } = self;
        async move {
            let Ok(edge) = timeout(DEADLINE, task).await else { panic!("{caller}: its stream goes on") };
            drop(stop);
            edge.unwrap()
        }
    }
}
