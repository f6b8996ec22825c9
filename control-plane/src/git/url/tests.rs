//! Which addresses a repository may have.

use super::*;

fn parse(text: &str, local: bool) -> Result<String, UrlError> {
    let allowed_hosts = AllowedHosts::parse(&["git.internal", "gitbox", "10.1.0.0/16"]).unwrap();
    let policy = UrlPolicy { allow_local: local, allowed_hosts, allowed_ports: vec![443, 22, 8443] };
    RepositoryUrl::parse(text, &policy).map(|url| url.as_text())
}

#[test]
fn accepted_and_canonical() {
    for (text, canonical) in [
        ("https://git.example.com/a/b.git", "https://git.example.com/a/b.git"),
        ("HTTPS://Git.Example.com:443/a/B/", "https://git.example.com/a/B"),
        ("https://git.example.com:8443/a", "https://git.example.com:8443/a"),
        ("https://xn--bcher-kva.example/a%20b", "https://xn--bcher-kva.example/a%20b"),
        ("https://git.internal/a", "https://git.internal/a"),
        ("https://gitbox/a", "https://gitbox/a"),
        ("https://10.1.2.3/a", "https://10.1.2.3/a"),
        ("https://8.8.8.8/a", "https://8.8.8.8/a"),
        ("git@git.example.com:vendor/package.git", "git@git.example.com:vendor/package.git"),
        ("ssh://git@git.example.com/vendor/package.git", "ssh://git@git.example.com/vendor/package.git"),
    ] {
        assert_eq!(parse(text, false).as_deref(), Ok(canonical), "{text}");
    }
    for (text, canonical) in [
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("/srv/git/a.git/", "/srv/git/a.git"),
        ("file:///srv/git/a%20b.git", "/srv/git/a b.git"),
        ("http://127.0.0.1:39000/a.git", "http://127.0.0.1:39000/a.git"),
        ("http://localhost:39000/a.git", "http://localhost:39000/a.git"),
        ("http://[::1]:39000/a.git", "http://[::1]:39000/a.git"),
    ] {
        assert_eq!(parse(text, true).as_deref(), Ok(canonical), "{text}");
        assert!(parse(text, false).is_err(), "{text} without allow_local");
    }
}

/// G-U1 to G-U7, G-N2.
#[test]
fn refused_everywhere() {
    let long = format!("https://git.example.com/{}", "a".repeat(8192));
    for text in [
        "",
        "../x",
        "./x",
        "x",
        "~/x",
        ".",
        "\\\\host\\share",
        "C:\\repo",
        "C:/repo",
        "/srv/../etc",
        "/",
        "file://host/x",
        "file:///a/../b",
        "ext::sh -c id",
        "ext::sh",
        "fd::7",
        "foo::bar",
        "-oX",
        "--upload-pack=x",
        "git@-oX:x",
        "-x@h:y",
        "git@h:-x",
        "ssh://-oProxyCommand=x/a",
        "ssh://-u@h/a",
        "ssh://git@h/-x",
        "ssh://git:secret@h/a",
        "ssh://git@h:2222/a",
        "http://git.example.com/x",
        "git://git.example.com/x",
        "ftp://h.example/x",
        "gopher://127.0.0.1:9/x",
        "https://h.example/x HTTP/1.1\r\nX-Injected: y\r\nZ: ",
        "https://h.example/x\n",
        "https://h.example/\u{e4}",
        "https://h.example/a\\b",
        "https://user:pass@h.example/x",
        "https://token@h.example/x",
        "https://@h.example/x",
        "https://:@h.example/x",
        "https://h.example./x",
        "https://h.example:0/x",
        "https://h.example:22222/x",
        "https://h.example:6379/x",
        "https://b\u{fc}cher.example/x",
        &long,
        "https://h.example/a%00b",
        "https://h.example/a%0ab",
        "https://h.example/a%2fb",
        "https://h.example/a%5cb",
        "https://h.example/a%",
        "https://h.example/a%zz",
        "https://h.example/x#y",
        "https://h.example/x?y",
        "https://h.example",
        "https://h.example/",
        "https:///x",
        "https://h.example//x",
        "https://h.example/../x",
        "https://h.example/a/./b",
        "https://h.example/%2e%2e/x",
        "https:h.example/x",
        "https:/h.example/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://127.1/x",
        "https://0177.0.0.1/x",
        "https://localhost/x",
        "https://localhost./x",
        "https://a.localhost/x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/x",
        "https://[::1]/x",
        "https://[::ffff:8.8.8.8]/x",
        "https://10.2.0.1/x",
        "https://intranet/x",
        "http://10.1.2.3/x",
        "http://127.1:8080/x",
        "http://git.internal/x",
    ] {
        for local in [false, true] {
            assert!(parse(text, local).is_err(), "{text:?} local={local}: {:?}", parse(text, local));
        }
    }
}

#[test]
fn a_credential_is_not_repeated() {
    let error = parse("https://user:hunter2@h.example/x", false).unwrap_err().to_string();
    assert!(
        error.starts_with("repository_url: ") && error.contains("credential") && !error.contains("hunter2"),
        "{error}"
    );
}

proptest::proptest! {
    /// What is accepted is canonical: parsing it again changes nothing, and no byte can end a request line.
    #[test]
    fn canonical_is_final(text in "(https://|HTTP://|git@|/|file://)?[a-zA-Z0-9.:@%/?#_~ -]{0,40}", local: bool) {
        if let Ok(canonical) = parse(&text, local) {
            proptest::prop_assert_eq!(parse(&canonical, local), Ok(canonical.clone()));
            proptest::prop_assert!(!canonical.chars().any(char::is_control));
        }
    }
}
