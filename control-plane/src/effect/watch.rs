//! Looks at the world before and after a write, inside its transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, TenantPolicy};

use super::answer::Installs;
use super::{Changes, Consent, Effect, World, brake, changes};
use crate::clock::now;
use crate::domain::id::{CollectionId, CustomerId};
use crate::domain::tenant::{Brake, Settings};
use crate::error::ApiError;
use crate::store::{TenantTransaction, installs, tenants};

/// What a write may change, and so whose sight of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    /// These customers, their grants included.
    Customers(Vec<CustomerId>),
    /// This package, its versions included.
    Package(PackageName),
    /// These collections, grants on them included.
    Collections(Vec<CollectionId>),
    /// The tenant's policy, and nothing else.
    Policy,
}

/// A look at the world before a write. Begin it before the first write of the transaction and settle it after the last.
#[derive(Debug)]
#[must_use = "a write that is watched has to be settled"]
pub struct Watch {
    consent: Consent,
    look: Look,
}

#[derive(Debug)]
enum Look {
    /// Nobody wants to know.
    None,
    /// It is plain who loses: only the brake is left.
    Plain { brake: Brake, losing: CustomerId },
    /// The world as it was.
    Both(Box<Before>),
}

#[derive(Debug)]
struct Before {
    concerned: Concerned,
    settings: Settings,
    directory: Vec<PackageName>,
    world: World,
}

/// What more customers than this may see takes longer to compare, on a busy machine, than a transaction may be idle.
const MANY: usize = 100;

impl Watch {
    /// Looks at those concerned.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn begin(
        transaction: &mut TenantTransaction,
        concerned: impl Into<Concerned>,
        consent: Consent,
    ) -> Result<Self, ApiError> {
        let concerned = concerned.into();
        let settings = tenants::settings(transaction).await?;
        if !consent.dry_run && settings.brake.customers_per_hour.is_none() {
            return Ok(Self { consent, look: Look::None });
        }
        let directory = transaction.facts().directory().await?;
        let mut world = World { collections: Arc::new(transaction.facts().collections().await?), ..World::default() };
        let customers = concerned.customers(transaction).await?;
        if customers.len() > MANY {
            transaction.be_patient().await?;
        }
        world.customers = accesses(transaction, &customers, &concerned, settings.policy()).await?;
        let names = concerned.packages(&world, &directory);
        load(transaction, &mut world, names).await?;
        Ok(Self { consent, look: Look::Both(Box::new(Before { concerned, settings, directory, world })) })
    }

    /// The same for a write that gives, or takes nothing that locks need: it is looked at in a dry run alone.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn begin_unbraked(
        transaction: &mut TenantTransaction,
        concerned: impl Into<Concerned>,
        consent: Consent,
    ) -> Result<Self, ApiError> {
        match consent.dry_run {
            true => Self::begin(transaction, concerned, consent).await,
            false => Ok(Self { consent, look: Look::None }),
        }
    }

    /// The same for a write that takes everything from one customer. Whoever has grants in force counts for the brake, without a
    /// look at his packages: taking access away must be quick, however much he has.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn begin_end_of(
        transaction: &mut TenantTransaction,
        customer: CustomerId,
        consent: Consent,
    ) -> Result<Self, ApiError> {
        if consent.dry_run {
            return Self::begin(transaction, customer, consent).await;
        }
        let settings = tenants::settings(transaction).await?;
        let found = transaction.facts().customers(&[customer], settings.policy()).await?;
        let now = now();
        let loses = |access: &Access| !access.grants.is_empty() && cargoman_licence::refusal(access, now).is_none();
        let look = match found.iter().any(|(_, access)| loses(access)) {
            true => Look::Plain { brake: settings.brake, losing: customer },
            false => Look::None,
        };
        Ok(Self { consent, look })
    }

    /// Looks again. In a dry run the effect, and the transaction must be dropped; otherwise the brake is applied, and the
    /// transaction may be committed.
    ///
    /// # Errors
    /// A conflict when the write takes something from too many customers without being confirmed; or when the database refuses.
    pub async fn settle(self, transaction: &mut TenantTransaction) -> Result<Option<Effect>, ApiError> {
        let Self { consent, look } = self;
        let before = match look {
            Look::None => return Ok(None),
            Look::Plain { brake, losing } => {
                brake::apply(transaction, brake, &[losing], consent).await?;
                return Ok(None);
            }
            Look::Both(before) => *before,
        };
        let brake = before.settings.brake;
        let (old, new) = before.after(transaction).await?;
        let now = now();
        // Thousands of customers take a while; others are to be answered meanwhile.
        let changes = tokio::task::spawn_blocking(move || changes(&old, &new, now));
        let changes = changes.await.map_err(|error| ApiError::Internal(error.into()))?;
        if consent.dry_run {
            let installs = recent_installs(transaction, &changes).await?;
            return Ok(Some(Effect::of(&changes, &installs)));
        }
        brake::apply(transaction, brake, &changes.losing(), consent).await?;
        Ok(None)
    }
}

impl From<CustomerId> for Concerned {
    fn from(customer: CustomerId) -> Self {
        Self::Customers(vec![customer])
    }
}

impl Concerned {
    /// For a write that turns out to take nothing from anyone.
    #[must_use]
    pub const fn no_one() -> Self {
        Self::Customers(Vec::new())
    }

    async fn customers(&self, transaction: &mut TenantTransaction) -> Result<Vec<CustomerId>, ApiError> {
        let mut facts = transaction.facts();
        Ok(match self {
            Self::Customers(customers) => customers.clone(),
            Self::Package(name) => facts.concerned_customers(std::slice::from_ref(name), &[]).await?,
            Self::Collections(collections) => facts.concerned_customers(&[], collections).await?,
            Self::Policy => facts.everyone().await?,
        })
    }

    /// Packages that may look otherwise to someone.
    fn packages<'d>(&self, world: &World, directory: &'d [PackageName]) -> BTreeSet<&'d PackageName> {
        match self {
            Self::Customers(_) | Self::Policy => world.granted(directory),
            Self::Package(name) => directory.iter().filter(|known| *known == name).collect(),
            Self::Collections(ids) => {
                let collections: Vec<_> = ids.iter().filter_map(|id| world.collections.get(&(*id).into())).collect();
                let inside = |name: &PackageName| collections.iter().any(|found| found.packages.contains(name));
                directory.iter().filter(|name| inside(name)).collect()
            }
        }
    }
}

impl Before {
    /// Both worlds. Only what the write may have changed is read again: what others do meanwhile is not its effect.
    async fn after(self, transaction: &mut TenantTransaction) -> Result<(World, World), ApiError> {
        let Self { concerned, settings, directory, world: mut before } = self;
        let mut after = before.clone();
        match &concerned {
            Concerned::Customers(customers) => {
                after.customers = accesses(transaction, customers, &concerned, settings.policy()).await?;
            }
            Concerned::Collections(_) => {
                after.collections = Arc::new(transaction.facts().collections().await?);
                let customers: Vec<_> = before.customers.keys().copied().collect();
                after.customers = accesses(transaction, &customers, &concerned, settings.policy()).await?;
            }
            Concerned::Policy => {
                let policy = transaction.facts().policy().await?;
                let changed = before.customers.iter().map(|(id, access)| {
                    let mut access = access.clone();
                    access.policy = policy;
                    (*id, access)
                });
                after.customers = Arc::new(changed.collect());
            }
            Concerned::Package(name) => {
                after.packages.clear();
                load(transaction, &mut after, BTreeSet::from([name])).await?;
                if !before.packages.contains_key(name) {
                    // It came back, with the grants on it.
                    let customers = concerned.customers(transaction).await?;
                    after.customers = accesses(transaction, &customers, &concerned, settings.policy()).await?;
                }
                return Ok((before, after));
            }
        }
        let names = concerned.packages(&after, &directory);
        load(transaction, &mut after, names).await?;
        before.packages.clone_from(&after.packages);
        Ok((before, after))
    }
}

async fn accesses(
    transaction: &mut TenantTransaction,
    customers: &[CustomerId],
    concerned: &Concerned,
    policy: TenantPolicy,
) -> Result<Arc<std::collections::BTreeMap<CustomerId, Access>>, ApiError> {
    let package = match concerned {
        Concerned::Package(name) => Some(name),
        _ => None,
    };
    Ok(Arc::new(transaction.facts().customers_on(customers, package, policy).await?.into_iter().collect()))
}

/// Adds packages that are not in the world yet.
async fn load(
    transaction: &mut TenantTransaction,
    world: &mut World,
    names: BTreeSet<&PackageName>,
) -> Result<(), ApiError> {
    let missing: Vec<_> = names.into_iter().filter(|name| !world.packages.contains_key(*name)).cloned().collect();
    if !missing.is_empty() {
        let found = transaction.facts().packages(&missing).await?;
        world.packages.extend(found.into_iter().map(|package| (package.name.clone(), Arc::new(package))));
    }
    Ok(())
}

async fn recent_installs(transaction: &mut TenantTransaction, changes: &Changes) -> Result<Installs, ApiError> {
    let mut by_customer = Installs::new();
    let losing = changes.losing();
    for (customer, package, version) in installs::recent(transaction, &losing, &changes.packages_lost()).await? {
        by_customer.entry(customer).or_default().insert((package, version));
    }
    Ok(by_customer)
}
