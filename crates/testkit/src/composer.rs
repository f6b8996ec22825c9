//! The real Composer client in a project, home and cache of its own. It reaches nothing but loopback: packagist.org
//! is switched off, and every other host goes to a proxy that does not exist.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::output::Output;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(180);

/// One project, and the Composer that works on it.
#[derive(Debug)]
pub struct Composer {
    folder: TempDir,
    basic: Value,
}

impl Composer {
    /// An empty project. Panics if Composer or PHP is not installed, and says how to install them.
    #[track_caller]
    pub fn new() -> Self {
        for program in ["composer", "php"] {
            let found = Command::new(program).arg("--version").env("COMPOSER_ALLOW_SUPERUSER", "1").output();
            let works = found.is_ok_and(|output| output.status.success());
            assert!(works, "`{program} --version` does not run; install it (Debian: `apt install composer php-cli`)");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["home", "cache", "project"] {
            std::fs::create_dir(folder.path().join(name)).expect("our own folder");
        }
        let composer = Self { folder, basic: json!({}) };
        composer.write(
            "home/config.json",
            &json!({
                "config": {"secure-http": false},
                "repositories": [{"packagist.org": false}],
            }),
        );
        composer
    }

    /// Writes the project's `composer.json`.
    #[track_caller]
    pub fn project(&self, composer_json: &Value) -> &Self {
        self.write("project/composer.json", composer_json);
        self
    }

    /// A project that takes `require` (an object of names and constraints) from the one repository `url`.
    #[track_caller]
    pub fn project_with(&self, url: &str, require: &Value) -> &Self {
        self.project(&json!({
            "name": "test/project",
            "repositories": [{"type": "composer", "url": url}],
            "require": require,
        }))
    }

    /// Keeps a user and token for the host (as Composer names it: with its port, `127.0.0.1:8080`).
    #[track_caller]
    pub fn config_auth(&mut self, host_and_port: &str, user: &str, token: &str) -> &mut Self {
        self.basic[host_and_port] = json!({"username": user, "password": token});
        self.write("home/auth.json", &json!({"http-basic": self.basic}));
        self
    }

    /// Runs `composer` with these arguments in the project; kills it and panics after 3 minutes.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&[], arguments)
    }

    /// Like [`Self::run`], with further environment variables.
    #[track_caller]
    pub fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = self.program("composer", environment);
        crate::output::run(command.arg("--no-ansi").args(arguments), b"", LIMIT)
    }

    /// Runs a line of shell in the project, as a CI job would; its `composer` is as isolated as that of [`Self::run`].
    #[track_caller]
    pub fn shell(&self, environment: &[(&str, &str)], script: &str) -> Output {
        let mut command = self.program("sh", environment);
        crate::output::run(command.args(["-e", "-c", script]), b"", LIMIT)
    }

    fn program(&self, program: &str, environment: &[(&str, &str)]) -> Command {
        let home = self.folder.path().join("home");
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
        command.env("HOME", &home).env("COMPOSER_HOME", &home).env("COMPOSER_CACHE_DIR", self.cache());
        command.env("COMPOSER_ALLOW_SUPERUSER", "1").env("COMPOSER_NO_INTERACTION", "1");
        // Nobody listens on port 9: what is not loopback fails at once instead of leaving the machine.
        for name in ["http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command.env("no_proxy", "127.0.0.1,localhost,.localhost,::1");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.envs(environment.iter().copied());
        command.current_dir(self.path());
        command
    }

    /// The project's folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Composer's cache folder.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Empties Composer's cache.
    pub fn clear_cache(&self) -> &Self {
        std::fs::remove_dir_all(self.cache()).and_then(|()| std::fs::create_dir(self.cache())).expect("our own folder");
        self
    }

    /// Removes what was installed and, unless `keep_lock`, the lock file.
    pub fn uninstall(&self, keep_lock: bool) -> &Self {
        let _ = std::fs::remove_dir_all(self.path().join("vendor"));
        if !keep_lock {
            let _ = std::fs::remove_file(self.path().join("composer.lock"));
        }
        self
    }

    /// `composer.lock`; panics if there is none.
    #[track_caller]
    pub fn lock(&self) -> Value {
        read(&self.path().join("composer.lock"))
    }

    /// What is installed: `name version`, in order.
    #[track_caller]
    pub fn installed(&self) -> Vec<String> {
        let path = self.path().join("vendor/composer/installed.json");
        if !path.exists() {
            return Vec::new();
        }
        let found = read(&path);
        let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let packages = found["packages"].as_array().cloned().unwrap_or_default();
        packages.iter().map(|package| format!("{} {}", text(package, "name"), text(package, "version"))).collect()
    }

    #[track_caller]
    fn write(&self, path: &str, value: &Value) {
        std::fs::write(self.folder.path().join(path), format!("{value:#}\n")).expect("our own folder");
    }
}

impl Default for Composer {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
