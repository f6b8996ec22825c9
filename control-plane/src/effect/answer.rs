//! The effect of a write as the API shows it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::{Changes, CustomerChange};
use crate::domain::id::CustomerId;

/// So many customers are shown one by one; all are counted.
const MOST_SHOWN: usize = 100;

/// What a write does, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// Customers who gain a version.
    pub customers_gaining: usize,
    /// Customers who lose a version.
    pub customers_losing: usize,
    /// The first hundred of both, those who lose something first, by name.
    pub customers: Vec<ChangedCustomer>,
    /// Customers who installed a version that they lose within the last 30 days.
    pub installed_30_days: usize,
}

/// One customer who gains or loses something.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedCustomer {
    /// Who.
    pub customer: ShownCustomer,
    /// Newly in metadata or newly installable.
    pub gained: Vec<ShownVersion>,
    /// No longer in metadata or no longer installable.
    pub lost: Vec<ShownVersion>,
    /// How many of the lost versions he installed within the last 30 days.
    pub installed_30_days: usize,
}

/// A customer by name.
#[derive(Debug, Clone, Serialize)]
pub struct ShownCustomer {
    /// Id.
    pub id: CustomerId,
    /// For people.
    pub name: String,
}

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownVersion {
    /// Name of the package.
    pub package: String,
    /// As its author writes it.
    pub version: String,
}

/// What a customer installed lately: pairs of package and normalized version.
pub(super) type Installs = BTreeMap<CustomerId, HashSet<(String, String)>>;

impl Effect {
    pub(super) fn of(changes: &Changes, installs: &Installs) -> Self {
        let customers = &changes.customers;
        let installed: BTreeMap<_, _> = customers
            .iter()
            .map(|(id, change)| (*id, installed(change, installs.get(id))))
            .filter(|(_, count)| *count > 0)
            .collect();
        let mut order: Vec<_> = customers.iter().collect();
        order.sort_by_key(|(id, change)| (!change.loses(), &change.name, **id));
        let shown = order.into_iter().take(MOST_SHOWN).map(|(id, change)| ChangedCustomer {
            customer: ShownCustomer { id: *id, name: change.name.clone() },
            gained: shown(change, |package| &package.gained),
            lost: shown(change, |package| &package.lost),
            installed_30_days: installed.get(id).copied().unwrap_or_default(),
        });
        Self {
            customers_gaining: customers.values().filter(|change| change.gains()).count(),
            customers_losing: customers.values().filter(|change| change.loses()).count(),
            customers: shown.collect(),
            installed_30_days: installed.len(),
        }
    }
}

impl Changes {
    /// Customers who lose something.
    #[must_use]
    pub fn losing(&self) -> Vec<CustomerId> {
        self.customers.iter().filter(|(_, change)| change.loses()).map(|(id, _)| *id).collect()
    }

    /// Packages of which someone loses something.
    pub(super) fn packages_lost(&self) -> Vec<String> {
        let changes = self.customers.values().flat_map(|change| &change.packages);
        let names: BTreeSet<_> =
            changes.filter(|change| !change.lost.is_empty()).map(|change| &change.package).collect();
        names.into_iter().map(|name| name.as_str().to_owned()).collect()
    }
}

fn installed(change: &CustomerChange, installs: Option<&HashSet<(String, String)>>) -> usize {
    let Some(installs) = installs else { return 0 };
    let lost = change.packages.iter().flat_map(|package| package.lost.iter().map(move |version| (package, version)));
    let pair = |(package, version): (&std::sync::Arc<super::PackageChange>, &super::ChangedVersion)| {
        (package.package.as_str().to_owned(), version.normalized.clone())
    };
    lost.filter(|both| installs.contains(&pair(*both))).count()
}

fn shown<'c>(
    change: &'c CustomerChange,
    which: impl Fn(&'c super::PackageChange) -> &'c Vec<super::ChangedVersion>,
) -> Vec<ShownVersion> {
    let version = |package: &str, version: &super::ChangedVersion| ShownVersion {
        package: package.to_owned(),
        version: version.pretty.clone(),
    };
    let each = change.packages.iter();
    each.flat_map(|package| which(package).iter().map(|one| version(package.package.as_str(), one))).collect()
}
