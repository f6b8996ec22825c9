//! The stream of edges: what they are told, when they get leases, and what makes no sense to the control plane.

use std::time::Duration;

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::{Closing, FromEdge, MOST_FRAME};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::time::timeout;

use crate::fixture::Registry;
use crate::link_edge::{DEADLINE, EdgeProcess};

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_hears_of_changes_in_order_and_gets_leases() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    assert_eq!(edge.dropped, 1, "it begins with nothing");
    edge.lease().await;
    let start = edge.seq();
    let edge = edge.live();
    let customer = registry.customer("a").await;
    registry.package("acme/pay").await;
    let edge = edge.halt().await;
    let seqs: Vec<i64> = edge.applied.iter().map(|(position, _)| position.seq).collect();
    assert_eq!(seqs, (start + 1..=start + i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
    let told = |wanted: &dyn Fn(&Change) -> bool| edge.applied.iter().any(|(_, change)| wanted(change));
    assert!(told(&|change| matches!(change, Change::Customer { customer: id, .. } if *id == customer)));
    assert!(told(&|change| matches!(change, Change::Token { revoked: false, .. })));
    assert!(told(&|change| matches!(change, Change::Package { name, .. } if name.as_str() == "acme/pay")));
    assert!(told(&|change| matches!(change, Change::Directory { .. })));
    let member = "select name, software, connected, lease_ends_at > now(), stale_until > now() + interval '23 hours' from edge_member";
    assert_eq!(registry.sql(member), "one|cargoman-edge/test|t|t|t");
    let listed = registry.get("/edges").await.status(200);
    let listed = &listed.body["data"][0];
    assert_eq!(
        (&listed["name"], &listed["connected"], &listed["joined"]),
        (&json!("one"), &json!(true), &json!(false))
    );
    assert_eq!(listed["version"], "cargoman-edge/test");
    let edge = edge.live();
    linked.stop().await;
    assert_eq!(edge.ended().await.closed, Some(Some(Closing::Stopping)));
    assert_eq!(registry.sql("select connected from edge_member"), "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_from_where_it_was() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    let (state, position) = (edge.process.state, edge.process.link.position());
    drop(edge);
    registry.sql("delete from edge_member");
    registry.customer("a").await;
    // The same run, and a later one with what was saved.
    let mut edge = EdgeProcess::with("one", state, position).connect(linked.address).await;
    edge.until("what it missed", |edge| edge.applied.len() == 2).await;
    assert_eq!(edge.dropped, 0);
    drop(edge);
    // What it missed is there no more: it must begin anew.
    registry.sql("delete from edge_member");
    registry.customer("b").await;
    registry.sql(&format!("delete from outbox where seq <= {}", position.unwrap().seq));
    let mut edge = EdgeProcess::with("one", state, position).connect(linked.address).await;
    edge.until("a welcome", |edge| edge.dropped == 1).await;
    assert!(edge.applied.is_empty() && edge.seq() > position.unwrap().seq);
    assert_eq!(registry.sql("select epoch from link_state"), "1", "that is no restore");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_reach_an_edge_that_was_away() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    let (state, position) = (edge.process.state, edge.process.link.position());
    drop(edge);
    let burst = "insert into outbox (tenant_id, kind, keys)
                 select id, 'directory', json_build_object('kind', 'directory', 'tenant', id) from tenant, generate_series(1, 15000)";
    registry.sql(burst);
    // More than this instance keeps: the beginning comes from the database.
    let mut edge = EdgeProcess::with("one", state, position).connect(linked.address).await;
    edge.until("all of it", |edge| edge.applied.len() == 15_000).await;
    edge.lease().await;
    assert_eq!(edge.dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_ends_the_stream_and_nothing_else() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let refused = EdgeProcess::new("x").connect_as(linked.address, "cme_nobody").await;
    assert!(refused.err().unwrap().to_string().contains("401"));
    let unknown = r#"{"kind":"weather","optional":true}"#.to_owned();
    for (text, closed) in [
        ("{".to_owned(), Some(Closing::Fault)),
        (r#"{"kind":"weather"}"#.to_owned(), Some(Closing::Fault)),
        (FromEdge::Ack { seq: 99 }.write(), Some(Closing::Fault)),
        (EdgeProcess::new("x").link.open(None).write(), Some(Closing::Fault)),
        (r#"{"kind":"revoked","tokens":[],"last":true}"#.to_owned(), Some(Closing::Fault)),
        // Too large: it is not even read.
        (" ".repeat(MOST_FRAME + 1), None),
    ] {
        let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
        edge.say_text(unknown.clone()).await;
        edge.lease().await;
        edge.say_text(text.clone()).await;
        edge.until("the end", |edge| edge.closed.is_some()).await;
        assert_eq!(edge.closed, Some(closed), "{}", &text[..text.len().min(80)]);
    }
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
}

/// A lease is nothing that an instance may give by itself.
#[tokio::test(flavor = "multi_thread")]
async fn no_lease_while_the_database_does_not_say_what_happened() {
    let registry = Registry::new().await;
    let linked = registry.linked().await;
    let mut edge = EdgeProcess::new("one").connect(linked.address).await.welcomed().await;
    edge.lease().await;
    let mut connection = PgConnection::connect_with(&registry.options).await.unwrap();
    connection.execute("begin; lock table link_state in access exclusive mode").await.unwrap();
    edge.leased = None;
    edge.ask().await;
    assert!(timeout(Duration::from_secs(3), edge.step()).await.is_err(), "nothing is said, least of all a lease");
    assert!(edge.leased.is_none());
    connection.execute("rollback").await.unwrap();
    let leased = async {
        // What was asked meanwhile stays without an answer.
        while edge.leased.is_none() {
            edge.ask().await;
            timeout(Duration::from_millis(200), edge.step()).await.ok();
        }
    };
    timeout(DEADLINE, leased).await.expect("a lease again");
}

/// Numbers have no gaps and follow commits, and nobody waits for a long transaction.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_under_concurrent_writers() {
    let registry = Registry::new().await;
    let system = registry.state.database.system().clone();
    let tenant = registry.tenant;
    let insert =
        format!("insert into outbox (tenant_id, kind, keys) values ('{tenant}', 'directory', '{{}}') returning id");
    let mut long = PgConnection::connect_with(&registry.options).await.unwrap();
    let mut long = long.begin().await.unwrap();
    let early: i64 = long.fetch_one(sqlx::query(sqlx::AssertSqlSafe(insert.clone()))).await.unwrap().get(0);
    let writers = (0..6).map(|_| {
        let (options, insert, system) = (registry.options.clone(), insert.clone(), system.clone());
        tokio::spawn(async move {
            let mut connection = PgConnection::connect_with(&options).await.unwrap();
            let mut last = 0;
            for _ in 0..40 {
                let id: i64 =
                    connection.fetch_one(sqlx::query(sqlx::AssertSqlSafe(insert.clone()))).await.unwrap().get(0);
                let head = system.number_outbox().await.unwrap();
                let seq = sqlx::query("select seq from outbox where id = $1").bind(id);
                let seq: Option<i64> = connection.fetch_one(seq).await.unwrap().get(0);
                let seq = seq.expect("a committed row has its number when the head is known");
                assert!(last < seq && seq <= head.seq, "{last} {seq} {head:?}");
                last = seq;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    long.commit().await.unwrap();
    let head = system.number_outbox().await.unwrap();
    // The tenant's own row, and the long transaction's.
    assert_eq!(head.seq, 6 * 40 + 2);
    assert_eq!(
        registry.sql(&format!("select seq from outbox where id = {early}")),
        head.seq.to_string(),
        "the last to commit"
    );
    assert_eq!(registry.sql("select count(*), count(distinct seq), min(seq), max(seq) from outbox"), "242|242|1|242");
    assert_eq!(registry.sql("select o.event = l.event from outbox o, link_state l where o.seq = l.seq"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_and_members_go() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    registry.patch("/settings", json!({"outage": {"mode": "fail-closed"}})).await.status(200);
    let burst = "insert into outbox (tenant_id, kind, keys, at)
                 select id, 'directory', '{}', now() - interval '2 hours' from tenant, generate_series(1, 10100)";
    registry.sql(burst);
    registry.sql("update outbox set at = now() - interval '2 hours'");
    let head = system.number_outbox().await.unwrap();
    assert_eq!(system.prune_outbox().await.unwrap(), 101);
    let told = registry.sql("select seq from outbox o join tenant t on t.outage_changed = o.id");
    assert_eq!(registry.sql("select min(seq) from outbox"), told, "what told of the choice for outages stays");
    assert_eq!(system.number_outbox().await.unwrap(), head);
    registry.sql("update outbox set at = now()");
    assert_eq!(system.prune_outbox().await.unwrap(), 0, "what is young stays");
    let member = |name: &str, until: &str| {
        format!("insert into edge_member (incarnation, state, name, software, control_plane, lease_ms, stale_until)
                 values (gen_random_uuid(), gen_random_uuid(), '{name}', '', gen_random_uuid(), 3000, now() + interval '{until}')")
    };
    registry.sql("delete from edge_member");
    registry.sql(&member("old", "-61 minutes"));
    registry.sql(&member("older", "-1 day"));
    registry.sql(&member("stale", "-59 minutes"));
    registry.sql(&member("fresh", "1 day"));
    // The end of the lease counts as well.
    registry.sql("update edge_member set lease_ends_at = stale_until where name <> 'older'");
    registry.sql("update edge_member set lease_ends_at = now() where name = 'older'");
    assert_eq!(system.prune_members().await.unwrap(), 1);
    assert_eq!(registry.sql("select string_agg(name, ' ' order by name) from edge_member"), "fresh older stale");
}
