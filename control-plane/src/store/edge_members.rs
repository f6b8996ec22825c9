//! Edges that may be answering, and until when. A lease leaves only after its end stands here.

use std::time::Duration;

use cargoman_edge_protocol::link::{Epoch, Hello, Incarnation, Position, Seq};
use cargoman_edge_protocol::{Outage, OutageMode, REDIRECT_SECONDS, TenantId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::id::EdgeId;
use crate::store::notices::write_acks;
use crate::store::{StoreError, System};

/// An edge that may be answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its run.
    pub incarnation: Incarnation,
    /// What people call it.
    pub name: String,
    /// Of `acked`; 0 while nothing is acked.
    pub epoch: Epoch,
    /// The last event that it said it applied.
    pub acked: Seq,
    /// How long its leases last at most.
    pub lease: Duration,
    /// No lease of it ends later.
    pub lease_ends_at: DateTime<Utc>,
    /// Until when it may go on without a lease, for tenants who want that.
    pub stale_until: DateTime<Utc>,
}

/// Who must have heard of a tenant's changes.
#[derive(Debug, Clone)]
pub struct Members {
    /// Where the last event stands; every write that was committed before is numbered.
    pub head: Position,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Everyone who may be answering from before the head.
    pub members: Vec<Member>,
    /// What the tenant wants edges to do in an outage.
    pub outage: Outage,
    /// The event that told them so.
    pub outage_told: Told,
    /// Whether the tenant's customers are sent to the storage itself, or were a moment ago.
    pub dist_redirects: bool,
}

/// What is known of the event that told edges of a tenant's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There was none: the choice is the one that every tenant begins with.
    Never,
    /// It has this number.
    At(Epoch, Seq),
    /// It cannot be found now: nobody is believed to have heard it.
    Unknown,
}

/// Whether an edge was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It is a member.
    Member,
    /// Its credential or its state folder is shut out.
    Fenced,
    /// The state folder that it shows is that of another edge, which is not shut out: its members' leases are not this one's to end.
    Anothers,
}

impl Member {
    /// Whether it has applied event `seq` of `epoch`. Whoever is in a later epoch dropped everything that he knew before.
    #[must_use]
    pub fn has_applied(&self, epoch: Epoch, seq: Seq) -> bool {
        self.epoch > epoch || (self.epoch == epoch && self.acked >= seq)
    }
}

impl Members {
    /// Until when a member may serve the tenant after its lease is over; none when it may not.
    #[must_use]
    pub fn stale_until(&self, member: &Member) -> Option<DateTime<Utc>> {
        let heard = match self.outage_told {
            Told::Never => true,
            Told::At(epoch, seq) => member.has_applied(epoch, seq),
            Told::Unknown => false,
        };
        match (heard, self.outage.mode, self.outage.grace_seconds) {
            (true, OutageMode::FailClosed, _) => None,
            (true, OutageMode::ServeStale, Some(seconds)) => {
                let grace = i64::try_from(seconds).ok().and_then(chrono::Duration::try_seconds);
                let until = grace.and_then(|grace| member.lease_ends_at.checked_add_signed(grace));
                Some(until.map_or(member.stale_until, |until| until.min(member.stale_until)))
            }
            // Without his wish, or without having heard of it, as long as the lease granted.
            _ => Some(member.stale_until),
        }
    }
}

impl System {
    /// Notes an edge as a member, in the place of an earlier run with the same state folder, which is dead: what that one may have
    /// been granted holds on. `edge`: whose credential it showed, unless it was the shared one, which may show any folder.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn join_member(
        &self,
        hello: &Hello,
        edge: Option<EdgeId>,
        control_plane: Uuid,
        lease: Duration,
    ) -> Result<Joined, StoreError> {
        let joined = sqlx::query_scalar!(
            r#"insert into edge_member as m (incarnation, state, edge_id, name, software, control_plane, lease_ms)
               select $1, $2, $3, coalesce((select name from edge where id = $3), $4), $5, $6, $7
               where not exists (select 1 from edge where id in ($2, $3) and fenced_at is not null)
                 and not exists (
                     select 1 from edge_member o join edge e on e.id = o.edge_id
                     where o.state = $2 and o.edge_id <> $3 and e.fenced_at is null
                 )
               on conflict (state) do update
               set epoch = case when m.incarnation = excluded.incarnation then m.epoch else 0 end
                 , acked_seq = case when m.incarnation = excluded.incarnation then m.acked_seq else 0 end
                 , joined_at = case when m.incarnation = excluded.incarnation then m.joined_at else now() end
                 , incarnation = excluded.incarnation, edge_id = excluded.edge_id, name = excluded.name
                 , software = excluded.software, control_plane = excluded.control_plane
                 , lease_ms = greatest(m.lease_ms, excluded.lease_ms), connected = true
                 , lease_ends_at = greatest(m.lease_ends_at, excluded.lease_ends_at)
               returning true as "joined!""#,
            hello.incarnation,
            hello.state,
            edge.map(|edge| edge.0),
            hello.name,
            hello.software,
            control_plane,
            milliseconds(lease)
        )
        .fetch_optional(&self.pool)
        .await?;
        if joined.is_some() {
            return Ok(Joined::Member);
        }
        let fenced = sqlx::query_scalar!(
            r#"select exists (select 1 from edge where id in ($1, $2) and fenced_at is not null) as "fenced!""#,
            hello.state,
            edge.map(|edge| edge.0)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if fenced { Joined::Fenced } else { Joined::Anothers })
    }

    /// Notes that leases of these edges last from now on, which are about to leave; those it was noted for. The others are fenced,
    /// have another stream or are forgotten, and get none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_leases(
        &self,
        incarnations: &[Incarnation],
        control_plane: Uuid,
        lease: Duration,
        grace: Duration,
    ) -> Result<Vec<Incarnation>, StoreError> {
        Ok(sqlx::query_scalar!(
            "with locked as (
                 select incarnation from edge_member where incarnation = any ($1) order by incarnation for no key update
             )
             update edge_member m
             set lease_ms = greatest(m.lease_ms, $3), connected = true
               , lease_ends_at = greatest(m.lease_ends_at, now() + $3::bigint * interval '1 ms')
               , stale_until = greatest(m.stale_until, now() + $3::bigint * interval '1 ms' + $4::bigint * interval '1 ms')
             from locked
             where m.incarnation = locked.incarnation and m.control_plane = $2
               and not exists (select 1 from edge e where e.id in (m.edge_id, m.state) and e.fenced_at is not null)
             returning m.incarnation",
            incarnations,
            control_plane,
            milliseconds(lease),
            milliseconds(grace)
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notes what edges have applied, and tells the other instances. An event that this database does not have is not noted: it was
    /// of another one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_acks(&self, acks: &[(Incarnation, Position)], control_plane: Uuid) -> Result<(), StoreError> {
        let incarnations: Vec<Uuid> = acks.iter().map(|(incarnation, _)| *incarnation).collect();
        let epochs: Vec<i64> = acks.iter().map(|(_, position)| position.epoch).collect();
        let seqs: Vec<i64> = acks.iter().map(|(_, position)| position.seq).collect();
        let events: Vec<Uuid> = acks.iter().map(|(_, position)| position.event).collect();
        // One that is lost in a crash is waited for a little longer; that costs no write to the disk. Locked in one order, as leases
        // are, so that nobody waits in a circle.
        sqlx::query!(
            "with unhurried as materialized (select set_config('synchronous_commit', 'off', true) as set)
                , locked as materialized (
                 select incarnation from edge_member, unhurried
                 where incarnation = any ($1) order by incarnation for no key update of edge_member
             )
                , noted as (
                 update edge_member m set epoch = given.epoch, acked_seq = given.seq
                 from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[]) as given (incarnation, epoch, seq, event), locked, link_state l
                 where m.incarnation = given.incarnation and m.incarnation = locked.incarnation and (m.epoch, m.acked_seq) < (given.epoch, given.seq) and l.epoch = given.epoch
                   and ((l.seq = given.seq and l.event = given.event)
                        or exists (select 1 from outbox o where o.seq = given.seq and o.event = given.event))
                 returning m.incarnation
             )
             select pg_notify('cargoman_acks', $5) from noted limit 1",
            &incarnations,
            &epochs,
            &seqs,
            &events,
            write_acks(control_plane, acks)
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }

    /// An edge's stream to this instance is gone; it may be answering all the same.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn member_disconnected(&self, incarnation: Incarnation, control_plane: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "update edge_member set connected = false where incarnation = $1 and control_plane = $2",
            incarnation,
            control_plane
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets every edge without a credential of its own but the one with this state folder: there can be no other. Where one
    /// process is everything, a state folder that was thrown away would otherwise be waited for as long as its grace lasts.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_other_members(&self, state: Uuid) -> Result<(), StoreError> {
        sqlx::query!("delete from edge_member where edge_id is null and state <> $1", state)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// An edge serves nothing more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn member_left(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        sqlx::query!("delete from edge_member where incarnation = $1", incarnation).execute(&self.pool).await?;
        Ok(())
    }

    /// Numbers what was committed until now, and says who must hear of it. Read in one go after the commit: an edge that is noted
    /// later begins at or after this head.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn members(&self, tenant: TenantId) -> Result<Members, StoreError> {
        let rows = sqlx::query!(
            r#"select h.epoch as "epoch!", h.seq as "seq!", h.event as "event!", now() as "now!"
                    , coalesce((t.settings ->> 'dist_redirects')::boolean, false)
                      or coalesce(t.dist_redirects_ended_at > now() - make_interval(secs => $2), false) as "dist_redirects!"
                    , t.settings -> 'outage' as outage, t.outage_changed as "outage_changed?"
                    , told.epoch as "told_epoch?", told.seq as "told_seq?"
                    , m.incarnation as "incarnation?", m.name as "name?", m.epoch as "member_epoch?", m.acked_seq as "acked_seq?"
                    , m.lease_ms as "lease_ms?", m.lease_ends_at as "lease_ends_at?", m.stale_until as "stale_until?"
               from number_outbox() h
               left join tenant t on t.id = $1
               left join outbox told on told.id = t.outage_changed
               left join edge_member m on true
               order by m.name, m.incarnation"#,
            tenant.0,
            REDIRECT_SECONDS as f64
        )
        .fetch_all(&self.pool)
        .await?;
        let first = rows.first().ok_or_else(|| StoreError::inconsistent("link_state", "no row"))?;
        let outage = first.outage.clone().map(serde_json::from_value::<Outage>).transpose();
        let mut members = Members {
            head: Position { epoch: first.epoch, seq: first.seq, event: first.event },
            now: first.now,
            members: Vec::new(),
            outage: outage.map_err(|error| StoreError::inconsistent("tenant", error))?.unwrap_or_default(),
            outage_told: match (first.outage_changed, first.told_epoch, first.told_seq) {
                (None, ..) => Told::Never,
                (Some(_), Some(epoch), Some(seq)) => Told::At(epoch, seq),
                (Some(_), ..) => Told::Unknown,
            },
            dist_redirects: first.dist_redirects,
        };
        for row in rows {
            let (Some(incarnation), Some(lease_ends_at), Some(stale_until)) =
                (row.incarnation, row.lease_ends_at, row.stale_until)
            else {
                continue;
            };
            members.members.push(Member {
                incarnation,
                name: row.name.unwrap_or_default(),
                epoch: row.member_epoch.unwrap_or_default(),
                acked: row.acked_seq.unwrap_or_default(),
                lease: Duration::from_millis(
                    row.lease_ms.and_then(|lease| u64::try_from(lease).ok()).unwrap_or_default(),
                ),
                lease_ends_at,
                stale_until,
            });
        }
        Ok(members)
    }

    /// Forgets edges that cannot have been answering for long.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_members(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from edge_member where greatest(stale_until, lease_ends_at) < now() - interval '1 hour'"
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_go_on_in_an_outage() {
        let at = |seconds: i64| DateTime::from_timestamp(1_000 + seconds, 0).unwrap();
        let member = |epoch, acked| Member {
            incarnation: Uuid::nil(),
            name: "e".to_owned(),
            epoch,
            acked,
            lease: Duration::from_secs(3),
            lease_ends_at: at(3),
            stale_until: at(100),
        };
        let stale = |grace_seconds| Outage { mode: OutageMode::ServeStale, grace_seconds };
        let closed = Outage { mode: OutageMode::FailClosed, grace_seconds: None };
        for (outage, told, member, expected) in [
            (stale(None), Told::Never, member(0, 0), Some(at(100))),
            (stale(Some(10)), Told::At(2, 7), member(2, 7), Some(at(13))),
            (stale(Some(10)), Told::At(2, 7), member(2, 6), Some(at(100))),
            (stale(Some(1_000)), Told::At(2, 7), member(2, 7), Some(at(100))),
            (stale(Some(u64::MAX)), Told::At(2, 7), member(2, 7), Some(at(100))),
            (closed, Told::At(2, 7), member(2, 7), None),
            (closed, Told::At(2, 7), member(3, 1), None),
            (closed, Told::At(2, 7), member(2, 6), Some(at(100))),
            (closed, Told::At(2, 7), member(1, 9), Some(at(100))),
            (closed, Told::Unknown, member(9, 9), Some(at(100))),
        ] {
            let head = Position { epoch: 2, seq: 9, event: Uuid::nil() };
            let members =
                Members { head, now: at(0), members: Vec::new(), outage, outage_told: told, dist_redirects: false };
            assert_eq!(members.stale_until(&member), expected, "{outage:?} {told:?} {member:?}");
        }
    }
}
