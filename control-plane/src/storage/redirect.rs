//! Addresses at which whoever holds them gets one dist for a short while.

use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

use super::{Place, Storage, StorageError, key};

impl Storage {
    /// Whether dists have addresses of their own: those of a folder do not.
    #[must_use]
    pub fn gives_addresses(&self) -> bool {
        matches!(self.place, Place::Bucket { .. })
    }

    /// An address that is good for `life`; none when the storage gives no addresses. Whether the dist is there is not asked.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn address(
        &self,
        tenant: TenantId,
        sha256: Digest,
        life: Duration,
    ) -> Result<Option<String>, StorageError> {
        let Place::Bucket { signer, .. } = &self.place else { return Ok(None) };
        let signed =
            signer.presign_read_with(&key::of(tenant, sha256), life).override_content_type("application/zip").await?;
        Ok(Some(signed.uri().to_string()))
    }
}
