//! Composer's routes by raw HTTP, as one token sees them.

use base64::Engine as _;
use cargoman_testkit::raw_http::{Response, request};
use ring::digest;
use serde_json::{Map, Value};

/// One token at one address.
#[derive(Debug, Clone)]
pub struct Reader {
    base: String,
    host: Option<String>,
    authorization: Option<String>,
}

/// A version as metadata shows it, nothing left out.
#[derive(Debug, Clone)]
pub struct Shown(pub Map<String, Value>);

impl Reader {
    /// The bearer of `token` at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str, token: &str) -> Self {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("token:{token}"));
        Self { base: base.to_owned(), host: None, authorization: Some(format!("Basic {basic}")) }
    }

    /// Somebody without a token at `base`.
    pub fn anonymous(base: &str) -> Self {
        Self { base: base.to_owned(), host: None, authorization: None }
    }

    /// The same, asking for another host at the same address.
    pub fn at_host(&self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self.clone() }
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[])
    }

    /// Any method, with further headers.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend(self.host.as_deref().map(|host| ("Host", host)));
        all.extend(self.authorization.as_deref().map(|text| ("Authorization", text)));
        request(method, &format!("{}{path}", self.base), &all, b"")
    }

    /// What metadata shows of `package`: the numbered versions, then the branches.
    #[track_caller]
    pub fn shown(&self, package: &str) -> Vec<Shown> {
        let mut all = self.file(package, "");
        all.extend(self.file(package, "~dev"));
        all
    }

    /// The pretty versions that metadata shows of `package`, in order of bytes.
    #[track_caller]
    pub fn versions(&self, package: &str) -> Vec<String> {
        let mut names: Vec<String> = self.shown(package).iter().map(Shown::pretty).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn file(&self, package: &str, suffix: &str) -> Vec<Shown> {
        let response = self.get(&format!("/p2/{package}{suffix}.json"));
        assert_eq!(response.status, 200, "{package}{suffix}: {:?}", String::from_utf8_lossy(&response.body));
        let document = response.json();
        let list = document["packages"][package].as_array().unwrap_or_else(|| panic!("not there: {document}"));
        expand(list)
    }
}

impl Shown {
    /// As written.
    #[track_caller]
    pub fn pretty(&self) -> String {
        self.text("/version")
    }

    /// The string at a JSON pointer.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let whole = Value::Object(self.0.clone());
        let found = whole.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {whole:#}")).to_owned()
    }

    /// The path of `dist.url`.
    #[track_caller]
    pub fn dist_path(&self) -> String {
        url::Url::parse(&self.text("/dist/url")).expect("an absolute URL").path().to_owned()
    }
}

/// Undoes Composer's minification: each entry is the one before it with some keys changed, or taken away by `__unset`.
pub fn expand(list: &[Value]) -> Vec<Shown> {
    let mut current = Map::new();
    let mut all = Vec::new();
    for entry in list {
        for (key, value) in entry.as_object().into_iter().flatten() {
            if value == "__unset" {
                current.remove(key);
            } else {
                current.insert(key.clone(), value.clone());
            }
        }
        all.push(Shown(current.clone()));
    }
    all
}

/// SHA-1 in lower-case hexadecimal.
pub fn sha1(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer without what may differ from one moment to the next: what a client could tell two answers apart by.
pub fn without_date(mut response: Response) -> Response {
    response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
    response
}
