//! Groups of projects at forges that speak their documented APIs: what becomes a package, what does not, and how that follows what happens
//! at the forge.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cargoman_testkit::forge::{Forge, Kind, TOKEN};
use cargoman_testkit::git::{HttpServer, Reply};
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};
use crate::jobs::running;

/// Keeps the forge's access token; its id.
pub(crate) async fn credential(registry: &Registry, forge: &Forge, user: &str) -> String {
    let body = json!({"name": "forge", "kind": "https", "host": forge.url(), "username": user, "password": TOKEN});
    registry.post("/git-credentials", body).await.status(201).text("id")
}

/// Waits until a job is over; how it ended.
pub(crate) async fn ended(registry: &Registry, task: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let job = registry.get(&format!("/tasks/{task}")).await.status(200).data().clone();
        if matches!(job["state"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
            return job;
        }
        assert!(Instant::now() < deadline, "the task never ended: {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until nothing is under way.
pub(crate) async fn idle(registry: &Registry) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while registry.count("job where state in ('queued', 'running') and run_after <= now()") > 0 {
        assert!(Instant::now() < deadline, "jobs never end: {}", registry.sql("select kind, state, error from job"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Gitlab => "gitlab",
        Kind::Gitea => "gitea",
        Kind::Github => "github",
        Kind::BitbucketCloud | Kind::BitbucketDataCenter => "bitbucket",
    }
}

fn body(forge: &Forge, kind: Kind, credential: &str) -> Value {
    let mut body = json!({"type": word(kind), "credential": credential, "packages": ["acme/*"]});
    body["url"] = match kind {
        Kind::BitbucketDataCenter => json!(format!("{}/projects/ACME", forge.url())),
        _ => json!(format!("{}/acme", forge.url())),
    };
    if kind == Kind::BitbucketCloud {
        body["api_url"] = json!(format!("{}/2.0", forge.url()));
    }
    body
}

async fn add(registry: &Registry, forge: &Forge, kind: Kind) -> (String, Value) {
    let user = if kind == Kind::BitbucketCloud { "x-token-auth" } else { "git" };
    let credential = credential(registry, forge, user).await;
    let made = registry.post("/forge-groups", body(forge, kind, &credential)).await.status(201);
    let job = ended(registry, &made.text("task")).await;
    idle(registry).await;
    (made.text("id"), job)
}

async fn states(registry: &Registry, group: &str) -> Vec<(String, String)> {
    let rows = registry.get(&format!("/forge-groups/{group}/projects")).await.status(200).data().clone();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "path"), text(row, "state"))).collect()
}

async fn projects_become_packages(kind: Kind) {
    let (registry, _stop) = running().await;
    let forge = Forge::start(kind);
    let folder = if kind == Kind::BitbucketDataCenter { "ACME" } else { "acme" };
    blocking(|| {
        forge.package(&format!("{folder}/pay"), "acme/pay");
        forge.package(&format!("{folder}/shop"), "acme/shop");
        forge.package(&format!("{folder}/console"), "symfony/console");
        forge.project(&format!("{folder}/docs")).write("README", "no package").commit("first");
        forge.project(&format!("{folder}/empty"));
        forge.package("other/thing", "acme/thing");
        forge.package(&format!("{folder}/legacy"), "acme/legacy");
        forge.world().projects.last_mut().unwrap().archived = true;
    });
    let (group, job) = add(&registry, &forge, kind).await;
    assert_eq!(job["state"], "succeeded", "{kind:?}: {job}");
    let mut expected = vec!["acme/pay", "acme/shop"];
    if kind == Kind::BitbucketCloud {
        // It has no archived repositories.
        expected.insert(0, "acme/legacy");
    }
    assert_eq!(job["result"]["added"], json!(expected), "{kind:?}: {job}");
    assert!(job["result"]["refused"][0]["reason"].as_str().unwrap().contains("symfony/console"), "{kind:?}: {job}");
    let states = states(&registry, &group).await;
    for (project, state) in [
        ("pay", "package"),
        ("shop", "package"),
        ("console", "refused"),
        ("docs", "no_manifest"),
        ("empty", "no_manifest"),
    ] {
        let found = states.iter().find(|(path, _)| path.ends_with(&format!("/{project}")));
        assert_eq!(found.map(|(_, state)| state.as_str()), Some(state), "{kind:?} {project}: {states:?}");
    }
    assert!(!states.iter().any(|(path, _)| path.starts_with("other/")), "{kind:?}: {states:?}");
    // They are read, over https with the group's credential.
    for name in &expected {
        let package = registry.get(&format!("/packages/{name}")).await.status(200).data().clone();
        assert_eq!((&package["versions"], &package["sync_error"]), (&json!(2), &Value::Null), "{kind:?}: {package}");
        assert_eq!(package["type"], word(kind), "{package}");
    }
    // Each tells us of pushes, and proves itself with a secret that nobody else has.
    let hook = registry.get(&format!("/forge-groups/{group}")).await.text("hook");
    let url = registry.get(&format!("/hooks/{hook}")).await.text("url");
    {
        let world = forge.world();
        assert_eq!(world.hooks.len(), expected.len(), "{kind:?}");
        assert!(
            world.hooks.iter().all(|made| made.url == url && made.secret.len() == 43),
            "{kind:?}: {:?}",
            world.hooks
        );
    }
    // What is there already is not made anew, and costs no question about a package.
    let again = registry.post(&format!("/forge-groups/{group}/sync"), json!({})).await.status(202);
    let again = ended(&registry, &again.text("id")).await;
    assert_eq!((&again["result"]["added"], &again["result"]["hooks"]), (&json!([]), &json!(0)), "{kind:?}: {again}");
    assert_eq!(forge.world().hooks.len(), expected.len(), "{kind:?}");
    // What goes takes its hooks along, and leaves its packages.
    let gone = registry.delete(&format!("/forge-groups/{group}")).await.status(200);
    assert_eq!(gone.data()["hooks_left"], 0, "{kind:?}");
    assert_eq!(forge.world().hooks.len(), 0, "{kind:?}");
    registry.get(&format!("/hooks/{hook}")).await.status(404);
    assert_eq!(registry.count("package") as usize, expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_gitlab() {
    projects_become_packages(Kind::Gitlab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_gitea() {
    projects_become_packages(Kind::Gitea).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_github() {
    projects_become_packages(Kind::Github).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_bitbucket_cloud() {
    projects_become_packages(Kind::BitbucketCloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_bitbucket_data_center() {
    projects_become_packages(Kind::BitbucketDataCenter).await;
}

/// A delivery of GitLab's, with the secret of the hook.
async fn deliver(registry: &Registry, hook: &str, secret: &str, body: &Value) -> Answer {
    let call = registry.bare("POST", &format!("/api/webhooks/gitlab/{hook}")).header("x-gitlab-token", secret);
    call.header("content-type", "application/json").body(body.to_string()).send().await
}

/// One System Hook for an instance: a project that is made, and later given a composer.json, becomes a package though nobody lists.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_hook_of_gitlab() {
    let (registry, _stop) = running().await;
    let forge = Forge::start(Kind::Gitlab);
    blocking(|| forge.package("acme/pay", "acme/pay"));
    let credential = credential(&registry, &forge, "git").await;
    let whole =
        json!({"type": "gitlab", "url": forge.url(), "credential": credential, "packages": ["acme/*"], "hooks": false});
    let made = registry.post("/forge-groups", whole).await.status(201);
    assert_eq!(ended(&registry, &made.text("task")).await["result"]["added"], json!(["acme/pay"]));
    assert_eq!(forge.world().hooks.len(), 0, "none were wanted");
    let hook = registry.post("/hooks", json!({"provider": "gitlab"})).await.status(201);
    let (hook, secret) = (hook.text("id"), hook.text("secret"));

    let repository = blocking(|| forge.project("team/deep/new"));
    let id = forge.world().projects.last().unwrap().id;
    let created = json!({"event_name": "project_create", "project_id": id, "path_with_namespace": "team/deep/new"});
    let answer = deliver(&registry, &hook, &secret, &created).await.status(202);
    assert_eq!(answer.text("outcome"), "group", "{}", answer.body);
    idle(&registry).await;
    let group = made.text("id");
    let of = |states: Vec<(String, String)>| {
        states.into_iter().find(|(path, _)| path == "team/deep/new").map(|(_, state)| state)
    };
    assert_eq!(of(states(&registry, &group).await).as_deref(), Some("no_manifest"));

    blocking(|| repository.write("composer.json", r#"{"name": "acme/new"}"#).commit("first").tag("1.0.0"));
    // GitLab's own picture of it, which knows its default branch now, comes with the next list: the push alone must do.
    let url = format!("{}/team/deep/new", forge.url());
    let push = json!({"event_name": "push", "project_id": id, "project": {
        "id": id, "path_with_namespace": "team/deep/new", "git_http_url": format!("{url}.git"), "web_url": url,
    }});
    let before = forge.requests().iter().filter(|one| one.target.starts_with("/api/v4/projects?")).count();
    deliver(&registry, &hook, &secret, &push).await.status(202);
    idle(&registry).await;
    assert_eq!(of(states(&registry, &group).await).as_deref(), Some("package"));
    assert_eq!(registry.get("/packages/acme/new").await.status(200).data()["versions"], 2);
    let lists = forge.requests().iter().filter(|one| one.target.starts_with("/api/v4/projects?")).count();
    assert_eq!(lists, before, "one project is looked at, not all are listed");
    // From now on a push is for the package.
    let answer = deliver(&registry, &hook, &secret, &push).await.status(202);
    assert_eq!(answer.text("outcome"), "queued", "{}", answer.body);
    // What lies in no group is nobody's.
    let other =
        json!({"event_name": "push", "project": {"id": 1, "git_http_url": "https://elsewhere.example/acme/x.git"}});
    assert_eq!(deliver(&registry, &hook, &secret, &other).await.status(200).text("outcome"), "no_package");
}

/// A package follows its project; what goes at the forge takes nothing away here; what an operator deleted is not made again.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_the_forge() {
    let (registry, _stop) = running().await;
    let forge = Forge::start(Kind::Gitea);
    blocking(|| {
        forge.package("acme/pay", "acme/pay");
        forge.package("acme/shop", "acme/shop");
        forge.package("acme/mail", "acme/mail");
    });
    let (group, _) = add(&registry, &forge, Kind::Gitea).await;
    forge.rename("acme/pay", "acme/money");
    forge.world().projects.retain(|project| project.path != "acme/shop");
    registry.delete("/packages/acme/mail?confirm=true").await.status(200);
    let job = registry.post(&format!("/forge-groups/{group}/sync"), json!({})).await.status(202);
    let job = ended(&registry, &job.text("id")).await;
    assert_eq!((&job["result"]["moved"], &job["result"]["added"]), (&json!(["acme/pay"]), &json!([])), "{job}");
    idle(&registry).await;
    let pay = registry.get("/packages/acme/pay").await.status(200).data().clone();
    assert_eq!(
        (pay["repository_url"].as_str(), &pay["sync_error"]),
        (Some(format!("{}/acme/money.git", forge.url()).as_str()), &Value::Null)
    );
    registry.get("/packages/acme/shop").await.status(200);
    registry.get("/packages/acme/mail").await.status(404);
    let states = states(&registry, &group).await;
    let expected = [("acme/mail", "refused"), ("acme/money", "package"), ("acme/shop", "gone")];
    assert_eq!(states, expected.map(|(path, state)| (path.to_owned(), state.to_owned())));

    // Another name is a matter of the group's `packages`, and is looked at at once.
    blocking(|| forge.package("acme/lib", "corp/lib"));
    let change = json!({"packages": ["acme/*", "corp/*"], "projects": ["!acme/mail"]});
    let patched = registry.patch(&format!("/forge-groups/{group}"), change).await.status(200);
    let job = ended(&registry, &patched.text("task")).await;
    assert_eq!(job["result"]["added"], json!(["corp/lib"]), "{job}");
}

/// A token without rights, a forge that has enough of us, one that is away: what is known stays, and the message says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_does_not_want() {
    let (registry, _stop) = running().await;
    let forge = Forge::start(Kind::Gitlab);
    blocking(|| {
        forge.package("acme/pay", "acme/pay");
        forge.package("acme/shop", "acme/shop");
    });
    forge.world().may_hook = false;
    let (group, job) = add(&registry, &forge, Kind::Gitlab).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert!(job["result"]["hook_error"].as_str().unwrap().contains("HTTP 403: 403 Forbidden"), "{job}");
    assert_eq!(registry.count("package"), 2);
    let refused = forge.requests().iter().filter(|one| one.target.contains("/hooks")).count();
    assert_eq!(refused, 1, "the second project is not tried: the token lacks the right for all");
    forge.world().may_hook = true;
    let sync = format!("/forge-groups/{group}/sync");
    let job = ended(&registry, &registry.post(&sync, json!({})).await.text("id")).await;
    assert_eq!(job["result"]["hooks"], 2, "{job}");
    assert_eq!(registry.get(&format!("/forge-groups/{group}")).await.data()["sync_error"], Value::Null);

    // Another secret: hooks are made anew with it, once.
    let hook = registry.get(&format!("/forge-groups/{group}")).await.text("hook");
    let secret = registry.post(&format!("/hooks/{hook}/rotate"), json!({})).await.status(200).text("secret");
    idle(&registry).await;
    {
        let world = forge.world();
        assert_eq!(world.hooks.len(), 2);
        assert!(world.hooks.iter().all(|hook| hook.secret == secret));
    }

    blocking(|| forge.package("acme/late", "acme/late"));
    forge.world().limited = 1;
    let job = ended(&registry, &registry.post(&sync, json!({})).await.text("id")).await;
    assert!(job["state"] == "failed" && job["error"].as_str().unwrap().contains("429"), "{job}");
    assert_eq!(
        registry.count("job where state = 'queued' and kind = 'sync_group' and retries = 1"),
        1,
        "it is tried again"
    );
    registry.sql("update job set run_after = now() where state = 'queued'");
    registry.state.jobs_waiting.notify_one();
    idle(&registry).await;
    registry.get("/packages/acme/late").await.status(200);

    forge.world().token = "another".to_owned();
    let job = ended(&registry, &registry.post(&sync, json!({})).await.text("id")).await;
    let error = job["error"].as_str().unwrap();
    assert!(
        job["state"] == "failed" && error.contains("401") && error.contains("token") && !error.contains(TOKEN),
        "{job}"
    );
    assert_eq!(registry.get(&format!("/forge-groups/{group}")).await.text("sync_error"), error);
    assert_eq!(registry.count("package"), 3, "nothing goes because a token has expired");
    assert_eq!(registry.count("forge_project where state = 'gone'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused() {
    let (registry, _stop) = running().await;
    let forge = Forge::start(Kind::Gitlab);
    blocking(|| forge.package("acme/pay", "acme/pay"));
    let good = credential(&registry, &forge, "git").await;
    let elsewhere =
        json!({"name": "elsewhere", "kind": "https", "host": "https://gitlab.com", "password": "hunter2hunter2"});
    let elsewhere = registry.post("/git-credentials", elsewhere).await.status(201).text("id");
    let key = registry
        .post("/git-credentials", json!({"name": "key", "kind": "ssh", "host": "gitlab.com"}))
        .await
        .status(201)
        .text("id");
    let fine = body(&forge, Kind::Gitlab, &good);
    let with = |name: &str, value: Value| {
        let mut body = fine.clone();
        body[name] = value;
        body
    };
    for (body, field) in [
        (with("url", json!(format!("{}/nobody", forge.url()))), "url"),
        (with("url", json!("https://10.0.0.1/acme")), "url"),
        (with("url", json!("https://gitlab.com/acme")), "credential"),
        (with("api_url", json!("https://evil.example/api/v4")), "api_url"),
        (with("credential", json!(elsewhere)), "credential"),
        (with("credential", json!(key)), "credential"),
        (with("credential", json!("gitcred_00000000000000000000000000000000")), "credential"),
        (with("package_credential", json!("nonsense")), "package_credential"),
        (with("packages", json!([])), "packages"),
        (with("packages", json!(["no glob"])), "packages[0]"),
        (with("projects", json!(["!!x"])), "projects[0]"),
        (with("type", json!("packagist")), "type"),
        (with("nonsense", json!(1)), "nonsense"),
    ] {
        let answer = registry.post("/forge-groups", body.clone()).await;
        answer.error(422, "VALIDATION_ERROR", &[field]);
    }
    registry.post("/forge-groups", json!({})).await.error(
        422,
        "VALIDATION_ERROR",
        &["type", "url", "credential", "packages"],
    );
    assert_eq!(registry.count("forge_group") + registry.count("hook"), 0, "nothing is left of what was refused");
    forge.world().token = "another".to_owned();
    registry.post("/forge-groups", fine.clone()).await.error(422, "VALIDATION_ERROR", &["credential"]);
    forge.world().token = TOKEN.to_owned();
    let made = registry.post("/forge-groups", fine.clone()).await.status(201);
    registry.post("/forge-groups", fine).await.error(409, "CONFLICT", &[]);
    registry.delete(&format!("/git-credentials/{good}?confirm=true")).await.error(409, "CONFLICT", &[]);
    let group = format!("/forge-groups/{}", made.text("id"));
    registry.patch(&group, json!({"url": "https://x"})).await.error(422, "VALIDATION_ERROR", &["url"]);
    registry.get(&format!("{group}/projects?state=nonsense")).await.error(422, "VALIDATION_ERROR", &["state"]);
    registry.get("/forge-groups/fgrp_00000000000000000000000000000000").await.status(404);
}

/// What a forge may answer when it wants to do harm, or is none.
fn lies(token: &str) -> Vec<(&'static str, Reply, &'static str)> {
    let with = |status: u16, body: String| Reply { status, headers: Vec::new(), body: body.into_bytes() };
    let list = |project: Value| with(200, json!([project]).to_string());
    let good = json!({"id": 1, "path_with_namespace": "acme/pay", "http_url_to_repo": "http://127.0.0.1:1/acme/pay.git", "default_branch": "main"});
    let changed = |name: &str, value: Value| {
        let mut project = good.clone();
        project[name] = value;
        list(project)
    };
    vec![
        ("no JSON", with(200, "<html>".to_owned()), "it is no JSON"),
        ("no list", with(200, "{}".to_owned()), "it is no list"),
        ("depth", with(200, "[".repeat(500_000)), "it is no JSON"),
        ("size", with(200, " ".repeat(9 << 20)), "larger than 8 MiB"),
        ("no id", changed("id", Value::Null), "`id` is missing"),
        ("NUL", changed("path_with_namespace", json!("acme/\u{0}pay")), "`path_with_namespace` is missing"),
        (
            "a path without end",
            changed("path_with_namespace", json!("a".repeat(100_000))),
            "`path_with_namespace` is missing",
        ),
        (
            "a redirect",
            Reply { headers: vec![("Location", "http://127.0.0.1:1/".to_owned())], ..with(302, String::new()) },
            "redirects are not followed",
        ),
        ("an error of its own", with(500, "oops".to_owned()), "HTTP 500"),
        ("our token", with(403, json!({"message": format!("you said {token}")}).to_string()), "HTTP 403;"),
        ("escapes", with(403, json!({"message": "\u{1b}[31mred"}).to_string()), "HTTP 403:  [31mred"),
        ("no end", Reply { headers: vec![("X-Next-Page", "2".to_owned())], ..list(good.clone()) }, "has no end"),
    ]
}

/// A forge that lies costs an error, and what is known stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_lies() {
    let (registry, _stop) = running().await;
    let server = blocking(HttpServer::start);
    let reply = Arc::new(Mutex::new(Reply { status: 200, headers: Vec::new(), body: b"[]".to_vec() }));
    let shared = Arc::clone(&reply);
    server.handler(Arc::new(move |_| Some(shared.lock().unwrap().clone())));
    let at = format!("http://{}", server.address());
    let body = json!({"name": "forge", "kind": "https", "host": at, "password": TOKEN});
    let credential = registry.post("/git-credentials", body).await.status(201).text("id");
    let body = json!({"type": "gitlab", "url": format!("{at}/acme"), "credential": credential, "packages": ["*/*"]});
    let made = registry.post("/forge-groups", body.clone()).await.status(201);
    ended(&registry, &made.text("task")).await;
    let group = made.text("id");
    for (what, lie, words) in lies(TOKEN) {
        *reply.lock().unwrap() = lie;
        let task = registry.post(&format!("/forge-groups/{group}/sync"), json!({})).await.status(202).text("id");
        let job = ended(&registry, &task).await;
        let error = job["error"].as_str().unwrap_or_default();
        assert!(job["state"] == "failed" && error.contains(words), "{what}: {job}");
        assert!(!error.contains(TOKEN) && !error.contains('\u{1b}') && error.len() < 1_000, "{what}: {error}");
        registry.sql("delete from job where state = 'queued'");
        assert_eq!(registry.count("forge_project"), 0, "{what}");
    }
    // An address elsewhere is not read with this credential, whatever its composer.json says.
    let elsewhere = json!([{"id": 1, "path_with_namespace": "acme/pay", "http_url_to_repo": "https://evil.example/acme/pay.git", "default_branch": "main"}]);
    let manifest = json!({"name": "acme/pay"}).to_string().into_bytes();
    server.handler(Arc::new(move |request| {
        let body =
            if request.target.contains("/files/") { manifest.clone() } else { elsewhere.to_string().into_bytes() };
        Some(Reply { status: 200, headers: Vec::new(), body })
    }));
    let task = registry.post(&format!("/forge-groups/{group}/sync"), json!({})).await.status(202).text("id");
    let job = ended(&registry, &task).await;
    let reason = job["result"]["refused"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("is for") && reason.contains(&at), "{job}");
    assert_eq!(registry.count("package"), 0);
}
