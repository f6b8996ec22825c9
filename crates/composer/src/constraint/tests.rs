//! Tables of constraints and what they stand for, from Composer's rules. The differential test covers the rest.

use super::*;

/// The comparisons of a constraint, as Composer writes them.
fn meaning(text: &str) -> Result<String, ConstraintError> {
    let comparison = |comparison: &Comparison| match comparison {
        Comparison::Any => "*".to_owned(),
        Comparison::With(operator, version) => {
            let sign = match operator {
                Operator::Equal => "==",
                Operator::NotEqual => "!=",
                Operator::Less => "<",
                Operator::LessOrEqual => "<=",
                Operator::Greater => ">",
                Operator::GreaterOrEqual => ">=",
            };
            format!("{sign} {version}")
        }
    };
    let constraint = Constraint::parse(text)?;
    let group = |group: &Group| group.iter().map(comparison).collect::<Vec<_>>().join(" ");
    Ok(constraint.0.alternatives.iter().map(group).collect::<Vec<_>>().join(" || "))
}

#[test]
fn understands_every_form() {
    for (text, expected) in [
        ("*", "*"),
        ("x", "*"),
        ("@dev", "*"),
        ("v*", ">= 0.0.0.0-dev"),
        ("*.*", ">= 0.0.0.0-dev"),
        ("1.2.3", "== 1.2.3.0"),
        ("= 1.2", "== 1.2.0.0"),
        ("==1.2@dev", "== 1.2.0.0"),
        ("<> 1.2", "!= 1.2.0.0"),
        (">=1.2", ">= 1.2.0.0-dev"),
        ("<1.2", "< 1.2.0.0-dev"),
        (">1.2", "> 1.2.0.0"),
        ("<=1.2.3", "<= 1.2.3.0"),
        (">=1.0@beta", ">= 1.0.0.0-beta"),
        ("<=3.0@dev", "<= 3.0.0.0-dev"),
        (">1.0@stable", "> 1.0.0.0"),
        ("<1.2-beta", "< 1.2.0.0-beta"),
        (">=1.0-RC1", ">= 1.0.0.0-RC1-dev"),
        ("1.0.*", ">= 1.0.0.0-dev < 1.1.0.0-dev"),
        ("1.x.x", ">= 1.0.0.0-dev < 2.0.0.0-dev"),
        ("0.*", "< 1.0.0.0-dev"),
        ("20.*", ">= 20.0.0.0-dev < 21.0.0.0-dev"),
        ("~1", ">= 1.0.0.0-dev < 2.0.0.0-dev"),
        ("~1.2", ">= 1.2.0.0-dev < 2.0.0.0-dev"),
        ("~1.2.3", ">= 1.2.3.0-dev < 1.3.0.0-dev"),
        ("~1.2.3.4", ">= 1.2.3.4-dev < 1.2.4.0-dev"),
        ("~1.2-beta", ">= 1.2.0.0-beta < 2.0.0.0-dev"),
        ("~0.3", ">= 0.3.0.0-dev < 1.0.0.0-dev"),
        ("~2.0.x-dev", ">= 2.0.9999999.9999999-dev < 2.1.0.0-dev"),
        ("^1.2.3", ">= 1.2.3.0-dev < 2.0.0.0-dev"),
        ("^0.3", ">= 0.3.0.0-dev < 0.4.0.0-dev"),
        ("^0.0.3", ">= 0.0.3.0-dev < 0.0.4.0-dev"),
        ("^0.0", ">= 0.0.0.0-dev < 0.1.0.0-dev"),
        ("^0", ">= 0.0.0.0-dev < 1.0.0.0-dev"),
        ("^1.2.3.4", ">= 1.2.3.4-dev < 2.0.0.0-dev"),
        ("^00.3", ">= 00.3.0.0-dev < 1.0.0.0-dev"),
        ("^0.01", ">= 0.01.0.0-dev < 0.2.0.0-dev"),
        ("^2.x-dev", ">= 2.9999999.9999999.9999999-dev < 3.0.0.0-dev"),
        ("^1.0+build", ">= 1.0.0.0 < 2.0.0.0-dev"),
        ("^1.", ">= 1.0.0.0-dev < 2.0.0.0-dev"),
        ("~2023.01", ">= 2023.01.0.0-dev < 2024.0.0.0-dev"),
        ("~201903.0", ">= 201903.0-dev < 201904.0.0.0-dev"),
        ("^100000", ">= 100000-dev < 100001.0.0.0-dev"),
        ("1.0 - 2.0", ">= 1.0.0.0-dev < 2.1.0.0-dev"),
        ("1 - 2", ">= 1.0.0.0-dev < 3.0.0.0-dev"),
        ("1.0 - 2.0.0", ">= 1.0.0.0-dev <= 2.0.0.0"),
        ("1.0-beta - 2.0-beta", ">= 1.0.0.0-beta <= 2.0.0.0-beta"),
        ("dev-foo", "== dev-foo"),
        ("foo-dev", "== dev-foo"),
        ("3.next-dev", "== dev-3.next"),
        ("master", "== dev-master"),
        ("dev-main#abc123", "== dev-main"),
        ("1.x-dev#abc", "== 1.9999999.9999999.9999999-dev"),
        ("dev-main as 1.0", "== dev-main"),
        ("dev-canvas,^1.0", "== dev-canvas,^1.0"),
        ("^1.0 || ^2.0", ">= 1.0.0.0-dev < 3.0.0.0-dev"),
        ("^1.0|^3.0", ">= 1.0.0.0-dev < 2.0.0.0-dev || >= 3.0.0.0-dev < 4.0.0.0-dev"),
        (">1.0,<2.0 !=1.5", "> 1.0.0.0 < 2.0.0.0-dev != 1.5.0.0"),
        (">= 1.0 , < 2.0", ">= 1.0.0.0-dev < 2.0.0.0-dev"),
        (">=1 <dev-x || >=dev-x <3", ">= 1.0.0.0-dev < 3.0.0.0-dev"),
        ("1.99999999999999999999.*", ">= 1.99999999999999999999.0.0-dev < 1.1.0E+20.0.0-dev"),
    ] {
        assert_eq!(meaning(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn refuses_what_composer_refuses() {
    for text in [
        "",
        " ",
        "~>1.2",
        "=>1",
        "^ 1.0",
        "v^1",
        "^1.0#abc",
        "1.0-2.0",
        "self.version",
        "main",
        "2.*.1",
        "^2.x",
        "^2.0.*",
        "~2.*",
        "1.0.0 - 2.0@dev",
        ">= 1.0 - 2.0",
        "1.* - 2.0",
        "|||",
        "1.0 ||",
        "|| 1.0",
        "1.0 ||| 2.0",
        ">1.0,,<2.0",
        ",1.0",
        "1.0,",
        "foo",
        "^",
        "~",
        ">=",
        "1.0 - ",
        "1.2.3.4.5",
        "^1.0 as",
    ] {
        assert!(
            matches!(Constraint::parse(text), Err(ConstraintError::Invalid { .. })),
            "{text:?}: {:?}",
            meaning(text)
        );
    }
    assert_eq!(Constraint::parse(&"1".repeat(5000)), Err(ConstraintError::TooLong { length: 5000 }));
    let message = Constraint::parse("^1.0 || ^foo").unwrap_err().to_string();
    assert!(message.starts_with("`^foo` is not a constraint"), "the message names the part: {message}");
}

#[test]
fn matches_like_composer() {
    for (version, constraint, expected) in [
        ("1.x-dev", "^1.2", true),
        ("1.x-dev", "<2", true),
        ("1.2-dev", "^1.2", true),
        ("1.2-beta", "<1.2", false),
        ("dev-x", "*", true),
        ("dev-x", "!=1.0", true),
        ("dev-x", "v*", false),
        ("dev-x", ">=0", false),
        ("dev-x", "dev-x", true),
        ("dev-x", "dev-X", false),
        ("dev-x", "!=dev-x", false),
        ("1.0", "!=dev-x", true),
        ("2.0.99", "1.0 - 2.0", true),
        ("2.0-dev", "~1.2", false),
        ("1.2.0-p1", ">1.2", true),
        ("1.2.1-beta", ">1.2", true),
        ("1.2.3-beta", "<=1.2.3", true),
        ("1.2.0", "1.2", true),
        ("1.2.1", "1.2", false),
        ("1.0-alpha1", "1.0-a1", true),
    ] {
        let (constraint, version) = (Constraint::parse(constraint).unwrap(), Version::parse(version).unwrap());
        assert_eq!(constraint.matches(&version), expected, "{version} {constraint}");
    }
    assert!(Constraint::any().matches(&Version::parse("dev-x").unwrap()));
}

#[test]
fn keeps_its_text() {
    let constraint = Constraint::parse(" ^1.2  ||dev-main ").unwrap();
    assert_eq!(constraint.as_str(), " ^1.2  ||dev-main ");
    let json = serde_json::to_string(&constraint).unwrap();
    assert_eq!(serde_json::from_str::<Constraint>(&json).unwrap(), constraint);
    assert!(serde_json::from_str::<Constraint>("\"^foo\"").is_err());
    assert_ne!(constraint, Constraint::any());
}
