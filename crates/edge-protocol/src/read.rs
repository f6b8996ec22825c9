use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_licence::{Access, Collection, CollectionId};
use serde::{Deserialize, Serialize};

use crate::link::{Epoch, Seq};
use crate::{Host, Package, TenantId};

/// Grows with every change of the fact it stands beside; compared for equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

/// Names one fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Key {
    /// Whose a host is.
    Host {
        /// Lower-case, without port and trailing dot.
        host: String,
    },
    /// What the bearer of a token may do.
    Access {
        /// Whose registry.
        tenant: TenantId,
        /// SHA-256 of the token.
        digest: Digest,
    },
    /// One package with all its versions.
    Package {
        /// Whose registry.
        tenant: TenantId,
        /// The package.
        name: PackageName,
    },
    /// A set of packages with limits of its own.
    Collection {
        /// Whose registry.
        tenant: TenantId,
        /// Which.
        collection: CollectionId,
    },
    /// The names of all packages, for collections by pattern.
    Directory {
        /// Whose registry.
        tenant: TenantId,
    },
}

/// A key, and the revision at which the reader knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKey {
    /// What is asked for.
    pub key: Key,
    /// What the reader has, if anything.
    #[serde(default)]
    pub revision: Option<Revision>,
}

/// Asks for several facts at once. Each is answered for itself, as of a moment after the call came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    /// At most 500.
    pub keys: Vec<KnownKey>,
}

/// The answers, in the order of the keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadReply {
    /// One per key.
    pub answers: Vec<Answer>,
    /// Every event up to this one is in the answers; without it they must not be kept.
    #[serde(default)]
    pub as_of: Option<AsOf>,
}

/// How new facts are at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// Of the number.
    pub epoch: Epoch,
    /// The last event that is surely in them.
    pub seq: Seq,
}

/// What the control plane says of one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", try_from = "Parts")]
#[expect(clippy::large_enum_variant, reason = "answers live for one reading; a box would cost more than the space")]
pub enum Answer {
    /// The reader's revision still holds.
    Unchanged,
    /// There is no such thing.
    Absent,
    /// The fact.
    Found {
        /// Its revision.
        revision: Revision,
        /// The fact itself.
        entry: Entry,
    },
}

/// An answer as it is read. Read as what it is, a whole package would be held twice, in pieces of any kind first: packages are most of
/// what is read, and somebody waits.
#[derive(Deserialize)]
struct Parts {
    answer: Said,
    revision: Option<Revision>,
    entry: Option<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Unchanged,
    Absent,
    Found,
}

impl TryFrom<Parts> for Answer {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        match (parts.answer, parts.revision, parts.entry) {
            (Said::Unchanged, _, _) => Ok(Self::Unchanged),
            (Said::Absent, _, _) => Ok(Self::Absent),
            (Said::Found, Some(revision), Some(entry)) => Ok(Self::Found { revision, entry }),
            (Said::Found, None, _) => Err("missing field `revision`"),
            (Said::Found, _, None) => Err("missing field `entry`"),
        }
    }
}

/// A fact. Which one it is stands before it, as it is written here: what versions say of themselves is taken from the text as it
/// lies there, and cannot be where it has been put by first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", content = "value", rename_all = "snake_case")]
pub enum Entry {
    /// To [`Key::Host`].
    Host(Host),
    /// To [`Key::Access`].
    Access(Access),
    /// To [`Key::Package`].
    Package(Package),
    /// To [`Key::Collection`].
    Collection(Collection),
    /// To [`Key::Directory`].
    Directory(Directory),
}

/// Every package of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Their names, in order.
    pub packages: Vec<PackageName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let directory = r#"{"entry":"directory","value":{"packages":["acme/pay"]}}"#;
        let found = format!(r#"{{"answer":"found","revision":7,"entry":{directory}}}"#);
        for text in [r#"{"answer":"unchanged"}"#, r#"{"answer":"absent"}"#, &found] {
            let answer: Answer = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&answer).unwrap(), text);
        }
        // In any order, and with what a later release may add.
        let other = format!(r#"{{"entry":{directory},"later":[1],"revision":7,"answer":"found"}}"#);
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Answer>(&other).unwrap()).unwrap(), found);
        for wrong in [
            format!(r#"{{"answer":"found","entry":{directory}}}"#),
            r#"{"answer":"found","revision":7}"#.to_owned(),
            r#"{"answer":"perhaps"}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert!(serde_json::from_str::<Answer>(&wrong).is_err(), "{wrong}");
        }
    }
}
