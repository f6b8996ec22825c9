//! The link to the edges, the control plane's side: one reader of the outbox per instance, one stream per edge, leases, and the
//! waiting until a change is effective. What may be said to an edge is decided in [`cargoman_edge_protocol::link::session`] alone;
//! here is what reads and writes for it, and in which order.

mod acks;
mod chain;
mod clerk;
mod feed;
mod history;
mod listen;
mod presigned;
pub mod propagation;
mod prune;
mod stream;
mod streams;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cargoman_edge_protocol::AsOf;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use uuid::Uuid;

use self::acks::Acks;
use self::clerk::{Asking, Terms};
use self::feed::Feed;
use self::streams::Streams;
use crate::config::LinkConfig;
use crate::store::System;

/// PostgreSQL must answer within this, or edges are not answered either.
const PATIENCE: Duration = Duration::from_secs(1);
/// Askings that wait for the clerk.
const MOST_ASKINGS: usize = 10_000;
/// At the stop, streams have so long to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// The link of one instance.
#[derive(Debug)]
pub struct Link {
    /// Of this instance.
    id: Uuid,
    terms: Terms,
    /// Whether this process and its one edge are the whole registry.
    alone: bool,
    feed: Feed,
    acks: Acks,
    streams: Streams,
    presigned: presigned::Presigned,
    askings: mpsc::Sender<Asking>,
    /// Until it runs.
    inbox: Mutex<Option<mpsc::Receiver<Asking>>>,
    stopping: watch::Sender<bool>,
    jobs_queued: Arc<Notify>,
}

impl Link {
    /// A link that does nothing until it runs. `alone`: no other control plane uses the database, and the only edge with the shared
    /// credential is part of this process.
    #[must_use]
    pub fn new(config: &LinkConfig, alone: bool) -> Self {
        let (askings, inbox) = mpsc::channel(MOST_ASKINGS);
        Self {
            id: Uuid::now_v7(),
            alone,
            terms: Terms { lease: config.lease(), grace: config.grace() },
            feed: Feed::new(),
            acks: Acks::default(),
            streams: Streams::default(),
            presigned: presigned::Presigned::default(),
            askings,
            inbox: Mutex::new(Some(inbox)),
            stopping: watch::Sender::new(false),
            jobs_queued: Arc::default(),
        }
    }

    /// Which instance this is.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// How new facts are at least that are read from now on.
    #[must_use]
    pub fn as_of(&self) -> Option<AsOf> {
        self.feed.tip().map(|tip| AsOf { epoch: tip.position.epoch, seq: tip.position.seq })
    }

    /// Rung when any instance queued a job: it is said on the same connection.
    #[must_use]
    pub fn jobs_queued(&self) -> Arc<Notify> {
        Arc::clone(&self.jobs_queued)
    }

    /// Works until the stop; then every edge is told, so that it goes to another instance at once. `listen` is a way to the database
    /// without a pooler that shares sessions.
    pub async fn run(&self, system: &System, listen: &PgConnectOptions, mut stop: watch::Receiver<bool>) {
        let Some(inbox) = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let stopping = async {
            // An error means that whoever could say stop is gone: that is a stop too.
            stop.wait_for(|stop| *stop).await.ok();
            self.stopping.send_replace(true);
        };
        let stopped = || self.stopping.subscribe();
        tokio::join!(
            stopping,
            self.feed.run(system, stopped()),
            self.acks.run(system, &self.feed, self.id, stopped()),
            clerk::run(inbox, system, &self.feed, self.id, self.terms, stopped()),
            listen::run(self, listen, stopped()),
            prune::run(system, stopped()),
            chain::run(system, stopped()),
        );
        if timeout(FAREWELL, self.streams.all_left()).await.is_err() {
            tracing::warn!("some edges do not take their leave; they will notice");
        }
    }
}
