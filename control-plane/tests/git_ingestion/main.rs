//! Git ingestion against real repositories: made by the `git` program, read by the worker, compared with what git says.

mod archives;
mod child;
mod failures;
mod http;
mod repository;
mod run;
mod server;
mod versions;
