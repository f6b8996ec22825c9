//! What operators see of the edge: one line per request, numbers, and whether it is alive and ready.

pub(crate) mod access_log;
pub mod counters;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod panics;
pub(crate) mod traces;
