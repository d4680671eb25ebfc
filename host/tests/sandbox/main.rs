//! The sandbox: what a guest sees of the world, and what it can do to the host. Guests are
//! WebAssembly text, so no wasm toolchain is needed; those in `tests/guests` do one thing each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod abi;
mod busy_machine;
mod bytes;
mod closing;
mod datagrams;
mod engines;
mod entries;
mod fixtures;
mod harness;
mod info;
mod limits;
mod load;
mod log;
mod memory;
mod neighbours;
mod pointers;
mod poll;
mod rates;
mod read;
mod rehearsal;
mod start_tls;
mod trial;
mod wasi_datagrams;
mod wasi_files;
mod wasi_poll;
mod wasi_socket;
mod wasi_start;
mod wasi_stdio;
mod wasi_system;
mod write;
