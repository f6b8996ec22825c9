//! The queue, and whole syncs by the real git worker.

use std::time::Duration;

use cargoman_control_plane::domain::id::PackageId;
use cargoman_control_plane::domain::job::SYNC_PACKAGE;
use cargoman_control_plane::jobs as runner;
use cargoman_control_plane::store::{Page, jobs, packages};
use cargoman_testkit::git::Repository;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::fixture::Registry;

const LEASE: Duration = Duration::from_secs(60);

async fn package_id(registry: &Registry, name: &str) -> PackageId {
    let mut transaction = registry.begin().await;
    let name = cargoman_composer::name::PackageName::parse(name).unwrap();
    packages::find(&mut transaction, &name).await.unwrap().unwrap().id
}

async fn enqueue(registry: &Registry, subject: PackageId) -> cargoman_control_plane::domain::id::JobId {
    let mut transaction = registry.begin().await;
    let job = jobs::enqueue(&mut transaction, SYNC_PACKAGE, subject).await.unwrap();
    transaction.commit().await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_take_the_same_job() {
    let registry = Registry::new().await;
    for _ in 0..20 {
        enqueue(&registry, PackageId::new()).await;
    }
    let work = async |owner: Uuid| {
        let mut taken = Vec::new();
        while let Some(job) = registry.state.database.system().claim_job(owner, LEASE).await.unwrap() {
            taken.push(job.id);
        }
        taken
    };
    let (a, b, c) = tokio::join!(work(Uuid::from_u128(1)), work(Uuid::from_u128(2)), work(Uuid::from_u128(3)));
    let mut all = [a, b, c].concat();
    assert_eq!(all.len(), 20);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20, "one was taken twice");
    assert_eq!(registry.count("job where state = 'running' and attempt = 1"), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_runs_and_one_waits_per_subject() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    let (subject, owner) = (PackageId::new(), Uuid::from_u128(1));
    let first = enqueue(&registry, subject).await;
    assert_eq!(enqueue(&registry, subject).await, first, "a queued one serves everyone");
    let running = system.claim_job(owner, LEASE).await.unwrap().unwrap();
    assert_eq!(running.id, first);
    let second = enqueue(&registry, subject).await;
    assert_ne!(second, first, "whoever asks now wants what happens from now on");
    assert!(system.claim_job(owner, LEASE).await.unwrap().is_none(), "its subject is busy");
    let other = enqueue(&registry, PackageId::new()).await;
    assert_eq!(system.claim_job(owner, LEASE).await.unwrap().unwrap().id, other, "and stands in nobody's way");
    assert!(system.finish_job(&running, owner, Some(&json!({})), None).await.unwrap());
    assert_eq!(system.claim_job(owner, LEASE).await.unwrap().unwrap().id, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ask_at_once_and_one_job_serves_them() {
    let registry = Registry::new().await;
    let subject = PackageId::new();
    let ids = futures::future::join_all((0..8).map(|_| enqueue(&registry, subject))).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(registry.count("job"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_job_is_taken_again() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    let (dead, alive) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let id = enqueue(&registry, PackageId::new()).await;
    let old = system.claim_job(dead, LEASE).await.unwrap().unwrap();
    assert_eq!(system.retake_jobs().await.unwrap(), 0, "its lease stands");
    registry.sql("update job set leased_until = now() - interval '1 second'");
    assert!(system.renew_job(&old, dead, LEASE).await.unwrap(), "late, but nobody else has it");
    assert_eq!(system.retake_jobs().await.unwrap(), 0);

    registry.sql("update job set leased_until = now() - interval '1 second'");
    assert_eq!(system.retake_jobs().await.unwrap(), 1);
    let new = system.claim_job(alive, LEASE).await.unwrap().unwrap();
    assert_eq!(new.id, id);
    assert!(!system.renew_job(&old, dead, LEASE).await.unwrap());
    assert!(
        !system.finish_job(&old, dead, Some(&json!({})), None).await.unwrap(),
        "the dead one's word counts no more"
    );
    assert!(system.finish_job(&new, alive, None, Some("broken")).await.unwrap());
    let task = registry.get(&format!("/tasks/{id}")).await.status(200);
    assert_eq!(
        (task.text("state"), task.text("error"), task.data()["attempt"].clone()),
        ("failed".into(), "broken".into(), json!(2))
    );

    // One that kills its worker every time is given up.
    let killer = enqueue(&registry, PackageId::new()).await;
    for _ in 0..5 {
        assert_eq!(system.claim_job(dead, LEASE).await.unwrap().unwrap().id, killer);
        registry.sql("update job set leased_until = now() - interval '1 second' where state = 'running'");
        assert_eq!(system.retake_jobs().await.unwrap(), 1);
    }
    assert_eq!(registry.get(&format!("/tasks/{killer}")).await.text("state"), "failed");

    // At the start of a program that is alone, nothing can be running.
    let left = enqueue(&registry, PackageId::new()).await;
    system.claim_job(dead, LEASE).await.unwrap().unwrap();
    system.retake_all_jobs().await.unwrap();
    assert_eq!(system.claim_job(alive, LEASE).await.unwrap().unwrap().id, left);
}

/// A registry whose jobs run until the returned sender goes.
pub(crate) async fn running() -> (Registry, watch::Sender<bool>) {
    let registry = Registry::new().await;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(runner::run(registry.state.clone(), stopped));
    (registry, stop)
}

fn repository(tags: &[&str]) -> Repository {
    tokio::task::block_in_place(|| {
        Repository::bare_with(|repository| {
            for tag in tags {
                repository.write("composer.json", r#"{"name": "acme/pay"}"#).write("tag", tag).commit(tag).tag(tag);
            }
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_publishes_and_tells() {
    let (registry, _stop) = running().await;
    let repository = repository(&["1.0.0", "not-a-version"]);
    registry.post("/packages", json!({"repository_url": repository.url()})).await.status(201);
    let sync = "/packages/acme/pay/sync?wait=true";
    let first = registry.post(sync, json!({})).await.status(200);
    assert_eq!(first.text("state"), "succeeded", "{}", first.body);
    let names: Vec<Value> = registry.get("/packages/acme/pay/versions").await.data().as_array().unwrap().clone();
    assert!(names.iter().any(|row| row["version"] == "1.0.0"), "{names:?}");
    assert!(first.data()["skipped"].to_string().contains("not-a-version"), "{}", first.body);

    // Whoever waits sees what was pushed before he asked: his sync began after his call.
    tokio::task::block_in_place(|| repository.write("tag", "1.1.0").commit("1.1.0").tag("1.1.0").head());
    let second = registry.post(sync, json!({})).await.status(200);
    assert_eq!(second.data()["added"], json!(["1.1.0"]), "{}", second.body);
    assert!(second.data()["took_ms"].is_u64() && second.data()["task"].is_string());
    registry.post("/packages/acme/pay/sync", json!({})).await.status(202);
    registry.post("/packages/acme/pay/sync?wait=perhaps", json!({})).await.error(422, "VALIDATION_ERROR", &["wait"]);
    registry.post("/packages/acme/none/sync?wait=true", json!({})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_takes_nothing_away() {
    let (registry, _stop) = running().await;
    let repository = repository(&["1.0.0"]);
    registry.post("/packages", json!({"repository_url": repository.url()})).await.status(201);
    registry.post("/packages/acme/pay/sync?wait=true", json!({})).await.status(200);
    registry.patch("/packages/acme/pay", json!({"repository_url": "/no/such/repository.git"})).await.status(200);
    let failed = registry.post("/packages/acme/pay/sync?wait=1", json!({})).await.status(200);
    assert_eq!(failed.text("state"), "failed");
    let error = failed.text("error");
    let package = registry.get("/packages/acme/pay").await.status(200);
    assert_eq!((package.text("sync_error"), package.data()["versions"] != json!(0)), (error.clone(), true));
    let task = registry.get(&format!("/tasks/{}", failed.text("task"))).await.status(200);
    assert_eq!((task.text("state"), task.text("error")), ("failed".into(), error));
    assert_eq!(registry.get("/tasks?state=failed").await.body["pagination"]["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_goes_on_when_a_package_is_deleted_before_its_turn() {
    let registry = Registry::new().await;
    registry.package("acme/gone").await;
    let subject = package_id(&registry, "acme/gone").await;
    let task = enqueue(&registry, subject).await;
    registry.delete("/packages/acme/gone").await.status(200);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(runner::run(registry.state.clone(), stopped));
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let shown = registry.get(&format!("/tasks/{task}")).await.status(200);
        if shown.text("state") == "failed" {
            assert!(shown.text("error").contains("deleted"), "{}", shown.body);
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{}", shown.body);
    }
    stop.send(true).unwrap();
    running.await.unwrap();
    let mut transaction = registry.begin().await;
    let (rows, total) = jobs::list(&mut transaction, None, Page { offset: 0, limit: 10 }).await.unwrap();
    assert_eq!((rows.len(), total), (1, 1));
}
