//! The API of Gitea and Forgejo, version 1.

use serde_json::{Value, json};

use super::{Hook, Project, Reply, Request, World, bad, body, good, missing, page, parts};

pub(super) fn answer(world: &mut World, request: &Request, path: &str, query: &str) -> Reply {
    if !world.proves(request, &["token "]) {
        return bad(401, "invalid username, password or token");
    }
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["orgs", name, "repos"]) if name.starts_with("user-") || world.below(name).is_empty() => missing(),
        ("GET", ["orgs" | "users", name, "repos"]) => {
            let (projects, more) = page(&world.below(name), query);
            let mut reply = good(200, &projects.iter().map(|project| described(world, project)).collect());
            if more {
                reply.headers.push(("Link", format!("<{}/next>; rel=\"next\",<{0}/last>; rel=\"last\"", world.base)));
            }
            reply
        }
        (method, ["repos", owner, name, rest @ ..]) => {
            let found = world.at(&format!("{owner}/{name}")).cloned();
            found.map_or_else(missing, |project| of_project(world, (method, rest), &project, request))
        }
        _ => missing(),
    }
}

fn of_project(world: &mut World, asked: (&str, &[&str]), project: &Project, request: &Request) -> Reply {
    match asked {
        ("GET", ["raw", "composer.json"]) => world.manifest(project),
        (_, ["hooks", ..]) if !world.may_hook => bad(403, "token does not have at least one of required scope(s)"),
        ("GET", ["hooks"]) => good(200, &world.hooks_of(project.id).map(shown).collect()),
        ("POST", ["hooks"]) => {
            good(201, &shown(&world.hook(project.id, body(request), "/config/url", "/config/secret")))
        }
        ("DELETE", ["hooks", id]) if world.unhook(project.id, id) => {
            Reply { status: 204, headers: Vec::new(), body: Vec::new() }
        }
        _ => missing(),
    }
}

fn shown(hook: &Hook) -> Value {
    json!({"id": hook.id, "type": "gitea", "config": {"url": hook.url, "content_type": "json"}, "active": true})
}

fn described(world: &World, project: &Project) -> Value {
    let branch = world.branch(project);
    json!({
        "id": project.id, "full_name": project.path, "default_branch": branch.clone().unwrap_or_else(|| "main".to_owned()),
        "empty": branch.is_none(), "archived": project.archived, "updated_at": world.branch(project).map_or("never", |_| "2026-01-01T00:00:00Z"),
        "clone_url": format!("{}/{}.git", world.base, project.path), "ssh_url": format!("git@forge.test:{}.git", project.path),
    })
}
