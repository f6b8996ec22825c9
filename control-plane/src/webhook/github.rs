//! GitHub's deliveries: `X-GitHub-Event`, `X-GitHub-Delivery`.

use http::HeaderMap;
use serde_json::Value;

use super::{Delivery, Hint, Remote, Unreadable, at, header, id_at, name, texts};

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Delivery, Unreadable> {
    let event = name(header(headers, "x-github-event"));
    let event = event.ok_or_else(|| Unreadable("the header X-GitHub-Event is missing".to_owned()))?;
    let hint = match event.as_str() {
        "ping" => Hint::Ping,
        "push" | "create" | "delete" => Hint::Pushed { repository: repository(body)? },
        "repository" => of_repository(body)?,
        "installation_repositories" => installed(body, "/repositories_added"),
        "installation" => match at(body, "/action") {
            Some("created" | "unsuspend" | "new_permissions_accepted") => installed(body, "/repositories"),
            _ => Hint::Nothing,
        },
        _ => Hint::Nothing,
    };
    Ok(Delivery { key: name(header(headers, "x-github-delivery")), event, hint })
}

/// An account lets the App see repositories. They are named without an address: of the first one the account is of interest.
fn installed(body: &Value, list: &str) -> Hint {
    let path = at(body, &format!("{list}/0/full_name")).map(str::to_owned);
    let account = at(body, "/installation/account/login").map(|account| format!("{account}/*"));
    match path.or(account) {
        Some(path) => Hint::Appeared { repository: Remote { id: None, addresses: Vec::new(), path: Some(path) } },
        None => Hint::Nothing,
    }
}

fn of_repository(body: &Value) -> Result<Hint, Unreadable> {
    let now = repository(body)?;
    let from = match at(body, "/action") {
        Some("created") => return Ok(Hint::Appeared { repository: now }),
        Some("deleted") => return Ok(Hint::Gone { repository: now }),
        // The default branch may be another one.
        Some("edited" | "publicized" | "privatized" | "unarchived") => return Ok(Hint::Pushed { repository: now }),
        Some("renamed") => at(body, "/changes/repository/name/from").zip(at(body, "/repository/owner/login")),
        Some("transferred") => {
            let owner = at(body, "/changes/owner/from/user/login")
                .or_else(|| at(body, "/changes/owner/from/organization/login"));
            at(body, "/repository/name").zip(owner)
        }
        _ => return Ok(Hint::Nothing),
    };
    let (short, owner) = from.ok_or_else(|| Unreadable("`changes` does not say what it was before".to_owned()))?;
    Ok(Hint::Moved { from: format!("{owner}/{short}"), repository: now })
}

pub(super) fn repository(body: &Value) -> Result<Remote, Unreadable> {
    let addresses = texts(body, &["/repository/clone_url", "/repository/ssh_url", "/repository/html_url"]);
    if addresses.is_empty() {
        return Err(Unreadable("`repository.clone_url` is missing".to_owned()));
    }
    let path = at(body, "/repository/full_name").map(str::to_owned);
    Ok(Remote { id: id_at(body, "/repository/id").map(|id| format!("github:{id}")), addresses, path })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn read_as(event: &'static str, body: &Value) -> Result<Delivery, Unreadable> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-github-event"), HeaderValue::from_static(event));
        headers.insert(HeaderName::from_static("x-github-delivery"), HeaderValue::from_static("72d3162e"));
        read(&headers, body)
    }

    fn body(action: &str, changes: &Value) -> Value {
        json!({
            "action": action,
            "changes": changes,
            "repository": {
                "id": 1_296_269, "name": "pay", "full_name": "acme/pay", "owner": {"login": "acme"},
                "clone_url": "https://github.com/acme/pay.git", "ssh_url": "git@github.com:acme/pay.git",
                "html_url": "https://github.com/acme/pay",
            },
        })
    }

    #[test]
    fn events() {
        let now = repository(&body("", &Value::Null)).unwrap();
        assert_eq!((now.id.as_deref(), now.keys()), (Some("github:1296269"), vec!["github.com/acme/pay".to_owned()]));
        let of = |event, action: &str, changes: Value| read_as(event, &body(action, &changes)).unwrap().hint;
        for event in ["push", "create", "delete"] {
            assert_eq!(of(event, "", json!({})), Hint::Pushed { repository: now.clone() });
        }
        assert_eq!(of("ping", "", json!({})), Hint::Ping);
        assert_eq!(of("issues", "opened", json!({})), Hint::Nothing);
        assert_eq!(of("repository", "created", json!({})), Hint::Appeared { repository: now.clone() });
        let added = json!({"action": "added", "installation": {"account": {"login": "acme"}}, "repositories_added": [{"id": 9, "full_name": "acme/new"}]});
        let all = json!({"action": "created", "installation": {"account": {"login": "acme"}}});
        for (event, body, path) in [("installation_repositories", added, "acme/new"), ("installation", all, "acme/*")] {
            let Hint::Appeared { repository } = read_as(event, &body).unwrap().hint else { panic!("{event}") };
            assert_eq!((repository.path.as_deref(), repository.addresses.len()), (Some(path), 0));
        }
        assert_eq!(read_as("installation", &json!({"action": "deleted"})).unwrap().hint, Hint::Nothing);
        assert_eq!(of("repository", "deleted", json!({})), Hint::Gone { repository: now.clone() });
        for (action, changes, old) in [
            ("renamed", json!({"repository": {"name": {"from": "payment"}}}), "github.com/acme/payment"),
            ("transferred", json!({"owner": {"from": {"user": {"login": "bob"}}}}), "github.com/bob/pay"),
            ("transferred", json!({"owner": {"from": {"organization": {"login": "corp"}}}}), "github.com/corp/pay"),
        ] {
            let Hint::Moved { repository, from } = of("repository", action, changes) else { panic!("{action}") };
            assert_eq!((repository.at(&from).keys(), repository), (vec![old.to_owned()], now.clone()));
        }
        assert!(read_as("repository", &body("renamed", &json!({}))).is_err());
        assert!(read_as("push", &json!({"repository": {"id": 1}})).is_err());
        assert!(read(&HeaderMap::new(), &body("", &Value::Null)).is_err());
        assert_eq!(read_as("push", &body("", &Value::Null)).unwrap().key.as_deref(), Some("72d3162e"));
    }
}
