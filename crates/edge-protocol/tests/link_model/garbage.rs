//! Frames that no honest peer sends: neither side panics, and neither believes them.

use cargoman_edge_protocol::link::edge::{EdgeLink, Identity};
use cargoman_edge_protocol::link::session::{Admission, Session, admission};
use cargoman_edge_protocol::link::{
    Closing, Event, FromControlPlane, FromEdge, Hello, Lease, MOST_FRAME, Position, Revoked, Welcome,
};
use cargoman_testkit::random::Random;
use cargoman_testkit::{full, seed};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use crate::fact::{Key, TENANT, change, digest};

const NUMBERS: [i64; 9] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 2, 3, i64::MAX - 1, i64::MAX];

fn position(random: &mut Random) -> Position {
    let (epoch, seq) = (*random.pick(&NUMBERS), *random.pick(&NUMBERS));
    Position { epoch, seq, event: Uuid::from_u128(u128::from(random.draw() % 3)) }
}

fn event(random: &mut Random, seq: i64) -> Event {
    let known = change(Key::Token(1), crate::fact::Value::Revoked);
    let known = serde_json::to_value(known).expect("a change");
    let changes = [known, json!({"kind": "weather"}), Value::Null, json!([[[[1]]]]), json!({"kind": "token"})];
    let change = random.pick(&changes).clone();
    Event { seq, event: Uuid::from_u128(u128::from(random.draw() % 3)), optional: random.below(2) == 0, change }
}

fn from_control_plane(random: &mut Random) -> FromControlPlane {
    match random.below(6) {
        0 | 1 => FromControlPlane::Welcome(Welcome {
            protocol: *random.pick(&[0, 1, 1, 1, 2, u32::MAX]),
            start: position(random),
            resync: random.below(2) == 0,
            hand_over: random.below(2) == 0,
        }),
        2 | 3 => {
            let first = *random.pick(&NUMBERS);
            let count = i64::try_from(random.below(4)).expect("small");
            let events = (0..count).map(|next| event(random, first.wrapping_add(next))).collect();
            FromControlPlane::Events { epoch: *random.pick(&NUMBERS), events }
        }
        4 => FromControlPlane::Lease(Lease {
            ask: random.draw() % 12,
            head: *random.pick(&NUMBERS),
            lasts_ms: u64::MAX >> random.below(64),
            grace_s: u64::MAX >> random.below(64),
        }),
        _ => FromControlPlane::Closing { reason: Closing::Again },
    }
}

fn from_edge(random: &mut Random) -> FromEdge {
    match random.below(6) {
        0 | 1 => FromEdge::Hello(hello(random)),
        2 => FromEdge::Ack { seq: *random.pick(&NUMBERS) },
        3 => FromEdge::Renew { ask: u64::MAX >> random.below(64) },
        4 => FromEdge::Revoked(Revoked { tokens: vec![(TENANT, digest(1))], last: random.below(2) == 0 }),
        _ => FromEdge::Leaving,
    }
}

fn hello(random: &mut Random) -> Hello {
    Hello {
        protocol: u32::try_from(random.below(3)).expect("small"),
        oldest: u32::try_from(random.below(3)).expect("small"),
        name: "\u{202e}\0e".to_owned(),
        state: Uuid::nil(),
        incarnation: Uuid::max(),
        software: String::new(),
        position: (random.below(2) == 0).then(|| position(random)),
        revoked_epoch: (random.below(2) == 0).then(|| *random.pick(&NUMBERS)),
    }
}

/// Breaks a frame in one of many ways; mostly it leaves it whole.
fn broken(random: &mut Random, frame: String) -> String {
    match random.below(12) {
        0 => frame.chars().take(random.below(frame.len() + 1)).collect(),
        1 => frame + "}",
        2 => frame.replace(':', ","),
        3 => frame.replacen("kind", "kinds", 1),
        4 => format!(r#"{{"kind":"weather","optional":{},"x":{frame}}}"#, random.below(2) == 0),
        5 => "[".repeat(random.below(100_000)),
        6 if random.below(50) == 0 => format!("{frame}{}", " ".repeat(MOST_FRAME)),
        7 => {
            let mut bytes = frame.into_bytes();
            let at = random.below(bytes.len().max(1));
            bytes.splice(at..at, random.draw().to_le_bytes());
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => frame,
    }
}

fn edge(random: &mut Random) -> EdgeLink {
    let identity =
        Identity { name: "e".to_owned(), state: Uuid::nil(), incarnation: Uuid::nil(), software: String::new() };
    let position = (random.below(2) == 0).then(|| position(random));
    EdgeLink::new(identity, position)
}

#[test]
fn nothing_breaks_either_side() {
    let mut random = Random::new(seed());
    let rounds = if full() { 300_000 } else { 10_000 };
    for _ in 0..rounds {
        let mut link = edge(&mut random);
        let revoked_epoch = (random.below(2) == 0).then(|| *random.pick(&NUMBERS));
        link.open(revoked_epoch);
        for number in 0..random.below(12) {
            link.ask(Duration::from_secs(u64::try_from(number).expect("small")));
            let frame = from_control_plane(&mut random).write();
            link.receive(&broken(&mut random, frame));
        }

        let mut session = Session::default();
        for _ in 0..random.below(12) {
            let frame = from_edge(&mut random).write();
            let _ = session.receive(&broken(&mut random, frame));
            let head = position(&mut random);
            match random.below(4) {
                0 => {
                    let hello = hello(&mut random);
                    let found = (random.below(2) == 0).then_some(head.event);
                    // Only what was admitted by comparison is resumed.
                    let taken = admission(hello.position, head, found);
                    let head = if taken == Admission::Resume { hello.position.unwrap_or(head) } else { head };
                    session.admit(&hello, taken, head);
                }
                1 => session.handed_over(),
                2 => drop(session.grant(random.draw(), head, u64::MAX, u64::MAX)),
                _ => {
                    let seq = *random.pick(&NUMBERS);
                    let events = [event(&mut random, seq), event(&mut random, seq.wrapping_add(1))];
                    let _ = session.send(head.epoch, &events);
                }
            }
        }
    }
}
