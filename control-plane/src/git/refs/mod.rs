//! Decides what a repository's refs are, and which of them may be looked at. Names are bytes here: whoever can push can choose
//! them, and C code or a `String` must not see them before [`name::check`] has.

pub(super) mod advertisement;
pub(super) mod local;
pub(super) mod ls_refs;
pub(super) mod name;

use git2::Oid;

use super::failure::Result;
use super::protocol::{Failed, FailureCode, Kind};
use super::text::{hex, printable};

/// One branch or tag as the repository lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RemoteRef {
    /// Full name.
    pub(super) name: Vec<u8>,
    /// What it points to.
    pub(super) oid: Oid,
}

/// Where HEAD leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// To a ref, which need not exist.
    Symbolic(Vec<u8>),
    /// Directly to a commit.
    Detached(Oid),
    /// Not told.
    Absent,
}

/// All branches and tags of a repository, in byte order of their names, with nothing else among them.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) head: Head,
    pub(super) refs: Vec<RemoteRef>,
}

impl Listing {
    /// Keeps branches and tags, and puts them into order.
    pub(super) fn new(head: Head, mut refs: Vec<RemoteRef>) -> Self {
        refs.retain(|entry| kind(&entry.name).is_some());
        refs.sort();
        refs.dedup_by(|later, earlier| later.name == earlier.name);
        Self { head, refs }
    }

    /// SHA-256 over every name and object, for finding out that nothing has changed.
    pub(super) fn digest(&self) -> String {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for entry in &self.refs {
            context.update(entry.oid.as_bytes());
            context.update(&entry.name);
            context.update(&[0]);
        }
        hex(context.finish().as_ref())
    }

    /// The default branch. A HEAD that leads directly to a commit stands for the branch at that commit, as `git clone` guesses:
    /// `main`, `master`, else the first.
    ///
    /// # Errors
    /// When there are no refs, HEAD is not told, or it leads to nothing.
    pub(super) fn default_branch(&self) -> Result<&RemoteRef> {
        if self.refs.is_empty() {
            return Err(Failed::new(
                FailureCode::Empty,
                "the repository is empty: it has no branches and no tags",
                "push a branch with a composer.json to it",
            ));
        }
        const REMEDY: &str = "set the repository's default branch to one that exists";
        match &self.head {
            Head::Symbolic(target) => {
                self.find(target).filter(|entry| kind(&entry.name) == Some(Kind::Branch)).ok_or_else(|| {
                    let message = format!("the default branch (HEAD) is `{}`, which does not exist", printable(target));
                    Failed::new(FailureCode::NoDefaultBranch, message, REMEDY)
                })
            }
            Head::Detached(oid) => [&b"refs/heads/main"[..], b"refs/heads/master"]
                .into_iter()
                .filter_map(|name| self.find(name))
                .chain(&self.refs)
                .find(|entry| entry.oid == *oid && kind(&entry.name) == Some(Kind::Branch))
                .ok_or_else(|| {
                    Failed::new(FailureCode::NoDefaultBranch, "HEAD is at a commit where no branch is", REMEDY)
                }),
            Head::Absent => Err(Failed::new(
                FailureCode::NoDefaultBranch,
                "the repository has no default branch: its HEAD leads to a branch that does not exist",
                REMEDY,
            )),
        }
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&RemoteRef> {
        self.refs.binary_search_by(|entry| entry.name.as_slice().cmp(name)).ok().and_then(|at| self.refs.get(at))
    }
}

/// Whether a full ref name is a branch or a tag; other refs are of no interest.
pub(super) fn kind(name: &[u8]) -> Option<Kind> {
    if name.starts_with(b"refs/heads/") {
        Some(Kind::Branch)
    } else if name.starts_with(b"refs/tags/") {
        Some(Kind::Tag)
    } else {
        None
    }
}

/// A full ref name without `refs/heads/` or `refs/tags/`.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name)
}

/// An object id of a SHA-1 repository from its 40 hexadecimal digits.
pub(super) fn parse_oid(text: &[u8]) -> Option<Oid> {
    (text.len() == 40).then(|| std::str::from_utf8(text).ok().and_then(|text| Oid::from_str(text).ok())).flatten()
}

/// What a repository with SHA-256 object ids is answered.
pub(super) fn sha256_repository() -> Failed {
    Failed::new(
        FailureCode::Unsupported,
        "the repository uses SHA-256 object ids, which are not supported",
        "use a repository with SHA-1 object ids, git's default",
    )
}

/// What a shallow repository is answered.
pub(super) fn shallow_repository() -> Failed {
    Failed::new(
        FailureCode::Unsupported,
        "the repository is a shallow clone, which is not supported",
        "give the original repository, or run `git fetch --unshallow` in it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(head: Head, names: &[(&str, char)]) -> Listing {
        let oid = |digit: char| Oid::from_str(&digit.to_string().repeat(40)).unwrap();
        let refs =
            names.iter().map(|(name, digit)| RemoteRef { name: name.as_bytes().to_vec(), oid: oid(*digit) }).collect();
        Listing::new(head, refs)
    }

    #[test]
    fn default_branch() {
        let names = [
            ("refs/tags/v1", '1'),
            ("refs/heads/b", '1'),
            ("refs/heads/a", '2'),
            ("refs/pull/1/head", '3'),
            ("refs/heads/master", '1'),
        ];
        let one = Oid::from_str(&"1".repeat(40)).unwrap();
        let three = Oid::from_str(&"3".repeat(40)).unwrap();
        for (head, expected) in [
            (Head::Symbolic(b"refs/heads/a".to_vec()), Ok("refs/heads/a")),
            (Head::Symbolic(b"refs/heads/none".to_vec()), Err(FailureCode::NoDefaultBranch)),
            (Head::Symbolic(b"refs/tags/v1".to_vec()), Err(FailureCode::NoDefaultBranch)),
            (Head::Detached(one), Ok("refs/heads/master")),
            (Head::Detached(three), Err(FailureCode::NoDefaultBranch)),
            (Head::Absent, Err(FailureCode::NoDefaultBranch)),
        ] {
            let listing = listing(head.clone(), &names);
            let found = listing
                .default_branch()
                .map(|entry| std::str::from_utf8(&entry.name).unwrap())
                .map_err(|failure| failure.code);
            assert_eq!(found, expected, "{head:?}");
        }
        let empty = listing(Head::Symbolic(b"refs/heads/main".to_vec()), &[("refs/pull/1/head", '3')]);
        assert_eq!(empty.default_branch().unwrap_err().code, FailureCode::Empty);
    }

    #[test]
    fn the_digest_covers_names_and_objects() {
        let all = [
            listing(Head::Absent, &[("refs/heads/a", '1')]),
            listing(Head::Absent, &[("refs/heads/a", '2')]),
            listing(Head::Absent, &[("refs/heads/b", '1')]),
            listing(Head::Absent, &[("refs/heads/a", '1'), ("refs/tags/a", '1')]),
        ];
        let digests: std::collections::HashSet<_> = all.iter().map(Listing::digest).collect();
        assert_eq!(digests.len(), all.len());
        let other_order =
            listing(Head::Absent, &[("refs/tags/a", '1'), ("refs/pull/9/head", '1'), ("refs/heads/a", '1')]);
        assert_eq!(other_order.digest(), all[3].digest());
    }
}
