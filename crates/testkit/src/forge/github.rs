//! GitHub's REST API, for access tokens and for Apps.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Hook, Project, Reply, Request, World, bad, body, good, missing, page, parts};

/// What a request proves to be.
enum Caller {
    /// An access token.
    Token,
    /// An App.
    App,
    /// An installation of it.
    Installation,
}

/// The one account that installed the App, and GitHub's number of that.
pub(super) const INSTALLATION: (&str, u64) = ("acme", 4711);

pub(super) fn answer(world: &mut World, request: &Request, path: &str, query: &str) -> Reply {
    let Some(caller) = caller(world, request) else { return bad(401, "Bad credentials") };
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (caller, request.method.as_str(), parts.as_slice()) {
        (Caller::App, "GET", ["app"]) => good(
            200,
            &json!({"id": 1, "slug": "acme-packages", "name": "Acme Packages", "html_url": format!("{}/apps/acme-packages", world.base)}),
        ),
        (Caller::App, "GET", ["app", "installations"]) => good(200, &json!([installation()])),
        (Caller::App, "POST", ["app", "installations", id, "access_tokens"]) if *id == INSTALLATION.1.to_string() => {
            give(world, &body(request))
        }
        (Caller::App, "GET", ["repos", owner, name, "installation"]) => match world.at(&format!("{owner}/{name}")) {
            Some(_) if owner.eq_ignore_ascii_case(INSTALLATION.0) => good(200, &installation()),
            _ => missing(),
        },
        (Caller::Installation, "GET", ["installation", "repositories"]) => {
            let all = world.below(INSTALLATION.0);
            let (projects, more) = page(&all, query);
            let shown: Vec<Value> = projects.iter().map(|one| described(world, one)).collect();
            linked(good(200, &json!({"total_count": all.len(), "repositories": shown})), more)
        }
        (Caller::Token, "GET", ["orgs", name, "repos"])
            if name.starts_with("user-") || world.below(name).is_empty() =>
        {
            missing()
        }
        (Caller::Token, "GET", ["orgs" | "users", name, "repos"]) => {
            let (projects, more) = page(&world.below(name), query);
            linked(good(200, &projects.iter().map(|one| described(world, one)).collect()), more)
        }
        (Caller::Token | Caller::Installation, method, ["repos", owner, name, rest @ ..]) => {
            let found = world.at(&format!("{owner}/{name}")).cloned();
            found.map_or_else(missing, |project| of_project(world, (method, rest), &project, request))
        }
        _ => bad(403, "Resource not accessible by integration"),
    }
}

fn linked(mut reply: Reply, more: bool) -> Reply {
    if more {
        reply.headers.push((
            "Link",
            "<https://api.forge.test/x?page=2>; rel=\"next\", <https://api.forge.test/x?page=9>; rel=\"last\""
                .to_owned(),
        ));
    }
    reply
}

fn of_project(world: &mut World, asked: (&str, &[&str]), project: &Project, request: &Request) -> Reply {
    match asked {
        ("GET", ["contents", "composer.json"])
            if request.header("accept") != Some("application/vnd.github.raw+json") =>
        {
            good(200, &json!({"type": "file", "encoding": "base64", "content": ""}))
        }
        ("GET", ["contents", "composer.json"]) => world.manifest(project),
        (_, ["hooks", ..]) if !world.may_hook => missing(),
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
    json!({"id": hook.id, "name": "web", "active": true, "config": {"url": hook.url, "content_type": "json", "secret": "********"}})
}

fn caller(world: &World, request: &Request) -> Option<Caller> {
    let token = request.header("authorization")?.strip_prefix("Bearer ")?;
    if world.given.iter().any(|(given, only)| given == token && only.is_none()) {
        return Some(Caller::Installation);
    }
    match &world.app {
        Some((app, public)) => is_app(token, app, public).then_some(Caller::App),
        None => (token == world.token).then_some(Caller::Token),
    }
}

/// Whether a token is signed by the App's key (RS256), names the App, and is good for ten minutes at most.
fn is_app(token: &str, app: &str, public: &[u8]) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let Some((header, claims)) = signed.split_once('.') else { return false };
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let value = |text: &str| serde_json::from_slice::<Value>(&decode(text)).unwrap_or(Value::Null);
    let (header, claims) = (value(header), value(claims));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (from, until) = (claims["iat"].as_u64().unwrap_or(u64::MAX), claims["exp"].as_u64().unwrap_or(0));
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
    header["alg"] == "RS256"
        && claims["iss"] == app
        && from <= now
        && now < until
        && until - from <= 600
        && key.verify(signed.as_bytes(), &decode(signature)).is_ok()
}

fn give(world: &mut World, asked: &Value) -> Reply {
    if asked["permissions"]["contents"] != "read" {
        return bad(422, "The permissions requested are not granted to this installation.");
    }
    let only = asked["repositories"][0].as_str().map(str::to_owned);
    let token = format!("ghs_{}", world.given.len());
    world.given.push((token.clone(), only));
    good(201, &json!({"token": token, "expires_at": "2126-01-01T00:00:00Z", "permissions": asked["permissions"]}))
}

fn installation() -> Value {
    json!({"id": INSTALLATION.1, "account": {"login": INSTALLATION.0, "type": "Organization"}, "repository_selection": "all", "suspended_at": null})
}

fn described(world: &World, project: &Project) -> Value {
    json!({
        "id": project.id, "full_name": project.path, "default_branch": world.branch(project).unwrap_or_else(|| "main".to_owned()),
        "archived": project.archived, "pushed_at": world.branch(project).map(|_| "2026-01-01T00:00:00Z"),
        "clone_url": format!("{}/{}.git", world.base, project.path), "ssh_url": format!("git@forge.test:{}.git", project.path),
    })
}
