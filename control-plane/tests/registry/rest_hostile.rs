//! What an attacker or a careless script sends: odd characters, SQL, ids of other tenants. Never a 500, never an effect.

use cargoman_testkit::forge::{Forge, Kind, TOKEN};
use serde_json::{Value, json};

use crate::fixture::Registry;
use crate::routes;

/// Everything that tells rows apart, of every table: equal before and after means that nothing was written.
fn everything(registry: &Registry) -> String {
    [
        "customer",
        "token",
        "access_grant",
        "package",
        "version",
        "vendor",
        "collection",
        "tenant",
        "job",
        "audit",
        "outbox",
        "credential",
        "hook",
        "webhook_delivery",
    ]
    .map(|table| {
        registry.sql(&format!("select coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from {table} t"))
    })
    .join(",")
}

/// Text fields of every write, and the rest of a body that would be taken.
fn text_fields(customer: &str) -> Vec<(&'static str, String, Value, &'static str)> {
    let tokens = format!("/customers/{customer}/tokens");
    let packages = format!("/customers/{customer}/packages");
    let of = |customer: &str, rest: &str| format!("/customers/{customer}{rest}");
    vec![
        ("POST", "/customers".into(), json!({}), "name"),
        ("POST", "/customers".into(), json!({"name": "a"}), "email"),
        ("POST", "/customers".into(), json!({"name": "a"}), "external_id"),
        ("POST", "/customers".into(), json!({"name": "a"}), "expires_at"),
        ("POST", "/customers".into(), json!({"name": "a"}), "minimum_stability"),
        ("PATCH", of(customer, ""), json!({}), "name"),
        ("PATCH", of(customer, ""), json!({}), "external_id"),
        ("PATCH", of(customer, ""), json!({}), "source"),
        ("POST", of(customer, "/suspend"), json!({}), "reason"),
        ("POST", tokens.clone(), json!({}), "name"),
        ("POST", tokens.clone(), json!({"name": "a"}), "scope"),
        ("POST", packages.clone(), json!({}), "package"),
        ("POST", packages.clone(), json!({"package": "acme/pay"}), "constraint"),
        ("POST", packages.clone(), json!({"package": "acme/pay"}), "minimum_stability"),
        ("POST", packages.clone(), json!({"package": "acme/pay"}), "external_id"),
        ("POST", packages, json!({}), "collection"),
        ("POST", "/packages".into(), json!({"name": "a/b"}), "repository_url"),
        ("POST", "/packages".into(), json!({"repository_url": "/a.git"}), "name"),
        ("POST", "/packages".into(), json!({"repository_url": "/a.git", "name": "a/b"}), "type"),
        ("POST", "/packages/acme/pay/abandon".into(), json!({}), "replacement"),
        ("POST", "/packages/acme/pay/takedown/1.0.0".into(), json!({}), "reason"),
        ("POST", "/packages/acme/pay/deprecate/1.0.0".into(), json!({}), "replacement"),
        (
            "PATCH",
            "/packages/acme/pay/versions/1.0.0".into(),
            json!({"published_at": "2025-01-01T00:00:00Z"}),
            "reason",
        ),
        ("POST", "/packages".into(), json!({"repository_url": "/a.git", "name": "a/b"}), "monorepo"),
        (
            "POST",
            "/packages".into(),
            json!({"repository_url": "/a.git", "name": "a/b", "monorepo": "x/*"}),
            "tag_pattern",
        ),
        ("POST", "/forge-groups".into(), json!({"type": "gitea"}), "url"),
        ("POST", "/forge-groups".into(), json!({"type": "gitea", "url": "https://git.example.com/a"}), "api_url"),
        ("POST", "/forge-groups".into(), json!({"url": "https://git.example.com/a"}), "type"),
        ("POST", "/forge-groups".into(), json!({"type": "gitea", "url": "https://git.example.com/a"}), "credential"),
        ("POST", "/git-credentials".into(), json!({"name": "a", "kind": "github-app"}), "private_key"),
        ("POST", "/git-credentials".into(), json!({"name": "a", "kind": "github-app"}), "app_id"),
        ("POST", "/hooks".into(), json!({"provider": "gitea"}), "name"),
        ("POST", "/hooks".into(), json!({"provider": "gitea"}), "secret"),
        ("POST", "/hooks".into(), json!({}), "provider"),
        ("POST", "/credentials".into(), json!({"level": "admin"}), "name"),
        ("POST", "/credentials".into(), json!({"name": "a", "level": "admin"}), "email"),
        ("PATCH", "/settings".into(), json!({}), "source"),
        ("PATCH", "/settings".into(), json!({}), "minimum_stability"),
        ("PATCH", "/settings".into(), json!({}), "renew_url"),
        ("POST", "/collections".into(), json!({}), "name"),
        ("POST", "/collections".into(), json!({"name": "a"}), "slug"),
        ("POST", "/collections".into(), json!({"name": "a"}), "constraint"),
        ("POST", "/collections".into(), json!({"name": "a"}), "minimum_stability"),
        ("POST", "/tenants".into(), json!({}), "slug"),
        ("POST", "/tenants".into(), json!({"slug": "t"}), "name"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_takes_control_characters() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    let before = everything(&registry);
    for (method, path, rest, field) in text_fields(&customer) {
        for text in ["a\0b", "\0", "a\u{1b}[2Jb", "a\nb", "a\u{7f}b", "a\u{9b}b", "a\u{202e}b", "a\u{200b}b"] {
            let mut body = rest.clone();
            body[field] = json!(text);
            let refused = registry.call(method, &path).json(&body).send().await.status(422);
            assert!(refused.fields().contains(&field), "{field} {text:?} {}", refused.body);
        }
    }
    assert_eq!(everything(&registry), before);
}

/// C-I6, in the one field that takes any JSON.
#[tokio::test(flavor = "multi_thread")]
async fn nul_in_json_is_refused() {
    let registry = Registry::new().await;
    for metadata in [json!({"a": "\0"}), json!({"\0": 1}), json!(["x\0y"])] {
        let refused = registry.post("/customers", json!({"name": "a", "metadata": metadata})).await;
        refused.error(400, "VALIDATION_ERROR", &[]);
    }
}

/// An answer stays small however much is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_faults_are_cut_short() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let body = json!({"packages": vec![0; 10_000]});
    let refused = registry.put(&format!("/customers/{customer}/packages"), body).await.status(422);
    assert!(refused.bytes.len() < 20_000, "{}", refused.bytes.len());
    assert!(refused.fields().len() <= 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_and_no_query_makes_it_stumble() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    let before = everything(&registry);
    for odd in
        ["%00", "a%00b", "%ff%fe", "%1b%5b2J", "..%2f..", "%27%3b--", "%f0%9f%92%a9", "a%0d%0ab", &"x".repeat(5_000)]
    {
        for path in [
            format!("/customers/{odd}"),
            format!("/customers/by-external/{odd}"),
            format!("/customers/{customer}/tokens/{odd}"),
            format!("/customers/{customer}/grants/{odd}"),
            format!("/packages/{odd}/{odd}"),
            format!("/packages/acme/{odd}/versions"),
            format!("/tasks/{odd}"),
            format!("/collections/{odd}"),
            format!("/collections?q={odd}"),
            format!("/tenants/{odd}"),
            format!("/customers?q={odd}"),
            format!("/packages?q={odd}"),
            format!("/customers?status={odd}"),
            format!("/tasks?state={odd}"),
            format!("/customers?page={odd}"),
        ] {
            let answer = registry.get(&path).await;
            let status = answer.status.as_u16();
            let fine = matches!(status, 400 | 404 | 422) || (status == 200 && path.contains("?q="));
            assert!(fine, "{path}: {status} {}", answer.body);
            assert!(status == 200 || answer.body["error"]["code"].is_string(), "{path}: no envelope");
        }
        let of_customer = format!("/customers/{customer}/collections/{odd}");
        let status = registry.delete(&of_customer).await.status.as_u16();
        assert!(matches!(status, 400 | 404), "{of_customer}: {status}");
        for path in [format!("/packages/acme/pay/yank/{odd}"), format!("/packages/acme/{odd}/sync")] {
            let status = registry.post(&path, json!({})).await.status.as_u16();
            assert!(matches!(status, 400 | 404), "{path}: {status}");
        }
    }
    registry.call("GET", "/customers").tenant("a'; drop table tenant; --").send().await.error(404, "NOT_FOUND", &[]);
    assert_eq!(everything(&registry), before);
}

const INJECTIONS: [&str; 10] = [
    "' or '1'='1",
    "'; drop table customer; --",
    "\"; delete from token; --",
    "1); select pg_sleep(5); --",
    "\\'; truncate audit; --",
    "$$; drop schema public cascade; $$",
    "%' or 1=1 --",
    "_%\\",
    "a' union select digest from token --",
    "'||(select current_user)||'",
];

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_only_text() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.customer("bystander").await;
    for text in INJECTIONS {
        let body = json!({"name": text, "external_id": text, "metadata": {text: text}});
        let made = registry.post("/customers", body).await.status(201);
        assert_eq!((made.text("name").as_str(), made.text("external_id").as_str()), (text, text));
        let id = made.text("id");
        let encoded: String =
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        assert_eq!(registry.get(&format!("/customers/by-external/{encoded}")).await.status(200).text("id"), id);
        let found = registry.get(&format!("/customers?q={encoded}")).await.status(200);
        assert_eq!(found.body["pagination"]["total"], 1, "{text}");
        let suspended = registry.post(&format!("/customers/{id}/suspend"), json!({"reason": text})).await.status(200);
        assert_eq!(suspended.text("status_reason"), text);
        registry.post(&format!("/customers/{id}/tokens"), json!({"name": text})).await.status(201);
        let key = registry.call("POST", &format!("/customers/{id}/reactivate")).header("idempotency-key", text);
        key.send().await.status(200);
        registry.get(&format!("/packages?q={encoded}")).await.status(200);
        let suite = registry.post("/collections", json!({"name": text, "slug": "suite", "packages": ["acme/*"]})).await;
        assert_eq!(suite.status(201).text("name"), text);
        assert_eq!(registry.get(&format!("/collections?q={encoded}")).await.body["pagination"]["total"], 1, "{text}");
        registry.get(&format!("/collections/{encoded}")).await.status(404);
        registry.delete("/collections/suite").await.status(200);
        registry.get(&format!("/customers?status={encoded}")).await.status(422);
        registry.get(&format!("/packages/acme/{encoded}")).await.status(404);
        registry.delete(&format!("/customers/{id}")).await.status(200);
    }
    assert_eq!((registry.count("customer"), registry.count("token"), registry.count("package")), (1, 1, 1));
}

/// A second tenant's rows of every kind, and every route that takes an id, asked as the first tenant with the second's ids.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_do_not_exist() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "other"})).await.status(201);
    let as_other = |method: &str, path: &str| registry.call(method, path).tenant("other");
    let body = json!({"name": "b", "external_id": "b-1"});
    let customer = as_other("POST", "/customers").json(&body).send().await.status(201).text("id");
    let tokens = as_other("GET", &format!("/customers/{customer}/tokens")).send().await;
    let token = tokens.data()[0]["id"].as_str().unwrap().to_owned();
    let body = json!({"repository_url": "/b.git", "name": "theirs/pay"});
    let task = as_other("POST", "/packages").json(&body).send().await.status(201).text("task");
    let body = json!({"name": "Theirs", "packages": ["theirs/*"]});
    as_other("POST", "/collections").json(&body).send().await.status(201);
    let packages = format!("/customers/{customer}/packages");
    let grant = as_other("POST", &packages).json(&json!({"package": "theirs/pay"})).send().await.status(201).text("id");
    let gone = as_other("POST", "/customers").json(&json!({"name": "gone"})).send().await.text("id");
    let gone = as_other("DELETE", &format!("/customers/{gone}")).send().await.status(200);
    let deletion = gone.data()["deletion"]["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "theirs", "level": "admin"});
    let credential = as_other("POST", "/credentials").json(&body).send().await.status(201).text("id");
    let body = json!({"name": "theirs", "kind": "ssh", "host": "git.example.com"});
    let git_credential = as_other("POST", "/git-credentials").json(&body).send().await.status(201).text("id");
    let hook = as_other("POST", "/hooks").json(&json!({"provider": "gitea"})).send().await.status(201).text("id");
    let forge = tokio::task::block_in_place(|| Forge::start(Kind::Gitea));
    tokio::task::block_in_place(|| forge.package("theirs/pay", "theirs/pay"));
    let body = json!({"name": "forge", "kind": "https", "host": forge.url(), "password": TOKEN});
    let token_of_forge = as_other("POST", "/git-credentials").json(&body).send().await.status(201).text("id");
    let body = json!({"type": "gitea", "url": format!("{}/theirs", forge.url()), "credential": token_of_forge, "packages": ["theirs/*"]});
    let group = as_other("POST", "/forge-groups").json(&body).send().await.status(201).text("id");
    registry.sql(
        "insert into webhook_delivery (tenant_id, id, hook_id, source, event, hint, outcome)
         select tenant_id, '00000000-0000-0000-0000-000000000007', id, 'x', 'push', '{\"what\":\"nothing\"}', 'ignored' from hook where name = 'gitea'",
    );
    let mine =
        registry.call("POST", "/customers").tenant("default").json(&json!({"name": "a"})).send().await.text("id");

    let mut paths: Vec<(String, String)> = Vec::new();
    for (method, template) in routes::all() {
        // Tokens alone ask /me/tokens; changes have one numbering for all, installations GitHub's.
        let others = ["/tenants", "/vendors", "/me/", "/propagation/", "/edges", "/github-app/"]
            .iter()
            .any(|start| template.starts_with(start));
        if !template.contains('{') || others {
            continue;
        }
        let fill = |customer: &str| {
            template
                .replace("/customers/{id}", &format!("/customers/{customer}"))
                .replace("/deletions/{id}", &format!("/deletions/{deletion}"))
                .replace("/tasks/{id}", &format!("/tasks/{task}"))
                .replace("/credentials/{id}", &format!("/credentials/{credential}"))
                .replace("/git-credentials/{id}", &format!("/git-credentials/{git_credential}"))
                .replace("/forge-groups/{id}", &format!("/forge-groups/{group}"))
                .replace("/hooks/{id}", &format!("/hooks/{hook}"))
                .replace("{delivery}", "dlv_00000000000000000000000000000007")
                .replace("{token}", &token)
                .replace("{grant}", &grant)
                .replace("{external_id}", "b-1")
                .replace("{vendor}/{name}", "theirs/pay")
                .replace("{slug}", "theirs")
                .replace("{*version}", "1.0.0")
        };
        paths.push((method.to_owned(), fill(&customer)));
        if template.contains("{token}") || template.contains("{grant}") || template.contains("/packages/{vendor}") {
            paths.push((method.to_owned(), fill(&mine)));
        }
    }
    assert!(paths.len() > 35 && paths.iter().all(|(_, path)| !path.contains('{')), "{paths:?}");
    // Making one's own customer of the same external id is no access to the other's.
    paths.retain(|(method, path)| !(method == "PUT" && path.starts_with("/customers/by-external")));

    let before = everything(&registry);
    for (method, path) in paths {
        let body = match (method.as_str(), path.as_str()) {
            ("POST", path) if path.ends_with("/tokens") => json!({"name": "x"}),
            ("POST", path) if path.ends_with("/packages") || path.ends_with("/preview") => {
                json!({"package": "theirs/pay"})
            }
            ("PUT", path) if path.ends_with("/packages") => json!({"packages": []}),
            ("PUT", path) if path.contains("/grants/by-external/") => json!({"package": "theirs/pay"}),
            ("POST", path) if path.contains("/takedown/") || path.contains("/replace/") => json!({"reason": "r"}),
            ("PATCH", path) if path.contains("/versions/") => {
                json!({"published_at": "2025-01-01T00:00:00Z", "reason": "r"})
            }
            _ => json!({}),
        };
        let call = registry.call(&method, &path).tenant("default");
        let call = if method == "GET" { call } else { call.json(&body) };
        let refused = call.send().await.error(404, "NOT_FOUND", &[]);
        // The same words as for what never existed.
        assert!(refused.body["error"]["message"].as_str().unwrap().ends_with(" not found"));
    }
    assert_eq!(everything(&registry), before, "nothing was written, not even an audit row");
    let theirs = registry.call("POST", &format!("/customers/{mine}/packages")).tenant("default");
    theirs.json(&json!({"package": "theirs/pay"})).send().await.error(422, "VALIDATION_ERROR", &["package"]);
    let theirs = registry.call("POST", &format!("/customers/{mine}/packages")).tenant("default");
    theirs.json(&json!({"collection": "theirs"})).send().await.error(422, "VALIDATION_ERROR", &["collection"]);
    let own = registry.call("PUT", "/customers/by-external/b-1").tenant("default").json(&json!({"name": "a"}));
    assert_ne!(own.send().await.status(201).text("id"), customer);
}
