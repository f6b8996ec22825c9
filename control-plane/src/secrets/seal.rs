//! The form of a sealed value: `version (1) ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. Pure: key and nonce are passed in.

use cargoman_edge_protocol::TenantId;
use ring::aead::{Aad, NONCE_LEN, Nonce};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{KeyId, MasterKey, SecretBytes};

const VERSION: u8 = 1;
const HEAD: usize = 1 + KeyId::LENGTH + NONCE_LEN;
const TAG: usize = 16;

/// Where a sealed value lies; it opens nowhere else (C-S1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose it is.
    pub tenant: TenantId,
    /// Id of its row.
    pub row: Uuid,
    /// `table.column`.
    pub column: &'static str,
}

impl Place {
    /// What is authenticated along with the value. Each part has its length in front: no two places share one text.
    fn authenticated(&self, key: KeyId) -> Vec<u8> {
        let parts: [&[u8]; 5] = [
            b"cargoman sealed value 1",
            self.tenant.0.as_bytes(),
            self.row.as_bytes(),
            self.column.as_bytes(),
            key.0.as_slice(),
        ];
        let mut out = Vec::with_capacity(128);
        for part in parts {
            out.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }
}

/// It does not open: the bytes are no sealed value, were changed, or were sealed for another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoesNotOpen;

/// Seals. The nonce must be random.
pub(super) fn seal(
    key: &MasterKey,
    nonce: [u8; NONCE_LEN],
    place: &Place,
    plain: &[u8],
) -> Result<Vec<u8>, DoesNotOpen> {
    let mut content = Zeroizing::new(Vec::with_capacity(plain.len() + TAG));
    content.extend_from_slice(plain);
    let aad = Aad::from(place.authenticated(key.id()));
    key.key()
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *content)
        .map_err(|_| DoesNotOpen)?;
    let mut out = Vec::with_capacity(HEAD + content.len());
    out.push(VERSION);
    out.extend_from_slice(&key.id().0);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&content);
    Ok(out)
}

/// Which key sealed the value; none when it is no sealed value of a version that this release knows.
#[must_use]
pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
    let rest = sealed.strip_prefix(&[VERSION])?;
    if rest.len() < HEAD - 1 + TAG {
        return None;
    }
    rest.first_chunk().map(|id| KeyId(*id))
}

/// Opens what [`seal`] made for the same place with the same key.
pub(super) fn open(key: &MasterKey, place: &Place, sealed: &[u8]) -> Result<SecretBytes, DoesNotOpen> {
    let (head, content) = sealed.split_at_checked(HEAD).ok_or(DoesNotOpen)?;
    if key_of(sealed) != Some(key.id()) {
        return Err(DoesNotOpen);
    }
    let nonce = head.last_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
    let aad = Aad::from(place.authenticated(key.id()));
    let mut content = Zeroizing::new(content.to_vec());
    let length = key
        .key()
        .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut content)
        .map_err(|_| DoesNotOpen)?
        .len();
    content.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *content)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> MasterKey {
        MasterKey::parse(&format!("{seed:02x}{}", "5a".repeat(31))).unwrap()
    }

    fn place(tenant: u128, row: u128, column: &'static str) -> Place {
        Place { tenant: TenantId(Uuid::from_u128(tenant)), row: Uuid::from_u128(row), column }
    }

    #[test]
    fn lengths_stand_in_front() {
        let (one, other) = (place(1, 1, "a.b"), place(1, 1, "a.bc"));
        assert_ne!(one.authenticated(key(1).id()), other.authenticated(key(1).id()));
        assert_eq!(key_of(&[VERSION; 5]), None);
        assert_eq!(key_of(&[2; 100]), None);
    }

    proptest! {
        /// C-S1: what is sealed for one place opens there and nowhere else.
        #[test]
        fn it_opens_at_its_place_alone(
            plain: Vec<u8>, nonce: [u8; NONCE_LEN], tenant: u128, row: u128, other: u128, column in 0..3usize, moved in 0..3usize,
        ) {
            const COLUMNS: [&str; 3] = ["hook.secret", "git_credential.secret", "git_credential.secre"];
            let at = place(tenant, row, COLUMNS[column]);
            let sealed = seal(&key(1), nonce, &at, &plain).unwrap();
            prop_assert_eq!(key_of(&sealed), Some(key(1).id()));
            let opened = open(&key(1), &at, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain[..]);
            prop_assert!(open(&key(2), &at, &sealed).is_err());
            for elsewhere in [place(other, row, at.column), place(tenant, other, at.column), place(row, tenant, at.column), place(tenant, row, COLUMNS[moved])] {
                prop_assert_eq!(open(&key(1), &elsewhere, &sealed).is_ok(), elsewhere == at);
            }
        }

        /// A changed, shortened or lengthened value does not open, and nothing panics on bytes of any kind.
        #[test]
        fn a_changed_value_does_not_open(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8u32, garbage: Vec<u8>) {
            let here = place(1, 2, "a.b");
            let sealed = seal(&key(1), [7; NONCE_LEN], &here, &plain).unwrap();
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(&key(1), &here, &changed).is_err());
            prop_assert!(open(&key(1), &here, &sealed[..at.index(sealed.len())]).is_err());
            prop_assert!(open(&key(1), &here, &[&sealed[..], &[0]].concat()).is_err());
            prop_assert!(open(&key(1), &here, &garbage).is_err());
        }
    }
}
