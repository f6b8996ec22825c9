//! The input language of `git fast-import`: how one commit is written down.

/// Who made every commit and tag.
const PERSON: &str = "Ada Example <ada@example.org>";

/// One file of a commit.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write {
        mode: &'static str,
        bytes: Vec<u8>,
    },
    /// A submodule: a commit of another repository.
    Link {
        commit: String,
    },
    Remove,
}

/// A growing input.
#[derive(Debug, Default)]
pub(super) struct Stream(pub(super) Vec<u8>);

impl Stream {
    /// A commit on `branch`; `parents` are names or ids that git knows, the first one first.
    pub(super) fn commit<'a>(
        &mut self,
        branch: &str,
        parents: &[String],
        seconds: u64,
        message: &str,
        changes: impl IntoIterator<Item = (&'a str, &'a Change)>,
    ) {
        self.line(&format!("commit refs/heads/{branch}"));
        self.line(&format!("author {PERSON} {seconds} +0000"));
        self.line(&format!("committer {PERSON} {seconds} +0000"));
        self.data(message.as_bytes());
        for (number, parent) in parents.iter().enumerate() {
            self.line(&format!("{} {parent}", if number == 0 { "from" } else { "merge" }));
        }
        for (path, change) in changes {
            let path = quoted(path);
            match change {
                Change::Write { mode, bytes } => {
                    self.line(&format!("M {mode} inline {path}"));
                    self.data(bytes);
                }
                Change::Link { commit } => self.line(&format!("M 160000 {commit} {path}")),
                Change::Remove => self.line(&format!("D {path}")),
            }
        }
        self.line("");
    }

    /// A lightweight tag or any other ref.
    pub(super) fn reference(&mut self, name: &str, target: &str) {
        self.line(&format!("reset {name}"));
        self.line(&format!("from {target}"));
        self.line("");
    }

    pub(super) fn annotated_tag(&mut self, name: &str, target: &str, seconds: u64, message: &str) {
        self.line(&format!("tag {name}"));
        self.line(&format!("from {target}"));
        self.line(&format!("tagger {PERSON} {seconds} +0000"));
        self.data(message.as_bytes());
    }

    fn line(&mut self, line: &str) {
        self.0.extend_from_slice(line.as_bytes());
        self.0.push(b'\n');
    }

    fn data(&mut self, bytes: &[u8]) {
        self.line(&format!("data {}", bytes.len()));
        self.0.extend_from_slice(bytes);
        self.0.push(b'\n');
    }
}

/// Always quoted: then every path is possible, spaces, quotes and line ends included.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("\"");
    for character in path.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
