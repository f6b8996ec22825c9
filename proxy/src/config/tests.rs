use super::*;

fn credential() -> String {
    Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).unwrap().expose().to_owned()
}

fn variables(credential: &str) -> [(String, String); 1] {
    [("CARGOMAN_CONTROL_PLANE__CREDENTIAL".to_owned(), credential.to_owned())]
}

const LEAST: &str = "[control_plane]\nedge_url = \"http://127.0.0.1:8082\"\npublic_url = \"http://127.0.0.1:8081\"\n";

#[test]
fn the_documented_file_holds_the_defaults() {
    let documented = include_str!("../../../config/edge.toml");
    let config = EdgeConfig::from_toml_and_variables(documented, variables(&credential())).unwrap();
    let least = EdgeConfig::from_toml_and_variables(LEAST, variables(&credential())).unwrap();
    let without_secret = |config: &EdgeConfig| {
        let mut config = config.clone();
        config.control_plane.credential = least.control_plane.credential.clone();
        format!("{config:?}")
    };
    assert_eq!(without_secret(&config), without_secret(&least));
}

/// Every line of the documented file that is a commented setting must be one, so it is tried as well.
#[test]
fn the_commented_settings_are_settings() {
    let documented = include_str!("../../../config/edge.toml");
    let uncommented: String = documented
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    assert_ne!(uncommented, documented);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), credential()).unwrap();
    let uncommented = uncommented.replace("/etc/cargoman/edge-credential", &file.path().display().to_string());
    let authority = tempfile::NamedTempFile::new().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["control.test".to_owned()]).unwrap();
    std::fs::write(authority.path(), own.cert.pem()).unwrap();
    let uncommented = uncommented.replace("/etc/cargoman/ca.pem", &authority.path().display().to_string());
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), own.signing_key.serialize_pem()).unwrap();
    let uncommented = uncommented
        .replace("/etc/cargoman/packages.example.com.pem", &authority.path().display().to_string())
        .replace("/etc/cargoman/packages.example.com.key", &key.path().display().to_string());
    let config = EdgeConfig::from_toml(&uncommented).unwrap();
    assert_eq!((config.tls.listen.len(), config.tls.certificates.len()), (1, 1));
    let plugins = crate::plugin::Plugins::build(&config.plugins, &crate::plugin::registry()).map(|_| ());
    assert_eq!(plugins, Ok(()));
}

#[test]
fn all_problems_at_once() {
    let ConfigError(problems) = EdgeConfig::from_toml(
        "[edge]\nlisten = [\"nowhere\"]\nthreds = 2\nthreads = 0\n[tls]\nlisten = [\"127.0.0.1:443\"]\nlsten = 1\n[traces]\nendpoint = \"nowhere\"\nshare = 2\n[control_plane]\nedge_url = \"x\"\ncredential = \"y\"\n[cach]\n\
         [[plugins]]\nnme = \"a\"",
    )
    .unwrap_err();
    for expected in [
        "tls.certificates is missing",
        "tls.lsten is no setting",
        "traces.endpoint must be an address",
        "traces.share must be a part of 1",
        "edge.listen `nowhere` is no socket",
        "edge.threds is no setting",
        "edge.threads must be",
        "control_plane.edge_url must be",
        "control_plane.public_url is missing",
        "control_plane.credential must not stand in a file",
        "`cach` is no section",
        "plugins.name is missing",
        "plugins.nme is no setting",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected}: {problems:#?}");
    }
}

#[test]
fn a_secret_is_not_printed() {
    let credential = credential();
    let config = EdgeConfig::from_toml_and_variables(LEAST, variables(&credential)).unwrap();
    assert!(!format!("{config:?}").contains(credential.get(4..30).unwrap()));
}
