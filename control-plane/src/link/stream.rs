//! The stream of one edge, from its hello to its end. Every rule stands in [`Session`]; here each demand is carried out, in the order
//! that the session asks for.

use std::time::Duration;

use cargoman_edge_protocol::link::session::{Admission, Demand, Session, admission};
use cargoman_edge_protocol::link::{Closing, FromControlPlane, Hello, MOST_EVENTS};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::acks::Ack;
use super::clerk::{Asking, Renewal};
use super::feed::After;
use super::{Link, PATIENCE};
use crate::domain::id::EdgeId;
use crate::store::edge_members::Joined;
use crate::store::{Actor, StoreError, System};

/// An edge says its hello within this.
const HELLO: Duration = Duration::from_secs(10);
/// An edge that is silent for so long is gone.
const IDLE: Duration = Duration::from_secs(30);
/// A message that cannot be sent within this finds nobody.
const SEND: Duration = Duration::from_secs(10);
/// Taking an edge in is tried so often while the epoch moves.
const ATTEMPTS: usize = 5;
/// No epoch is ever raised so far: an edge that says so makes no sense.
const FURTHEST_EPOCH: i64 = 1 << 32;
/// Names of edges are cut after so many characters.
const LONGEST_NAME: usize = 100;

/// Why a stream ends.
enum End {
    /// The edge is told.
    Close(Closing),
    /// It took its leave.
    Left,
    /// It is gone.
    Gone,
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        Self::Close(closing)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "an edge's stream ends, because the database refuses");
        Self::Close(Closing::Again)
    }
}

impl Link {
    /// Serves one edge until its stream ends. `edge`: whose credential it showed, unless it was the shared one.
    pub(crate) async fn serve<R, W>(&self, system: &System, edge: Option<EdgeId>, mut incoming: R, outgoing: W)
    where
        R: Stream<Item = String> + Unpin,
        W: Sink<String> + Unpin,
    {
        let mut session = Session::default();
        let first = timeout(HELLO, incoming.next()).await.ok().flatten();
        let Some(first) = first else { return };
        let hello = match session.receive(&first) {
            Ok(Some(Demand::Admit(hello))) => Ok(presentable(hello)),
            Ok(_) => Err(Closing::Fault),
            Err(closing) => Err(closing),
        };
        let mut conversation =
            Conversation { link: self, system, session, outgoing, generation: 0, granting: None, hello: None };
        let end = match hello {
            Err(closing) => End::Close(closing),
            Ok(hello) => conversation.hold(hello, edge, incoming).await,
        };
        if let End::Close(reason) = end {
            conversation.say(&FromControlPlane::Closing { reason }).await.ok();
        }
        timeout(SEND, conversation.outgoing.close()).await.ok();
    }
}

/// People read it on a terminal.
fn presentable(hello: Hello) -> Hello {
    let clean = |text: &str| text.chars().filter(|char| !char.is_control()).take(LONGEST_NAME).collect();
    Hello { name: clean(&hello.name), software: clean(&hello.software), ..hello }
}

struct Conversation<'a, W> {
    link: &'a Link,
    system: &'a System,
    session: Session,
    outgoing: W,
    /// The history in which the edge is told.
    generation: u64,
    /// A lease that may be granted as soon as enough was sent.
    granting: Option<Renewal>,
    hello: Option<Hello>,
}

impl<W: Sink<String> + Unpin> Conversation<'_, W> {
    async fn hold(&mut self, hello: Hello, edge: Option<EdgeId>, incoming: impl Stream<Item = String> + Unpin) -> End {
        let incarnation = hello.incarnation;
        let (number, closed) = self.link.streams.enter(incarnation, hello.state, edge);
        let end = match self.admit(&hello, edge).await {
            Err(end) => end,
            Ok(()) => {
                tracing::info!(edge = hello.name, version = hello.software, "an edge is linked");
                self.hello = Some(hello);
                self.talk(incoming, closed).await.err().unwrap_or(End::Gone)
            }
        };
        if self.link.streams.leave(incarnation, number) {
            self.link.acks.forget(incarnation);
            if !matches!(end, End::Left) {
                let noted = timeout(PATIENCE, self.system.member_disconnected(incarnation, self.link.id)).await;
                if !matches!(noted, Ok(Ok(()))) {
                    tracing::debug!("cannot note that an edge's stream is gone; its lease will tell");
                }
            }
        }
        end
    }

    /// Takes the edge in. It is noted as a member before the head is read: whoever reads the members after a commit finds it, or it
    /// begins behind that commit.
    async fn admit(&mut self, hello: &Hello, edge: Option<EdgeId>) -> Result<(), End> {
        if hello.position.is_some_and(|position| position.epoch > FURTHEST_EPOCH) {
            return Err(Closing::Fault.into());
        }
        match self.system.join_member(hello, edge, self.link.id, self.link.terms.lease).await? {
            Joined::Member => {}
            Joined::Fenced => return Err(Closing::Fenced.into()),
            Joined::Anothers => {
                tracing::warn!(
                    edge = hello.name,
                    state = %hello.state,
                    "an edge shows the state folder of another edge, which joined with another credential, and is not taken in; fence \
                     that one first (DELETE /api/v1/edges/<its id>), or give this one an empty state folder"
                );
                return Err(Closing::Again.into());
            }
        }
        if self.link.alone && edge.is_none() {
            self.system.forget_other_members(hello.state).await?;
        }
        for _ in 0..ATTEMPTS {
            let head = self.system.number_outbox().await?;
            let Some(generation) = self.link.feed.reach(head, PATIENCE).await else { continue };
            let found = match hello.position {
                Some(position) if position.epoch == head.epoch => self.system.event_at(position.seq).await?,
                _ => None,
            };
            match admission(hello.position, head, found) {
                Admission::Restored => {
                    let known = hello.position.map_or(head.epoch, |position| position.epoch);
                    tracing::warn!(
                        edge = hello.name,
                        known,
                        epoch = head.epoch,
                        "an edge knows what the database does not: it was restored, and a new epoch begins"
                    );
                    self.system.raise_epoch(known, head.epoch).await?;
                    self.link.feed.look();
                }
                admission => {
                    self.generation = generation;
                    let welcome = self.session.admit(hello, admission, head);
                    return self.say(&FromControlPlane::Welcome(welcome)).await;
                }
            }
        }
        Err(Closing::Again.into())
    }

    async fn talk(
        &mut self,
        mut incoming: impl Stream<Item = String> + Unpin,
        mut closed: mpsc::Receiver<Closing>,
    ) -> Result<(), End> {
        let (answer, mut renewals) = mpsc::channel(16);
        let mut tips = self.link.feed.watch();
        let mut stopping = self.link.stopping.subscribe();
        let mut heard = Instant::now();
        loop {
            self.tell().await?;
            self.grant().await?;
            tokio::select! {
                text = incoming.next() => {
                    heard = Instant::now();
                    self.hear(&text.ok_or(End::Gone)?, &answer).await?;
                }
                Some(renewal) = renewals.recv() => match renewal {
                    Renewal::Refused(closing) => return Err(closing.into()),
                    noted @ Renewal::Noted { .. } => self.granting = Some(noted),
                },
                changed = tips.changed() => changed.map_err(|_| Closing::Stopping)?,
                reason = closed.recv() => return Err(reason.unwrap_or(Closing::Again).into()),
                () = async { stopping.wait_for(|stopping| *stopping).await.map(drop).unwrap_or_default() } => return Err(Closing::Stopping.into()),
                () = sleep_until(heard + IDLE) => return Err(Closing::Again.into()),
            }
        }
    }

    /// Carries out what a message demands.
    async fn hear(&mut self, text: &str, answer: &mpsc::Sender<Renewal>) -> Result<(), End> {
        let (Some(demand), Some(hello)) = (self.session.receive(text)?, &self.hello) else { return Ok(()) };
        let incarnation = hello.incarnation;
        match demand {
            Demand::Admit(_) => return Err(Closing::Fault.into()),
            Demand::Acked(_) => {
                let Some(sent) = self.session.sent() else { return Ok(()) };
                let ack = Ack { generation: self.generation, epoch: sent.epoch, seq: self.session.acked() };
                self.link.acks.note(incarnation, ack);
            }
            Demand::Renew(ask) => {
                let asking = Asking { incarnation, ask, at: Instant::now(), answer: answer.clone() };
                // Full: an asking that is not answered is asked again.
                self.link.askings.try_send(asking).ok();
            }
            Demand::Revoke(tokens, last) => {
                let by = Actor::Edge(EdgeId(hello.state));
                let ended = self.system.revoke_handed_over(&tokens, &by).await?;
                if ended > 0 {
                    tracing::warn!(
                        edge = hello.name,
                        ended,
                        "tokens that the restored database had forgotten to be revoked"
                    );
                }
                if last {
                    self.session.handed_over();
                }
            }
            Demand::Leave => {
                self.system.member_left(incarnation).await?;
                tracing::info!(edge = hello.name, "an edge took its leave");
                self.say(&FromControlPlane::Left).await?;
                return Err(End::Left);
            }
        }
        Ok(())
    }

    /// Tells the edge everything that it was not told yet.
    async fn tell(&mut self) -> Result<(), End> {
        while let Some(sent) = self.session.sent() {
            let events = match self.link.feed.after(self.generation, sent.seq, MOST_EVENTS) {
                After::Events(events) if events.is_empty() => return Ok(()),
                After::Events(events) => events,
                After::NotKept => {
                    let most = i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX);
                    self.system.events_from(sent.seq + 1, most).await?
                }
                After::Void => return Err(Closing::Again.into()),
            };
            if events.is_empty() {
                return Err(Closing::Again.into());
            }
            for message in self.session.send(sent.epoch, &events)? {
                self.say(&message).await?;
            }
        }
        Ok(())
    }

    /// Grants the lease that is noted, once everything up to its head was sent.
    async fn grant(&mut self) -> Result<(), End> {
        let Some(Renewal::Noted { ask, at, head, generation }) = self.granting else { return Ok(()) };
        if generation != self.generation {
            return Err(Closing::Again.into());
        }
        let terms = self.link.terms;
        let lasts = u64::try_from(terms.lease.as_millis()).unwrap_or(u64::MAX);
        match self.session.grant(ask, head, lasts, terms.grace.as_secs())? {
            Some(lease) => {
                self.granting = None;
                self.say(&FromControlPlane::Lease(lease)).await
            }
            None => {
                if at.elapsed() > PATIENCE {
                    self.granting = None;
                }
                Ok(())
            }
        }
    }

    async fn say(&mut self, message: &FromControlPlane) -> Result<(), End> {
        match timeout(SEND, self.outgoing.send(message.write())).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }
}
