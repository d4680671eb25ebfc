//! The SDK as a handler and its tests use it, off wasm.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod connection;
mod misuse;
mod outcome;
mod start_tls;
