//! What edges cache in the model: a tenant and some tokens.

use cargoman_credential::Digest;
use cargoman_edge_protocol::{Change, TenantId};
use uuid::Uuid;

/// How many tokens there are.
pub(crate) const TOKENS: u8 = 5;

/// How many counters an edge has for the last events of keys: fewer than keys, as in the real array.
pub(crate) const BUCKETS: usize = 4;

/// Names a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Says what becomes of the tokens' bearers while an edge hears nothing.
    Tenant,
    Token(u8),
}

/// What a fact says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Absent,
    Valid,
    Revoked,
    ServeStale,
    FailClosed,
}

impl Key {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Tenant).chain((0..TOKENS).map(Self::Token))
    }

    pub(crate) fn at_first(self) -> Value {
        match self {
            Self::Tenant => Value::ServeStale,
            Self::Token(number) if number % 2 == 0 => Value::Absent,
            Self::Token(_) => Value::Valid,
        }
    }

    /// Its place in the fixed array.
    pub(crate) fn bucket(self) -> usize {
        match self {
            Self::Tenant => 0,
            Self::Token(number) => usize::from(number) % BUCKETS,
        }
    }
}

pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(1));

pub(crate) fn digest(token: u8) -> Digest {
    Digest::from_bytes([token; 32])
}

/// The token with this digest.
pub(crate) fn token(digest: &Digest) -> Option<u8> {
    (0..TOKENS).find(|number| self::digest(*number) == *digest)
}

/// What the outbox says of it.
pub(crate) fn change(key: Key, value: Value) -> Change {
    match key {
        Key::Tenant => Change::Tenant { tenant: TENANT },
        Key::Token(number) => {
            Change::Token { tenant: TENANT, digest: digest(number), revoked: value == Value::Revoked }
        }
    }
}

/// The key that a change names.
pub(crate) fn key(change: &Change) -> Option<Key> {
    match change {
        Change::Tenant { .. } => Some(Key::Tenant),
        Change::Token { digest, .. } => token(digest).map(Key::Token),
        _ => None,
    }
}
