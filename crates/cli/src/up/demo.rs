//! `up --demo`: a package from a real git repository, a customer and a token, made through the public API as anyone would.
//! Run again, it finds what is there.

use std::path::Path;

use cargoman_control_plane::git::demo_repository;
use serde_json::{Value, json};

use super::announce::Announcement;
use crate::admin::client::Client;
use crate::credentials::write_secret;
use crate::exit::Failure;

const PACKAGE: &str = "acme/hello";

pub(super) async fn prepare(folder: &Path, announcement: &Announcement) -> Result<(), Failure> {
    let repository = folder.join("hello.git");
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::failed(format!("cannot make {}: {error}", folder.display())))?;
    if !repository.exists() {
        demo_repository::create(&repository).map_err(Failure::failed)?;
    }
    let client = Client::new(&announcement.control, &announcement.admin_token, Some("demo"))?;
    let token = token(&client, folder, &repository).await?;
    eprintln!("{}", instructions(&announcement.public_url, &token));
    Ok(())
}

async fn token(client: &Client, folder: &Path, repository: &Path) -> Result<String, Failure> {
    if client.find(&format!("packages/{PACKAGE}")).await?.is_none() {
        client.post("packages", &json!({"repository_url": repository, "name": PACKAGE})).await?;
    }
    let synced = client.post(&format!("packages/{PACKAGE}/sync?wait=true"), &Value::Null).await?;
    if synced.pointer("/state") != Some(&json!("succeeded")) {
        let error = synced.pointer("/error").and_then(Value::as_str).unwrap_or("see the log");
        return Err(Failure::failed(format!("the demo package could not be synced: {error}")));
    }
    let customer = client.put("customers/by-external/demo", &json!({"name": "Demo customer"})).await?;
    let id = customer.pointer("/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    client.post(&format!("customers/{id}/packages"), &json!({"package": PACKAGE})).await?;
    let kept = folder.join("token");
    if let (None, Ok(token)) = (customer.pointer("/token"), std::fs::read_to_string(&kept)) {
        return Ok(token.trim().to_owned());
    }
    let token = match customer.pointer("/token").and_then(Value::as_str) {
        Some(token) => token.to_owned(),
        None => {
            let made = client.post(&format!("customers/{id}/tokens"), &json!({"name": "demo"})).await?;
            made.pointer("/plain_token").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    write_secret(&kept, &token)?;
    Ok(token)
}

fn instructions(public_url: &str, token: &str) -> String {
    let host = public_url.split_once("://").map_or(public_url, |(_, host)| host);
    let insecure = match public_url.starts_with("http://") {
        true => "    composer config secure-http false        # plain http: for this demo only\n",
        false => "",
    };
    format!(
        "The demo registry is ready. In a folder with a composer.json (or after `composer init`):

    composer config repositories.demo composer {public_url}
{insecure}    composer config http-basic.{host} token {token}
    composer require {PACKAGE}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_part_of_the_key() {
        let text = instructions("http://127.0.0.1:8080", "tok_x");
        assert!(text.contains("http-basic.127.0.0.1:8080 token tok_x"), "{text}");
        assert!(text.contains("secure-http false"), "{text}");
        assert!(!instructions("https://repo.example", "tok_x").contains("secure-http"));
    }
}
