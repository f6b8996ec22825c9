//! What a network may do to the stream between an edge and a control plane, and what it should not: messages lost, doubled, swapped,
//! cut short, oversize, unknown; one direction cut; everything late. Whatever happens, `effective` is never a lie, and when it is over
//! all is well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::{Duration, Instant};

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::link_proxy::{Direction, Fault, LinkProxy};
use cargoman_testkit::random::Random;
use cargoman_testkit::{full, seed};
use cargoman_tests::scale_out::{Link, P2};
use cargoman_tests::witness::Witness;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const BOTH: [Direction; 2] = [Direction::ToEdge, Direction::ToControlPlane];

fn faults() -> Vec<(&'static str, Fault)> {
    let text = |text: &str| Fault::After(text.to_owned());
    vec![
        ("lost", Fault::Drop),
        ("doubled", Fault::Double),
        ("swapped", Fault::Swap),
        ("cut short", Fault::Halve),
        ("oversize", Fault::After(format!("{{\"kind\":\"lease\",\"x\":\"{}\"}}", "x".repeat(3 << 20)))),
        ("no message", text("\u{0}{[")),
        ("of a later release", text(r#"{"kind":"weather","rain":1}"#)),
        ("of a later release, to be passed over", text(r#"{"kind":"weather","optional":true}"#)),
        (
            "numbers that make no sense",
            text(
                r#"{"kind":"events","epoch":-1,"events":[{"seq":9223372036854775807,"event":"00000000-0000-0000-0000-000000000000","change":null}]}"#,
            ),
        ),
        (
            "a welcome out of turn",
            text(
                r#"{"kind":"welcome","protocol":1,"start":{"epoch":9,"seq":-9,"event":"00000000-0000-0000-0000-000000000000"},"resync":true}"#,
            ),
        ),
        ("an ack of what never was", text(r#"{"kind":"ack","seq":9223372036854775807}"#)),
    ]
}

/// A token is made, seen and ended while `fault` strikes; what is said of it is true, and in the end it is ended everywhere.
#[track_caller]
fn a_token_comes_and_goes(link: &Link, witness: &Witness, what: &str, fault: impl Fn()) {
    let (token, _) = link.token(0);
    link.warm(&token);
    witness.show(&token);
    fault();
    let (status, said) = link.revoke(1, &token);
    assert_eq!(status, if said["effective"] == true { 200 } else { 202 }, "{what}: {said:#}");
    if said["effective"] == true {
        witness.ended(&token);
        for edge in 0..link.world.edges.len() {
            assert_ne!(link.status(edge, &token, P2), 200, "{what}: {said:#}");
        }
    }
    for edge in 0..link.world.edges.len() {
        poll_until(&format!("{what}: it is ended at edge {edge}"), LIMIT, || {
            (link.status(edge, &token, P2) == 401).then_some(())
        });
    }
}

/// After everything, a token made is good everywhere at once, and one revoked is ended everywhere at once.
#[track_caller]
fn all_is_well(link: &Link, what: &str) {
    let edges = 0..link.world.edges.len();
    let token = poll_until(&format!("{what}: writes are effective"), LIMIT, || {
        let (token, made) = link.token(0);
        (made["effective"] == true).then_some(token)
    });
    for edge in edges.clone() {
        // An edge whose lease is over is not waited for. Until it is back it says that it cannot tell, and never that the token is none.
        poll_until(&format!("{what}: it is good at edge {edge}"), LIMIT, || {
            let status = link.status(edge, &token, P2);
            assert!(matches!(status, 200 | 503), "{what}: {status} at edge {edge}");
            (status == 200).then_some(())
        });
    }
    let (status, said) = link.revoke(1, &token);
    assert_eq!((status, &said["effective"]), (200, &Value::Bool(true)), "{what}: {said:#}");
    for edge in edges {
        poll_until(&format!("{what}: it is ended at edge {edge}"), LIMIT, || {
            let status = link.status(edge, &token, P2);
            assert!(matches!(status, 401 | 503), "{what}: {status} at edge {edge}");
            (status == 401).then_some(())
        });
    }
}

#[test]
fn messages_that_go_wrong() {
    let link = Link::start_with_proxies(2, 2);
    let witness = Witness::default();
    witness.over(&link, 1, || {
        for (what, fault) in faults() {
            for direction in BOTH {
                let what = format!("{what}, {direction:?}");
                a_token_comes_and_goes(&link, &witness, &what, || {
                    for proxy in &link.world.links[0] {
                        proxy.next(direction, [fault.clone(), Fault::Pass, fault.clone()]);
                    }
                });
                // A stream may not have been used enough to meet all of them.
                for proxy in &link.world.links[0] {
                    proxy.heal();
                }
                all_is_well(&link, &what);
            }
        }
    });
    witness.judge("messages that go wrong", 100);
}

/// An edge that hears nothing, or is not heard, goes to the other control plane; when that is cut off too it is waited for, and said so.
#[test]
fn one_direction_is_cut() {
    let link = Link::start_with_proxies(2, 2);
    let witness = Witness::default();
    witness.over(&link, 1, || {
        for direction in BOTH {
            let what = format!("cut {direction:?}");
            for control_plane in 0..2 {
                a_token_comes_and_goes(&link, &witness, &what, || link.world.links[0][control_plane].cut(direction));
                heal(&link.world.links[0]);
                all_is_well(&link, &what);
            }
            let (token, _) = link.token(0);
            link.warm(&token);
            link.world.links[0].iter().for_each(|proxy| proxy.cut(direction));
            let (status, said) = link.revoke(0, &token);
            assert_eq!((status, &said["pending"][0]["edge"]), (202, &Value::from("edge-0")), "{what}: {said:#}");
            assert_eq!(said["pending"].as_array().map(Vec::len), Some(1), "{what}: {said:#}");
            // One that cannot ask for a moment refuses with 503; what it must never say is 200.
            poll_until(&format!("{what}: the other edge knows"), LIMIT, || {
                let status = link.status(1, &token, P2);
                assert!([401, 503].contains(&status), "{what}: {status}");
                (status == 401).then_some(())
            });
            heal(&link.world.links[0]);
            let url = said["url"].as_str().unwrap();
            poll_until(&format!("{what}: it is effective in the end"), LIMIT, || {
                let (_, answer) = link.world.api(0, "GET", url, None);
                (answer["data"]["effective"] == true).then_some(())
            });
            assert_eq!(link.status(0, &token, P2), 401, "{what}");
            all_is_well(&link, &what);
        }
    });
    witness.judge("one direction is cut", 100);
}

fn heal(proxies: &[LinkProxy]) {
    proxies.iter().for_each(LinkProxy::heal);
}

#[test]
fn everything_is_late() {
    let link = Link::start_with_proxies(2, 2);
    let witness = Witness::default();
    witness.over(&link, 1, || {
        for milliseconds in [50, 400, 1_500] {
            for direction in BOTH {
                let what = format!("{milliseconds} ms late {direction:?}");
                let late = Duration::from_millis(milliseconds);
                a_token_comes_and_goes(&link, &witness, &what, || {
                    link.world.links[0].iter().for_each(|proxy| proxy.delay(direction, late));
                });
                heal(&link.world.links[0]);
            }
            all_is_well(&link, &format!("{milliseconds} ms late"));
        }
    });
    witness.judge("late", 100);
}

/// Something happens to some link; now and then one is mended.
fn strike(link: &Link, random: &mut Random) {
    let links = &link.world.links[random.below(3)];
    let (proxy, direction) = (&links[random.below(2)], *random.pick(&BOTH));
    match random.below(8) {
        0 => proxy.cut(direction),
        1 => proxy.delay(direction, Duration::from_millis(random.draw() % 800)),
        2 => proxy.break_all(),
        3 => proxy.refuse(true),
        4 => heal(links),
        _ => {
            let faults = faults();
            let some = (0..3).map(|_| if random.below(2) == 0 { Fault::Pass } else { random.pick(&faults).1.clone() });
            proxy.next(direction, some.collect::<Vec<_>>());
        }
    }
    // A link that is down for longer is another test's; here streams come back again and again.
    if random.below(3) == 0 {
        link.world.links.iter().for_each(|links| heal(links));
    }
}

/// Any of it at any time, on all links, while tokens come and go.
#[test]
fn bad_weather() {
    let link = Link::start_with_proxies(2, 3);
    let (witness, mut random) = (Witness::default(), Random::new(seed()));
    let until = Instant::now() + Duration::from_secs(if full() { 300 } else { 25 });
    let (mut ended, mut late) = (0_u32, 0_u32);
    witness.over(&link, 2, || {
        while Instant::now() < until {
            strike(&link, &mut random);
            let (token, _) = link.token(random.below(2));
            witness.show(&token);
            let (_, said) = link.revoke(random.below(2), &token);
            if said["effective"] == true {
                witness.ended(&token);
                ended += 1;
            } else {
                late += 1;
            }
        }
        link.world.links.iter().for_each(|links| heal(links));
        all_is_well(&link, "after bad weather");
    });
    println!("{ended} ended at once, {late} late");
    assert!(ended > 5, "{ended} ended, {late} late");
    witness.judge("bad weather", 50);
}
