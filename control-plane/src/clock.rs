//! Decides what time it is: the one place that asks the system. Rules take an instant, so that tests may choose it.

use chrono::{DateTime, SubsecRound, Utc};

/// Now, to the microsecond: what PostgreSQL keeps, so that a time read back equals the time written.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
