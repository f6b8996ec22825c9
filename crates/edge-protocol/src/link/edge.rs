//! What an edge does with the messages of its stream. It must never take a lease while it lacks an event that the lease stands on,
//! and never pass over a change that it does not understand.

use std::collections::VecDeque;
use std::time::Duration;

use super::{
    Closing, Epoch, Event, FromControlPlane, FromEdge, Hello, Incarnation, Lease, OLDEST_PROTOCOL, PROTOCOL, Position,
    Welcome,
};
use crate::Change;

/// Most askings that are remembered; an answer to an older one is worth nothing any more.
const MOST_ASKINGS: usize = 8;
/// No lease lasts longer.
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// No grace lasts longer: a hundred years.
const LONGEST_GRACE: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// What must be done, in this order, before the next message is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Drop everything; what is being fetched now must not be kept either.
    DropAll,
    /// Drop what this names, so that nothing read before it is used again; keep a note of it where a restart will find it.
    Apply(Position, Change),
    /// A change that this release does not know, or that may be passed over: note the position alone.
    Pass(Position),
    /// Say this.
    Send(FromEdge),
    /// Send the log of revoked tokens in parts.
    HandOver,
    /// What is known may be believed until then, on the clock that was given with the asking.
    Leased {
        /// The end of the lease.
        until: Duration,
        /// How long after it a tenant may be served who wants that.
        grace: Duration,
    },
    /// It is no member any more.
    Left,
    /// Close the stream, and connect again unless the edge was fenced.
    Close(Option<Closing>),
}

/// Who the edge is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What people call it.
    pub name: String,
    /// Of its state folder.
    pub state: uuid::Uuid,
    /// This run.
    pub incarnation: Incarnation,
    /// Its release.
    pub software: String,
}

/// The edge's end of the link, over all its streams.
#[derive(Debug)]
pub struct EdgeLink {
    identity: Identity,
    position: Option<Position>,
    welcomed: bool,
    next_ask: u64,
    /// Not answered yet: which, and when it was asked.
    asked: VecDeque<(u64, Duration)>,
}

impl EdgeLink {
    /// An edge whose caches are right up to `position`.
    #[must_use]
    pub fn new(identity: Identity, position: Option<Position>) -> Self {
        Self { identity, position, welcomed: false, next_ask: 1, asked: VecDeque::new() }
    }

    /// Up to where the caches are right.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// A new stream is open: what to say first.
    pub fn open(&mut self, revoked_epoch: Option<Epoch>) -> FromEdge {
        self.welcomed = false;
        self.asked.clear();
        FromEdge::Hello(Hello {
            protocol: PROTOCOL,
            oldest: OLDEST_PROTOCOL,
            name: self.identity.name.clone(),
            state: self.identity.state,
            incarnation: self.identity.incarnation,
            software: self.identity.software.clone(),
            position: self.position,
            revoked_epoch,
        })
    }

    /// Asks for a lease at `now`, on a clock that goes on while the machine sleeps. None before the welcome.
    pub fn ask(&mut self, now: Duration) -> Option<FromEdge> {
        if !self.welcomed {
            return None;
        }
        let ask = self.next_ask;
        self.next_ask += 1;
        if self.asked.len() == MOST_ASKINGS {
            self.asked.pop_front();
        }
        self.asked.push_back((ask, now));
        Some(FromEdge::Renew { ask })
    }

    /// Takes leave. None before the welcome: a hello that is read late must not strike off the run that came after this one.
    #[must_use]
    pub fn leave(&self) -> Option<FromEdge> {
        self.welcomed.then_some(FromEdge::Leaving)
    }

    /// Takes a frame.
    pub fn receive(&mut self, text: &str) -> Vec<Effect> {
        match FromControlPlane::read(text) {
            Ok(None) => Vec::new(),
            // The position stays: the next stream brings what this one broke off at.
            Err(_) => vec![Effect::Close(None)],
            Ok(Some(FromControlPlane::Closing { reason })) => vec![Effect::Close(Some(reason))],
            Ok(Some(FromControlPlane::Welcome(welcome))) if !self.welcomed => self.welcome(&welcome),
            Ok(Some(FromControlPlane::Events { epoch, events })) if self.welcomed => self.apply(epoch, &events),
            Ok(Some(FromControlPlane::Lease(lease))) if self.welcomed => self.lease(lease),
            Ok(Some(FromControlPlane::Left)) if self.welcomed => vec![Effect::Left],
            Ok(Some(_)) => vec![Effect::Close(None)],
        }
    }

    fn welcome(&mut self, welcome: &Welcome) -> Vec<Effect> {
        if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&welcome.protocol) {
            return vec![Effect::Close(None)];
        }
        let mut effects = Vec::new();
        if welcome.resync || Some(welcome.start) != self.position {
            effects.push(Effect::DropAll);
            if !welcome.resync {
                // It goes on from where we are not. The position stays: knowing nothing is right anywhere.
                effects.push(Effect::Close(None));
                return effects;
            }
        }
        self.welcomed = true;
        self.position = Some(welcome.start);
        effects.push(Effect::Pass(welcome.start));
        if welcome.hand_over {
            effects.push(Effect::HandOver);
        }
        effects.push(Effect::Send(FromEdge::Ack { seq: welcome.start.seq }));
        effects
    }

    fn apply(&mut self, epoch: Epoch, events: &[Event]) -> Vec<Effect> {
        let Some(mut position) = self.position else { return vec![Effect::Close(None)] };
        let mut effects = Vec::with_capacity(events.len() + 1);
        for event in events {
            let at = Position { epoch, seq: event.seq, event: event.event };
            let twice = event.seq == position.seq;
            if epoch != position.epoch || (twice && at != position) {
                // Another history than ours. The position stays, as a witness: it shows the control plane that the database was
                // restored.
                effects.extend([Effect::DropAll, Effect::Close(None)]);
                return effects;
            }
            if event.seq <= position.seq {
                continue;
            }
            if position.seq.checked_add(1) != Some(event.seq) {
                // One was lost on the way; the next stream brings it.
                effects.push(Effect::Close(None));
                return effects;
            }
            match event.known() {
                Some(change) => effects.push(Effect::Apply(at, change)),
                None if event.optional => effects.push(Effect::Pass(at)),
                None => effects.extend([Effect::DropAll, Effect::Pass(at)]),
            }
            position = at;
            self.position = Some(at);
        }
        effects.push(Effect::Send(FromEdge::Ack { seq: position.seq }));
        effects
    }

    fn lease(&mut self, lease: Lease) -> Vec<Effect> {
        let asked = self.asked.iter().find(|(ask, _)| *ask == lease.ask).copied();
        // An answer to nobody, or once more: it gives nothing.
        let Some((ask, at)) = asked else { return Vec::new() };
        if self.position.is_none_or(|position| position.seq < lease.head) {
            return vec![Effect::Close(None)];
        }
        self.asked.retain(|(other, _)| *other > ask);
        // What makes sense bounds what a broken message can grant.
        let lasts = Duration::from_millis(lease.lasts_ms).min(LONGEST_LEASE);
        let grace = Duration::from_secs(lease.grace_s).min(LONGEST_GRACE);
        vec![Effect::Leased { until: at + lasts, grace }]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::TenantId;

    const START: Position = Position { epoch: 1, seq: 5, event: Uuid::from_u128(5) };

    fn link(position: Option<Position>) -> EdgeLink {
        let identity =
            Identity { name: "e".to_owned(), state: Uuid::nil(), incarnation: Uuid::nil(), software: String::new() };
        EdgeLink::new(identity, position)
    }

    fn welcomed() -> EdgeLink {
        let mut link = link(None);
        link.open(None);
        link.receive(&welcome(START, true));
        link
    }

    fn welcome(start: Position, resync: bool) -> String {
        FromControlPlane::Welcome(Welcome { protocol: 1, start, resync, hand_over: false }).write()
    }

    fn events(epoch: Epoch, events: &[(i64, u128, &str)]) -> String {
        let event = |(seq, event, kind): &(i64, u128, &str)| Event {
            seq: *seq,
            event: Uuid::from_u128(*event),
            optional: *kind == "optional",
            change: serde_json::json!({"kind": kind, "tenant": TenantId(Uuid::nil())}),
        };
        FromControlPlane::Events { epoch, events: events.iter().map(event).collect() }.write()
    }

    #[test]
    fn in_order_and_once() {
        let mut link = welcomed();
        let effects = link.receive(&events(1, &[(5, 5, "tenant"), (6, 6, "tenant"), (7, 7, "directory")]));
        assert!(matches!(
            effects.as_slice(),
            [Effect::Apply(_, Change::Tenant { .. }), Effect::Apply(..), Effect::Send(FromEdge::Ack { seq: 7 })]
        ));
        assert_eq!(link.receive(&events(1, &[(6, 6, "tenant")])), [Effect::Send(FromEdge::Ack { seq: 7 })]);
        assert_eq!(link.receive(&events(1, &[(9, 9, "tenant")])), [Effect::Close(None)], "a gap");
        assert_eq!(link.position().unwrap().seq, 7, "and the next stream goes on from here");
    }

    #[test]
    fn another_history() {
        for other in [events(1, &[(5, 99, "tenant")]), events(2, &[(6, 6, "tenant")]), events(0, &[(6, 6, "tenant")])] {
            let mut link = welcomed();
            assert_eq!(link.receive(&other), [Effect::DropAll, Effect::Close(None)]);
            assert_eq!(link.position(), Some(START), "the witness");
        }
    }

    #[test]
    fn changes_of_later_releases() {
        let mut link = welcomed();
        assert!(matches!(link.receive(&events(1, &[(6, 6, "optional")])).as_slice(), [Effect::Pass(_), _]));
        let effects = link.receive(&events(1, &[(7, 7, "weather")]));
        assert!(matches!(effects.as_slice(), [Effect::DropAll, Effect::Pass(_), _]));
    }

    #[test]
    fn leases() {
        let mut link = welcomed();
        let lease = |ask, head| FromControlPlane::Lease(Lease { ask, head, lasts_ms: 3_000, grace_s: 9 }).write();
        let (at, later) = (Duration::from_secs(100), Duration::from_secs(101));
        assert_eq!(link.ask(at), Some(FromEdge::Renew { ask: 1 }));
        assert_eq!(link.receive(&lease(2, 5)), [], "nobody asked");
        let granted = Effect::Leased { until: at + Duration::from_secs(3), grace: Duration::from_secs(9) };
        assert_eq!(link.receive(&lease(1, 5)), [granted]);
        assert_eq!(link.receive(&lease(1, 5)), [], "once more");
        link.ask(later);
        assert_eq!(link.receive(&lease(2, 6)), [Effect::Close(None)], "it stands on an event that never came");
    }

    #[test]
    fn nothing_breaks_it() {
        for text in ["", "{", "[]", r#"{"kind":"lease"}"#, r#"{"kind":"weather"}"#, &welcome(START, true)] {
            assert_eq!(welcomed().receive(text), [Effect::Close(None)], "{text}");
        }
        let other = welcome(START, true).replace("\"protocol\":1", "\"protocol\":99");
        let mut new = link(None);
        new.open(None);
        assert_eq!((new.receive(&other), new.position()), (vec![Effect::Close(None)], None), "it was not offered that");
        let mut resuming = link(Some(START));
        resuming.open(None);
        let elsewhere = Position { seq: 4, ..START };
        assert_eq!(resuming.receive(&welcome(elsewhere, false)), [Effect::DropAll, Effect::Close(None)]);
        assert_eq!((link(None).ask(Duration::ZERO), link(None).leave()), (None, None));
        assert_eq!(welcomed().leave(), Some(FromEdge::Leaving));
    }
}
