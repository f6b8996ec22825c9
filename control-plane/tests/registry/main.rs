//! The control plane from the outside: its two routers over a real database, a real storage folder and the real git worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod database_away;
mod dists;
mod edge_api;
mod edge_licences;
mod fixture;
mod jobs;
mod licence_facts;
mod link;
mod link_edge;
mod link_edges;
mod link_propagation;
mod link_restore;
mod migrations;
mod rest_audit;
mod rest_collections;
mod rest_credentials;
mod rest_customers;
mod rest_deletions;
mod rest_effect;
mod rest_explain;
mod rest_freeze;
mod rest_grants;
mod rest_grants_of_collections;
mod rest_hostile;
mod rest_idempotency;
mod rest_me;
mod rest_packages;
mod rest_settings;
mod rest_subscriptions;
mod rest_tenants;
mod rest_tokens;
mod rest_upload;
mod rest_upload_zips;
mod rest_versions;
mod routes;
mod row_level_security;
mod secrets;
mod serving;
mod transactions;
mod usage;
mod zip;
