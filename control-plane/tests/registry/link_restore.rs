//! A database that was restored from a backup: edges know what it does not.

use cargoman_credential::Digest;
use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::{Closing, Position, Revoked};
use serde_json::json;

use crate::fixture::Registry;
use crate::link_edge::EdgeProcess;

/// Forgets everything that happened after event `seq`, as a backup from then would.
fn restore(registry: &Registry, seq: i64) {
    registry.sql(&format!(
        "begin;
         delete from outbox where seq > {seq} or seq is null;
         update link_state set seq = {seq}, event = (select event from outbox where seq = {seq});
         update edge_member set acked_seq = least(acked_seq, {seq});
         commit"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_ahead_begins_anew_in_a_new_epoch() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    let start = edge.seq();
    let edge = edge.live();
    registry.customer("a").await;
    let edge = edge.halt().await;
    let (state, position) = (edge.process.state, edge.process.link.position().unwrap());
    assert!(position.seq > start);
    drop(edge);
    linked.stop().await;
    restore(&registry, start);
    // An instance that remembers nothing; the edge tells it.
    let registry = registry.second().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::with("one", state, Some(position)).connect(linked.address).await;
    edge.until("a welcome", |edge| edge.dropped > 0).await;
    let expected = |epoch, seq| (epoch, seq);
    let at = |position: Position| (position.epoch, position.seq);
    assert_eq!(at(edge.process.link.position().unwrap()), expected(2, start));
    edge.lease().await;
    // Of an epoch that this database has never heard of.
    let far = Position { epoch: 7, ..position };
    let mut other = EdgeProcess::with("two", uuid::Uuid::now_v7(), Some(far)).connect(linked.address).await;
    other.until("a welcome", |edge| edge.dropped > 0).await;
    assert_eq!(at(other.process.link.position().unwrap()), expected(8, start));
    // The first one was in epoch 2, which is over.
    let edge = edge.live().ended().await;
    assert_eq!(edge.closed, Some(Some(Closing::Again)));
    let mut edge = EdgeProcess::with("one", state, edge.process.link.position()).connect(linked.address).await;
    edge.until("a welcome", |edge| edge.dropped > 0).await;
    // Nothing makes sense beyond this.
    let absurd = Position { epoch: i64::MAX, ..position };
    let mut absurd = EdgeProcess::with("x", uuid::Uuid::now_v7(), Some(absurd)).connect(linked.address).await;
    absurd.until("the end", |edge| edge.closed.is_some()).await;
    assert_eq!(absurd.closed, Some(Some(Closing::Fault)));
    assert_eq!(registry.sql("select epoch from link_state"), "8");
}

/// The restored database counts on to numbers that edges have applied already, with other events.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_notices_by_itself_and_believes_no_old_ack() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let start = edge.seq();
    let edge = edge.live();
    for name in ["a", "b", "c", "d"] {
        registry.customer(name).await;
    }
    // Everything at once, so that the next look already finds what is new.
    let customer = registry.sql("select id from customer where name = 'a'");
    restore(&registry, start);
    let customer = format!("cust_{}", customer.replace('-', ""));
    let answer = registry.patch(&format!("/customers/{customer}"), json!({"name": "x"})).await;
    // The old stream's edge has acked this very number, of another event.
    let edge = edge.ended().await;
    assert_eq!(edge.closed, Some(Some(Closing::Again)));
    assert!(edge.seq() >= answer.body["propagation"]["seq"].as_i64().unwrap());
    assert_eq!((answer.status.as_u16(), &answer.body["propagation"]["effective"]), (202, &json!(false)));
    let (state, position) = (edge.process.state, edge.process.link.position());
    let mut edge = EdgeProcess::with("one", state, position).connect(linked.address).await;
    edge.until("a welcome", |edge| edge.dropped == 1).await;
    edge.lease().await;
    assert_eq!(edge.process.link.position().unwrap().epoch, 2);
    let edge = edge.live();
    let url = answer.body["propagation"]["url"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
    assert_eq!(registry.get(url).await.status(200).data()["effective"], true);
    edge.halt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_hand_over_what_they_know_to_be_revoked_before_they_get_a_lease() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let made = registry.post("/customers", json!({"name": "a"})).await.status(201);
    let kept = registry.post("/customers", json!({"name": "b"})).await.status(201).text("plain_token");
    let digest = Digest::of(made.text("plain_token").as_bytes());
    let revision = registry.sql("select max(revision) from token");
    let mut watching = EdgeProcess::new("watching").connect(linked.address).await.welcomed().await;
    let mut process = EdgeProcess::new("one");
    let unknown = Digest::of(b"nobody's");
    let tokens = vec![(registry.tenant, digest), (registry.tenant, unknown)];
    process.revoked = Some((0, Revoked { tokens, last: true }));
    let mut edge = process.connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let revoked = |digest: Digest| {
        registry.sql(&format!("select revoked_at is not null from token where digest = '{}'", digest.to_hex()))
    };
    assert_eq!(revoked(digest), "t");
    assert_eq!(revoked(Digest::of(kept.as_bytes())), "f");
    let newest = format!("select revision > {revision} from token where digest = '{}'", digest.to_hex());
    assert_eq!(registry.sql(&newest), "t", "a fact of its own");
    assert_eq!(registry.count("audit where action = 'token.revoke' and actor like 'edge:edge_%'"), 1);
    let told = |change: &Change| matches!(change, Change::Token { digest: told, revoked: true, .. } if *told == digest);
    watching.until("the news", |edge| edge.applied.iter().any(|(_, change)| told(change))).await;
    // A log of the present epoch is not asked for.
    let mut process = EdgeProcess::new("two");
    process.revoked = Some((1, Revoked { tokens: Vec::new(), last: true }));
    process.connect(linked.address).await.welcomed().await.lease().await;
}
