//! The words of the product as types, and the rules that need neither database nor network.

pub mod access;
pub mod credential;
pub mod customer;
pub mod id;
pub mod job;
pub mod package;
pub mod tenant;
pub mod text;
