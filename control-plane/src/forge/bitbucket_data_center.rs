//! Bitbucket Data Center's API, 1.0. `nextPageStart` says where a list goes on. A project there has repositories: it is our group, and
//! a repository our project.
//! <https://developer.atlassian.com/server/bitbucket/rest/>, groups Project, Repository and Webhooks.

use serde_json::{Value, json};

use super::bitbucket_cloud::clone_address;
use super::json::{flag, id, items, needed, part, text};
use super::{Answer, ForgeError, NewHook, Page, Project, Question, RemoteHook};

const PAGE: u32 = 100;

pub(super) fn list_projects(key: &str, next: Option<&str>) -> Question {
    let start = part(next.unwrap_or("0"));
    Question::get(format!("/projects/{}/repos?limit={PAGE}&start={start}", part(key)))
}

pub(super) fn projects(answer: &Answer, _: Option<&str>) -> Result<Page<Project>, ForgeError> {
    let body = answer.json()?;
    let next = (!flag(&body, "/isLastPage")).then(|| id(&body, "/nextPageStart")).transpose()?;
    Ok(Page { items: items(&body, "/values", project)?, next })
}

fn project(value: &Value) -> Result<Project, ForgeError> {
    let (key, slug) = (needed(value, "/project/key")?, needed(value, "/slug")?);
    Ok(Project {
        remote_id: format!("bitbucket-dc:{}", id(value, "/id")?),
        path: format!("{key}/{slug}"),
        api: format!("{key}/{slug}"),
        https: clone_address(value, "http").or_else(|| clone_address(value, "https")),
        ssh: clone_address(value, "ssh"),
        default_branch: text(value, "/defaultBranch").map(str::to_owned),
        archived: flag(value, "/archived"),
        changed: None,
    })
}

/// Where a repository lies below the API's address.
fn below(project: &str) -> String {
    let (key, slug) = project.split_once('/').unwrap_or((project, ""));
    format!("/projects/{}/repos/{}", part(key), part(slug))
}

pub(super) fn manifest(project: &Project) -> Question {
    // Without `at` it is the default branch's.
    Question::get(format!("{}/raw/composer.json", below(&project.api)))
}

pub(super) fn list_hooks(project: &str) -> Question {
    Question::get(format!("{}/webhooks?limit={PAGE}", below(project)))
}

pub(super) fn hooks(answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
    items(&answer.json()?, "/values", |hook| Ok(RemoteHook { id: id(hook, "/id")?, url: needed(hook, "/url")? }))
}

pub(super) fn create_hook(project: &str, NewHook { url, secret }: NewHook<'_>) -> Question {
    let body = json!({
        "name": "Composer registry", "url": url, "active": true, "events": ["repo:refs_changed", "repo:modified"],
        "configuration": {"secret": secret},
    });
    Question::post(format!("{}/webhooks", below(project)), body)
}

pub(super) fn created_hook(answer: &Answer) -> Result<String, ForgeError> {
    id(&answer.json()?, "/id")
}

pub(super) fn delete_hook(project: &str, hook: &str) -> Question {
    Question::delete(format!("{}/webhooks/{}", below(project), part(hook)))
}
