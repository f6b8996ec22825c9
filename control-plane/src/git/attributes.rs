//! Decides which paths `git archive` would leave out: the attribute `export-ignore`, by git's rules for attribute files.
//!
//! Lines are taken apart and globs matched by `gix-attributes`; the rules of precedence (later lines win, deeper files win, a macro
//! counts when it is set) are git's own algorithm, followed here for this one attribute. `export-subst` is deliberately not
//! honoured: it writes commit data, chosen by whoever commits, into code.

use std::rc::Rc;

use gix_attributes::StateRef;
use gix_attributes::glob::pattern::Case;
use gix_attributes::glob::{Pattern, wildmatch};
use gix_attributes::parse::Kind;

const ATTRIBUTE: &str = "export-ignore";
/// git ignores longer lines and larger files.
const LONGEST_LINE: usize = 2048;
const LARGEST_FILE: usize = 100 << 20;

/// One `.gitattributes` file.
#[derive(Debug)]
pub(super) struct AttributeFile {
    lines: Vec<Line>,
    macros: Vec<(String, Vec<Assignment>)>,
}

#[derive(Debug)]
struct Line {
    pattern: Pattern,
    assignments: Vec<Assignment>,
}

#[derive(Debug, Clone)]
struct Assignment {
    name: String,
    /// Whether the state is "set": neither unset, nor unspecified, nor a value.
    set: bool,
}

impl AttributeFile {
    /// Reads a file; lines that git would ignore are ignored. Macros count only in the root folder's file.
    pub(super) fn parse(content: &[u8], root: bool) -> Self {
        let mut file = Self { lines: Vec::new(), macros: Vec::new() };
        if content.len() >= LARGEST_FILE {
            return file;
        }
        for line in content.split(|byte| *byte == b'\n').enumerate() {
            let (index, line) = line;
            // A byte order mark is only one at the beginning.
            if line.len() >= LONGEST_LINE || (index > 0 && line.starts_with(b"\xef\xbb\xbf")) {
                continue;
            }
            for (kind, assignments, _) in gix_attributes::parse(line).flatten() {
                let Ok(assignments) = assignments.map(|item| item.map(assignment)).collect::<Result<Vec<_>, _>>()
                else {
                    continue;
                };
                match kind {
                    Kind::Pattern(pattern) => file.lines.push(Line { pattern, assignments }),
                    Kind::Macro(name) if root => file.macros.push((name.as_ref().as_str().to_owned(), assignments)),
                    Kind::Macro(_) => {}
                }
            }
        }
        file
    }
}

fn assignment(item: gix_attributes::AssignmentRef<'_>) -> Assignment {
    Assignment { name: item.name.as_str().to_owned(), set: item.state == StateRef::Set }
}

/// The attribute files that apply in one folder, from the root inwards, each with the length of its folder's path and slash.
#[derive(Debug, Clone, Default)]
pub(super) struct AttributeStack {
    files: Vec<(usize, Rc<AttributeFile>)>,
}

impl AttributeStack {
    /// With the file of one more folder; `folder` is its path with a slash at the end, or empty for the root.
    pub(super) fn with(&self, folder: &[u8], file: Rc<AttributeFile>) -> Self {
        let mut files = self.files.clone();
        files.push((folder.len(), file));
        Self { files }
    }

    /// Whether `git archive` leaves out `path`, which has no slash at its end. Links to submodules count as folders.
    pub(super) fn ignores(&self, path: &[u8], is_folder: bool) -> bool {
        let mut search = Search { stack: self, settled: Vec::new(), found: None };
        for (base, file) in self.files.iter().rev() {
            let relative = path.get(*base..).unwrap_or_default();
            let basename = relative.iter().rposition(|byte| *byte == b'/').map(|at| at + 1);
            for line in file.lines.iter().rev() {
                let flags = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
                if line.pattern.matches_repo_relative_path(
                    relative.into(),
                    basename,
                    Some(is_folder),
                    Case::Sensitive,
                    flags,
                ) {
                    search.fill(&line.assignments);
                }
                if let Some(found) = search.found {
                    return found;
                }
            }
        }
        false
    }

    /// The macro of this name: the last definition in the root folder's file, else the built-in one.
    fn macro_assignments(&self, name: &str) -> Option<&[Assignment]> {
        self.files
            .iter()
            .rev()
            .flat_map(|(_, file)| file.macros.iter().rev())
            .find(|(known, _)| known == name)
            .map(|(_, list)| list.as_slice())
    }
}

/// The first value that an attribute gets is its value; a macro that is set brings its own assignments, once.
struct Search<'a> {
    stack: &'a AttributeStack,
    settled: Vec<&'a str>,
    found: Option<bool>,
}

impl<'a> Search<'a> {
    fn fill(&mut self, assignments: &'a [Assignment]) {
        for assignment in assignments.iter().rev() {
            if self.found.is_some() {
                return;
            }
            if assignment.name == ATTRIBUTE {
                self.found = Some(assignment.set);
            } else if !self.settled.contains(&assignment.name.as_str()) {
                self.settled.push(&assignment.name);
                if assignment.set
                    && let Some(list) = self.stack.macro_assignments(&assignment.name)
                {
                    self.fill(list);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(files: &[(&str, &str)]) -> AttributeStack {
        files.iter().fold(AttributeStack::default(), |stack, (folder, content)| {
            stack.with(folder.as_bytes(), Rc::new(AttributeFile::parse(content.as_bytes(), folder.is_empty())))
        })
    }

    /// Expectations are what `git check-attr` says; the differential test over random trees asks `git archive` itself.
    #[test]
    fn by_git_s_rules() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, bool, bool);
        let cases: &[Case<'_>] = &[
            (&[("", "tests export-ignore")], "tests", true, true),
            (&[("", "tests/ export-ignore")], "tests", true, true),
            (&[("", "tests/ export-ignore")], "tests", false, false),
            (&[("", "/tests export-ignore")], "src/tests", true, false),
            (&[("", "tests export-ignore")], "src/tests", true, true),
            (&[("", "*.md export-ignore\nREADME.md -export-ignore")], "README.md", false, false),
            (&[("", "*.md export-ignore\nREADME.md !export-ignore")], "README.md", false, false),
            (&[("", "*.md export-ignore\nREADME.md export-ignore=no")], "README.md", false, false),
            (&[("", "README.md -export-ignore\n*.md export-ignore")], "README.md", false, true),
            (&[("", "a/** export-ignore")], "a/b/c", false, true),
            (&[("", "a/* export-ignore")], "a/b/c", false, false),
            (&[("", "**/x export-ignore")], "a/b/x", false, true),
            (&[("", "!x export-ignore")], "x", false, false),
            (&[("", "[attr]gone export-ignore\nx gone")], "x", false, true),
            (&[("", "[attr]gone export-ignore\nx -gone")], "x", false, false),
            (&[("", "x gone\n[attr]gone export-ignore")], "x", false, true),
            (&[("", "[attr]gone export-ignore\n[attr]gone -export-ignore\nx gone")], "x", false, false),
            (&[("", "[attr]a b\n[attr]b export-ignore\nx a")], "x", false, true),
            (&[("", "[attr]a a b\n[attr]b a\nx a")], "x", false, false),
            (&[("", "[attr]gone export-ignore\nx gone -export-ignore")], "x", false, false),
            (&[("", "[attr]gone export-ignore\nx -export-ignore gone")], "x", false, true),
            (&[("", ""), ("sub/", "[attr]gone export-ignore\nx gone")], "sub/x", false, false),
            (&[("", "x export-ignore"), ("sub/", "x -export-ignore")], "sub/x", false, false),
            (&[("", "x -export-ignore"), ("sub/", "/x export-ignore")], "sub/x", false, true),
            (&[("", "\"a b\" export-ignore")], "a b", false, true),
            (&[("", "# x export-ignore\n")], "x", false, false),
            (&[("", "x export-ignore bad!name")], "x", false, false),
            (&[("", "\u{feff}x export-ignore")], "x", false, true),
            (&[("", "x export-ignore\r\n")], "x", false, true),
        ];
        for (files, path, folder, expected) in cases {
            assert_eq!(stack(files).ignores(path.as_bytes(), *folder), *expected, "{files:?} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_file(content in "(.{0,20}[ \\t\\r]{0,2}(export-ignore|-m|\\[attr\\]m|[*?!\\\\/#\"a-c]{0,6})\\n?){0,8}", path in "[a-c*/]{1,8}", root: bool) {
            let stack = AttributeStack::default().with(b"", Rc::new(AttributeFile::parse(content.as_bytes(), root)));
            let path = path.trim_matches('/');
            let _ = (stack.ignores(path.as_bytes(), false), stack.ignores(path.as_bytes(), true));
        }
    }
}
