//! The words of the product as types, and the rules that need neither database nor network.

pub mod access;
pub mod branches;
pub mod collection;
pub mod credential;
pub mod customer;
pub mod deletion;
pub mod forge_group;
pub mod freeze;
pub mod git_credential;
pub mod grant;
pub mod id;
pub mod job;
pub mod monorepo;
pub mod package;
pub mod releases;
pub mod repository_key;
pub mod tenant;
pub mod text;
pub mod words;
