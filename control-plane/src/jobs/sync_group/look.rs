//! Looks at one project: asks its forge for the default branch's composer.json, and adds the package that it names. What the forge says
//! is a hint that a package is there; the package's own sync reads the repository and checks all of it.

use cargoman_composer::name::PackageName;
use cargoman_licence::PackageGlob;
use serde_json::json;

use super::{GroupError, Run, begin};
use crate::add_package;
use crate::domain::forge_group::{ProjectState, Verdict, before_asking, package_name};
use crate::domain::git_credential::GitCredentialKind;
use crate::domain::id::{GitCredentialId, PackageId};
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::domain::releases::Releases;
use crate::domain::repository_key::RepositoryKey;
use crate::forge::error::Kind;
use crate::forge::{ForgeError, Project};
use crate::git::url::RepositoryUrl;
use crate::jobs::repository_credential;
use crate::store::forge_projects::{self, ToLook};
use crate::store::git_credentials::{self, SealedCredential};
use crate::store::packages::PackageFields;
use crate::store::webhook_deliveries::{self, Concerned};
use crate::store::{TenantTransaction, jobs, packages};
use crate::webhook::Remote;

/// What came of a look.
pub(super) enum Looked {
    Added(PackageName),
    /// The package follows its project to another address.
    Moved(String),
    Settled(Verdict),
}

impl Run<'_> {
    pub(super) async fn look(&self, one: &ToLook) -> Result<Looked, GroupError> {
        let group = self.known.group.id;
        let manifest = self.manifest(one).await?;
        let mut transaction = begin(self.state, self.job).await?;
        let (looked, verdict, package) = self.judge(&mut transaction, one, manifest).await?;
        if !forge_projects::judged(&mut transaction, group, one, &verdict, package).await? {
            // Its package is not added either.
            return Err(GroupError::Gone);
        }
        transaction.commit().await?;
        Ok(looked.unwrap_or(Looked::Settled(verdict)))
    }

    /// The project's composer.json, or what is clear without it.
    async fn manifest(&self, one: &ToLook) -> Result<Result<Vec<u8>, Verdict>, ForgeError> {
        let project = &one.project;
        if one.package.is_some() {
            // It is a package whatever the file says: that is for its own sync.
            return Ok(Ok(Vec::new()));
        }
        let patterns = self.known.group.projects.as_deref().unwrap_or_default();
        if let Some(verdict) = before_asking(&project.path, project.archived, patterns) {
            return Ok(Err(verdict));
        }
        match self.client.ask(&self.dialect.manifest(project)).await {
            Ok(answer) => Ok(Ok(answer.body)),
            Err(error) if error.kind == Kind::Missing => {
                Ok(Err(Verdict::because(ProjectState::NoManifest, "its default branch has no composer.json")))
            }
            Err(error) if error.is_about_one() => Ok(Err(Verdict::because(ProjectState::Failed, error.to_string()))),
            Err(error) => Err(error),
        }
    }

    async fn judge(
        &self,
        transaction: &mut TenantTransaction,
        one: &ToLook,
        manifest: Result<Vec<u8>, Verdict>,
    ) -> Result<(Option<Looked>, Verdict, Option<PackageId>), GroupError> {
        let settled = |verdict| (None, verdict, None);
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(verdict) => return Ok(settled(verdict)),
        };
        let (credential, address) = match self.address(transaction, &one.project).await? {
            Ok(found) => found,
            Err(reason) => return Ok(settled(Verdict::because(ProjectState::Refused, reason))),
        };
        let standing = Verdict { state: ProjectState::Package, reason: None };
        if let Some(package) = one.package {
            return self.follow(transaction, package, &one.project, &address).await;
        }
        let remote = Remote { id: None, addresses: vec![address.clone()], path: None };
        if let Some(there) = webhook_deliveries::concerned(transaction, &remote).await?.into_iter().next() {
            // Added by hand before; another repository behind the address is for the webhook and the operator to find.
            webhook_deliveries::named(transaction, there.id, &one.project.remote_id).await?;
            return Ok((None, standing, Some(there.id)));
        }
        let globs: Vec<PackageGlob> =
            self.known.group.packages.iter().filter_map(|glob| PackageGlob::parse(glob).ok()).collect();
        let name = match package_name(&manifest, &globs) {
            Ok(name) => name,
            Err(verdict) => return Ok(settled(verdict)),
        };
        if packages::keep(transaction, &name).await?.is_some() {
            let reason =
                format!("`{name}` is read from another repository; delete that package, or give this one another name");
            return Ok(settled(Verdict::because(ProjectState::Refused, reason)));
        }
        let wanted = self.wanted(address, credential);
        let (id, _) = add_package::add(transaction, &name, &wanted, Priority::Pushed).await?;
        webhook_deliveries::named(transaction, id, &one.project.remote_id).await?;
        Ok((Some(Looked::Added(name)), standing, Some(id)))
    }

    fn wanted(&self, repository_url: String, credential: GitCredentialId) -> PackageFields {
        PackageFields {
            repository_type: self.known.group.provider.as_str().to_owned(),
            repository_url: Some(repository_url),
            credential: Some(credential),
            fork: false,
            source: None,
            abandoned: false,
            replacement: None,
            monorepo: None,
            tag_pattern: None,
            branches: None,
            deleted_tags: "keep".to_owned(),
            releases: Releases::Auto,
        }
    }

    /// Where the project's repository is read from, and with what.
    async fn address(
        &self,
        transaction: &mut TenantTransaction,
        project: &Project,
    ) -> Result<Result<(GitCredentialId, String), String>, GroupError> {
        let used = self.known.group.package_credential.as_ref().unwrap_or(&self.known.group.credential);
        let credential: SealedCredential =
            git_credentials::sealed(transaction, used.id).await?.ok_or(GroupError::Gone)?;
        let (given, way) = match credential.kind {
            GitCredentialKind::Ssh => (&project.ssh, "ssh"),
            GitCredentialKind::Https | GitCredentialKind::GithubApp => (&project.https, "https"),
        };
        let Some(given) = given else { return Ok(Err(format!("its forge gives no address over {way}"))) };
        let url = match RepositoryUrl::parse(given, &self.state.config.git.url_policy()) {
            Ok(url) => url,
            Err(error) => return Ok(Err(format!("its address over {way}: {error}"))),
        };
        Ok(match repository_credential::check(&credential, &url) {
            Ok(()) => Ok((credential.id, url.as_text())),
            Err(error) => Err(error.to_string()),
        })
    }

    /// A package whose project lies elsewhere now goes along with it: the forge's own name for it is the same.
    async fn follow(
        &self,
        transaction: &mut TenantTransaction,
        package: PackageId,
        project: &Project,
        address: &str,
    ) -> Result<(Option<Looked>, Verdict, Option<PackageId>), GroupError> {
        let standing = Verdict { state: ProjectState::Package, reason: None };
        let Some(Concerned { name, repository_url, remote_id, .. }) =
            webhook_deliveries::one(transaction, package).await?
        else {
            let reason = "its package was deleted; add it again with POST /packages";
            return Ok((None, Verdict::because(ProjectState::Refused, reason), None));
        };
        let (before, now) = (RepositoryKey::of(&repository_url), RepositoryKey::of(address));
        let Some(key) = now.filter(|now| before.as_ref() != Some(now)) else { return Ok((None, standing, None)) };
        if remote_id.as_deref() != Some(&project.remote_id) {
            // An operator gave it another address.
            return Ok((None, standing, None));
        }
        webhook_deliveries::follow(transaction, package, (address, key.as_str())).await?;
        transaction.audit("package.follow", name.as_str(), json!({"from": repository_url, "to": address}));
        jobs::enqueue(transaction, SYNC_PACKAGE, package, Priority::Pushed).await?;
        Ok((Some(Looked::Moved(name.to_string())), standing, None))
    }
}
