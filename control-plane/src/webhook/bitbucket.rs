//! Bitbucket's deliveries: those of the Cloud have addresses, those of Data Center only the keys of project and repository.

use http::HeaderMap;
use serde_json::Value;

use super::{Delivery, Hint, Remote, Unreadable, at, header, id_at, name, texts};

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Delivery, Unreadable> {
    let event = name(header(headers, "x-event-key"));
    let event = event.ok_or_else(|| Unreadable("the header X-Event-Key is missing".to_owned()))?;
    let hint = match event.as_str() {
        "diagnostics:ping" => Hint::Ping,
        "repo:push" | "repo:refs_changed" => Hint::Pushed { repository: repository(body)? },
        "repo:updated" | "repo:modified" => changed(body)?,
        _ => Hint::Nothing,
    };
    // The Cloud keeps it when it tries again; Data Center calls it otherwise.
    let key = header(headers, "x-request-uuid").or_else(|| header(headers, "x-request-id"));
    Ok(Delivery { key: name(key), event, hint })
}

fn changed(body: &Value) -> Result<Hint, Unreadable> {
    if let Some(from) = at(body, "/changes/full_name/old") {
        return Ok(Hint::Moved { repository: repository(body)?, from: from.to_owned() });
    }
    match (body.pointer("/old"), body.pointer("/new")) {
        (Some(old), Some(new)) => {
            let from = of_data_center(old)?.path.unwrap_or_default();
            Ok(Hint::Moved { repository: of_data_center(new)?, from })
        }
        _ => Ok(Hint::Pushed { repository: repository(body)? }),
    }
}

fn repository(body: &Value) -> Result<Remote, Unreadable> {
    let addresses = texts(body, &["/repository/links/html/href"]);
    if addresses.is_empty() {
        let repository = body.pointer("/repository").unwrap_or(&Value::Null);
        return of_data_center(repository);
    }
    let path = at(body, "/repository/full_name").map(str::to_owned);
    Ok(Remote { id: id_at(body, "/repository/uuid").map(|id| format!("bitbucket:{id}")), addresses, path })
}

/// Its addresses are `…/scm/<project>/<repository>.git` and `ssh://…/<project>/<repository>.git`.
fn of_data_center(repository: &Value) -> Result<Remote, Unreadable> {
    let path = at(repository, "/project/key").zip(at(repository, "/slug"));
    let (project, slug) =
        path.ok_or_else(|| Unreadable("`repository.project.key` and `repository.slug` are missing".to_owned()))?;
    let id = id_at(repository, "/id").map(|id| format!("bitbucket-dc:{id}"));
    Ok(Remote { id, addresses: Vec::new(), path: Some(format!("{project}/{slug}").to_lowercase()) })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn hint(event: &'static str, body: &Value) -> Hint {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-event-key"), HeaderValue::from_static(event));
        read(&headers, body).unwrap().hint
    }

    #[test]
    fn cloud() {
        let mut body = json!({"repository": {
            "uuid": "{1f2e}", "full_name": "acme/pay", "links": {"html": {"href": "https://bitbucket.org/acme/pay"}},
        }});
        let Hint::Pushed { repository } = hint("repo:push", &body) else { panic!("pushed") };
        assert_eq!(
            (repository.id.as_deref(), repository.keys()),
            (Some("bitbucket:{1f2e}"), vec!["bitbucket.org/acme/pay".to_owned()])
        );
        assert!(matches!(hint("repo:updated", &body), Hint::Pushed { .. }));
        assert_eq!(hint("pullrequest:created", &body), Hint::Nothing);
        body["changes"] = json!({"full_name": {"old": "acme/money", "new": "acme/pay"}});
        let Hint::Moved { repository, from } = hint("repo:updated", &body) else { panic!("moved") };
        assert_eq!(repository.at(&from).addresses, ["https://bitbucket.org/acme/money"]);
    }

    #[test]
    fn data_center() {
        let repository = |slug: &str| json!({"id": 84, "slug": slug, "project": {"key": "PROJ"}});
        let Hint::Pushed { repository: found } = hint("repo:refs_changed", &json!({"repository": repository("pay")}))
        else {
            panic!("pushed")
        };
        assert_eq!((found.id.as_deref(), found.path.as_deref()), (Some("bitbucket-dc:84"), Some("proj/pay")));
        let moved = json!({"old": repository("money"), "new": repository("pay")});
        let Hint::Moved { from, repository } = hint("repo:modified", &moved) else { panic!("moved") };
        assert_eq!((from, repository.path.as_deref()), ("proj/money".to_owned(), Some("proj/pay")));
        assert_eq!(hint("diagnostics:ping", &json!({"test": true})), Hint::Ping);
        assert!(read(&HeaderMap::new(), &json!({})).is_err());
    }
}
