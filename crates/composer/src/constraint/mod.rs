//! Constraints: which versions a text such as `^1.2 || dev-main` means.
//!
//! Parsing follows Composer's parser, oddities included; matching is Composer's matching of one version. Comparing two
//! constraints with each other is not done here.

mod item;
mod numbers;
mod split;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pattern::trim;
use crate::version::{Version, shown};

/// The longest constraint accepted, in bytes.
pub const MAX_CONSTRAINT_BYTES: usize = 4096;

/// A constraint with the text it was read from. Equal when the texts are. Cheap to clone.
#[derive(Clone)]
pub struct Constraint(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    /// One of these groups must hold.
    alternatives: Vec<Group>,
}

/// Comparisons that must hold together.
type Group = Vec<Comparison>;

/// One atom of a constraint.
#[derive(Clone, Debug, PartialEq)]
enum Comparison {
    /// `*`: every version, branches included.
    Any,
    /// An operator and the version it compares with.
    With(Operator, Version),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is not a constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Composer cannot read this part of it.
    #[error("`{}` is not a constraint Composer can read: write it like ^1.2, ~1.2.3, >=1.0 <2.0, 1.0.*, dev-main or *", shown(.part))]
    Invalid {
        /// The part between `||`, commas and spaces that is at fault.
        part: String,
    },
    /// Longer than [`MAX_CONSTRAINT_BYTES`].
    #[error("the constraint is {length} bytes long: at most {MAX_CONSTRAINT_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    /// When Composer refuses it or it is longer than [`MAX_CONSTRAINT_BYTES`].
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > MAX_CONSTRAINT_BYTES {
            return Err(ConstraintError::TooLong { length: text.len() });
        }
        let mut alternatives = Vec::new();
        for alternative in split::alternatives(trim(text)) {
            let mut group = Group::new();
            for item in split::conjunction(alternative) {
                group.extend(item::comparisons(item)?);
            }
            alternatives.push(group);
        }
        merge_contiguous(&mut alternatives);
        Ok(Self(Arc::new(Parsed { text: text.into(), alternatives })))
    }

    /// The constraint `*`, which every version satisfies.
    #[must_use]
    pub fn any() -> Self {
        Self(Arc::new(Parsed { text: "*".into(), alternatives: vec![vec![Comparison::Any]] }))
    }

    /// The text it was read from, verbatim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Does `version` satisfy the constraint?
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        let holds = |group: &Group| group.iter().all(|comparison| comparison.holds(version));
        self.0.alternatives.iter().any(holds)
    }
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let Self::With(operator, bound) = self else { return true };
        if version.is_branch() || bound.is_branch() {
            // A branch has no place in the order of versions: it is itself or it is not.
            return match operator {
                Operator::Equal => version == bound,
                Operator::NotEqual => version != bound,
                _ => false,
            };
        }
        operator.accepts(version.compare(bound))
    }
}

impl Operator {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// `>=a <b || >=b <c` becomes `>=a <c`, as in Composer. It shows only when `b` is a branch, which is in neither range.
fn merge_contiguous(alternatives: &mut Vec<Group>) {
    let mut merged: Vec<Group> = Vec::with_capacity(alternatives.len());
    for mut group in alternatives.drain(..) {
        if let Some(end) = merged.last_mut().and_then(|previous| end_to_extend(previous, &mut group)) {
            *end.0 = end.1;
        } else {
            merged.push(group);
        }
    }
    *alternatives = merged;
}

/// The upper bound of `previous` and what replaces it, if `next` starts where `previous` ends.
fn end_to_extend<'g>(previous: &'g mut Group, next: &mut Group) -> Option<(&'g mut Comparison, Comparison)> {
    use Operator::{GreaterOrEqual, Less, LessOrEqual};
    let [Comparison::With(GreaterOrEqual, _), end] = previous.as_mut_slice() else { return None };
    let [Comparison::With(GreaterOrEqual, start), next_end] = next.as_mut_slice() else { return None };
    let touches = matches!(end, Comparison::With(Less, end) if end == start);
    let is_range = matches!(next_end, Comparison::With(Less | LessOrEqual, _));
    (touches && is_range).then(|| (end, std::mem::replace(next_end, Comparison::Any)))
}

impl PartialEq for Constraint {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Constraint {}

impl Hash for Constraint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        Self::parse(text)
    }
}

impl Serialize for Constraint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Constraint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
