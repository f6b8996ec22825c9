//! Decides whether an actor may take something from so many customers at once.

use super::Consent;
use crate::domain::id::CustomerId;
use crate::domain::tenant::Brake;
use crate::error::ApiError;
use crate::store::{TenantTransaction, access_losses};

/// Counts customers who lose something against what the tenant allows one actor an hour.
///
/// # Errors
/// A conflict when there are too many and the caller did not confirm it; then the transaction must be dropped.
pub(super) async fn apply(
    transaction: &mut TenantTransaction,
    brake: Brake,
    losing: &[CustomerId],
    consent: Consent,
) -> Result<(), ApiError> {
    let Some(limit) = brake.customers_per_hour.filter(|_| !losing.is_empty()) else { return Ok(()) };
    access_losses::take_turns(transaction).await?;
    let before = access_losses::count_with(transaction, &[]).await?;
    let after = access_losses::count_with(transaction, losing).await?;
    // Taking more from those who lost something already is no further customer.
    if after > before && after > i64::from(limit) && !consent.confirm {
        return Err(ApiError::Conflict(format!(
            "this takes something away from {} customers, and with those of the last hour from {after}; the brake in the settings \
             allows {limit} an hour: look at it with ?dry_run=true, then repeat it with ?confirm=true",
            losing.len()
        )));
    }
    Ok(access_losses::note(transaction, losing).await?)
}
