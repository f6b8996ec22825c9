//! The stream of edges: what they are told, when they get leases, and what becomes of it when the database is restored.

use std::time::Duration;

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::{Closing, FromEdge};
use serde_json::json;

use crate::fixture::Registry;
use crate::link_edge::EdgeProcess;

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_hears_of_changes_in_order_and_gets_leases() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    assert_eq!(edge.dropped, 1, "it begins with nothing");
    edge.lease().await;
    let start = edge.seq();
    let customer = registry.customer("a").await;
    registry.package("acme/pay").await;
    let heard = |change: &Change| matches!(change, Change::Package { name, .. } if name.as_str() == "acme/pay");
    edge.until("the package", |edge| edge.applied.iter().any(|(_, change)| heard(change))).await;
    let seqs: Vec<i64> = edge.applied.iter().map(|(position, _)| position.seq).collect();
    assert_eq!(seqs, (start + 1..=start + i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
    let of_customer = |change: &Change| matches!(change, Change::Customer { customer: id, .. } if *id == customer);
    assert!(edge.applied.iter().any(|(_, change)| of_customer(change)));
    edge.lease().await;
    // It is all the database's too.
    let row = registry.sql("select name, software, connected, acked_seq, lease_ends_at > now(), stale_until > now() + interval '23 hours' from edge_member");
    assert_eq!(row, format!("one|cargoman-edge/test|t|{}|t|t", edge.seq()));
    linked.stop().await;
    edge.until("the farewell", |edge| edge.closed.is_some()).await;
    assert_eq!(edge.closed, Some(Some(Closing::Stopping)));
}
