//! Bitbucket Cloud's API, 2.0. A list goes on at the address that `next` gives; only its query is taken over.
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/>, `…-group-source/`, `…-group-webhooks`.

use serde_json::{Value, json};

use super::json::{id, items, needed, part, path, text};
use super::{Answer, ForgeError, NewHook, Page, Project, Question, RemoteHook};

const PAGE: u32 = 100;

pub(super) fn list_projects(workspace: &str, next: Option<&str>) -> Question {
    let first = format!("pagelen={PAGE}&sort=created_on");
    Question::get(format!("/repositories/{}?{}", part(workspace), next.unwrap_or(&first)))
}

pub(super) fn projects(answer: &Answer, _: Option<&str>) -> Result<Page<Project>, ForgeError> {
    let body = answer.json()?;
    let next = text(&body, "/next").and_then(|next| next.split_once('?')).map(|(_, query)| query.to_owned());
    Ok(Page { items: items(&body, "/values", project)?, next })
}

fn project(value: &Value) -> Result<Project, ForgeError> {
    let name = needed(value, "/full_name")?;
    Ok(Project {
        remote_id: format!("bitbucket:{}", id(value, "/uuid")?),
        api: name.clone(),
        path: name,
        https: clone_address(value, "https"),
        ssh: clone_address(value, "ssh"),
        default_branch: text(value, "/mainbranch/name").map(str::to_owned),
        archived: false,
        changed: text(value, "/updated_on").map(str::to_owned),
    })
}

/// The address of that name, without the user that Bitbucket writes into it.
pub(super) fn clone_address(value: &Value, kind: &str) -> Option<String> {
    let all = value.pointer("/links/clone")?.as_array()?;
    let found = all.iter().find(|one| text(one, "/name") == Some(kind)).and_then(|one| text(one, "/href"))?;
    match (kind, url::Url::parse(found)) {
        ("ssh", _) => Some(found.to_owned()),
        (_, Ok(mut url)) => url.set_username("").and_then(|()| url.set_password(None)).ok().map(|()| url.into()),
        (_, Err(_)) => None,
    }
}

pub(super) fn manifest(project: &Project) -> Question {
    let branch = project.default_branch.as_deref().unwrap_or("HEAD");
    Question::get(format!("/repositories/{}/src/{}/composer.json", path(&project.api), part(branch)))
}

pub(super) fn list_hooks(project: &str) -> Question {
    Question::get(format!("/repositories/{}/hooks?pagelen={PAGE}", path(project)))
}

pub(super) fn hooks(answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
    items(&answer.json()?, "/values", |hook| Ok(RemoteHook { id: id(hook, "/uuid")?, url: needed(hook, "/url")? }))
}

pub(super) fn create_hook(project: &str, NewHook { url, secret }: NewHook<'_>) -> Question {
    let body = json!({
        "description": "Composer registry", "url": url, "secret": secret, "active": true,
        "events": ["repo:push", "repo:updated"],
    });
    Question::post(format!("/repositories/{}/hooks", path(project)), body)
}

pub(super) fn created_hook(answer: &Answer) -> Result<String, ForgeError> {
    id(&answer.json()?, "/uuid")
}

pub(super) fn delete_hook(project: &str, hook: &str) -> Question {
    Question::delete(format!("/repositories/{}/hooks/{}", path(project), part(hook)))
}
