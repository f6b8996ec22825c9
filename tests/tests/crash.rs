//! The program ends in the middle of a sync, by `kill -9` and in order: what is published is whole, nothing that it started
//! lives on, and after the next start the sync comes to its end by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::process::Command;
use std::time::Duration;

use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::{Repository, Shape};
use cargoman_tests::processes::{descendants, still_there};
use cargoman_tests::reader::sha1;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Customer, World};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(120);
const NAME: &str = "acme/large";

/// A sync that takes some seconds.
fn shape(tags: usize) -> Shape {
    Shape { name: NAME.to_owned(), tags, branches: 4, files: 150, ..Shape::monolog() }
}

/// A registry of its own database, with a customer and a package whose first sync is running.
fn syncing(shape: &Shape) -> (World, Customer, Repository) {
    let world = World::start_with(Registry::builder().config(LOCAL).embedded());
    let repository = world.repository(NAME);
    repository.fill(shape);
    world.operator().post("/packages", &json!({"repository_url": world.repository_url(NAME), "name": NAME}));
    let customer = world.operator().customer_of(&[NAME]);
    (world, customer, repository)
}

/// Waits until more than `count` versions can be seen; gives how many there are.
#[track_caller]
fn wait_for_more_than(world: &World, customer: &Customer, count: usize) -> usize {
    let reader = world.reader(customer);
    poll_until(&format!("more than {count} versions"), LIMIT, || {
        let visible = reader.shown(NAME).len();
        (visible > count).then_some(visible)
    })
}

/// Every version in metadata has a dist with the right bytes, at its own commit; gives how many.
#[track_caller]
fn all_is_whole(world: &World, customer: &Customer, repository: &Repository) -> usize {
    let reader = world.reader(customer);
    let shown = reader.shown(NAME);
    for version in &shown {
        let pretty = version.pretty();
        let dist = reader.get(&version.dist_path());
        assert_eq!((dist.status, sha1(&dist.body)), (200, version.text("/dist/shasum")), "{pretty}");
        let name = pretty.strip_suffix("-dev").or_else(|| pretty.strip_prefix("dev-")).unwrap_or(&pretty);
        assert_eq!(version.text("/dist/reference"), repository.resolve(name), "{pretty}");
    }
    shown.len()
}

/// Waits for the sync that nobody asked for again.
#[track_caller]
fn finishes_by_itself(world: &World, customer: &Customer, repository: &Repository, shape: &Shape) {
    poll_until("the end of the sync", LIMIT, || {
        let package = world.operator().get(&format!("/packages/{NAME}"));
        assert!(package["sync_error"].is_null(), "{package:#}");
        (!package["synced_at"].is_null()).then_some(())
    });
    assert_eq!(all_is_whole(world, customer, repository), shape.tags + shape.branches);
    assert_eq!(world.operator().sync(NAME)["unchanged"], true);
}

/// G-L7, in the coarse grain of whole processes.
#[test]
fn kill_9_in_the_middle_of_a_sync() {
    let shape = shape(600);
    let (mut world, customer, repository) = syncing(&shape);
    let whole = shape.tags + shape.branches;
    let mut kills = 0;
    for least in [0, 120, 240] {
        let before = wait_for_more_than(&world, &customer, least);
        let started = descendants(world.registry.pid());
        let workers: Vec<_> = started.into_iter().filter(|process| process.command.contains("git-worker")).collect();
        world.registry.kill9();
        world.registry.restart();
        // Nothing that was visible is lost, and all of it is right, while the rest is still coming.
        let seen = all_is_whole(&world, &customer, &repository);
        println!("killed at {before} of {whole} versions; {seen} seen after the restart");
        assert!(seen >= before, "{before} were visible, now {seen}");
        poll_until("the end of the orphaned worker", LIMIT, || still_there(&workers).is_empty().then_some(()));
        kills += usize::from(before < whole && !workers.is_empty());
    }
    assert!(kills >= 2, "the sync was over before the kills; make the shape larger");
    finishes_by_itself(&world, &customer, &repository, &shape);
}

#[test]
fn sigterm_stops_everything_that_was_started() {
    let shape = shape(200);
    let (mut world, customer, repository) = syncing(&shape);
    wait_for_more_than(&world, &customer, 0);
    let started = descendants(world.registry.pid());
    for part in ["postgres", "git-worker"] {
        assert!(started.iter().any(|process| process.command.contains(part)), "{part}: {started:?}");
    }
    assert!(world.registry.stop().success());
    assert_eq!(still_there(&started), []);
    assert_eq!(world.registry.printed(), [""; 0]);

    world.registry.restart();
    assert!(all_is_whole(&world, &customer, &repository) > 0);
    finishes_by_itself(&world, &customer, &repository, &shape);

    // A database that an owner left behind by `kill -9` is taken over; then all of it goes.
    world.registry.kill9().restart();
    let started = descendants(world.registry.pid());
    assert!(started.iter().any(|process| process.command.contains("postgres")), "{started:?}");
    assert!(world.registry.stop().success());
    assert_eq!(still_there(&started), []);
}

/// The private PostgreSQL dies on its own: it is started again, and everything goes on by itself.
#[test]
fn a_private_database_that_dies_is_started_again() {
    let world = World::start_with(Registry::builder().config(LOCAL).embedded());
    world.small_package("acme/pay");
    let customer = world.operator().customer_of(&["acme/pay"]);
    let reader = world.reader(&customer);
    let before = reader.versions("acme/pay");
    assert!(!before.is_empty());

    let started = descendants(world.registry.pid());
    let postgres = started.iter().find(|one| one.command.contains("/postgres -D")).expect("the postmaster");
    assert!(Command::new("kill").args(["-9", &postgres.id.to_string()]).status().unwrap().success());

    poll_until("the database is back", LIMIT, || {
        // What the edge knows it serves all the while, and the dead server's children answer for a moment longer.
        let gone = still_there(std::slice::from_ref(postgres)).is_empty();
        let (status, _) = world.registry.api("GET", "/api/v1/customers", None);
        (gone && status == 200 && reader.get("/p2/acme/pay.json").status == 200).then_some(())
    });
    assert_eq!(reader.versions("acme/pay"), before);
}
