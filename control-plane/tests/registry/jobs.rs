//! The queue, and whole syncs by the real git worker.

use std::time::Duration;

use cargoman_control_plane::domain::id::{JobId, PackageId};
use cargoman_control_plane::domain::job::{Priority, SYNC_PACKAGE};
use cargoman_control_plane::jobs as runner;
use cargoman_control_plane::store::jobs::{Ending, Renewed, Which};
use cargoman_control_plane::store::polls::Rhythm;
use cargoman_control_plane::store::{Actor, Page, TenantTransaction, jobs, packages};
use cargoman_testkit::git::Repository;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::fixture::Registry;

const LEASE: Duration = Duration::from_secs(60);
const ANY: Priority = Priority::Polled;

async fn package_id(registry: &Registry, name: &str) -> PackageId {
    let mut transaction = registry.begin().await;
    let name = cargoman_composer::name::PackageName::parse(name).unwrap();
    packages::find(&mut transaction, &name).await.unwrap().unwrap().id
}

async fn enqueue(registry: &Registry, subject: PackageId) -> JobId {
    let mut transaction = registry.begin().await;
    let job = jobs::enqueue(&mut transaction, SYNC_PACKAGE, subject, Priority::Asked).await.unwrap();
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
        while let Some(job) = registry.state.database.system().claim_job(owner, LEASE, ANY).await.unwrap() {
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
    let running = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!(running.id, first);
    let second = enqueue(&registry, subject).await;
    assert_ne!(second, first, "whoever asks now wants what happens from now on");
    assert!(system.claim_job(owner, LEASE, ANY).await.unwrap().is_none(), "its subject is busy");
    let other = enqueue(&registry, PackageId::new()).await;
    assert_eq!(system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap().id, other, "and stands in nobody's way");
    assert!(system.finish_job(&running, owner, Ending::Succeeded(&json!({}))).await.unwrap());
    assert_eq!(system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap().id, second);
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
    let old = system.claim_job(dead, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!(system.retake_jobs().await.unwrap(), 0, "its lease stands");
    registry.sql("update job set leased_until = now() - interval '1 second'");
    assert_eq!(system.renew_job(&old, dead, LEASE).await.unwrap(), Renewed::Ours, "late, but nobody else has it");
    assert_eq!(system.retake_jobs().await.unwrap(), 0);

    registry.sql("update job set leased_until = now() - interval '1 second'");
    assert_eq!(system.retake_jobs().await.unwrap(), 1);
    let new = system.claim_job(alive, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!(new.id, id);
    assert_eq!(system.renew_job(&old, dead, LEASE).await.unwrap(), Renewed::Lost);
    assert!(
        !system.finish_job(&old, dead, Ending::Succeeded(&json!({}))).await.unwrap(),
        "the dead one's word counts no more"
    );
    assert!(system.finish_job(&new, alive, failed("broken", None)).await.unwrap());
    let task = registry.get(&format!("/tasks/{id}")).await.status(200);
    assert_eq!(
        (task.text("state"), task.text("error"), task.data()["attempt"].clone()),
        ("failed".into(), "broken".into(), json!(2))
    );

    // One that kills its worker every time is given up.
    let killer = enqueue(&registry, PackageId::new()).await;
    for _ in 0..5 {
        assert_eq!(system.claim_job(dead, LEASE, ANY).await.unwrap().unwrap().id, killer);
        registry.sql("update job set leased_until = now() - interval '1 second' where state = 'running'");
        assert_eq!(system.retake_jobs().await.unwrap(), 1);
    }
    assert_eq!(registry.get(&format!("/tasks/{killer}")).await.text("state"), "failed");

    // At the start of a program that is alone, nothing can be running.
    let left = enqueue(&registry, PackageId::new()).await;
    system.claim_job(dead, LEASE, ANY).await.unwrap().unwrap();
    system.retake_all_jobs().await.unwrap();
    assert_eq!(system.claim_job(alive, LEASE, ANY).await.unwrap().unwrap().id, left);
}

fn failed(error: &str, again: Option<Duration>) -> Ending<'_> {
    Ending::Failed { error, result: None, again, dead: false }
}

async fn enqueue_as(registry: &Registry, priority: Priority) -> JobId {
    let mut transaction = registry.begin().await;
    let job = jobs::enqueue(&mut transaction, SYNC_PACKAGE, PackageId::new(), priority).await.unwrap();
    transaction.commit().await.unwrap();
    job
}

/// A push goes before a poll that waited a little longer, but not before one that waited for minutes; and one worker takes no polls.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_goes_first() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    let owner = Uuid::from_u128(1);
    let next = async |most| system.claim_job(owner, LEASE, most).await.unwrap().map(|job| job.id);
    let [poll, again, push, asked] = [
        enqueue_as(&registry, Priority::Polled).await,
        enqueue_as(&registry, Priority::Again).await,
        enqueue_as(&registry, Priority::Pushed).await,
        enqueue_as(&registry, Priority::Asked).await,
    ];
    registry.sql(&format!("update job set run_after = now() - interval '20 seconds' where id = '{}'", poll.0));
    for expected in [Some(asked), Some(push), Some(again), None] {
        assert_eq!(next(Priority::Again).await, expected);
    }
    assert_eq!(next(ANY).await, Some(poll));

    let (old, new) = (enqueue_as(&registry, Priority::Polled).await, enqueue_as(&registry, Priority::Asked).await);
    registry.sql(&format!("update job set run_after = now() - interval '5 minutes' where id = '{}'", old.0));
    assert_eq!((next(ANY).await, next(ANY).await), (Some(old), Some(new)));
}

/// A tenant with a hundred jobs does not keep out one with a single one.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_take_turns() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    for _ in 0..100 {
        enqueue_as(&registry, Priority::Pushed).await;
    }
    let other = system.insert_tenant("other", "Other", false, &Actor::Root).await.unwrap().id;
    let mut transaction = TenantTransaction::begin(&registry.state.database, other, Actor::Root).await.unwrap();
    let single = jobs::enqueue(&mut transaction, SYNC_PACKAGE, PackageId::new(), Priority::Pushed).await.unwrap();
    transaction.commit().await.unwrap();
    let owner = Uuid::from_u128(1);
    let first = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    let second = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert!(first.tenant == registry.tenant && second.id == single, "{first:?} {second:?}");
}

/// What failed for a reason that may pass comes again by itself; asked for meanwhile, it comes at once and with all its tries.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    let (owner, subject) = (Uuid::from_u128(1), PackageId::new());
    enqueue(&registry, subject).await;
    let job = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert!(system.finish_job(&job, owner, failed("away", Some(Duration::from_secs(60)))).await.unwrap());
    assert!(system.claim_job(owner, LEASE, ANY).await.unwrap().is_none(), "not before its time");
    registry.sql("update job set run_after = now() where state = 'queued'");
    let again = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!((again.retries, again.subject), (1, subject.0));
    assert!(system.finish_job(&again, owner, failed("away", Some(Duration::from_secs(60)))).await.unwrap());
    assert_eq!(registry.sql("select retries, priority from job where state = 'queued'"), "2|2");
    enqueue(&registry, subject).await;
    let asked = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!(asked.retries, 0);
    let dead = Ending::Failed { error: "away", result: None, again: None, dead: true };
    assert!(system.finish_job(&asked, owner, dead).await.unwrap());
    assert_eq!(registry.count("job where state = 'queued'"), 0);
    assert_eq!(registry.get("/tasks?dead=true").await.status(200).body["pagination"]["total"], 1);

    let retried = registry.post(&format!("/tasks/{}/retry", asked.id), json!({})).await.status(202);
    assert_eq!((retried.text("state"), retried.text("id") != asked.id.to_string()), ("queued".into(), true));
    registry.post(&format!("/tasks/{}/retry", JobId::new()), json!({})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    let (owner, subject) = (Uuid::from_u128(1), PackageId::new());
    let waiting = enqueue(&registry, subject).await;
    let answer = registry.post(&format!("/tasks/{waiting}/cancel"), json!({})).await.status(200);
    assert_eq!(answer.text("state"), "cancelled");
    assert!(system.claim_job(owner, LEASE, ANY).await.unwrap().is_none());
    registry.post(&format!("/tasks/{waiting}/cancel"), json!({})).await.error(409, "CONFLICT", &[]);

    let running = enqueue(&registry, subject).await;
    let job = system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    assert_eq!(system.renew_job(&job, owner, LEASE).await.unwrap(), Renewed::Ours);
    let answer = registry.post(&format!("/tasks/{running}/cancel"), json!({})).await.status(200);
    assert_eq!((answer.text("state"), answer.data()["cancel_asked"].clone()), ("running".into(), json!(true)));
    assert_eq!(system.renew_job(&job, owner, LEASE).await.unwrap(), Renewed::ToEnd);
    assert!(system.finish_job(&job, owner, Ending::Cancelled).await.unwrap());
    assert_eq!(registry.get(&format!("/tasks/{running}")).await.text("state"), "cancelled");

    // Its worker died before it could end it.
    let left = enqueue(&registry, subject).await;
    system.claim_job(owner, LEASE, ANY).await.unwrap().unwrap();
    registry.post(&format!("/tasks/{left}/cancel"), json!({})).await.status(200);
    registry.sql("update job set leased_until = now() - interval '1 second' where state = 'running'");
    system.retake_jobs().await.unwrap();
    assert_eq!(registry.get(&format!("/tasks/{left}")).await.text("state"), "cancelled");
}

/// Repositories are looked at by the clock, those with a working hook seldom, and never twice at once.
#[tokio::test(flavor = "multi_thread")]
async fn polls_are_spread() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    for number in 0..20 {
        registry.package(&format!("acme/p{number}")).await;
    }
    registry.sql("update job set state = 'succeeded'");
    registry.sql("update package set repository_url = '/x', poll_after = now()");
    registry.sql("update package set hook_seen_at = now() where name = 'acme/p0'");
    let minute = Duration::from_secs(60);
    let rhythm = Rhythm { every: 10 * minute, with_hook: 100 * minute, heard: minute };
    assert_eq!(system.queue_polls(rhythm, 15).await.unwrap(), 15);
    assert_eq!(system.queue_polls(rhythm, 15).await.unwrap(), 5);
    assert_eq!(system.queue_polls(rhythm, 15).await.unwrap(), 0);
    assert_eq!(registry.count("job where state = 'queued' and priority = 3"), 20);
    assert_eq!(registry.count("package where name <> 'acme/p0' and poll_after between now() + interval '7.9 minutes' and now() + interval '12.1 minutes'"), 19);
    assert_eq!(registry.count("package where poll_after > now() + interval '79 minutes'"), 1);
    assert!(registry.count("(select distinct poll_after from package) as times") > 10);
    registry.sql("update package set poll_after = now()");
    assert_eq!(system.queue_polls(rhythm, 50).await.unwrap(), 20);
    assert_eq!(registry.count("job where state = 'queued'"), 20, "one waits for each already");
    registry.post("/tasks/sync-all", json!({})).await.status(202);
    assert_eq!(registry.count("job where state = 'queued'"), 20);
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
    let (rows, total) = jobs::list(&mut transaction, Which::default(), Page { offset: 0, limit: 10 }).await.unwrap();
    assert_eq!((rows.len(), total), (1, 1));
}
