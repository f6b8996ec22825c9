//! Deliveries of forges: who may make them, what follows, and that the same one twice is one.

use std::time::Duration;

use axum::http::StatusCode;
use cargoman_control_plane::domain::job::SYNC_PACKAGE;
use cargoman_control_plane::store::Actor;
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};

/// The HMAC of `body` as GitHub writes it.
fn signed(secret: &str, body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn push(id: u64, path: &str) -> Value {
    json!({"repository": {
        "id": id, "name": path.split('/').nth(1), "full_name": path, "owner": {"login": path.split('/').next()},
        "clone_url": format!("https://github.com/{path}.git"), "ssh_url": format!("git@github.com:{path}.git"),
    }})
}

async fn hook(registry: &Registry, provider: &str) -> (String, String) {
    let made = registry.post("/hooks", json!({"provider": provider})).await.status(201);
    (made.text("id"), made.text("secret"))
}

/// A delivery of GitHub's, rightly signed.
async fn github(
    registry: &Registry,
    (hook, secret): &(String, String),
    event: &str,
    key: &str,
    body: &Value,
) -> Answer {
    let text = body.to_string();
    registry
        .bare("POST", &format!("/api/webhooks/github/{hook}"))
        .header("x-github-event", event)
        .header("x-github-delivery", key)
        .header("x-hub-signature-256", &signed(secret, &text))
        .header("content-type", "application/json")
        .body(text)
        .send()
        .await
}

async fn registry() -> Registry {
    let registry = Registry::new().await;
    let body = json!({"repository_url": "https://github.com/acme/pay.git", "name": "acme/pay"});
    registry.post("/packages", body).await.status(201);
    registry.sql("update job set state = 'succeeded'");
    registry
}

fn queued(registry: &Registry) -> i64 {
    registry.count("job where state = 'queued' and priority = 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_brings_about_a_sync() {
    let registry = registry().await;
    let hook = hook(&registry, "github").await;
    let ping = github(&registry, &hook, "ping", "d0", &push(7, "acme/pay")).await.status(200);
    assert_eq!(ping.text("outcome"), "ping");
    let answer = github(&registry, &hook, "push", "d1", &push(7, "Acme/Pay")).await.status(202);
    assert_eq!((answer.text("outcome"), answer.data()["packages"].clone()), ("queued".into(), json!(["acme/pay"])));
    let task = answer.data()["tasks"][0].as_str().unwrap().to_owned();
    let shown = registry.get(&format!("/tasks/{task}")).await.status(200);
    assert_eq!((shown.text("kind"), shown.text("priority")), (SYNC_PACKAGE.to_owned(), "pushed".to_owned()));
    assert_eq!(registry.sql("select remote_id from package"), "github:7");

    let unknown = github(&registry, &hook, "push", "d2", &push(8, "acme/other")).await.status(200);
    assert_eq!(unknown.text("outcome"), "no_package");
    let nothing = github(&registry, &hook, "issues", "d3", &push(7, "acme/pay")).await.status(200);
    assert_eq!(nothing.text("outcome"), "ignored");

    let deliveries = registry.get(&format!("/hooks/{}/deliveries", hook.0)).await.status(200);
    let outcomes: Vec<&str> =
        deliveries.data().as_array().unwrap().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ignored", "no_package", "queued", "ping"]);
    let of_package = registry.get("/packages/acme/pay/webhook-deliveries").await.status(200);
    assert_eq!(of_package.data().as_array().unwrap().len(), 1);
    assert!(registry.get(&format!("/hooks/{}", hook.0)).await.data()["delivered_at"].is_string());
    assert!(!deliveries.body.to_string().contains(&hook.1), "a secret is shown once");
}

/// W-1, W-7: a delivery has one effect, however often and however many at once it comes.
#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_is_one() {
    let registry = registry().await;
    let hook = hook(&registry, "github").await;
    let body = push(7, "acme/pay");
    let copies = futures::future::join_all((0..64).map(|_| github(&registry, &hook, "push", "same", &body))).await;
    let effects = copies.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    let repeated = copies.iter().filter(|answer| answer.text("outcome") == "duplicate").count();
    assert_eq!((effects, repeated, queued(&registry)), (1, 63, 1));
    assert_eq!(registry.count("webhook_delivery"), 1);
    // A storm of different deliveries about one repository is one sync that waits.
    for number in 0..50 {
        github(&registry, &hook, "push", &format!("d{number}"), &body).await.status(202);
    }
    assert_eq!(queued(&registry), 1);

    let id =
        registry.sql("select 'dlv_' || replace(id::text, '-', '') from webhook_delivery where delivery_key = 'same'");
    registry.sql("update job set state = 'succeeded'");
    let again = registry.post(&format!("/hooks/{}/deliveries/{id}/replay", hook.0), json!({})).await.status(202);
    assert_eq!((again.text("outcome"), queued(&registry)), ("queued".into(), 1));
    registry.post(&format!("/hooks/{}/deliveries/{id}0/replay", hook.0), json!({})).await.error(404, "NOT_FOUND", &[]);
}

/// W-6: whoever cannot sign gets one answer, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_sign_learns_nothing() {
    let registry = registry().await;
    let (id, secret) = hook(&registry, "github").await;
    let other = registry.state.database.system().insert_tenant("other", "Other", false, &Actor::Root).await.unwrap();
    let body = push(7, "acme/pay").to_string();
    let send = async |tenant: &str, path: &str, signature: &str| {
        registry
            .bare("POST", path)
            .header("x-cargoman-tenant", tenant)
            .header("x-github-event", "push")
            .header("x-github-delivery", "d1")
            .header("x-hub-signature-256", signature)
            .body(body.clone())
            .send()
            .await
    };
    let good = signed(&secret, &body);
    let refused = send("default", "/api/webhooks/github", &signed("another secret", &body)).await.status(401);
    for (tenant, path, signature) in [
        ("default", "/api/webhooks/github".to_owned(), "sha1=00"),
        ("default", "/api/webhooks/gitlab".to_owned(), good.as_str()),
        ("default", "/api/webhooks/bitbucket".to_owned(), good.as_str()),
        ("default", "/api/github".to_owned(), &signed("another secret", &body)),
        ("default", "/api/update-package".to_owned(), good.as_str()),
        // Another tenant's secret, and a tenant that does not exist.
        (other.slug.as_str(), "/api/webhooks/github".to_owned(), good.as_str()),
        ("none", "/api/webhooks/github".to_owned(), good.as_str()),
    ] {
        let answer = send(tenant, &path, signature).await.status(401);
        assert_eq!(answer.body["error"]["message"], refused.body["error"]["message"], "{tenant} {path}");
    }
    for (tenant, hook) in
        [(other.slug.as_str(), id.as_str()), ("default", "hook_00000000000000000000000000000000"), ("default", "x")]
    {
        send(tenant, &format!("/api/webhooks/github/{hook}"), &good).await.status(404);
    }
    send("default", "/api/webhooks/stripes", &good).await.status(404);
    assert_eq!((queued(&registry), registry.count("webhook_delivery")), (0, 0));
    let own = |method: &str, path: &str| registry.call(method, path).tenant("default").json(&json!({}));
    assert!(own("GET", &format!("/hooks/{id}")).send().await.text("refused_reason").contains("secret"));
    send("default", "/api/webhooks/github", &good).await.status(202);
    // The old secret is worth nothing after a rotation.
    let new = own("POST", &format!("/hooks/{id}/rotate")).send().await.status(200).text("secret");
    send("default", "/api/webhooks/github", &good).await.status(401);
    send("default", "/api/webhooks/github", &signed(&new, &body)).await.status(200);
    own("DELETE", &format!("/hooks/{id}")).send().await.status(200);
    send("default", "/api/webhooks/github", &signed(&new, &body)).await.status(401);
    assert_eq!(registry.count("webhook_delivery"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read() {
    let registry = registry().await;
    let (id, secret) = hook(&registry, "github").await;
    let send = async |kind: &str, body: &str| {
        registry
            .bare("POST", &format!("/api/webhooks/github/{id}"))
            .header("x-github-event", "push")
            .header("content-type", kind)
            .header("x-hub-signature-256", &signed(&secret, body))
            .body(body.to_owned())
            .send()
            .await
    };
    send("application/json", "{").await.error(400, "VALIDATION_ERROR", &[]);
    send("application/json", "{}").await.error(400, "VALIDATION_ERROR", &[]);
    send("application/x-www-form-urlencoded", "x=1").await.error(400, "VALIDATION_ERROR", &[]);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    send("application/json", &large).await.status(413);
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &push(7, "acme/pay").to_string())
        .finish();
    send("application/x-www-form-urlencoded", &form).await.status(202);
}

/// Each forge's own way of proving itself and of saying what changed.
#[tokio::test(flavor = "multi_thread")]
async fn every_forge() {
    let registry = Registry::new().await;
    for (name, url) in [
        ("acme/lab", "https://gitlab.example/acme/lab.git"),
        ("acme/cloud", "https://bitbucket.org/acme/cloud.git"),
        ("acme/dc", "https://bitbucket.example/scm/proj/dc.git"),
        ("acme/tea", "https://git.example/acme/tea"),
    ] {
        registry.post("/packages", json!({"repository_url": url, "name": name})).await.status(201);
    }
    let gitlab =
        json!({"object_kind": "push", "project": {"id": 1, "git_http_url": "https://gitlab.example/acme/lab.git"}});
    let cloud = json!({"repository": {"uuid": "{1}", "full_name": "acme/cloud", "links": {"html": {"href": "https://bitbucket.org/acme/cloud"}}}});
    let center = json!({"repository": {"id": 1, "slug": "dc", "project": {"key": "PROJ"}}});
    let tea =
        json!({"repository": {"id": 1, "full_name": "acme/tea", "clone_url": "https://git.example/acme/tea.git"}});
    for (provider, event, body, package) in [
        ("gitlab", ("x-gitlab-event", "Push Hook"), gitlab, "acme/lab"),
        ("bitbucket", ("x-event-key", "repo:push"), cloud, "acme/cloud"),
        ("bitbucket", ("x-event-key", "repo:refs_changed"), center, "acme/dc"),
        ("gitea", ("x-gitea-event", "push"), tea, "acme/tea"),
    ] {
        let (id, secret) = hook(&registry, provider).await;
        let text = body.to_string();
        let mac = signed(&secret, &text);
        let (name, value) = match provider {
            "gitlab" => ("x-gitlab-token", secret.as_str()),
            "bitbucket" => ("x-hub-signature", mac.as_str()),
            _ => ("x-gitea-signature", mac.strip_prefix("sha256=").unwrap()),
        };
        let call = || {
            registry.bare("POST", &format!("/api/webhooks/{provider}/{id}")).header(event.0, event.1).body(text.clone())
        };
        call().send().await.status(401);
        let answer = call().header(name, value).send().await.status(202);
        assert_eq!(answer.data()["packages"], json!([package]), "{provider}");
    }
    // GitLab's new way: the old token is refused.
    let made = registry.post("/hooks", json!({"provider": "gitlab", "signed": true})).await.status(201);
    assert!(made.text("secret").starts_with("whsec_") && made.data()["signed"] == true);
    let path = format!("/api/webhooks/gitlab/{}", made.text("id"));
    registry
        .bare("POST", &path)
        .header("x-gitlab-token", &made.text("secret"))
        .body("{}".to_owned())
        .send()
        .await
        .status(401);
}

/// G-U9: behind the same address there is another repository.
#[tokio::test(flavor = "multi_thread")]
async fn another_repository_freezes_the_package() {
    let registry = registry().await;
    let hook = hook(&registry, "github").await;
    github(&registry, &hook, "push", "d1", &push(7, "acme/pay")).await.status(202);
    registry.sql("update job set state = 'succeeded'");
    let answer = github(&registry, &hook, "push", "d2", &push(8, "acme/pay")).await.status(200);
    assert_eq!((answer.text("outcome"), queued(&registry)), ("frozen".into(), 0));
    let package = registry.get("/packages/acme/pay").await.status(200);
    assert!(package.text("frozen_reason").contains("github:8"), "{}", package.body);
    assert_eq!(registry.count("audit where action = 'package.freeze' and actor like 'hook:%'"), 1);
    // Polls leave it alone, and a sync says why it does nothing.
    registry.sql("update package set poll_after = null");
    let rhythm = cargoman_control_plane::store::polls::Rhythm {
        every: Duration::from_secs(60),
        with_hook: Duration::from_secs(60),
        heard: Duration::from_secs(60),
    };
    assert_eq!(registry.state.database.system().queue_polls(rhythm, 9).await.unwrap(), 0);
    registry.post("/packages/acme/pay/unfreeze", json!({})).await.status(200);
    registry.post("/packages/acme/pay/unfreeze", json!({})).await.error(409, "CONFLICT", &[]);
    github(&registry, &hook, "push", "d3", &push(8, "acme/pay")).await.status(202);
    assert_eq!(registry.sql("select remote_id, frozen_reason is null from package"), "github:8|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_follows_its_repository() {
    let registry = registry().await;
    let hook = hook(&registry, "github").await;
    let renamed = |id| {
        let mut body = push(id, "acme/money");
        body["action"] = json!("renamed");
        body["changes"] = json!({"repository": {"name": {"from": "pay"}}});
        body
    };
    // Unknown by the forge's own name, it stays where it is.
    let answer = github(&registry, &hook, "repository", "d1", &renamed(7)).await.status(200);
    assert_eq!(answer.text("outcome"), "ignored");
    github(&registry, &hook, "push", "d2", &push(7, "acme/pay")).await.status(202);
    let answer = github(&registry, &hook, "repository", "d3", &renamed(9)).await.status(200);
    assert_eq!(answer.text("outcome"), "ignored");
    let answer = github(&registry, &hook, "repository", "d4", &renamed(7)).await.status(202);
    assert_eq!(answer.text("outcome"), "moved");
    assert_eq!(registry.get("/packages/acme/pay").await.text("repository_url"), "https://github.com/acme/money.git");
    let answer = github(&registry, &hook, "push", "d5", &push(7, "acme/money")).await.status(202);
    assert_eq!(answer.text("outcome"), "queued");
}

/// What talks to packagist.org talks to us.
#[tokio::test(flavor = "multi_thread")]
async fn update_package() {
    let registry = registry().await;
    registry
        .post("/packages", json!({"repository_url": "https://git.example/acme/two.git", "name": "acme/two"}))
        .await
        .status(201);
    registry.sql("update job set state = 'succeeded'");
    let credential = async |level: &str, globs: Value| {
        let body = json!({"name": "ci", "level": level, "package_scopes": globs});
        registry.post("/credentials", body).await.status(201).text("plain_token")
    };
    let (publisher, viewer) =
        (credential("publisher", json!(["acme/pay"])).await, credential("viewer", json!([])).await);
    let (_, secret) = hook(&registry, "packagist").await;
    let customer = registry.customer("shop").await;
    let token = async |scope: &str, globs: Value| {
        let body = json!({"name": "t", "scope": scope, "package_scopes": globs});
        registry.post(&format!("/customers/{customer}/tokens"), body).await.status(201).text("plain_token")
    };
    let (webhook, download) = (token("webhook", json!(["acme/*"])).await, token("download", json!([])).await);
    let call = async |path: &str, token: &str, url: &str| {
        let path = format!("{path}?username=ci&apiToken={token}");
        registry.bare("POST", &path).body(json!({"repository": {"url": url}}).to_string()).send().await
    };
    let pay = "https://github.com/acme/pay";
    for good in [&publisher, &secret, &webhook] {
        let answer = call("/api/update-package", good, pay).await.status(202);
        assert_eq!((&answer.body["status"], &answer.body["packages"]), (&json!("success"), &json!(["acme/pay"])));
    }
    for bad in [&viewer, &download, &"nonsense".to_owned(), &String::new()] {
        call("/api/update-package", bad, pay).await.status(401);
    }
    let answer = call("/api/update-package", &publisher, "https://git.example/acme/two").await.status(404);
    assert_eq!(answer.body["status"], "error");
    call("/api/update-package", &secret, "https://git.example/acme/two").await.status(202);
    call("/api/bitbucket", &secret, pay).await.status(202);
    call("/api/github", &secret, pay).await.status(202);
    let bearer =
        registry.bare("POST", "/api/update-package").header("authorization", &format!("Bearer ci:{publisher}"));
    bearer.body(json!({"repository": {"url": pay}}).to_string()).send().await.status(202);
    // GitHub with the API token as its secret, as packagist.org tells people to set it up.
    let body = push(7, "acme/pay").to_string();
    let github = registry
        .bare("POST", "/api/github")
        .header("x-github-event", "push")
        .header("x-hub-signature-256", &signed(&secret, &body));
    github.body(body).send().await.status(202);
    let nothing =
        registry.bare("POST", &format!("/api/update-package?apiToken={secret}")).body("{}".to_owned()).send().await;
    assert!(nothing.status(400).body.to_string().contains("repository.url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_kept_sealed() {
    let registry = registry().await;
    let made = registry.post("/hooks", json!({"provider": "github", "name": "GitHub of Acme"})).await.status(201);
    assert_eq!(made.text("url"), format!("http://packages.test/api/webhooks/github/{}", made.text("id")));
    let secret = made.text("secret");
    assert!(secret.len() >= 40);
    assert_eq!(registry.sql(&format!("select position('{secret}'::bytea in secret) from hook")), "0");
    let shown = registry.get("/hooks").await.status(200).body.to_string();
    assert!(!shown.contains(&secret) && shown.contains("GitHub of Acme"));
    for (body, field) in [
        (json!({}), "provider"),
        (json!({"provider": "svn"}), "provider"),
        (json!({"provider": "github", "secret": "short"}), "secret"),
        (json!({"provider": "github", "signed": true}), "signed"),
        (json!({"provider": "gitlab", "signing_key": "x"}), "signing_key"),
        (json!({"provider": "github", "sekret": "x"}), "sekret"),
    ] {
        registry.post("/hooks", body).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    let given = registry.post("/hooks", json!({"provider": "gitea", "secret": "a secret of ours"})).await;
    given.error(422, "VALIDATION_ERROR", &["secret"]);
    let given = registry.post("/hooks", json!({"provider": "gitea", "secret": "a-secret-of-ours"})).await.status(201);
    assert_eq!(given.text("secret"), "a-secret-of-ours");
}
