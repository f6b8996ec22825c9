//! Decides what follows from a delivery that is genuine: which packages are read anew, which move along with their repository, and
//! which are not read any more because another repository stands where theirs was (G-U9).
//!
//! Noting the delivery and all that follows are one transaction: of many copies at once one has an effect (W-7).

use cargoman_composer::name::PackageName;
use serde_json::json;

use crate::domain::id::{DeliveryId, HookId};
use crate::domain::job::{Priority, SYNC_GROUP, SYNC_PACKAGE};
use crate::domain::repository_key::RepositoryKey;
use crate::store::forge_groups::{self, Told};
use crate::store::webhook_deliveries::{self as store, Concerned, Outcome};
use crate::store::{StoreError, TenantTransaction, forge_projects, jobs};
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
        Hint::Gone { repository } => pushed(transaction, repository, may).await?,
        Hint::Pushed { repository } => {
            let outcome = pushed(transaction, repository, may).await?;
            of_group(transaction, repository, from.0, outcome).await?
        }
        Hint::Appeared { repository } => {
            of_group(transaction, repository, from.0, Outcome { word: "no_package", ..Outcome::default() }).await?
        }
        Hint::Moved { repository, from: old } => {
            let outcome = moved(transaction, repository, old).await?;
            of_group(transaction, repository, from.0, outcome).await?
        }
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

/// A repository that is no package may be one of a group: then the group is looked at. For whom no hook speaks none is.
async fn of_group(
    transaction: &mut TenantTransaction,
    repository: &Remote,
    hook: Option<HookId>,
    mut outcome: Outcome,
) -> Result<Outcome, StoreError> {
    if !outcome.packages.is_empty() || hook.is_none() {
        return Ok(outcome);
    }
    let (keys, path) = (repository.keys(), repository.path.as_deref());
    for group in forge_groups::told(transaction).await? {
        if !holds(&group, &keys, path) {
            continue;
        }
        // One that is known is looked at; else there is a new one.
        if !forge_projects::want_look(transaction, group.id, repository.id.as_deref(), path).await? {
            forge_groups::want_list(transaction, group.id).await?;
        }
        outcome.tasks.push(jobs::enqueue_about(transaction, SYNC_GROUP, group.id.0, Priority::Pushed).await?);
        (outcome.word, outcome.reason) = ("group", Some(format!("the group {} is looked at", group.url)));
    }
    Ok(outcome)
}

/// Whether a repository of these keys, or at this path where it has none, lies in a group.
fn holds(group: &Told, keys: &[String], path: Option<&str>) -> bool {
    let below = |whole: &str, folder: &str| whole.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let Some(inside) = RepositoryKey::of(&group.url).map(|key| key.as_str().to_owned()).or_else(|| host(&group.url))
    else {
        return false;
    };
    if !keys.is_empty() {
        return keys.iter().any(|key| below(key, &inside));
    }
    // Bitbucket Data Center's addresses have more in front of it; a GitHub App's group is its account.
    let named = group.path.trim_start_matches('~').to_lowercase();
    let folder =
        if named.is_empty() { inside.split_once('/').map_or("", |(_, folder)| folder) } else { named.as_str() };
    path.is_some_and(|path| folder.is_empty() || below(&path.to_lowercase(), folder))
}

/// The host of a whole instance's address, which is no repository's.
fn host(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", url.host_str()?))
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
