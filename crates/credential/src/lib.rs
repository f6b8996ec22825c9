//! Decides what a secret that Cargoman hands out looks like, and how it is recognised again.
//!
//! A secret is `<kind>_` + 32 base62 characters from the operating system (190 bits) + 6 base62 characters of the CRC-32 of
//! all before, so that a typing error is refused without any look-up. What is stored is [`Digest`], the SHA-256 of the whole
//! text: such secrets cannot be guessed, so a slow password hash would only be a denial of service. This crate must never
//! print a secret: [`Secret`] has no `Display` and its `Debug` shows four characters.

mod digest;
mod secret;

pub use digest::{Digest, ParseDigestError};
pub use secret::{Kind, ParseSecretError, Secret};
