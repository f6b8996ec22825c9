//! Limits requests by token, requests without a token by address, and failed logins by address.
//!
//! Composer is answered 503, which it tries again after a moment; a 429 ends a whole `composer install` at once. Everybody else gets 429.
//! A good token is never refused for what others behind its address do: many CI jobs share one. Counting takes constant memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cargoman_credential::Digest;
use http::StatusCode;
use pingora_limits::rate::Rate;
use serde::Deserialize;
use toml::Table;

use crate::connection::network;
use crate::plugin::{Context, Plugin, PluginRefusal, ReplyHead, RequestView, Verdict, settings};
use crate::request::target::is_of_composer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    requests_per_second: u32,
    failures_per_minute: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { requests_per_second: 200, failures_per_minute: 60 }
    }
}

struct RateLimit {
    settings: Settings,
    requests: Rate,
    failures: Rate,
}

/// Whose requests are counted together.
#[derive(Hash)]
enum Subject<'a> {
    Token(&'a Digest),
    /// An address, or the network that an IPv6 client has at his hands.
    Network(IpAddr),
}

/// Makes the plugin.
///
/// # Errors
/// When a limit is 0.
pub fn build(table: &Table) -> Result<Arc<dyn Plugin>, String> {
    Ok(Arc::new(RateLimit::new(settings(table)?)?))
}

impl RateLimit {
    fn new(settings: Settings) -> Result<Self, String> {
        if settings.requests_per_second == 0 || settings.failures_per_minute == 0 {
            return Err("a limit of 0 would refuse everyone: take the plugin out instead".to_owned());
        }
        let counter = |seconds| Rate::new_with_estimator_config(Duration::from_secs(seconds), 4, 64 << 10);
        Ok(Self { settings, requests: counter(1), failures: counter(60) })
    }
}

impl Plugin for RateLimit {
    fn on_request(&self, request: &RequestView<'_>, _: &mut Context) -> Verdict {
        let subject = request.token.map_or_else(|| Subject::of(request.client), Subject::Token);
        let count = self.requests.observe(&subject, 1);
        match count > limit(self.settings.requests_per_second) {
            true => Verdict::Refuse(refusal(request, "Too many requests. Try again in a second.", 1)),
            false => Verdict::Continue,
        }
    }

    fn on_reply(&self, request: &RequestView<'_>, _: &mut Context, reply: &mut ReplyHead) {
        if reply.status != StatusCode::UNAUTHORIZED {
            return;
        }
        let count = self.failures.observe(&Subject::of(request.client), 1);
        if count > limit(self.settings.failures_per_minute) {
            reply.instead =
                Some(refusal(request, "Too many requests without a valid token. Try again in a minute.", 60));
        }
    }
}

impl Subject<'_> {
    fn of(client: IpAddr) -> Self {
        Self::Network(network(client.to_canonical()))
    }
}

fn limit(setting: u32) -> isize {
    isize::try_from(setting).unwrap_or(isize::MAX)
}

fn refusal(request: &RequestView<'_>, words: &str, retry_after: u32) -> PluginRefusal {
    let status = match is_of_composer(request.path.as_bytes()) {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::TOO_MANY_REQUESTS,
    };
    PluginRefusal { status, words: words.to_owned(), retry_after: Some(retry_after) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn view<'a>(client: &str, token: Option<&'a Digest>, headers: &'a HeaderMap) -> RequestView<'a> {
        RequestView {
            method: &Method::GET,
            host: "h",
            path: "/",
            client: client.parse().unwrap(),
            tenant: None,
            token,
            headers,
        }
    }

    /// How many of `count` requests pass. A window may end in between, so that up to twice the limit can.
    fn passing(plugin: &RateLimit, count: u32, client: impl Fn(u32) -> String, token: Option<&Digest>) -> u32 {
        let headers = HeaderMap::new();
        let pass = |number: &u32| {
            matches!(
                plugin.on_request(&view(&client(*number), token, &headers), &mut Context::default()),
                Verdict::Continue
            )
        };
        u32::try_from((0..count).filter(pass).count()).unwrap()
    }

    fn limited(requests_per_second: u32) -> RateLimit {
        RateLimit::new(Settings { requests_per_second, failures_per_minute: 5 }).unwrap()
    }

    /// E-L3, E-L4.
    #[test]
    fn subjects() {
        let same = |_: u32| "192.0.2.1".to_owned();
        assert!((10..=20).contains(&passing(&limited(10), 1_000, same, None)));
        let one_network = |number: u32| format!("2001:db8:0:1::{number:x}");
        assert!((10..=20).contains(&passing(&limited(10), 1_000, one_network, None)));
        let many_networks = |number: u32| format!("2001:db8:0:{number:x}::1");
        assert_eq!(passing(&limited(10), 1_000, many_networks, None), 1_000);
        // Behind one address: an anonymous flood does not count against a token, nor one token against another.
        let plugin = limited(10);
        passing(&plugin, 1_000, same, None);
        passing(&plugin, 1_000, same, Some(&Digest::of(b"one")));
        assert_eq!(passing(&plugin, 10, same, Some(&Digest::of(b"two"))), 10);
    }

    /// E-L5: only the failures themselves are answered otherwise.
    #[test]
    fn failures() {
        let plugin = limited(1_000);
        let headers = HeaderMap::new();
        let reply = |status, path| {
            let mut reply = ReplyHead { status, set: HeaderMap::new(), instead: None };
            plugin.on_reply(
                &RequestView { path, ..view("192.0.2.1", None, &headers) },
                &mut Context::default(),
                &mut reply,
            );
            reply.instead.map(|refusal| refusal.status.as_u16())
        };
        let refused = (0..100).filter(|_| reply(StatusCode::UNAUTHORIZED, "/api/v1/me") == Some(429)).count();
        assert!((90..=95).contains(&refused), "{refused}");
        assert_eq!(reply(StatusCode::UNAUTHORIZED, "/packages.json"), Some(503));
        assert_eq!(reply(StatusCode::OK, "/packages.json"), None);
    }

    /// E-L7: as many addresses and tokens as anybody likes take no more room than a few.
    #[test]
    fn memory_is_bounded() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
        };
        let (plugin, headers) = (limited(10), HeaderMap::new());
        let before = resident();
        for number in 0..1_000_000_u32 {
            let token = (number % 2 == 0).then(|| Digest::of(&number.to_be_bytes()));
            let client = std::net::Ipv4Addr::from_bits(number).to_string();
            plugin.on_request(&view(&client, token.as_ref(), &headers), &mut Context::default());
        }
        // Other tests of this process take some too.
        assert!(resident() < before + (64 << 20), "{} bytes more", resident() - before);
    }

    #[test]
    fn settings_are_checked() {
        for (text, good) in
            [("", true), ("requests_per_second = 1", true), ("failures_per_minute = 0", false), ("burst = 3", false)]
        {
            assert_eq!(build(&toml::from_str(text).unwrap()).is_ok(), good, "{text}");
        }
    }
}
