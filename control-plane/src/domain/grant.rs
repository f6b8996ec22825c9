//! What a customer was given, and decides when two grants are the same: then the second is not given again.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::id::{CollectionId, GrantId, PackageId};

/// What a grant is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantTarget {
    /// A package.
    Package(PackageId),
    /// Every package of a collection.
    Collection(CollectionId),
}

/// What a customer may see of one package or collection, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Grant {
    /// Id.
    pub id: GrantId,
    /// What it is on.
    #[serde(skip)]
    pub target: GrantTarget,
    /// Name of the package, if it is on one.
    pub package: Option<String>,
    /// Slug of the collection, if it is on one.
    pub collection: Option<String>,
    /// Which versions, as the operator wrote it.
    pub constraint: String,
    /// The least stable version shown.
    pub minimum_stability: Option<String>,
    /// Versions published up to this instant.
    pub updates_until: Option<DateTime<Utc>>,
    /// Whether it is in force.
    pub status: GrantState,
    /// Why it is suspended.
    pub status_reason: Option<String>,
    /// Since when it is suspended.
    pub suspended_at: Option<DateTime<Utc>>,
    /// The subscription in the vendor's shop that it stands for.
    pub external_id: Option<String>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
}

/// Whether a grant is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// It shows what it says.
    Active,
    /// What is left of it is the tenant's choice.
    Suspended,
}

/// What an operator grants; checked before it comes here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrantFields {
    /// On what.
    pub target: GrantTarget,
    /// Which versions, as written.
    pub constraint: String,
    /// The least stable version shown.
    pub minimum_stability: Option<String>,
    /// Versions published up to this instant.
    pub updates_until: Option<DateTime<Utc>>,
    /// The subscription in the vendor's shop that it stands for.
    pub external_id: Option<String>,
}

impl GrantFields {
    /// Whether a grant that is there already is this one: it shows the same and stands for the same subscription, or none is
    /// named. Whether it is suspended does not count.
    #[must_use]
    pub fn is(&self, there: &Self) -> bool {
        let external_id = self.external_id.as_ref().or(there.external_id.as_ref());
        Self { external_id: external_id.cloned(), ..self.clone() } == *there
    }

    fn of_no_subscription(&self) -> Self {
        Self { external_id: None, ..self.clone() }
    }
}

impl From<&Grant> for GrantFields {
    fn from(grant: &Grant) -> Self {
        Self {
            target: grant.target,
            constraint: grant.constraint.clone(),
            minimum_stability: grant.minimum_stability.clone(),
            updates_until: grant.updates_until,
            external_id: grant.external_id.clone(),
        }
    }
}

/// What is to be done so that a customer has these grants and no others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// Grants to change: their subscription stays, what it shows does not.
    pub change: Vec<(GrantId, GrantFields)>,
    /// Grants to give, in the order wanted.
    pub give: Vec<GrantFields>,
    /// Grants to take away.
    pub take: Vec<GrantId>,
}

/// Works out how to come from the grants that are there (oldest first) to those wanted. Equal ones keep their ids, and so does
/// a subscription whose grant changes. No external id may stand twice among those wanted.
#[must_use]
pub fn replacement(there: &[Grant], wanted: Vec<GrantFields>) -> Replacement {
    let there: Vec<(GrantId, GrantFields)> = there.iter().map(|grant| (grant.id, grant.into())).collect();
    // Of several that show the same, those of no subscription come first, then the oldest.
    let (of_subscriptions, others): (Vec<_>, Vec<_>) = there.iter().partition(|(_, it)| it.external_id.is_some());
    let mut showing: HashMap<GrantFields, Vec<GrantId>> = HashMap::new();
    for (id, it) in others.into_iter().chain(of_subscriptions.iter().copied()) {
        showing.entry(it.of_no_subscription()).or_default().push(*id);
    }
    let of_subscriptions: HashMap<_, _> = of_subscriptions.into_iter().map(|at| (&at.1.external_id, at)).collect();

    let (mut kept, mut stands) = (HashSet::new(), HashSet::new());
    let (mut outcome, mut give) = (Replacement::default(), Vec::new());
    let (subscriptions, plain): (Vec<_>, Vec<_>) =
        wanted.into_iter().enumerate().partition(|(_, one)| one.external_id.is_some());
    for (at, one) in subscriptions {
        stands.insert(one.of_no_subscription());
        match of_subscriptions.get(&one.external_id) {
            None => give.push((at, one)),
            Some((id, before)) => {
                kept.insert(*id);
                if *before != one {
                    outcome.change.push((*id, one));
                }
            }
        }
    }
    for (at, one) in plain {
        if !stands.insert(one.clone()) {
            continue;
        }
        match showing.get(&one).and_then(|ids| ids.iter().find(|id| !kept.contains(*id))) {
            Some(id) => drop(kept.insert(*id)),
            None => give.push((at, one)),
        }
    }
    give.sort_unstable_by_key(|(at, _)| *at);
    outcome.give = give.into_iter().map(|(_, one)| one).collect();
    outcome.take = there.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)).collect();
    outcome
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn wanted(package: u128, constraint: &str, external_id: Option<&str>) -> GrantFields {
        GrantFields {
            target: GrantTarget::Package(PackageId(Uuid::from_u128(package))),
            constraint: constraint.to_owned(),
            minimum_stability: None,
            updates_until: None,
            external_id: external_id.map(str::to_owned),
        }
    }

    fn there(id: u128, fields: GrantFields) -> Grant {
        Grant {
            id: GrantId(Uuid::from_u128(id)),
            target: fields.target,
            package: None,
            collection: None,
            constraint: fields.constraint,
            minimum_stability: fields.minimum_stability,
            updates_until: fields.updates_until,
            status: GrantState::Active,
            status_reason: None,
            suspended_at: None,
            external_id: fields.external_id,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_same_grant() {
        let named = wanted(1, "^1", Some("sub"));
        let bare = wanted(1, "^1", None);
        for (one, there, expected) in [
            (&bare, &bare, true),
            (&bare, &named, true),
            (&named, &named, true),
            (&named, &bare, false),
            (&named, &wanted(1, "^1", Some("other")), false),
            (&bare, &wanted(1, "^2", None), false),
            (&bare, &wanted(2, "^1", None), false),
        ] {
            assert_eq!(one.is(there), expected, "{one:?} {there:?}");
        }
    }

    /// Rows: what is there (ids from 1), what is wanted; then how many are changed and given, and which are taken.
    #[test]
    fn replacing() {
        let (a, b) = (|| wanted(1, "*", None), || wanted(2, "*", None));
        let sub = |constraint| wanted(1, constraint, Some("sub"));
        for (there_are, want, change, give, take) in [
            (vec![], vec![a(), b(), a()], 0, 2, vec![]),
            (vec![a(), b()], vec![b(), a()], 0, 0, vec![]),
            (vec![a(), b()], vec![b()], 0, 0, vec![1]),
            (vec![a()], vec![], 0, 0, vec![1]),
            (vec![sub("^1")], vec![sub("^2")], 1, 0, vec![]),
            (vec![sub("*")], vec![a()], 0, 0, vec![]),
            (vec![sub("*"), a()], vec![a()], 0, 0, vec![1]),
            (vec![sub("*")], vec![a(), sub("*")], 0, 0, vec![]),
            (vec![sub("*")], vec![a(), sub("^2")], 1, 1, vec![]),
            (vec![a()], vec![sub("*")], 0, 1, vec![1]),
        ] {
            let grants: Vec<_> = (1..).zip(&there_are).map(|(id, fields)| there(id, fields.clone())).collect();
            let outcome = replacement(&grants, want.clone());
            let taken: Vec<u128> = outcome.take.iter().map(|id| id.0.as_u128()).collect();
            let counts = (outcome.change.len(), outcome.give.len());
            assert_eq!((counts, taken), ((change, give), take), "{there_are:?} {want:?}");
        }
    }
}
