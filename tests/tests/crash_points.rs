//! G-L7: `kill -9` at every named place of a sync leaves each version in its old or its new state, and the sync comes to its end by
//! itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use cargoman_control_plane::crash::{Point, VARIABLE};
use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::Repository;
use cargoman_tests::reader::sha1;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Customer, World};

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "acme/pay";

/// Version → commit.
type State = BTreeMap<String, String>;

/// What is shown; each version has a dist with the right bytes.
#[track_caller]
fn shown(world: &World, customer: &Customer) -> State {
    let reader = world.reader(customer);
    let versions = reader.shown(NAME).into_iter().map(|version| {
        let dist = reader.get(&version.dist_path());
        assert_eq!((dist.status, sha1(&dist.body)), (200, version.text("/dist/shasum")), "{}", version.pretty());
        (version.pretty(), version.text("/dist/reference"))
    });
    versions.collect()
}

fn release(repository: &Repository, number: usize) {
    let manifest = format!(r#"{{"name":"{NAME}","description":"{number}"}}"#);
    repository.write("composer.json", &manifest).write("src/a.php", format!("<?php // {number}"));
    repository.commit(&number.to_string()).tag(&format!("1.{number}.0"));
}

/// One kill; what was done is said.
fn kill_at(point: Point, nth: usize) {
    use Point::{EndCommitted, EndWritten, JobEnded, VersionsCommitted};
    let folder = tempfile::tempdir().unwrap();
    let armed = folder.path().join("armed");
    let wanted = format!("{point:?}:{nth}:{}", armed.display());
    let mut world = World::start_with(Registry::builder().config(LOCAL).env(VARIABLE, &wanted));
    let repository = world.repository(NAME);
    (0..3).for_each(|number| release(&repository, number));
    world.operator().add(NAME, &world.repository_url(NAME));
    let customer = world.operator().customer_of(&[NAME]);
    let old = shown(&world, &customer);
    assert_eq!(old.len(), 4, "{old:?}");

    // Three releases more, a branch that moves, one that goes, one that comes.
    (3..6).for_each(|number| release(&repository, number));
    let head = repository.head();
    repository.git(&["branch", "next", &head]);
    std::fs::write(&armed, "").unwrap();
    let sql = |world: &World, sql: &str| world.registry.database().expect("a test database").query(sql);
    // Who asks may find the program dead before it answers.
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.registry.api("POST", &format!("/api/v1/packages/{NAME}/sync"), None));
        poll_until(&format!("{point:?} {nth}: the kill"), LIMIT, || (!armed.exists()).then_some(()));
        asking.join().ok();
    });
    if !point.is_of_worker() {
        world.registry.kill9();
        world.registry.restart();
    }
    // An edge may go on for a moment with what it heard before; the registry itself has all of them or none.
    let written = world.operator().versions(NAME).len();
    let committed = matches!(point, VersionsCommitted | EndWritten | EndCommitted | JobEnded);
    assert_eq!(written, if committed { 8 } else { 4 }, "{point:?} {nth}");
    let between = shown(&world, &customer);
    // As if the lease had run out, or the time until the next try.
    sql(&world, "update job set leased_until = now() where state = 'running'");
    sql(&world, "update job set run_after = now() where state = 'queued'");
    poll_until(&format!("{point:?} {nth}: the end of the sync"), LIMIT, || {
        (sql(&world, "select count(*) from job where state in ('queued', 'running')") == "0").then_some(())
    });
    let new = shown(&world, &customer);
    assert_eq!(new.len(), 8, "{point:?} {nth}: {new:?}");
    assert!(
        new.iter().all(|(version, commit)| version.starts_with("1.") || *commit == head),
        "{point:?} {nth}: {new:?}"
    );
    assert!(old.keys().all(|version| between.contains_key(version)), "{point:?} {nth}: lost {between:?}");
    for (version, commit) in &between {
        let either = [old.get(version), new.get(version)].contains(&Some(commit));
        assert!(either, "{point:?} {nth}: {version} is neither old nor new: {commit}");
    }
    let failed = sql(&world, "select count(*) from package where sync_error is not null");
    let last = sql(&world, "select state from job order by id desc limit 1");
    let dead = sql(&world, "select count(*) from job where state not in ('succeeded', 'failed')");
    assert_eq!((failed.as_str(), last.as_str(), dead.as_str()), ("0", "succeeded", "0"), "{point:?} {nth}");
    assert_eq!(world.operator().sync(NAME)["unchanged"], true, "{point:?} {nth}");
    nothing_is_left(&world, &format!("{point:?} {nth}"));
    println!("{point:?} {nth}: {written} written, {} shown, {} in the end", between.len(), new.len());
}

/// Neither a worker's folder, nor half a dist, nor an object of a pack that was never whole.
#[track_caller]
fn nothing_is_left(world: &World, when: &str) {
    let mut folders = vec![world.registry.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bad = name.ends_with(".out")
                || name.contains("partial")
                || name.starts_with("tmp_")
                || name.contains("incoming");
            assert!(!bad, "{when}: {} is left", entry.path().display());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

/// The nth time at a place, for those that a sync comes to more than once, in the full run.
fn times(point: Point) -> usize {
    use Point::{DistAnnounced, DistStored, VersionHeard, WorkerDistNamed, WorkerDistWritten, WorkerVersionTold};
    let often = [DistAnnounced, DistStored, VersionHeard, WorkerDistNamed, WorkerDistWritten, WorkerVersionTold];
    let full = std::env::var_os("CARGOMAN_TEST_FULL").is_some();
    if full && often.contains(&point) { 3 } else { 1 }
}

fn kill_at_each(points: impl Iterator<Item = Point>) {
    points.for_each(|point| (1..=times(point)).for_each(|nth| kill_at(point, nth)));
}

#[test]
fn of_the_worker() {
    kill_at_each(Point::ALL.into_iter().filter(|point| point.is_of_worker()));
}

#[test]
fn of_the_control_plane() {
    kill_at_each(Point::ALL.into_iter().filter(|point| !point.is_of_worker()));
}
