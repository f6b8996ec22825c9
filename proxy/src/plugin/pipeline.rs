//! Which plugins run for a request, and in which order. Decided from configuration once; a request only walks a slice.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Context, Outcome, Plugin, Registry, ReplyHead, RequestView, Verdict};
use crate::config::PluginEntry;

struct Entry {
    plugin: Arc<dyn Plugin>,
    tenants: Box<[String]>,
    listeners: Box<[SocketAddr]>,
}

/// The plugins of one edge.
#[derive(Default)]
pub struct Plugins {
    entries: Box<[Entry]>,
}

/// When a plugin is asked about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was looked up yet: those for every tenant.
    Arrival,
    /// The tenant is known: those for it alone.
    Tenant,
}

impl Plugins {
    /// Makes the plugins of a configuration.
    ///
    /// # Errors
    /// With one line per entry that is wrong.
    pub fn build(entries: &[PluginEntry], registry: &Registry) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut built = Vec::with_capacity(entries.len());
        for entry in entries {
            let made = match registry.get(entry.name.as_str()) {
                Some(build) => build(&entry.settings),
                None => {
                    let known: Vec<&str> = registry.keys().copied().collect();
                    Err(format!("there is no such plugin; known are {}", known.join(", ")))
                }
            };
            match made {
                Ok(plugin) => built.push(Entry {
                    plugin,
                    tenants: entry.tenants.clone().into(),
                    listeners: entry.listeners.clone().into(),
                }),
                Err(wrong) => problems.push(format!("plugins `{}`: {wrong}", entry.name)),
            }
        }
        if problems.is_empty() { Ok(Self { entries: built.into() }) } else { Err(problems) }
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first verdict that is not `Continue`.
    pub(crate) fn on_request(
        &self,
        stage: Stage,
        listener: Option<SocketAddr>,
        request: &RequestView<'_>,
        context: &mut Context,
    ) -> Verdict {
        for entry in self.entries.iter().filter(|entry| entry.is_for(listener, request.tenant)) {
            if entry.tenants.is_empty() != (stage == Stage::Arrival) {
                continue;
            }
            match entry.plugin.on_request(request, context) {
                Verdict::Continue => {}
                verdict => return verdict,
            }
        }
        Verdict::Continue
    }

    pub(crate) fn on_reply(
        &self,
        listener: Option<SocketAddr>,
        request: &RequestView<'_>,
        context: &mut Context,
        reply: &mut ReplyHead,
    ) {
        for entry in self.entries.iter().filter(|entry| entry.is_for(listener, request.tenant)) {
            entry.plugin.on_reply(request, context, reply);
        }
    }

    pub(crate) fn on_done(
        &self,
        listener: Option<SocketAddr>,
        request: &RequestView<'_>,
        context: &mut Context,
        outcome: &Outcome,
    ) {
        for entry in self.entries.iter().filter(|entry| entry.is_for(listener, request.tenant)) {
            entry.plugin.on_done(request, context, outcome);
        }
    }
}

impl Entry {
    fn is_for(&self, listener: Option<SocketAddr>, tenant: Option<&str>) -> bool {
        let same = |own: &SocketAddr, asked: SocketAddr| {
            own.port() == asked.port() && (own.ip() == asked.ip() || own.ip().is_unspecified())
        };
        let on_listener = self.listeners.is_empty()
            || listener.is_some_and(|asked| self.listeners.iter().any(|own| same(own, asked)));
        let for_tenant =
            self.tenants.is_empty() || tenant.is_some_and(|tenant| self.tenants.iter().any(|own| own == tenant));
        on_listener && for_tenant
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, Method};
    use toml::Table;

    use super::*;

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    struct Named(String);

    impl Plugin for Named {
        fn on_request(&self, _: &RequestView<'_>, _: &mut Context) -> Verdict {
            SEEN.lock().unwrap().push(self.0.clone());
            Verdict::Continue
        }
    }

    fn named(settings: &Table) -> Result<Arc<dyn Plugin>, String> {
        Ok(Arc::new(Named(settings["as"].as_str().unwrap().to_owned())))
    }

    fn entry(name: &str, tenants: &[&str], listeners: &[&str]) -> PluginEntry {
        PluginEntry {
            name: "named".to_owned(),
            tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
            listeners: listeners.iter().map(|listener| listener.parse().unwrap()).collect(),
            settings: toml::from_str(&format!("as = \"{name}\"")).unwrap(),
        }
    }

    #[test]
    fn order_tenants_and_listeners() {
        let entries = [
            entry("acme only", &["acme"], &[]),
            entry("all", &[], &[]),
            entry("other only", &["other"], &[]),
            entry("port 1", &[], &["0.0.0.0:1"]),
            entry("port 2", &[], &["127.0.0.1:2"]),
        ];
        let plugins = Plugins::build(&entries, &Registry::from([("named", named as super::super::Build)])).unwrap();
        let headers = HeaderMap::new();
        let mut view = RequestView {
            method: &Method::GET,
            host: "h",
            path: "/",
            client: [127, 0, 0, 1].into(),
            tenant: None,
            token: None,
            headers: &headers,
        };
        let listener = Some("127.0.0.1:1".parse().unwrap());
        plugins.on_request(Stage::Arrival, listener, &view, &mut Context::default());
        view.tenant = Some("acme");
        plugins.on_request(Stage::Tenant, listener, &view, &mut Context::default());
        assert_eq!(*SEEN.lock().unwrap(), ["all", "port 1", "acme only"]);
    }

    #[test]
    fn wrong_entries_are_all_named() {
        let mut wrong = entry("x", &[], &[]);
        wrong.name = "nothing".to_owned();
        let mut settings = entry("x", &[], &[]);
        settings.name = "ip-allow-list".to_owned();
        let problems = Plugins::build(&[wrong, settings], &super::super::registry()).err().unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("no such plugin") && problems[1].contains("as"), "{problems:?}");
    }
}
