//! The real binary, and where it says so the library in this process; real sockets and real
//! clients. Each test starts a server of its own at a port that the kernel picks.
//!
//! `harness` runs servers and clients; every other module is about what its name says. The guests
//! are plugins/*.wasm, which `make guests` builds, and tests/guests/*.wat.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod addresses;
mod admin;
mod admission;
mod bad_input;
mod cache;
mod churn;
mod command_line;
mod compile;
mod coredumps;
mod dev;
mod dns;
mod drain;
mod exits;
mod facts;
mod full;
mod handlers;
mod hostile;
mod http;
mod inherited;
mod inspect;
mod isolation;
mod library;
mod life;
mod limits;
mod lost;
mod mappings;
mod new;
mod options;
mod plugins;
mod receipts;
mod receipts_command;
mod refusals;
mod rehearsals;
mod reload;
mod smtp;
mod start;
mod swaps;
mod systemd;
mod tls;
mod trial;
mod udp;
mod unix;
mod upgrade;
mod versions;
mod watch;

/// What a test gives, so that it can use `?`.
type TestResult = anyhow::Result<()>;
