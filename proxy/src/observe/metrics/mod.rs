//! Metrics in the text form that Prometheus reads, on a listener of their own that is not for the public.
//!
//! Counts come from [`Counters`]; everything else is looked at when somebody asks. No label ever holds a tenant, a customer, a token
//! or a path: their number must not grow with the number of customers.

mod listener;
mod process;

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

pub(crate) use self::listener::Listener;
use super::counters::{CLASSES, Counters, Event, Outcome, Resource};
use crate::cache::memory::Memory;
use crate::connection::Open;
use crate::request::Parts;

/// What metrics are made of.
pub(crate) struct Sources {
    pub(crate) counters: Arc<Counters>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) open: Arc<Open>,
}

/// Them all.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    pub(crate) fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// The text.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        self.requests(&mut encoder)?;
        self.caches(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.link(&mut encoder)?;
        process::encode(&mut encoder)
    }
}

impl Sources {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let sums: Vec<_> = Resource::ALL.iter().map(|(resource, name)| (*name, self.counters.sum(*resource))).collect();
        let help = "Requests by what was asked for and what came of it";
        let mut family = encoder.encode_descriptor("cargoman_edge_requests", help, None, MetricType::Counter)?;
        for (route, sum) in &sums {
            for ((_, outcome), count) in Outcome::ALL.iter().zip(sum.outcomes).filter(|(_, count)| *count > 0) {
                let labels = [("route", *route), ("outcome", *outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "From the first look at a request until its answer was handed over";
        let name = "cargoman_edge_request_duration_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (route, sum) in &sums {
            let count = sum.classes.iter().sum::<u64>();
            if count == 0 {
                continue;
            }
            let bounds = CLASSES.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(sum.classes).collect();
            let seconds = sum.microseconds as f64 / 1e6;
            family
                .encode_family(&[("route", *route)])?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        let help = "Bytes of bodies that were sent";
        let mut family = encoder.encode_descriptor("cargoman_edge_sent_bytes", help, None, MetricType::Counter)?;
        for (route, sum) in sums.iter().filter(|(_, sum)| sum.bytes > 0) {
            family.encode_family(&[("route", *route)])?.encode_counter::<NoLabelSet, _, u64>(&sum.bytes, None)?;
        }
        Ok(())
    }

    fn caches(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let count = |event| self.counters.events(event);
        let facts = [("memory", count(Event::FactsKnown)), ("control_plane", count(Event::FactsAsked))];
        counters(encoder, "cargoman_edge_facts", "Requests by where their facts came from", "from", &facts)?;
        let documents = [
            ("rendered", count(Event::Rendered)),
            ("recoded", count(Event::Recoded)),
            ("root", count(Event::RootMade)),
        ];
        counters(encoder, "cargoman_edge_documents", "Documents that were not there and were made", "how", &documents)?;
        let dists = [
            ("disk", count(Event::DistThere)),
            ("control_plane", count(Event::DistFetched)),
            ("nowhere", count(Event::DistMissing)),
        ];
        counters(encoder, "cargoman_edge_dists", "Archives by where they came from", "from", &dists)?;
        let kinds = self.memory.taken();
        gauges(encoder, "cargoman_edge_memory_bytes", "Memory taken by what is kept, as counted", "kind", &kinds)?;
        let disk = [("dists", self.parts.dists.bytes()), ("spool", self.parts.spool.bytes())];
        gauges(encoder, "cargoman_edge_disk_bytes", "Disk taken by what is kept", "kind", &disk)?;
        let lost = [("uses", self.parts.spool.lost()), ("log_lines", self.parts.access_log.lost())];
        counters(encoder, "cargoman_edge_lost", "What could not be kept or written and was dropped", "what", &lost)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let count = |event| self.counters.events(event);
        gauge(encoder, "cargoman_edge_connections", "Open connections", &(self.open.count() as i64))?;
        let refused = [("too_many", count(Event::ConnectionRefused))];
        counters(encoder, "cargoman_edge_connections_refused", "Connections closed at once", "why", &refused)?;
        let handshakes = [("ok", count(Event::Handshake)), ("failed", count(Event::HandshakeFailed))];
        counters(encoder, "cargoman_edge_handshakes", "Handshakes of TLS", "outcome", &handshakes)?;
        let panics = [("any", count(Event::Panic))];
        counters(encoder, "cargoman_edge_panics", "Panics; tell us of any", "where", &panics)
    }

    fn link(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let (left, seq) = self.parts.reading.link();
        let help = "Until the lease ends; below zero it is over, and tenants are served as they chose";
        gauge(encoder, "cargoman_edge_lease_seconds", help, &left)?;
        let help = "Number of the last event of the control plane that was heard; compare edges with each other";
        gauge(encoder, "cargoman_edge_link_event", help, &seq)
    }
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> std::fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        family.encode_family(&[(label, *value)])?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> std::fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in values {
        family.encode_family(&[(label, *value)])?.encode_gauge(&i64::try_from(*count).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeGaugeValue,
) -> std::fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
}
