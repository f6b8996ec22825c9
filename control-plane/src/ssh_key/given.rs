//! A private key that somebody gives: decides whether it can be used without anybody's help, and what its public half is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::wire::{self, Reader};
use super::{BEGIN, BLOCK, ED25519, END, MAGIC, SshKey, fingerprint, line};
use crate::domain::text;
use crate::secrets::SecretBytes;

/// Of the modulus of an RSA key.
const LEAST_BITS: usize = 2048;
const LONGEST: usize = 32 << 10;

/// Why a private key is not taken; without a word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GivenKeyError {
    /// It is something else.
    #[error(
        "is no private key in OpenSSH's form (-----BEGIN OPENSSH PRIVATE KEY-----); convert a copy of it with: ssh-keygen -p -N '' -f KEY"
    )]
    Form,
    /// The wrong half.
    #[error("is the public half of a key; give the private one, or leave it out to have a key made here")]
    Public,
    /// Nobody is there to type it.
    #[error(
        "is protected by a passphrase, which nobody could type; take it off a copy with: ssh-keygen -p -N '' -f KEY"
    )]
    Passphrase,
    /// Damaged.
    #[error("is not whole: its parts do not fit together; copy it again, with its first and last line")]
    Damaged,
    /// Not one that servers take.
    #[error("is of a kind that is not used here; give an ed25519, ecdsa or RSA key")]
    Algorithm,
    /// Too short.
    #[error("is an RSA key of fewer than 2048 bits; give a longer or an ed25519 key")]
    Short,
}

/// Reads a private key in OpenSSH's form.
///
/// # Errors
/// When it is something else, protected, damaged or weak.
pub fn read(text: &str) -> Result<SshKey, GivenKeyError> {
    let bytes = decode(text)?;
    let mut reader = Reader(bytes.strip_prefix(MAGIC).ok_or(GivenKeyError::Damaged)?);
    let (blob, section) = parts(&mut reader)?;
    let algorithm = Reader(blob).text().ok_or(GivenKeyError::Damaged)?;
    let comment = check(algorithm, blob, section)?;
    // What ends in a terminal; the key is the same without it.
    let comment = text::line(comment, 200).unwrap_or_default();
    Ok(SshKey {
        private_key: SecretBytes::from(format!("{}\n", text.trim())),
        public_key: line(algorithm, blob, &comment),
        fingerprint: fingerprint(blob),
    })
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, GivenKeyError> {
    let text = text.trim();
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|start| text.starts_with(start)) {
        return Err(GivenKeyError::Public);
    }
    let rest = text.strip_prefix(BEGIN).filter(|_| text.len() <= LONGEST).ok_or(GivenKeyError::Form)?;
    let body = rest.strip_suffix(END).ok_or(GivenKeyError::Damaged)?;
    let body = Zeroizing::new(body.split_whitespace().collect::<String>());
    STANDARD.decode(body.as_bytes()).map(Zeroizing::new).map_err(|_| GivenKeyError::Damaged)
}

/// The public blob and the private section.
fn parts<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), GivenKeyError> {
    let damaged = GivenKeyError::Damaged;
    let (cipher, derivation, _options) =
        (reader.field().ok_or(damaged)?, reader.field().ok_or(damaged)?, reader.field().ok_or(damaged)?);
    if cipher != b"none" || derivation != b"none" {
        return Err(GivenKeyError::Passphrase);
    }
    if reader.number() != Some(1) {
        return Err(damaged);
    }
    let (blob, section) = (reader.field().ok_or(damaged)?, reader.field().ok_or(damaged)?);
    if reader.is_empty() && section.len().is_multiple_of(BLOCK) { Ok((blob, section)) } else { Err(damaged) }
}

/// Whether the private section belongs to the public blob; its comment.
fn check<'a>(algorithm: &str, blob: &[u8], section: &'a [u8]) -> Result<&'a str, GivenKeyError> {
    let damaged = GivenKeyError::Damaged;
    let mut private = Reader(section);
    let (one, other) = (private.number().ok_or(damaged)?, private.number().ok_or(damaged)?);
    if one != other || private.text() != Some(algorithm) {
        return Err(damaged);
    }
    let public = match algorithm {
        ED25519 => ed25519(&mut private).ok_or(damaged)?,
        "ssh-rsa" => rsa(&mut private)?,
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => {
            ecdsa(algorithm, &mut private).ok_or(damaged)?
        }
        _ => return Err(GivenKeyError::Algorithm),
    };
    let comment = private.text().ok_or(damaged)?;
    let padded = private.0.len() < BLOCK && private.0.iter().zip(1..).all(|(byte, wanted)| *byte == wanted);
    if public == blob && padded { Ok(comment) } else { Err(damaged) }
}

fn ed25519(private: &mut Reader<'_>) -> Option<Vec<u8>> {
    let (public, both) = (private.field()?, private.field()?);
    let (seed, repeated) = both.split_at_checked(32)?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, repeated).ok()?;
    (pair.public_key().as_ref() == public).then(|| wire::strings(&[ED25519.as_bytes(), public]))
}

fn rsa(private: &mut Reader<'_>) -> Result<Vec<u8>, GivenKeyError> {
    let damaged = GivenKeyError::Damaged;
    let (modulus, exponent) = (private.field().ok_or(damaged)?, private.field().ok_or(damaged)?);
    // d, iqmp, p, q.
    for _ in 0..4 {
        private.field().ok_or(damaged)?;
    }
    let leading = modulus.iter().position(|byte| *byte != 0).ok_or(damaged)?;
    let significant = modulus.get(leading..).unwrap_or_default();
    let unused = significant.first().map_or(8, |byte| byte.leading_zeros()) as usize;
    if significant.len() * 8 - unused < LEAST_BITS {
        return Err(GivenKeyError::Short);
    }
    Ok(wire::strings(&[b"ssh-rsa", exponent, modulus]))
}

fn ecdsa(algorithm: &str, private: &mut Reader<'_>) -> Option<Vec<u8>> {
    let (curve, point, _scalar) = (private.field()?, private.field()?, private.field()?);
    Some(wire::strings(&[algorithm.as_bytes(), curve, point]))
}
