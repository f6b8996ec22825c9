//! Addresses that must never be opened (G-U*, G-N1, G-N2): they are refused before anything is sent.

use cargoman_control_plane::git::protocol::FailureCode::{self, ForbiddenAddress, RepositoryUrl};

use crate::case::{Expected, limits, verdict};
use crate::run::Place;

pub(crate) fn cases() -> Vec<(&'static str, &'static str, &'static [FailureCode])> {
    const URL: &[FailureCode] = &[RepositoryUrl];
    const EITHER: &[FailureCode] = &[RepositoryUrl, ForbiddenAddress];
    vec![
        ("G-U1", "/etc", URL),
        ("G-U1", "../x", URL),
        ("G-U1", "file:///etc", URL),
        ("G-U1", "\\\\host\\share", URL),
        ("G-U1", "C:\\x", URL),
        ("G-U1", "~/x", URL),
        ("G-U1", ".", URL),
        ("G-U2", "ext::sh -c id", URL),
        ("G-U2", "fd::7", URL),
        ("G-U2", "foo::bar", URL),
        ("G-U3", "ssh://-oProxyCommand=x/", URL),
        ("G-U3", "git@-oX:x", URL),
        ("G-U3", "-oX", URL),
        ("G-U3", "--upload-pack=x", URL),
        ("G-U3", "ssh://-l@git.example.com/x", URL),
        ("G-U4", "https://git.example.com/x HTTP/1.1\r\nX-Injected: y\r\nZ: ", URL),
        ("G-U4", "git@git.example.com:a/b;id.git\n", URL),
        ("G-U5", "http://git.example.com/x", URL),
        ("G-U5", "git://git.example.com/x", URL),
        ("G-U5", "ftp://git.example.com/x", URL),
        ("G-U5", "gopher://127.0.0.1:9", URL),
        ("G-U6", "https://user:pass@git.example.com/x", URL),
        ("G-U6", "https://token@git.example.com/x", URL),
        ("G-U7", "https://git.example.com:0/x", URL),
        ("G-U7", "https://git.example.com:25/x", URL),
        ("G-U7", "https://git.example.com:6379/x", URL),
        ("G-U7", "https://git.example.com/%00", URL),
        ("G-U7", "https://git.example.com/x#y", URL),
        ("G-U7", "https://git.example.com/x?y", URL),
        ("G-N1", "https://127.0.0.1/x", EITHER),
        ("G-N1", "https://10.1.2.3/x", EITHER),
        ("G-N1", "https://169.254.169.254/latest", EITHER),
        ("G-N1", "https://[::1]/x", EITHER),
        ("G-N1", "https://[::ffff:127.0.0.1]/x", EITHER),
        ("G-N1", "https://[64:ff9b::7f00:1]/x", EITHER),
        ("G-N1", "https://[2002:7f00:1::]/x", EITHER),
        ("G-N1", "https://[fd00:ec2::254]/x", EITHER),
        ("G-N1", "https://100.100.100.200/x", EITHER),
        ("G-N2", "https://0x7f000001/x", EITHER),
        ("G-N2", "https://2130706433/x", EITHER),
        ("G-N2", "https://127.1/x", EITHER),
        ("G-N2", "https://0177.0.0.1/x", EITHER),
        ("G-N2", "https://localhost/x", EITHER),
        ("G-N2", "https://localhost./x", EITHER),
        ("G-N2", "ssh://git@localhost/x", EITHER),
        ("G-N2", "ssh://git@127.0.0.1/x", EITHER),
    ]
}

#[test]
fn are_refused() {
    let wrong: Vec<String> = cases()
        .into_iter()
        .filter_map(|(id, url, codes)| {
            let place = Place::new();
            let mut request = place.request(url);
            (request.network.allow_local, request.limits) = (false, limits());
            if url.starts_with("ssh://git@") {
                request.credential = Some(key());
            }
            verdict(&request, &Expected::Fails(codes)).err().map(|words| format!("{id} {url}: {words}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The address is looked at before the key is.
fn key() -> cargoman_control_plane::git::protocol::Credential {
    cargoman_control_plane::git::protocol::Credential::SshKey { private_key: "no key".to_owned(), username: None }
}

/// A case that names a secret does not say it again.
#[test]
fn and_keep_their_secrets() {
    let place = Place::new();
    let mut request = place.request("https://user:hunter2@git.example.com/x");
    request.limits = limits();
    let (end, answer, _) = crate::case::run(&request);
    assert!(!format!("{end:?}{answer:?}").contains("hunter2"), "{end:?}");
}
