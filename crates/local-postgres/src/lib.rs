//! A private PostgreSQL cluster, run from the binaries that are installed on the machine.
//!
//! `cargoman up` and the tests use it: one folder holds the cluster, one call starts it, one stops it. It decides
//! which binaries fit the cluster, as which user they run, where the socket lies, and what to do with what an
//! earlier crash left behind. It never listens on a network address, never downloads anything, never runs
//! PostgreSQL as root and never starts two servers on one folder.
//!
//! # Who may connect
//! Every local connection is trusted, without a password: what guards the database is the socket's directory,
//! which only its owner (and root) may enter (mode 0700). A password would have to lie in a file with the same
//! protection, so it would add a secret but no wall. There is no TCP listener that could be reached otherwise.
//!
//! # When the program dies
//! The server is a direct child in a process group of its own, so that Ctrl-C in a terminal reaches the program
//! first, which then stops the server in order. If the program itself is killed (`kill -9`), the server lives on
//! as an orphan; the lock on the folder is released by the kernel, and the next [`LocalPostgres::start`] stops the
//! orphan cleanly before it starts its own. Linux' parent-death signal is not used: it fires when the *thread*
//! that spawned the child ends, which would stop databases of programs that are alive and well.
//!
//! # Files beside the data folder `DIR/postgres`
//! `postgres.lock` (held while a program owns the folder, holds its pid), `postgres.log` and older
//! `postgres.log.1`, `postgres.socket/`, and for moments `postgres.new/` (a cluster being made).

mod account;
mod binaries;
mod cluster;
mod create;
mod database;
mod error;
mod left_over;
mod lock;
mod log;
mod process;
mod settings;
mod socket;

pub use binaries::client_program;
pub use cluster::LocalPostgres;
pub use error::{StartError, StopError};
pub use left_over::{Running, running, stop_running};
pub use settings::{Durability, Settings};
