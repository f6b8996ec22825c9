//! Waits until a change is effective: until no edge can answer from before it. When that is so decides
//! [`cargoman_edge_protocol::link::propagation`]; here is what it is told. Nothing that was heard in another history than the one
//! in which the change is known counts.

use std::time::Duration;

use cargoman_edge_protocol::TenantId;
use cargoman_edge_protocol::link::propagation::{self, Pending};
use cargoman_edge_protocol::link::{Position, Seq};
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Link, PATIENCE};
use crate::store::edge_members::{Member, Members};
use crate::store::{StoreError, System};

/// A caller waits at most so long.
const LONGEST: Duration = Duration::from_secs(5);
/// Without any news it looks so often: leases end by themselves.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// An edge whose lease is over for so long does not come back while somebody waits.
const SILENT: chrono::Duration = chrono::Duration::seconds(10);

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propagation {
    /// Its number, or a later one.
    pub seq: Seq,
    /// Edges that there are.
    pub edges: usize,
    /// Those that may still answer from before it; none of them: it is effective.
    pub pending: Vec<Pending>,
    /// Until when an address of the storage is good that was given away before, where the tenant's customers are sent there.
    pub presigned_until: Option<DateTime<Utc>>,
    /// Since the commit.
    pub took: Duration,
}

impl Propagation {
    /// Whether nobody can get anything from before the change.
    #[must_use]
    pub fn is_effective(&self, now: DateTime<Utc>) -> bool {
        self.pending.is_empty() && self.presigned_until.is_none_or(|until| until <= now)
    }
}

/// The members as they were read, with the history in which their head is known here.
struct Known {
    members: Members,
    generation: Option<u64>,
}

impl Link {
    /// Waits until what was committed before `committed` is effective for the tenant, or for a few seconds.
    ///
    /// # Errors
    /// When the database refuses to say who must hear of it.
    pub async fn wait(&self, system: &System, tenant: TenantId, committed: Instant) -> Result<Propagation, StoreError> {
        // Before anything is read: what comes in from then on is not missed.
        let (mut here, mut elsewhere) = (self.acks.watch_here(), self.acks.watch_elsewhere());
        let members = system.members(tenant).await?;
        let change = members.head;
        if members.members.is_empty() {
            let presigned_until = self.presigned_until(&members, tenant, change.seq, &[]);
            let took = committed.elapsed();
            return Ok(Propagation { seq: change.seq, edges: 0, pending: Vec::new(), presigned_until, took });
        }
        let mut known = self.know(members, PATIENCE).await;
        loop {
            let took = committed.elapsed();
            let pending = self.pending(change, &known, took);
            if pending.is_empty() || took >= LONGEST || known.in_vain(&pending, LONGEST - took) {
                let presigned_until = self.presigned_until(&known.members, tenant, change.seq, &pending);
                let edges = known.members.members.len();
                return Ok(Propagation { seq: change.seq, edges, pending, presigned_until, took });
            }
            let news_here = tokio::select! {
                changed = here.changed() => changed.is_ok(),
                _ = elsewhere.changed() => false,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if news_here && known.generation.is_some() {
                continue;
            }
            // While the database is away, time goes on all the same: leases that lack the change end by it.
            if let Ok(Ok(members)) = tokio::time::timeout(PATIENCE, system.members(tenant)).await {
                known = self.know(members, LOOK_EVERY).await;
            }
        }
    }

    /// How far the change of that number has come; none when there is none yet.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn propagation(
        &self,
        system: &System,
        tenant: TenantId,
        seq: Seq,
    ) -> Result<Option<Propagation>, StoreError> {
        let members = system.members(tenant).await?;
        if !(1..=members.head.seq).contains(&seq) {
            return Ok(None);
        }
        // An edge in an earlier epoch than the present one has not heard of anything that this database knows.
        let change = Position { seq, ..members.head };
        let edges = members.members.len();
        let known = self.know(members, PATIENCE).await;
        let took = self.feed.known_for(seq).unwrap_or_default();
        let pending = self.pending(change, &known, took);
        let presigned_until = self.presigned_until(&known.members, tenant, seq, &pending);
        Ok(Some(Propagation { seq, edges, pending, presigned_until, took }))
    }

    fn presigned_until(
        &self,
        members: &Members,
        tenant: TenantId,
        seq: Seq,
        pending: &[Pending],
    ) -> Option<DateTime<Utc>> {
        members.dist_redirects.then(|| self.presigned.until(tenant, seq, pending, members.now))
    }

    async fn know(&self, members: Members, patience: Duration) -> Known {
        let generation = self.feed.reach(members.head, patience).await;
        Known { members, generation }
    }

    fn pending(&self, change: Position, known: &Known, since_commit: Duration) -> Vec<Pending> {
        let member = |member: &Member| {
            let member = self.heard_here(member, known.generation);
            let applied = member.has_applied(change.epoch, change.seq);
            propagation::Member {
                stale_until: known.members.stale_until(&member),
                acked: if applied { change.seq } else { change.seq - 1 },
                name: member.name,
                lease: member.lease,
                lease_ends: member.lease_ends_at,
            }
        };
        let members: Vec<_> = known.members.members.iter().map(member).collect();
        propagation::pending(change.seq, &members, since_commit, known.members.now)
    }

    /// The member with what it said to this instance or another one, which may have been written down since it was read.
    fn heard_here(&self, member: &Member, generation: Option<u64>) -> Member {
        let mut member = member.clone();
        let ack = self.acks.of(member.incarnation).filter(|ack| Some(ack.generation) == generation);
        if let Some(ack) = ack.filter(|ack| (ack.epoch, ack.seq) > (member.epoch, member.acked)) {
            (member.epoch, member.acked) = (ack.epoch, ack.seq);
        }
        let told = self.acks.elsewhere(member.incarnation).zip(generation);
        // The event's id tells that it is of this very history.
        let told = told.filter(|(told, generation)| self.feed.event_at(*generation, told.seq) == Some(told.event));
        if let Some((told, _)) = told.filter(|(told, _)| (told.epoch, told.seq) > (member.epoch, member.acked)) {
            (member.epoch, member.acked) = (told.epoch, told.seq);
        }
        member
    }
}

impl Known {
    /// Whether nobody who is waited for can be through within `rest`: all of them are silent and may go on for longer.
    fn in_vain(&self, pending: &[Pending], rest: Duration) -> bool {
        let now = self.members.now;
        let rest = chrono::Duration::from_std(rest).unwrap_or(chrono::Duration::zero());
        let silent = |name: &str| {
            let mut namesakes = self.members.members.iter().filter(|member| member.name == name);
            namesakes.all(|member| is_over(member.lease_ends_at, now))
        };
        pending.iter().all(|pending| pending.may_serve_until > now + rest && silent(&pending.edge))
    }
}

fn is_over(lease_ends_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - lease_ends_at > SILENT
}
