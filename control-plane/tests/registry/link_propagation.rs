//! When a write answers, and what it says then: never that a change is effective while an edge may answer from before it.

use std::time::{Duration, Instant};

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::FromEdge;
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};
use crate::link_edge::{DEADLINE, EdgeProcess};

/// Leases that are over soon.
async fn registry() -> Registry {
    Registry::with(|config| config.link.lease_seconds = 2).await
}

fn propagation(answer: &Answer) -> &Value {
    &answer.body["propagation"]
}

async fn rename(registry: &Registry, customer: &str) -> Answer {
    registry.patch(&format!("/customers/{customer}"), json!({"name": "x"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_answers_when_every_edge_has_applied_it() {
    let registry = registry().await;
    let linked = registry.linked().await;
    let customer = registry.customer("a").await;
    let mut edges = Vec::new();
    for name in ["one", "two", "three"] {
        let mut edge = EdgeProcess::new(name).connect(linked.address).await.welcomed().await;
        edge.lease().await;
        edges.push(edge.live());
    }
    let mut took = Vec::new();
    for _ in 0..20 {
        let token = registry.post(&format!("/customers/{customer}/tokens"), json!({"name": "t"})).await.status(201);
        let id = token.data()["token"]["id"].as_str().unwrap().to_owned();
        let asked = Instant::now();
        let revoked = registry.delete(&format!("/customers/{customer}/tokens/{id}")).await.status(200);
        took.push(asked.elapsed());
        let about = propagation(&revoked);
        assert_eq!((&about["effective"], &about["edges"]), (&json!(true), &json!(3)), "{about}");
        let seq = about["seq"].as_i64().unwrap();
        let again = registry.get(&format!("/propagation/{seq}")).await.status(200);
        assert_eq!(again.data()["effective"], true);
    }
    took.sort();
    println!("revoking with three edges: median {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
    assert!(took[took.len() / 2] < Duration::from_millis(500), "{took:?}");
    let last = registry.sql("select seq from link_state").parse::<i64>().unwrap();
    for edge in edges {
        let edge = edge.halt().await;
        assert_eq!(edge.seq(), last);
        let revoked = edge.applied.iter().filter(|(_, change)| matches!(change, Change::Token { revoked: true, .. }));
        assert_eq!(revoked.count(), 20);
    }
    registry.get(&format!("/propagation/{}", last + 1)).await.error(404, "NOT_FOUND", &[]);
    registry.get("/propagation/x").await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_says_nothing_is_waited_for_and_named() {
    let registry = registry().await;
    let linked = registry.linked().await;
    let customer = registry.customer("a").await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    edge.acks = false;
    let edge = edge.live();
    let call = registry.call("POST", "/customers").json(&json!({"name": "b"})).header("idempotency-key", "k");
    let answer = call.clone().send().await.status(201);
    assert_eq!(answer.data()["name"], "b", "it is done all the same");
    let about = propagation(&answer);
    let took = about["took_ms"].as_i64().unwrap();
    assert!(about["effective"] == false && (5_000..7_000).contains(&took), "{about}");
    assert_eq!(about["pending"][0]["edge"], "one");
    let until: chrono::DateTime<chrono::Utc> =
        about["pending"][0]["may_serve_until"].as_str().unwrap().parse().unwrap();
    assert!(until > chrono::Utc::now() + chrono::Duration::hours(23), "{until}");
    // What is kept under the key is the final answer.
    let again = call.send().await.status(201);
    assert_eq!(propagation(&again), about);
    // A dry run waits for nobody.
    let asked = Instant::now();
    registry.delete(&format!("/customers/{customer}?dry_run=true")).await.status(200);
    assert!(asked.elapsed() < Duration::from_secs(2));
    let url = about["url"].as_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();
    assert_eq!(registry.get(&url).await.status(200).data()["effective"], false);
    let mut edge = edge.halt().await;
    let seq = edge.seq();
    edge.say(&FromEdge::Ack { seq }).await;
    let until = Instant::now() + DEADLINE;
    while registry.get(&url).await.status(200).data()["effective"] != true {
        assert!(Instant::now() < until, "it is effective once it is applied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_left_is_not_waited_for_and_one_that_is_gone_is() {
    let registry = registry().await;
    let linked = registry.linked().await;
    let customer = registry.customer("a").await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    edge.say(&FromEdge::Leaving).await;
    edge.until("the answer", |edge| edge.left).await;
    let answer = rename(&registry, &customer).await.status(200);
    assert_eq!(propagation(&answer)["edges"], 0);

    let mut edge = EdgeProcess::new("two").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let state = edge.process.state;
    drop(edge);
    let answer = rename(&registry, &customer).await.status(202);
    assert_eq!(propagation(&answer)["pending"][0]["edge"], "two");
    // Nobody waits for one that has been silent for long.
    registry.sql("update edge_member set lease_ends_at = now() - interval '1 minute'");
    let answer = rename(&registry, &customer).await.status(202);
    assert!(propagation(&answer)["took_ms"].as_i64().unwrap() < 2_000, "{}", answer.body);
    // Its next run with the same folder proves it dead.
    let edge = EdgeProcess::with("two", state, None).connect(linked.address).await.welcomed().await.live();
    let answer = rename(&registry, &customer).await.status(200);
    assert_eq!(propagation(&answer)["edges"], 1);
    edge.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_serves_stale_it_is_effective_after_the_lease() {
    let registry = registry().await;
    let linked = registry.linked().await;
    let customer = registry.customer("a").await;
    let mut deaf = EdgeProcess::new("deaf").connect(linked.address).await.welcomed().await;
    deaf.lease().await;
    drop(deaf);
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let edge = edge.live();
    // The deaf one has not heard of the choice, and goes by the old one.
    let answer = registry.patch("/settings", json!({"outage": {"mode": "fail-closed"}})).await.status(202);
    assert_eq!(
        propagation(&answer)["pending"],
        json!([{"edge": "deaf", "may_serve_until": propagation(&answer)["pending"][0]["may_serve_until"]}])
    );
    registry.sql("delete from edge_member where name = 'deaf'");
    // The other has heard it: cut off, it answers nothing when its lease is over.
    drop(edge.halt().await);
    let answer = rename(&registry, &customer).await.status(200);
    let took = propagation(&answer)["took_ms"].as_i64().unwrap();
    assert!(propagation(&answer)["effective"] == true && (2_000..4_500).contains(&took), "{}", answer.body);
    // Wall clocks say nothing about leases.
    registry
        .sql("update edge_member set lease_ends_at = now() - interval '1 day', stale_until = now() - interval '1 day'");
    let answer = rename(&registry, &customer).await.status(200);
    assert!(propagation(&answer)["took_ms"].as_i64().unwrap() >= 2_000, "{}", answer.body);
    // Another tenant of the same edges wants to be served.
    registry.post("/tenants", json!({"slug": "other"})).await;
    registry.sql("update edge_member set stale_until = now() + interval '1 day'");
    let other = registry.call("POST", "/customers").tenant("other").json(&json!({"name": "b"})).send().await;
    other.status(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_on_another_instance_are_waited_for() {
    let registry = registry().await;
    let second = registry.second().await;
    let (linked, elsewhere) = (registry.linked().await, second.linked().await);
    let customer = registry.customer("a").await;
    let mut here = EdgeProcess::new("here").connect(linked.address).await.welcomed().await;
    let mut there = EdgeProcess::new("there").connect(elsewhere.address).await.welcomed().await;
    here.lease().await;
    there.lease().await;
    let (here, there) = (here.live(), there.live());
    let mut took = Vec::new();
    for _ in 0..10 {
        for registry in [&registry, &second] {
            let answer = rename(registry, &customer).await.status(200);
            assert_eq!(propagation(&answer)["edges"], 2);
            took.push(propagation(&answer)["took_ms"].as_i64().unwrap());
        }
    }
    took.sort_unstable();
    println!("with two instances: {took:?} ms");
    assert!(took[10] < 1_000, "not by the second's tick or the lease's end: {took:?}");
    let mut there = there.halt().await;
    there.acks = false;
    let there = there.live();
    let answer = rename(&registry, &customer).await.status(202);
    assert_eq!(propagation(&answer)["pending"].as_array().unwrap().len(), 1);
    assert_eq!(propagation(&answer)["pending"][0]["edge"], "there");
    // It goes over to this instance; the stream it had is its stream no more.
    let there = there.halt().await;
    let (state, position) = (there.process.state, there.process.link.position());
    let mut moved = EdgeProcess::with("there", state, position).connect(linked.address).await;
    moved.lease().await;
    assert_eq!(moved.dropped, 0);
    let (moved, there) = (moved.live(), there.live());
    assert!(there.ended().await.closed.is_some());
    assert_eq!(propagation(&rename(&registry, &customer).await.status(200))["edges"], 2);
    moved.halt().await;
    here.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_says_how_new_it_is() {
    let registry = registry().await;
    let body = json!({"keys": [{"key": {"kind": "host", "host": "localhost"}}]});
    let read = || registry.edge("POST", "/edge/v1/read").json(&body).send();
    assert_eq!(read().await.status(200).body["as_of"], Value::Null, "nothing is known yet");
    let linked = registry.linked().await;
    let edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    let before = edge.seq();
    let edge = edge.live();
    registry.customer("a").await;
    let as_of = &read().await.status(200).body["as_of"];
    assert_eq!(as_of, &json!({"epoch": 1, "seq": before + 2}));
    edge.halt().await;
}
