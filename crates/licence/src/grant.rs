//! One grant: what a customer may see of one package or collection. One subscription is one grant.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CollectionId, Lapse, LapseKind, TenantPolicy};

/// What a customer may see of one package or collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Opaque id, `grant_…`.
    pub id: String,
    /// What it is on: `package` or `collection`.
    #[serde(flatten)]
    pub target: Target,
    /// Which versions; `*` for all. Stability flags in it are ignored.
    pub constraint: Constraint,
    /// The least stable version shown; without it the customer's, then the tenant's, then `stable`.
    pub minimum_stability: Option<Stability>,
    /// Versions published up to and including this instant.
    pub updates_until: Option<DateTime<Utc>>,
    /// Whether it is in force.
    #[serde(default)]
    pub status: GrantStatus,
    /// Its id in the vendor's shop: the subscription it stands for.
    #[serde(default)]
    pub external_id: Option<String>,
}

/// What a grant is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One package.
    Package(PackageName),
    /// Every package of a collection.
    Collection(CollectionId),
}

/// Whether a grant is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum GrantStatus {
    /// It shows what it says.
    #[default]
    Active,
    /// It is suspended, the customer's others are not. What is left of it is the tenant's choice for suspended customers.
    Suspended {
        /// Shown to the customer's developers.
        #[serde(default)]
        reason: Option<String>,
        /// When. Where the tenant keeps something and this is missing, nothing is kept.
        #[serde(default)]
        since: Option<DateTime<Utc>>,
    },
}

impl Grant {
    /// A grant on every version of a target, as far as stability allows; narrow it by setting its fields.
    #[must_use]
    pub fn on(id: impl Into<String>, target: impl Into<Target>) -> Self {
        Self {
            id: id.into(),
            target: target.into(),
            constraint: Constraint::any(),
            minimum_stability: None,
            updates_until: None,
            status: GrantStatus::Active,
            external_id: None,
        }
    }

    /// Its suspension, if it is suspended.
    pub(crate) fn lapse(&self, policy: &TenantPolicy) -> Option<Lapse> {
        let GrantStatus::Suspended { reason, since } = &self.status else { return None };
        Some(Lapse::new(LapseKind::Suspended, reason.clone(), *since, policy))
    }
}

impl Target {
    /// The package, if it is on one.
    #[must_use]
    pub const fn package(&self) -> Option<&PackageName> {
        match self {
            Self::Package(package) => Some(package),
            Self::Collection(_) => None,
        }
    }

    /// The collection, if it is on one.
    #[must_use]
    pub const fn collection(&self) -> Option<&CollectionId> {
        match self {
            Self::Package(_) => None,
            Self::Collection(id) => Some(id),
        }
    }
}

impl From<PackageName> for Target {
    fn from(package: PackageName) -> Self {
        Self::Package(package)
    }
}

impl From<CollectionId> for Target {
    fn from(id: CollectionId) -> Self {
        Self::Collection(id)
    }
}
