//! GitHub's REST API. What an installation of an App may see is asked of the installation; an access token asks for an organisation.
//! <https://docs.github.com/en/rest/apps/installations>, `/rest/repos/repos`, `/rest/repos/contents`, `/rest/repos/webhooks`.

use serde_json::{Value, json};

use super::json::{flag, following, id, items, needed, part, path, text};
use super::{Answer, ForgeError, NewHook, Page, Project, Question, RemoteHook};

const PAGE: u32 = 100;
/// What GitHub wants to be asked for.
const ACCEPT: &str = "application/vnd.github+json";
const RAW: &str = "application/vnd.github.raw+json";

/// Stands for what the installation whose token is used may see.
pub(super) const INSTALLATION: &str = "";

pub(super) fn list_projects(group: &str, next: Option<&str>) -> Question {
    let page = format!("per_page={PAGE}&page={}", part(next.unwrap_or("1")));
    let path = match (group, group.strip_prefix('~')) {
        (INSTALLATION, _) => format!("/installation/repositories?{page}"),
        (_, Some(user)) => format!("/users/{}/repos?type=owner&{page}", part(user)),
        (group, None) => format!("/orgs/{}/repos?type=all&{page}", part(group)),
    };
    Question { accept: ACCEPT, ..Question::get(path) }
}

pub(super) fn projects(answer: &Answer, next: Option<&str>) -> Result<Page<Project>, ForgeError> {
    let body = answer.json()?;
    let list = if body.is_array() { "" } else { "/repositories" };
    Ok(Page { items: items(&body, list, project)?, next: answer.links_next.then(|| following(next)) })
}

fn project(value: &Value) -> Result<Project, ForgeError> {
    let name = needed(value, "/full_name")?;
    Ok(Project {
        remote_id: format!("github:{}", id(value, "/id")?),
        api: name.clone(),
        path: name,
        https: text(value, "/clone_url").map(str::to_owned),
        ssh: text(value, "/ssh_url").map(str::to_owned),
        // An empty repository has one as well, so that asking for its composer.json finds nothing.
        default_branch: text(value, "/default_branch").map(str::to_owned),
        archived: flag(value, "/archived"),
        changed: text(value, "/pushed_at").map(str::to_owned),
    })
}

pub(super) fn manifest(project: &Project) -> Question {
    let path = format!("/repos/{}/contents/composer.json", path(&project.api));
    Question { accept: RAW, ..Question::get(path) }
}

pub(super) fn list_hooks(project: &str) -> Question {
    Question { accept: ACCEPT, ..Question::get(format!("/repos/{}/hooks?per_page={PAGE}", path(project))) }
}

pub(super) fn hooks(answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
    items(&answer.json()?, "", |hook| Ok(RemoteHook { id: id(hook, "/id")?, url: needed(hook, "/config/url")? }))
}

pub(super) fn create_hook(project: &str, NewHook { url, secret }: NewHook<'_>) -> Question {
    let body = json!({
        "name": "web", "active": true, "events": ["push", "create", "delete", "repository"],
        "config": {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"},
    });
    Question { accept: ACCEPT, ..Question::post(format!("/repos/{}/hooks", path(project)), body) }
}

pub(super) fn created_hook(answer: &Answer) -> Result<String, ForgeError> {
    id(&answer.json()?, "/id")
}

pub(super) fn delete_hook(project: &str, hook: &str) -> Question {
    Question { accept: ACCEPT, ..Question::delete(format!("/repos/{}/hooks/{}", path(project), part(hook))) }
}
