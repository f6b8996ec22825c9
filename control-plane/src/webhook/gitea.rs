//! Deliveries of Gitea and Forgejo: they look like GitHub's, under headers of their own.

use http::HeaderMap;
use serde_json::Value;

use super::{Delivery, Hint, Unreadable, at, github, header, name};

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Delivery, Unreadable> {
    let of = |one: &str, other: &str| name(header(headers, one).or_else(|| header(headers, other)));
    let event = of("x-forgejo-event", "x-gitea-event");
    let event = event.ok_or_else(|| Unreadable("the header X-Gitea-Event is missing".to_owned()))?;
    let mut hint = match (event.as_str(), at(body, "/action")) {
        ("push" | "create" | "delete", _) => Hint::Pushed { repository: github::repository(body)? },
        ("repository", Some("created")) => Hint::Appeared { repository: github::repository(body)? },
        ("repository", Some("deleted")) => Hint::Gone { repository: github::repository(body)? },
        _ => Hint::Nothing,
    };
    // The same number on another forge is another repository.
    if let Hint::Pushed { repository } | Hint::Gone { repository } | Hint::Appeared { repository } = &mut hint {
        repository.id = repository.id.take().map(|id| id.replacen("github:", "gitea:", 1));
    }
    Ok(Delivery { key: of("x-forgejo-delivery", "x-gitea-delivery"), event, hint })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    #[test]
    fn events() {
        let body = json!({"action": "deleted", "repository": {
            "id": 3, "full_name": "acme/pay", "clone_url": "https://git.example/acme/pay.git", "ssh_url": "ssh://git@git.example:2222/acme/pay.git",
        }});
        for (name, event, expected) in [
            ("x-gitea-event", "push", "pushed"),
            ("x-forgejo-event", "create", "pushed"),
            ("x-gitea-event", "repository", "gone"),
            ("x-gitea-event", "issues", "nothing"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(event));
            let hint = read(&headers, &body).unwrap().hint;
            assert_eq!(serde_json::to_value(&hint).unwrap()["what"], expected, "{event}");
            if let Hint::Pushed { repository } = hint {
                assert_eq!(repository.id.as_deref(), Some("gitea:3"));
                assert_eq!(repository.keys(), ["git.example/acme/pay", "git.example:2222/acme/pay"]);
            }
        }
    }
}
