//! Decides what a git repository holds for Composer: which refs are versions, what each version says, and the exact bytes of
//! its dist.
//!
//! The work is done in a child process (`cargoman git-worker`, [`worker`]): C code and hostile repositories cannot crash, stop or
//! slow what serves. [`child`] is the parent's side of the pipe, [`protocol`] what travels through it. This module must never
//! write to the database, never run the `git` program, and never check out a tree.

pub mod account;
pub mod address;
mod archive;
mod attributes;
pub mod child;
pub mod demo_repository;
mod failure;
mod limits;
mod manifest;
mod members;
mod mirror;
pub mod network;
mod object;
pub mod origin;
mod plan;
pub mod protocol;
mod refs;
mod text;
pub(crate) mod transport;
pub mod url;
pub mod worker;
