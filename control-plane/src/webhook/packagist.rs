//! What talks to packagist.org: `{"repository": {"url": "…"}}`, as its documentation and many a CI script have it, or the delivery of a
//! forge in which an address stands somewhere known, as GitLab's integration sends it.

use serde_json::Value;

use super::{Delivery, Hint, Remote, Unreadable, at, texts};

/// Where addresses stand.
const PLACES: [&str; 9] = [
    "/repository/url",
    "/repository",
    "/project/git_http_url",
    "/project/git_ssh_url",
    "/project/web_url",
    "/repository/clone_url",
    "/repository/ssh_url",
    "/repository/git_http_url",
    "/repository/links/html/href",
];

pub(super) fn read(body: &Value) -> Result<Delivery, Unreadable> {
    let addresses = texts(body, &PLACES);
    if addresses.is_empty() {
        return Err(Unreadable(
            "`repository.url` is missing; send {\"repository\": {\"url\": \"<the address of the repository>\"}}"
                .to_owned(),
        ));
    }
    let event = at(body, "/event_name").unwrap_or("update-package").to_owned();
    Ok(Delivery { key: None, event, hint: Hint::Pushed { repository: Remote { id: None, addresses, path: None } } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn where_the_address_stands() {
        for body in [
            json!({"repository": {"url": "https://git.example/acme/pay"}}),
            json!({"repository": "https://git.example/acme/pay.git"}),
            json!({"event_name": "push", "project": {"git_http_url": "https://git.example/acme/pay.git"}}),
            json!({"repository": {"links": {"html": {"href": "https://git.example/acme/pay"}}}}),
        ] {
            let Hint::Pushed { repository } = read(&body).unwrap().hint else { panic!("{body}") };
            assert_eq!(repository.keys(), ["git.example/acme/pay"], "{body}");
        }
        for body in [json!({}), json!([]), json!({"repository": {}}), json!({"repository": {"url": 5}})] {
            assert!(read(&body).unwrap_err().to_string().contains("repository.url"), "{body}");
        }
    }
}
