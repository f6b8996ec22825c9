//! Edges and control planes of the release before and of the next one beside those of this one: the link works between all of them.
//!
//! Other releases are what this one's protocol says they may be: a proxy on the way takes out of messages what has a default, or puts
//! in what this release does not know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::link_proxy::{Direction, Translation};
use cargoman_tests::scale_out::{Link, P2};
use cargoman_tests::witness::Witness;
use serde_json::{Value, json};

/// What both sides say without what has a default: the least that a release may say.
fn before(_: Direction, text: &str) -> Vec<String> {
    let mut message: Value = serde_json::from_str(text).expect("a message");
    for (field, default) in [("software", None), ("oldest", None), ("hand_over", Some(json!(false)))] {
        take_out(&mut message, field, default.as_ref());
    }
    for field in ["position", "revoked_epoch"] {
        take_out(&mut message, field, Some(&Value::Null));
    }
    for event in message["events"].as_array_mut().into_iter().flatten() {
        take_out(event, "optional", Some(&json!(false)));
    }
    vec![message.to_string()]
}

/// Takes a field out if it has this value, or whatever it has.
fn take_out(message: &mut Value, field: &str, value: Option<&Value>) {
    let Some(fields) = message.as_object_mut() else { return };
    if fields.get(field).is_some_and(|found| value.is_none_or(|value| value == found)) {
        fields.remove(field);
    }
}

/// What a later release may say: more fields everywhere, more messages, and that it could speak a later protocol.
fn next(direction: Direction, text: &str) -> Vec<String> {
    let mut message: Value = serde_json::from_str(text).expect("a message");
    let is_hello = message["kind"] == "hello";
    if is_hello {
        message["protocol"] = json!(2);
    }
    put_in(&mut message);
    let unknown = json!({"kind": "weather", "optional": true, "rain": [1, 2]}).to_string();
    // A stream begins with a hello and with nothing else.
    match (is_hello, direction) {
        (true, _) => vec![message.to_string(), unknown],
        (false, _) => vec![unknown, message.to_string()],
    }
}

fn put_in(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(put_in);
            fields.insert("of_a_later_release".to_owned(), json!({"deep": [null, 1.5]}));
        }
        Value::Array(values) => values.iter_mut().for_each(put_in),
        _ => {}
    }
}

#[test]
fn the_release_before_and_the_next_one_beside_this_one() {
    let link = Link::start_with_proxies(2, 3);
    // Each of the edges meets each control plane in another release.
    let releases: [[Option<Translation>; 2]; 3] =
        [[Some(before), Some(next)], [Some(next), None], [None, Some(before)]];
    for (links, releases) in link.world.links.iter().zip(releases) {
        for (proxy, release) in links.iter().zip(releases) {
            if let Some(release) = release {
                proxy.translate(release);
            }
            proxy.break_all();
        }
    }
    let witness = Witness::default();
    witness.over(&link, 1, || {
        for round in 0..12 {
            let (token, made) = link.token(round % 2);
            assert_eq!(made["effective"], true, "round {round}: {made:#}");
            for edge in 0..3 {
                assert_eq!(link.status(edge, &token, P2), 200, "round {round}, edge {edge}");
            }
            witness.show(&token);
            // Streams go over to the other control plane, resuming where they were.
            if round % 3 == 2 {
                link.world.links.iter().for_each(|links| links[round % 2].break_all());
            }
            let (status, said) = link.revoke((round + 1) % 2, &token);
            assert_eq!((status, &said["effective"]), (200, &Value::Bool(true)), "round {round}: {said:#}");
            witness.ended(&token);
            for edge in 0..3 {
                assert_eq!(link.status(edge, &token, P2), 401, "round {round}, edge {edge}");
            }
        }
    });
    witness.judge("other releases", 50);
}
