//! Decides when a new release becomes visible. Branches always are at once: whoever asks for one wants what is being made.

/// When a new release of a package becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Releases {
    /// At once.
    Auto,
    /// When somebody says so.
    Manual,
    /// So many hours after it was found, or when somebody says so before.
    Delayed(i32),
}

/// The longest delay, in hours: a year.
pub const LONGEST_DELAY: i64 = 8760;

impl Releases {
    /// As it is written; of a delay its hours stand apart.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Delayed(_) => "delayed",
        }
    }

    /// The hours of a delay.
    #[must_use]
    pub fn hours(self) -> Option<i32> {
        match self {
            Self::Delayed(hours) => Some(hours),
            Self::Auto | Self::Manual => None,
        }
    }

    /// From a word and hours, each as given.
    ///
    /// # Errors
    /// With the field that is wrong, and what is wrong with it.
    pub fn of(word: &str, hours: Option<i32>) -> Result<Self, (&'static str, &'static str)> {
        const HOURS: &str = "release_delay_hours";
        match (word, hours) {
            ("auto", None) => Ok(Self::Auto),
            ("manual", None) => Ok(Self::Manual),
            ("delayed", Some(hours)) => Ok(Self::Delayed(hours)),
            ("delayed", None) => Err((HOURS, "is required with `delayed`: after how many hours a release is visible")),
            ("auto" | "manual", Some(_)) => Err((HOURS, "is for `\"releases\": \"delayed\"` alone; leave it out")),
            _ => Err(("releases", "must be auto, manual (a release waits until somebody releases it) or delayed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for releases in [Releases::Auto, Releases::Manual, Releases::Delayed(24)] {
            assert_eq!(Releases::of(releases.word(), releases.hours()), Ok(releases));
        }
        for (word, hours, field) in [
            ("delayed", None, "release_delay_hours"),
            ("auto", Some(1), "release_delay_hours"),
            ("manual", Some(1), "release_delay_hours"),
            ("later", None, "releases"),
            ("", Some(1), "releases"),
        ] {
            assert_eq!(Releases::of(word, hours).unwrap_err().0, field, "{word} {hours:?}");
        }
    }
}
