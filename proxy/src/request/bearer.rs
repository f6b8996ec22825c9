//! Who asks: one access at one tenant at one instant, with the collections that its grants name.
//!
//! Borrowed from what was read for the request; nothing here is copied or kept.

use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, Message, Package, Tenant, Values, Version};
use cargoman_licence::{CollectionId, Grant, Target, VersionFacts, View, in_token_scope};
use chrono::{DateTime, Utc};

use super::refuse::day;
use super::route::File;
use crate::cache::collections::Held;

/// The bearer of a token, with all that his rights depend on.
#[derive(Clone, Copy)]
pub(crate) struct Bearer<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) access: &'a Access,
    pub(crate) held: &'a Held,
    /// Which of his tokens it is.
    pub(crate) token_id: &'a str,
    /// Equal for bearers of equal rights, as long as what is held is the same.
    pub(crate) rights: Option<Digest>,
    pub(crate) now: DateTime<Utc>,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) package: &'a str,
    /// As its author writes it; empty where it must not be named.
    pub(crate) version: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) until: Option<DateTime<Utc>>,
}

impl<'a> Bearer<'a> {
    /// What he sees of a package.
    pub(crate) fn view(&self, package: &PackageName) -> View<'a> {
        let held = self.held;
        View::new(self.access, &|id: &CollectionId| held.collection(id), package, self.now)
    }

    /// Whether he was given `package`, whatever his token is narrowed to.
    pub(crate) fn has_grant(&self, package: &PackageName) -> bool {
        has_grant(self.access, self.held, package)
    }

    /// Whether he was given `package`, and the token is not narrowed to others.
    pub(crate) fn covers(&self, package: &PackageName) -> bool {
        in_token_scope(self.access, package) && self.has_grant(package)
    }

    /// Positions of the versions that stand in his metadata, in the package's order. `file` narrows to one of the two files.
    pub(crate) fn visible(&self, package: &Package, file: Option<File>) -> Vec<u32> {
        visible(&self.view(&package.name), package, file)
    }

    /// Whether any version does.
    pub(crate) fn sees(&self, package: &Package) -> bool {
        let view = self.view(&package.name);
        package.versions.iter().any(|version| view.sight(facts(version)).visible)
    }

    /// The tenant's words to him. They may hold control characters: whoever writes them out cleans them.
    pub(crate) fn words(&self, message: Message, about: About<'_>) -> String {
        let messages = &self.tenant.messages;
        messages.words(
            message,
            Values {
                customer: &self.access.customer.name,
                package: about.package,
                version: about.version,
                reason: about.reason.unwrap_or_default(),
                until: &about.until.map(day).unwrap_or_default(),
                renew_url: messages.renew_url.as_deref().unwrap_or(&self.tenant.canonical_url),
            },
        )
    }
}

/// Whether a grant names `package`, itself or by a collection, whatever the token is narrowed to.
pub(crate) fn has_grant(access: &Access, held: &Held, package: &PackageName) -> bool {
    access.grants.iter().any(|grant| match &grant.target {
        Target::Package(name) => name == package,
        Target::Collection(id) => held.collection(id).is_some_and(|collection| collection.packages.contains(package)),
    })
}

/// As [`Bearer::visible`], for one who has the view already.
pub(crate) fn visible(view: &View<'_>, package: &Package, file: Option<File>) -> Vec<u32> {
    let wanted = |version: &Version| file.is_none_or(|file| file == file_of(version));
    (0..)
        .zip(&package.versions)
        .filter(|(_, version)| wanted(version) && view.sight(facts(version)).visible)
        .map(|(position, _)| position)
        .collect()
}

/// Every package under a grant that `wanted` takes and within the token's scope, in order and once each. Packages of collections
/// by pattern need the directory.
pub(crate) fn under(access: &Access, held: &Held, wanted: impl Fn(&Grant) -> bool) -> Vec<PackageName> {
    let mut names: Vec<&PackageName> = Vec::new();
    for grant in access.grants.iter().filter(|grant| wanted(grant)) {
        match &grant.target {
            Target::Package(name) => names.push(name),
            Target::Collection(id) => {
                let Some(collection) = held.collection(id) else { continue };
                let (members, patterns) = (&collection.packages, collection.packages.patterns());
                names.extend(members.names());
                if !patterns.is_empty() {
                    names.extend(held.directory().iter().filter(|name| members.contains(name)));
                }
            }
        }
    }
    names.retain(|name| in_token_scope(access, name));
    names.sort_unstable();
    names.dedup();
    names.into_iter().cloned().collect()
}

/// Which of the two files a version belongs to.
pub(crate) fn file_of(version: &Version) -> File {
    if version.version.stability() == Stability::Dev { File::Dev } else { File::Stable }
}

/// A version at its present reference.
pub(crate) fn facts(version: &Version) -> VersionFacts<'_> {
    facts_at(version, &version.reference, version.published_at)
}

/// A version at one of its references.
pub(crate) fn facts_at<'a>(version: &'a Version, reference: &'a str, published_at: DateTime<Utc>) -> VersionFacts<'a> {
    VersionFacts {
        version: &version.version,
        aliases: &version.aliases,
        reference,
        published_at,
        yanked: version.yanked,
        taken_down: version.taken_down.as_deref(),
    }
}
