//! Decides which entries of a commit's tree go into its archive: what `git archive` would show, with names that are safe.
//!
//! A folder appears when a file, even an ignored one, lies somewhere inside it; a submodule appears as an empty folder; an
//! ignored folder hides all it holds.
//! Equal subtrees of many commits are looked at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use git2::Oid;

use super::super::attributes::{AttributeFile, AttributeStack};
use super::super::object::{ObjectError, Objects, TreeEntry};
use super::super::text::printable;
use super::ArchiveError;
use crate::archive_name as name;

const DEEPEST: usize = 128;
/// Entries of remembered folders, over all of them.
const MOST_REMEMBERED: usize = 4_000_000;

/// One entry of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path from the root; ends in a slash for a folder.
    pub(super) path: String,
    pub(super) kind: EntryKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    /// A file or symbolic link: its mode in the archive and its content.
    Blob(u32, Oid),
}

/// Views of trees, remembered.
pub(super) struct Views<'a, 'mirror> {
    objects: &'a Objects<'mirror>,
    most_entries: usize,
    stacks: RefCell<Vec<AttributeStack>>,
    /// By the stack outside, the folder and the attribute file.
    stack_ids: RefCell<HashMap<Place, usize>>,
    files: RefCell<HashMap<(Oid, bool), Rc<AttributeFile>>>,
    /// By the stack outside, the folder and its tree.
    seen: RefCell<HashMap<Place, View>>,
    remembered: Cell<usize>,
}

/// An object in a folder, below a stack of attribute files.
type Place = (usize, Vec<u8>, Oid);

/// What is visible of a folder.
#[derive(Clone)]
struct View {
    entries: Rc<[Rc<Entry>]>,
    /// Whether the folder itself is.
    appears: bool,
}

/// The folder whose entries are being looked at.
struct Folder<'p> {
    /// Empty, or with a slash at its end.
    path: &'p [u8],
    stack: AttributeStack,
    stack_id: usize,
    depth: usize,
}

impl<'a, 'mirror> Views<'a, 'mirror> {
    pub(super) fn new(objects: &'a Objects<'mirror>, most_entries: usize) -> Self {
        let stacks = RefCell::new(vec![AttributeStack::default()]);
        Self {
            objects,
            most_entries,
            stacks,
            stack_ids: RefCell::default(),
            files: RefCell::default(),
            seen: RefCell::default(),
            remembered: Cell::new(0),
        }
    }

    /// The entries of a root tree, in byte order of their paths.
    pub(super) fn root(&self, tree: Oid) -> Result<Rc<[Rc<Entry>]>, ArchiveError> {
        let view = self.folder(tree, b"", 0, 0)?;
        if view.entries.is_sorted_by(|a, b| a.path < b.path) {
            return Ok(view.entries);
        }
        // git puts a submodule where a file of that name would stand; its path here ends in a slash.
        let mut entries = view.entries.to_vec();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries.into())
    }

    /// The entries below a folder; `path` is empty or ends in a slash.
    fn folder(&self, tree: Oid, path: &[u8], outside: usize, depth: usize) -> Result<View, ArchiveError> {
        let key = (outside, path.to_vec(), tree);
        if let Some(known) = self.seen.borrow().get(&key) {
            return Ok(known.clone());
        }
        if depth > DEEPEST {
            return Err(ArchiveError::Limit(format!("has folders nested deeper than {DEEPEST}")));
        }
        let entries = self.objects.tree(tree)?;
        let stack_id = self.stack_id(&entries, path, outside)?;
        let stack = self.stacks.borrow().get(stack_id).cloned().unwrap_or_default();
        let folder = Folder { path, stack, stack_id, depth };
        let mut out = Vec::new();
        let mut appears = false;
        for entry in entries.iter() {
            appears |= self.entry(entry, &folder, &mut out)?;
            if out.len() > self.most_entries {
                return Err(ArchiveError::Limit(format!("has more than {} entries", self.most_entries)));
            }
        }
        let view = View { entries: out.into(), appears };
        if depth > 0 {
            self.remember(key, &view);
        }
        Ok(view)
    }

    /// Root folders differ from commit to commit; what lies below is shared.
    fn remember(&self, place: Place, view: &View) {
        let mut seen = self.seen.borrow_mut();
        let remembered = self.remembered.get() + view.entries.len() + 1;
        if remembered > MOST_REMEMBERED {
            seen.clear();
        }
        self.remembered.set(if remembered > MOST_REMEMBERED { 0 } else { remembered });
        seen.insert(place, view.clone());
    }

    /// Adds what is visible of one entry; tells whether it makes its folder appear.
    fn entry(&self, entry: &TreeEntry, folder: &Folder<'_>, out: &mut Vec<Rc<Entry>>) -> Result<bool, ArchiveError> {
        let mut path = [folder.path, &entry.name].concat();
        let file_type = entry.mode & 0o170_000;
        let is_folder = matches!(file_type, 0o040_000 | 0o160_000);
        if folder.stack.ignores(&path, is_folder) {
            return Ok(file_type != 0o040_000);
        }
        name::check_part(&entry.name)
            .and_then(|()| name::check_length(&path))
            .map_err(|clause| ArchiveError::Name(clause, printable(&path)))?;
        if is_folder {
            path.push(b'/');
        }
        let text = String::from_utf8_lossy(&path).into_owned();
        let kind = match file_type {
            0o040_000 => {
                let below = self.folder(entry.oid, &path, folder.stack_id, folder.depth + 1)?;
                if below.appears {
                    out.push(Rc::new(Entry { path: text, kind: EntryKind::Folder }));
                    out.extend(below.entries.iter().cloned());
                }
                return Ok(below.appears);
            }
            0o160_000 => EntryKind::Folder,
            0o120_000 => EntryKind::Blob(0o120_777, entry.oid),
            0o100_000 if entry.mode & 0o100 != 0 => EntryKind::Blob(0o100_755, entry.oid),
            0o100_000 => EntryKind::Blob(0o100_644, entry.oid),
            _ => return Err(ArchiveError::Name("an entry of unknown kind", text)),
        };
        out.push(Rc::new(Entry { path: text, kind }));
        Ok(true)
    }

    /// The attribute stack inside a folder. Only a regular file counts as an attribute file.
    fn stack_id(&self, entries: &[TreeEntry], path: &[u8], outside: usize) -> Result<usize, ObjectError> {
        let Some(entry) =
            entries.iter().find(|entry| entry.name == b".gitattributes" && entry.mode & 0o170_000 == 0o100_000)
        else {
            return Ok(outside);
        };
        let key = (outside, path.to_vec(), entry.oid);
        if let Some(known) = self.stack_ids.borrow().get(&key) {
            return Ok(*known);
        }
        let file = self.attribute_file(entry.oid, path.is_empty())?;
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get(outside).cloned().unwrap_or_default().with(path, file);
        stacks.push(stack);
        let id = stacks.len() - 1;
        self.stack_ids.borrow_mut().insert(key, id);
        Ok(id)
    }

    fn attribute_file(&self, oid: Oid, root: bool) -> Result<Rc<AttributeFile>, ObjectError> {
        if let Some(known) = self.files.borrow().get(&(oid, root)) {
            return Ok(Rc::clone(known));
        }
        let file = Rc::new(self.objects.blob(oid, |content| AttributeFile::parse(content, root))?);
        self.files.borrow_mut().insert((oid, root), Rc::clone(&file));
        Ok(file)
    }
}
