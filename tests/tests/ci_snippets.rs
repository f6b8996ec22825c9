//! The snippets of docs/ci.md, run as far as they can be: their commands and their `COMPOSER_AUTH`, with the real Composer
//! against a real registry. What a forge does around them is taken from its documentation.

use cargoman_testkit::composer::Composer;
use cargoman_tests::World;
use serde_json::json;

const DOCUMENT: &str = include_str!("../../docs/ci.md");
const HOST: &str = "packages.example.com";

/// One fenced block: its heading, its language, its text.
fn snippets() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut heading = String::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((heading.clone(), language.to_owned(), block.join("\n")));
        }
    }
    found
}

/// The commands that a job of this snippet runs: lines under `script:`, and `run:`.
fn commands(yaml: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut script = None;
    for line in yaml.lines() {
        let depth = line.len() - line.trim_start().len();
        let item = line.trim_start();
        if let Some(command) = item.strip_prefix("- run: ") {
            commands.push(command.to_owned());
        } else if item == "script:" {
            script = Some(depth);
        } else if let Some(command) = item.strip_prefix("- ").filter(|_| script.is_some_and(|script| depth > script)) {
            commands.push(command.to_owned());
        } else if script.is_some_and(|script| depth <= script) {
            script = None;
        }
    }
    commands
}

/// The value that the snippet sets for `COMPOSER_AUTH` outside its commands: a YAML text in single quotes.
fn authentication(yaml: &str) -> Option<String> {
    let line = yaml.lines().find_map(|line| line.trim_start().strip_prefix("COMPOSER_AUTH: "))?;
    Some(line.trim_matches('\'').replace("''", "'"))
}

#[test]
fn every_snippet_installs() {
    let world = World::start();
    world.small_package("acme/pay");
    let customer = world.operator().customer_of(&["acme/pay"]);
    let here = |text: &str| text.replace(HOST, &world.registry.edge_address());

    let snippets = snippets();
    assert_eq!(snippets.len(), 4, "a shell and three forges");
    for (heading, language, text) in snippets {
        let composer = Composer::new();
        composer.project_with(world.registry.edge_url(), &json!({"acme/pay": "^1.0"}));
        let (script, authentication) = match language.as_str() {
            "sh" => (text, None),
            "yaml" => (commands(&text).join("\n"), authentication(&text)),
            other => panic!("{heading}: no test for {other}"),
        };
        // The forges put the secret in before Composer sees the value.
        let secret = |text: &str| {
            text.replace("${{ secrets.CARGOMAN_COMPOSER_TOKEN }}", &customer.token)
                .replace("$CARGOMAN_COMPOSER_TOKEN", &customer.token)
        };
        let authentication = authentication.map(|value| here(&secret(&value)));
        let mut environment = vec![("CARGOMAN_COMPOSER_TOKEN", customer.token.as_str())];
        environment.extend(authentication.as_deref().map(|value| ("COMPOSER_AUTH", value)));
        assert!(script.contains("composer install"), "{heading}: {script}");
        composer.shell(&environment, &here(&script)).expect_success();
        assert_eq!(composer.installed(), ["acme/pay v1.0.0"], "{heading}");
    }
}

/// The same commands with an empty variable fail, so the test above does not pass by accident.
#[test]
fn without_the_secret_nothing_installs() {
    let world = World::start();
    world.small_package("acme/pay");
    let composer = Composer::new();
    composer.project_with(world.registry.edge_url(), &json!({"acme/pay": "^1.0"}));
    let (_, _, script) = snippets().into_iter().find(|(_, language, _)| language == "sh").expect("the shell's snippet");
    let output = composer.shell(&[], &script.replace(HOST, &world.registry.edge_address()));
    assert!(!output.status.success(), "{}", output.combined);
    assert!(output.combined.contains("valid token"), "{}", output.combined);
}
