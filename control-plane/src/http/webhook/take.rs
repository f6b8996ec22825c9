//! Decides what follows from a delivery that is genuine: which packages are read anew, which move along with their repository, and
//! which are not read any more because another repository stands where theirs was (G-U9).
//!
//! Noting the delivery and all that follows are one transaction: of many copies at once one has an effect (W-7).

use cargoman_composer::name::PackageName;
use serde_json::json;

use crate::domain::id::{DeliveryId, HookId};
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::domain::repository_key::RepositoryKey;
use crate::store::webhook_deliveries::{self as store, Concerned, Outcome};
use crate::store::{StoreError, TenantTransaction, jobs};
use crate::webhook::{Delivery, Hint, Remote, with_path};

/// A delivery, and what came of it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: DeliveryId,
    pub(crate) outcome: Outcome,
}

/// Which packages the sender may have read anew.
pub(crate) type May<'a> = &'a (dyn Fn(&PackageName) -> bool + Send + Sync);

/// Takes a delivery; none when it came before. The caller commits.
pub(crate) async fn take(
    transaction: &mut TenantTransaction,
    from: (Option<HookId>, &str),
    delivery: &Delivery,
    replay_of: Option<DeliveryId>,
    may: May<'_>,
) -> Result<Option<Taken>, StoreError> {
    let Some(id) = store::note(transaction, from, delivery, replay_of).await? else { return Ok(None) };
    let outcome = match &delivery.hint {
        Hint::Ping => Outcome { word: "ping", ..Outcome::default() },
        Hint::Nothing => {
            let reason = format!("no package depends on `{}`", delivery.event);
            Outcome { word: "ignored", reason: Some(reason), ..Outcome::default() }
        }
        Hint::Pushed { repository } | Hint::Gone { repository } => pushed(transaction, repository, may).await?,
        Hint::Moved { repository, from } => moved(transaction, repository, from).await?,
    };
    store::done(transaction, id, &outcome).await?;
    Ok(Some(Taken { id, outcome }))
}

async fn pushed(transaction: &mut TenantTransaction, repository: &Remote, may: May<'_>) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome { word: "no_package", ..Outcome::default() };
    for package in store::concerned(transaction, repository).await? {
        if !may(&package.name) {
            continue;
        }
        outcome.packages.push(package.name.to_string());
        match another(&package, repository) {
            Some(reason) => {
                freeze(transaction, &package, &reason).await?;
                (outcome.word, outcome.reason) = ("frozen", Some(reason));
            }
            None => read_anew(transaction, &package, repository, &mut outcome).await?,
        }
    }
    if outcome.packages.is_empty() {
        let shown = repository.addresses.first().or(repository.path.as_ref()).cloned().unwrap_or_default();
        outcome.reason = Some(format!("no package is read from {shown}"));
    }
    Ok(outcome)
}

async fn read_anew(
    transaction: &mut TenantTransaction,
    package: &Concerned,
    repository: &Remote,
    outcome: &mut Outcome,
) -> Result<(), StoreError> {
    store::heard(transaction, package.id, repository.id.as_deref()).await?;
    outcome.tasks.push(jobs::enqueue(transaction, SYNC_PACKAGE, package.id, Priority::Pushed).await?);
    if outcome.word != "frozen" {
        outcome.word = "queued";
    }
    Ok(())
}

/// Whether the forge calls the repository at the package's address otherwise than before: then it is another one.
fn another(package: &Concerned, repository: &Remote) -> Option<String> {
    let (before, now) = (package.remote_id.as_deref()?, repository.id.as_deref()?);
    // Of two forges that tell of the same repository neither knows the other's names.
    let same_forge = before.split(':').next() == now.split(':').next();
    (same_forge && before != now).then(|| {
        format!(
            "at {} there is another repository than before ({now} instead of {before}); if that is meant, \
             POST /packages/{}/unfreeze, else give the package another repository_url",
            package.repository_url, package.name
        )
    })
}

async fn freeze(transaction: &mut TenantTransaction, package: &Concerned, reason: &str) -> Result<(), StoreError> {
    store::freeze(transaction, package.id, reason).await?;
    tracing::error!(package = %package.name, reason, "a package is frozen");
    transaction.audit("package.freeze", package.name.as_str(), json!({"reason": reason}));
    Ok(())
}

/// A package follows its repository only at the same place and only if the forge's own name for it is known and the same: a delivery
/// is a hint.
async fn moved(transaction: &mut TenantTransaction, repository: &Remote, from: &str) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome { word: "no_package", ..Outcome::default() };
    let to = repository.path.as_deref().unwrap_or_default();
    for package in store::concerned(transaction, &repository.at(from)).await? {
        outcome.packages.push(package.name.to_string());
        let known = package.remote_id.is_some() && package.remote_id == repository.id;
        let address = with_path(&package.repository_url, from, to).filter(|_| known);
        let Some((address, key)) = address.and_then(|address| RepositoryKey::of(&address).map(|key| (address, key)))
        else {
            outcome.word = "ignored";
            outcome.reason = Some(format!(
                "{from} is {to} now, but the forge never named the repository before; PATCH the package's repository_url"
            ));
            continue;
        };
        store::follow(transaction, package.id, (&address, key.as_str())).await?;
        let detail = json!({"from": package.repository_url, "to": address});
        transaction.audit("package.follow", package.name.as_str(), detail);
        outcome.tasks.push(jobs::enqueue(transaction, SYNC_PACKAGE, package.id, Priority::Pushed).await?);
        outcome.word = "moved";
    }
    if outcome.packages.is_empty() {
        outcome.reason = Some(format!("no package is read from {from}"));
    }
    Ok(outcome)
}
