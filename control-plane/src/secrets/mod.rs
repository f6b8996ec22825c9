//! Secrets that others gave us and that must be shown to somebody again: passwords of git servers, private keys, secrets of hooks.
//! Decides how they lie in the database: sealed with AES-256-GCM by a master key that never does.
//!
//! A sealed value is bound to its [`Place`]: copied to another row, column or tenant it does not open. Plain text exists between the
//! opening and its one use, in [`SecretBytes`], which cannot be printed. It must never reach a log, an error, an answer, an address or
//! a command line.

mod bytes;
mod key;
pub mod key_file;
mod keyring;
mod seal;

pub use bytes::SecretBytes;
pub use key::{KeyError, KeyId, MasterKey};
pub use key_file::KeyFileError;
pub use keyring::{Keyring, SecretsError};
pub use seal::{Place, key_of};
