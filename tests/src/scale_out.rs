//! A registry over several processes with one package, and short ways to make tokens, end them, and ask.

use cargoman_testkit::cargoman::ScaleOut;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::HttpServer;
use cargoman_testkit::raw_http::Connection;
use serde_json::{Value, json};
use std::time::Duration;

use crate::package_files::composer_json;

/// The package.
pub const NAME: &str = "acme/pay";
/// Its metadata.
pub const P2: &str = "/p2/acme/pay.json";

const LIMIT: Duration = Duration::from_secs(60);

/// The processes, the package and a customer of it.
#[derive(Debug)]
pub struct Link {
    /// The processes.
    pub world: ScaleOut,
    /// Where the package comes from.
    pub git: HttpServer,
    /// A customer who may have everything of the package.
    pub customer: String,
}

/// A token and its id.
#[derive(Debug, Clone)]
pub struct Token {
    /// In plain text.
    pub plain: String,
    /// Its id.
    pub id: String,
}

impl Link {
    /// So many control planes and edges.
    #[track_caller]
    pub fn start(control_planes: usize, edges: usize) -> Self {
        Self::over(ScaleOut::start(control_planes, edges))
    }

    /// The same with a proxy between every edge and every control plane.
    #[track_caller]
    pub fn start_with_proxies(control_planes: usize, edges: usize) -> Self {
        Self::over(ScaleOut::start_with_proxies(control_planes, edges))
    }

    /// The same with more in the configuration of each edge.
    #[track_caller]
    pub fn start_with_edge_config(control_planes: usize, edges: usize, toml: &str) -> Self {
        Self::over(ScaleOut::start_with_edge_config(control_planes, edges, toml))
    }

    #[track_caller]
    fn over(world: ScaleOut) -> Self {
        let git = HttpServer::start();
        let repository = git.repository("pay.git");
        repository.write("composer.json", composer_json(NAME, &json!({}))).write("src/One.php", "<?php // one\n");
        repository.commit("First").tag("v1.0.0");
        let mut link = Self { world, git, customer: String::new() };
        let package = link.write_patiently(
            "POST",
            "/packages",
            &json!({"repository_url": link.git.url("pay.git"), "name": NAME}),
        );
        let task = package["data"]["task"].as_str().unwrap_or_else(|| panic!("{package:#}")).to_owned();
        poll_until("the first sync", LIMIT, || {
            let (_, task) = link.world.api(0, "GET", &format!("/api/v1/tasks/{task}"), None);
            (task["data"]["state"] == "succeeded").then_some(())
        });
        let customer = link.write_patiently("POST", "/customers", &json!({"name": "Shop"}));
        link.customer = customer["data"]["id"].as_str().unwrap_or_else(|| panic!("{customer:#}")).to_owned();
        link.write_patiently("POST", &format!("/customers/{}/packages", link.customer), &json!({"package": NAME}));
        link
    }

    /// A write while the world is set up: several worlds start at once on a few processors, and a database that is late for a
    /// second is told with 503. Nothing was written then.
    #[track_caller]
    fn write_patiently(&self, method: &str, path: &str, body: &Value) -> Value {
        poll_until(&format!("{method} {path}"), LIMIT, || {
            let (status, answer) = self.world.api(0, method, &format!("/api/v1{path}"), Some(body));
            assert!(status == 503 || (200..300).contains(&status), "{method} {path}: {status} {answer:#}");
            (status != 503).then_some(answer)
        })
    }

    /// A write at the first control plane that must succeed; gives the whole answer.
    #[track_caller]
    pub fn write(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.world.api(0, method, &format!("/api/v1{path}"), Some(body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer:#}");
        answer
    }

    /// A new token, made at one of the control planes; with what the call said of its propagation.
    #[track_caller]
    pub fn token(&self, control_plane: usize) -> (Token, Value) {
        let path = format!("/api/v1/customers/{}/tokens", self.customer);
        let body = json!({"name": "t", "scope": "download"});
        let (status, answer) = self.patiently(control_plane, "POST", &path, Some(&body));
        assert_eq!(status, 201, "{answer:#}");
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned();
        let token = Token { plain: text(&answer["data"]["plain_token"]), id: text(&answer["data"]["token"]["id"]) };
        (token, answer["propagation"].clone())
    }

    /// Revokes a token at one of the control planes; gives the status and what the call said of its propagation.
    #[track_caller]
    pub fn revoke(&self, control_plane: usize, token: &Token) -> (u16, Value) {
        let path = format!("/api/v1/customers/{}/tokens/{}", self.customer, token.id);
        let (status, answer) = self.patiently(control_plane, "DELETE", &path, None);
        (status, answer["propagation"].clone())
    }

    /// A machine that is too busy is told 503 now and then: then nothing is promised, and it is asked again.
    #[track_caller]
    fn patiently(&self, control_plane: usize, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        poll_until("an answer", LIMIT, || {
            let (status, answer) = self.world.api(control_plane, method, path, body);
            (status != 503).then_some((status, answer))
        })
    }

    /// What an edge answers to `token`.
    #[track_caller]
    pub fn status(&self, edge: usize, token: &Token, path: &str) -> u16 {
        ask(&mut Connection::open(self.world.edges[edge].address()), token, path)
    }

    /// Asks until an edge has the package and the token in its caches.
    #[track_caller]
    pub fn warm(&self, token: &Token) {
        for edge in 0..self.world.edges.len() {
            for path in [P2, "/packages.json"] {
                poll_until("a good answer", LIMIT, || (self.status(edge, token, path) == 200).then_some(()));
            }
        }
    }
}

/// One request on a connection that stays open.
#[track_caller]
pub fn ask(connection: &mut Connection, token: &Token, path: &str) -> u16 {
    connection.send(request(token, path)).response().status
}

/// The bytes of a request.
pub fn request(token: &Token, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", token.plain)
}
