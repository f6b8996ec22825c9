//! Until when an address of the storage is good that an edge gave away before it heard of a change. Nobody can take it back, so the
//! change is effective only when it is over.

use std::time::Duration;

use cargoman_edge_protocol::link::Seq;
use cargoman_edge_protocol::link::propagation::Pending;
use cargoman_edge_protocol::{REDIRECT_SECONDS, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;

/// Changes whose end is remembered. Of one that is forgotten the time begins anew when it is asked for: late is never wrong.
const MOST: u64 = 100_000;
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// When changes were first seen to have reached every edge.
#[derive(Debug)]
pub(super) struct Presigned {
    reached: Cache<(TenantId, Seq), DateTime<Utc>>,
}

impl Default for Presigned {
    fn default() -> Self {
        Self { reached: Cache::builder().max_capacity(MOST).time_to_live(REMEMBERED).build() }
    }
}

impl Presigned {
    /// Until when an address is good that was given away before the change; `now` is the database's.
    pub(super) fn until(&self, tenant: TenantId, seq: Seq, pending: &[Pending], now: DateTime<Utc>) -> DateTime<Utc> {
        let life = TimeDelta::seconds(i64::try_from(REDIRECT_SECONDS).unwrap_or(i64::MAX));
        match pending.iter().map(|pending| pending.may_serve_until).max() {
            Some(last) => last.max(now) + life,
            None => self.reached.get_with((tenant, seq), || now) + life,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_from_the_last_edge_that_heard_of_it() {
        let presigned = Presigned::default();
        let at = |second: i64| DateTime::from_timestamp(1_000 + second, 0).unwrap();
        let tenant = TenantId(uuid::Uuid::nil());
        let pending = |second| Pending { edge: "one".to_owned(), may_serve_until: at(second) };
        assert_eq!(presigned.until(tenant, 1, &[pending(5), pending(40)], at(0)), at(100));
        assert_eq!(presigned.until(tenant, 1, &[pending(5)], at(20)), at(80));
        assert_eq!(presigned.until(tenant, 1, &[], at(30)), at(90));
        // Looked at once more, it does not begin anew.
        assert_eq!(presigned.until(tenant, 1, &[], at(80)), at(90));
        assert_eq!(presigned.until(tenant, 2, &[], at(80)), at(140));
    }
}
