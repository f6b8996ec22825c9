//! The link over real processes: two control planes, three edges, one PostgreSQL, and what may happen to each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::full;
use cargoman_testkit::raw_http::Connection;
use cargoman_tests::scale_out::{Link, P2, Token, ask};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Each test runs half a dozen programs and loads them: one after another.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token that readers show, and since when it is revoked for everybody to see.
struct Shown {
    token: Token,
    effective: Mutex<Option<Instant>>,
}

/// What readers saw.
#[derive(Default)]
struct Seen {
    asked: AtomicU64,
    good: AtomicU64,
    lies: Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// Asks an edge with the last few tokens, over and over.
fn read(link: &Link, edge: usize, tokens: &RwLock<Vec<Shown>>, seen: &Seen) {
    let mut connection = Connection::open(link.world.edges[edge].address());
    let mut number = edge;
    while !seen.enough.load(Ordering::Relaxed) {
        number = number.wrapping_mul(31).wrapping_add(7);
        let tokens = tokens.read().unwrap();
        let Some(shown) = tokens.len().checked_sub(1 + number % 16).and_then(|at| tokens.get(at)) else { continue };
        let effective = *shown.effective.lock().unwrap();
        let begun = Instant::now();
        let status = ask(&mut connection, &shown.token, P2);
        seen.asked.fetch_add(1, Ordering::Relaxed);
        seen.good.fetch_add(u64::from(status == 200), Ordering::Relaxed);
        if status == 200 && effective.is_some_and(|effective| effective < begun) {
            seen.lies.lock().unwrap().push(format!("edge {edge}, {}", shown.token.id));
        }
    }
}

/// After `effective` no edge serves a token, and after it is made every edge does.
#[test]
fn effective_is_never_a_lie() {
    let _alone = alone();
    let link = Link::start(2, 3);
    let (tokens, seen) = (RwLock::new(Vec::new()), Seen::default());
    let revocations = if full() { 1_100 } else { 150 };
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        for edge in [0, 1, 2, 0, 1, 2] {
            scope.spawn({
                let (link, tokens, seen) = (&link, &tokens, &seen);
                move || read(link, edge, tokens, seen)
            });
        }
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 0..revocations {
                let (token, made) = link.token(number % 2);
                assert_eq!(made["effective"], true, "{made:#}");
                for edge in 0..3 {
                    let status = poll_until("an answer", LIMIT, || {
                        let status = link.status(edge, &token, P2);
                        (status != 503).then_some(status)
                    });
                    assert_eq!(status, 200, "good everywhere as soon as it is made");
                }
                tokens.write().unwrap().push(Shown { token, effective: Mutex::new(None) });
                // The one before: readers have asked with it meanwhile.
                let Some(before) = number.checked_sub(3) else { continue };
                let token = tokens.read().unwrap()[before].token.clone();
                let began = Instant::now();
                // A machine that is too busy answers 503 now and then: nothing is promised then, and it is asked again.
                let (status, said) = poll_until("a revocation that is answered", LIMIT, || {
                    let answer = link.revoke((number + 1) % 2, &token);
                    (answer.0 != 503).then_some(answer)
                });
                took.push(began.elapsed());
                assert_eq!((status, &said["effective"]), (200, &Value::Bool(true)), "{said:#}");
                *tokens.read().unwrap()[before].effective.lock().unwrap() = Some(Instant::now());
            }
        }));
        seen.enough.store(true, Ordering::Relaxed);
        written.unwrap();
    });
    took.sort_unstable();
    let (asked, good) = (seen.asked.load(Ordering::Relaxed), seen.good.load(Ordering::Relaxed));
    println!(
        "{asked} requests ({good} good), {} revocations: median {:?}, p99 {:?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );
    assert!(asked > 1_000 && good > 100, "too little was asked");
    assert!(seen.lies.lock().unwrap().is_empty(), "{:?}", seen.lies.lock().unwrap());
}

/// Cached answers go on, whatever is away; and all is well when it is back.
#[test]
fn outages() {
    let _alone = alone();
    let mut link = Link::start(2, 2);
    let (token, _) = link.token(0);
    link.warm(&token);
    let away = Duration::from_secs(if full() { 60 } else { 6 });
    let goes_on = |link: &Link, what: &str| {
        let until = Instant::now() + away;
        let mut connections: Vec<_> = link.world.edges.iter().map(|edge| Connection::open(edge.address())).collect();
        let mut asked = 0;
        while Instant::now() < until {
            for connection in &mut connections {
                for path in [P2, "/packages.json"] {
                    assert_eq!(ask(connection, &token, path), 200, "{what}: {path}");
                    asked += 1;
                }
            }
        }
        println!("{what}: {asked} good answers in {away:?}");
    };
    // Control planes killed.
    link.world.control_planes.iter_mut().for_each(cargoman_testkit::cargoman::Node::kill9);
    goes_on(&link, "control planes killed");
    let unknown = Token { plain: format!("tok_{}", "0".repeat(38)), id: String::new() };
    assert_ne!(link.status(0, &unknown, P2), 200);
    link.world.control_planes.iter_mut().for_each(cargoman_testkit::cargoman::Node::start);
    works(&link, "control planes are back");
    // What happened to the customer meanwhile was heard by the edges: they have read him anew.
    link.warm(&token);
    // PostgreSQL held.
    link.world.database.pause();
    goes_on(&link, "PostgreSQL held");
    let began = Instant::now();
    let (status, _) = link.world.api(0, "GET", "/api/v1/customers", None);
    assert_eq!(status, 503);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    link.world.database.resume();
    works(&link, "PostgreSQL goes on");
    link.warm(&token);
    // PostgreSQL takes no connections.
    link.world.database.refuse();
    goes_on(&link, "PostgreSQL refuses");
    assert_eq!(link.world.api(0, "GET", "/api/v1/customers", None).0, 503);
    link.world.database.accept();
    works(&link, "PostgreSQL takes connections again");
    link.warm(&token);
    // PostgreSQL killed, and away.
    link.world.database.kill9();
    goes_on(&link, "PostgreSQL killed");
    link.world.database.restart();
    works(&link, "PostgreSQL is back");
}

/// A token can be made, used everywhere and revoked everywhere.
#[track_caller]
fn works(link: &Link, what: &str) {
    let path = format!("/api/v1/customers/{}/tokens", link.customer);
    let body = serde_json::json!({"name": "t", "scope": "download"});
    poll_until(&format!("{what}: a write is effective"), LIMIT, || {
        let (status, answer) = link.world.api(0, "POST", &path, Some(&body));
        (status == 201 && answer["propagation"]["effective"] == true).then_some(())
    });
    let last = link.world.control_planes.len() - 1;
    let token = poll_until(&format!("{what}: a token is good everywhere"), LIMIT, || {
        let (token, made) = link.token(last);
        (made["effective"] == true).then_some(token)
    });
    for edge in 0..link.world.edges.len() {
        assert_eq!(link.status(edge, &token, P2), 200, "{what}");
    }
    let (status, said) = link.revoke(0, &token);
    assert_eq!((status, &said["effective"]), (200, &Value::Bool(true)), "{what}: {said:#}");
    for edge in 0..link.world.edges.len() {
        assert_eq!(link.status(edge, &token, P2), 401, "{what}");
    }
}

/// An edge that was held for longer than its lease serves nothing old when it goes on.
#[test]
fn an_edge_that_was_held() {
    let _alone = alone();
    let link = Link::start(1, 2);
    for _ in 0..3 {
        let (token, _) = link.token(0);
        link.warm(&token);
        link.world.edges[0].pause();
        let (status, said) = link.revoke(0, &token);
        assert_eq!((status, &said["effective"]), (202, &Value::Bool(false)), "{said:#}");
        assert_eq!(said["pending"][0]["edge"], "edge-0", "{said:#}");
        assert!(said["pending"][0]["may_serve_until"].is_string(), "{said:#}");
        assert_eq!(link.status(1, &token, P2), 401);
        let mut connection = Connection::open(link.world.edges[0].address());
        connection.send(cargoman_tests::scale_out::request(&token, P2));
        link.world.edges[0].resume();
        assert_eq!(connection.response().status, 401, "it was held for longer than its lease");
        let url = said["url"].as_str().unwrap().to_owned();
        poll_until("it is effective in the end", LIMIT, || {
            let (_, answer) = link.world.api(0, "GET", &url, None);
            (answer["data"]["effective"] == true || answer["propagation"]["effective"] == true).then_some(())
        });
    }
}

/// A tenant that is `fail-closed` waits for nobody longer than for a lease.
#[test]
fn fail_closed() {
    let _alone = alone();
    let mut link = Link::start(1, 2);
    let settings = serde_json::json!({"outage": {"mode": "fail-closed"}});
    link.write("PATCH", "/settings", &settings);
    let (token, _) = link.token(0);
    link.warm(&token);
    link.world.edges[0].kill9();
    let began = Instant::now();
    let (status, said) = link.revoke(0, &token);
    assert_eq!((status, &said["effective"]), (200, &Value::Bool(true)), "{said:#}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    link.world.control_planes[0].kill9();
    poll_until("no lease, no answers", LIMIT, || (link.status(1, &token, P2) == 503).then_some(()));
}

/// One control plane dies or is held in the middle of a revocation; what the other says is true.
#[test]
fn a_control_plane_that_dies_in_the_middle() {
    let _alone = alone();
    let mut link = Link::start(2, 3);
    for round in 0..4 {
        let (token, _) = link.token(1);
        link.warm(&token);
        std::thread::scope(|scope| {
            let world = &link;
            let first = scope.spawn(|| {
                // It may be cut off: whatever it says, it says nothing untrue.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.revoke(0, &token))).ok()
            });
            if round % 2 == 1 {
                link.world.control_planes[0].pause();
            }
            let (status, said) = link.revoke(1, &token);
            if status == 200 && said["effective"] == true {
                for edge in 0..3 {
                    assert_ne!(link.status(edge, &token, P2), 200, "round {round}, edge {edge}: {said:#}");
                }
            }
            if round % 2 == 1 {
                link.world.control_planes[0].resume();
            }
            if let Ok(Some((200, said))) = first.join()
                && said["effective"] == true
            {
                for edge in 0..3 {
                    assert_ne!(link.status(edge, &token, P2), 200, "round {round}, edge {edge}: {said:#}");
                }
            }
        });
        if round % 2 == 0 {
            link.world.control_planes[0].kill9();
            works_at(&link, 1);
            link.world.control_planes[0].start();
        }
        for edge in 0..3 {
            poll_until("revoked everywhere", LIMIT, || (link.status(edge, &token, P2) == 401).then_some(()));
        }
    }
}

#[track_caller]
fn works_at(link: &Link, control_plane: usize) {
    poll_until("a write is effective at the other one", LIMIT, || {
        let (token, made) = link.token(control_plane);
        (made["effective"] == true && link.status(0, &token, P2) == 200).then_some(())
    });
}

/// What edges know to be revoked stays so when the database is set back to before it.
#[test]
fn a_database_that_was_set_back() {
    let _alone = alone();
    let mut link = Link::start(1, 2);
    let (kept, _) = link.token(0);
    let (token, _) = link.token(0);
    link.warm(&kept);
    link.warm(&token);
    let backup = tempfile::tempdir().unwrap();
    link.world.database.stop();
    link.world.database.back_up(&backup.path().join("data"));
    link.world.database.restart();
    works(&link, "after the backup");
    poll_until("it is revoked", LIMIT, || (link.revoke(0, &token).1["effective"] == true).then_some(()));
    assert_eq!(link.status(0, &token, P2), 401);
    link.world.database.stop();
    link.world.database.set_back(&backup.path().join("data"));
    link.world.database.restart();
    poll_until("the edges hear of it", LIMIT, || {
        let row = link.world.api(0, "GET", &format!("/api/v1/customers/{}/tokens/{}", link.customer, token.id), None).1;
        row["data"]["revoked_at"].is_string().then_some(())
    });
    for edge in 0..2 {
        assert_eq!(link.status(edge, &token, P2), 401, "edge {edge}");
        poll_until("the other token is good", LIMIT, || (link.status(edge, &kept, P2) == 200).then_some(()));
    }
    works(&link, "set back");
}

/// An edge that starts while everything else is away serves what it knew, and nothing that it acknowledged as revoked.
#[test]
fn an_edge_that_starts_alone() {
    let _alone = alone();
    let mut link = Link::start(1, 1);
    let (kept, _) = link.token(0);
    let (token, _) = link.token(0);
    link.warm(&kept);
    link.warm(&token);
    assert_eq!(link.revoke(0, &token).1["effective"], true);
    link.warm(&kept);
    link.world.control_planes[0].kill9();
    link.world.edges[0].kill9();
    link.world.edges[0].spawn();
    let began = Instant::now();
    poll_until("it listens", LIMIT, || std::net::TcpStream::connect(link.world.edges[0].address()).ok());
    assert_eq!(link.status(0, &kept, P2), 200);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_ne!(link.status(0, &token, P2), 200);
    link.world.control_planes[0].start();
    works(&link, "the control plane is back");
    assert_eq!(link.status(0, &token, P2), 401);
}

/// Whatever happened to its state folder, an edge that starts alone serves no token that was said to be revoked everywhere.
#[test]
fn state_folders_that_were_damaged_set_back_or_copied() {
    type Harm = fn(&std::path::Path);
    let _alone = alone();
    let mut link = Link::start(1, 1);
    let folder = link.world.edge_state(0);
    let aside = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    let before: [(&str, Harm); 2] = [
        ("cannot be written anew", |folder| std::fs::create_dir_all(folder.join("facts.new/x")).unwrap()),
        ("as it was", |_| {}),
    ];
    let after: [(&str, Harm); 4] = [
        ("left alone", |_| {}),
        ("its end is missing", |folder| {
            let Ok(facts) = std::fs::read_to_string(folder.join("facts")) else { return };
            let lines: Vec<&str> = facts.lines().collect();
            std::fs::write(folder.join("facts"), lines[..lines.len() / 2].join("\n") + "\n").unwrap();
        }),
        ("a pipe", |folder| {
            let _ = std::fs::remove_file(folder.join("facts"));
            assert!(std::process::Command::new("mkfifo").arg(folder.join("facts")).status().unwrap().success());
        }),
        ("an older copy", |_| {}),
    ];
    for (what, harm) in before {
        for (then, harm_later) in after {
            let what = format!("{what}, {then}");
            link.world.edges[0].kill9();
            let _ = std::fs::remove_dir_all(folder.join("facts.new"));
            let _ = std::fs::remove_file(folder.join("facts"));
            link.world.edges[0].start();
            let (token, _) = link.token(0);
            link.warm(&token);
            link.world.edges[0].kill9();
            harm(&folder);
            copy(&folder, &aside.path().join(&what));
            link.world.edges[0].start();
            poll_until(&format!("{what}: it is revoked"), LIMIT, || {
                (link.revoke(0, &token).1["effective"] == true).then_some(())
            });
            assert_eq!(link.status(0, &token, P2), 401, "{what}");
            link.world.edges[0].kill9();
            link.world.control_planes[0].kill9();
            harm_later(&folder);
            if then == "an older copy" {
                let _ = std::fs::remove_file(folder.join("facts"));
                copy(&aside.path().join(&what).join("facts"), &folder.join("facts"));
            }
            link.world.edges[0].spawn();
            poll_until("it listens", LIMIT, || std::net::TcpStream::connect(link.world.edges[0].address()).ok());
            assert_ne!(link.status(0, &token, P2), 200, "{what}");
            link.world.control_planes[0].start();
            poll_until(&format!("{what}: all is well"), LIMIT, || (link.status(0, &token, P2) == 401).then_some(()));
        }
    }
    // A copy of the whole folder grants itself nothing.
    let (token, _) = link.token(0);
    link.warm(&token);
    link.world.edges[0].kill9();
    let first = folder.with_extension("first");
    std::fs::rename(&folder, &first).unwrap();
    copy(&first, &folder);
    link.world.control_planes[0].kill9();
    link.world.edges[0].spawn();
    poll_until("it listens", LIMIT, || std::net::TcpStream::connect(link.world.edges[0].address()).ok());
    assert_eq!(link.status(0, &token, P2), 503);
}

/// Where one process is everything, nobody waits for an edge whose state folder was thrown away.
#[test]
fn a_state_folder_that_was_thrown_away() {
    let _alone = alone();
    let mut registry = Registry::builder().embedded().start();
    let write = |registry: &Registry, name: &str| {
        poll_until("a write is effective at the one edge", LIMIT, || {
            let (status, answer) = registry.api("POST", "/api/v1/customers", Some(&serde_json::json!({"name": name})));
            let about = &answer["propagation"];
            (status == 201 && about["effective"] == true && about["edges"] == 1).then_some(())
        });
    };
    write(&registry, "a");
    registry.kill9();
    std::fs::remove_dir_all(registry.data().join("edge-state")).unwrap();
    registry.restart();
    write(&registry, "b");
}
