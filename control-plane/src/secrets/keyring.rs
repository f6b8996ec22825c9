//! The keys a running program has: one seals, all open. Decides when the file is read again: at every sealing, so that a key which is
//! no longer the newest seals nothing, and when a value names a key that is not known.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::aead::NONCE_LEN;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{KeyFileError, KeyId, MasterKey, Place, SecretBytes, key_file, seal};

/// Why a secret cannot be sealed or opened. Says nothing of the secret or of a key.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The program was started without a key.
    #[error(
        "this registry has no master key to seal secrets with; set secrets.key_file in the configuration (or the variable CARGOMAN_MASTER_KEY) and start it again"
    )]
    NoKey,
    /// The value was sealed with a key that is not there.
    #[error(
        "a secret is sealed with the master key {0}, which is not there; put that key back into the file of secrets.key_file (or into CARGOMAN_MASTER_KEY)"
    )]
    UnknownKey(KeyId),
    /// The file of keys cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The variable holds something else.
    #[error("CARGOMAN_MASTER_KEY: {0}")]
    Variable(String),
    /// The bytes are no sealed value, were changed, or belong to another row, column or tenant.
    #[error("a stored secret ({0}) does not open: its bytes were changed or moved; give the secret anew")]
    Altered(&'static str),
    /// No randomness.
    #[error("the operating system gives no random bytes")]
    Random,
}

impl SecretsError {
    /// In words for whoever asks from outside: where files of this machine lie is not his business.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::File(_) | Self::Variable(_) => {
                "the master keys of this registry cannot be read; its operator finds the reason in the log".to_owned()
            }
            _ => self.to_string(),
        }
    }
}

/// One or several master keys. Cannot be printed.
#[derive(Debug)]
pub struct Keyring {
    source: Source,
    /// Newest first.
    keys: RwLock<Arc<Vec<MasterKey>>>,
    random: SystemRandom,
}

#[derive(Debug)]
enum Source {
    Absent,
    File(PathBuf),
    Variable,
}

impl Keyring {
    /// No key at all: nothing can be sealed or opened, and each try says what to set.
    #[must_use]
    pub fn absent() -> Self {
        Self::new(Source::Absent, Vec::new())
    }

    /// The keys of a file.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn from_file(path: &Path) -> Result<Self, SecretsError> {
        Ok(Self::new(Source::File(path.to_owned()), key_file::read(path)?))
    }

    /// The keys of `CARGOMAN_MASTER_KEY`, separated by commas, newest first.
    ///
    /// # Errors
    /// When one is no key.
    pub fn from_variable(text: &str) -> Result<Self, SecretsError> {
        Ok(Self::new(Source::Variable, key_file::parse_list(text).map_err(SecretsError::Variable)?))
    }

    fn new(source: Source, keys: Vec<MasterKey>) -> Self {
        Self { source, keys: RwLock::new(Arc::new(keys)), random: SystemRandom::new() }
    }

    /// Seals for a place, with the newest key.
    ///
    /// # Errors
    /// When there is no key.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
        // A key that a rotation has put behind another seals nothing more: soon it may be gone.
        self.read_again()?;
        let keys = self.keys();
        let key = keys.first().ok_or(SecretsError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SecretsError::Random)?;
        seal::seal(key, nonce, place, plain).map_err(|_| SecretsError::Altered(place.column))
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// When the key is not there, or the value was changed or moved.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<SecretBytes, SecretsError> {
        let id = seal::key_of(sealed).ok_or(SecretsError::Altered(place.column))?;
        if !self.has(id) {
            self.read_again()?;
        }
        let keys = self.keys();
        if keys.is_empty() {
            return Err(SecretsError::NoKey);
        }
        let key = keys.iter().find(|key| key.id() == id).ok_or(SecretsError::UnknownKey(id))?;
        seal::open(key, place, sealed).map_err(|_| SecretsError::Altered(place.column))
    }

    /// Ids of all keys, newest first.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys().iter().map(MasterKey::id).collect()
    }

    /// The file the keys come from, if they come from one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Absent | Source::Variable => None,
        }
    }

    /// Reads the file once more. A few lines, and rarely: nobody waits for it.
    ///
    /// # Errors
    /// When it cannot be used; then the keys are those from before.
    pub fn read_again(&self) -> Result<(), SecretsError> {
        if let Source::File(path) = &self.source {
            let keys = Arc::new(key_file::read(path)?);
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(())
    }

    fn keys(&self) -> Arc<Vec<MasterKey>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn has(&self, id: KeyId) -> bool {
        self.keys().iter().any(|key| key.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use cargoman_edge_protocol::TenantId;
    use uuid::Uuid;

    use super::*;

    fn key(seed: u8) -> String {
        format!("{seed:02x}{}", "5a".repeat(31))
    }

    fn place() -> Place {
        Place { tenant: TenantId(Uuid::from_u128(1)), row: Uuid::from_u128(2), column: "a.b" }
    }

    /// C-S2: two keys live, and a rotation is seen by a program that runs.
    #[test]
    fn a_rotation_is_seen_while_running() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master-key");
        key_file::create(&path, &key(1)).unwrap();
        let (one, other) = (Keyring::from_file(&path).unwrap(), Keyring::from_file(&path).unwrap());
        let old = one.seal(&place(), b"old").unwrap();
        let id = key_file::add(&path, &key(2)).unwrap();
        let new = one.seal(&place(), b"new").unwrap();
        assert_eq!(seal::key_of(&new), Some(id));
        for (sealed, plain) in [(&old, &b"old"[..]), (&new, b"new")] {
            assert_eq!(other.open(&place(), sealed).unwrap().expose(), plain);
        }
        key_file::retire(&path, |_| false).unwrap();
        let fresh = Keyring::from_file(&path).unwrap();
        assert!(matches!(fresh.open(&place(), &old), Err(SecretsError::UnknownKey(_))));
        // Without its file it seals nothing that might never open again.
        std::fs::remove_file(&path).unwrap();
        let gone = one.seal(&place(), b"x").unwrap_err();
        assert!(gone.to_string().contains("master-key") && !gone.public().contains("master-key"), "{gone}");
        assert_eq!(one.open(&place(), &new).unwrap().expose(), b"new");
    }

    #[test]
    fn without_a_key_the_setting_is_named() {
        let sealed = Keyring::from_variable(&key(1)).unwrap().seal(&place(), b"x").unwrap();
        let absent = Keyring::absent();
        for error in [absent.seal(&place(), b"x").unwrap_err(), absent.open(&place(), &sealed).unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("secrets.key_file") && text.contains("CARGOMAN_MASTER_KEY"), "{text}");
        }
        let two = Keyring::from_variable(&format!("{}, {}", key(2), key(1))).unwrap();
        assert_eq!(two.open(&place(), &sealed).unwrap().expose(), b"x");
        assert_eq!(two.ids().len(), 2);
        assert!(matches!(two.open(&place(), b"x"), Err(SecretsError::Altered("a.b"))));
        assert!(Keyring::from_variable("secret-text").is_err_and(|error| !error.to_string().contains("secret-text")));
    }
}
