//! A registry and a git server beside it.

use cargoman_testkit::cargoman::{Builder, Registry};
use cargoman_testkit::composer::Composer;
use cargoman_testkit::git::{HttpServer, Repository};
use serde_json::json;

use crate::operator::{Customer, Operator};
use crate::package_files::composer_json;
use crate::reader::Reader;

/// The configuration of every registry here: git servers on loopback are allowed.
pub const LOCAL: &str = "[git]\nallow_local = true\n";

/// A registry and a git server beside it.
#[derive(Debug)]
pub struct World {
    /// The real program.
    pub registry: Registry,
    /// Serves repositories over smart HTTP.
    pub git: HttpServer,
}

impl World {
    /// With a test database and git over loopback allowed.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(Registry::builder().config(LOCAL))
    }

    /// With anything else.
    #[track_caller]
    pub fn start_with(builder: Builder) -> Self {
        Self { git: HttpServer::start(), registry: builder.start() }
    }

    /// The owner of the default (or only) tenant.
    pub fn operator(&self) -> Operator<'_> {
        Operator::new(&self.registry, None)
    }

    /// The owner of the tenant `slug`.
    pub fn operator_of<'a>(&'a self, slug: &'a str) -> Operator<'a> {
        Operator::new(&self.registry, Some(slug))
    }

    /// An empty repository, served as `{short name}.git`, for the package `name`.
    pub fn repository(&self, name: &str) -> Repository {
        self.git.repository(&format!("{}.git", short(name)))
    }

    /// The URL of the repository of the package `name`.
    pub fn repository_url(&self, name: &str) -> String {
        self.git.url(&format!("{}.git", short(name)))
    }

    /// A repository with one release `v1.0.0` on `main`, added as the package `name`.
    #[track_caller]
    pub fn small_package(&self, name: &str) -> Repository {
        let repository = self.repository(name);
        repository.write("composer.json", composer_json(name, &json!({})));
        repository.write("src/One.php", format!("<?php // {name}\n")).commit("First").tag("v1.0.0");
        self.operator().add(name, &self.repository_url(name));
        repository
    }

    /// What `customer` sees at the edge's own address.
    pub fn reader(&self, customer: &Customer) -> Reader {
        Reader::new(self.registry.edge_url(), &customer.token)
    }

    /// A Composer that knows `token` for the edge's own address, in a project that requires `require` from there.
    #[track_caller]
    pub fn composer(&self, token: &str, require: &serde_json::Value) -> Composer {
        let mut composer = Composer::new();
        composer.project_with(self.registry.edge_url(), require);
        composer.config_auth(&self.registry.edge_address(), "token", token);
        composer
    }
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
