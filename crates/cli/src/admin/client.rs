//! Calls the REST API and turns its refusals into what a person reads.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::upload::Upload;
use crate::exit::Failure;

/// A registry's API.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    tenant: Option<String>,
}

/// A sync may be waited for that long; the server answers before.
const LONGEST: Duration = Duration::from_secs(320);
const LONGEST_UPLOAD: Duration = Duration::from_secs(3600);

impl Client {
    /// For the API at `url`.
    pub(crate) fn new(url: &str, token: &str, tenant: Option<&str>) -> Result<Self, Failure> {
        let address =
            url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if address.is_none() {
            return Err(Failure::usage(format!(
                "CARGOMAN_URL (--url) must be an http address such as http://127.0.0.1:8081, not `{url}`"
            )));
        }
        let http = reqwest::Client::builder().timeout(LONGEST).build().map_err(Failure::failed)?;
        Ok(Self {
            http,
            base: format!("{}/api/v1", url.trim_end_matches('/')),
            token: token.to_owned(),
            tenant: tenant.map(str::to_owned),
        })
    }

    /// GET, the `data` of the answer.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, &Value::Null).await
    }

    /// GET; none for 404.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, Failure> {
        self.attempt(Method::GET, path, &Value::Null).await
    }

    /// Any call, with a body unless it is null; none for 404.
    pub(crate) async fn attempt(&self, method: Method, path: &str, body: &Value) -> Result<Option<Value>, Failure> {
        let reply = self.reply(method, path, body).await?;
        if reply.status == StatusCode::NOT_FOUND { Ok(None) } else { reply.data(path).map(Some) }
    }

    /// Every page of a list.
    pub(crate) async fn list(&self, path: &str) -> Result<Value, Failure> {
        let mut all = Vec::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let one = format!("{path}{joint}page={page}&per_page=200");
            let whole = self.send(self.request(Method::GET, &one)?, path).await?.whole(path)?;
            let pages = whole.pointer("/pagination/total_pages").and_then(Value::as_i64).unwrap_or(1);
            if let Some(Value::Array(rows)) = whole.get("data") {
                all.extend(rows.iter().cloned());
            }
            if page >= pages {
                break;
            }
        }
        Ok(Value::Array(all))
    }

    /// POST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, body).await
    }

    /// PUT.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, body).await
    }

    /// PATCH.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, body).await
    }

    /// PUT of a body that is streamed and may take as long as a slow line needs.
    pub(crate) async fn upload(&self, path: &str, upload: Upload) -> Result<Sent, Failure> {
        let request = self
            .request(Method::PUT, path)?
            .timeout(LONGEST_UPLOAD)
            .header(CONTENT_TYPE, upload.content_type)
            .header(CONTENT_LENGTH, upload.length)
            .body(upload.body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.unreachable(path, error)),
            Err(error) => return Ok(Sent::BrokenOff(error.without_url().to_string())),
        };
        let reply = self.read(response, path).await?;
        let new = reply.status == StatusCode::CREATED;
        Ok(Sent::Answered(reply.data(path)?, new))
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, &Value::Null).await
    }

    /// Sends a body, unless it is null; the `data` of the answer.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.reply(method, path, body).await?.data(path)
    }

    async fn reply(&self, method: Method, path: &str, body: &Value) -> Result<Reply, Failure> {
        let mut request = self.request(method, path)?;
        if !body.is_null() {
            request = request.json(body);
        }
        self.send(request, path).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        // An address is put together from what a person wrote; `..` in it would name another thing than he meant.
        let plain = path.split('?').next().unwrap_or_default();
        if plain.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Failure::usage(format!(
                "`{plain}` names nothing: an id or a name `vendor/package` is missing or malformed"
            )));
        }
        let mut request = self.http.request(method, format!("{}/{path}", self.base)).bearer_auth(&self.token);
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Cargoman-Tenant", tenant);
        }
        Ok(request)
    }

    async fn send(&self, request: RequestBuilder, path: &str) -> Result<Reply, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(path, error))?;
        self.read(response, path).await
    }

    async fn read(&self, response: Response, path: &str) -> Result<Reply, Failure> {
        let status = response.status();
        let whole: Value = response.json().await.map_err(|error| self.unreachable(path, error))?;
        let code = whole.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
        if status.is_success() || (status == StatusCode::NOT_FOUND && code == "NOT_FOUND") {
            if let Some(warning) = not_effective(&whole) {
                eprintln!("cargoman: {warning}");
            }
            return Ok(Reply { status, whole });
        }
        Err(refusal(status, &whole))
    }

    fn unreachable(&self, path: &str, error: reqwest::Error) -> Failure {
        let (url, error) = (format!("{}/{path}", self.base), error.without_url());
        Failure::failed(format!("cannot reach {url}: {error}; is the registry running, and is CARGOMAN_URL right?"))
    }
}

/// What came of an upload.
pub(crate) enum Sent {
    /// The answer, and whether it made something new.
    Answered(Value, bool),
    /// The connection broke before there was one.
    BrokenOff(String),
}

/// What the registry answered: success, or that there is no such thing.
struct Reply {
    status: StatusCode,
    whole: Value,
}

impl Reply {
    fn whole(self, path: &str) -> Result<Value, Failure> {
        if self.status == StatusCode::NOT_FOUND { Err(missing(path, &self.whole)) } else { Ok(self.whole) }
    }

    fn data(self, path: &str) -> Result<Value, Failure> {
        Ok(self.whole(path)?.get_mut("data").map(Value::take).unwrap_or_default())
    }
}

/// What to tell whose write is done, but not effective on every edge.
fn not_effective(whole: &Value) -> Option<String> {
    let about = whole.get("propagation").filter(|about| about.get("effective") == Some(&Value::Bool(false)))?;
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let pending = about.get("pending").and_then(Value::as_array).into_iter().flatten();
    let pending: Vec<String> = pending
        .map(|pending| format!("{} until {}", text(pending, "edge"), text(pending, "may_serve_until")))
        .collect();
    let who = match about.get("presigned_until").and_then(Value::as_str) {
        Some(until) if pending.is_empty() => format!("the storage, to whoever was sent there, until {until}"),
        _ if pending.is_empty() => "which edges is not known".to_owned(),
        _ => pending.join(", "),
    };
    Some(format!("done, but not effective everywhere yet; still answering from before it may be: {who}"))
}

/// Remedies that the API names in its own terms, and what they are on the command line.
const REMEDIES: [(&str, &str); 4] = [
    ("X-Cargoman-Tenant", "--tenant SLUG or CARGOMAN_TENANT"),
    ("dry_run=true", "--dry-run"),
    ("confirm=true", "--confirm"),
    ("grants=delete", "--with-grants"),
];

fn refusal(status: StatusCode, whole: &Value) -> Failure {
    let said = whole.pointer("/error/message").or_else(|| whole.get("warning")).and_then(Value::as_str);
    let mut message = said.map_or_else(|| format!("the registry answered {status}"), str::to_owned);
    let here = REMEDIES.iter().filter(|(of_the_api, _)| message.contains(of_the_api)).map(|(_, here)| *here);
    let here = here.collect::<Vec<_>>().join(", ");
    if !here.is_empty() {
        message.push_str(&format!(" (here: {here})"));
    }
    for detail in whole.pointer("/error/details").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
        message.push_str(&format!("\n  {}: {}", part("field"), part("message")));
    }
    match status {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Failure::usage(message),
        _ => Failure::failed(message),
    }
}

fn missing(path: &str, whole: &Value) -> Failure {
    let plain = path.split('?').next().unwrap_or_default();
    if let Some(plain) = plain.strip_suffix("/restore") {
        return Failure::failed(format!(
            "{plain} was not deleted, or too long ago; `cargoman deletion list` shows what can be restored"
        ));
    }
    let said = whole.pointer("/error/message").and_then(Value::as_str).unwrap_or("not found");
    Failure::failed(match plain.contains('/') {
        true => format!("{said}: {plain} does not exist; the list commands show what there is"),
        // It was asked for in the query.
        false => format!("{said}; the list commands show what there is"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_still_answer_from_before() {
        for (answer, said) in [
            (serde_json::json!({"data": {}}), None),
            (serde_json::json!({"data": {}, "propagation": {"effective": true, "seq": 1}}), None),
            (
                serde_json::json!({"propagation": {"effective": false, "pending": [{"edge": "paris", "may_serve_until": "2026-01-01T00:00:00Z"}]}}),
                Some("paris until 2026-01-01T00:00:00Z"),
            ),
            (serde_json::json!({"propagation": {"effective": false, "seq": null, "pending": []}}), Some("not known")),
            (
                serde_json::json!({"propagation": {"effective": false, "pending": [], "presigned_until": "2026-01-01T00:01:00Z"}}),
                Some("the storage, to whoever was sent there, until 2026-01-01T00:01:00Z"),
            ),
        ] {
            let warning = not_effective(&answer);
            assert_eq!(warning.is_some(), said.is_some(), "{answer}");
            assert!(warning.unwrap_or_default().contains(said.unwrap_or_default()), "{answer}");
        }
    }
}
