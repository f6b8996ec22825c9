//! Edges that join with a token of their own, and edges that are shut out.

use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::link::Closing;
use serde_json::{Value, json};

use crate::fixture::{Answer, EDGE, Registry};
use crate::link_edge::EdgeProcess;

async fn join(registry: &Registry, token: &str, name: &str) -> Answer {
    registry.edge_bare("POST", "/edge/v1/join").json(&json!({"token": token, "name": name})).send().await
}

async fn token(registry: &Registry, body: Value) -> String {
    registry.post("/edges/join-tokens", body).await.status(201).text("plain_token")
}

async fn may_read(registry: &Registry, credential: &str) -> u16 {
    let call = registry.edge_bare("POST", "/edge/v1/read").bearer(credential);
    call.json(&json!({"keys": []})).send().await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_lets_one_edge_in() {
    let registry = Registry::new().await;
    let first = token(&registry, json!({})).await;
    let joined = join(&registry, &first, "paris").await.status(200);
    assert_eq!(joined.body["name"], "paris");
    let credential = joined.body["credential"].as_str().unwrap().to_owned();
    assert_eq!(may_read(&registry, &credential).await, 200);
    join(&registry, &first, "rome").await.error(401, "UNAUTHORIZED", &[]);
    assert_eq!(registry.count("edge"), 1);
    // Names are told apart; the token's own wins.
    let second = token(&registry, json!({})).await;
    assert_eq!(join(&registry, &second, "paris").await.status(200).body["name"], "paris-2");
    let third = token(&registry, json!({"name": "rome"})).await;
    assert_eq!(join(&registry, &third, "paris").await.status(200).body["name"], "rome");
    let late = token(&registry, json!({})).await;
    registry.sql("update edge_join_token set expires_at = now() where used_at is null");
    join(&registry, &late, "late").await.error(401, "UNAUTHORIZED", &[]);
    let unknown = Secret::generate(Kind::Join, &ring::rand::SystemRandom::new()).unwrap();
    for wrong in ["", "x", EDGE, &credential, unknown.expose()] {
        join(&registry, wrong, "x").await.error(401, "UNAUTHORIZED", &[]);
    }
    let good = token(&registry, json!({})).await;
    for name in ["a\u{1b}[31m", &"x".repeat(101), "a\nb"] {
        join(&registry, &good, name).await.error(422, "VALIDATION_ERROR", &["name"]);
    }
    join(&registry, &good, "").await.status(200);
    for body in [json!({"expires_at": "2020-01-01T00:00:00Z"}), json!({"name": "\u{7}"}), json!({"for": "x"})] {
        registry.post("/edges/join-tokens", body).await.status(422);
    }
    // It passes requests on in a tenant's name like any other.
    let through = |credential: &str| {
        let call = registry.call("GET", "/customers").header("x-cargoman-edge", credential);
        call.header("x-cargoman-edge-tenant", &registry.tenant.to_string()).send()
    };
    through(&credential).await.status(200);
    through("cme_x").await.status(401);
    assert_eq!(registry.count("audit where action = 'edge.join' and actor like 'join_token:join_%'"), 4);
    assert_eq!(
        registry.count("audit a where a::text ~ 'cm[ej]_[0-9A-Za-z]{38}'"),
        0,
        "the audit trail holds no secret"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_holds_on_every_instance() {
    let registry = Registry::with(|config| config.link.lease_seconds = 2).await;
    let second = registry.second().await;
    let (_here, there) = (registry.linked().await, second.linked().await);
    let joined = join(&registry, &token(&registry, json!({"name": "paris"})).await, "").await.status(200);
    let credential = joined.body["credential"].as_str().unwrap().to_owned();
    let mut edge = EdgeProcess::new("paris").connect_as(there.address, &credential).await.unwrap().welcomed().await;
    edge.lease().await;
    let edge = edge.live();
    let listed = registry.get("/edges").await.status(200);
    let row = &listed.body["data"][0];
    assert_eq!((&row["joined"], &row["name"], &row["connected"]), (&json!(true), &json!("paris"), &json!(true)));
    let id = row["id"].as_str().unwrap().to_owned();
    let fenced = registry.delete(&format!("/edges/{id}")).await.status(200);
    let until: chrono::DateTime<chrono::Utc> = fenced.text("may_serve_until").parse().unwrap();
    assert!(until > chrono::Utc::now() + chrono::Duration::hours(23), "it may not have heard");
    assert_eq!(may_read(&registry, &credential).await, 410);
    assert_eq!(may_read(&second, &credential).await, 410);
    assert_eq!(edge.ended().await.closed, Some(Some(Closing::Fenced)));
    let again = EdgeProcess::new("paris").connect_as(there.address, &credential).await;
    assert!(again.err().unwrap().to_string().contains("410"));
    let listed = registry.get("/edges").await;
    assert!(listed.body["data"][0]["fenced_at"].is_string(), "it may be serving: {}", listed.body);
    // Until somebody vouches that it is gone.
    let waits = registry.post("/customers", json!({"name": "a"})).await.status(201);
    assert_eq!(waits.body["propagation"]["effective"], false, "{}", waits.body);
    registry.delete(&format!("/edges/{id}?gone=perhaps")).await.error(422, "VALIDATION_ERROR", &["gone"]);
    let gone = registry.delete(&format!("/edges/{id}?gone=true")).await.status(200);
    assert!(gone.data()["may_serve_until"].is_null(), "{}", gone.body);
    let waits = registry.post("/customers", json!({"name": "b"})).await.status(201);
    assert_eq!(waits.body["propagation"]["effective"], true, "{}", waits.body);
    assert_eq!(registry.get("/edges").await.body["pagination"]["total"], 0);
    // The name is free again.
    assert_eq!(join(&registry, &token(&registry, json!({})).await, "paris").await.body["name"], "paris");
    for unknown in ["edge_00000000000000000000000000000009", "x"] {
        registry.delete(&format!("/edges/{unknown}")).await.error(404, "NOT_FOUND", &[]);
    }
}

/// It has no credential of its own that could be killed: its state folder is shut out.
#[tokio::test(flavor = "multi_thread")]
async fn an_edge_with_the_shared_credential_can_be_fenced() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let state = edge.process.state;
    let other = EdgeProcess::new("two").connect(linked.address).await.welcomed().await.live();
    let edge = edge.live();
    registry.delete(&format!("/edges/edge_{}", state.as_simple())).await.status(200);
    assert_eq!(edge.ended().await.closed, Some(Some(Closing::Fenced)));
    let mut edge = EdgeProcess::with("one", state, None).connect(linked.address).await;
    edge.until("the end", |edge| edge.closed.is_some()).await;
    assert_eq!(edge.closed, Some(Some(Closing::Fenced)));
    other.halt().await.lease().await;
}

/// Or it could say in the other one's name that it heard of what the other one did not.
#[tokio::test(flavor = "multi_thread")]
async fn an_edge_cannot_pass_itself_off_as_another() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut credentials = Vec::new();
    for name in ["paris", "rome"] {
        let joined = join(&registry, &token(&registry, json!({"name": name})).await, "").await.status(200);
        credentials.push(joined.body["credential"].as_str().unwrap().to_owned());
    }
    let paris = EdgeProcess::new("paris").connect_as(linked.address, &credentials[0]).await.unwrap();
    let mut paris = paris.welcomed().await;
    paris.lease().await;
    let state = paris.process.state;
    let paris = paris.live();
    let as_paris = async || {
        let edge = EdgeProcess::with("paris", state, None);
        edge.connect_as(linked.address, &credentials[1]).await.unwrap()
    };
    let mut rome = as_paris().await;
    rome.until("the end", |edge| edge.closed.is_some()).await;
    assert_eq!((rome.closed, rome.welcome), (Some(Some(Closing::Again)), false));
    paris.halt().await.lease().await;
    // Once that one is shut out, whoever has its folder goes on from there.
    let id = registry.get("/edges").await.body["data"][0]["id"].as_str().unwrap().to_owned();
    registry.delete(&format!("/edges/{id}")).await.status(200);
    as_paris().await.welcomed().await.lease().await;
}
