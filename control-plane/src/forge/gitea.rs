//! The API of Gitea and Forgejo, version 1. A page has at most 50 items; `Link` says whether another one follows.
//! `/orgs/{org}/repos`, `/repos/{owner}/{repo}/raw/{filepath}`, `/repos/{owner}/{repo}/hooks` of their OpenAPI documents.

use serde_json::{Value, json};

use super::json::{flag, following, id, items, needed, part, path, text};
use super::{Answer, ForgeError, NewHook, Page, Project, Question, RemoteHook};

const PAGE: u32 = 50;

pub(super) fn list_projects(group: &str, next: Option<&str>) -> Question {
    let page = format!("page={}&limit={PAGE}", part(next.unwrap_or("1")));
    Question::get(match group.strip_prefix('~') {
        Some(user) => format!("/users/{}/repos?{page}", part(user)),
        None => format!("/orgs/{}/repos?{page}", part(group)),
    })
}

pub(super) fn projects(answer: &Answer, next: Option<&str>) -> Result<Page<Project>, ForgeError> {
    let next = answer.links_next.then(|| following(next));
    Ok(Page { items: items(&answer.json()?, "", project)?, next })
}

fn project(value: &Value) -> Result<Project, ForgeError> {
    let name = needed(value, "/full_name")?;
    let branch = text(value, "/default_branch").filter(|_| !flag(value, "/empty"));
    Ok(Project {
        remote_id: format!("gitea:{}", id(value, "/id")?),
        api: name.clone(),
        path: name,
        https: text(value, "/clone_url").map(str::to_owned),
        ssh: text(value, "/ssh_url").map(str::to_owned),
        default_branch: branch.map(str::to_owned),
        archived: flag(value, "/archived"),
        changed: text(value, "/updated_at").map(str::to_owned),
    })
}

pub(super) fn manifest(project: &Project) -> Question {
    // Without `ref` it is the default branch's.
    Question::get(format!("/repos/{}/raw/composer.json", path(&project.api)))
}

pub(super) fn list_hooks(project: &str) -> Question {
    Question::get(format!("/repos/{}/hooks?limit={PAGE}", path(project)))
}

pub(super) fn hooks(answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
    items(&answer.json()?, "", |hook| Ok(RemoteHook { id: id(hook, "/id")?, url: needed(hook, "/config/url")? }))
}

pub(super) fn create_hook(project: &str, NewHook { url, secret }: NewHook<'_>) -> Question {
    let body = json!({
        "type": "gitea", "active": true, "events": ["push", "create", "delete", "repository"],
        "config": {"url": url, "content_type": "json", "secret": secret},
    });
    Question::post(format!("/repos/{}/hooks", path(project)), body)
}

pub(super) fn created_hook(answer: &Answer) -> Result<String, ForgeError> {
    id(&answer.json()?, "/id")
}

pub(super) fn delete_hook(project: &str, hook: &str) -> Question {
    Question::delete(format!("/repos/{}/hooks/{}", path(project), part(hook)))
}
