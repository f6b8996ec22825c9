//! Repositories of a given size and history: as many tags, branches and files as some well-known package, with
//! made-up content. The same shape always gives the same commit ids.

use std::collections::BTreeSet;

use super::content;
use super::fast_import::{Change, Stream};
use super::repository::{DATE_STEP, FIRST_DATE};
use crate::random::Random;

/// How much there is of what.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The package's name, `vendor/package`.
    pub name: String,
    /// Releases: annotated tags on even numbers, lightweight ones on odd numbers.
    pub tags: usize,
    /// Lines of development: `1.x`, `2.x`, …; the last one is `main`. At least 1.
    pub branches: usize,
    /// Files of each commit, `composer.json` and the like included.
    pub files: usize,
    /// Files that change from one release to the next.
    pub changed_per_release: usize,
    /// Which made-up content.
    pub seed: u64,
}

/// The part of the files that lies in `tests/`, which `.gitattributes` keeps out of archives: one in so many.
const TESTS_ONE_IN: usize = 3;
/// Releases of one minor version.
const RELEASES_OF_A_MINOR: usize = 6;
/// `composer.json`, `.gitattributes`, `README.md`, `LICENSE`.
const FIXED_FILES: usize = 4;

impl Shape {
    /// Like the library Monolog: 87 tags, 6 branches, about 200 files.
    pub fn monolog() -> Self {
        Self {
            name: "acme/monolog-shaped".to_owned(),
            tags: 87,
            branches: 6,
            files: 200,
            changed_per_release: 12,
            seed: 1,
        }
    }

    /// Like Symfony's Console: 648 tags, 31 branches, about 330 files.
    pub fn console() -> Self {
        Self {
            name: "acme/console-shaped".to_owned(),
            tags: 648,
            branches: 31,
            files: 330,
            changed_per_release: 8,
            seed: 2,
        }
    }

    /// The branch that `HEAD` names.
    pub fn main_branch(&self) -> String {
        "main".to_owned()
    }

    /// The names of all tags, in the order of their commits.
    pub fn tag_names(&self) -> Vec<String> {
        (0..self.branches)
            .flat_map(|line| (0..self.releases(line)).map(move |release| tag_name(line, release)))
            .collect()
    }

    /// The names of all branches, oldest line first.
    pub fn branch_names(&self) -> Vec<String> {
        (0..self.branches).map(|line| self.branch_name(line)).collect()
    }

    pub(super) fn stream(&self) -> Stream {
        assert!(self.branches > 0 && self.files > FIXED_FILES, "a shape needs a branch and {FIXED_FILES} files");
        let mut random = Random::new(self.seed);
        let mut stream = Stream::default();
        let mut seconds = FIRST_DATE;
        for line in 0..self.branches {
            let branch = self.branch_name(line);
            let start = line.checked_sub(1).map(|before| format!("refs/heads/{}", self.branch_name(before)));
            let mut changes = if line == 0 { self.first_files(&mut random) } else { Vec::new() };
            changes.push(("composer.json".to_owned(), text(&self.composer_json(line))));
            let message = format!("Open {branch}");
            stream.commit(&branch, start.as_slice(), seconds, &message, pairs(&changes));
            for release in 0..self.releases(line) {
                seconds += DATE_STEP;
                let tag = tag_name(line, release);
                let changes = self.changed_files(&mut random);
                // Without a parent named, fast-import goes on with what the stream put onto the branch.
                stream.commit(&branch, &[], seconds, &format!("Release {tag}"), pairs(&changes));
                let target = format!("refs/heads/{branch}");
                if release % 2 == 0 {
                    stream.annotated_tag(&tag, &target, seconds, &format!("Version {tag}"));
                } else {
                    stream.reference(&format!("refs/tags/{tag}"), &target);
                }
            }
            seconds += DATE_STEP;
        }
        stream
    }

    fn branch_name(&self, line: usize) -> String {
        if line + 1 == self.branches { self.main_branch() } else { format!("{}.x", line + 1) }
    }

    /// Tags are spread evenly over the lines; the first ones take the remainder.
    fn releases(&self, line: usize) -> usize {
        self.tags / self.branches + usize::from(line < self.tags % self.branches)
    }

    fn first_files(&self, random: &mut Random) -> Vec<(String, Change)> {
        let mut files = vec![
            (".gitattributes".to_owned(), text("/tests export-ignore\n/.gitattributes export-ignore\n")),
            ("README.md".to_owned(), text(&format!("# {}\n\nMade up for tests.\n", self.name))),
            ("LICENSE".to_owned(), text("MIT\n")),
        ];
        files.extend((0..self.files - FIXED_FILES).map(|number| self.source_file(random, number)));
        files
    }

    fn changed_files(&self, random: &mut Random) -> Vec<(String, Change)> {
        let files = self.files - FIXED_FILES;
        let mut numbers = BTreeSet::new();
        while numbers.len() < self.changed_per_release.min(files) {
            numbers.insert(random.below(files));
        }
        numbers.into_iter().map(|number| self.source_file(random, number)).collect()
    }

    fn source_file(&self, random: &mut Random, number: usize) -> (String, Change) {
        let class = content::class_name(number);
        let (folder, namespace) = if number.is_multiple_of(TESTS_ONE_IN) {
            ("tests", "Acme\\Shaped\\Tests")
        } else {
            ("src", "Acme\\Shaped")
        };
        let size = 10 + random.below(90);
        let php = content::php_class(random, namespace, &class, size);
        (
            format!("{folder}/{}/{class}.php", content::capitalised(["core", "bridge", "extra"][number / 3 % 3])),
            text(&php),
        )
    }

    fn composer_json(&self, line: usize) -> String {
        let value = serde_json::json!({
            "name": self.name,
            "description": "Made up for tests.",
            "type": "library",
            "license": "MIT",
            "require": {"php": ">=7.2"},
            "autoload": {"psr-4": {"Acme\\Shaped\\": "src/"}},
            "autoload-dev": {"psr-4": {"Acme\\Shaped\\Tests\\": "tests/"}},
            "extra": {"branch-alias": {format!("dev-{}", self.main_branch()): format!("{}.x-dev", line + 1)}},
        });
        format!("{value:#}\n")
    }
}

fn tag_name(line: usize, release: usize) -> String {
    format!("v{}.{}.{}", line + 1, release / RELEASES_OF_A_MINOR, release % RELEASES_OF_A_MINOR)
}

fn text(content: &str) -> Change {
    Change::Write { mode: "100644", bytes: content.as_bytes().to_vec() }
}

fn pairs(changes: &[(String, Change)]) -> impl Iterator<Item = (&str, &Change)> {
    changes.iter().map(|(path, change)| (path.as_str(), change))
}
