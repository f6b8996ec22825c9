//! What is kept, what is left out and what is refused. The differential test compares with Composer itself.

use serde_json::json;

use super::*;

fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(manifest.to_string().as_bytes())
}

#[test]
fn keeps_what_describes_the_version() {
    let manifest = parse(&json!({
        "name": "acme/pay", "version": "1.2.0", "time": "2024-01-31", "type": "Composer-Plugin", "description": "Takes payments",
        "require": {"php": ">=8.1", "Acme/Core": "^1.0", "ext-json": "*", "acme/base": "self.version"},
        "replace": {"acme/old": "self.version"}, "suggest": {"ext-gd": "images"},
        "bin": ["/bin/pay"], "license": "MIT", "keywords": ["b", "a!", "a"], "homepage": "javascript:alert(1)",
        "extra": {"branch-alias": {"dev-main": "1.x-dev", "dev-other": "1.0", "dev-third": 5}, "plugin": {"x": null}},
        "authors": [{"name": "A", "email": "nobody", "homepage": "https://a.example", "tel": "1"}],
        "support": {"issues": "https://a.example/i", "rss": "javascript:x", "other": 1},
        "scripts": {"test": "phpunit"}, "autoload": {"psr-4": {"Acme\\": "src/"}}, "abandoned": "see the web",
        "dist": "ignored", "source": 5, "config": {"platform": {"php": 5}}, "repositories": [], "transport-options": {"x": 1},
        "notification-url": "https://evil.example", "default-branch": true, "version_normalized": "9", "uid": 1,
    }))
    .unwrap();
    assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("acme/pay"), Some("1.2.0")));
    assert_eq!(manifest.requires().collect::<Vec<_>>(), ["acme/base", "acme/core"]);
    let expected = json!({
        "require": {"acme/base": "self.version", "acme/core": "^1.0", "ext-json": "*", "php": ">=8.1"},
        "replace": {"acme/old": "self.version"}, "suggest": {"ext-gd": "images"},
        "bin": ["bin/pay"], "type": "composer-plugin",
        "extra": {"branch-alias": {"dev-main": "1.x-dev"}, "plugin": {"x": null}},
        "autoload": {"psr-4": {"Acme\\": "src/"}}, "scripts": {"test": ["phpunit"]}, "license": ["MIT"],
        "authors": [{"name": "A", "homepage": "https://a.example"}], "description": "Takes payments",
        "keywords": ["a", "b"], "support": {"issues": "https://a.example/i"}, "abandoned": true,
    });
    // As text: the order of fields is fixed so that versions of one package differ in little.
    assert_eq!(Value::Object(manifest.fields.clone()).to_string(), expected.to_string());
}

#[test]
fn makes_version_objects() {
    let manifest = parse(&json!({"name": "acme/pay", "time": "2024-01-31", "description": "x"})).unwrap();
    let name = PackageName::parse("acme/pay").unwrap();
    let object = |time, default_branch| {
        let version = Version::parse("v1.2").unwrap();
        Value::Object(manifest.version_object(&name, "v1.2", &version, time, default_branch)).to_string()
    };
    let start = r#"{"name":"acme/pay","version":"v1.2","version_normalized":"1.2.0.0","type":"library","description":"x","time":"#;
    assert_eq!(object(None, false), format!("{start}\"2024-01-31\"}}"));
    let time = "2024-02-01T00:00:00Z";
    assert_eq!(object(Some(time), true), format!("{start}\"{time}\",\"default-branch\":true}}"));
}

#[test]
fn empty_values_are_no_values() {
    for manifest in [
        json!({}),
        json!({"require": [], "suggest": {}, "bin": "", "extra": {}, "autoload": null, "authors": [], "support": [], "license": ""}),
        json!({"description": "__unset", "target-dir": " ", "homepage": "", "abandoned": false, "time": "yesterday", "keywords": []}),
    ] {
        let fields = parse(&manifest).unwrap().fields;
        assert_eq!(Value::Object(fields), json!({"type": "library"}), "{manifest}");
    }
}

#[test]
fn refuses_values_that_break_clients() {
    let refused = |field: &str, value: Value| {
        let error = parse(&json!({"name": "acme/pay", field: value})).unwrap_err();
        let ManifestError::Field { field, .. } = &error else { panic!("{error}") };
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        field.clone()
    };
    for (field, value, named) in [
        ("name", json!("Acme/Pay"), "name"),
        ("name", json!(""), "name"),
        ("name", json!(5), "name"),
        ("version", json!(1.2), "version"),
        ("time", json!(1700000000), "time"),
        ("type", json!(5), "type"),
        ("require", json!("x"), "require"),
        ("require", json!({"acme/core": 1}), "require.acme/core"),
        ("require", json!({"acme/core": "foo"}), "require.acme/core"),
        ("require", json!({"acme/core": " self.version"}), "require.acme/core"),
        ("require", json!({"ACME/pay": "1.0"}), "require.ACME/pay"),
        ("require", json!({"a/b": "1", "A/b": "1"}), "require.A/b"),
        ("require", json!({"a/b#inline": "1"}), "require.a/b#inline"),
        ("require", json!({"../x": "1"}), "require.../x"),
        ("require", json!({"a/../x": "1"}), "require.a/../x"),
        ("require", json!({"-x/y": "1"}), "require.-x/y"),
        ("require", json!({"con/x": "1"}), "require.con/x"),
        ("require", json!({"123": "1"}), "require.123"),
        ("require", json!(["1.0"]), "require.0"),
        ("conflict", json!({"a/b": "1.0 ||"}), "conflict.a/b"),
        ("suggest", json!({"a/b": 1}), "suggest.a/b"),
        ("suggest", json!(["a/b"]), "suggest.0"),
        ("bin", json!("../../etc/shadow"), "bin.0"),
        ("bin", json!(["a", "b\\..\\c"]), "bin.1"),
        ("bin", json!(["C:/x"]), "bin.0"),
        ("bin", json!("-x"), "bin.0"),
        ("bin", json!("a\nb"), "bin.0"),
        ("bin", json!([1]), "bin.0"),
        ("bin", json!("/"), "bin.0"),
        ("target-dir", json!("../x"), "target-dir"),
        ("autoload", json!({"psr-4": {"Acme": "src/"}}), "autoload.psr-4.Acme"),
        ("autoload", json!({"psr-0": ["src/"]}), "autoload.psr-0.0"),
        ("autoload", json!({"psr-9": {}}), "autoload.psr-9"),
        ("autoload", json!({"files": "x"}), "autoload.files"),
        ("autoload", json!({"files": [["x"]]}), "autoload.files.0"),
        ("autoload-dev", json!("x"), "autoload-dev"),
        ("include-path", json!([1]), "include-path.0"),
        ("extra", json!("x"), "extra"),
        ("extra", json!({"branch-alias": "x"}), "extra.branch-alias"),
        ("archive", json!({"name": 5}), "archive.name"),
        ("archive", json!({"exclude": "x"}), "archive.exclude"),
        ("scripts", json!("x"), "scripts"),
        ("keywords", json!([["x"]]), "keywords.0"),
        ("authors", json!(["A"]), "authors.0"),
        ("authors", json!([{"name": 5}]), "authors.0.name"),
        ("support", json!({"issues": 5}), "support.issues"),
        ("funding", json!([{"url": 5}]), "funding.0.url"),
        ("php-ext", json!({"priority": 1}), "php-ext"),
    ] {
        assert_eq!(refused(field, value.clone()), named, "{field}: {value}");
    }
    let both = json!({"conflict": {"a/b": "1"}, "replace": {"A/b": "1"}});
    assert!(parse(&both).unwrap_err().to_string().contains("conflict.a/b"));
    let links: Map<String, Value> = (0..=MAX_LINKS).map(|n| (format!("a/b{n}"), json!("*"))).collect();
    assert_eq!(refused("require", Value::Object(links)), "require");
}

#[test]
fn php_extensions_are_checked() {
    let with = |value: Value| parse(&json!({"type": "php-ext", "php-ext": value}));
    let right = json!({
        "extension-name": "pay", "priority": 20, "support-zts": true, "build-path": null, "os-families": ["linux"],
        "download-url-method": "composer-default", "configure-options": [{"name": "with-x", "needs-value": false}],
    });
    assert_eq!(with(right.clone()).unwrap().fields["php-ext"], right);
    for wrong in [
        json!("x"),
        json!({"priority": "x"}),
        json!({"os-families": []}),
        json!({"os-families": ["linux"], "os-families-exclude": ["bsd"]}),
        json!({"os-families": ["plan9"]}),
        json!({"configure-options": [{"description": "x"}]}),
        json!({"download-url-method": 5}),
    ] {
        assert!(with(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn refuses_what_readers_disagree_about() {
    let error = |bytes: &[u8]| Manifest::parse(bytes).unwrap_err();
    let encoding = |bytes: &[u8]| assert!(matches!(error(bytes), ManifestError::Encoding { .. }), "{}", error(bytes));
    let syntax = |bytes: &[u8]| assert!(matches!(error(bytes), ManifestError::Syntax { .. }), "{}", error(bytes));
    let duplicate =
        |json: &str, key: &str| assert_eq!(error(json.as_bytes()), ManifestError::DuplicateKey { field: key.into() });
    let nul = |json: &str| assert!(matches!(error(json.as_bytes()), ManifestError::Nul { .. }), "{json}");

    encoding(b"\xef\xbb\xbf{}");
    encoding(b"\xff\xfe{\0}\0");
    encoding(b"{\0}\0");
    encoding(b"{\"description\":\"caf\xe9\"}");
    syntax(br#"{"description":"\ud800"}"#);
    syntax(br#"{"x":1e400}"#);
    syntax(br#"{"x":NaN}"#);
    syntax(b"{} x");
    syntax(b"");
    duplicate(r#"{"name":"a/b","name":"c/d"}"#, "name");
    duplicate(r#"{"config":1,"config":2}"#, "config");
    duplicate(r#"{"require":{"a/b":"1","a/b":"2"}}"#, "require.a/b");
    duplicate(r#"{"extra":{"branch-alias":{"x":"1","\u0078":"2"}}}"#, "extra.branch-alias.x");
    nul(r#"{"description":"a\u0000b"}"#);
    nul(r#"{"\u0000name":"a/b"}"#);
    nul(r#"{"extra":[{"\u0000":1}]}"#);
    assert_eq!(error(b"[]"), ManifestError::NotAnObject);
    // Below what is never published, only the grammar counts.
    assert!(Manifest::parse(br#"{"config":{"a":1,"a":2,"b":"\u0000"}}"#).is_ok());
}

#[test]
fn has_limits() {
    let nested = |levels: usize| format!("{{\"config\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(Manifest::parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    let error = Manifest::parse(nested(MAX_DEPTH).as_bytes()).unwrap_err();
    assert_eq!(error, ManifestError::TooDeep { field: "config".into() });
    assert!(matches!(Manifest::parse(nested(100_000).as_bytes()), Err(ManifestError::TooDeep { .. })));
    let large = format!("{{\"description\":\"{}\"}}", "x".repeat(MAX_MANIFEST_BYTES));
    assert_eq!(Manifest::parse(large.as_bytes()), Err(ManifestError::TooLarge { bytes: large.len() }));
}
