//! The PHP process: questions in, answers out, one JSON line each.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What the installed library can do; older ones lack some rules we follow.
pub(crate) struct Features {
    /// Dates may end in two short groups (composer/semver 3.4).
    pub(crate) two_short_date_groups: bool,
    /// `minify` tells null from absent (composer/metadata-minifier, unreleased).
    pub(crate) keeps_nulls: bool,
    /// Licences that are no texts are left out instead of failing the validator itself (Composer 2.9).
    pub(crate) drops_odd_licences: bool,
    /// `#` in branches becomes `+` (Composer 2.6).
    pub(crate) hash_in_branches: bool,
    /// A default branch `v1.x` counts as numeric (Composer 2.6).
    pub(crate) v_in_default_branches: bool,
}

/// All answers to `questions`, in their order, from one PHP process.
pub(crate) fn ask(questions: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (asked, answered) = (folder.path().join("questions"), folder.path().join("answers"));
    let mut file = BufWriter::new(std::fs::File::create(&asked).expect("a file for the questions"));
    for question in questions {
        serde_json::to_writer(&mut file, question).expect("a written question");
        file.write_all(b"\n").expect("a written question");
    }
    file.into_inner().expect("a written file");
    run(&asked, &answered);
    let lines = BufReader::new(std::fs::File::open(&answered).expect("the answers")).lines();
    let answers: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("an answer in JSON")).collect();
    assert_eq!(answers.len(), questions.len(), "PHP answered {} of {} questions", answers.len(), questions.len());
    answers
}

fn run(asked: &Path, answered: &Path) {
    let php = std::env::var("CARGOMAN_TEST_PHP").unwrap_or_else(|_| "php".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle.php");
    let output = Command::new(&php)
        .args(["-d", "memory_limit=1G", "-d", "precision=14"])
        .args([&*script, asked, answered])
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot start `{php}` ({error}): this test needs PHP with Composer's library; `./dev test` installs it")
    });
    let messages = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "PHP failed; `./dev test` installs what it needs. It said:\n{messages}");
}

/// What the installed library can do.
pub(crate) fn features() -> Features {
    let answer = ask(&[json!({"ask": "features"})]).remove(0);
    println!("Composer {}", answer["composer"]);
    let has = |feature: &str| answer[feature].as_bool().expect("a feature");
    Features {
        two_short_date_groups: has("two_short_date_groups"),
        keeps_nulls: has("keeps_nulls"),
        drops_odd_licences: has("drops_odd_licences"),
        hash_in_branches: has("hash_in_branches"),
        v_in_default_branches: has("v_in_default_branches"),
    }
}
