use std::fmt;

use ring::rand::SecureRandom;

use crate::Digest;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 6;

/// What a secret is for. The prefix keeps kinds apart: one kind is never accepted where another is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A customer's Composer token, `tok_…`.
    Token,
    /// An operator's API key, `cma_…`.
    Operator,
    /// An edge's credential, `cme_…`.
    Edge,
    /// What a new edge trades for its credential, once, `cmj_…`.
    Join,
}

impl Kind {
    /// The prefix with its underscore.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "tok_",
            Self::Operator => "cma_",
            Self::Edge => "cme_",
            Self::Join => "cmj_",
        }
    }
}

/// A secret in plain text. Exists between its making and its one showing, or between a header and its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    kind: Kind,
    text: String,
}

/// The text is no secret of ours: wrong prefix, length, alphabet or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a well-formed secret: expected a prefix (tok_, cma_, cme_ or cmj_) and 38 letters or digits whose last six match the rest"
)]
pub struct ParseSecretError;

impl Secret {
    /// A new secret from `random`.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn generate(kind: Kind, random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let mut text = String::with_capacity(kind.prefix().len() + RANDOM_LENGTH + CHECKSUM_LENGTH);
        text.push_str(kind.prefix());
        let mut wanted = RANDOM_LENGTH;
        while wanted > 0 {
            let mut buffer = [0u8; 64];
            random.fill(&mut buffer)?;
            // 248 = 4 × 62: larger bytes are thrown away, so that every character is equally likely.
            for byte in buffer.into_iter().filter(|byte| *byte < 248).take(wanted) {
                text.push(char::from(BASE62[usize::from(byte % 62)]));
                wanted -= 1;
            }
        }
        let tail = checksum(text.as_bytes());
        text.extend(tail.iter().copied().map(char::from));
        Ok(Self { kind, text })
    }

    /// Recognises a secret by form alone, without any look-up.
    ///
    /// # Errors
    /// When prefix, length, alphabet or checksum is not ours.
    pub fn parse(text: &str) -> Result<Self, ParseSecretError> {
        let kind = [Kind::Token, Kind::Operator, Kind::Edge, Kind::Join]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))
            .ok_or(ParseSecretError)?;
        let bytes = text.as_bytes();
        if bytes.len() != kind.prefix().len() + RANDOM_LENGTH + CHECKSUM_LENGTH {
            return Err(ParseSecretError);
        }
        let (head, tail) = bytes.split_at(bytes.len() - CHECKSUM_LENGTH);
        let alphabet = head.iter().skip(kind.prefix().len()).all(u8::is_ascii_alphanumeric);
        if !alphabet || tail != checksum(head) {
            return Err(ParseSecretError);
        }
        Ok(Self { kind, text: text.to_owned() })
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The last four characters, which people may see to tell secrets apart.
    #[must_use]
    pub fn last_four(&self) -> &str {
        self.text.get(self.text.len().saturating_sub(4)..).unwrap_or_default()
    }

    /// The plain text, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}…{})", self.kind.prefix(), self.last_four())
    }
}

fn checksum(head: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(head) as usize;
    let mut out = [b'0'; CHECKSUM_LENGTH];
    for slot in out.iter_mut().rev() {
        *slot = BASE62[rest % 62];
        rest /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated() -> Secret {
        Secret::generate(Kind::Token, &ring::rand::SystemRandom::new()).unwrap()
    }

    #[test]
    fn a_generated_secret_is_recognised() {
        let secret = generated();
        assert_eq!(secret.expose().len(), 42);
        assert_eq!(Secret::parse(secret.expose()), Ok(secret));
    }

    /// E-A10: a bad checksum is refused without any look-up.
    #[test]
    fn any_changed_character_is_refused() {
        let secret = generated();
        for at in 0..secret.expose().len() {
            let mut text = secret.expose().as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(Secret::parse(std::str::from_utf8(&text).unwrap()), Err(ParseSecretError), "character {at}");
        }
    }

    #[test]
    fn debug_does_not_show_it() {
        let secret = generated();
        assert!(!format!("{secret:?}").contains(secret.expose().get(4..30).unwrap()));
    }

    /// C-T1, shortened: no doubles.
    #[test]
    fn no_doubles() {
        let all: std::collections::HashSet<String> = (0..10_000).map(|_| generated().expose().to_owned()).collect();
        assert_eq!(all.len(), 10_000);
    }
}
