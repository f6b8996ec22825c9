//! Decides how the API of a forge is spoken: which projects a group has, whether one is a package, and which hooks it has. Each forge's
//! own words are in a module of their own; here is what they have in common.
//!
//! Questions and answers are plain values; only [`client`] speaks to anybody. Nothing here decides what becomes of a project, and nothing
//! a forge says is believed further than its own group: the repository itself is read by the same sync as ever.

pub mod address;
mod bitbucket_cloud;
mod bitbucket_data_center;
pub mod client;
pub mod error;
mod gitea;
mod github;
pub mod github_app;
mod gitlab;
pub mod installations;
mod json;

use serde::Serialize;
use serde_json::Value;

pub use self::error::ForgeError;

/// Which API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// GitHub's REST API, github.com's or Enterprise's.
    Github,
    /// GitLab's, version 4.
    Gitlab,
    /// Bitbucket Cloud's, 2.0.
    BitbucketCloud,
    /// Bitbucket Data Center's, 1.0.
    BitbucketDataCenter,
    /// Gitea's and Forgejo's, version 1.
    Gitea,
}

/// A question, sent below the address of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `GET`, `POST`, `DELETE`.
    pub method: http::Method,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// What is accepted.
    pub accept: &'static str,
    /// JSON to send along.
    pub body: Option<Value>,
}

const JSON: &str = "application/json";

impl Question {
    fn get(path: String) -> Self {
        Self { method: http::Method::GET, path, accept: JSON, body: None }
    }

    fn post(path: String, body: Value) -> Self {
        Self { method: http::Method::POST, path, accept: JSON, body: Some(body) }
    }

    fn delete(path: String) -> Self {
        Self { method: http::Method::DELETE, path, accept: JSON, body: None }
    }
}

/// An answer with a good status.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its bytes.
    pub body: Vec<u8>,
    /// The header `X-Next-Page`.
    pub next_page: Option<String>,
    /// Whether a header `Link` names a next page.
    pub links_next: bool,
}

impl Answer {
    fn json(&self) -> Result<Value, ForgeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ForgeError::unreadable(format_args!("it is no JSON: {error}")))
    }
}

/// A project: a repository, as its forge describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The forge's own name for it, which stays when it is renamed: `gitlab:15`. The same that its deliveries say.
    pub remote_id: String,
    /// Its path for people: `acme/team/pay`.
    pub path: String,
    /// How the API names it.
    pub api: String,
    /// Address over https.
    pub https: Option<String>,
    /// Address over ssh.
    pub ssh: Option<String>,
    /// Its default branch; none while it is empty, or where the listing does not say.
    pub default_branch: Option<String>,
    /// Whether it may only be read any more.
    pub archived: bool,
    /// Something that changes when the project does; none where the listing has nothing of the kind.
    pub changed: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, in the forge's own words.
    pub next: Option<String>,
}

/// A hook that a project has at its forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteHook {
    /// The forge's own name for it.
    pub id: String,
    /// Whom it calls.
    pub url: String,
}

/// What a new hook is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewHook<'a> {
    /// Whom it calls.
    pub url: &'a str,
    /// What it proves itself with.
    pub secret: &'a str,
}

/// Calls a function of the dialect's module.
macro_rules! in_dialect {
    ($dialect:expr, $name:ident ( $($argument:expr),* )) => {
        match $dialect {
            Dialect::Github => github::$name($($argument),*),
            Dialect::Gitlab => gitlab::$name($($argument),*),
            Dialect::BitbucketCloud => bitbucket_cloud::$name($($argument),*),
            Dialect::BitbucketDataCenter => bitbucket_data_center::$name($($argument),*),
            Dialect::Gitea => gitea::$name($($argument),*),
        }
    };
}

impl Dialect {
    /// Asks for the projects of a group, from `next` on; `path` is empty for all of a forge.
    #[must_use]
    pub fn list_projects(self, path: &str, next: Option<&str>) -> Question {
        in_dialect!(self, list_projects(path, next))
    }

    /// The projects of a page that was asked for from `next` on.
    ///
    /// # Errors
    /// When the answer is not what the forge documents.
    pub fn projects(self, answer: &Answer, next: Option<&str>) -> Result<Page<Project>, ForgeError> {
        in_dialect!(self, projects(answer, next))
    }

    /// Asks for the default branch's composer.json.
    #[must_use]
    pub fn manifest(self, project: &Project) -> Question {
        in_dialect!(self, manifest(project))
    }

    /// Asks for the hooks of a project.
    #[must_use]
    pub fn list_hooks(self, api: &str) -> Question {
        in_dialect!(self, list_hooks(api))
    }

    /// Those hooks. More than a page of them no project has.
    ///
    /// # Errors
    /// When the answer is not what the forge documents.
    pub fn hooks(self, answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
        in_dialect!(self, hooks(answer))
    }

    /// Makes a hook for pushes of branches and tags, and for what else happens to the repository.
    #[must_use]
    pub fn create_hook(self, api: &str, hook: NewHook<'_>) -> Question {
        in_dialect!(self, create_hook(api, hook))
    }

    /// The name of the hook that was made.
    ///
    /// # Errors
    /// When the answer is not what the forge documents.
    pub fn created_hook(self, answer: &Answer) -> Result<String, ForgeError> {
        in_dialect!(self, created_hook(answer))
    }

    /// Takes a hook away.
    #[must_use]
    pub fn delete_hook(self, api: &str, id: &str) -> Question {
        in_dialect!(self, delete_hook(api, id))
    }
}
