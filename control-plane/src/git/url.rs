//! Decides which repository addresses are acceptable, and their one canonical form. Pure: nothing is resolved or opened here,
//! so that the REST API can ask the same question before anything is stored.
//!
//! A text is taken apart by the `url` crate, put together again and compared with what was given: what two parsers might read
//! differently is refused, not repaired. Credentials never live in an address.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use url::{Host, Url};

use super::address::AllowedHosts;

const LONGEST: usize = 2048;

/// An acceptable repository address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryUrl {
    /// `https://host[:port]/path`, or plain http to a loopback address where the policy allows local repositories.
    Http(Url),
    /// A repository in this machine's file system.
    Local(PathBuf),
    /// `ssh://user@host[:port]/path` or `user@host:path`.
    Ssh(SshAddress),
}

/// An ssh address of good form: no part of it begins with `-`, and whom to log in as is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// As it was given.
    pub text: String,
    /// Whom to log in as.
    pub user: String,
    /// A name or an address, in lower case.
    pub host: String,
    /// 22 where none is said.
    pub port: u16,
    /// As the server's shell gets it, not quoted.
    pub path: String,
}

/// What addresses the operator of the registry allows.
#[derive(Debug, Clone)]
pub struct UrlPolicy {
    /// Whether local paths, `file://` and plain http to loopback addresses may be used.
    pub allow_local: bool,
    /// Hosts that may be reached although they are not public.
    pub allowed_hosts: AllowedHosts,
    /// Ports that may be reached.
    pub allowed_ports: Vec<u16>,
}

impl Default for UrlPolicy {
    fn default() -> Self {
        Self { allow_local: false, allowed_hosts: AllowedHosts::default(), allowed_ports: vec![443, 22] }
    }
}

/// The address is not acceptable; the message names the field and the remedy, and never repeats a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("repository_url: {problem}; {remedy}")]
pub struct UrlError {
    /// What is wrong.
    pub problem: String,
    /// What to give instead.
    pub remedy: &'static str,
}

const CREDENTIAL_APART: &str =
    "remove it from the address, create a git credential with it (POST /git-credentials) and name that as `credential`";
const USE_HTTPS: &str = "give an address such as https://git.example.com/vendor/package.git";

fn refuse<T>(problem: impl Into<String>, remedy: &'static str) -> Result<T, UrlError> {
    Err(UrlError { problem: problem.into(), remedy })
}

impl RepositoryUrl {
    /// Reads and checks an address.
    ///
    /// # Errors
    /// When the form is not acceptable, or the policy does not allow it.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        if text.is_empty() || text.len() > LONGEST {
            return refuse(format!("must have 1 to {LONGEST} characters"), USE_HTTPS);
        }
        if text.starts_with('/') || text.to_ascii_lowercase().starts_with("file:") {
            return local(text, policy);
        }
        if let Some(odd) = text.chars().find(|character| !is_url_character(*character)) {
            return refuse(
                format!("holds the character `{}`, which no address may hold", odd.escape_unicode()),
                "write international host names in their xn-- form and percent-encode other characters",
            );
        }
        if text.starts_with('-') {
            return refuse("begins with `-`", USE_HTTPS);
        }
        match text.split_once(':') {
            Some((scheme, rest)) if rest.starts_with("//") => match scheme.to_ascii_lowercase().as_str() {
                "https" => http(text, policy, false),
                "http" => http(text, policy, true),
                "ssh" | "git+ssh" | "ssh+git" => ssh_url(text, policy),
                _ => refuse(format!("the scheme `{scheme}` is not supported"), USE_HTTPS),
            },
            Some((_, rest)) if rest.starts_with(':') => refuse("is a git transport helper", USE_HTTPS),
            Some((host, path)) => ssh_short(text, host, path, policy),
            None => refuse("is neither an address nor an absolute path", USE_HTTPS),
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn as_text(&self) -> String {
        match self {
            Self::Http(url) => url.as_str().to_owned(),
            Self::Local(path) => path.display().to_string(),
            Self::Ssh(address) => address.text.clone(),
        }
    }
}

/// RFC 3986: unreserved, reserved, percent.
fn is_url_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(character)
}

fn local(text: &str, policy: &UrlPolicy) -> Result<RepositoryUrl, UrlError> {
    const REMEDY: &str = "give the absolute path of a repository, without `..`";
    if !policy.allow_local {
        return refuse("local repositories are not allowed here", USE_HTTPS);
    }
    let path = if text.starts_with('/') {
        PathBuf::from(text)
    } else {
        let url = Url::parse(text).map_err(|error| UrlError { problem: error.to_string(), remedy: REMEDY })?;
        if url.host().is_some() || url.query().is_some() || url.fragment().is_some() {
            return refuse("a file address has no host, `?` or `#`", REMEDY);
        }
        url.to_file_path().map_err(|()| UrlError { problem: "is no path of this machine".into(), remedy: REMEDY })?
    };
    if path.to_str().is_none_or(|path| path.chars().any(char::is_control))
        || text.contains("/../")
        || text.ends_with("/..")
    {
        return refuse("the path holds `..` or characters that cannot be printed", REMEDY);
    }
    if path.components().any(|part| !matches!(part, Component::RootDir | Component::Normal(_)))
        || path == Path::new("/")
    {
        return refuse("is no path of a repository", REMEDY);
    }
    Ok(RepositoryUrl::Local(path.components().collect()))
}

fn http(text: &str, policy: &UrlPolicy, plain: bool) -> Result<RepositoryUrl, UrlError> {
    if text
        .split_once("//")
        .is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|authority| authority.contains('@')))
    {
        return refuse("holds a user name or password", CREDENTIAL_APART);
    }
    let mut url = Url::parse(text).map_err(|error| UrlError { problem: error.to_string(), remedy: USE_HTTPS })?;
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user name or password", CREDENTIAL_APART);
    }
    if url.query().is_some() || url.fragment().is_some() || text.contains(['?', '#']) {
        return refuse("holds `?` or `#`", "give the plain address that `git clone` takes");
    }
    check_path(text, &url)?;
    let loopback = check_host(text, &url, policy, plain)?;
    if plain && !loopback {
        return refuse("plain http would show credentials and code to the network", USE_HTTPS);
    }
    check_port(&url, policy, loopback)?;
    let trimmed = url.path().trim_end_matches('/').to_owned();
    url.set_path(&trimmed);
    Ok(RepositoryUrl::Http(url))
}

/// The path must survive parsing unchanged: no dot segments in any spelling, no bytes that end a request line.
fn check_path(text: &str, url: &Url) -> Result<(), UrlError> {
    let given = text.split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("");
    if given.trim_matches('/').is_empty() {
        return refuse("has no path", "add the path of the repository");
    }
    if given != url.path() || given.contains("//") {
        return refuse("its path holds `.`, `..` or empty parts", "give the path as the server shows it");
    }
    let lower = given.to_ascii_lowercase();
    let encoded_control = (0..0x20u8).chain([0x7f, b'/', b'\\']).any(|byte| lower.contains(&format!("%{byte:02x}")));
    if encoded_control || broken_percent(given) {
        return refuse(
            "its path holds an encoded control character, slash or backslash, or a broken `%`",
            "give the path as the server shows it",
        );
    }
    Ok(())
}

fn broken_percent(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .any(|after| !after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Checks the host; tells whether it is a loopback address that a local policy opens to plain http.
fn check_host(text: &str, url: &Url, policy: &UrlPolicy, plain: bool) -> Result<bool, UrlError> {
    const REMEDY: &str =
        "give the host's full public name, or ask the operator of this registry to list it in allowed_hosts";
    let authority = text.split_once("//").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    let given = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => &authority[..at],
        _ => authority,
    };
    let canonical = url.host_str().unwrap_or("");
    if canonical.is_empty() || !given.eq_ignore_ascii_case(canonical) {
        return refuse("the host is not written in its usual form", REMEDY);
    }
    match url.host() {
        Some(Host::Ipv4(address)) => check_address(address.into(), policy, plain, REMEDY),
        Some(Host::Ipv6(address)) => check_address(address.into(), policy, plain, REMEDY),
        Some(Host::Domain(name)) => {
            if name.starts_with('-') || name.ends_with('.') || name.split('.').any(str::is_empty) {
                return refuse("the host begins with `-` or has an empty part", REMEDY);
            }
            let local = name == "localhost" || name.ends_with(".localhost");
            if plain && local && policy.allow_local {
                return Ok(true);
            }
            if (local || !name.contains('.')) && !policy.allowed_hosts.name(name) {
                return refuse("the host is a name of a private network", REMEDY);
            }
            Ok(false)
        }
        None => refuse("has no host", USE_HTTPS),
    }
}

fn check_address(address: IpAddr, policy: &UrlPolicy, plain: bool, remedy: &'static str) -> Result<bool, UrlError> {
    if plain && policy.allow_local && address.is_loopback() {
        return Ok(true);
    }
    if !policy.allowed_hosts.address(address) {
        return refuse("the host is an address that may not be reached", remedy);
    }
    Ok(false)
}

fn check_port(url: &Url, policy: &UrlPolicy, loopback: bool) -> Result<(), UrlError> {
    let port = url.port_or_known_default().unwrap_or(0);
    if port == 0 || !(loopback || policy.allowed_ports.contains(&port)) {
        return refuse(
            format!("port {port} is not allowed"),
            "use port 443, or ask the operator of this registry to allow the port",
        );
    }
    Ok(())
}

const SSH_PORT: u16 = 22;

fn ssh_url(text: &str, policy: &UrlPolicy) -> Result<RepositoryUrl, UrlError> {
    const REMEDY: &str = "give an address such as ssh://git@git.example.com/vendor/package.git";
    let url = Url::parse(text).map_err(|error| UrlError { problem: error.to_string(), remedy: REMEDY })?;
    if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return refuse("holds a password, `?` or `#`", REMEDY);
    }
    let port = url.port().unwrap_or(SSH_PORT);
    if port == 0 || !policy.allowed_ports.contains(&port) {
        return refuse(
            format!("port {port} is not allowed"),
            "use port 22, or ask the operator of this registry to allow the port",
        );
    }
    let host = url.host_str().unwrap_or("").to_ascii_lowercase();
    ssh_parts(url.username(), &host, url.path())?;
    let (user, path) = (url.username().to_owned(), url.path().to_owned());
    Ok(RepositoryUrl::Ssh(SshAddress { user, host, port, path, text: url.into() }))
}

/// `git@host:path`.
fn ssh_short(text: &str, host: &str, path: &str, policy: &UrlPolicy) -> Result<RepositoryUrl, UrlError> {
    let Some((user, host)) = host.split_once('@') else {
        return refuse("is neither an address nor an absolute path", USE_HTTPS);
    };
    if user.is_empty() || host.contains(['/', '@', '[']) {
        return refuse("is neither an address nor an absolute path", USE_HTTPS);
    }
    if !policy.allowed_ports.contains(&SSH_PORT) {
        return refuse("port 22 is not allowed", "ask the operator of this registry to allow the port");
    }
    ssh_parts(user, host, path)?;
    let (user, host) = (user.to_owned(), host.to_ascii_lowercase());
    Ok(RepositoryUrl::Ssh(SshAddress { user, host, port: SSH_PORT, path: path.to_owned(), text: text.to_owned() }))
}

/// What begins with `-` would be read as an option by an ssh program.
fn ssh_parts(user: &str, host: &str, path: &str) -> Result<(), UrlError> {
    const REMEDY: &str = "give an address such as ssh://git@git.example.com/vendor/package.git";
    let path = path.trim_start_matches('/');
    if host.is_empty() || path.is_empty() {
        return refuse("has no host or no path", REMEDY);
    }
    if user.is_empty() {
        return refuse("does not say whom to log in as", REMEDY);
    }
    if [user, host, path].iter().any(|part| part.starts_with('-')) {
        return refuse("its user, host or path begins with `-`", REMEDY);
    }
    if path.split('/').any(|part| matches!(part, "." | "..")) || path.contains('%') || user.contains('%') {
        return refuse("holds `..` or `%`", REMEDY);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
