//! Groups that are refused, and forges that do harm.

use std::sync::{Arc, Mutex};

use cargoman_testkit::forge::{Forge, Kind, TOKEN};
use cargoman_testkit::git::{HttpServer, Reply};
use serde_json::{Value, json};

use crate::forge_groups::{blocking, body, credential, ended};
use crate::jobs::running;

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
