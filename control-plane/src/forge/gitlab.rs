//! GitLab's API, version 4. `X-Next-Page` says where a list goes on; a project is named by its number, a group by its path as one part.
//! <https://docs.gitlab.com/api/groups/#list-projects>, `/api/repository_files/`, `/api/project_webhooks/`.

use serde_json::{Value, json};

use super::json::{flag, id, items, needed, part, text};
use super::{Answer, ForgeError, NewHook, Page, Project, Question, RemoteHook};

const PAGE: u32 = 100;

pub(super) fn list_projects(group: &str, next: Option<&str>) -> Question {
    let page = next.unwrap_or("1");
    let order = format!("archived=false&order_by=id&sort=asc&per_page={PAGE}&page={}", part(page));
    Question::get(match group {
        // Of a whole instance.
        "" => format!("/projects?{order}"),
        group => format!("/groups/{}/projects?include_subgroups=true&with_shared=false&{order}", part(group)),
    })
}

pub(super) fn projects(answer: &Answer, _: Option<&str>) -> Result<Page<Project>, ForgeError> {
    let next = answer.next_page.clone().filter(|next| !next.is_empty());
    Ok(Page { items: items(&answer.json()?, "", project)?, next })
}

fn project(value: &Value) -> Result<Project, ForgeError> {
    let number = id(value, "/id")?;
    let branch = text(value, "/default_branch").filter(|_| !flag(value, "/empty_repo"));
    Ok(Project {
        remote_id: format!("gitlab:{number}"),
        path: needed(value, "/path_with_namespace")?,
        api: number,
        https: text(value, "/http_url_to_repo").map(str::to_owned),
        ssh: text(value, "/ssh_url_to_repo").map(str::to_owned),
        default_branch: branch.map(str::to_owned),
        archived: flag(value, "/archived"),
        // To the hour alone.
        changed: None,
    })
}

pub(super) fn manifest(project: &Project) -> Question {
    let branch = project.default_branch.as_deref().unwrap_or("HEAD");
    Question::get(format!("/projects/{}/repository/files/composer.json/raw?ref={}", part(&project.api), part(branch)))
}

pub(super) fn list_hooks(project: &str) -> Question {
    Question::get(format!("/projects/{}/hooks?per_page={PAGE}", part(project)))
}

pub(super) fn hooks(answer: &Answer) -> Result<Vec<RemoteHook>, ForgeError> {
    items(&answer.json()?, "", |hook| Ok(RemoteHook { id: id(hook, "/id")?, url: needed(hook, "/url")? }))
}

pub(super) fn create_hook(project: &str, NewHook { url, secret }: NewHook<'_>) -> Question {
    let body = json!({
        "url": url, "token": secret, "push_events": true, "tag_push_events": true, "enable_ssl_verification": true,
    });
    Question::post(format!("/projects/{}/hooks", part(project)), body)
}

pub(super) fn created_hook(answer: &Answer) -> Result<String, ForgeError> {
    id(&answer.json()?, "/id")
}

pub(super) fn delete_hook(project: &str, hook: &str) -> Question {
    Question::delete(format!("/projects/{}/hooks/{}", part(project), part(hook)))
}
