//! Carries out what the messages of the stream ask for: caches, saved state, log of revoked tokens, lease. The order of effects is
//! the order in which they are safe; an acknowledgement leaves only after all before it is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::edge::{EdgeLink, Effect};
use cargoman_edge_protocol::link::{Closing, FromEdge, Position, Revoked as RevokedPart};
use chrono::{DateTime, Utc};

use super::lease::{Lease, boot_time};
use super::revoked::Revoked;
use super::saved::{LeaseRecord, Saved};
use super::socket::{ConnectError, Socket};
use super::stream::say;
use crate::cache::kept::Kept;
use crate::cache::stamps::Stamps;
use crate::cache::views::Views;

/// Tokens of one message of the log.
const TOKENS_AT_ONCE: usize = 5_000;
/// How often the lease goes into the saved state: what is older only shortens the grace.
const SAVE_LEASE_EVERY: Duration = Duration::from_secs(10);

/// What a message came to.
pub(super) enum Outcome {
    /// The edge was greeted and may ask for a lease.
    Welcomed,
    /// The lease was renewed.
    Leased,
    /// The edge is no member any more.
    Left,
    /// The stream must be closed.
    Close(Option<Closing>),
    /// Anything else.
    Done,
}

/// What messages have an effect on.
pub(crate) struct Effects {
    pub(super) lease: Arc<Lease>,
    pub(super) stamps: Arc<Stamps>,
    pub(super) facts: Arc<Kept>,
    pub(super) views: Arc<Views>,
    pub(super) saved: Arc<Saved>,
    pub(super) revoked: Revoked,
    pub(super) now: fn() -> DateTime<Utc>,
    pub(super) lease_saved: Option<Instant>,
    /// Whether anything is known that would be worth a word when it is dropped.
    pub(super) heard: bool,
    /// The last failure that was logged, so that the same is not logged every second.
    pub(super) failure: Option<String>,
}

impl Effects {
    /// Takes a frame and does everything it asks for.
    pub(super) async fn carry_out(&mut self, machine: &mut EdgeLink, socket: &mut Socket, text: &str) -> Outcome {
        let mut outcome = Outcome::Done;
        for effect in machine.receive(text) {
            match effect {
                Effect::DropAll => self.drop_all(),
                Effect::Apply(position, change) => self.apply(position, &change),
                Effect::Pass(position) => {
                    self.stamps.begin(position);
                    self.heard = true;
                    self.saved.event(position, None);
                    outcome = Outcome::Welcomed;
                }
                Effect::Send(message) => {
                    if !say(socket, &message).await {
                        return Outcome::Close(None);
                    }
                }
                Effect::HandOver => {
                    if !self.hand_over(socket).await {
                        return Outcome::Close(None);
                    }
                }
                Effect::Leased { until, grace } => {
                    self.leased(machine, until, grace);
                    outcome = Outcome::Leased;
                }
                Effect::Left => {
                    self.lease.give_up();
                    self.saved.left();
                    return Outcome::Left;
                }
                Effect::Close(reason) => return Outcome::Close(reason),
            }
        }
        outcome
    }

    fn drop_all(&mut self) {
        self.stamps.drop_all();
        self.saved.dropped();
        self.facts.clear();
        self.views.clear();
        if std::mem::take(&mut self.heard) {
            tracing::info!(target: "cargoman::edge", "everything that was known is dropped and read again");
        }
    }

    fn apply(&mut self, position: Position, change: &Change) {
        self.stamps.apply(position.seq, change);
        if let Change::Token { tenant, digest, revoked: true } = change {
            self.revoked.note(position.epoch, *tenant, *digest, (self.now)());
        }
        self.saved.event(position, Some(change));
    }

    fn leased(&mut self, machine: &EdgeLink, until: Duration, grace: Duration) {
        self.lease.granted(until, grace);
        if self.failure.take().is_some() {
            tracing::info!(target: "cargoman::edge", "the link to the control plane stands");
        }
        let now = (self.now)();
        if let Some(position) = machine.position() {
            self.revoked.handed_over(position.epoch, now);
        }
        if self.lease_saved.is_none_or(|at| at.elapsed() > SAVE_LEASE_EVERY) {
            self.lease_saved = Some(Instant::now());
            self.saved.lease(&LeaseRecord { until, grace, since_boot: boot_time(), wall: now });
        }
    }

    async fn hand_over(&mut self, socket: &mut Socket) -> bool {
        let tokens = self.revoked.tokens();
        tracing::info!(target: "cargoman::edge", count = tokens.len(), "handing over the log of revoked tokens");
        let mut parts: Vec<Vec<_>> = tokens.chunks(TOKENS_AT_ONCE).map(<[_]>::to_vec).collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            if !say(socket, &FromEdge::Revoked(RevokedPart { tokens: part, last: false })).await {
                return false;
            }
        }
        say(socket, &FromEdge::Revoked(RevokedPart { tokens: last, last: true })).await
    }

    /// Once a second: what was revoked goes to the disk; the saved state is written anew when it has grown too much.
    pub(super) fn tend(&mut self, machine: &EdgeLink) {
        self.revoked.sync();
        if machine.position().is_none() || !self.saved.is_overgrown() {
            return;
        }
        let (saved, facts, stamps) = (Arc::clone(&self.saved), Arc::clone(&self.facts), Arc::clone(&self.stamps));
        let (until, grace) = self.lease.last();
        let lease = LeaseRecord { until, grace, since_boot: boot_time(), wall: (self.now)() };
        let position = machine.position();
        tokio::task::spawn_blocking(move || saved.rewrite(&facts, &stamps, position, Some(lease)));
    }

    /// The credential is dead.
    pub(super) fn fenced(&mut self) {
        self.lease.give_up();
        self.lease.failed();
        self.saved.left();
        tracing::error!(
            target: "cargoman::edge",
            "this edge was fenced: its credential is dead. Join it anew with a join token, or stop it"
        );
    }

    pub(super) fn log_failure(&mut self, error: &ConnectError) {
        let text = error.to_string();
        if self.failure.as_ref() != Some(&text) {
            tracing::warn!(target: "cargoman::edge", error = %text, "no link to the control plane; trying again");
            self.failure = Some(text);
        }
    }

    /// A number from 0 to 1, for spreading attempts.
    pub(super) fn chance(&self) -> f64 {
        f64::from((self.now)().timestamp_subsec_nanos() % 1_000) / 1_000.0
    }
}
