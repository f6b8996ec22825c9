//! The last events that this instance knows, without a database or a clock. Decides whether a head that was read follows from them;
//! it must never take one of another history for its own.

use std::collections::VecDeque;
use std::time::Duration;

use cargoman_edge_protocol::link::{Event, Position, Seq};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::Numbered;

/// Events that are kept for streams that lag a little.
const MOST: usize = 10_000;

/// How a head stands to what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is known, with this very event.
    Known,
    /// Events from this one on must be read; the first of them is known already, if its number is not 0.
    Ahead(Seq),
    /// Nothing is known yet, or another instance raised the epoch: everybody begins anew.
    Anew,
    /// It lies behind what is known or tells it otherwise. Of a head that was just read: the database was restored.
    Other,
}

/// Events do not follow what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The last known event is another one there: the database was restored.
    Other,
    /// One is missing.
    Gap,
}

#[derive(Debug)]
struct Kept {
    event: Event,
    seen: Instant,
}

/// The last events, in order and without gaps.
#[derive(Debug)]
pub(super) struct History {
    generation: u64,
    /// Before the first kept event, and since when that is known.
    base: Option<(Position, Instant)>,
    events: VecDeque<Kept>,
}

impl History {
    pub(super) fn new() -> Self {
        Self { generation: 0, base: None, events: VecDeque::new() }
    }

    /// Grows whenever what was known is thrown away; streams of an earlier one must end.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The last known event.
    pub(super) fn tip(&self) -> Option<Position> {
        let (base, _) = self.base?;
        let last = self.events.back();
        Some(last.map_or(base, |kept| Position { seq: kept.event.seq, event: kept.event.event, ..base }))
    }

    /// Throws everything away and begins at `head`.
    pub(super) fn begin(&mut self, head: Position, now: Instant) {
        self.generation += 1;
        self.base = Some((head, now));
        self.events.clear();
    }

    pub(super) fn judge(&self, head: Position) -> Judgement {
        let Some(tip) = self.tip() else { return Judgement::Anew };
        match head.epoch.cmp(&tip.epoch) {
            std::cmp::Ordering::Greater => Judgement::Anew,
            std::cmp::Ordering::Equal if head.seq > tip.seq => Judgement::Ahead(tip.seq),
            std::cmp::Ordering::Equal if self.event_at(head.seq) == Some(head.event) => Judgement::Known,
            _ => Judgement::Other,
        }
    }

    /// Takes events that begin with the last known one, if its number is not 0.
    pub(super) fn append(&mut self, events: Vec<Event>, now: Instant) -> Result<(), Broken> {
        let Some(tip) = self.tip() else { return Err(Broken::Gap) };
        let mut last = tip.seq;
        let mut met = tip.seq == 0;
        for event in events {
            match event.seq {
                seq if seq == tip.seq && event.event != tip.event => return Err(Broken::Other),
                seq if seq == tip.seq => met = true,
                seq if seq == last + 1 && met => {
                    last = seq;
                    self.events.push_back(Kept { event, seen: now });
                }
                _ => return Err(Broken::Gap),
            }
        }
        if !met {
            return Err(Broken::Gap);
        }
        while self.events.len() > MOST {
            if let (Some(kept), Some((base, since))) = (self.events.pop_front(), &mut self.base) {
                *base = Position { seq: kept.event.seq, event: kept.event.event, ..*base };
                *since = kept.seen;
            }
        }
        Ok(())
    }

    /// Takes what somebody says was numbered, if it follows the last known event and is complete; whether it did.
    pub(super) fn follow(&mut self, numbered: Numbered, now: Instant) -> bool {
        let Numbered { head, before: Some(before), events } = numbered else { return false };
        let tip = Position { epoch: head.epoch, seq: before.seq, event: before.event };
        let whole = events.last().is_some_and(|last| (last.seq, last.event) == (head.seq, head.event));
        whole
            && self.tip() == Some(tip)
            && events.iter().zip(tip.seq + 1..).all(|(event, seq)| event.seq == seq)
            && self.append(std::iter::once(before).chain(events).collect(), now).is_ok()
    }

    /// The events after number `seq`; none when they are no longer kept.
    pub(super) fn after(&self, seq: Seq, most: usize) -> Option<Vec<Event>> {
        let (base, _) = self.base?;
        let skip = usize::try_from(seq.checked_sub(base.seq)?).ok()?;
        Some(self.events.iter().skip(skip).take(most).map(|kept| kept.event.clone()).collect())
    }

    /// The id of the event with that number.
    pub(super) fn event_at(&self, seq: Seq) -> Option<Uuid> {
        let (base, _) = self.base?;
        match usize::try_from(seq.checked_sub(base.seq)?).ok()? {
            0 => Some(base.event),
            place => self.events.get(place - 1).map(|kept| kept.event.event),
        }
    }

    /// For how long the event with that number is known at least; none when it is not known.
    pub(super) fn known_for(&self, seq: Seq, now: Instant) -> Option<Duration> {
        let (base, since) = self.base?;
        let seen = match usize::try_from(seq.saturating_sub(base.seq)) {
            Err(_) | Ok(0) => since,
            Ok(place) => self.events.get(place - 1)?.seen,
        };
        Some(now.saturating_duration_since(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn position(epoch: i64, seq: Seq, event: u128) -> Position {
        Position { epoch, seq, event: Uuid::from_u128(event) }
    }

    fn events(given: &[(Seq, u128)]) -> Vec<Event> {
        let event = |&(seq, event): &(Seq, u128)| Event {
            seq,
            event: Uuid::from_u128(event),
            optional: false,
            change: serde_json::Value::Null,
        };
        given.iter().map(event).collect()
    }

    fn history() -> History {
        let mut history = History::new();
        history.begin(position(2, 5, 5), Instant::now());
        history.append(events(&[(5, 5), (6, 6), (7, 7)]), Instant::now()).unwrap();
        history
    }

    #[test]
    fn heads() {
        assert_eq!(History::new().judge(position(1, 1, 1)), Judgement::Anew);
        for (head, expected) in [
            (position(2, 7, 7), Judgement::Known),
            (position(2, 5, 5), Judgement::Known),
            (position(2, 6, 6), Judgement::Known),
            (position(2, 6, 9), Judgement::Other),
            (position(2, 7, 9), Judgement::Other),
            (position(2, 4, 4), Judgement::Other),
            (position(2, 9, 9), Judgement::Ahead(7)),
            (position(1, 9, 9), Judgement::Other),
            (position(3, 1, 1), Judgement::Anew),
        ] {
            assert_eq!(history().judge(head), expected, "{head:?}");
        }
    }

    #[test]
    fn events_follow_or_are_refused() {
        for (given, expected) in [
            (vec![(7, 7), (8, 8)], Ok(())),
            (vec![(7, 9), (8, 8)], Err(Broken::Other)),
            (vec![(8, 8)], Err(Broken::Gap)),
            (vec![(7, 7), (9, 9)], Err(Broken::Gap)),
            (vec![], Err(Broken::Gap)),
        ] {
            assert_eq!(history().append(events(&given), Instant::now()), expected, "{given:?}");
        }
        let mut empty = History::new();
        empty.begin(position(1, 0, 0), Instant::now());
        assert_eq!(empty.append(events(&[(1, 1), (2, 2)]), Instant::now()), Ok(()));
        assert_eq!(empty.tip(), Some(position(1, 2, 2)));
    }

    #[test]
    fn what_is_said_follows_or_is_passed_over() {
        for (head, before, given, expected) in [
            (position(2, 8, 8), (7, 7), vec![(8, 8)], true),
            (position(2, 9, 9), (7, 7), vec![(8, 8), (9, 9)], true),
            (position(2, 9, 9), (8, 8), vec![(9, 9)], false),
            (position(2, 8, 8), (7, 9), vec![(8, 8)], false),
            (position(3, 8, 8), (7, 7), vec![(8, 8)], false),
            (position(2, 9, 9), (7, 7), vec![(8, 8)], false),
            (position(2, 9, 9), (7, 7), vec![(9, 9)], false),
            (position(2, 7, 7), (6, 6), vec![(7, 7)], false),
            (position(2, 8, 8), (7, 7), vec![], false),
        ] {
            let (mut history, before) = (history(), events(&[before]).pop());
            let what = format!("{head:?} {given:?}");
            let numbered = Numbered { head, before, events: events(&given) };
            assert_eq!(history.follow(numbered, Instant::now()), expected, "{what}");
            assert_eq!(history.tip(), Some(if expected { head } else { position(2, 7, 7) }), "{what}");
        }
        let unsaid = Numbered { head: position(2, 8, 8), before: None, events: Vec::new() };
        assert!(!history().follow(unsaid, Instant::now()));
    }

    #[test]
    fn what_is_kept() {
        let mut history = history();
        let numbers = |events: Option<Vec<Event>>| events.map(|events| events.iter().map(|event| event.seq).collect());
        assert_eq!(numbers(history.after(5, 9)), Some(vec![6, 7]));
        assert_eq!(numbers(history.after(5, 1)), Some(vec![6]));
        assert_eq!(numbers(history.after(7, 9)), Some(vec![]));
        assert_eq!(numbers(history.after(4, 9)), None);
        for seq in 8..20_000_u16 {
            let (last, next) = (i64::from(seq - 1), i64::from(seq));
            let tip = history.tip().unwrap().event.as_u128();
            assert_eq!(history.append(events(&[(last, tip), (next, u128::from(seq))]), Instant::now()), Ok(()));
        }
        assert_eq!(history.after(9_998, 99_999), None);
        assert_eq!(history.after(9_999, 99_999).unwrap().len(), MOST);
        assert_eq!(history.event_at(9_999), Some(Uuid::from_u128(9_999)));
        assert!(history.known_for(1, Instant::now()).is_some(), "at least since the oldest that is kept");
        assert!(history.known_for(20_000, Instant::now()).is_none());
        history.begin(position(3, 8, 8), Instant::now());
        assert_eq!((history.generation(), history.event_at(7)), (2, None));
    }
}
