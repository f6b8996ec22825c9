//! Has the forge of a group tell us of pushes: one hook for each project that is a package. One that is there already is taken over, unless
//! our secret has changed since.

use std::sync::Arc;
use std::time::Duration;

use cargoman_edge_protocol::TenantId;
use futures::StreamExt as _;

use super::{Done, GroupError, Run, begin};
use crate::forge::error::Kind;
use crate::forge::{ForgeError, NewHook};
use crate::state::State;
use crate::store::forge_groups::Known;
use crate::store::forge_projects::{self, Unhooked};
use crate::store::hooks::{self as own, Hook};
use crate::store::{Actor, TenantTransaction, tenants};

/// Our side of a group's hooks.
struct Ours {
    url: String,
    secret: crate::secrets::SecretBytes,
    hook: Hook,
}

/// The forge's name for a hook.
enum Made {
    /// It was made.
    New(String),
    /// It was there already.
    Found(String),
}

impl Made {
    fn id(&self) -> &str {
        match self {
            Self::New(id) | Self::Found(id) => id,
        }
    }
}

/// Takes away, at the forge, the hooks that were made for a group; how many are left because it did not let us.
pub(crate) async fn remove(state: &State, tenant: TenantId, known: &Known) -> usize {
    let all = async {
        let actor = Actor::Job(known.group.id.to_string());
        let mut transaction = TenantTransaction::begin(&state.database, tenant, actor).await?;
        forge_projects::made_hooks(&mut transaction, known.group.id).await
    };
    let all = all.await.unwrap_or_default();
    if all.is_empty() {
        return 0;
    }
    let client = match super::ask::group_client(state, tenant, known).await {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, group = %known.group.id, "hooks at a forge stay");
            return all.len();
        }
    };
    let dialect = crate::forge::address::dialect(known.group.provider, &known.group.api_url);
    let count = all.len();
    let client = Arc::new(client);
    let asked = all.into_iter().map(move |(api, hook)| {
        let (client, question) = (Arc::clone(&client), dialect.delete_hook(&api, &hook));
        async move { client.ask(&question).await }
    });
    let answers = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    // Whoever deletes a group waits for it; what is not taken away in time calls a hook that is gone.
    let Ok(answers) = tokio::time::timeout(LONGEST, answers).await else { return count };
    answers.iter().filter(|answer| answer.as_ref().is_err_and(|error| error.kind != Kind::Missing)).count()
}

const AT_ONCE: usize = 8;
const LONGEST: Duration = Duration::from_secs(60);

impl Run<'_> {
    pub(super) async fn hooks(&self, done: &mut Done) -> Result<(), GroupError> {
        let group = self.known.group.id;
        let mut transaction = begin(self.state, self.job).await?;
        let wanted = forge_projects::unhooked(&mut transaction, group).await?;
        let ours = match wanted.is_empty() {
            true => None,
            false => self.ours(&mut transaction).await?,
        };
        drop(transaction);
        let Some(ours) = ours else { return Ok(()) };
        for (at, project) in wanted.iter().enumerate() {
            self.tell("hooking", at, wanted.len()).await;
            self.in_time()?;
            let made = self.hook(project, &ours).await;
            let said = made.as_ref().map(Made::id).map_err(ToString::to_string);
            let mut transaction = begin(self.state, self.job).await?;
            let noted = said.as_ref().map(|id| *id).map_err(String::as_str);
            forge_projects::hooked(&mut transaction, group, &project.remote_id, noted).await?;
            transaction.commit().await?;
            match made {
                Ok(Made::New(_)) => done.hooks += 1,
                Ok(Made::Found(_)) => {}
                // It will not be another answer for the others: a token lacks a right for all of them.
                Err(error) if error.is_about_one() => {
                    done.hook_error = Some(format!("no hook for {}: {error}", project.path));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn ours(&self, transaction: &mut TenantTransaction) -> Result<Option<Ours>, GroupError> {
        let Some(id) = self.known.group.hook else { return Ok(None) };
        let checked = own::to_check(transaction, &[self.known.group.provider], Some(id)).await?.into_iter().next();
        let (Some(checked), Some(hook)) = (checked, own::find(transaction, id).await?) else { return Ok(None) };
        let secret = self.state.keyring.open(&own::place(transaction, id), &checked.sealed);
        let secret = secret.map_err(crate::jobs::repository_credential::CredentialError::from)?;
        let tenant = tenants::own(transaction).await?;
        let config = &self.state.config;
        let base = config.server.canonical_url(&config.tenancy, &tenant.slug, tenant.is_default);
        Ok(Some(Ours { url: format!("{base}{}", hook.path()), secret, hook }))
    }

    async fn hook(&self, project: &Unhooked, ours: &Ours) -> Result<Made, ForgeError> {
        let (client, dialect, api) = (&self.client, self.dialect, project.api.as_str());
        let there = dialect.hooks(&client.ask(&dialect.list_hooks(api)).await?)?;
        let there: Vec<_> = there.into_iter().filter(|hook| hook.url == ours.url).collect();
        // One that we do not know of was made by a worker that died then: with which secret is clear only if there was but one.
        let good =
            |id: &String| project.remote_hook.as_ref().map_or(ours.hook.rotated_at.is_none(), |known| known == id);
        if let Some(found) = there.iter().find(|hook| good(&hook.id)) {
            return Ok(Made::Found(found.id.clone()));
        }
        for old in there {
            client.ask(&dialect.delete_hook(api, &old.id)).await?;
        }
        let secret = ours.secret.expose_text().unwrap_or_default();
        let answer = client.ask(&dialect.create_hook(api, NewHook { url: &ours.url, secret })).await?;
        dialect.created_hook(&answer).map(Made::New)
    }
}
