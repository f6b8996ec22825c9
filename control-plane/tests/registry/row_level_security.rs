//! The second wall: row level security on every table of a tenant; and that no write forgets its audit row or its news for
//! the edges.

use cargoman_control_plane::store::{Actor, TenantTransaction, customers};
use cargoman_testkit::forge::{Forge, Kind};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::fixture::Registry;
use crate::zip::Zip;
use crate::{forge_groups, github_app, routes};

/// What belongs to no tenant, for SQL.
const GLOBAL: &str = "('_sqlx_migrations', 'link_state', 'edge', 'edge_join_token', 'edge_member', 'dist_collection')";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_a_tenant_has_both_policies() {
    let registry = Registry::new().await;
    let wrong = registry.sql(&format!(
        "select c.relname, c.relrowsecurity, c.relforcerowsecurity
              , array(select p.polname || ':' || array_to_string(p.polroles::regrole[], ',') from pg_policy p where p.polrelid = c.oid order by 1)
         from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and c.relname not in {GLOBAL}
           and not (c.relrowsecurity and c.relforcerowsecurity
                    and array(select p.polname || ':' || array_to_string(p.polroles::regrole[], ',') from pg_policy p where p.polrelid = c.oid order by 1)
                        = array['of_system:cargoman_system', 'of_tenant:cargoman_app'])"
    ));
    assert_eq!(wrong, "", "tables without the wall");
    let without = registry.sql(&format!(
        "select relname from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace
           and relname not in {GLOBAL} and relname <> 'tenant'
           and not exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull)"
    ));
    assert_eq!(without, "", "tables that belong to nobody");
    let policies =
        registry.sql("select distinct qual, with_check from pg_policies where policyname = 'of_tenant' order by 1");
    assert_eq!(
        policies,
        "(id = current_tenant())|(id = current_tenant())\n(tenant_id = current_tenant())|(tenant_id = current_tenant())"
    );
}

/// What belongs to no tenant is shown to the system alone, and so is the giving of numbers.
#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_sees_what_belongs_to_none() {
    let registry = Registry::new().await;
    let mut connection = PgConnection::connect_with(&registry.options).await.unwrap();
    for statement in [
        "select * from link_state",
        "select * from edge",
        "select * from edge_join_token",
        "select * from edge_member",
        "select * from dist_collection",
        "update link_state set epoch = 9",
        "insert into edge (id, name) values (gen_random_uuid(), 'x')",
        "select number_outbox()",
        "select raise_epoch(1, 1)",
    ] {
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute("set local role cargoman_app").await.unwrap();
        let refused = transaction.execute(sqlx::query(statement)).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{statement}: {refused}");
        drop(transaction);
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute("set local role cargoman_system").await.unwrap();
        transaction.execute(sqlx::query(statement)).await.unwrap();
    }
}

fn tables(registry: &Registry) -> Vec<String> {
    let names = registry.sql(&format!(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not in {GLOBAL}",
    ));
    names.lines().map(str::to_owned).collect()
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    connection.fetch_one(sqlx::query(query)).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_predicate_sees_one_tenant() {
    let registry = Registry::new().await;
    let second = registry.post("/tenants", json!({"slug": "second"})).await.status(201).text("id");
    let second = second.strip_prefix("ten_").unwrap().to_owned();
    for tenant in ["default", "second"] {
        let call = |method: &str, path: &str| registry.call(method, path).tenant(tenant).header("idempotency-key", "k");
        let customer = call("POST", "/customers").json(&json!({"name": "a"})).send().await.status(201).text("id");
        call("PUT", "/vendors/acme").json(&json!({})).send().await.status(200);
        let package = registry.call("POST", "/packages").tenant(tenant);
        package.json(&json!({"repository_url": "/a.git", "name": "acme/pay"})).send().await.status(201);
        let key = json!({"name": "key", "kind": "ssh", "host": "git.example.com"});
        registry.call("POST", "/git-credentials").tenant(tenant).json(&key).send().await.status(201);
        let collection = registry.call("POST", "/collections").tenant(tenant);
        collection.json(&json!({"name": "Suite", "packages": ["acme/*"]})).send().await.status(201);
        let grant = registry.call("POST", &format!("/customers/{customer}/packages")).tenant(tenant);
        grant.json(&json!({"package": "acme/pay"})).send().await.status(201);
    }
    registry.publish("acme/pay", "1.0.0").await;

    let mut connection = PgConnection::connect_with(&registry.options).await.unwrap();
    connection.execute("set role cargoman_app").await.unwrap();
    for table in tables(&registry) {
        assert_eq!(count(&mut connection, &table).await, 0, "{table} without a tenant");
    }
    let mut seen = 0;
    for tenant in [registry.tenant.to_string(), second.clone()] {
        let mut transaction = connection.begin().await.unwrap();
        let set = sqlx::query("select set_config('cargoman.tenant', $1, true)").bind(&tenant);
        transaction.execute(set).await.unwrap();
        for table in tables(&registry) {
            let column = if table == "tenant" { "id" } else { "tenant_id" };
            let own = registry.count(&format!("{table} where {column} = '{tenant}'"));
            assert_eq!(count(&mut transaction, &table).await, own, "{table} as {tenant}");
            seen += own;
        }
        // Nor can it write into another's, or move a row there.
        let other = registry.sql(&format!("select id from tenant where id <> '{tenant}'"));
        for write in [
            format!(
                "insert into collection (tenant_id, id, slug, name, packages) values ('{other}', '{other}', 'x', 'x', '{{}}')"
            ),
            format!("update collection set tenant_id = '{other}'"),
            format!("insert into vendor (tenant_id, name, exclusive) values ('{other}', 'x', true)"),
            format!("update vendor set tenant_id = '{other}'"),
            format!("insert into audit (tenant_id, actor, action, subject) values ('{other}', 'a', 'b', 'c')"),
        ] {
            let mut attempt = transaction.begin().await.unwrap();
            let refused =
                attempt.execute(sqlx::query(sqlx::AssertSqlSafe(write.clone()))).await.unwrap_err().to_string();
            assert!(refused.contains("row-level security"), "{write}: {refused}");
        }
    }
    assert!(seen > 20, "there was something to see: {seen}");
    // After the transaction nothing of its tenant is left on the connection.
    assert_eq!(count(&mut connection, "customer").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_written_and_read_never_changed() {
    let registry = Registry::new().await;
    registry.customer("a").await;
    let mut connection = PgConnection::connect_with(&registry.options).await.unwrap();
    for role in ["cargoman_app", "cargoman_system"] {
        for statement in [
            "update audit set actor = 'nobody'",
            "delete from audit",
            "truncate audit",
            "alter table audit disable row level security",
            "drop table audit",
        ] {
            let mut transaction = connection.begin().await.unwrap();
            let become_role = sqlx::AssertSqlSafe(format!("set local role {role}"));
            transaction.execute(sqlx::query(become_role)).await.unwrap();
            let refused = transaction.execute(sqlx::query(statement)).await.unwrap_err().to_string();
            assert!(
                refused.contains("permission denied") || refused.contains("must be owner"),
                "{statement}: {refused}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_leaves_nothing() {
    let registry = Registry::new().await;
    let before = (registry.count("audit"), registry.count("outbox"));
    let mut transaction =
        TenantTransaction::begin(&registry.state.database, registry.tenant, Actor::Root).await.unwrap();
    let fields = customers::CustomerFields { name: "a".to_owned(), ..Default::default() };
    let customer = customers::insert(&mut transaction, &fields).await.unwrap().unwrap();
    let change =
        cargoman_edge_protocol::Change::Customer { tenant: registry.tenant, customer: customer.id.to_string() };
    transaction.changed(&change);
    transaction.audit("customer.create", &customer.id.to_string(), json!({}));
    drop(transaction);
    // A request that fails half-way is the same.
    let body = json!({"packages": [{"package": "no/such"}]});
    let id = registry.customer("b").await;
    let after_b = (registry.count("audit"), registry.count("outbox"));
    registry.put(&format!("/customers/{id}/packages"), body).await.status(422);
    assert_eq!((registry.count("audit"), registry.count("outbox")), after_b);
    // Of the customer and of his token.
    assert_eq!(after_b, (before.0 + 1, before.1 + 2), "the first left nothing");
    assert_eq!(registry.count("customer"), 1);
}

/// Every route that writes, once, in an order in which each finds what it needs; and whether edges must hear of it.
fn writes(
    customer: &str,
    (token, grant): (&str, &str),
    tenant: &str,
    (credential, git_credential): (&str, &str),
    (task, waiting): (&str, &str),
    (hook, delivery): (&str, &str),
    (group, new_group): (&str, &Value),
) -> Vec<(&'static str, String, Value, bool)> {
    let of = |rest: &str| format!("/customers/{customer}{rest}");
    let package = |rest: &str| format!("/packages/acme/pay{rest}");
    let named = json!({"name": "x"});
    vec![
        ("POST", "/customers".into(), named.clone(), true),
        ("PUT", "/customers/by-external/e1".into(), named.clone(), true),
        ("PUT", "/customers/by-external/e1".into(), named.clone(), true),
        ("PATCH", of(""), named.clone(), true),
        ("POST", of("/suspend"), json!({"reason": "r"}), true),
        ("POST", of("/reactivate"), json!({}), true),
        ("POST", of("/expire"), json!({}), true),
        ("POST", of("/freeze"), json!({}), true),
        ("POST", of("/tokens"), named.clone(), true),
        ("POST", of(&format!("/tokens/{token}/rotate")), json!({"grace_seconds": 9}), true),
        ("DELETE", of(&format!("/tokens/{token}")), json!({}), true),
        ("POST", of("/token/regenerate"), json!({}), true),
        ("DELETE", of("/token"), json!({}), true),
        ("POST", of("/packages"), json!({"package": "acme/pay", "constraint": "^2"}), true),
        ("PATCH", of(&format!("/grants/{grant}")), json!({"constraint": "^3"}), true),
        ("POST", of(&format!("/grants/{grant}/suspend")), json!({"reason": "r"}), true),
        ("POST", of(&format!("/grants/{grant}/reactivate")), json!({}), true),
        ("DELETE", of(&format!("/grants/{grant}")), json!({}), true),
        ("POST", of(&format!("/grants/{grant}/restore")), json!({}), true),
        ("PUT", of("/grants/by-external/s1"), json!({"collection": "bundle"}), true),
        ("PUT", of("/grants/by-external/s1"), json!({"constraint": "^4"}), true),
        ("DELETE", of("/collections/bundle"), json!({}), true),
        ("PUT", of("/packages"), json!({"packages": [{"package": "acme/pay"}]}), true),
        ("DELETE", of("/packages/acme/pay"), json!({}), true),
        ("POST", "/packages".into(), json!({"repository_url": "/b.git", "name": "new/b"}), true),
        ("POST", package("/unfreeze"), json!({}), false),
        ("PATCH", package(""), json!({"repository_url": "/c.git"}), true),
        ("POST", package("/sync"), json!({}), false),
        ("POST", format!("/tasks/{task}/retry"), json!({}), false),
        ("POST", format!("/tasks/{waiting}/cancel"), json!({}), false),
        ("POST", "/tasks/sync-all".into(), json!({}), false),
        ("POST", "/hooks".into(), json!({"provider": "gitea"}), false),
        ("POST", format!("/hooks/{hook}/rotate"), json!({}), false),
        ("POST", format!("/hooks/{hook}/deliveries/{delivery}/replay"), json!({}), false),
        ("DELETE", format!("/hooks/{hook}"), json!({}), false),
        ("POST", "/forge-groups".into(), new_group.clone(), false),
        ("PATCH", format!("/forge-groups/{group}"), json!({"packages": ["acme/*"]}), false),
        ("POST", format!("/forge-groups/{group}/sync"), json!({}), false),
        ("DELETE", format!("/forge-groups/{group}"), json!({}), false),
        ("POST", "/github-app/installations/4711/sync".into(), json!({"packages": ["acme/*"]}), false),
        ("POST", package("/abandon"), json!({}), true),
        ("POST", package("/unabandon"), json!({}), true),
        ("POST", package("/replace/1.9.0"), json!({"reason": "r"}), false),
        ("POST", package("/release/1.9.0"), json!({}), true),
        ("POST", package("/yank/1.0.0"), json!({}), true),
        ("POST", package("/unyank/1.0.0"), json!({}), true),
        ("POST", package("/takedown/1.0.0"), json!({"reason": "r"}), true),
        ("POST", package("/untakedown/1.0.0"), json!({}), true),
        ("POST", package("/deprecate/1.0.0"), json!({"replacement": "acme/new"}), true),
        ("POST", package("/undeprecate/1.0.0"), json!({}), true),
        ("PATCH", package("/versions/1.0.0"), json!({"published_at": "2025-01-01T00:00:00Z", "reason": "r"}), true),
        ("PUT", package("/versions/7.0.0"), json!({"name": "acme/pay"}), true),
        ("POST", "/credentials".into(), json!({"name": "x", "level": "viewer"}), false),
        ("POST", format!("/credentials/{credential}/rotate"), json!({"grace_seconds": 9}), false),
        ("DELETE", format!("/credentials/{credential}"), json!({}), false),
        ("POST", "/git-credentials".into(), json!({"name": "y", "kind": "ssh", "host": "git.example.com"}), false),
        ("PATCH", format!("/git-credentials/{git_credential}"), named.clone(), false),
        ("POST", format!("/git-credentials/{git_credential}/rotate"), json!({}), false),
        ("DELETE", format!("/git-credentials/{git_credential}"), json!({}), false),
        ("PUT", "/vendors/acme".into(), json!({"exclusive": false}), true),
        ("PATCH", "/settings".into(), json!({"source": "show"}), true),
        ("POST", "/collections".into(), json!({"name": "Suite", "packages": ["acme/pay"]}), true),
        ("PATCH", "/collections/suite".into(), json!({"packages": ["acme/*"]}), true),
        ("DELETE", "/collections/suite".into(), json!({}), true),
        ("PATCH", format!("/tenants/{tenant}"), named, false),
        ("POST", format!("/tenants/{tenant}/suspend"), json!({}), true),
        ("POST", format!("/tenants/{tenant}/reactivate"), json!({}), true),
        ("DELETE", package(""), json!({}), true),
        ("POST", package("/restore"), json!({}), true),
        ("DELETE", package(""), json!({}), true),
        ("DELETE", of(""), json!({}), true),
        ("POST", of("/restore"), json!({}), true),
        // The package, by the id of its deletion.
        ("POST", "/deletions/{newest}/restore".into(), json!({}), true),
        ("POST", "/tenants".into(), json!({"slug": "last"}), true),
        ("POST", "/edges/join-tokens".into(), json!({}), false),
        ("DELETE", "/edges/edge_00000000000000000000000000000001".into(), json!({}), false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_leaves_one_audit_row_and_tells_the_edges() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    registry.publish("acme/pay", "1.9.0").await;
    registry.sql("update version set held_at = now() where pretty = '1.9.0'");
    registry.collection("bundle", &["acme/*"]).await;
    let customer = registry.customer("a").await;
    let token =
        registry.get(&format!("/customers/{customer}/tokens")).await.data()[0]["id"].as_str().unwrap().to_owned();
    let packages = format!("/customers/{customer}/packages");
    let grant = registry.post(&packages, json!({"package": "acme/pay"})).await.status(201).text("id");
    let body = json!({"name": "a", "level": "admin"});
    let credential = registry.post("/credentials", body).await.status(201).text("id");
    let body = json!({"name": "key", "kind": "ssh", "host": "git.example.com"});
    let git_credential = registry.post("/git-credentials", body).await.status(201).text("id");
    registry.sql("insert into edge (id, name) values ('00000000-0000-0000-0000-000000000001', 'one')");
    let task = |package: u128, state: &str| {
        let id = uuid::Uuid::from_u128(package);
        registry.sql(&format!(
            "insert into job (tenant_id, id, kind, subject, state) values ('{}', '{id}', 'sync_package', '{id}', '{state}')",
            registry.tenant
        ));
        format!("task_{}", id.as_simple())
    };
    let tasks = (task(1, "failed"), task(2, "queued"));
    let hook = registry.post("/hooks", json!({"provider": "github"})).await.status(201).text("id");
    let delivery = format!("dlv_{}", uuid::Uuid::from_u128(3).as_simple());
    registry.sql(&format!(
        "insert into webhook_delivery (tenant_id, id, hook_id, source, event, hint, outcome)
         select tenant_id, '{}', id, 'x', 'push', '{{\"what\":\"nothing\"}}', 'ignored' from hook",
        uuid::Uuid::from_u128(3)
    ));
    registry.sql("update package set frozen_reason = 'x' where name = 'acme/pay'");
    let tenant = format!("ten_{}", registry.tenant);
    let (gitea, github) = (tokio::task::block_in_place(|| Forge::start(Kind::Gitea)), github_app::github());
    tokio::task::block_in_place(|| gitea.package("acme/pay", "acme/pay"));
    tokio::task::block_in_place(|| gitea.package("corp/pay", "corp/pay"));
    github_app::app(&registry, &github, json!(12345)).await;
    let forge_token = forge_groups::credential(&registry, &gitea, "git").await;
    let new_group = |name: &str| json!({"type": "gitea", "url": format!("{}/{name}", gitea.url()), "credential": forge_token, "packages": ["*/*"]});
    let group = registry.post("/forge-groups", new_group("corp")).await.status(201).text("id");
    let table = writes(
        &customer,
        (&token, &grant),
        &tenant,
        (&credential, &git_credential),
        (&tasks.0, &tasks.1),
        (&hook, &delivery),
        (&group, &new_group("acme")),
    );
    let paths: Vec<_> = table.iter().map(|(method, path, ..)| ((*method).to_owned(), path.clone())).collect();
    // A preview is rolled back; what tokens do stands in rest_me.
    let elsewhere = |path: &str| path.ends_with("/preview") || path.starts_with("/me/");
    routes::assert_covered(|method, path| method != "GET" && !elsewhere(path), &paths);
    for (method, path, body, told) in table {
        let newest =
            || registry.sql("select 'del_' || replace(id::text, '-', '') from deletion order by id desc limit 1");
        let path = if path.contains("{newest}") { path.replace("{newest}", &newest()) } else { path };
        let before = (registry.count("audit"), registry.count("outbox"));
        let call = match path.contains("/versions/") && method == "PUT" {
            true => registry.call(method, &path).zip(&Zip::of(&[("composer.json", &body.to_string())])),
            false => registry.call(method, &path).json(&body),
        };
        let answer = call.send().await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.body);
        let after = (registry.count("audit"), registry.count("outbox"));
        assert_eq!(after.0, before.0 + 1, "audit rows of {method} {path}");
        assert_eq!(after.1 > before.1, told, "outbox rows of {method} {path}");
        assert_eq!(
            answer.body["propagation"]["effective"] == true,
            told,
            "waiting of {method} {path}: {}",
            answer.body
        );
        // In the same transaction: a transaction has one time.
        if told {
            let newest = registry.sql(
                "select (select at from audit order by id desc limit 1) = (select at from outbox order by id desc limit 1)",
            );
            assert_eq!(newest, "t", "{method} {path}: not in one transaction");
        }
    }
    let secrets = registry.count("audit a where a::text ~ '(tok|cma)_[0-9A-Za-z]{38}'");
    assert_eq!(secrets, 0, "the audit trail holds no secret");
}
