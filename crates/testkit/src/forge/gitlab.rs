//! GitLab's API, version 4.

use serde_json::{Value, json};

use super::{Hook, Project, Reply, Request, World, bad, body, good, missing, page, parameter, parts};

pub(super) fn answer(world: &mut World, request: &Request, path: &str, query: &str) -> Reply {
    if !world.proves(request, &["Bearer "]) && request.header("private-token") != Some(&world.token) {
        return bad(401, "401 Unauthorized");
    }
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["projects"]) => list(world, "", query),
        ("GET", ["groups", group, "projects"]) if world.below(group).is_empty() => missing(),
        ("GET", ["groups", group, "projects"]) => list(world, group, query),
        (method, ["projects", id, rest @ ..]) => {
            let found = world.projects.iter().find(|one| one.id.to_string() == *id).cloned();
            found.map_or_else(missing, |project| of_project(world, (method, rest), &project, (request, query)))
        }
        _ => missing(),
    }
}

fn of_project(
    world: &mut World,
    asked: (&str, &[&str]),
    project: &Project,
    (request, query): (&Request, &str),
) -> Reply {
    match asked {
        ("GET", ["repository", "files", "composer.json", "raw"]) => {
            match (parameter(query, "ref"), world.branch(project)) {
                (Some(asked), Some(branch)) if asked == branch || asked == "HEAD" => world.manifest(project),
                _ => missing(),
            }
        }
        (_, ["hooks", ..]) if !world.may_hook => bad(403, "403 Forbidden"),
        ("GET", ["hooks"]) => good(200, &world.hooks_of(project.id).map(shown).collect()),
        ("POST", ["hooks"]) => good(201, &shown(&world.hook(project.id, body(request), "/url", "/token"))),
        ("DELETE", ["hooks", id]) if world.unhook(project.id, id) => {
            Reply { status: 204, headers: Vec::new(), body: Vec::new() }
        }
        _ => missing(),
    }
}

/// Never with its token.
fn shown(hook: &Hook) -> Value {
    json!({"id": hook.id, "url": hook.url, "project_id": hook.project, "push_events": true})
}

fn list(world: &World, group: &str, query: &str) -> Reply {
    let wanted = |one: &Project| parameter(query, "archived").as_deref() != Some("false") || !one.archived;
    let all: Vec<Project> = world.below(group).into_iter().filter(wanted).collect();
    let (projects, more) = page(&all, query);
    let number: u32 = parameter(query, "page").and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut reply = good(200, &projects.iter().map(|project| described(world, project)).collect());
    reply.headers.push(("X-Next-Page", if more { (number + 1).to_string() } else { String::new() }));
    reply
}

fn described(world: &World, project: &Project) -> Value {
    let branch = world.branch(project);
    json!({
        "id": project.id, "path_with_namespace": project.path, "default_branch": branch, "empty_repo": branch.is_none(),
        "archived": project.archived, "last_activity_at": "2026-01-01T00:00:00.000Z",
        "http_url_to_repo": format!("{}/{}.git", world.base, project.path), "ssh_url_to_repo": format!("git@forge.test:{}.git", project.path),
    })
}
