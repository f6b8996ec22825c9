//! What instances tell each other through PostgreSQL, on a connection of its own.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use uuid::Uuid;

use crate::store::StoreError;

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Rows came into the outbox.
    Written,
    /// An edge applied events; on which instance.
    Acked(Uuid),
    /// An edge was fenced.
    Fenced(Uuid),
    /// The connection was lost for a moment: anything may have happened.
    Missed,
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
        listener.listen_all(["cargoman_outbox", "cargoman_acks", "cargoman_edges"]).await?;
        Ok(Self { listener })
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// When the database cannot be reached any more.
    pub async fn next(&mut self) -> Result<Notice, StoreError> {
        let Some(notification) = self.listener.try_recv().await? else { return Ok(Notice::Missed) };
        let id = Uuid::try_parse(notification.payload());
        Ok(match (notification.channel(), id) {
            ("cargoman_acks", Ok(by)) => Notice::Acked(by),
            ("cargoman_edges", Ok(edge)) => Notice::Fenced(edge),
            _ => Notice::Written,
        })
    }
}
