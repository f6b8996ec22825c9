//! Asks the API of a forge, and nobody else: checked addresses, one origin, no redirects, bounded time and size. What is sent along as a
//! credential goes into one header of the request and into nothing that is shown.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK, RETRY_AFTER, USER_AGENT};
use reqwest::{Response, StatusCode};
use url::Url;

use super::error::Kind;
use super::{Answer, Dialect, ForgeError, Question};
use crate::git::address::AllowedHosts;
use crate::git::network::Network;
use crate::git::protocol::Credential;
use crate::git::transport::resolver::ForbiddenAddress;
use crate::git::transport::route::{Route, RouteError};
use crate::secrets::SecretBytes;

const AGENT: &str = concat!("cargoman/", env!("CARGO_PKG_VERSION"));
const WHOLE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// A page of a list is some hundred KiB.
const LARGEST: usize = 8 << 20;
/// Of what a forge says about a refusal.
const LONGEST_REASON: usize = 200;

/// What a question proves itself with.
pub enum Proof {
    /// A user and a password or token.
    Basic(String, SecretBytes),
    /// A token.
    Bearer(SecretBytes),
    /// A token as Gitea wants it.
    Token(SecretBytes),
}

impl Proof {
    /// A git credential as the API wants it.
    ///
    /// # Errors
    /// When it is a key for ssh, which no API takes.
    pub fn of(dialect: Dialect, credential: Credential) -> Result<Self, ForgeError> {
        let Credential::Basic { username, password } = credential else {
            return Err(ForgeError::new(
                Kind::Refused,
                "the credential is a key for ssh, and the forge's API takes none",
                "give the group a credential of the kind https with an access token, and the key as `package_credential`",
            ));
        };
        let secret = SecretBytes::from(password);
        // Beside a token these are no users.
        let nobody = matches!(username.as_str(), "" | "git" | "x-token-auth" | "oauth2");
        Ok(match dialect {
            Dialect::Gitea => Self::Token(secret),
            Dialect::Github | Dialect::Gitlab => Self::Bearer(secret),
            Dialect::BitbucketCloud | Dialect::BitbucketDataCenter if nobody => Self::Bearer(secret),
            Dialect::BitbucketCloud | Dialect::BitbucketDataCenter => Self::Basic(username, secret),
        })
    }

    fn header(&self) -> Option<HeaderValue> {
        use base64::Engine as _;
        let text = match self {
            Self::Basic(user, secret) => {
                let pair = [user.as_bytes(), b":", secret.expose()].concat();
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Self::Bearer(secret) => format!("Bearer {}", secret.expose_text()?),
            Self::Token(secret) => format!("token {}", secret.expose_text()?),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// An API that may be asked.
pub struct Client {
    http: reqwest::Client,
    api: String,
    host: String,
    proof: HeaderValue,
    secret: SecretBytes,
}

impl Client {
    /// A client of the API at `api_url`, whose origin the credential is for.
    ///
    /// # Errors
    /// When the API may not be reached, or the credential cannot be sent.
    pub async fn new(network: &Network, api_url: &str, proof: &Proof) -> Result<Self, ForgeError> {
        let base = Url::parse(api_url).map_err(ForgeError::unreadable)?;
        let host = base.host_str().unwrap_or_default().to_owned();
        let allowed = AllowedHosts::parse(&network.allowed_hosts).map_err(ForgeError::unreadable)?;
        let network = network.clone();
        // The way may depend on a name's addresses.
        let route = tokio::task::spawn_blocking(move || Route::to(&base, &network, allowed));
        let route = route.await.map_err(|error| away(&host, error))?.map_err(no_route)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(route.tls)
            .dns_resolver(std::sync::Arc::new(route.resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(WHOLE);
        let http = match &route.proxy {
            Some(proxy) => reqwest::Proxy::all(proxy.expose().clone()).map(|proxy| http.proxy(proxy)),
            None => Ok(http),
        };
        let http = http.and_then(reqwest::ClientBuilder::build).map_err(|error| away(&host, error))?;
        let (Proof::Basic(_, secret) | Proof::Bearer(secret) | Proof::Token(secret)) = proof;
        let proof = proof.header().ok_or_else(|| {
            ForgeError::new(
                Kind::Refused,
                "the credential holds characters that no header can carry",
                "give it another secret",
            )
        })?;
        let secret = SecretBytes::new(secret.expose().to_vec());
        Ok(Self { http, api: api_url.trim_end_matches('/').to_owned(), host, proof, secret })
    }

    /// Asks; an answer with a good status.
    ///
    /// # Errors
    /// Whatever else came of it.
    pub async fn ask(&self, question: &Question) -> Result<Answer, ForgeError> {
        let request = self
            .http
            .request(question.method.clone(), format!("{}{}", self.api, question.path))
            .header(USER_AGENT, AGENT)
            .header("accept", question.accept)
            .header(AUTHORIZATION, self.proof.clone());
        let request = match &question.body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreached(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.whole(response).await?;
        if !status.is_success() {
            return Err(self.refused(status, &headers, &body));
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let links_next = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        let links_next = links_next.flat_map(|value| value.split(',')).any(|link| link.contains("rel=\"next\""));
        Ok(Answer { body, next_page: header("x-next-page"), links_next })
    }

    async fn whole(&self, mut response: Response) -> Result<Vec<u8>, ForgeError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreached(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(ForgeError::unreadable(format_args!("it is larger than {} MiB", LARGEST >> 20)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreached(&self, error: &reqwest::Error) -> ForgeError {
        let chain: Vec<&(dyn std::error::Error + 'static)> =
            std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source()).collect();
        if let Some(forbidden) = chain.iter().find_map(|error| error.downcast_ref::<ForbiddenAddress>()) {
            return no_route(RouteError::Forbidden(forbidden.clone()));
        }
        let cause = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            chain.last().map(ToString::to_string).unwrap_or_default()
        };
        away(&self.host, line(&cause))
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ForgeError {
        let host = &self.host;
        let spent = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        // A forge that repeats what it was told must not make it readable for everybody.
        let secret = self.secret.expose_text().unwrap_or_default();
        let reason = reason(body).filter(|reason| secret.is_empty() || !reason.contains(secret));
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let (kind, remedy) = match status.as_u16() {
            429 => (Kind::Limited, "it is asked again later"),
            403 if spent || headers.contains_key(RETRY_AFTER) => (Kind::Limited, "it is asked again later"),
            401 => (Kind::Refused, "give the group's credential another token; access tokens expire"),
            403 => {
                (Kind::Refused, "give the token the right to do this (to read projects and files, and to manage hooks)")
            }
            404 | 410 => (Kind::Missing, "check `url`; forges also say this when the token may not see it"),
            300..=399 => (Kind::Unreadable, "give the address it leads to; redirects are not followed"),
            500..=599 => (Kind::Away, "it is asked again later"),
            _ => (Kind::Unreadable, "check that the address is the forge's, and `type` and `api_url` too"),
        };
        ForgeError::new(kind, format!("{host} answers HTTP {}{reason}", status.as_u16()), remedy)
    }
}

/// What a forge says about a refusal: one line of text.
fn reason(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let found = ["/message", "/error/message", "/errors/0/message", "/error_description", "/error"]
        .into_iter()
        .find_map(|path| value.pointer(path)?.as_str())?;
    Some(line(found)).filter(|line| !line.is_empty())
}

fn line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST_REASON).collect()
}

fn away(host: &str, error: impl std::fmt::Display) -> ForgeError {
    ForgeError::new(
        Kind::Away,
        format!("{host} cannot be reached: {error}"),
        "look at the forge and the network; it is asked again later",
    )
}

fn no_route(error: RouteError) -> ForgeError {
    let remedy = match error {
        RouteError::Forbidden(_) => {
            "use a host with public addresses, or ask the operator of this registry to list it in allowed_hosts"
        }
        RouteError::Trust(_) => "correct trust.ca_files in the configuration of the control plane",
    };
    ForgeError::new(Kind::Forbidden, error.to_string(), remedy)
}
