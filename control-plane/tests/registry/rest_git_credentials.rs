//! Git credentials: secrets go in and never come out, and each opens its own host alone.

use cargoman_control_plane::jobs as runner;
use cargoman_control_plane::store::sealed::SEALED_COLUMNS;
use cargoman_credential::Digest;
use cargoman_testkit::git::{HttpServer, Repository};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fixture::{Answer, Registry};

async fn https(registry: &Registry, name: &str, host: &str) -> String {
    let body = json!({"name": name, "kind": "https", "host": host, "password": "canary-password"});
    registry.post("/git-credentials", body).await.status(201).text("id")
}

/// No secret and no private key (they begin with `openssh-key` in Base64) in an answer.
fn shows_nothing(answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.bytes);
    for secret in ["canary-password", "b3BlbnNzaC1rZXk", "\"secret\":", "\"password\":"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// C-S5: secrets are write-only.
#[tokio::test(flavor = "multi_thread")]
async fn made_shown_changed_and_deleted() {
    let registry = Registry::new().await;
    let body = json!({"name": "forge", "kind": "https", "url": "https://Git.example.com/acme/pay.git", "password": "canary-password"});
    let made = registry.call("POST", "/git-credentials").header("idempotency-key", "k").json(&body);
    let made = made.send().await.status(201);
    let (id, path) = (made.text("id"), format!("/git-credentials/{}", made.text("id")));
    assert!(id.starts_with("gitcred_"));
    assert_eq!((made.text("origin"), made.text("username")), ("https://git.example.com".into(), "git".into()));
    let key = registry.post("/git-credentials", json!({"name": "key", "kind": "ssh", "host": "git.example.com"})).await;
    let key = key.status(201);
    assert_eq!((key.text("origin"), key.text("username")), ("ssh://git@git.example.com".into(), "git".into()));
    assert!(key.text("public_key").starts_with("ssh-ed25519 ") && key.text("fingerprint").starts_with("SHA256:"));
    assert_eq!(key.data()["generated"], true);

    let shown = registry.get(&path).await.status(200);
    let list = registry.get("/git-credentials").await.status(200);
    assert_eq!(list.body["pagination"]["total"], 2);
    let renamed = registry.patch(&path, json!({"name": "the forge", "username": "acme"})).await.status(200);
    assert_eq!((renamed.text("name"), renamed.text("username")), ("the forge".into(), "acme".into()));
    let before = registry.sql("select name, secret from git_credential order by name");
    let rotated = registry.post(&format!("{path}/rotate"), json!({"password": "canary-password"})).await.status(200);
    assert_eq!(rotated.text("username"), "acme", "stays");
    let path_of_key = format!("/git-credentials/{}", key.text("id"));
    let other = registry.post(&format!("{path_of_key}/rotate"), json!({})).await.status(200);
    assert_ne!(other.text("public_key"), key.text("public_key"));
    let after = registry.sql("select name, secret from git_credential order by name");
    assert!(before.lines().zip(after.lines()).all(|(before, after)| before != after), "each has another secret");
    let again = registry.delete(&path).await.status(200);
    for answer in [&made, &key, &shown, &list, &renamed, &rotated, &other, &again] {
        shows_nothing(answer);
    }
    registry.get(&path).await.error(404, "NOT_FOUND", &[]);
    let audited =
        registry.sql("select string_agg(action, ' ' order by id) from audit where action like 'git_credential.%'");
    assert_eq!(
        audited,
        "git_credential.create git_credential.create git_credential.update git_credential.rotate git_credential.rotate git_credential.delete"
    );
    let guessed = Digest::of(format!("/api/v1/git-credentials\0{body}").as_bytes()).to_hex();
    assert_eq!(registry.count(&format!("idempotency where request_digest = '{guessed}'")), 0, "nothing to guess from");
    let again = registry.call("POST", "/git-credentials").header("idempotency-key", "k").json(&body).send().await;
    assert_eq!(again.status(201).header("idempotent-replayed"), "true");
    let kept =
        registry.sql("select (select json_agg(a) from audit a)::text || (select json_agg(i) from idempotency i)::text");
    assert!(!kept.contains("canary-password") && !kept.contains("PRIVATE KEY"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let registry = Registry::new().await;
    let long = "x".repeat(5000);
    for (body, fields) in [
        (json!({}), vec!["name", "kind"]),
        (json!({"name": "a", "kind": "gitea-app"}), vec!["kind"]),
        (json!({"name": "a", "kind": "https"}), vec!["host", "password"]),
        (json!({"name": "a", "kind": "https", "host": "h.example", "password": ""}), vec!["password"]),
        (json!({"name": "a", "kind": "https", "host": "h.example", "password": long}), vec!["password"]),
        (json!({"name": "a", "kind": "https", "host": "h.example", "password": "canary\nX: y"}), vec!["password"]),
        (
            json!({"name": "a", "kind": "https", "host": "h.example", "password": "p", "private_key": "k"}),
            vec!["private_key"],
        ),
        (
            json!({"name": "a", "kind": "https", "host": "h.example", "password": "p", "username": "a:b"}),
            vec!["username"],
        ),
        (
            json!({"name": "a", "kind": "https", "host": "h.example", "url": "https://h.example/a", "password": "p"}),
            vec!["url"],
        ),
        // G-U6, G-N1: the address is checked as any other.
        (
            json!({"name": "a", "kind": "https", "url": "https://u:canary-password@h.example/a", "password": "p"}),
            vec!["url"],
        ),
        (json!({"name": "a", "kind": "https", "host": "169.254.169.254", "password": "p"}), vec!["host"]),
        (json!({"name": "a", "kind": "https", "url": "http://h.example/a", "password": "p"}), vec!["url"]),
        (json!({"name": "a", "kind": "https", "url": "git@h.example:a", "password": "p"}), vec!["url"]),
        (json!({"name": "a", "kind": "ssh", "host": "h.example", "password": "p"}), vec!["password"]),
        (
            json!({"name": "a", "kind": "ssh", "host": "h.example", "private_key": "canary-password"}),
            vec!["private_key"],
        ),
        (json!({"name": "a", "kind": "ssh", "url": "git@h.example:a", "username": "me"}), vec!["username"]),
        (json!({"name": "a", "kind": "ssh", "url": "https://h.example/a"}), vec!["url"]),
        (json!({"name": "a", "kind": "ssh", "host": "h.example", "secret": "x"}), vec!["secret"]),
    ] {
        let answer = registry.post("/git-credentials", body).await.error(422, "VALIDATION_ERROR", &fields);
        shows_nothing(&answer);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("canary"), "{}", answer.body);
    }
    let id = https(&registry, "a", "h.example").await;
    let body = json!({"name": "a", "kind": "https", "host": "h.example", "password": "p"});
    registry.post("/git-credentials", body).await.error(409, "CONFLICT", &[]);
    let path = format!("/git-credentials/{id}");
    for (body, fields) in [
        (json!({"host": "evil.example"}), vec!["host"]),
        (json!({"url": "https://evil.example/a"}), vec!["url"]),
        (json!({"kind": "ssh", "password": "x"}), vec!["password", "kind"]),
        (json!({"origin": "https://evil.example"}), vec!["origin"]),
    ] {
        registry.patch(&path, body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    registry.post(&format!("{path}/rotate"), json!({})).await.error(422, "VALIDATION_ERROR", &["password"]);
    let body = json!({"password": "x", "host": "evil.example"});
    registry.post(&format!("{path}/rotate"), body).await.error(422, "VALIDATION_ERROR", &["host"]);
    for id in ["gitcred_1", "x", "gitcred_00000000000000000000000000000000"] {
        registry.delete(&format!("/git-credentials/{id}")).await.error(404, "NOT_FOUND", &[]);
    }
}

/// Without a master key everything that needs one says which setting is missing; the rest works.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_master_key() {
    let registry = Registry::without_keys().await;
    let body = json!({"name": "a", "kind": "https", "host": "h.example", "password": "canary-password"});
    let refused = registry.post("/git-credentials", body).await.error(503, "UNAVAILABLE", &[]);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("secrets.key_file"), "{}", refused.body);
    assert_eq!(registry.count("git_credential"), 0);
    registry.get("/git-credentials").await.status(200);
    registry.customer("a").await;
}

/// G-U8, G-N4, CVE-2026-53586: whoever may change packages but read no secret cannot have one sent to a host of his.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_for_its_own_host() {
    let registry = Registry::with(|config| config.git.allowed_ports.push(8443)).await;
    let forge = https(&registry, "forge", "git.example.com").await;
    let port = https(&registry, "port", "https://git.example.com:8443/x").await;
    let key = registry.post("/git-credentials", json!({"name": "key", "kind": "ssh", "host": "git.example.com"})).await;
    let key = key.status(201).text("id");
    let unknown = "gitcred_00000000000000000000000000000000";
    for (url, credential) in [
        ("https://evil.example/a.git", &*forge),
        ("https://git.example.com.evil.example/a.git", &forge),
        ("https://git.example.com:8443/a.git", &forge),
        ("https://git.example.com/a.git", &port),
        ("https://git.example.com/a.git", &key),
        ("/srv/a.git", &forge),
        ("https://git.example.com/a.git", unknown),
        ("https://git.example.com/a.git", "forge"),
    ] {
        // With a name, and with one that would have to be read with the credential first.
        for body in [
            json!({"repository_url": url, "credential": credential, "name": "acme/pay"}),
            json!({"repository_url": url, "credential": credential}),
        ] {
            let refused = registry.post("/packages", body).await.error(422, "VALIDATION_ERROR", &["credential"]);
            shows_nothing(&refused);
        }
    }
    let body = json!({"type": "artifact", "name": "acme/pay", "credential": forge});
    registry.post("/packages", body).await.error(422, "VALIDATION_ERROR", &["credential"]);
    let body = json!({"repository_url": "https://git.example.com/a.git", "credential": forge, "name": "acme/pay"});
    let made = registry.post("/packages", body).await.status(201);
    assert_eq!(made.data()["credential"], json!({"id": forge, "name": "forge"}));
    for (body, fields) in [
        (json!({"repository_url": "https://evil.example/a.git"}), ["repository_url"]),
        (json!({"repository_url": "git@git.example.com:a.git"}), ["repository_url"]),
        (json!({"repository_url": "https://evil.example/a.git", "credential": forge}), ["credential"]),
        (json!({"credential": port}), ["credential"]),
        (json!({"credential": key}), ["credential"]),
    ] {
        registry.patch("/packages/acme/pay", body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    let shown = registry.get("/packages/acme/pay").await.status(200);
    assert_eq!(shown.data()["credential"]["id"], json!(forge));
    assert_eq!(shown.text("repository_url"), "https://git.example.com/a.git");
    // Both together, or within the host, is fine.
    let body = json!({"repository_url": "https://git.example.com:8443/b.git", "credential": port});
    registry.patch("/packages/acme/pay", body).await.status(200);
    registry
        .patch("/packages/acme/pay", json!({"repository_url": "https://git.example.com:8443/c.git"}))
        .await
        .status(200);
    let body = json!({"repository_url": "https://evil.example/b.git", "credential": null});
    let without = registry.patch("/packages/acme/pay", body).await.status(200);
    assert_eq!(without.data()["credential"], Value::Null);
}

/// What is in use is not deleted in passing; a package that comes back does so without what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_is_in_use() {
    let registry = Registry::new().await;
    let forge = https(&registry, "forge", "git.example.com").await;
    let path = format!("/git-credentials/{forge}");
    for name in ["acme/pay", "acme/shop"] {
        let body = json!({"repository_url": "https://git.example.com/a.git", "credential": forge, "name": name});
        registry.post("/packages", body).await.status(201);
    }
    assert_eq!(registry.get(&path).await.data()["packages"], 2);
    let refused = registry.delete(&path).await.error(409, "CONFLICT", &[]);
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("acme/pay, acme/shop") && message.contains("confirm=true"), "{message}");
    // One that comes back finds its credential; after that is gone it comes back without.
    registry.delete("/packages/acme/shop").await.status(200);
    registry.post("/packages/acme/shop/restore", json!({})).await.status(200);
    assert_eq!(registry.get("/packages/acme/shop").await.data()["credential"]["name"], "forge");
    registry.delete("/packages/acme/shop").await.status(200);
    registry.delete(&format!("{path}?confirm=true")).await.status(200);
    assert_eq!(registry.get("/packages/acme/pay").await.data()["credential"], Value::Null);
    registry.post("/packages/acme/shop/restore", json!({})).await.status(200);
    let back = registry.get("/packages/acme/shop").await.status(200);
    assert_eq!(
        (&back.data()["credential"], back.text("repository_url")),
        (&Value::Null, "https://git.example.com/a.git".into())
    );
    let audited = registry.sql("select detail->>'packages' from audit where action = 'git_credential.delete'");
    assert_eq!(audited, r#"["acme/pay"]"#);
}

fn fill(repository: &Repository, name: &str) {
    let manifest = json!({"name": name}).to_string();
    repository.write("composer.json", &manifest).commit("1.0.0").tag("1.0.0");
}

/// A private repository over https: nothing without the credential, everything with it, and a clear word when it is no good any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository() {
    let registry = Registry::new().await;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(runner::run(registry.state.clone(), stopped));
    let server = tokio::task::block_in_place(|| {
        let server = HttpServer::start();
        fill(&server.repository("pay.git"), "acme/pay");
        server.require_basic("acme", "canary-password");
        server
    });
    let url = server.url("pay.git");
    let refused = registry.post("/packages", json!({"repository_url": url})).await;
    let refused = refused.error(422, "VALIDATION_ERROR", &["repository_url"]);
    assert!(refused.body["error"]["details"][0]["message"].as_str().unwrap().contains("asks for a credential"));
    let body = json!({"name": "forge", "kind": "https", "url": url, "username": "acme", "password": "canary-password"});
    let forge = registry.post("/git-credentials", body).await.status(201).text("id");
    let made = registry.post("/packages", json!({"repository_url": url, "credential": forge})).await.status(201);
    assert_eq!(made.text("name"), "acme/pay", "read with the credential");
    let sync = "/packages/acme/pay/sync?wait=true";
    let synced = registry.post(sync, json!({})).await.status(200);
    assert_eq!(synced.text("state"), "succeeded", "{}", synced.body);
    assert_eq!(registry.count("version"), 2, "a tag and a branch");
    let path = format!("/git-credentials/{forge}");
    assert!(registry.get(&path).await.data()["last_used_at"].is_string());

    registry.patch("/packages/acme/pay", json!({"credential": null})).await.status(200);
    let failed = registry.post(sync, json!({})).await.status(200);
    assert!(failed.text("error").contains("asks for a credential"), "{}", failed.body);
    registry.patch("/packages/acme/pay", json!({"credential": forge})).await.status(200);
    registry.post(&format!("{path}/rotate"), json!({"password": "canary-password-2"})).await.status(200);
    let failed = registry.post(sync, json!({})).await.status(200);
    assert!(failed.text("error").contains("does not accept the repository's credential"), "{}", failed.body);
    shows_nothing(&failed);
    tokio::task::block_in_place(|| server.require_basic("acme", "canary-password-2"));
    assert_eq!(registry.post(sync, json!({})).await.status(200).text("state"), "succeeded");

    // C-S1: a sealed value that somebody moved or changed in the database opens nothing, and says so.
    registry.sql("update git_credential set secret = set_byte(secret, 30, get_byte(secret, 30) # 1)");
    let failed = registry.post(sync, json!({})).await.status(200);
    assert!(
        failed.text("error").contains("git_credential.secret") && failed.text("error").contains("anew"),
        "{}",
        failed.body
    );
    registry.post(&format!("{path}/rotate"), json!({"password": "canary-password-2"})).await.status(200);
    registry.sql("update git_credential set origin = 'http://evil.example'");
    let failed = registry.post(sync, json!({})).await.status(200);
    assert!(
        failed.text("error").contains("is for http://evil.example"),
        "checked again when it is used: {}",
        failed.body
    );
    // Nor does it help him who writes to the database to change both: the secret knows its host.
    let (before, evil) = (server.requests().len(), server.url("pay.git").replace("127.0.0.1", "localhost"));
    registry.sql(&format!("update git_credential set origin = '{}'", evil.replace("/pay.git", "")));
    registry.sql(&format!("update package set repository_url = '{evil}'"));
    let failed = registry.post(sync, json!({})).await.status(200);
    assert!(failed.text("error").contains("changed or moved"), "{}", failed.body);
    assert_eq!(server.requests().len(), before, "nobody was asked");
    stop.send(true).unwrap();
}

/// The list that a rotation goes through is whole: every column of bytes of a tenant's table is in it, but for the audit's hashes.
#[tokio::test(flavor = "multi_thread")]
async fn every_sealed_column_is_listed() {
    let registry = Registry::new().await;
    let found = registry.sql(
        "select table_name || '.' || column_name from information_schema.columns
         where table_schema = 'public' and data_type = 'bytea' and column_name <> 'hash' and table_name <> '_sqlx_migrations' order by 1",
    );
    let mut listed: Vec<_> = SEALED_COLUMNS.iter().map(|column| column.name).collect();
    listed.sort_unstable();
    assert_eq!(found.lines().collect::<Vec<_>>(), listed);
}
