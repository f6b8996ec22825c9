//! Names of refs that mean harm (G-R1 to G-R4): they are skipped with a note, and nothing is done with them.

use cargoman_control_plane::git::protocol::SkipCode::{self, Duplicate, NotAVersion, RefName};

use crate::case::{Expected, request, verdict};
use crate::repository::Repository;
use crate::run::Place;
use crate::script::{LISTING, listing};
use crate::server::{Reply, Server};

/// A ref beside honest ones, and what becomes of it: how it is shown, and why it is skipped.
pub(crate) fn cases() -> Vec<(&'static str, String, &'static str, SkipCode)> {
    let name = |id, name: &str, shown, code| (id, format!("refs/{name}"), shown, code);
    vec![
        name("G-R1", "tags/../../x", "refs/tags/../../x", RefName),
        name("G-R1", "tags/a..b", "refs/tags/a..b", RefName),
        name("G-R1", "tags/x.lock", "refs/tags/x.lock", RefName),
        name("G-R1", "tags/@{u}", "refs/tags/@{u}", RefName),
        name("G-R1", "tags/-rf", "refs/tags/-rf", RefName),
        name("G-R1", "heads/--upload-pack=x", "refs/heads/--upload-pack=x", RefName),
        name("G-R1", "tags/\x1b[31m", "refs/tags/\\u{1b}[31m", RefName),
        name("G-R1", "tags/1.0\u{202e}0", "refs/tags/1.0\\u{202e}0", RefName),
        name("G-R1", "tags/1.0.\u{200b}1", "refs/tags/1.0.\\u{200b}1", RefName),
        name("G-R1", "tags/a b", "refs/tags/a b", RefName),
        name("G-R1", "tags/", "refs/tags/", RefName),
        name("G-R1", "tags//etc/passwd", "refs/tags//etc/passwd", RefName),
        name("G-R1", "heads/.git/config", "refs/heads/.git/config", RefName),
        name("G-R2", "tags/v1.0.0", "refs/tags/v1.0.0", Duplicate),
        name("G-R2", "tags/1.0.0.0", "refs/tags/1.0.0.0", Duplicate),
        name("G-R3", "tags/1.0.0;rm", "refs/tags/1.0.0;rm", NotAVersion),
        name("G-R3", "tags/1.0.0'or'1'='1", "refs/tags/1.0.0'or'1'='1", NotAVersion),
        name("G-R3", "tags/<script>", "refs/tags/<script>", NotAVersion),
        name("G-R3", "tags/$(id)", "refs/tags/$(id)", NotAVersion),
        name("G-R3", "tags/dev-main", "refs/tags/dev-main", NotAVersion),
    ]
}

#[test]
fn are_skipped_with_a_note() {
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let wrong: Vec<String> = cases()
        .into_iter()
        .filter_map(|(id, name, shown, code)| {
            beside_honest(&repository, &[&name], &Expected::Skips(shown, code))
                .err()
                .map(|words| format!("{id} {name:?}: {words}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Five hundred digits are a version to nobody; three thousand letters are no name.
#[test]
fn without_end() {
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let (digits, letters) = (format!("refs/tags/{}", "9".repeat(200)), format!("refs/tags/{}", "a".repeat(3000)));
    let all: Vec<String> = (0..2000).map(|number| format!("refs/heads/{number}")).collect();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.extend([digits.as_str(), letters.as_str()]);
    beside_honest(&repository, &all, &Expected::Ends).unwrap();
}

/// An honest repository whose server lists further refs, all of the same commit.
fn beside_honest(repository: &Repository, names: &[&str], expected: &Expected) -> Result<String, String> {
    let head = repository.git(&["rev-parse", "HEAD"]);
    let mut refs = vec![(head.as_str(), "HEAD"), (&head, "refs/heads/main"), (&head, "refs/tags/1.0.0")];
    refs.extend(names.iter().map(|name| (head.as_str(), *name)));
    let listed = listing(&refs, "symref=HEAD:refs/heads/main ofs-delta side-band-64k");
    let server = Server::answering(repository.folder.path(), move |asked| {
        let kind = vec![("Content-Type", LISTING.to_owned())];
        (asked.method == "GET").then(|| Reply("200 OK", kind, listed.clone()))
    });
    let place = Place::new();
    let mut request = request(&place, server.port());
    request.repository_url = server.url("work/.git");
    verdict(&request, expected)
}
