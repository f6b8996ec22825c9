//! The control plane from the outside: its two routers over a real database, a real storage folder and the real git worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod edge_api;
mod fixture;
mod jobs;
mod migrations;
mod rest_credentials;
mod rest_customers;
mod rest_grants;
mod rest_hostile;
mod rest_idempotency;
mod rest_me;
mod rest_packages;
mod rest_tenants;
mod rest_tokens;
mod rest_upload;
mod rest_upload_zips;
mod rest_versions;
mod routes;
mod row_level_security;
mod secrets;
mod serving;
mod zip;
