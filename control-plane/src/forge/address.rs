//! Decides where the API of a group's forge lies, and which dialect it speaks. The API must lie at the origin of the group, or at the one
//! place that is known to belong to it: a credential is sent to its own forge and nowhere else (G-N4). Pure.

use url::Url;

use super::Dialect;
use crate::git::url::{RepositoryUrl, UrlPolicy};
use crate::webhook::Provider;

/// Forges whose API has a host of its own.
const ELSEWHERE: [(&str, &str); 2] =
    [("https://github.com", "https://api.github.com"), ("https://bitbucket.org", "https://api.bitbucket.org/2.0")];
/// The one instance that is everybody's.
const EVERYBODYS: &str = "https://gitlab.com";

/// Where a group of projects lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAddress {
    /// Who speaks.
    pub provider: Provider,
    /// Its address for people, in one form: `https://gitlab.example/acme/team`.
    pub url: String,
    /// Scheme, host and port that the credential may be sent to.
    pub origin: String,
    /// Where the API begins, without a `/` at the end.
    pub api_url: String,
    /// How the API names the group; empty for a whole instance.
    pub path: String,
}

/// What is wrong, and with which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAddressError {
    /// `url` or `api_url`.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

fn wrong(field: &'static str, message: impl Into<String>) -> GroupAddressError {
    GroupAddressError { field, message: message.into() }
}

impl GroupAddress {
    /// The group that lies at `url`, and its API at `api_url` or where the forge has it.
    ///
    /// # Errors
    /// With the field.
    pub fn parse(
        provider: Provider,
        url: &str,
        api_url: Option<&str>,
        policy: &UrlPolicy,
    ) -> Result<Self, GroupAddressError> {
        let (url, origin) = web(url, "url", policy)?;
        let api = match api_url {
            Some(text) => given_api(text, &origin, policy)?,
            None => usual_api(provider, &origin),
        };
        let folder = folder_of(&api, &origin);
        let path = url.path().trim_matches('/');
        let path = path.strip_prefix(folder.as_str()).unwrap_or(path).trim_matches('/');
        let path = group_path(provider, dialect(provider, &api), path, &origin)?;
        let url = format!("{origin}{}", url.path().trim_end_matches('/'));
        Ok(Self { provider, url, origin, api_url: api, path })
    }

    /// How the API is spoken.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        dialect(self.provider, &self.api_url)
    }
}

/// How the API at an address is spoken.
#[must_use]
pub fn dialect(provider: Provider, api_url: &str) -> Dialect {
    match provider {
        Provider::Gitlab => Dialect::Gitlab,
        Provider::Gitea => Dialect::Gitea,
        Provider::Bitbucket if api_url.ends_with("/2.0") => Dialect::BitbucketCloud,
        Provider::Bitbucket => Dialect::BitbucketDataCenter,
        Provider::Github | Provider::Packagist => Dialect::Github,
    }
}

/// An address that could also be a repository's: the same rules for hosts, ports and characters.
fn web(text: &str, field: &'static str, policy: &UrlPolicy) -> Result<(Url, String), GroupAddressError> {
    const SHAPE: &str = "must be the address that a browser shows for the group, such as https://gitlab.example/acme";
    let trimmed = text.trim().trim_end_matches('/');
    // A repository's address needs a path.
    let bare = trimmed.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    let probe = if bare { format!("{trimmed}/x") } else { trimmed.to_owned() };
    let parsed = RepositoryUrl::parse(&probe, policy).map_err(|error| wrong(field, error.to_string()))?;
    let RepositoryUrl::Http(mut url) = parsed else { return Err(wrong(field, SHAPE)) };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(field, SHAPE));
    }
    if bare {
        url.set_path("/");
    }
    let origin = url.origin().ascii_serialization();
    Ok((url, origin))
}

/// Where the API of the forge at an origin usually lies.
#[must_use]
pub fn usual_api(provider: Provider, origin: &str) -> String {
    if let Some((_, api)) = ELSEWHERE.iter().find(|(forge, _)| *forge == origin) {
        return (*api).to_owned();
    }
    let folder = match provider {
        Provider::Github | Provider::Packagist => "api/v3",
        Provider::Gitlab => "api/v4",
        Provider::Gitea => "api/v1",
        Provider::Bitbucket => "rest/api/1.0",
    };
    format!("{origin}/{folder}")
}

fn given_api(text: &str, origin: &str, policy: &UrlPolicy) -> Result<String, GroupAddressError> {
    let (api, found) = web(text, "api_url", policy)?;
    let known = ELSEWHERE.iter().find(|(forge, _)| *forge == origin);
    let whole = |api: &str| api == found || api.strip_prefix(&found).is_some_and(|rest| rest.starts_with('/'));
    let belongs = found == origin || known.is_some_and(|(_, api)| whole(api));
    if !belongs {
        return Err(wrong(
            "api_url",
            format!("must lie at {origin}, where the group is: the credential is sent there"),
        ));
    }
    Ok(format!("{found}{}", api.path().trim_end_matches('/')))
}

/// The folder that a whole forge lies in: what stands before `/api/v4` and the like.
fn folder_of(api: &str, origin: &str) -> String {
    let path = api.strip_prefix(origin).unwrap_or_default().trim_matches('/');
    let end = ["api/v3", "api/v4", "api/v1", "rest/api/1.0", "rest/api/latest", "2.0"];
    let folder = end.iter().find_map(|end| path.strip_suffix(end)).unwrap_or_default();
    folder.trim_end_matches('/').to_owned()
}

/// How the API names the group at a path.
fn group_path(provider: Provider, dialect: Dialect, path: &str, origin: &str) -> Result<String, GroupAddressError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let named = |what: &str| Err(wrong("url", format!("must name {what} of the forge: {origin}/NAME")));
    match (dialect, parts.as_slice()) {
        (Dialect::Gitlab, []) if origin == EVERYBODYS => named("a group"),
        // What browsers show: /groups/acme/-/…
        (Dialect::Gitlab, ["groups", rest @ ..]) if !rest.is_empty() => Ok(until_dash(rest)),
        (Dialect::Gitlab, parts) => Ok(until_dash(parts)),
        (Dialect::BitbucketDataCenter, ["projects", key] | ["projects", key, "repos"]) => Ok((*key).to_owned()),
        (Dialect::BitbucketDataCenter, ["users", user]) => Ok(format!("~{user}")),
        (Dialect::BitbucketDataCenter, _) => Err(wrong("url", format!("must name a project: {origin}/projects/KEY"))),
        (Dialect::BitbucketCloud, [workspace] | [workspace, "workspace", ..]) => Ok((*workspace).to_owned()),
        (Dialect::Github, ["orgs", name] | ["orgs", name, "repositories"] | [name]) => Ok((*name).to_owned()),
        (Dialect::Gitea, [name] | ["org", name, ..]) => Ok((*name).to_owned()),
        _ => named(match provider {
            Provider::Bitbucket => "a workspace",
            _ => "an organization or a user",
        }),
    }
}

fn until_dash(parts: &[&str]) -> String {
    parts.iter().take_while(|part| **part != "-").copied().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::address::AllowedHosts;

    fn policy() -> UrlPolicy {
        UrlPolicy {
            allow_local: true,
            allowed_hosts: AllowedHosts::parse(&["git.internal"]).unwrap(),
            allowed_ports: vec![443, 22],
        }
    }

    #[test]
    fn where_an_api_lies() {
        use Provider::{Bitbucket, Gitea, Github, Gitlab};
        for (provider, url, api, expected) in [
            (Github, "https://github.com/acme", None, ("https://api.github.com", "acme")),
            (Github, "https://github.com/orgs/acme/repositories", None, ("https://api.github.com", "acme")),
            (Github, "https://git.internal/acme/", None, ("https://git.internal/api/v3", "acme")),
            (Gitlab, "https://gitlab.com/acme/team", None, ("https://gitlab.com/api/v4", "acme/team")),
            (Gitlab, "https://GitLab.com/groups/acme/-/issues", None, ("https://gitlab.com/api/v4", "acme")),
            (Gitlab, "https://git.internal", None, ("https://git.internal/api/v4", "")),
            (
                Gitlab,
                "https://git.internal/gitlab/acme",
                Some("https://git.internal/gitlab/api/v4/"),
                ("https://git.internal/gitlab/api/v4", "acme"),
            ),
            (Gitea, "https://git.internal/acme", None, ("https://git.internal/api/v1", "acme")),
            (Bitbucket, "https://bitbucket.org/acme", None, ("https://api.bitbucket.org/2.0", "acme")),
            (
                Bitbucket,
                "https://bitbucket.org/acme/workspace/repositories",
                None,
                ("https://api.bitbucket.org/2.0", "acme"),
            ),
            (Bitbucket, "https://git.internal/projects/ACME", None, ("https://git.internal/rest/api/1.0", "ACME")),
            (
                Bitbucket,
                "https://git.internal/bb/users/ann",
                Some("https://git.internal/bb/rest/api/1.0"),
                ("https://git.internal/bb/rest/api/1.0", "~ann"),
            ),
            (
                Bitbucket,
                "http://127.0.0.1:7990/acme",
                Some("http://127.0.0.1:7990/2.0"),
                ("http://127.0.0.1:7990/2.0", "acme"),
            ),
        ] {
            let found =
                GroupAddress::parse(provider, url, api, &policy()).unwrap_or_else(|error| panic!("{url}: {error:?}"));
            assert_eq!((found.api_url.as_str(), found.path.as_str()), expected, "{url}");
        }
        let cloud = GroupAddress::parse(Bitbucket, "https://bitbucket.org/acme", None, &policy()).unwrap();
        assert_eq!((cloud.dialect(), cloud.origin.as_str()), (Dialect::BitbucketCloud, "https://bitbucket.org"));
    }

    /// G-N4, G-U1: never another host's API, never an address that no repository may have.
    #[test]
    fn never_elsewhere() {
        use Provider::{Bitbucket, Gitea, Github, Gitlab};
        for (provider, url, api, field) in [
            (Github, "https://github.com", None, "url"),
            (Github, "https://github.com/acme/pay/tree", None, "url"),
            (Github, "https://user:hunter2@github.com/acme", None, "url"),
            (Github, "https://github.com/acme", Some("https://evil.example"), "api_url"),
            (Github, "https://github.com/acme", Some("https://api.github.com.evil.example"), "api_url"),
            (Github, "https://github.com/acme", Some("https://api.github.co"), "api_url"),
            (Github, "https://git.internal/acme", Some("https://api.github.com"), "api_url"),
            (Gitlab, "https://gitlab.com", None, "url"),
            (Gitlab, "https://10.0.0.1/acme", None, "url"),
            (Gitlab, "ssh://git@gitlab.com/acme", None, "url"),
            (Gitlab, "/srv/acme", None, "url"),
            (Gitlab, "https://gitlab.com/acme?private_token=hunter2", None, "url"),
            (Gitea, "https://git.internal/acme/pay", None, "url"),
            (Bitbucket, "https://git.internal/acme", None, "url"),
            (Bitbucket, "https://git.internal:8443/projects/ACME", None, "url"),
        ] {
            let error = GroupAddress::parse(provider, url, api, &policy()).expect_err(url);
            assert_eq!(error.field, field, "{url}: {}", error.message);
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }
}
