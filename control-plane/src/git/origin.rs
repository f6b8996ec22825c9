//! Decides where a secret may be sent: scheme, host and port of an address, in one form. A credential made for one origin opens no
//! repository at another, however the address is written (G-N4, G-U8). Pure.

use url::Url;

use super::url::{RepositoryUrl, UrlError, UrlPolicy};

const SSH_PORT: u16 = 22;

/// `https://host[:port]`, or `ssh://[user@]host[:port]`; none for what needs no secret.
#[must_use]
pub fn origin(url: &RepositoryUrl) -> Option<String> {
    match url {
        RepositoryUrl::Http(url) => Some(url.origin().ascii_serialization()),
        RepositoryUrl::Ssh { .. } => ssh(&url.as_text()),
        RepositoryUrl::Local { .. } => None,
    }
}

fn ssh(text: &str) -> Option<String> {
    let (user, host, port) = match text.contains("://") {
        true => {
            let url = Url::parse(text).ok()?;
            (url.username().to_owned(), url.host_str()?.to_owned(), url.port().unwrap_or(SSH_PORT))
        }
        // git@host:path
        false => {
            let (user, rest) = text.split_once('@')?;
            (user.to_owned(), rest.split_once(':')?.0.to_owned(), SSH_PORT)
        }
    };
    let user = if user.is_empty() { user } else { format!("{user}@") };
    let port = if port == SSH_PORT { String::new() } else { format!(":{port}") };
    Some(format!("ssh://{user}{}{port}", host.to_ascii_lowercase()))
}

/// Whom ssh logs in as at an origin.
#[must_use]
pub fn ssh_user(origin: &str) -> Option<&str> {
    origin.strip_prefix("ssh://")?.split_once('@').map(|(user, _)| user)
}

/// The origin of what somebody names: a repository's address, `https://host`, `git@host:path`, or a host and perhaps a port.
/// `ssh` says which kind a bare host means, `user` whom ssh logs in as then.
///
/// # Errors
/// When the address could not be a repository's, or is of the other kind.
pub fn named(text: &str, ssh: bool, user: &str, policy: &UrlPolicy) -> Result<String, UrlError> {
    let text = text.trim();
    let short = ssh && text.split_once('@').is_some_and(|(user, rest)| !user.contains('/') && is_path(rest));
    let mut address = match (text.contains("://"), short, ssh) {
        (true, ..) | (_, true, _) => text.to_owned(),
        (_, _, true) if text.contains('@') => format!("ssh://{text}"),
        (_, _, true) => format!("ssh://{user}@{text}"),
        (_, _, false) => format!("https://{text}"),
    };
    // An address needs a path; an origin has none.
    let rest = address.split_once("://").map(|(_, rest)| rest.split_once('/'));
    match rest {
        Some(None) => address.push_str("/x"),
        Some(Some((_, ""))) => address.push('x'),
        _ => {}
    }
    let url = RepositoryUrl::parse(&address, policy)?;
    let is_ssh = matches!(url, RepositoryUrl::Ssh { .. });
    match origin(&url).filter(|_| is_ssh == ssh) {
        Some(origin) => Ok(origin),
        None => Err(UrlError {
            problem: format!("is no address for {}", if ssh { "ssh" } else { "https" }),
            remedy: "give an address of that kind, or choose the other `kind`",
        }),
    }
}

/// What follows the host in `git@host:path` is no port.
fn is_path(rest: &str) -> bool {
    let path = rest.split_once(':').map_or("", |(_, path)| path);
    !path.is_empty() && !path.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::address::AllowedHosts;
    use super::*;

    fn policy() -> UrlPolicy {
        UrlPolicy {
            allow_local: true,
            allowed_hosts: AllowedHosts::default(),
            allowed_ports: vec![443, 22, 8443, 2222],
        }
    }

    /// G-N4: one origin has one form, and what differs in scheme, host, port or ssh user is another.
    #[test]
    fn one_form() {
        for (text, expected) in [
            ("https://git.example.com/a/b.git", Some("https://git.example.com")),
            ("HTTPS://Git.Example.com:443/a", Some("https://git.example.com")),
            ("https://git.example.com:8443/a", Some("https://git.example.com:8443")),
            ("http://127.0.0.1:39000/a.git", Some("http://127.0.0.1:39000")),
            ("git@Git.example.com:a/b.git", Some("ssh://git@git.example.com")),
            ("ssh://git@git.example.com/a/b.git", Some("ssh://git@git.example.com")),
            ("ssh://git@git.example.com:22/a", Some("ssh://git@git.example.com")),
            ("ssh://git@git.example.com:2222/a", Some("ssh://git@git.example.com:2222")),
            ("ssh://me@git.example.com/a", Some("ssh://me@git.example.com")),
            ("/srv/a.git", None),
        ] {
            let url = RepositoryUrl::parse(text, &policy()).unwrap();
            assert_eq!(origin(&url).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn named_by_people() {
        for (text, ssh, expected) in [
            ("github.com", false, "https://github.com"),
            ("https://github.com", false, "https://github.com"),
            ("https://github.com/", false, "https://github.com"),
            ("https://github.com/acme/pay.git", false, "https://github.com"),
            ("git.example.com:8443", false, "https://git.example.com:8443"),
            ("github.com", true, "ssh://git@github.com"),
            ("git.example.com:2222", true, "ssh://git@git.example.com:2222"),
            ("me@git.example.com", true, "ssh://me@git.example.com"),
            ("me@git.example.com:2222", true, "ssh://me@git.example.com:2222"),
            ("git@github.com:acme/pay.git", true, "ssh://git@github.com"),
            ("ssh://git@git.example.com:2222", true, "ssh://git@git.example.com:2222"),
        ] {
            assert_eq!(named(text, ssh, "git", &policy()).as_deref(), Ok(expected), "{text}");
        }
        for (text, ssh) in [
            ("", false),
            ("https://user:hunter2@github.com", false),
            ("user:hunter2@github.com", false),
            ("http://github.com", false),
            ("ssh://git@github.com/a", false),
            ("https://github.com", true),
            ("169.254.169.254", false),
            ("/srv/a.git", false),
            ("-oX", true),
            ("git@-oX:a", true),
            ("git:hunter2@github.com", true),
        ] {
            let error = named(text, ssh, "git", &policy()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
