//! Test databases: apart from each other, gone afterwards, on a server that is shared between programs.

use std::process::Command;

use cargoman_testkit::postgres;

#[test]
fn databases_are_apart_and_dropped() {
    let first = postgres::database();
    let second = postgres::database();
    first.query("CREATE TABLE here (id int); INSERT INTO here VALUES (7)");
    assert_eq!(first.query("SELECT id, current_database() FROM here"), format!("7|{}", first.name()));
    assert_eq!(second.query("SELECT count(*) FROM pg_tables WHERE tablename = 'here'"), "0");

    let name = first.name().to_owned();
    drop(first);
    assert_eq!(second.query(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")), "0");
}

#[test]
fn a_prepared_database_is_prepared_once() {
    // The key is new for each run, so that preparing is seen.
    let key = format!("{}-{:?}", std::process::id(), std::time::SystemTime::now());
    let mut prepared = 0;
    let mut make = || {
        postgres::database_prepared(&key, |url| {
            prepared += 1;
            let status = Command::new("psql").args(["-Xwqc", "CREATE TABLE ready ()", "-d", url]).status();
            assert!(status.expect("psql").success());
        })
    };
    let (first, second) = (make(), make());
    for database in [&first, &second] {
        assert_eq!(database.query("SELECT count(*) FROM ready"), "0");
    }
    first.query("DROP TABLE ready");
    assert_eq!(second.query("SELECT count(*) FROM ready"), "0");
    assert_eq!(prepared, 1);
}

#[test]
fn other_roles_have_urls_too() {
    let database = postgres::database();
    let role = format!("role_{}", database.name());
    database.query(&format!("CREATE ROLE {role} LOGIN"));
    let url = database.url_as(&role);
    let output = Command::new("psql").args(["-XwqtAc", "SELECT current_user", "-d", &url]).output().expect("psql");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), role);
    database.query(&format!("DROP ROLE {role}"));
}

#[test]
fn the_program_names_the_same_server() {
    let _ours = postgres::database();
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_testkit-postgres")).arg("url").output().expect("our binary");
        String::from_utf8(output.stdout).expect("a URL")
    };
    let url = run();
    assert!(url.starts_with("postgres://"), "{url}");
    assert_eq!(run(), url);
}
