//! Groups of projects at forges that speak their documented APIs: what becomes a package, what does not, and how that follows what happens
//! at the forge.

use std::time::{Duration, Instant};

use cargoman_control_plane::domain::forge_group::{ProjectState, Verdict};
use cargoman_control_plane::store::{forge_groups, forge_projects};
use cargoman_testkit::forge::{Forge, Kind, TOKEN};
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

pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
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

pub(crate) fn body(forge: &Forge, kind: Kind, credential: &str) -> Value {
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
    // A hook that somebody took away at the forge is made anew when a person asks.
    forge.world().hooks.pop();
    let again = registry.post(&format!("/forge-groups/{group}/sync"), json!({})).await.status(202);
    let again = ended(&registry, &again.text("id")).await;
    assert_eq!(
        (&again["result"]["hooks"], forge.world().hooks.len()),
        (&json!(1), expected.len()),
        "{kind:?}: {again}"
    );
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

/// Whoever asks while a group is listed, or a project looked at, is not forgotten; a worker that dies in between forgets nothing either.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_meanwhile() {
    let (registry, stop) = running().await;
    let forge = Forge::start(Kind::Gitea);
    blocking(|| {
        forge.project("acme/docs").write("README", "no package").commit("first");
    });
    let (group, _) = add(&registry, &forge, Kind::Gitea).await;
    drop(stop);
    let id = group.parse().unwrap();
    let mut transaction = registry.begin().await;
    let before = forge_groups::find(&mut transaction, id).await.unwrap().unwrap();
    assert!(!before.list_wanted);
    forge_groups::want_all(&mut transaction, id).await.unwrap();
    let begun = forge_groups::find(&mut transaction, id).await.unwrap().unwrap();
    let looking = forge_projects::to_look(&mut transaction, id).await.unwrap();
    assert!(begun.list_wanted && looking.len() == 1);
    let projects = [looking[0].project.clone()];
    let verdict = Verdict { state: ProjectState::NoManifest, reason: None };
    // Meanwhile.
    forge_groups::want_list(&mut transaction, id).await.unwrap();
    assert!(forge_projects::want_look(&mut transaction, id, None, Some("ACME/docs")).await.unwrap());
    for round in [true, false] {
        let known = if round { &begun } else { &forge_groups::find(&mut transaction, id).await.unwrap().unwrap() };
        forge_projects::listed(&mut transaction, id, &projects, known.list_asked).await.unwrap();
        let one = if round {
            looking[0].clone()
        } else {
            forge_projects::to_look(&mut transaction, id).await.unwrap().remove(0)
        };
        assert!(forge_projects::judged(&mut transaction, id, &one, &verdict, None).await.unwrap());
        let after = forge_groups::find(&mut transaction, id).await.unwrap().unwrap();
        let left = forge_projects::to_look(&mut transaction, id).await.unwrap().len();
        assert_eq!((after.list_wanted, left), (round, usize::from(round)));
    }
    assert!(forge_groups::delete(&mut transaction, id).await.unwrap());
    assert!(!forge_projects::judged(&mut transaction, id, &looking[0], &verdict, None).await.unwrap());
}
