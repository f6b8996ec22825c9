//! A master key is replaced: every secret is sealed anew, whatever else happens meanwhile, and one that does not open is named.

use cargoman_control_plane::resealing;
use cargoman_control_plane::secrets::{Keyring, SecretsError};
use cargoman_control_plane::store::sealed::GIT_CREDENTIAL_SECRET;
use serde_json::json;

use crate::fixture::{MASTER_KEY, Registry};

const NEW_KEY: &str = "a91c07be55d2f8634e0d7a1b92c4f86e3d5b70a8e1964c2f7b83d05e6fa2c419";

async fn secrets(registry: &Registry, from: usize, to: usize) {
    for number in from..to {
        let body = json!({"name": format!("c{number}"), "kind": "https", "host": "h.example", "password": format!("p{number}")});
        registry.post("/git-credentials", body).await.status(201);
    }
}

/// C-S2.
#[tokio::test(flavor = "multi_thread")]
async fn every_secret_gets_the_new_key() {
    let registry = Registry::new().await;
    secrets(&registry, 0, 5).await;
    let other = registry.post("/tenants", json!({"slug": "other"})).await.status(201);
    assert!(other.text("id").starts_with("ten_"));
    let body = json!({"name": "theirs", "kind": "ssh", "host": "h.example"});
    registry.call("POST", "/git-credentials").tenant("other").json(&body).send().await.status(201);
    let system = registry.state.database.system();
    let both = Keyring::from_variable(&format!("{NEW_KEY},{MASTER_KEY}")).unwrap();
    let (old, new) = (both.ids()[1], both.ids()[0]);
    let mut heard = Vec::new();
    let before = resealing::run(system, &both, false, &mut |done, total| heard.push((done, total))).await.unwrap();
    assert_eq!((before.values.get(&Some(old)), before.resealed, heard.last()), (Some(&6), 0, Some(&(6, 6))));
    let found = resealing::run(system, &both, true, &mut |_, _| {}).await.unwrap();
    assert_eq!((found.resealed, found.values.get(&Some(new)), found.total()), (6, Some(&6), 6));
    let again = resealing::run(system, &both, true, &mut |_, _| {}).await.unwrap();
    assert_eq!((again.resealed, again.broken), (0, 0), "run again it does nothing");
    // Now the new key is enough, and the old one opens nothing.
    let alone = Keyring::from_variable(NEW_KEY).unwrap();
    assert_eq!(resealing::run(system, &alone, false, &mut |_, _| {}).await.unwrap().broken, 0);
    let lost = resealing::run(system, &registry.state.keyring, false, &mut |_, _| {}).await.unwrap();
    assert!(lost.broken == 6 && matches!(lost.named[0].error, SecretsError::UnknownKey(key) if key == new), "{lost:?}");
    assert!(resealing::run(system, &Keyring::absent(), false, &mut |_, _| {}).await.is_err());
}

/// Secrets that are made, replaced and deleted while everything is sealed anew: at the end all that are there open.
#[tokio::test(flavor = "multi_thread")]
async fn while_everybody_writes() {
    let registry = Registry::new().await;
    secrets(&registry, 0, 20).await;
    let system = registry.state.database.system();
    let both = Keyring::from_variable(&format!("{NEW_KEY},{MASTER_KEY}")).unwrap();
    let ids = registry.get("/git-credentials").await.data().as_array().unwrap().clone();
    let writes = async {
        for (at, one) in ids.iter().enumerate() {
            let path = format!("/git-credentials/{}", one["id"].as_str().unwrap());
            match at % 3 {
                0 => registry.post(&format!("{path}/rotate"), json!({"password": "newer"})).await.status(200),
                1 => registry.delete(&path).await.status(200),
                _ => registry.patch(&path, json!({"username": "other"})).await.status(200),
            };
        }
        secrets(&registry, 100, 105).await;
    };
    let sealing = async {
        for _ in 0..5 {
            resealing::run(system, &both, true, &mut |_, _| {}).await.unwrap();
        }
    };
    tokio::join!(writes, sealing);
    let found = resealing::run(system, &both, true, &mut |_, _| {}).await.unwrap();
    assert_eq!((found.broken, found.total()), (0, 18), "{found:?}");
    let alone = Keyring::from_variable(NEW_KEY).unwrap();
    assert_eq!(resealing::run(system, &alone, false, &mut |_, _| {}).await.unwrap().broken, 0);
}

/// Whoever writes a secret meanwhile is not overwritten; one that does not open stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_and_what_is_broken_stays() {
    let registry = Registry::new().await;
    secrets(&registry, 0, 3).await;
    let system = registry.state.database.system();
    let values = system.sealed_after(GIT_CREDENTIAL_SECRET, None, 10).await.unwrap();
    let path = format!("/git-credentials/gitcred_{}", values[0].place.row.as_simple());
    registry.post(&format!("{path}/rotate"), json!({"password": "newer"})).await.status(200);
    assert!(!system.replace_sealed(GIT_CREDENTIAL_SECRET, &values[0], b"overwritten").await.unwrap());
    // C-S1: a value moved to another row.
    registry.sql(&format!(
        "update git_credential set secret = (select secret from git_credential where id = '{}') where id = '{}'",
        values[2].place.row, values[1].place.row
    ));
    let before = registry.sql(&format!("select secret from git_credential where id = '{}'", values[1].place.row));
    let both = Keyring::from_variable(&format!("{NEW_KEY},{MASTER_KEY}")).unwrap();
    let found = resealing::run(system, &both, true, &mut |_, _| {}).await.unwrap();
    assert_eq!((found.resealed, found.broken), (2, 1));
    assert_eq!(found.named[0].place.row, values[1].place.row);
    let after = registry.sql(&format!("select secret from git_credential where id = '{}'", values[1].place.row));
    assert_eq!(before, after);
    let newer = &system.sealed_after(GIT_CREDENTIAL_SECRET, None, 1).await.unwrap()[0];
    assert_eq!(both.open(&newer.place, &newer.bytes).unwrap().expose(), b"https://h.example\0newer");
}
