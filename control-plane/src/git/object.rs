//! Decides how objects are read: straight from the mirror's object database, by our own parsers. Grafts, replace refs and
//! checkouts do not exist here, and what another parser might trip over (names, dates, order) is only bytes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use git2::{ObjectType, Odb, Oid};

use super::refs::parse_oid;

const DEEPEST_TAG: usize = 10;
/// Entries of remembered trees; a very long history is read in several goes rather than held in memory.
const MOST_REMEMBERED: usize = 2_000_000;

/// Why an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ObjectError {
    /// Missing, or its bytes do not have its id.
    #[error("object {oid} cannot be read: {problem}")]
    Unreadable { oid: Oid, problem: String },
    /// It is there, but is not what it should be.
    #[error("object {oid} is malformed: {problem}")]
    Malformed { oid: Oid, problem: &'static str },
}

/// A commit, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: Oid,
    pub(super) tree: Oid,
    /// Committer time, seconds since 1970; whatever the author of the commit chose.
    pub(super) time: i64,
}

/// Where a ref leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peeled {
    /// To a commit; with the outermost tag's time when there is an annotated tag.
    Commit(Commit, Option<i64>),
    /// To something else, named for people.
    Other(&'static str),
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeEntry {
    pub(super) mode: u32,
    pub(super) name: Vec<u8>,
    pub(super) oid: Oid,
}

/// The mirror's objects; parsed trees are kept, for versions share most of them.
pub(super) struct Objects<'mirror> {
    odb: Odb<'mirror>,
    trees: RefCell<HashMap<Oid, Rc<[TreeEntry]>>>,
    remembered: Cell<usize>,
}

impl<'mirror> Objects<'mirror> {
    pub(super) fn new(odb: Odb<'mirror>) -> Self {
        Self { odb, trees: RefCell::default(), remembered: Cell::new(0) }
    }

    /// Follows annotated tags to what they stand for.
    pub(super) fn peel(&self, oid: Oid) -> Result<Peeled, ObjectError> {
        let mut oid = oid;
        let mut tagged_at = None;
        for depth in 0..DEEPEST_TAG {
            let object = self.read(oid)?;
            match object.kind() {
                ObjectType::Commit => {
                    return parse_commit(oid, object.data()).map(|commit| Peeled::Commit(commit, tagged_at));
                }
                ObjectType::Tag => {
                    let (target, time) = parse_tag(oid, object.data())?;
                    if depth == 0 {
                        tagged_at = time;
                    }
                    oid = target;
                }
                ObjectType::Tree => return Ok(Peeled::Other("a tree")),
                _ => return Ok(Peeled::Other("a file")),
            }
        }
        Ok(Peeled::Other("more than ten nested tags"))
    }

    /// A tree's entries in git's order; a tree that breaks git's rules is refused.
    pub(super) fn tree(&self, oid: Oid) -> Result<Rc<[TreeEntry]>, ObjectError> {
        if let Some(known) = self.trees.borrow().get(&oid) {
            return Ok(Rc::clone(known));
        }
        let object = self.read(oid)?;
        if object.kind() != ObjectType::Tree {
            return Err(ObjectError::Malformed { oid, problem: "it should be a tree" });
        }
        let entries: Rc<[TreeEntry]> = parse_tree(oid, object.data())?.into();
        let mut trees = self.trees.borrow_mut();
        let remembered = self.remembered.get() + entries.len() + 1;
        if remembered > MOST_REMEMBERED {
            trees.clear();
        }
        self.remembered.set(if remembered > MOST_REMEMBERED { 0 } else { remembered });
        trees.insert(oid, Rc::clone(&entries));
        Ok(entries)
    }

    /// Size of a blob, without its content where the database can tell.
    pub(super) fn blob_size(&self, oid: Oid) -> Result<u64, ObjectError> {
        match self.odb.read_header(oid) {
            Ok((size, ObjectType::Blob)) => Ok(size as u64),
            Ok(_) => Err(ObjectError::Malformed { oid, problem: "it should be a file" }),
            Err(error) => Err(unreadable(oid, &error)),
        }
    }

    /// Gives a blob's content to `with`.
    pub(super) fn blob<T>(&self, oid: Oid, with: impl FnOnce(&[u8]) -> T) -> Result<T, ObjectError> {
        let object = self.read(oid)?;
        match object.kind() {
            ObjectType::Blob => Ok(with(object.data())),
            _ => Err(ObjectError::Malformed { oid, problem: "it should be a file" }),
        }
    }

    fn read(&self, oid: Oid) -> Result<git2::OdbObject<'_>, ObjectError> {
        self.odb.read(oid).map_err(|error| unreadable(oid, &error))
    }
}

fn unreadable(oid: Oid, error: &git2::Error) -> ObjectError {
    let problem = match error.code() {
        git2::ErrorCode::NotFound => "it is missing".to_owned(),
        _ => super::text::printable(error.message().as_bytes()),
    };
    ObjectError::Unreadable { oid, problem }
}

/// Header lines of a commit or tag: up to the first empty line.
fn header<'a>(data: &'a [u8], key: &'a [u8]) -> Option<&'a [u8]> {
    data.split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(key).and_then(|line| line.strip_prefix(b" ")))
}

/// Seconds since 1970 in `Name <address> seconds zone`; what cannot be read is 0, as git shows it.
fn signature_time(line: &[u8]) -> i64 {
    let after = line.iter().rposition(|byte| *byte == b'>').map_or(line, |at| &line[at + 1..]);
    let word = after.split(|byte| *byte == b' ').find(|word| !word.is_empty());
    word.and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn parse_commit(id: Oid, data: &[u8]) -> Result<Commit, ObjectError> {
    let tree = header(data, b"tree").and_then(parse_oid);
    let tree = tree.ok_or(ObjectError::Malformed { oid: id, problem: "the commit names no tree" })?;
    Ok(Commit { id, tree, time: header(data, b"committer").map_or(0, signature_time) })
}

fn parse_tag(oid: Oid, data: &[u8]) -> Result<(Oid, Option<i64>), ObjectError> {
    let target = header(data, b"object").and_then(parse_oid);
    let target = target.ok_or(ObjectError::Malformed { oid, problem: "the tag names no object" })?;
    Ok((target, header(data, b"tagger").map(signature_time)))
}

fn parse_tree(oid: Oid, data: &[u8]) -> Result<Vec<TreeEntry>, ObjectError> {
    let malformed = |problem| ObjectError::Malformed { oid, problem };
    let mut entries: Vec<TreeEntry> = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').filter(|at| *at <= 7);
        let space = space.ok_or_else(|| malformed("an entry has no mode"))?;
        let mode = std::str::from_utf8(&rest[..space]).ok().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let mode = mode.ok_or_else(|| malformed("an entry has no mode"))?;
        rest = &rest[space + 1..];
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("an entry has no end"))?;
        let name = rest[..end].to_vec();
        let (id, after) = rest[end + 1..].split_at_checked(20).ok_or_else(|| malformed("an entry has no object"))?;
        rest = after;
        let id = Oid::from_bytes(id).map_err(|_| malformed("an entry has no object"))?;
        let entry = TreeEntry { mode, name, oid: id };
        if entries.last().is_some_and(|last| sort_key(last) >= sort_key(&entry)) {
            return Err(malformed("its entries are not in git's order"));
        }
        entries.push(entry);
    }
    // Order lets `a`, `a.b`, `a/` pass: a file and a folder of one name.
    let mut names: Vec<&[u8]> = entries.iter().map(|entry| entry.name.as_slice()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(malformed("two of its entries have the same name"));
    }
    Ok(entries)
}

/// git orders a folder as if its name ended in a slash: so paths come out in byte order.
fn sort_key(entry: &TreeEntry) -> Vec<u8> {
    let mut key = entry.name.clone();
    if entry.mode & 0o170_000 == 0o040_000 {
        key.push(b'/');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: u8) -> Oid {
        Oid::from_bytes(&[digit; 20]).unwrap()
    }

    fn tree(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, name) in entries {
            out.extend_from_slice(mode.as_bytes());
            out.push(b' ');
            out.extend_from_slice(name);
            out.push(0);
            out.extend_from_slice(&[7; 20]);
        }
        out
    }

    #[test]
    fn commits_and_tags() {
        let data = format!(
            "tree {}\nparent {}\nauthor A <a@x> 5 +0100\ncommitter B > <b@x> 1700000000 -0500\n\ntree x\n",
            oid(1),
            oid(2)
        );
        assert_eq!(parse_commit(oid(3), data.as_bytes()), Ok(Commit { id: oid(3), tree: oid(1), time: 1_700_000_000 }));
        for odd in ["committer B <b@x> 99999999999999999999 +0000", "committer nonsense", ""] {
            let data = format!("tree {}\n{odd}\n\n", oid(1));
            assert_eq!(parse_commit(oid(3), data.as_bytes()).unwrap().time, 0, "{odd}");
        }
        assert!(parse_commit(oid(3), b"parent x\n\n").is_err());
        let data = format!("object {}\ntype commit\ntag v1\ntagger B <b@x> -5 +0000\n\nx", oid(1));
        assert_eq!(parse_tag(oid(3), data.as_bytes()), Ok((oid(1), Some(-5))));
        assert_eq!(parse_tag(oid(3), format!("object {}\n\ntagger B <b> 5 +0", oid(1)).as_bytes()), Ok((oid(1), None)));
    }

    #[test]
    fn trees() {
        let good = tree(&[("100644", b"a.b"), ("40000", b"a"), ("120000", b"a0"), ("100755", b"\xff")]);
        let entries = parse_tree(oid(1), &good).unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.mode).collect::<Vec<_>>(),
            [0o100_644, 0o040_000, 0o120_000, 0o100_755]
        );
        for bad in [
            tree(&[("100644", b"b"), ("100644", b"a")]),
            tree(&[("100644", b"a"), ("100644", b"a")]),
            tree(&[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")]),
            tree(&[("9", b"a")]),
            tree(&[("", b"a")]),
            good[..good.len() - 1].to_vec(),
            b"100644 a".to_vec(),
            b"100644".to_vec(),
        ] {
            assert!(parse_tree(oid(1), &bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_tree(oid(1), b""), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (parse_commit(oid(1), &data), parse_tag(oid(1), &data), signature_time(&data));
            if let Ok(entries) = parse_tree(oid(1), &data) {
                proptest::prop_assert!(entries.len() <= data.len() / 23);
            }
        }
    }
}
