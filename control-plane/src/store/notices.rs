//! What instances tell each other through PostgreSQL, on a connection of its own.

use cargoman_edge_protocol::link::{Event, Incarnation, Position};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use uuid::Uuid;

use crate::store::StoreError;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Rows came into the outbox.
    Written,
    /// They were numbered.
    Numbered(Numbered),
    /// Edges applied events: on which instance, and how far they are; none when that must be looked up.
    Acked(Uuid, Option<Vec<(Incarnation, Position)>>),
    /// An edge was fenced.
    Fenced(Uuid),
    /// A job was queued.
    Queued,
    /// The connection was lost for a moment: anything may have happened.
    Missed,
}

/// Events that were numbered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Numbered {
    /// Up to where.
    #[serde(flatten)]
    pub head: Position,
    /// The event before the first of `events`.
    #[serde(default)]
    pub before: Option<Event>,
    /// All of them in order; none when there are too many for one notification.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// The open connection.
#[derive(Debug)]
pub struct Notices {
    listener: PgListener,
}

impl Notices {
    /// Connects. A pooler that shares sessions cannot stand between.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(options: &PgConnectOptions) -> Result<Self, StoreError> {
        let options = options.clone().application_name("cargoman_listen");
        let pool =
            PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.ignore_pool_close_event(true);
        listener
            .listen_all(["cargoman_outbox", "cargoman_numbered", "cargoman_acks", "cargoman_edges", "cargoman_jobs"])
            .await?;
        Ok(Self { listener })
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// When the database cannot be reached any more.
    pub async fn next(&mut self) -> Result<Notice, StoreError> {
        let Some(notification) = self.listener.try_recv().await? else { return Ok(Notice::Missed) };
        Ok(read(notification.channel(), notification.payload()))
    }
}

/// What cannot be read means that something happened.
fn read(channel: &str, payload: &str) -> Notice {
    let notice = match channel {
        "cargoman_numbered" => serde_json::from_str(payload).ok().map(Notice::Numbered),
        "cargoman_acks" => {
            let (by, acks) = payload.split_once(' ').unwrap_or((payload, ""));
            Uuid::try_parse(by).ok().map(|by| Notice::Acked(by, serde_json::from_str(acks).ok()))
        }
        "cargoman_jobs" => Some(Notice::Queued),
        "cargoman_edges" => Uuid::try_parse(payload).ok().map(Notice::Fenced),
        _ => None,
    };
    notice.unwrap_or(Notice::Written)
}

/// Tells the other instances how far edges are; too many of them for one notification must be looked up.
pub(super) fn write_acks(by: Uuid, acks: &[(Incarnation, Position)]) -> String {
    /// PostgreSQL takes 7,999 bytes.
    const LONGEST: usize = 7_900;
    let all = serde_json::to_string(acks).map(|acks| format!("{by} {acks}"));
    all.ok().filter(|all| all.len() <= LONGEST).unwrap_or_else(|| by.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let by = Uuid::from_u128(7);
        let position = Position { epoch: 1, seq: 5, event: Uuid::from_u128(9) };
        let acks = |count: u128| (0..count).map(|at| (Uuid::from_u128(at), position)).collect::<Vec<_>>();
        for (count, told) in [(0, true), (1, true), (40, true), (200, false)] {
            let payload = write_acks(by, &acks(count));
            assert!(payload.len() < 8_000);
            assert_eq!(read("cargoman_acks", &payload), Notice::Acked(by, told.then(|| acks(count))), "{count}");
        }
        let id = position.event;
        let event = |seq, change| Event { seq, event: id, optional: false, change };
        for (channel, payload, expected) in [
            (
                "cargoman_numbered",
                format!(r#"{{"epoch" : 1, "seq" : 5, "event" : "{id}"}}"#),
                Notice::Numbered(Numbered { head: position, before: None, events: Vec::new() }),
            ),
            (
                "cargoman_numbered",
                format!(
                    r#"{{"epoch" : 1, "seq" : 5, "event" : "{id}", "before" : {{"seq" : 4, "event" : "{id}", "change" : null}},
                        "events" : [{{"seq" : 5, "event" : "{id}", "change" : {{"kind" : "x"}}}}]}}"#
                ),
                Notice::Numbered(Numbered {
                    head: position,
                    before: Some(event(4, serde_json::Value::Null)),
                    events: vec![event(5, serde_json::json!({"kind": "x"}))],
                }),
            ),
            ("cargoman_numbered", "x".to_owned(), Notice::Written),
            ("cargoman_outbox", String::new(), Notice::Written),
            ("cargoman_edges", by.to_string(), Notice::Fenced(by)),
            ("cargoman_jobs", "sync_package".to_owned(), Notice::Queued),
        ] {
            assert_eq!(read(channel, &payload), expected, "{payload}");
        }
    }
}
