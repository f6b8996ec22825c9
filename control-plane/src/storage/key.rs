//! Keys: `dists/<tenant id>/<first two digits>/<sha256>.zip`, and nothing else. They hold digits that we chose: the library trims and
//! collapses keys, so two texts of a user could mean one.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

/// What every key of a dist begins with.
pub(super) const DISTS: &str = "dists/";

/// The key of a dist.
pub(super) fn of(tenant: TenantId, sha256: Digest) -> String {
    let digest = sha256.to_hex();
    format!("{DISTS}{tenant}/{}/{digest}.zip", digest.get(..2).unwrap_or_default())
}

/// Whose dist lies under a key; none when it is no key of a dist.
pub(super) fn read(key: &str) -> Option<(TenantId, Digest)> {
    let (tenant, rest) = key.strip_prefix(DISTS)?.split_once('/')?;
    let (_, name) = rest.split_once('/')?;
    let dist = (TenantId(tenant.parse().ok()?), name.strip_suffix(".zip")?.parse().ok()?);
    (of(dist.0, dist.1) == key).then_some(dist)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_nothing_else() {
        let (tenant, digest) = (TenantId(uuid::Uuid::from_u128(7)), Digest::of(b"x"));
        let key = of(tenant, digest);
        assert_eq!(read(&key), Some((tenant, digest)));
        let shouted = key.to_uppercase().replace("DISTS", "dists").replace(".ZIP", ".zip");
        for other in
            ["", "dists/", "dists/x/y/z.zip", &key[1..], &format!("{key}.part"), &key.replacen('/', "//", 1), &shouted]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
