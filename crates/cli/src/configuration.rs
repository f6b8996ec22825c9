//! Where the configuration comes from: a TOML file, over it the environment, over that the flags. `config check` and
//! `config show` live here too.

use std::path::{Path, PathBuf};

use cargoman_control_plane::config::{Config, SECTIONS, SecretAccessKey};
use cargoman_credential::Kind;
use cargoman_proxy::config::EdgeConfig;
use clap::Subcommand;
use toml::{Table, Value};

use crate::credentials::generate;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reports every problem of a configuration file.
    Check {
        /// The file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Shows the values that differ from the defaults, and where each comes from.
    Show {
        /// The file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// The file and the environment as one table, split by program.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// Sections of the control plane.
    pub(crate) control_plane: Table,
    /// Sections of the edge, from the file alone: it lays the environment over them itself, secrets included.
    pub(crate) edge: Table,
    /// The environment's part for the edge.
    pub(crate) edge_variables: Vec<(String, String)>,
    /// A secret of the environment: in no table, for tables are shown.
    secret_access_key: Option<SecretAccessKey>,
}

/// Holds the secret access key of the storage.
const SECRET_ACCESS_KEY: &str = "CARGOMAN_STORAGE__SECRET_ACCESS_KEY";

impl Layers {
    /// Reads the file, if any, and lays the environment over it.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let mut table = match file {
            None => Table::new(),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
                std::fs::read_to_string(path).map_err(|error| wrong(&error))?.parse().map_err(|error| wrong(&error))?
            }
        };
        let (edge_variables, variables): (Vec<_>, Vec<_>) = std::env::vars().partition(|(name, _)| is_for_edge(name));
        let (secrets, variables): (Vec<_>, Vec<_>) =
            variables.into_iter().partition(|(name, _)| name == SECRET_ACCESS_KEY);
        lay_over(&mut table, variables.into_iter());
        let secret_access_key = secrets.first().map(|(_, text)| SecretAccessKey::new(text));
        let mut layers = Self { edge_variables, secret_access_key, ..Self::default() };
        let mut unknown = Vec::new();
        for (section, value) in table {
            if SECTIONS.contains(&section.as_str()) {
                layers.control_plane.insert(section, value);
            } else if is_edge_section(&section) {
                layers.edge.insert(section, value);
            } else {
                unknown.push(format!("unknown section `{section}`; check its spelling in config/*.toml"));
            }
        }
        if unknown.is_empty() { Ok(layers) } else { Err(Failure::usage(unknown.join("\n"))) }
    }

    /// The control plane's configuration.
    pub(crate) fn control_plane(&self) -> Result<Config, Failure> {
        let mut config = Config::from_table(self.control_plane.clone())
            .map_err(|error| Failure::usage(format!("configuration: {error}")))?;
        config.storage.secret_access_key.clone_from(&self.secret_access_key);
        Ok(config)
    }

    /// The control plane's configuration for `up`, once the edge's sections are found to be right as well.
    pub(crate) fn both(&self) -> Result<Config, Failure> {
        match self.problems(true)? {
            problems if problems.is_empty() => self.control_plane(),
            problems => Err(Failure::usage(problems.join("\n"))),
        }
    }

    /// Everything that is wrong in the sections of both programs. `together`: as for `up`, which tells the edge itself where
    /// the control plane is.
    fn problems(&self, together: bool) -> Result<Vec<String>, Failure> {
        let mut problems = Vec::new();
        problems.extend(Config::from_table(self.control_plane.clone()).err().map(|error| error.to_string()));
        let mut edge = self.edge.clone();
        let mut variables = self.edge_variables.clone();
        if edge.is_empty() && variables.is_empty() {
            return Ok(problems);
        }
        if together {
            variables.retain(|(name, _)| !name.starts_with("CARGOMAN_CONTROL_PLANE__"));
            let entry = edge.entry("control_plane").or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = entry {
                for url in ["edge_url", "public_url"] {
                    section.entry(url).or_insert_with(|| "http://127.0.0.1:1".into());
                }
            }
            // It stands for the one that `up` makes.
            let credential = generate(Kind::Edge)?.expose().to_owned();
            variables.push(("CARGOMAN_CONTROL_PLANE__CREDENTIAL".to_owned(), credential));
        }
        let checked = EdgeConfig::from_toml_and_variables(&edge.to_string(), variables);
        problems.extend(checked.err().map(|error| error.to_string()));
        Ok(problems)
    }
}

fn is_edge_section(name: &str) -> bool {
    cargoman_proxy::config::SECTIONS.contains(&name) || name == "plugins"
}

fn is_for_edge(variable: &str) -> bool {
    let section = variable.strip_prefix("CARGOMAN_").and_then(|rest| rest.split_once("__"));
    section.is_some_and(|(section, _)| is_edge_section(&section.to_ascii_lowercase()))
}

/// `CARGOMAN_SECTION__KEY=value` sets `section.key`; other `CARGOMAN_…` variables are no configuration.
fn lay_over(table: &mut Table, variables: impl Iterator<Item = (String, String)>) {
    for (name, text) in variables {
        let Some((section, key)) = name.strip_prefix("CARGOMAN_").and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(values) = entry {
            values.insert(key, value(&text));
        }
    }
}

/// A number, a flag or a list where the text is one in TOML; else the text itself.
fn value(text: &str) -> Value {
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check { config } => {
            let layers = Layers::read(Some(config))?;
            let problems = layers.problems(!layers.control_plane.is_empty())?;
            if !problems.is_empty() {
                return Err(Failure::usage(problems.join("\n")));
            }
            println!("{}: fine", config.display());
        }
        Command::Show { config } => {
            let layers = Layers::read(config.as_deref())?;
            layers.control_plane()?;
            let merged: Table = layers.control_plane.into_iter().chain(layers.edge).collect();
            print!("{merged}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_lies_over_the_file() {
        let mut table: Table = "[git]\nallow_local = false\n[jobs]\nworkers = 1".parse().unwrap();
        let variables = [
            ("CARGOMAN_GIT__ALLOW_LOCAL", "true"),
            ("CARGOMAN_JOBS__WORKERS", "3"),
            ("CARGOMAN_TENANCY__ZONE", "registry.example"),
            ("CARGOMAN_DATA", "/x"),
            ("OTHER__THING", "1"),
        ];
        lay_over(&mut table, variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let expected: Table =
            "[git]\nallow_local = true\n[jobs]\nworkers = 3\n[tenancy]\nzone = \"registry.example\"".parse().unwrap();
        assert_eq!(table, expected);
    }
}
