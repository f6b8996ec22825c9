//! The APIs of Bitbucket: Cloud's 2.0 and Data Center's 1.0.

use serde_json::{Value, json};

use super::{Hook, Project, Reply, Request, World, bad, body, good, missing, parameter, parts};

const EMPTY: fn(u16) -> Reply = |status| Reply { status, headers: Vec::new(), body: Vec::new() };

pub(super) fn cloud(world: &mut World, request: &Request, path: &str, query: &str) -> Reply {
    if !world.proves(request, &["Bearer "]) && !world.opens(request, "") {
        return good(
            401,
            &json!({"type": "error", "error": {"message": "Token is invalid or not supported for this endpoint."}}),
        );
    }
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["repositories", workspace]) => {
            let all = world.below(workspace);
            let number: usize = parameter(query, "page").and_then(|text| text.parse().ok()).unwrap_or(1);
            let shown: Vec<Value> =
                all.iter().skip((number - 1) * super::PAGE).take(super::PAGE).map(|one| of_cloud(world, one)).collect();
            let mut body = json!({"pagelen": super::PAGE, "size": all.len(), "page": number, "values": shown});
            if all.len() > number * super::PAGE {
                // As Bitbucket does: with everything that was asked, and at its own idea of its address.
                body["next"] = json!(format!("https://api.forge.test/2.0{path}?pagelen=2&page={}", number + 1));
            }
            good(200, &body)
        }
        (method, ["repositories", workspace, slug, rest @ ..]) => {
            let Some(project) = world.at(&format!("{workspace}/{slug}")).cloned() else { return missing() };
            match (method, rest) {
                ("GET", ["src", branch, "composer.json"]) if world.branch(&project).as_deref() == Some(branch) => {
                    world.manifest(&project)
                }
                (_, ["hooks", ..]) if !world.may_hook => good(
                    403,
                    &json!({"type": "error", "error": {"message": "Your credentials lack one or more required privilege scopes."}}),
                ),
                ("GET", ["hooks"]) => {
                    let all: Vec<Value> = world.hooks_of(project.id).map(shown).collect();
                    good(200, &json!({"values": all, "pagelen": 100}))
                }
                ("POST", ["hooks"]) => good(201, &shown(&world.hook(project.id, body(request), "/url", "/secret"))),
                ("DELETE", ["hooks", id]) if world.unhook(project.id, id.trim_matches(['{', '}'])) => EMPTY(204),
                _ => missing(),
            }
        }
        _ => missing(),
    }
}

fn shown(hook: &Hook) -> Value {
    json!({"uuid": format!("{{{}}}", hook.id), "url": hook.url, "active": true, "secret_set": true})
}

fn of_cloud(world: &World, project: &Project) -> Value {
    let branch = world.branch(project).map(|name| json!({"type": "branch", "name": name}));
    let host = world.base.trim_start_matches("http://");
    json!({
        "type": "repository", "uuid": format!("{{{}}}", project.id), "full_name": project.path, "mainbranch": branch,
        "updated_on": "2026-01-01T00:00:00+00:00",
        "links": {"clone": [
            {"name": "https", "href": format!("http://ann@{host}/{}.git", project.path)},
            {"name": "ssh", "href": format!("git@forge.test:{}.git", project.path)},
        ]},
    })
}

pub(super) fn data_center(world: &mut World, request: &Request, path: &str, query: &str) -> Reply {
    if !world.proves(request, &["Bearer "]) {
        return good(
            401,
            &json!({"errors": [{"message": "Authentication failed. Please check your credentials and try again."}]}),
        );
    }
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["projects", key, "repos"]) if world.below(key).is_empty() => {
            good(404, &json!({"errors": [{"message": format!("Project {key} does not exist.")}]}))
        }
        ("GET", ["projects", key, "repos"]) => {
            let all = world.below(key);
            let start: usize = parameter(query, "start").and_then(|text| text.parse().ok()).unwrap_or(0);
            let shown: Vec<Value> =
                all.iter().skip(start).take(super::PAGE).map(|one| of_data_center(world, one)).collect();
            let last = all.len() <= start + super::PAGE;
            let next = (!last).then_some(start + super::PAGE);
            good(
                200,
                &json!({"values": shown, "isLastPage": last, "nextPageStart": next, "limit": super::PAGE, "start": start}),
            )
        }
        (method, ["projects", key, "repos", slug, rest @ ..]) => {
            let Some(project) = world.at(&format!("{key}/{slug}")).cloned() else { return missing() };
            match (method, rest) {
                ("GET", ["raw", "composer.json"]) => world.manifest(&project),
                (_, ["webhooks", ..]) if !world.may_hook => {
                    good(401, &json!({"errors": [{"message": "You are not permitted to access this resource"}]}))
                }
                ("GET", ["webhooks"]) => {
                    let all: Vec<Value> = world.hooks_of(project.id).map(of_hook).collect();
                    good(200, &json!({"values": all, "isLastPage": true}))
                }
                ("POST", ["webhooks"]) => {
                    good(201, &of_hook(&world.hook(project.id, body(request), "/url", "/configuration/secret")))
                }
                ("DELETE", ["webhooks", id]) if world.unhook(project.id, id) => EMPTY(204),
                _ => bad(404, "no"),
            }
        }
        _ => missing(),
    }
}

fn of_hook(hook: &Hook) -> Value {
    json!({"id": hook.id, "url": hook.url, "active": true, "configuration": {}})
}

fn of_data_center(world: &World, project: &Project) -> Value {
    let (key, slug) = project.path.split_once('/').unwrap_or(("", ""));
    json!({
        "id": project.id, "slug": slug.to_lowercase(), "name": slug, "archived": project.archived, "project": {"key": key},
        "links": {"clone": [
            {"name": "http", "href": format!("{}/scm/{}.git", world.base, project.path.to_lowercase())},
            {"name": "ssh", "href": format!("ssh://git@forge.test:7999/{}.git", project.path.to_lowercase())},
        ]},
    })
}
