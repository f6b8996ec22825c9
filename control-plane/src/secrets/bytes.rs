use std::fmt;

use zeroize::Zeroizing;

/// A secret in plain text. Cannot be printed; its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes a secret over.
    #[must_use]
    pub fn new(plain: Vec<u8>) -> Self {
        Self(Zeroizing::new(plain))
    }

    /// The plain text, for its one use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The plain text of a secret that is text; none when it is not.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-S5.
    #[test]
    fn it_cannot_be_printed() {
        let secret = SecretBytes::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretBytes(…)");
        assert_eq!(secret.expose_text(), Some("hunter2"));
    }
}
