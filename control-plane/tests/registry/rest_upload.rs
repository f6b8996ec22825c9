//! Uploads of versions: by whom, of what, once and for all.

use cargoman_credential::Digest;
use cargoman_testkit::git::Repository;
use serde_json::{Value, json};

use crate::fixture::{Answer, Call, Registry};
use crate::zip::{Entry, Zip};

async fn registry() -> Registry {
    let registry = Registry::new().await;
    for name in ["acme/pay", "acme/other", "rival/pay"] {
        let made = registry.post("/packages", json!({"type": "artifact", "name": name})).await.status(201);
        assert_eq!((made.text("type"), &made.data()["repository_url"]), ("artifact".into(), &Value::Null));
        assert!(made.data().get("task").is_none());
    }
    registry
}

fn put(registry: &Registry, name: &str, version: &str) -> Call {
    registry.call("PUT", &format!("/packages/{name}/versions/{version}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn once_and_for_all() {
    let registry = registry().await;
    let zip = Zip::of(&[
        (
            "composer.json",
            r#"{"name": "acme/pay", "version": "v1.0", "require": {"php": ">=8"}, "scripts": {"x": "y"}}"#,
        ),
        ("src/A.php", "<?php\n"),
    ]);
    let bytes = zip.bytes();
    let made = put(&registry, "acme/pay", "1.0.0").zip(&zip).send().await.status(201);
    assert_eq!((made.text("version"), made.text("version_normalized")), ("1.0.0".into(), "1.0.0.0".into()));
    assert_eq!((made.text("kind"), made.text("stability")), ("upload".into(), "stable".into()));
    let sha1: String = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((made.text("reference"), made.text("dist_sha1")), (sha1.clone(), sha1));
    assert_eq!(made.text("dist_sha256"), Digest::of(&bytes).to_hex());
    assert_eq!(made.data()["dist_size"], json!(bytes.len()));
    let dist = format!("{}/{}/{}", cargoman_edge_protocol::DISTS_PATH, registry.tenant, made.text("dist_sha256"));
    assert_eq!(registry.edge("GET", &dist).send().await.status(200).bytes, bytes);
    let metadata: Value = serde_json::from_str(&registry.sql("select metadata from version")).unwrap();
    let keys: Vec<_> = metadata.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["name", "version", "version_normalized", "require", "type", "scripts", "time"],
        "in Composer's order"
    );
    assert_eq!((&metadata["version"], &metadata["require"]), (&json!("1.0.0"), &json!({"php": ">=8"})));
    assert!(metadata["time"].is_string());

    // The same bytes again, under either name of the version.
    let before = (registry.count("audit"), registry.count("outbox"));
    for version in ["1.0.0", "v1.0", "1.0.0.0"] {
        let again = put(&registry, "acme/pay", version).zip(&zip).send().await.status(200);
        assert_eq!(again.data(), made.data());
    }
    assert_eq!((registry.count("audit"), registry.count("outbox")), before, "nothing was done");
    let other = zip.and(Entry::stored("b", "x"));
    put(&registry, "acme/pay", "1.0.0")
        .zip(&other.clone().with(|zip| zip.entries[0] = Entry::deflated("composer.json", r#"{"name": "acme/pay"}"#)))
        .send()
        .await
        .error(409, "CONFLICT", &[]);
    put(&registry, "acme/pay", "1.0").zip(&other).send().await.error(409, "CONFLICT", &[]);
    assert_eq!(registry.get("/packages/acme/pay/versions/1.0.0").await.data(), made.data());

    // Deleted and added again, its time of first sight holds.
    registry.sql("update publication set published_at = '2025-01-01T00:00:00Z'");
    registry.delete("/packages/acme/pay").await.status(200);
    registry.post("/packages", json!({"type": "artifact", "name": "acme/pay"})).await.status(201);
    let zip = Zip::of(&[("composer.json", "{}")]);
    put(&registry, "acme/pay", "1.0.0").zip(&zip).send().await.error(422, "VALIDATION_ERROR", &["name"]);
    let back = put(&registry, "acme/pay", "1.0.0").header("content-type", "application/zip").body(bytes).send().await;
    assert_eq!(back.status(201).text("published_at"), "2025-01-01T00:00:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_and_stabilities() {
    let registry = registry().await;
    let manifest = r#"{"name": "acme/pay", "extra": {"branch-alias": {"dev-feature/x": "2.x-dev"}}}"#;
    let zip = Zip::of(&[("composer.json", manifest)]);
    for (version, normalized, stability) in [
        ("dev-feature/x", "dev-feature/x", "dev"),
        ("2.0.0-beta1", "2.0.0.0-beta1", "beta"),
        ("3.x-dev", "3.9999999.9999999.9999999-dev", "dev"),
    ] {
        let made = put(&registry, "acme/pay", version).zip(&zip).send().await.status(201);
        assert_eq!(
            (made.text("version_normalized").as_str(), made.text("stability").as_str()),
            (normalized, stability)
        );
    }
    assert_eq!(
        registry.sql("select aliases from version where pretty = 'dev-feature/x'"),
        "{2.9999999.9999999.9999999-dev}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_of_itself_must_agree() {
    let registry = registry().await;
    for (manifest, field) in [
        (r#"{"name": "acme/other"}"#, "name"),
        (r#"{"description": "none"}"#, "name"),
        (r#"{"name": "acme/pay", "version": "1.0.1"}"#, "version"),
        (r#"{"name": "acme/pay", "version": "one"}"#, "version"),
        (r#"{"name": "acme/pay""#, "composer.json"),
        (r#"{"name": "acme/pay", "name": "acme/pay"}"#, "composer.json"),
        (r#"{"name": "acme/pay", "require": {"x": 1}}"#, "composer.json"),
        (r#"[]"#, "composer.json"),
    ] {
        let zip = Zip::of(&[("composer.json", manifest)]);
        let refused = put(&registry, "acme/pay", "1.0.0").zip(&zip).send().await;
        refused.error(422, "VALIDATION_ERROR", &[field]);
    }
    for zip in [
        Zip::of(&[("src/A.php", "")]),
        Zip::of(&[("a/b/composer.json", "{}")]),
        Zip::of(&[("a/composer.json", "{}"), ("b/x", "")]),
    ] {
        put(&registry, "acme/pay", "1.0.0").zip(&zip).send().await.error(422, "VALIDATION_ERROR", &["composer.json"]);
    }
    let zip = Zip::package("acme/pay");
    put(&registry, "acme/pay", "nonsense").zip(&zip).send().await.error(422, "VALIDATION_ERROR", &["version"]);
    for odd in [
        "dev-%1b[31mx",
        "dev-a%20b",
        "dev-a%23b",
        "dev-%E2%80%AEx",
        "1.0.0%0a",
        "1.0.0@dev",
        "1.0%20as%202.0",
        "dev-a/../b",
    ] {
        put(&registry, "acme/pay", odd).zip(&zip).send().await.error(422, "VALIDATION_ERROR", &["version"]);
    }
    put(&registry, "no/such", "1.0.0").zip(&zip).send().await.error(404, "NOT_FOUND", &[]);
    for kind in ["application/json", "application/octet-stream", ""] {
        let call = put(&registry, "acme/pay", "1.0.0").header("content-type", kind).body(zip.bytes());
        call.send().await.error(422, "VALIDATION_ERROR", &["Content-Type"]);
    }
    assert_eq!((registry.count("version"), registry.count("dist")), (0, 0));
}

/// One form with its parts.
fn form(registry: &Registry, parts: &[(&str, &[u8])]) -> Call {
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend(
            format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n").bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--limit--\r\n");
    put(registry, "acme/pay", "1.0.0").header("content-type", "multipart/form-data; boundary=limit").body(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beside_a_plugin() {
    let registry = registry().await;
    let plugin = Zip::of(&[("plugin/plugin.php", "<?php\n"), ("plugin/readme.txt", "x")]).bytes();
    let whole = Zip::package("acme/pay").bytes();
    let metadata = br#"{"name": "acme/pay", "type": "wordpress-plugin"}"#.as_slice();
    for (parts, field) in [
        (vec![("zip", plugin.as_slice())], "composer.json"),
        (vec![("metadata", metadata)], "zip"),
        (vec![("zip", whole.as_slice()), ("metadata", metadata)], "metadata"),
        (vec![("zip", plugin.as_slice()), ("metadata", b"{".as_slice())], "metadata"),
        (vec![("zip", plugin.as_slice()), ("metadata", br#"{"name": "acme/other"}"#.as_slice())], "name"),
        (vec![("zip", plugin.as_slice()), ("zip", plugin.as_slice())], "zip"),
        (vec![("file", plugin.as_slice())], "file"),
    ] {
        form(&registry, &parts).send().await.error(422, "VALIDATION_ERROR", &[field]);
    }
    let made = form(&registry, &[("metadata", metadata), ("zip", &plugin)]).send().await.status(201);
    assert_eq!(made.text("dist_sha256"), Digest::of(&plugin).to_hex());
    assert_eq!(registry.sql("select metadata->>'type' from version"), "wordpress-plugin");
    form(&registry, &[("zip", &plugin), ("metadata", metadata)]).send().await.status(200);
    let other = br#"{"name": "acme/pay", "type": "library"}"#.as_slice();
    form(&registry, &[("zip", &plugin), ("metadata", other)]).send().await.error(409, "CONFLICT", &[]);
    let broken = put(&registry, "acme/pay", "2").header("content-type", "multipart/form-data; boundary=limit");
    broken.body("--limit\r\nContent-Disp").send().await.error(400, "VALIDATION_ERROR", &[]);
    let without = put(&registry, "acme/pay", "2").header("content-type", "multipart/form-data").body("x");
    without.send().await.error(400, "VALIDATION_ERROR", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_zip_is_refused() {
    let registry = Registry::with(|config| config.uploads.max_size = 2 << 20).await;
    registry.post("/packages", json!({"type": "artifact", "name": "acme/pay"})).await.status(201);
    // Larger than a JSON body may be, smaller than the limit.
    let random: Vec<u8> = (0..1_500_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let zip = Zip::package("acme/pay").and(Entry::stored("a", &random));
    put(&registry, "acme/pay", "1.0.0").zip(&zip).send().await.status(201);
    let zip = zip.and(Entry::stored("b", &random));
    put(&registry, "acme/pay", "2.0.0").zip(&zip).send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
    let declared = put(&registry, "acme/pay", "2.0.0").header("content-length", "2097153");
    declared.zip(&Zip::package("acme/pay")).send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
    form(&registry, &[("zip", &zip.bytes())]).send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
    let metadata = vec![b' '; (1 << 20) + 1];
    form(&registry, &[("metadata", &metadata)]).send().await.error(422, "VALIDATION_ERROR", &["metadata"]);
    // The other methods of the path are bounded as ever.
    let large = registry.call("PATCH", "/packages/acme/pay/versions/1.0.0").body(vec![b' '; (1 << 20) + 1]);
    large.send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
}

async fn developer(registry: &Registry, customer: &str, body: Value) -> String {
    registry.post(&format!("/customers/{customer}/tokens"), body).await.status(201).text("plain_token")
}

async fn upload(registry: &Registry, secret: &str, name: &str, version: &str) -> Answer {
    put(registry, name, version).bearer(secret).zip(&Zip::package(name)).send().await
}

/// Token, customer and package must agree.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_developer_token() {
    let registry = registry().await;
    let customer = registry.customer("a").await;
    registry.sql("update customer set may_publish = '{acme/*}'");
    let wide = developer(&registry, &customer, json!({"name": "x", "scope": "developer"})).await;
    let body = json!({"name": "x", "scope": "developer", "package_scopes": ["acme/pay", "rival/*"]});
    let narrow = developer(&registry, &customer, body).await;
    for (secret, name, wanted) in [
        (&wide, "acme/pay", 201),
        (&wide, "acme/other", 201),
        (&wide, "rival/pay", 403),
        (&narrow, "acme/pay", 200),
        (&narrow, "acme/other", 403),
        (&narrow, "rival/pay", 403),
        (&narrow, "no/such", 403),
    ] {
        upload(&registry, secret, name, "1.0.0").await.status(wanted);
    }
    for scope in ["download", "admin", "webhook"] {
        let secret = developer(&registry, &customer, json!({"name": "x", "scope": scope})).await;
        upload(&registry, &secret, "acme/pay", "2.0.0").await.error(403, "FORBIDDEN", &[]);
    }
    for lapse in [
        "may_publish = '{}'",
        "may_publish = '{acme/*}', suspended_at = now()",
        "suspended_at = null, expires_at = now()",
        r#"expires_at = null, frozen = '{"since": "2026-01-01T00:00:00Z"}'"#,
    ] {
        registry.sql(&format!("update customer set {lapse}"));
        upload(&registry, &wide, "acme/pay", "2.0.0").await.error(403, "FORBIDDEN", &[]);
    }
    registry.sql("update customer set frozen = null");
    upload(&registry, &wide, "acme/pay", "2.0.0").await.status(201);
    assert_eq!(registry.count("audit where action = 'version.upload' and actor like 'token:tok_id_%'"), 3);
    registry.delete(&format!("/customers/{customer}/token")).await.status(200);
    upload(&registry, &wide, "acme/pay", "3.0.0").await.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_by_level() {
    let registry = registry().await;
    for (level, globs, name, wanted) in [
        ("owner", vec![], "acme/pay", 201),
        ("admin", vec![], "acme/pay", 200),
        ("viewer", vec![], "acme/pay", 403),
        ("publisher", vec!["acme/p*"], "acme/pay", 200),
        ("publisher", vec!["acme/p*"], "acme/other", 403),
        ("publisher", vec!["acme/p*"], "rival/pay", 403),
    ] {
        let secret = registry.credential(level, &globs).await;
        upload(&registry, &secret, name, "1.0.0").await.status(wanted);
    }
    let nobody = registry.bare("PUT", "/api/v1/packages/acme/pay/versions/2.0.0").zip(&Zip::package("acme/pay"));
    nobody.send().await.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifact_packages_have_no_repository() {
    let registry = registry().await;
    registry.post("/packages/acme/pay/sync", json!({})).await.error(409, "CONFLICT", &[]);
    for (body, fields) in [
        (json!({"type": "artifact"}), vec!["name"]),
        (json!({"type": "artifact", "name": "a/b", "repository_url": "/a.git"}), vec!["repository_url"]),
        (json!({"name": "a/b"}), vec!["repository_url"]),
    ] {
        registry.post("/packages", body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    // It may get one later, and give it up again.
    let path = "/packages/acme/pay";
    registry.patch(path, json!({"type": "git"})).await.error(422, "VALIDATION_ERROR", &["repository_url"]);
    registry.patch(path, json!({"repository_url": "/a.git"})).await.error(422, "VALIDATION_ERROR", &["repository_url"]);
    registry.patch(path, json!({"type": "git", "repository_url": "/a.git"})).await.status(200);
    registry.post("/packages/acme/pay/sync", json!({})).await.status(202);
    let back = registry.patch(path, json!({"type": "artifact"})).await.status(200);
    assert_eq!(back.data()["repository_url"], Value::Null);
}

/// Uploads stand beside what comes from git; neither takes the other's version, and a sync takes no upload away.
#[tokio::test(flavor = "multi_thread")]
async fn beside_a_repository() {
    let (registry, _stop) = crate::jobs::running().await;
    let repository = tokio::task::block_in_place(|| {
        Repository::bare_with(|repository| {
            repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("first").tag("1.0.0");
        })
    });
    let body = json!({"repository_url": repository.url(), "name": "acme/pay"});
    registry.post("/packages", body).await.status(201);
    upload(&registry, crate::fixture::ADMIN, "acme/pay", "2.0.0").await.status(201);
    let synced = registry.post("/packages/acme/pay/sync?wait=true", json!({})).await.status(200);
    assert_eq!(synced.text("state"), "succeeded", "{}", synced.body);
    upload(&registry, crate::fixture::ADMIN, "acme/pay", "1.0.0").await.error(409, "CONFLICT", &[]);
    let kinds = || registry.sql("select normalized, kind, reference from version where kind <> 'branch' order by 1");
    let before = kinds();
    assert!(before.contains("1.0.0.0|tag") && before.contains("2.0.0.0|upload"), "{before}");

    // A tag of the uploaded version's name is refused with its reason.
    tokio::task::block_in_place(|| repository.tag("2.0.0"));
    let synced = registry.post("/packages/acme/pay/sync?wait=true", json!({})).await.status(200);
    assert_eq!(synced.text("state"), "succeeded", "{}", synced.body);
    assert_eq!(synced.data()["skipped"][0]["ref"], "refs/tags/2.0.0", "{}", synced.body);
    assert!(synced.data()["skipped"][0]["reason"].as_str().unwrap().contains("was uploaded"), "{}", synced.body);
    assert_eq!(kinds(), before);
}
