//! The five stabilities and their order.
//!
//! A version is allowed by a minimum when its stability is no less stable than it: `version.stability() <= minimum`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How finished a version claims to be, from most to least stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stability {
    /// A release.
    Stable,
    /// A release candidate. Composer writes it `RC`.
    Rc,
    /// A beta.
    Beta,
    /// An alpha.
    Alpha,
    /// A branch or a `-dev` version.
    Dev,
}

impl Stability {
    /// Every stability, most stable first.
    pub const ALL: [Self; 5] = [Self::Stable, Self::Rc, Self::Beta, Self::Alpha, Self::Dev];

    /// Composer's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Rc => "RC",
            Self::Beta => "beta",
            Self::Alpha => "alpha",
            Self::Dev => "dev",
        }
    }
}

/// The text names no stability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stability: use stable, RC, beta, alpha or dev")]
pub struct StabilityError(pub String);

impl FromStr for Stability {
    type Err = StabilityError;

    /// Any case is accepted.
    fn from_str(text: &str) -> Result<Self, StabilityError> {
        let found = Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| StabilityError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Stability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Stability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Stability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_stable_is_greater() {
        assert!(Stability::ALL.is_sorted());
        assert!(Stability::Beta <= Stability::Dev && Stability::Beta > Stability::Rc);
    }

    #[test]
    fn reads_any_case_and_writes_composers() {
        for (text, stability, written) in [
            ("STABLE", Stability::Stable, "\"stable\""),
            ("rc", Stability::Rc, "\"RC\""),
            ("RC", Stability::Rc, "\"RC\""),
            ("Beta", Stability::Beta, "\"beta\""),
            ("alpha", Stability::Alpha, "\"alpha\""),
            ("dEv", Stability::Dev, "\"dev\""),
        ] {
            let parsed: Stability = serde_json::from_value(text.into()).unwrap();
            assert_eq!(parsed, stability);
            assert_eq!(serde_json::to_string(&parsed).unwrap(), written);
        }
        assert!("".parse::<Stability>().is_err());
        assert!("gamma".parse::<Stability>().unwrap_err().to_string().contains("gamma"));
    }
}
