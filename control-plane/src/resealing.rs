//! Goes through every sealed secret of all tenants: counts with which key each is sealed and whether it opens, and seals anew, with the
//! newest key, what older ones sealed.
//!
//! Value by value, each in a statement of its own that does nothing when somebody wrote another value meanwhile: it may run while
//! registries serve, and one that was killed is simply run again. A value that does not open is left as it is and named.

use std::collections::BTreeMap;

use cargoman_edge_protocol::TenantId;
use uuid::Uuid;

use crate::secrets::{KeyId, Keyring, Place, SecretsError};
use crate::store::sealed::{SEALED_COLUMNS, SealedColumn, SealedValue};
use crate::store::{StoreError, System};

const PAGE: i64 = 200;
/// Broken values that are named; all are counted.
const MOST_NAMED: usize = 20;

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The keys.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The database.
    #[error("cannot use the database: {0}")]
    Store(#[from] StoreError),
}

/// What was found, and done.
#[derive(Debug, Default)]
pub struct Found {
    /// How many values are sealed with which key; none: of a form that this release does not know.
    pub values: BTreeMap<Option<KeyId>, u64>,
    /// How many got the newest key just now.
    pub resealed: u64,
    /// How many do not open.
    pub broken: u64,
    /// The first of those.
    pub named: Vec<Broken>,
}

/// A value that does not open.
#[derive(Debug)]
pub struct Broken {
    /// Where it lies.
    pub place: Place,
    /// Why.
    pub error: SecretsError,
}

impl Found {
    /// All values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.values.values().sum()
    }

    fn count(&mut self, key: Option<KeyId>) {
        *self.values.entry(key).or_default() += 1;
    }

    fn breaks(&mut self, place: Place, error: SecretsError) {
        self.broken += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(Broken { place, error });
        }
    }
}

/// Opens every value, and seals anew with the newest key what an older one sealed, unless it is only to be looked at. `progress` hears
/// how many of how many are done.
///
/// # Errors
/// When there is no key at all, or the database goes away; what was done until then stays.
pub async fn run(
    system: &System,
    keyring: &Keyring,
    reseal: bool,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Found, ResealError> {
    let newest = keyring.ids().first().copied().ok_or(SecretsError::NoKey)?;
    let mut total = 0;
    for column in SEALED_COLUMNS {
        total += system.count_sealed(*column).await?;
    }
    let (mut found, mut done) = (Found::default(), 0);
    for column in SEALED_COLUMNS {
        let mut after: Option<(TenantId, Uuid)> = None;
        loop {
            let page = system.sealed_after(*column, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.place.tenant, last.place.row));
            for value in &page {
                match keyring.open(&value.place, &value.bytes) {
                    Ok(plain) if reseal && value.key() != Some(newest) => {
                        let new = keyring.seal(&value.place, plain.expose())?;
                        replace(system, *column, value, &new, &mut found).await?;
                    }
                    Ok(_) => found.count(value.key()),
                    Err(error) => {
                        found.count(value.key());
                        found.breaks(value.place, error);
                    }
                }
                done += 1;
                progress(done, total.max(done));
            }
        }
    }
    Ok(found)
}

async fn replace(
    system: &System,
    column: SealedColumn,
    old: &SealedValue,
    new: &[u8],
    found: &mut Found,
) -> Result<(), ResealError> {
    match system.replace_sealed(column, old, new).await? {
        true => {
            found.resealed += 1;
            found.count(crate::secrets::key_of(new));
        }
        // Somebody deleted it or wrote another one, sealed with the newest key. Counted with the old one all the same, which is
        // therefore not retired before the next run has looked at it.
        false => found.count(old.key()),
    }
    Ok(())
}
