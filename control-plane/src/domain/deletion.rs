//! What was deleted and may come back for a while.

use chrono::{DateTime, Days, Utc};
use serde::Serialize;

use crate::domain::id::{CustomerId, DeletionId, GrantId};

/// For so many days a deletion may be undone.
pub const KEPT_DAYS: u32 = 30;

/// The instant from which on a deletion cannot be undone any more.
#[must_use]
pub fn restorable_until(deleted_at: DateTime<Utc>) -> DateTime<Utc> {
    deleted_at.checked_add_days(Days::new(KEPT_DAYS.into())).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What kind of thing was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeletionKind {
    /// A customer with his tokens and grants.
    Customer,
    /// One grant.
    Grant,
    /// A package with its versions and the grants on it.
    Package,
}

impl DeletionKind {
    /// As written in the API and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Grant => "grant",
            Self::Package => "package",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::Customer, Self::Grant, Self::Package].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A deletion that may be undone.
#[derive(Debug, Clone, Serialize)]
pub struct Deletion {
    /// Id.
    pub id: DeletionId,
    /// What it was.
    pub kind: DeletionKind,
    /// Id of what was deleted: `cust_…`, `grant_…`, `pkg_…`.
    pub subject: String,
    /// Name of the customer or the package; of a grant what it was on.
    pub name: String,
    /// When.
    pub deleted_at: DateTime<Utc>,
    /// By whom.
    pub deleted_by: String,
    /// From then on it is gone for good.
    pub restorable_until: DateTime<Utc>,
}

/// How to undo a deletion, as the answer to it says.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WayBack {
    /// Its id: `POST /deletions/{id}/restore`.
    pub id: DeletionId,
    /// From then on it is gone for good.
    pub restorable_until: DateTime<Utc>,
}

/// A grant that could not come back along with what was restored. It may be restored by itself once the obstacle is gone.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// The grant.
    pub grant: GrantId,
    /// Whose.
    pub customer: CustomerId,
    /// The package or collection it was on.
    pub on: String,
    /// What is in the way, and what to do.
    pub because: String,
    /// Where it is kept meanwhile.
    pub deletion: WayBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_name() {
        for kind in [DeletionKind::Customer, DeletionKind::Grant, DeletionKind::Package] {
            assert_eq!(DeletionKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(DeletionKind::named("token"), None);
    }

    #[test]
    fn thirty_days() {
        let at: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().unwrap();
        assert_eq!(restorable_until(at), "2026-02-14T10:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
