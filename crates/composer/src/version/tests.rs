//! Tables of versions, normalized by hand from Composer's rules. The differential test covers the rest.

use serde_json::json;

use super::*;

#[test]
fn normalizes() {
    for (pretty, normalized) in [
        ("1.0.0", "1.0.0.0"),
        ("1", "1.0.0.0"),
        (" v1.2\n", "1.2.0.0"),
        ("V1.2.3.4", "1.2.3.4"),
        ("0700", "0700.0.0.0"),
        ("1.", "1.0.0.0"),
        ("1.0.", "1.0.0.0"),
        ("1.0.0RC1dev", "1.0.0.0-RC1-dev"),
        ("1.0.0-rc.1", "1.0.0.0-RC1"),
        ("1.0.0-alpha-2.1-3", "1.0.0.0-alpha2.1-3"),
        ("1.0-beta0", "1.0.0.0-beta0"),
        ("1.0b5+foo", "1.0.0.0-beta5"),
        ("1.0.0-pl3", "1.0.0.0-patch3"),
        ("1.0.0-stable-dev", "1.0.0.0"),
        ("1.0.0-STABLE2", "1.0.0.0-stable2"),
        ("1.2_-dev", "1.2.0.0-dev"),
        ("1.2..dev", "1.2.0.0-dev"),
        ("1.0.0+build.5", "1.0.0.0"),
        ("1.0.0@beta", "1.0.0.0"),
        ("1.0 as 2.0", "1.0.0.0"),
        ("20100102", "20100102"),
        ("20100102.0", "20100102.0"),
        ("201903.0", "201903.0"),
        ("2010-01-02", "2010.01.02"),
        ("2010-01-02-10-20-30.0.1", "2010.01.02.10.20.30.0.1"),
        ("201903.0-p2", "201903.0-patch2"),
        ("20100102-203040-p1", "20100102.203040-patch1"),
        ("1.x-dev", "1.9999999.9999999.9999999-dev"),
        ("1.*-dev", "1.9999999.9999999.9999999-dev"),
        ("v2.1.X.dev", "2.1.9999999.9999999-dev"),
        ("20100102.x-dev", "20100102.9999999.9999999.9999999-dev"),
        ("1.2.3.4-dev", "1.2.3.4-dev"),
        ("master", "dev-master"),
        ("trunk", "dev-trunk"),
        ("DEV-Foo#bar <1", "dev-Foo#bar <1"),
        ("dev-", "dev-"),
        ("dev-main as 1.x-dev", "dev-main"),
    ] {
        assert_eq!(normalize(pretty).as_deref(), Ok(normalized), "{pretty:?}");
    }
}

#[test]
fn refuses_what_is_no_version() {
    for pretty in [
        "",
        "a",
        "main",
        "Master",
        "foo",
        "1.0.0-1",
        "1.0.0-SNAPSHOT",
        "1.0.0.0.0",
        "feature-x-dev",
        "1.x",
        "x-dev",
        "-dev",
        "1..0",
        ".1",
        "release-1.0",
        "r123",
        "20100102.0.3.4",
        "2023013.0.0",
        "1.0.0+a b",
        "1.0 .2",
        "1.0.0<1.0.1",
        "1.0 as",
        "1.0@foo",
        "1.0.0-meh",
        "é",
    ] {
        assert!(matches!(normalize(pretty), Err(VersionError::Invalid { .. })), "{pretty:?}");
    }
    assert_eq!(normalize(&"1".repeat(2000)), Err(VersionError::TooLong { length: 2000 }));
    let message = normalize("1.0\u{1b}[31m").unwrap_err().to_string();
    assert!(message.contains("\\u{1b}[31m"), "control characters are shown, not sent: {message}");
}

#[test]
fn normalizes_branches() {
    for (branch, normalized) in [
        ("main", "dev-main"),
        ("feature/Ü", "dev-feature/Ü"),
        ("1", "1.9999999.9999999.9999999-dev"),
        ("v2.0", "2.0.9999999.9999999-dev"),
        ("1.*.X", "1.9999999.9999999.9999999-dev"),
        ("1.2.3.4", "1.2.3.4-dev"),
        ("1.2.3.4.5", "dev-1.2.3.4.5"),
        ("x.1", "dev-x.1"),
        ("1.0-dev", "dev-1.0-dev"),
    ] {
        assert_eq!(normalize_branch(branch), normalized, "{branch}");
        assert_eq!(Version::from_branch(branch).stability(), Stability::Dev);
    }
}

#[test]
fn knows_stabilities() {
    for (version, stability) in [
        ("1.0.0.0", Stability::Stable),
        ("1.0.0.0-patch1", Stability::Stable),
        ("1.0.0.0-RC1", Stability::Rc),
        ("1.0.0.0-beta2", Stability::Beta),
        ("1.0.0.0-alpha2.1-3", Stability::Alpha),
        ("1.0.0.0-beta2-dev", Stability::Dev),
        ("1.9999999.9999999.9999999-dev", Stability::Dev),
        ("dev-x", Stability::Dev),
        ("DEV-x", Stability::Stable),
        ("master", Stability::Stable),
        ("1.0-b+meta-beta", Stability::Beta),
        ("dev-x#1.0", Stability::Dev),
        ("3.0-RC2#abc", Stability::Rc),
    ] {
        assert_eq!(parse_stability(version), stability, "{version}");
    }
}

#[test]
fn orders_like_php() {
    let ascending = [
        "1.0.0.0-dev",
        "1.0.0.0-alpha",
        "1.0.0.0-alpha2",
        "1.0.0.0-beta1",
        "1.0.0.0-RC1-dev",
        "1.0.0.0-RC1",
        "1.0.0.0",
        "1.0.0.0-patch1",
        "1.0.0.1-dev",
        "1.9.0.0",
        "1.10.0.0",
        "1.9999999.9999999.9999999-dev",
        "2.0.0.0",
        "201903.0",
        "201903.0.0.0",
        "9999999-dev",
        "99999999999999999998.0",
    ];
    for pair in ascending.windows(2) {
        assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        assert!(Version::from_normalized(pair[0]) < Version::from_normalized(pair[1]), "{pair:?}");
    }
    for (a, b) in [
        ("0700", "700"),
        ("1.0-a1", "1.0-alpha1"),
        ("99999999999999999998", "99999999999999999999"),
        ("1-p", "1.patch"),
        ("", ""),
    ] {
        assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
    }
    assert!(Version::from_normalized("dev-main") < Version::from_normalized("0.0.0.0-dev"));
    assert_ne!(Version::from_normalized("0700"), Version::from_normalized("700"));
}

#[test]
fn names_tags() {
    for (tag, pretty, normalized) in [
        ("v1.0.0", "v1.0.0", "1.0.0.0"),
        ("release-1.2", "1.2", "1.2.0.0"),
        ("1.0.0-beta.1", "1.0.0-beta.1", "1.0.0.0-beta1"),
        ("1.0.0-stable-dev", "1.0.0-stable", "1.0.0.0"),
        ("2024.01.02", "2024.01.02", "2024.01.02.0"),
        ("1.0+b1", "1.0+b1", "1.0.0.0"),
    ] {
        let found = tag_version(tag).unwrap();
        assert_eq!((found.pretty.as_str(), found.version.normalized()), (pretty, normalized), "{tag}");
    }
    for tag in ["1.0-dev", "dev-main", "1.x-dev", "master", "1.0-RC1-dev"] {
        assert!(matches!(tag_version(tag), Err(TagError::Development { .. })), "{tag}");
    }
    for tag in ["1.0+dev", "1.0+a,b", "1.0+a|b"] {
        assert!(matches!(tag_version(tag), Err(TagError::Unusable { .. })), "{tag}");
    }
    assert!(matches!(tag_version("nightly"), Err(TagError::NotAVersion(_))));
}

#[test]
fn names_branches() {
    for (branch, pretty, normalized) in [
        ("main", "dev-main", "dev-main"),
        ("feature/x", "dev-feature/x", "dev-feature/x"),
        ("bug#12", "dev-bug+12", "dev-bug+12"),
        ("1", "1.x-dev", "1.9999999.9999999.9999999-dev"),
        ("1.2", "1.2.x-dev", "1.2.9999999.9999999-dev"),
        ("v1.2.x", "v1.2.x-dev", "1.2.9999999.9999999-dev"),
        ("V1.2.x", "1.2.x-dev", "1.2.9999999.9999999-dev"),
        ("1.2.3.4", "1.2.3.4-dev", "1.2.3.4-dev"),
        ("3.next", "dev-3.next", "dev-3.next"),
    ] {
        let found = branch_version(branch).unwrap();
        assert_eq!((found.pretty.as_str(), found.version.normalized()), (pretty, normalized), "{branch}");
    }
    for branch in ["a|b", "foo@dev", "a, b", "a as b", "1.99999999"] {
        assert!(matches!(branch_version(branch), Err(BranchError::Unusable { .. })), "{branch}");
    }
}

#[test]
fn finds_branch_aliases() {
    let alias = |pretty: &str, source: &str, target: serde_json::Value, default_branch| {
        let extra = json!({"branch-alias": {source: target}});
        let found = branch_alias(&extra, &Version::parse(pretty).unwrap(), pretty, default_branch);
        found.map(|alias| alias.normalized().to_owned())
    };
    let some = |text: &str| Some(text.to_owned());
    let open_1 = "1.9999999.9999999.9999999-dev";
    assert_eq!(alias("dev-main", "dev-main", json!("1.x-dev"), false), some(open_1));
    assert_eq!(alias("dev-main", "dev-Main", json!("1.x-dev"), true), some(open_1));
    assert_eq!(alias("dev-main", "dev-other", json!("1.x-dev"), false), None);
    assert_eq!(alias("dev-main", "dev-other", json!("1.x-dev"), true), some(DEFAULT_BRANCH_ALIAS));
    assert_eq!(alias("dev-main", "dev-main", json!("1.0"), false), None);
    assert_eq!(alias("dev-main", "dev-main", json!("main-dev"), false), None);
    assert_eq!(alias("dev-main", "dev-main", json!(1), false), None);
    assert_eq!(alias("1.x-dev", "1.x-dev", json!("1.2.x-dev"), false), some("1.2.9999999.9999999-dev"));
    assert_eq!(alias("1.x-dev", "1.x-dev", json!("2.x-dev"), false), None);
    assert_eq!(alias("1.x-dev", "1.x-dev", json!("2.x-dev"), true), None, "numeric branches need no default alias");
    assert_eq!(alias("1.0.0", "1.0.0", json!("1.x-dev"), true), None);
    assert_eq!(default_branch_alias("v1.x-dev"), None);
    assert_eq!(default_branch_alias("dev-1.x").unwrap().normalized(), DEFAULT_BRANCH_ALIAS);
}

#[test]
fn travels_as_its_normalized_text() {
    let version = Version::parse("1.2-beta").unwrap();
    assert_eq!(serde_json::to_string(&version).unwrap(), "\"1.2.0.0-beta\"");
    assert_eq!(serde_json::from_str::<Version>("\"1.2.0.0-beta\"").unwrap(), version);
    assert_eq!(
        (version.to_string(), version.stability(), version.is_branch()),
        ("1.2.0.0-beta".to_owned(), Stability::Beta, false)
    );
}
