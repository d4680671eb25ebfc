//! The real binary, real sockets and real clients: each test starts a server of its own at a port
//! that the kernel picks.
//!
//! `harness` runs servers and clients; every other module is about what its name says. The guests
//! are plugins/*.wasm, which `make guests` builds, and tests/guests/*.wat.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod admission;
mod bad_input;
mod command_line;
mod drain;
mod exits;
mod facts;
mod http;
mod isolation;
mod limits;
mod plugins;
mod receipts;
mod reload;
mod start;
mod systemd;
mod tls;
mod unix;

/// What a test gives, so that it can use `?`.
type TestResult = anyhow::Result<()>;
