//! The one reader of the outbox in this instance: numbers what was committed, reads it and hands it to the streams. Decides that the
//! database was restored when it no longer holds what was read from it; then the epoch is raised and nobody is told anything of the
//! old one any more.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cargoman_edge_protocol::link::{Epoch, Event, Position, Seq};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::PATIENCE;
use super::history::{Broken, History, Judgement};
use crate::store::{Numbered, StoreError, System};

/// Without any news it looks so often.
const EVERY: Duration = Duration::from_secs(1);
/// A writer numbers what it wrote within this; when all do so at once, each only waits for the others.
const WRITER: Duration = Duration::from_millis(10);
/// Whoever numbers also tells; who has read a head that is not known here waits so long for that.
const TOLD: Duration = Duration::from_millis(2);
/// While the reader is busy, so much of what is told waits for him; with more, he reads all of it.
const MOST_TOLD: usize = 100;
/// Events that are read at once.
const PAGE: i64 = 1_000;

/// Up to where the events are known, and in which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    /// Another one means that everything said before is void.
    pub(super) generation: u64,
    /// The last event.
    pub(super) position: Position,
}

/// Why it is looked.
#[derive(Debug, Clone, Copy)]
enum News {
    /// Something may have been written.
    Any,
    /// Somebody has read a head.
    Hint,
}

/// What a stream that was told everything up to some event is told next.
#[derive(Debug)]
pub(super) enum After {
    /// These, perhaps none.
    Events(Vec<Event>),
    /// They must be read from the database.
    NotKept,
    /// It cannot go on.
    Void,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Feed {
    history: Mutex<History>,
    tip: watch::Sender<Option<Tip>>,
    kick: Notify,
    soon: Notify,
    hinted: Notify,
    /// What others have read already, so that it need not be read again.
    hints: Mutex<Hints>,
}

#[derive(Debug, Default)]
struct Hints {
    head: Option<Position>,
    numbered: VecDeque<Numbered>,
    /// Since when something is written of which nobody has said yet that it is numbered.
    written: Option<Instant>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            history: Mutex::new(History::new()),
            tip: watch::Sender::new(None),
            kick: Notify::new(),
            soon: Notify::new(),
            hinted: Notify::new(),
            hints: Mutex::default(),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may have been written.
    pub(super) fn look(&self) {
        self.kick.notify_one();
    }

    /// Something was written. Whoever wrote it numbers it at once and tells all up to where; this is for when he died.
    pub(super) fn look_soon(&self) {
        self.hints().written.get_or_insert_with(Instant::now);
        self.soon.notify_one();
    }

    /// Somebody has numbered these.
    pub(super) fn told(&self, numbered: Numbered) {
        let head = numbered.head;
        // Perhaps not all that was written; what is missing, its own writer numbers, or else the look of every second.
        self.hints().written = None;
        self.hint(head, Some(numbered));
    }

    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to `head` was numbered, and perhaps told.
    fn hint(&self, head: Position, numbered: Option<Numbered>) {
        if self.judge(head) == Judgement::Known {
            return;
        }
        let mut hints = self.hints();
        if hints.head.is_none_or(|known| (known.epoch, known.seq) < (head.epoch, head.seq)) {
            hints.head = Some(head);
        }
        hints.numbered.extend(numbered);
        if hints.numbered.len() > MOST_TOLD {
            hints.numbered.clear();
        }
        drop(hints);
        self.hinted.notify_one();
    }

    /// The last event that is known.
    pub(super) fn tip(&self) -> Option<Tip> {
        *self.tip.borrow()
    }

    /// Tells of every new tip.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Tip>> {
        self.tip.subscribe()
    }

    /// Waits until `head`, read from the database, is known here; in which history. None when it is not in time, or never will be.
    pub(super) async fn reach(&self, head: Position, patience: Duration) -> Option<u64> {
        let mut tips = self.watch();
        let known = async {
            loop {
                {
                    let history = self.history();
                    if history.judge(head) == Judgement::Known {
                        return Some(history.generation());
                    }
                    if history.tip().is_some_and(|tip| tip.epoch > head.epoch) {
                        return None;
                    }
                }
                // An error means that the feed is gone.
                tips.changed().await.ok()?;
            }
        };
        let mut known = pin!(timeout(patience, known));
        let known = tokio::select! {
            biased;
            known = known.as_mut() => known,
            () = tokio::time::sleep(TOLD) => {
                self.hint(head, None);
                known.await
            }
        };
        known.ok().flatten()
    }

    /// What comes after `seq` in the history `generation`.
    pub(super) fn after(&self, generation: u64, seq: Seq, most: usize) -> After {
        let history = self.history();
        if history.generation() != generation {
            return After::Void;
        }
        history.after(seq, most).map_or(After::NotKept, After::Events)
    }

    /// The id of the event with that number in the history `generation`.
    pub(super) fn event_at(&self, generation: u64, seq: Seq) -> Option<Uuid> {
        let history = self.history();
        history.event_at(seq).filter(|_| history.generation() == generation)
    }

    /// For how long event `seq` is known here at least.
    pub(super) fn known_for(&self, seq: Seq) -> Option<Duration> {
        self.history().known_for(seq, Instant::now())
    }

    /// Reads until the stop.
    pub(super) async fn run(&self, system: &System, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        let mut news = News::Any;
        let mut looked = Instant::now();
        loop {
            if matches!(news, News::Any) {
                looked = Instant::now();
                self.hints().written = None;
            }
            let read = async {
                match news {
                    News::Any => self.read(system).await,
                    News::Hint => self.read_hint(system).await,
                }
            };
            let failure = match timeout(PATIENCE, read).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the database does not answer in time".to_owned()),
            };
            // Once, not every second.
            match &failure {
                Some(error) if !failing => {
                    tracing::warn!(error, "cannot read what happened; edges get no leases meanwhile");
                }
                None if failing => tracing::info!("the database says again what happened"),
                _ => {}
            }
            failing = failure.is_some();
            news = tokio::select! {
                news = self.news(looked) => news,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Waits for a reason to look. Whoever wrote something has a moment to number it and say so.
    async fn news(&self, looked: Instant) -> News {
        loop {
            let written = self.hints().written.map(|written| written + WRITER);
            let next = written.unwrap_or(looked + EVERY).min(looked + EVERY);
            tokio::select! {
                () = self.hinted.notified() => return News::Hint,
                () = self.kick.notified() => return News::Any,
                () = tokio::time::sleep_until(next) => return News::Any,
                // Only another time to wait for.
                () = self.soon.notified() => {}
            }
        }
    }

    /// Takes what was told, and reads up to a head that somebody else has read. It may be old: it proves nothing but that there is
    /// more.
    async fn read_hint(&self, system: &System) -> Result<(), StoreError> {
        let (head, numbered) = {
            let mut hints = self.hints();
            (hints.head.take(), std::mem::take(&mut hints.numbered))
        };
        for numbered in numbered {
            let followed = self.history().follow(numbered, Instant::now());
            if followed {
                self.publish();
            }
        }
        let Some(head) = head else { return Ok(()) };
        match self.judge(head) {
            Judgement::Known => Ok(()),
            Judgement::Ahead(last) => self.catch_up(system, last, head).await,
            Judgement::Anew | Judgement::Other => self.read(system).await,
        }
    }

    async fn read(&self, system: &System) -> Result<(), StoreError> {
        let head = system.number_outbox().await?;
        match self.judge(head) {
            // What was known came out of this database before: it cannot have had less since, unless it was set back.
            Judgement::Known if self.tip().is_some_and(|tip| head.seq < tip.position.seq) => {
                self.restored(system, head.epoch).await
            }
            Judgement::Known => Ok(()),
            Judgement::Ahead(last) => self.catch_up(system, last, head).await,
            Judgement::Anew => {
                self.begin(head);
                Ok(())
            }
            Judgement::Other => self.restored(system, head.epoch).await,
        }
    }

    fn judge(&self, head: Position) -> Judgement {
        self.history().judge(head)
    }

    async fn catch_up(&self, system: &System, mut last: Seq, head: Position) -> Result<(), StoreError> {
        while last < head.seq {
            let events = system.events_from(last, PAGE).await?;
            let appended = self.history().append(events, Instant::now());
            match appended {
                Ok(()) => {}
                Err(Broken::Other) => return self.restored(system, head.epoch).await,
                Err(Broken::Gap) => {
                    tracing::warn!(last, head = head.seq, "events are missing in the outbox: edges begin anew");
                    self.begin(system.number_outbox().await?);
                    return Ok(());
                }
            }
            let tip = self.publish();
            match tip.filter(|tip| tip.seq > last) {
                Some(tip) => last = tip.seq,
                // The head was of a database that is gone again; the next look tells.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The database forgot what was read from it.
    async fn restored(&self, system: &System, seen: Epoch) -> Result<(), StoreError> {
        let known = self.history().tip().map_or(seen, |tip| tip.epoch);
        tracing::warn!(known, seen, "the database was restored: a new epoch begins, and edges drop what they know");
        system.raise_epoch(known, seen).await?;
        self.begin(system.number_outbox().await?);
        Ok(())
    }

    fn begin(&self, head: Position) {
        self.history().begin(head, Instant::now());
        self.publish();
    }

    fn publish(&self) -> Option<Position> {
        let history = self.history();
        let position = history.tip();
        let tip = position.map(|position| Tip { generation: history.generation(), position });
        self.tip.send_replace(tip);
        position
    }
}
