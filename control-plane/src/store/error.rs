//! What can go wrong in the store, in the caller's words.

/// A failure of the database or of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema refused the write; callers know what each name means.
    #[error("the constraint {constraint} refuses it")]
    Conflict {
        /// Name of the constraint.
        constraint: String,
    },
    /// The database cannot be reached, or not in time.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The transaction had to give way to others: a deadlock, or a lock or an answer that did not come in time.
    #[error("the database is busy with other writes")]
    Contended(#[source] sqlx::Error),
    /// Text that PostgreSQL cannot keep: NUL.
    #[error("a text holds a NUL character")]
    Unstorable,
    /// The transaction was only to be looked at, and somebody wanted to commit it.
    #[error("only rehearsed")]
    Rehearsed,
    /// Any other failure.
    #[error("the database refused a statement")]
    Driver(#[source] sqlx::Error),
    /// A row that the code should never have written.
    #[error("inconsistent row in {table}: {what}")]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match (database.constraint(), database.code().as_deref()) {
                (Some(constraint), _) => Self::Conflict { constraint: constraint.to_owned() },
                // In a text, and in JSON.
                (None, Some("22021" | "22P05")) => Self::Unstorable,
                // Serialization failure, deadlock, lock not available, statement cancelled, idle in transaction too long.
                (None, Some("40001" | "40P01" | "55P03" | "57014" | "25P03")) => Self::Contended(error),
                _ if is_away(&error) => Self::Unavailable(error),
                _ => Self::Driver(error),
            },
            _ if is_away(&error) => Self::Unavailable(error),
            _ => Self::Driver(error),
        }
    }
}

/// Whether the server is what is missing, and not what was asked of it.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => match database.code().as_deref() {
            // Admin shutdown, crash shutdown, cannot connect now.
            Some("57P01" | "57P02" | "57P03") => true,
            // Out of disk, memory or connections.
            Some(code) => code.starts_with("53"),
            None => false,
        },
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => true,
        _ => false,
    }
}

impl StoreError {
    /// A row that should not be.
    pub(crate) fn inconsistent(table: &'static str, what: impl std::fmt::Display) -> Self {
        Self::Inconsistent { table, what: what.to_string() }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended(_))
    }

    /// Whether the named constraint refused the write.
    #[must_use]
    pub fn is_conflict(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}
