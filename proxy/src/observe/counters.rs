//! Numbers that only grow, for whoever watches an edge.
//!
//! They are counted at every request, so they cost next to nothing: each thread that serves has a place of its own, as far as places
//! go, and sums are made when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Resource {
    /// What could not be read, or was refused before its path mattered.
    #[default]
    Unread,
    Root,
    Package,
    Dist,
    List,
    Search,
    Providers,
    Installs,
    PassedOn,
    Health,
    Nowhere,
}

impl Resource {
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::Unread, "unread"),
        (Self::Root, "root"),
        (Self::Package, "package"),
        (Self::Dist, "dist"),
        (Self::List, "list"),
        (Self::Search, "search"),
        (Self::Providers, "providers"),
        (Self::Installs, "installs"),
        (Self::PassedOn, "passed_on"),
        (Self::Health, "health"),
        (Self::Nowhere, "nowhere"),
    ];

    /// As it is called in metrics and traces.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(resource, _)| *resource == self).map_or("", |(_, name)| name)
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    NotModified,
    Redirected,
    Unauthorized,
    Forbidden,
    NotFound,
    /// Any other fault of the client's.
    Refused,
    TooMany,
    Unavailable,
    /// Any other fault of ours.
    Failed,
    /// No answer was written.
    Broken,
}

impl Outcome {
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::Ok, "ok"),
        (Self::NotModified, "not_modified"),
        (Self::Redirected, "redirected"),
        (Self::Unauthorized, "unauthorized"),
        (Self::Forbidden, "forbidden"),
        (Self::NotFound, "not_found"),
        (Self::Refused, "refused"),
        (Self::TooMany, "too_many"),
        (Self::Unavailable, "unavailable"),
        (Self::Failed, "failed"),
        (Self::Broken, "broken"),
    ];

    pub(crate) fn of(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16()) {
            None => Self::Broken,
            Some(304) => Self::NotModified,
            Some(300..400) => Self::Redirected,
            Some(401) => Self::Unauthorized,
            Some(403) => Self::Forbidden,
            Some(404) => Self::NotFound,
            Some(429) => Self::TooMany,
            Some(400..500) => Self::Refused,
            Some(503) => Self::Unavailable,
            Some(500..) => Self::Failed,
            Some(_) => Self::Ok,
        }
    }
}

/// Things that happen beside requests, or within some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A document was rendered.
    Rendered,
    /// A document was made in a coding that few ask for.
    Recoded,
    /// A root file was made.
    RootMade,
    /// All facts for a request were there.
    FactsKnown,
    /// Some were asked for.
    FactsAsked,
    /// An archive lay on disk.
    DistThere,
    /// It was fetched.
    DistFetched,
    /// It could not be had.
    DistMissing,
    /// A connection was closed at once: there were too many.
    ConnectionRefused,
    /// A handshake of TLS succeeded.
    Handshake,
    /// A handshake of TLS failed.
    HandshakeFailed,
    /// Something panicked. Never a request's fault, and never to be seen.
    Panic,
}

impl Event {
    const COUNT: usize = 12;
}

/// Upper bounds of the classes of times, in microseconds; one more class is above all of them.
pub(crate) const CLASSES: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

const PLACES: usize = 16;

/// What an edge did since it started.
#[derive(Debug, Default)]
pub struct Counters {
    places: [Place; PLACES],
}

/// On cache lines of its own, so that threads do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    requests: [Requests; Resource::ALL.len()],
    events: [AtomicU64; Event::COUNT],
}

#[derive(Debug, Default)]
struct Requests {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    classes: [AtomicU64; CLASSES.len() + 1],
    microseconds: AtomicU64,
    bytes: AtomicU64,
}

/// The requests for one thing, summed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
    pub(crate) classes: [u64; CLASSES.len() + 1],
    pub(crate) microseconds: u64,
    pub(crate) bytes: u64,
}

impl Counters {
    /// Documents of packages that were rendered: one for each set of rights in use, and anew when its package changes. Where it
    /// grows with the number of customers, they do not share what they should, or the cache is too small.
    #[must_use]
    pub fn views_rendered(&self) -> u64 {
        self.events(Event::Rendered)
    }

    /// Root files that were made: as for documents, but anew when any package changes.
    #[must_use]
    pub fn roots_made(&self) -> u64 {
        self.events(Event::RootMade)
    }

    pub(crate) fn count(&self, event: Event) {
        if let Some(counter) = self.place().and_then(|place| place.events.get(event as usize)) {
            add(counter, 1);
        }
    }

    /// Counts a request that is over.
    pub(crate) fn request(&self, resource: Resource, status: Option<StatusCode>, bytes: u64, took: Duration) {
        let Some(requests) = self.place().and_then(|place| place.requests.get(resource as usize)) else { return };
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = CLASSES.partition_point(|bound| *bound < microseconds);
        if let Some(outcome) = requests.outcomes.get(Outcome::of(status) as usize) {
            add(outcome, 1);
        }
        if let Some(class) = requests.classes.get(class) {
            add(class, 1);
        }
        add(&requests.microseconds, microseconds);
        add(&requests.bytes, bytes);
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.places.iter().filter_map(|place| place.events.get(event as usize)).map(read).sum()
    }

    pub(crate) fn sum(&self, resource: Resource) -> Sum {
        let mut sum = Sum::default();
        for requests in self.places.iter().filter_map(|place| place.requests.get(resource as usize)) {
            sum.outcomes.iter_mut().zip(&requests.outcomes).for_each(|(sum, one)| *sum += read(one));
            sum.classes.iter_mut().zip(&requests.classes).for_each(|(sum, one)| *sum += read(one));
            sum.microseconds += read(&requests.microseconds);
            sum.bytes += read(&requests.bytes);
        }
        sum
    }

    fn place(&self) -> Option<&Place> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
        }
        PLACE.with(|place| self.places.get(*place))
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for (number, (resource, _)) in Resource::ALL.into_iter().enumerate() {
            assert_eq!(resource as usize, number);
        }
        for (number, (outcome, _)) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, number);
        }
        assert_eq!(Event::Panic as usize + 1, Event::COUNT);
    }

    #[test]
    fn outcomes() {
        for (status, expected) in [
            (200, Outcome::Ok),
            (206, Outcome::Ok),
            (304, Outcome::NotModified),
            (308, Outcome::Redirected),
            (401, Outcome::Unauthorized),
            (404, Outcome::NotFound),
            (416, Outcome::Refused),
            (429, Outcome::TooMany),
            (503, Outcome::Unavailable),
            (502, Outcome::Failed),
        ] {
            assert_eq!(Outcome::of(StatusCode::from_u16(status).ok()), expected, "{status}");
        }
        assert_eq!(Outcome::of(None), Outcome::Broken);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..1_000 {
                        counters.request(Resource::Root, Some(StatusCode::OK), 3, Duration::from_micros(number));
                        counters.count(Event::Rendered);
                    }
                });
            }
        });
        let sum = counters.sum(Resource::Root);
        assert_eq!((sum.bytes, sum.microseconds), (12_000, 4 * 499_500));
        assert_eq!(sum.outcomes.iter().sum::<u64>(), 4_000);
        // 0 to 50 are in the first class, its bound included.
        assert_eq!(sum.classes.first(), Some(&204));
        assert_eq!(sum.classes.iter().sum::<u64>(), 4_000);
        assert_eq!(counters.views_rendered(), 4_000);
        assert_eq!(counters.sum(Resource::Dist), Sum::default());
    }
}
