use std::fmt;

use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::digest;
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// Says which key sealed a value; tells nothing of the key. The first 8 bytes of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; Self::LENGTH]);

impl KeyId {
    /// Bytes.
    pub const LENGTH: usize = 8;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A master key: 256 bits. Cannot be printed.
///
/// Nonces are random and 96 bits long: one key may seal 2³² values, which is a secret a second for a century.
pub struct MasterKey {
    id: KeyId,
    key: LessSafeKey,
}

/// The text is no key. It is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong length or alphabet.
    #[error("a master key is 64 hexadecimal digits; `openssl rand -hex 32` makes one")]
    Form,
    /// Such as nothing but zeros.
    #[error("this key is one byte over and over, which anybody guesses; `openssl rand -hex 32` makes a good one")]
    Guessable,
    /// No randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

impl MasterKey {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * BYTES {
            return Err(KeyError::Form);
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let value = digit(0).zip(digit(1)).map(|(high, low)| high * 16 + low);
            *byte = value.and_then(|value| u8::try_from(value).ok()).ok_or(KeyError::Form)?;
        }
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(KeyError::Guessable);
        }
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; BYTES]) -> Result<Self, KeyError> {
        let mut named = digest::Context::new(&digest::SHA256);
        named.update(b"cargoman master key\0");
        named.update(bytes);
        let mut id = KeyId([0; KeyId::LENGTH]);
        id.0.iter_mut().zip(named.finish().as_ref()).for_each(|(byte, given)| *byte = *given);
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| KeyError::Form)?;
        Ok(Self { id, key: LessSafeKey::new(key) })
    }

    /// A new one, as text.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(random: &dyn SecureRandom) -> Result<Zeroizing<String>, KeyError> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        random.fill(bytes.as_mut_slice()).map_err(|_| KeyError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * BYTES));
        for byte in bytes.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).ok_or(KeyError::Form)?);
            }
        }
        Ok(text)
    }

    /// Which it is.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) const fn key(&self) -> &LessSafeKey {
        &self.key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_digits() {
        let text = MasterKey::generate(&ring::rand::SystemRandom::new()).unwrap();
        let key = MasterKey::parse(&text).unwrap();
        assert_eq!(MasterKey::parse(&text.to_uppercase()).unwrap().id(), key.id());
        assert!(!text.contains(&key.id().to_string()) && !format!("{key:?}").contains(text.as_str()));
        for bad in ["", "abc", &text[1..], &format!("{}g", &text[1..]), &format!("{}é", &text[2..])] {
            assert_eq!(MasterKey::parse(bad).unwrap_err(), KeyError::Form);
        }
        assert_eq!(MasterKey::parse(&"0".repeat(64)).unwrap_err(), KeyError::Guessable);
    }
}
