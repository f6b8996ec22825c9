//! GitLab's deliveries: those of a project, of a group, and of a whole instance (System Hooks), which name a project by its path alone
//! when it is renamed.

use http::HeaderMap;
use serde_json::Value;

use super::{Delivery, Hint, Remote, Unreadable, at, header, id_at, name, texts};

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Delivery, Unreadable> {
    let event = name(at(body, "/event_name").or_else(|| at(body, "/object_kind")));
    let event = event.ok_or_else(|| Unreadable("`event_name` and `object_kind` are missing".to_owned()))?;
    let hint = match event.as_str() {
        "push" | "tag_push" | "repository_update" => Hint::Pushed { repository: project(body)? },
        "project_create" => Hint::Appeared { repository: by_path(body, "/path_with_namespace")? },
        "project_rename" | "project_transfer" => moved(body)?,
        "project_destroy" => Hint::Gone { repository: by_path(body, "/path_with_namespace")? },
        _ => Hint::Nothing,
    };
    // One of the event, not of the hook, which also has a name.
    let key = ["webhook-id", "idempotency-key", "x-gitlab-event-uuid"].into_iter().find_map(|key| header(headers, key));
    Ok(Delivery { key: name(key), event, hint })
}

/// The project of a push.
fn project(body: &Value) -> Result<Remote, Unreadable> {
    let addresses = texts(body, &["/project/git_http_url", "/project/git_ssh_url", "/project/web_url"]);
    if addresses.is_empty() {
        return Err(Unreadable("`project.git_http_url` is missing".to_owned()));
    }
    let id = id_at(body, "/project/id").or_else(|| id_at(body, "/project_id"));
    let path = at(body, "/project/path_with_namespace").map(str::to_owned);
    Ok(Remote { id: id.map(|id| format!("gitlab:{id}")), addresses, path })
}

fn by_path(body: &Value, path: &str) -> Result<Remote, Unreadable> {
    let found = at(body, path).map(str::to_owned);
    let found = found.ok_or_else(|| Unreadable("`path_with_namespace` is missing".to_owned()))?;
    let id = id_at(body, "/project_id").map(|id| format!("gitlab:{id}"));
    Ok(Remote { id, addresses: Vec::new(), path: Some(found) })
}

fn moved(body: &Value) -> Result<Hint, Unreadable> {
    let from = by_path(body, "/old_path_with_namespace")?.path.unwrap_or_default();
    Ok(Hint::Moved { repository: by_path(body, "/path_with_namespace")?, from })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hint(body: &Value) -> Hint {
        read(&HeaderMap::new(), body).unwrap().hint
    }

    #[test]
    fn events() {
        let project = json!({
            "id": 15, "path_with_namespace": "Acme/pay", "git_http_url": "https://gitlab.example/acme/pay.git",
            "git_ssh_url": "git@gitlab.example:acme/pay.git", "web_url": "https://gitlab.example/acme/pay",
        });
        for kind in [
            json!({"object_kind": "push"}),
            json!({"event_name": "tag_push"}),
            json!({"event_name": "repository_update"}),
        ] {
            let mut body = kind.clone();
            body["project"] = project.clone();
            let Hint::Pushed { repository } = hint(&body) else { panic!("{kind}") };
            assert_eq!(
                (repository.id.as_deref(), repository.keys()),
                (Some("gitlab:15"), vec!["gitlab.example/acme/pay".to_owned()])
            );
        }
        let renamed = json!({
            "event_name": "project_rename", "project_id": 15, "path_with_namespace": "acme/money", "old_path_with_namespace": "acme/pay",
        });
        let Hint::Moved { repository, from } = hint(&renamed) else { panic!("renamed") };
        assert_eq!(
            (repository.id.as_deref(), repository.path.as_deref(), from),
            (Some("gitlab:15"), Some("acme/money"), "acme/pay".to_owned())
        );
        let made = json!({"event_name": "project_create", "project_id": 16, "path_with_namespace": "acme/new"});
        let Hint::Appeared { repository } = hint(&made) else { panic!("made") };
        assert_eq!((repository.id.as_deref(), repository.path.as_deref()), (Some("gitlab:16"), Some("acme/new")));
        let gone = json!({"event_name": "project_destroy", "project_id": 15, "path_with_namespace": "acme/pay"});
        assert!(matches!(hint(&gone), Hint::Gone { .. }));
        assert_eq!(hint(&json!({"object_kind": "issue"})), Hint::Nothing);
        assert!(read(&HeaderMap::new(), &json!({"object_kind": "push"})).is_err());
        assert!(read(&HeaderMap::new(), &json!({})).is_err());
    }
}
