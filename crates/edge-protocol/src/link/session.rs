//! What a control-plane instance does with the stream of one edge. It must never grant a lease behind the outbox head, and never
//! send an event twice or out of order.

use cargoman_credential::Digest;
use uuid::Uuid;

use super::{
    Closing, Event, FromControlPlane, FromEdge, Hello, Lease, MOST_EVENTS, OLDEST_PROTOCOL, PROTOCOL, Position, Seq,
    Welcome,
};
use crate::TenantId;

/// How an edge is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It goes on from its own position.
    Resume,
    /// It drops what it knows and begins at the head.
    Resync,
    /// It knows what this database does not: the database was restored from a backup. The epoch must be raised above both, and
    /// then every edge resyncs.
    Restored,
}

/// Decides how an edge is taken in. `found`: the id of the event that the database has at the edge's number, if it still has it.
#[must_use]
pub fn admission(position: Option<Position>, head: Position, found: Option<Uuid>) -> Admission {
    let Some(position) = position else { return Admission::Resync };
    if position.epoch > head.epoch {
        return Admission::Restored;
    }
    if position.epoch < head.epoch {
        return Admission::Resync;
    }
    if position.seq > head.seq {
        return Admission::Restored;
    }
    let there = if position.seq == head.seq { Some(head.event) } else { found };
    match there {
        Some(event) if event == position.event => Admission::Resume,
        Some(_) => Admission::Restored,
        None => Admission::Resync,
    }
}

/// The newest version that the edge and this release both speak.
fn common_protocol(hello: &Hello) -> Option<u32> {
    let newest = hello.protocol.min(PROTOCOL);
    (newest >= hello.oldest.max(OLDEST_PROTOCOL)).then_some(newest)
}

/// What an edge's message asks of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// Take it in: decide by [`admission`], note it as a member, then call [`Session::admit`].
    Admit(Hello),
    /// Note these tokens as revoked, then, after the last part, call [`Session::handed_over`].
    Revoke(Vec<(TenantId, Digest)>, bool),
    /// It has applied everything up to here.
    Acked(Seq),
    /// Note the lease's end, then read the head, then call [`Session::grant`].
    Renew(u64),
    /// Strike it off the members, then answer [`FromControlPlane::Left`].
    Leave,
}

/// The stream of one edge.
#[derive(Debug, Default)]
pub struct Session {
    /// How far events were sent; none before the welcome.
    sent: Option<Position>,
    acked: Seq,
    /// Whether the edge's log of revoked tokens is still to come.
    handing_over: bool,
}

impl Session {
    /// Takes a frame; none when there is nothing to do.
    ///
    /// # Errors
    /// With why the stream must end.
    pub fn receive(&mut self, text: &str) -> Result<Option<Demand>, Closing> {
        let message = FromEdge::read(text).map_err(|_| Closing::Fault)?;
        let Some(message) = message else { return Ok(None) };
        let demand = match (message, self.sent) {
            (FromEdge::Hello(hello), None) if common_protocol(&hello).is_some() => Demand::Admit(hello),
            (FromEdge::Hello(_), _) | (_, None) => return Err(Closing::Fault),
            (FromEdge::Ack { seq }, Some(sent)) if seq <= sent.seq => {
                self.acked = self.acked.max(seq);
                Demand::Acked(seq)
            }
            (FromEdge::Ack { .. }, _) => return Err(Closing::Fault),
            (FromEdge::Renew { ask }, _) => Demand::Renew(ask),
            (FromEdge::Revoked(part), _) if self.handing_over => Demand::Revoke(part.tokens, part.last),
            (FromEdge::Revoked(_), _) => return Err(Closing::Fault),
            (FromEdge::Leaving, _) => Demand::Leave,
        };
        Ok(Some(demand))
    }

    /// Takes an edge in and greets it. `head` is of the present epoch.
    pub fn admit(&mut self, hello: &Hello, admission: Admission, head: Position) -> Welcome {
        let resumed = hello.position.filter(|_| admission == Admission::Resume);
        let start = resumed.unwrap_or(head);
        self.sent = Some(start);
        // Until it has dropped what it knows, which its first ack says, an edge that must do so has applied nothing.
        self.acked = resumed.map_or(0, |position| position.seq);
        // Of the same epoch it may still be of another history: a restored database is not always noticed as such.
        self.handing_over = hello.revoked_epoch.is_some_and(|epoch| epoch != head.epoch || resumed.is_none());
        let protocol = common_protocol(hello).unwrap_or(PROTOCOL);
        Welcome { protocol, start, resync: resumed.is_none(), hand_over: self.handing_over }
    }

    /// The edge's revoked tokens are noted.
    pub fn handed_over(&mut self) {
        self.handing_over = false;
    }

    /// How far events were sent.
    #[must_use]
    pub fn sent(&self) -> Option<Position> {
        self.sent
    }

    /// How far the edge is.
    #[must_use]
    pub fn acked(&self) -> Seq {
        self.acked
    }

    /// The messages for those of `events` that were not sent yet. `events` are in order and without gaps among themselves.
    ///
    /// # Errors
    /// When they do not follow what was sent: the edge must connect again.
    pub fn send(&mut self, epoch: i64, events: &[Event]) -> Result<Vec<FromControlPlane>, Closing> {
        let Some(sent) = &mut self.sent else { return Ok(Vec::new()) };
        if epoch != sent.epoch {
            return Err(Closing::Again);
        }
        let first = events.iter().position(|event| event.seq > sent.seq).unwrap_or(events.len());
        let Some(new) = events.get(first..) else { return Ok(Vec::new()) };
        for event in new {
            if sent.seq.checked_add(1) != Some(event.seq) {
                return Err(Closing::Again);
            }
            *sent = Position { epoch, seq: event.seq, event: event.event };
        }
        let parts = new.chunks(MOST_EVENTS);
        Ok(parts.map(|events| FromControlPlane::Events { epoch, events: events.to_vec() }).collect())
    }

    /// The lease that answers `ask`; none while there are events up to `head` to be sent first. `head` was read after the asking
    /// came in and after the lease's end was noted.
    ///
    /// # Errors
    /// When the epoch is another one: the edge must connect again.
    pub fn grant(&self, ask: u64, head: Position, lasts_ms: u64, grace_s: u64) -> Result<Option<Lease>, Closing> {
        match self.sent {
            Some(sent) if sent.epoch != head.epoch => Err(Closing::Again),
            Some(sent) if sent.seq >= head.seq && !self.handing_over => {
                Ok(Some(Lease { ask, head: head.seq, lasts_ms, grace_s }))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn position(epoch: i64, seq: Seq, event: u128) -> Position {
        Position { epoch, seq, event: Uuid::from_u128(event) }
    }

    #[test]
    fn admissions() {
        let head = position(2, 10, 10);
        let id = |event| Some(Uuid::from_u128(event));
        for (edge, found, expected) in [
            (None, None, Admission::Resync),
            (Some(head), None, Admission::Resume),
            (Some(position(2, 10, 99)), None, Admission::Restored),
            (Some(position(2, 7, 7)), id(7), Admission::Resume),
            (Some(position(2, 7, 7)), id(8), Admission::Restored),
            (Some(position(2, 7, 7)), None, Admission::Resync),
            (Some(position(2, 11, 11)), None, Admission::Restored),
            (Some(position(3, 1, 1)), id(1), Admission::Restored),
            (Some(position(1, 10, 10)), id(10), Admission::Resync),
        ] {
            assert_eq!(admission(edge, head, found), expected, "{edge:?}");
        }
    }

    fn hello(position: Option<Position>) -> Hello {
        Hello {
            protocol: PROTOCOL,
            oldest: OLDEST_PROTOCOL,
            name: "e".to_owned(),
            state: Uuid::nil(),
            incarnation: Uuid::nil(),
            software: String::new(),
            position,
            revoked_epoch: None,
        }
    }

    fn events(from: Seq, to: Seq) -> Vec<Event> {
        let event = |seq: Seq| Event {
            seq,
            event: Uuid::from_u128(u128::try_from(seq).unwrap()),
            optional: false,
            change: serde_json::Value::Null,
        };
        (from..=to).map(event).collect()
    }

    #[test]
    fn events_once_and_in_order_and_leases_behind_them() {
        let mut session = Session::default();
        assert_eq!(session.receive(r#"{"kind":"renew","ask":1}"#), Err(Closing::Fault), "before its hello");
        session.admit(&hello(None), Admission::Resync, position(1, 5, 5));
        assert_eq!(session.grant(1, position(1, 6, 6), 3_000, 0), Ok(None), "behind");
        assert_eq!(
            session.send(1, &events(4, 6)).unwrap(),
            [FromControlPlane::Events { epoch: 1, events: events(6, 6) }]
        );
        assert!(session.grant(1, position(1, 6, 6), 3_000, 0).unwrap().is_some());
        assert_eq!(session.grant(1, position(2, 6, 6), 3_000, 0), Err(Closing::Again));
        assert_eq!(session.send(1, &events(6, 6)), Ok(Vec::new()));
        assert_eq!(session.send(1, &events(8, 9)), Err(Closing::Again));
        assert_eq!(session.receive(r#"{"kind":"ack","seq":7}"#), Err(Closing::Fault), "more than was sent");
        assert_eq!(session.receive(r#"{"kind":"ack","seq":6}"#), Ok(Some(Demand::Acked(6))));
    }

    #[test]
    fn the_newest_protocol_that_both_speak() {
        for (newest, oldest, common) in [
            (PROTOCOL, OLDEST_PROTOCOL, Some(PROTOCOL)),
            (PROTOCOL + 1, PROTOCOL, Some(PROTOCOL)),
            (PROTOCOL + 2, PROTOCOL + 1, None),
            (OLDEST_PROTOCOL - 1, 0, None),
        ] {
            let hello = Hello { protocol: newest, oldest, ..hello(None) };
            let said = FromEdge::Hello(hello.clone()).write();
            match common {
                None => assert_eq!(Session::default().receive(&said), Err(Closing::Fault), "{newest} {oldest}"),
                Some(common) => {
                    assert_eq!(Session::default().receive(&said), Ok(Some(Demand::Admit(hello.clone()))));
                    let welcome = Session::default().admit(&hello, Admission::Resync, position(1, 5, 5));
                    assert_eq!(welcome.protocol, common, "{newest} {oldest}");
                }
            }
        }
    }

    #[test]
    fn no_lease_before_the_revoked_are_handed_over() {
        let mut session = Session::default();
        let hello = Hello { revoked_epoch: Some(1), ..hello(None) };
        assert!(session.admit(&hello, Admission::Resync, position(2, 5, 5)).hand_over);
        assert_eq!(session.grant(1, position(2, 5, 5), 3_000, 0), Ok(None));
        session.handed_over();
        assert!(session.grant(1, position(2, 5, 5), 3_000, 0).unwrap().is_some());

        let of_this_epoch = Hello { revoked_epoch: Some(2), position: Some(position(2, 5, 5)), ..hello };
        for (admission, hands_over) in [(Admission::Resume, false), (Admission::Resync, true)] {
            let welcome = Session::default().admit(&of_this_epoch, admission, position(2, 5, 5));
            assert_eq!(welcome.hand_over, hands_over, "{admission:?}");
        }
    }

    #[test]
    fn what_is_not_dropped_yet_is_not_acked() {
        let mut session = Session::default();
        session.admit(&hello(Some(position(1, 3, 3))), Admission::Resync, position(1, 5, 5));
        assert_eq!(session.acked(), 0);
        let mut session = Session::default();
        session.admit(&hello(Some(position(1, 3, 3))), Admission::Resume, position(1, 5, 5));
        assert_eq!(session.acked(), 3);
    }
}
