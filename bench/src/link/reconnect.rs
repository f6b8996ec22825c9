//! Two hundred edges that lost their control plane and come back at once: how long until each is current. They are simulated: the
//! protocol is the real one, from the crate that real edges use, and there is nothing behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cargoman_edge_protocol::link::edge::{EdgeLink, Effect, Identity};
use cargoman_edge_protocol::link::{Closing, FromEdge, LINK_PATH};
use cargoman_tests::scale_out::Link;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use super::figures::Times;

const EDGES: usize = 200;
/// Changes that they miss while they are away.
const MISSED: usize = 100;
/// How long one of them may take before the run is given up.
const LIMIT: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// So many rounds of each kind.
pub(super) fn measure(rounds: usize) -> Result<Vec<Value>> {
    let link = Link::start(2, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut edges: Vec<Simulated> = (0..EDGES).map(|number| Simulated::new(number, &link)).collect();
    let (mut resumed, mut anew) = (Times::default(), Times::default());
    for round in 0..rounds {
        eprintln!("{EDGES} edges come back, round {} of {rounds}", round + 1);
        runtime.block_on(all_at_once(&mut edges, &mut Times::default(), Coming::Again))?;
        miss(&link);
        runtime.block_on(all_at_once(&mut edges, &mut resumed, Coming::Again))?;
        runtime.block_on(all_at_once(&mut edges, &mut anew, Coming::ForTheFirstTime))?;
    }
    let part = |what: &str, times: &Times| json!({"what": what, "edges": EDGES, "until_current": times.figures()});
    Ok(vec![
        part(&format!("reconnecting at once after {MISSED} missed changes"), &resumed),
        part("connecting at once for the first time", &anew),
    ])
}

/// Changes while they are all away. Nobody waits for their leases: the writes are many at once.
fn miss(link: &Link) {
    std::thread::scope(|scope| {
        for writer in 0..20 {
            scope.spawn(move || (0..MISSED / 20).for_each(|_| drop(link.token(writer % 2))));
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coming {
    Again,
    ForTheFirstTime,
}

/// All of them connect at the same moment, and go away when the last one is current.
async fn all_at_once(edges: &mut [Simulated], times: &mut Times, coming: Coming) -> Result<()> {
    let start = Arc::new(Barrier::new(edges.len()));
    let all = edges.iter_mut().map(|edge| {
        let start = Arc::clone(&start);
        async move {
            if coming == Coming::ForTheFirstTime {
                edge.machine = EdgeLink::new(edge.identity.clone(), None);
            }
            start.wait().await;
            let began = Instant::now();
            let socket =
                tokio::time::timeout(LIMIT, edge.until_current()).await.context("an edge that is never current")??;
            Ok::<_, anyhow::Error>((began.elapsed(), socket))
        }
    });
    let ends = futures::future::try_join_all(all).await?;
    ends.iter().for_each(|(took, _)| times.note(*took));
    Ok(())
}

struct Simulated {
    address: String,
    authorization: String,
    identity: Identity,
    machine: EdgeLink,
}

impl Simulated {
    fn new(number: usize, link: &Link) -> Self {
        let identity = Identity {
            name: format!("simulated-{number}"),
            state: Uuid::now_v7(),
            incarnation: Uuid::now_v7(),
            software: "bench".to_owned(),
        };
        Self {
            address: link.world.edge_apis[number % link.world.edge_apis.len()].clone(),
            authorization: format!("Bearer {}", link.world.credential.expose()),
            machine: EdgeLink::new(identity.clone(), None),
            identity,
        }
    }

    /// Connects, again when it is told to; done when it has a lease, which no control plane grants behind the head of the outbox.
    async fn until_current(&mut self) -> Result<Socket> {
        loop {
            if let Some(socket) = self.once().await? {
                return Ok(socket);
            }
        }
    }

    async fn once(&mut self) -> Result<Option<Socket>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{}{LINK_PATH}", self.address).into_client_request()?;
        request.headers_mut().insert("Authorization", self.authorization.parse()?);
        let (mut socket, _) = client_async(request, tcp).await?;
        say(&mut socket, &self.machine.open(None)).await?;
        loop {
            let frame = socket.next().await.context("the control plane hung up")??;
            let Message::Text(text) = frame else { continue };
            let welcomed_before = self.machine.leave().is_some();
            for effect in self.machine.receive(&text) {
                match effect {
                    Effect::Send(message) => say(&mut socket, &message).await?,
                    Effect::Leased { .. } => return Ok(Some(socket)),
                    Effect::Close(Some(Closing::Again)) => return Ok(None),
                    Effect::Close(reason) => bail!("closed: {reason:?}"),
                    Effect::HandOver | Effect::Left => bail!("asked for what a simulated edge does not have"),
                    Effect::DropAll | Effect::Apply(..) | Effect::Pass(_) => {}
                }
            }
            if !welcomed_before {
                let ask = self.machine.ask(Duration::from_secs(1));
                ensure!(ask.is_some(), "no welcome: {text}");
                if let Some(ask) = ask {
                    say(&mut socket, &ask).await?;
                }
            }
        }
    }
}

async fn say(socket: &mut Socket, message: &FromEdge) -> Result<()> {
    Ok(socket.send(Message::Text(message.write().into())).await?)
}
