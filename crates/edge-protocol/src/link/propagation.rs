//! Decides when a change is effective: when no edge can answer from before it. Must never say so a moment too early.
//!
//! Counted from after the commit with a clock that only goes forward. A lease that lacks the change was asked for before the
//! commit, because an instance reads the outbox head after the asking and grants nothing behind it; so once the longest lease has
//! passed since the commit, no lease without the change is left, whatever any wall clock says.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Seq;

/// Clocks drift, and a process may be held up between reading its clock and using it.
const MARGIN: Duration = Duration::from_millis(250);

/// An edge that may be serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What people call it.
    pub name: String,
    /// The last event that it said it applied, in the present epoch.
    pub acked: Seq,
    /// How long its leases last.
    pub lease: Duration,
    /// When its last lease ends, by the database's clock: for people to read.
    pub lease_ends: DateTime<Utc>,
    /// Until when it may serve this tenant from what it knew after its lease is over; none when it may not.
    pub stale_until: Option<DateTime<Utc>>,
}

/// An edge that may still answer from before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What people call it.
    pub edge: String,
    /// Until when.
    pub may_serve_until: DateTime<Utc>,
}

/// The edges that may still answer from before event `seq`; none of them: it is effective. `since_commit`: on a clock that only
/// goes forward, from after the commit. `now`: the database's clock.
#[must_use]
pub fn pending(seq: Seq, members: &[Member], since_commit: Duration, now: DateTime<Utc>) -> Vec<Pending> {
    members.iter().filter_map(|member| member.pending(seq, since_commit, now)).collect()
}

impl Member {
    fn pending(&self, seq: Seq, since_commit: Duration, now: DateTime<Utc>) -> Option<Pending> {
        if self.acked >= seq {
            return None;
        }
        let lease_over = since_commit > self.lease + MARGIN;
        let until = match self.stale_until {
            None if lease_over => return None,
            None => self.lease_ends,
            Some(stale_until) if lease_over && now > stale_until + MARGIN => return None,
            Some(stale_until) => stale_until,
        };
        Some(Pending { edge: self.name.clone(), may_serve_until: until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for() {
        let at = |seconds: i64| DateTime::from_timestamp(1_000 + seconds, 0).unwrap();
        let lease = Duration::from_secs(3);
        let member = |acked, stale_until| Member { name: "e".to_owned(), acked, lease, lease_ends: at(3), stale_until };
        for (member, since, now, waits) in [
            (member(7, None), 0_u64, at(0), false),
            (member(8, None), 0, at(0), false),
            (member(6, None), 0, at(0), true),
            (member(6, None), 3, at(3), true),
            (member(6, None), 4, at(4), false),
            // A wall clock that jumps ahead ends no lease, one that stands still keeps none.
            (member(6, None), 0, at(9_999), true),
            (member(6, None), 4, at(0), false),
            (member(6, Some(at(60))), 4, at(4), true),
            (member(6, Some(at(60))), 61, at(61), false),
            (member(7, Some(at(60))), 0, at(0), false),
        ] {
            let found = pending(7, std::slice::from_ref(&member), Duration::from_secs(since), now);
            assert_eq!(!found.is_empty(), waits, "{member:?} {since}");
        }
    }
}
