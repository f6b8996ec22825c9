//! Decides when two addresses mean the same repository. A hint says "look at this repository" in whatever form its forge writes it:
//! over https or ssh, with or without `.git`. It is for finding packages alone, and never for connecting anywhere.

use url::Url;

/// Host and path of a repository in their one form, `github.com/acme/pay`. Forges do not tell upper from lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryKey(String);

/// Longer ones are no repository's.
const LONGEST: usize = 1_024;

impl RepositoryKey {
    /// The key of an address; none when it is none.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let address = address.trim();
        if address.is_empty() || address.len() > LONGEST || address.chars().any(char::is_control) {
            return None;
        }
        if address.starts_with('/') {
            return Some(Self(bare(address).to_owned()));
        }
        if address.contains("://") {
            return Self::of_url(&Url::parse(address).ok()?);
        }
        // `git@host:path`, as ssh writes it in short.
        let (host, path) = address.split_once(':')?;
        let host = host.rsplit('@').next().unwrap_or(host);
        Self::joined(host, path)
    }

    fn of_url(url: &Url) -> Option<Self> {
        if url.scheme() == "file" {
            return Some(Self(bare(url.path()).to_owned()));
        }
        let host = url.host_str()?;
        // Url leaves out the port that its scheme means; ssh's it does not know.
        let port = url.port().filter(|port| !(url.scheme().contains("ssh") && *port == 22));
        match port {
            Some(port) => Self::joined(&format!("{host}:{port}"), url.path()),
            None => Self::joined(host, url.path()),
        }
    }

    fn joined(host: &str, path: &str) -> Option<Self> {
        let path = bare(path.trim_start_matches('/'));
        (!host.is_empty() && !path.is_empty()).then(|| Self(format!("{host}/{path}").to_lowercase()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A path without what may stand at its end or not.
fn bare(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_in_all_its_forms() {
        for (address, expected) in [
            ("https://github.com/Acme/Pay.git", Some("github.com/acme/pay")),
            ("https://github.com/acme/pay", Some("github.com/acme/pay")),
            ("https://github.com:443/acme/pay/", Some("github.com/acme/pay")),
            ("http://token:secret@github.com/acme/pay.git", Some("github.com/acme/pay")),
            ("git@github.com:acme/pay.git", Some("github.com/acme/pay")),
            ("ssh://git@github.com/acme/pay.git", Some("github.com/acme/pay")),
            ("ssh://git@github.com:22/acme/pay.git", Some("github.com/acme/pay")),
            ("git+ssh://git@git.example.com:2222/acme/pay", Some("git.example.com:2222/acme/pay")),
            ("https://gitlab.example.com:8443/a/b/c.git", Some("gitlab.example.com:8443/a/b/c")),
            ("/srv/git/pay.git", Some("/srv/git/pay")),
            ("file:///srv/git/pay.git", Some("/srv/git/pay")),
            ("", None),
            ("nonsense", None),
            ("https://", None),
            ("https://github.com/", None),
            (":x", None),
            ("https://github.com/acme/pay\n", Some("github.com/acme/pay")),
            ("https://github.com/ac\u{7}me/pay", None),
        ] {
            assert_eq!(RepositoryKey::of(address).as_ref().map(RepositoryKey::as_str), expected, "{address}");
        }
    }
}
