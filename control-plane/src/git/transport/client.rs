//! Decides how the worker speaks HTTP with a git server: checked addresses, bounded time, bounded sizes, a credential that only
//! the given scheme, host and port ever see, and redirects within that same origin for the first request only.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, LOCATION};
use url::Url;

use super::super::address::AllowedHosts;
use super::super::failure::Result;
use super::super::protocol::{Credential, Failed, FailureCode, Limits, Request};
use super::super::refs::advertisement::Advertisement;
use super::super::refs::ls_refs::{self, Server};
use super::super::text::printable;
use super::meter::{Meter, too_slow};
use super::resolver::ForbiddenAddress;
use super::route::{Route, RouteError};

const MOST_REDIRECTS: usize = 3;
/// Some forges answer only what looks like git.
const USER_AGENT: &str = concat!("git/2.0 (cargoman ", env!("CARGO_PKG_VERSION"), ")");
/// Says which version of the protocol is understood. Never with what libgit2 asks.
const PROTOCOL: &str = "git-protocol";
const VERSION_2: &str = "version=2";
/// How long one read may wait; the rate is checked on top.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A git server, asked over HTTP.
pub(in crate::git) struct HttpRemote {
    client: Client,
    base: Url,
    through_proxy: bool,
    credential: Option<Credential>,
    limits: Limits,
    deadline: Instant,
    /// Bytes of packs received so far, over all answers.
    received: Arc<AtomicU64>,
}

impl HttpRemote {
    /// A client for the repository at `base`, which has passed the rules for addresses.
    pub(in crate::git) fn new(base: Url, request: &Request, allowed: AllowedHosts) -> Result<Self> {
        if matches!(request.credential, Some(Credential::SshKey { .. })) {
            return Err(Failed::new(
                FailureCode::Request,
                "the repository's credential is a key for ssh, and its address is not",
                "give it a credential of the kind https, or its ssh address",
            ));
        }
        let route = Route::to(&base, &request.network, allowed).map_err(no_route)?;
        let limits = request.limits.clone();
        let client = Client::builder()
            .tls_backend_preconfigured(route.tls)
            .dns_resolver(Arc::new(route.resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(Duration::from_secs(limits.connect_seconds))
            .timeout(READ_TIMEOUT.min(Duration::from_secs(limits.network_seconds)));
        let client = match &route.proxy {
            Some(proxy) => reqwest::Proxy::all(proxy.expose().clone()).map(|proxy| client.proxy(proxy)),
            None => Ok(client),
        };
        let client = client
            .and_then(reqwest::blocking::ClientBuilder::build)
            .map_err(|error| Failed::machine("making the HTTP client", error))?;
        let deadline = Instant::now() + Duration::from_secs(limits.network_seconds);
        Ok(Self {
            client,
            base,
            through_proxy: route.proxy.is_some(),
            credential: request.credential.clone(),
            limits,
            deadline,
            received: Arc::default(),
        })
    }

    /// The repository's address, after redirects.
    pub(in crate::git) fn base(&self) -> &Url {
        &self.base
    }

    /// Branches, tags and HEAD: by prefix where the server speaks version 2 of the protocol, else out of all refs it has.
    pub(in crate::git) fn list(&mut self) -> Result<Advertisement> {
        let body = self.advertisement()?;
        let Some(server) = Server::parse(&body)? else { return Advertisement::parse(&body, &self.limits) };
        let request = self.client.post(self.address("git-upload-pack")).body(server.question());
        let request = request
            .header(PROTOCOL, VERSION_2)
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result");
        let response = self.send(request)?;
        if response.status().is_redirection() {
            return Err(redirect_refused("in the middle of a conversation"));
        }
        let response = self.check(response, "application/x-git-upload-pack-result")?;
        ls_refs::parse(&self.bounded(response)?, &self.limits)
    }

    /// The body of `GET info/refs`. A redirect within the origin moves the repository's address for what follows.
    fn advertisement(&mut self) -> Result<Vec<u8>> {
        for _ in 0..=MOST_REDIRECTS {
            let mut url = self.address("info/refs");
            url.set_query(Some("service=git-upload-pack"));
            let response =
                self.send(self.client.get(url.clone()).header(CACHE_CONTROL, "no-cache").header(PROTOCOL, VERSION_2))?;
            if response.status().is_redirection() {
                self.base = redirected(&url, response.headers())?;
                continue;
            }
            let response = self.check(response, "application/x-git-upload-pack-advertisement")?;
            return self.bounded(response);
        }
        Err(redirect_refused("more than three times"))
    }

    /// A list of refs, whole.
    fn bounded(&self, response: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let bound = self.limits.advertisement_bytes;
        let mut reader = Metered::new(response, self, None).take(bound + 1);
        reader.read_to_end(&mut body).map_err(|error| self.read_failure(&error))?;
        if body.len() as u64 > bound {
            return Err(Failed::limit(format!("the repository's list of refs is larger than {} MiB", bound >> 20)));
        }
        Ok(body)
    }

    /// Sends one negotiation round; the answer is read by libgit2.
    pub(in crate::git) fn upload_pack(&self, body: Vec<u8>) -> Result<impl Read + Send + use<>> {
        let request = self.client.post(self.address("git-upload-pack")).body(body);
        let request = request
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result");
        let response = self.send(request)?;
        if response.status().is_redirection() {
            return Err(redirect_refused("in the middle of a conversation"));
        }
        let response = self.check(response, "application/x-git-upload-pack-result")?;
        Ok(Metered::new(response, self, Some((Arc::clone(&self.received), self.limits.pack_bytes))))
    }

    fn address(&self, below: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{below}", self.base.path().trim_end_matches('/')));
        url
    }

    fn send(&self, request: RequestBuilder) -> Result<Response> {
        if Instant::now() >= self.deadline {
            return Err(self.too_slow());
        }
        let request = match &self.credential {
            Some(Credential::Basic { username, password }) => request.basic_auth(username, Some(password)),
            Some(Credential::SshKey { .. }) | None => request,
        };
        request.send().map_err(|error| self.send_failure(&error))
    }

    fn check(&self, response: Response, content_type: &str) -> Result<Response> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.status_failure(status));
        }
        let found = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if found.split(|byte| *byte == b';').next().is_none_or(|found| found.trim_ascii() != content_type.as_bytes()) {
            return Err(Failed::protocol(format_args!("its answer has the type `{}`", printable(found))));
        }
        Ok(response)
    }

    fn status_failure(&self, status: StatusCode) -> Failed {
        let host = self.base.host_str().unwrap_or("");
        match status.as_u16() {
            401 | 403 if self.credential.is_some() => Failed::new(
                FailureCode::Authentication,
                format!("{host} does not accept the repository's credential (HTTP {status})"),
                "give the repository a credential that may read it; access tokens expire",
            ),
            401 | 403 => Failed::new(
                FailureCode::Authentication,
                format!("{host} asks for a credential (HTTP {status})"),
                "give the repository a credential (user name and access token) that may read it",
            ),
            404 | 410 => Failed::new(
                FailureCode::NotFound,
                format!("{host} knows no repository at {} (HTTP {status})", self.base.path()),
                "check `repository_url`; many servers also say this when the credential may not see a private repository",
            ),
            _ => Failed::new(
                FailureCode::Unreachable,
                format!("{host} answered with HTTP {status}"),
                "look at the server, and sync it again once it answers",
            ),
        }
    }

    fn send_failure(&self, error: &reqwest::Error) -> Failed {
        let host = self.base.host_str().unwrap_or("");
        let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        if let Some(forbidden) = chain.clone().find_map(|error| error.downcast_ref::<ForbiddenAddress>()) {
            return self::forbidden(forbidden);
        }
        // The innermost error says what happened; the outer ones repeat the address.
        let cause = chain.last().map_or_else(String::new, |error| printable(error.to_string().as_bytes()));
        let what = if error.is_timeout() {
            "did not answer in time".to_owned()
        } else {
            format!("cannot be reached: {cause}")
        };
        let way = if self.through_proxy { " through the proxy" } else { "" };
        Failed::new(
            FailureCode::Unreachable,
            format!("{host} {what}{way}"),
            "check the host in `repository_url`, and sync it again once it can be reached",
        )
    }

    fn too_slow(&self) -> Failed {
        too_slow(&self.limits)
    }

    /// A failure of a body that was being read, as it came out of [`Metered`].
    pub(in crate::git) fn read_failure(&self, error: &io::Error) -> Failed {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Failed>()) {
            Some(failed) => failed.clone(),
            None => Failed::new(
                FailureCode::Unreachable,
                format!(
                    "the connection to {} broke: {}",
                    self.base.host_str().unwrap_or(""),
                    printable(error.to_string().as_bytes())
                ),
                "look at the server and the network, and sync it again once they hold",
            ),
        }
    }
}

fn no_route(error: RouteError) -> Failed {
    match error {
        RouteError::Forbidden(error) => forbidden(&error),
        RouteError::Trust(error) => Failed::new(
            FailureCode::Request,
            error.to_string(),
            "correct trust.ca_files in the configuration of the control plane",
        ),
    }
}

fn forbidden(error: &ForbiddenAddress) -> Failed {
    Failed::new(
        FailureCode::ForbiddenAddress,
        format!("repository_url: {error}"),
        "use a host with public addresses, or ask the operator of this registry to list it in allowed_hosts",
    )
}

fn redirect_refused(how: &str) -> Failed {
    Failed::new(
        FailureCode::Redirect,
        format!("the remote redirects {how}, which is not followed"),
        "give the address it leads to as `repository_url`",
    )
}

/// The repository's new address, when a redirect of info/refs stays within the origin.
fn redirected(from: &Url, headers: &HeaderMap) -> Result<Url> {
    let target = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| redirect_refused("without an address"))?;
    let mut url = from.join(target).map_err(|_| redirect_refused("to an address that cannot be read"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(redirect_refused("to an address with a credential"));
    }
    if url.origin() != from.origin() {
        return Err(redirect_refused("to another scheme, host or port"));
    }
    let Some(base) = url.path().strip_suffix("/info/refs").map(str::to_owned) else {
        return Err(redirect_refused("to something that is no repository (perhaps a login page)"));
    };
    url.set_path(&base);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// A body that is read under a [`Meter`].
struct Metered {
    body: Response,
    meter: Meter,
}

impl Metered {
    fn new(body: Response, remote: &HttpRemote, bound: Option<(Arc<AtomicU64>, u64)>) -> Self {
        let mut meter = Meter::new(remote.limits.clone(), remote.deadline);
        meter.bound = bound;
        Self { body, meter }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match self.body.read(buffer) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) => return Err(io::Error::other(too_slow(&self.meter.limits))),
            Err(error) => return Err(error),
        };
        if length > 0 {
            self.meter.count(Instant::now(), length as u64).map_err(io::Error::other)?;
        }
        Ok(length)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
        || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<reqwest::Error>())
            .is_some_and(reqwest::Error::is_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G-N4, G-N5.
    #[test]
    fn redirects_stay_within_the_origin() {
        let from = Url::parse("https://h.example/a/info/refs?service=git-upload-pack").unwrap();
        for (target, expected) in [
            ("https://h.example/b.git/info/refs?service=git-upload-pack", Some("https://h.example/b.git")),
            ("/c.git/info/refs", Some("https://h.example/c.git")),
            ("https://h.example:443/b/info/refs", Some("https://h.example/b")),
            ("https://other.example/a/info/refs", None),
            ("http://h.example/a/info/refs", None),
            ("https://h.example:8443/a/info/refs", None),
            ("//other.example/a/info/refs", None),
            ("https://u:p@h.example/a/info/refs", None),
            ("https://169.254.169.254/a/info/refs", None),
            ("/login", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, target.parse().unwrap())]);
            let found = redirected(&from, &headers);
            assert_eq!(found.as_ref().map(Url::as_str).ok(), expected, "{target}");
            if expected.is_none() {
                assert_eq!(found.unwrap_err().code, FailureCode::Redirect, "{target}");
            }
        }
    }

    /// G-N3: the rules for addresses have let a name through; what it resolves to is checked all the same.
    #[test]
    fn a_name_that_leads_inside() {
        let text = r#"{"mode":"sync","repository_url":"https://x","mirror":"/m","output":"/o"}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let base = Url::parse("https://localhost/a").unwrap();
        let failed = HttpRemote::new(base, &request, AllowedHosts::default()).unwrap().advertisement().unwrap_err();
        assert_eq!(failed.code, FailureCode::ForbiddenAddress, "{failed:?}");
        assert!(failed.message.starts_with("repository_url: localhost leads to the address "), "{failed:?}");
    }
}
