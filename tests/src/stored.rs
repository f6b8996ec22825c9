//! A registry over a folder or a bucket, and a way to its dists behind its back.

use std::path::PathBuf;
use std::process::Command;

use cargoman_testkit::cargoman::{Registry, command};
use cargoman_testkit::output::{Output, run};
use cargoman_testkit::s3::{KEY, S3Server};

use crate::World;
use crate::command_line::LIMIT;
use crate::world::LOCAL;

/// Holds the secret of a bucket's key.
pub const SECRET: &str = "CARGOMAN_STORAGE__SECRET_ACCESS_KEY";

/// A registry whose dists can be reached.
#[derive(Debug)]
pub struct StoredWorld {
    /// The registry and its git server.
    pub world: World,
    /// Set where dists lie in a bucket.
    pub server: Option<S3Server>,
    files: tempfile::TempDir,
}

impl StoredWorld {
    /// Over a folder.
    #[track_caller]
    pub fn folder() -> Self {
        Self { world: World::start(), server: None, files: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Over a bucket.
    #[track_caller]
    pub fn bucket() -> Self {
        let server = S3Server::start();
        let config = format!("{LOCAL}{}", server.config());
        let world = World::start_with(Registry::builder().config(&config).env(SECRET, KEY.1));
        Self { world, server: Some(server), files: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Rows and columns of the registry's database.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.world.registry.database().expect("a test database").query(sql)
    }

    /// Where the dist of a version lies.
    #[track_caller]
    pub fn file(&self, package: &str, version: &str) -> PathBuf {
        let key = self.sql(&format!(
            "select replace(r.tenant_id::text, '-', '') || '/' || left(r.dist_sha256, 2) || '/' || r.dist_sha256 || '.zip'
             from version_reference r join version v on v.tenant_id = r.tenant_id and v.id = r.version_id and v.reference = r.reference
             join package p on p.tenant_id = v.tenant_id and p.id = v.package_id
             where p.name = '{package}' and v.pretty = '{version}'"
        ));
        let key = format!("dists/{}", key.trim());
        match &self.server {
            Some(server) => server.object(&key),
            None => self.world.registry.data().join("storage").join(key),
        }
    }

    /// Writes a file for a command, and gives its path.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).expect("our own folder");
        path.to_string_lossy().into_owned()
    }

    /// `cargoman storage …` beside the running registry.
    #[track_caller]
    pub fn storage(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments), b"", LIMIT)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.arg("storage").args(arguments);
        command.env("DATABASE_URL", self.world.registry.database().expect("a test database").url());
        match &self.server {
            Some(server) => {
                command.env(SECRET, KEY.1).arg("--config").arg(self.write("server.toml", &server.config()));
            }
            None => {
                command.arg("--data").arg(self.world.registry.data());
            }
        }
        command
    }
}
