//! Forges that speak their documented APIs, in front of real repositories: what runs in nobody's tests for real. A list gives two items
//! a page, whatever is asked for, so that whoever does not follow it misses something.

mod bitbucket;
mod gitea;
mod github;
mod gitlab;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::git::{HttpServer, Reply, Repository, Request};

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GitLab, version 4.
    Gitlab,
    /// Gitea or Forgejo, version 1.
    Gitea,
    /// GitHub Enterprise's address of the REST API.
    Github,
    /// Bitbucket Cloud, 2.0.
    BitbucketCloud,
    /// Bitbucket Data Center, 1.0.
    BitbucketDataCenter,
}

/// The access token that is good, until [`World::token`] is another one.
pub const TOKEN: &str = "the-access-token-of-the-forge";
const PAGE: usize = 2;

/// A project of a forge.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its number.
    pub id: u64,
    /// `acme/pay`.
    pub path: String,
    /// Where its repository lies below the server's root.
    pub folder: String,
    /// Whether it may only be read.
    pub archived: bool,
}

/// A hook that somebody made.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its number.
    pub id: u64,
    /// Of the project.
    pub project: u64,
    /// Whom it calls.
    pub url: String,
    /// What it proves itself with.
    pub secret: String,
    /// As it was asked for.
    pub asked: Value,
}

/// What a forge has.
#[derive(Debug, Clone)]
pub struct World {
    kind: Kind,
    base: String,
    root: std::path::PathBuf,
    /// The access token that is good.
    pub token: String,
    /// Projects, oldest first.
    pub projects: Vec<Project>,
    /// Hooks that were made.
    pub hooks: Vec<Hook>,
    /// Whether hooks may be made.
    pub may_hook: bool,
    /// So many requests are told to come later.
    pub limited: u32,
    /// Of a GitHub App: its id and the public half of its key.
    pub app: Option<(String, Vec<u8>)>,
    /// Tokens that installations were given, and the one repository each opens, or all.
    pub given: Vec<(String, Option<String>)>,
    numbers: u64,
}

/// Answers a request below an API's address: path and query.
type Answers = fn(&mut World, &Request, &str, &str) -> Reply;

/// A forge.
pub struct Forge {
    server: HttpServer,
    world: Arc<Mutex<World>>,
}

impl Forge {
    /// Starts an empty forge.
    pub fn start(kind: Kind) -> Self {
        let server = HttpServer::start();
        let world = World {
            kind,
            base: format!("http://{}", server.address()),
            root: server.root().to_owned(),
            token: TOKEN.to_owned(),
            projects: Vec::new(),
            hooks: Vec::new(),
            may_hook: true,
            limited: 0,
            app: None,
            given: Vec::new(),
            numbers: 100,
        };
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        server.handler(Arc::new(move |request| shared.lock().unwrap_or_else(PoisonError::into_inner).answer(request)));
        Self { server, world }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// What it has; the forge answers nobody while this is held.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a project with an empty repository.
    pub fn project(&self, path: &str) -> Repository {
        let mut world = self.world();
        world.numbers += 1;
        let (id, folder) = (world.numbers, format!("repository-{}.git", world.numbers));
        world.projects.push(Project { id, path: path.to_owned(), folder: folder.clone(), archived: false });
        self.server.repository(&folder)
    }

    /// Makes a project with a released package.
    pub fn package(&self, path: &str, name: &str) -> Repository {
        let repository = self.project(path);
        repository.write("composer.json", json!({"name": name}).to_string()).commit("first").tag("1.0.0");
        repository
    }

    /// Gives a project another path.
    pub fn rename(&self, from: &str, to: &str) {
        let mut world = self.world();
        for project in world.projects.iter_mut().filter(|project| project.path == from) {
            to.clone_into(&mut project.path);
        }
    }
}

impl World {
    fn answer(&mut self, request: &Request) -> Option<Reply> {
        let (path, query) = request.path_and_query();
        let (path, query) = (path.to_owned(), query.to_owned());
        let (prefix, answer): (_, Answers) = match self.kind {
            Kind::Gitlab => ("/api/v4", gitlab::answer),
            Kind::Gitea => ("/api/v1", gitea::answer),
            Kind::Github => ("/api/v3", github::answer),
            Kind::BitbucketCloud => ("/2.0", bitbucket::cloud),
            Kind::BitbucketDataCenter => ("/rest/api/1.0", bitbucket::data_center),
        };
        if let Some(below) = path.strip_prefix(prefix) {
            if self.limited > 0 {
                self.limited -= 1;
                return Some(Reply { status: 429, headers: vec![("Retry-After", "1".to_owned())], body: Vec::new() });
            }
            return Some(answer(self, request, below, &query));
        }
        self.git(request, &path, &query)
    }

    /// Git asks for the path of a project; the repository lies elsewhere, so that a rename changes the address alone.
    fn git(&self, request: &Request, path: &str, query: &str) -> Option<Reply> {
        let bare = path.trim_start_matches('/').trim_start_matches("scm/");
        let (project, rest) = bare.split_once(".git/")?;
        let found = self.projects.iter().find(|one| one.path.eq_ignore_ascii_case(project));
        let Some(found) = found else { return Some(missing()) };
        if !self.opens(request, &found.path) {
            let ask = vec![("WWW-Authenticate", "Basic realm=\"forge\"".to_owned())];
            return Some(Reply { status: 401, headers: ask, body: Vec::new() });
        }
        let target = match query {
            "" => format!("/{}/{rest}", found.folder),
            query => format!("/{}/{rest}?{query}", found.folder),
        };
        Some(crate::git::backend_reply(&Request { target, ..request.clone() }, &self.root))
    }

    fn opens(&self, request: &Request, path: &str) -> bool {
        let Some(("Basic", coded)) = request.header("authorization").and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let decoded = base64::engine::general_purpose::STANDARD.decode(coded).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let Some((user, password)) = text.split_once(':') else { return false };
        let given = self.given.iter().any(|(token, only)| {
            token == password
                && user == "x-access-token"
                && only.as_deref().is_none_or(|only| path.ends_with(&format!("/{only}")))
        });
        given || (self.app.is_none() && password == self.token)
    }

    /// Whether a request carries the token in one of these ways.
    fn proves(&self, request: &Request, ways: &[&str]) -> bool {
        let value = request.header("authorization").unwrap_or_default();
        ways.iter().any(|way| value.strip_prefix(way).is_some_and(|rest| rest.trim() == self.token))
    }

    fn at(&self, path: &str) -> Option<&Project> {
        self.projects.iter().find(|one| one.path.eq_ignore_ascii_case(path))
    }

    /// The composer.json of a default branch; none for an empty repository too.
    fn manifest(&self, project: &Project) -> Reply {
        let folder = self.root.join(&project.folder);
        let shown = crate::git::command(&folder).args(["show", "HEAD:composer.json"]).output();
        match shown {
            Ok(output) if output.status.success() => {
                Reply { status: 200, headers: vec![("Content-Type", "text/plain".to_owned())], body: output.stdout }
            }
            _ => missing(),
        }
    }

    fn branch(&self, project: &Project) -> Option<String> {
        let folder = self.root.join(&project.folder);
        let head = crate::git::command(&folder).args(["rev-parse", "--abbrev-ref", "HEAD"]).output().ok()?;
        head.status.success().then(|| String::from_utf8_lossy(&head.stdout).trim().to_owned())
    }

    /// A hook as `read` finds its address and secret in what was asked.
    fn hook(&mut self, project: u64, asked: Value, url: &str, secret: &str) -> Hook {
        self.numbers += 1;
        let text = |path: &str| asked.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let hook = Hook { id: self.numbers, project, url: text(url), secret: text(secret), asked: asked.clone() };
        self.hooks.push(hook.clone());
        hook
    }

    fn hooks_of(&self, project: u64) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.project == project)
    }

    /// Takes a hook away; false when there is none.
    fn unhook(&mut self, project: u64, id: &str) -> bool {
        let before = self.hooks.len();
        self.hooks.retain(|hook| hook.project != project || hook.id.to_string() != id);
        self.hooks.len() < before
    }

    /// Projects below a folder, or all.
    fn below(&self, folder: &str) -> Vec<Project> {
        let inside =
            |path: &str| folder.is_empty() || path.to_lowercase().starts_with(&format!("{}/", folder.to_lowercase()));
        self.projects.iter().filter(|one| inside(&one.path)).cloned().collect()
    }
}

/// A parameter of a query, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// The parts of a path, each decoded.
fn parts(path: &str) -> Vec<String> {
    let decode = |part: &str| {
        url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
}

/// A page of items by number, from 1; and whether another one follows.
fn page<T: Clone>(all: &[T], query: &str) -> (Vec<T>, bool) {
    let number: usize = parameter(query, "page").and_then(|text| text.parse().ok()).unwrap_or(1);
    let start = number.saturating_sub(1) * PAGE;
    (all.iter().skip(start).take(PAGE).cloned().collect(), all.len() > start + PAGE)
}

fn good(status: u16, body: &Value) -> Reply {
    Reply {
        status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

fn bad(status: u16, message: &str) -> Reply {
    good(status, &json!({"message": message}))
}

fn missing() -> Reply {
    bad(404, "404 Not Found")
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or(Value::Null)
}
