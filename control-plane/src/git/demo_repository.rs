//! Makes the git repository of `cargoman up --demo`: a small library with three releases and a branch.

use std::path::Path;

use git2::{Commit, Repository, Signature, Time};

/// Dates of the three releases, in seconds of the epoch: fixed, so that the repository is the same everywhere.
const FIRST: i64 = 1_700_000_000;
const BETWEEN: i64 = 30 * 24 * 3600;

const COMPOSER_JSON: &str = r#"{
    "name": "acme/hello",
    "description": "Says hello: the demo package of Cargoman",
    "type": "library",
    "license": "MIT",
    "require": {"php": ">=7.2"},
    "autoload": {"psr-4": {"Acme\\Hello\\": "src/"}},
    "extra": {"branch-alias": {"dev-main": "1.x-dev"}}
}
"#;

/// Makes a bare repository with the tags `v1.0.0`, `v1.0.1`, `v1.1.0` and the branch `main`.
///
/// # Errors
/// When git or the file system refuses.
pub fn create(path: &Path) -> Result<(), git2::Error> {
    let mut options = git2::RepositoryInitOptions::new();
    let repository = Repository::init_opts(path, options.bare(true).initial_head("main"))?;
    let mut head = None;
    for (at, version) in ["1.0.0", "1.0.1", "1.1.0"].into_iter().enumerate() {
        let time = FIRST + BETWEEN * i64::try_from(at).unwrap_or_default();
        let commit = release(&repository, version, time, head.as_ref())?;
        repository.tag_lightweight(&format!("v{version}"), commit.as_object(), false)?;
        head = Some(commit);
    }
    Ok(())
}

fn release<'a>(
    repository: &'a Repository,
    version: &str,
    time: i64,
    parent: Option<&Commit<'a>>,
) -> Result<Commit<'a>, git2::Error> {
    let source = format!(
        "<?php\n\nnamespace Acme\\Hello;\n\nfinal class Hello\n{{\n    public const VERSION = '{version}';\n\n    public static function say(string $name): string\n    {{\n        return \"Hello, $name!\";\n    }}\n}}\n"
    );
    let file = |text: &str| repository.blob(text.as_bytes());
    let mut folder = repository.treebuilder(None)?;
    folder.insert("Hello.php", file(&source)?, 0o100_644)?;
    let mut root = repository.treebuilder(None)?;
    root.insert("composer.json", file(COMPOSER_JSON)?, 0o100_644)?;
    root.insert("src", folder.write()?, 0o040_000)?;
    let tree = repository.find_tree(root.write()?)?;
    let author = Signature::new("Cargoman demo", "demo@example.com", &Time::new(time, 0))?;
    let parents: Vec<&Commit<'_>> = parent.into_iter().collect();
    let id =
        repository.commit(Some("refs/heads/main"), &author, &author, &format!("Release {version}"), &tree, &parents)?;
    repository.find_commit(id)
}
