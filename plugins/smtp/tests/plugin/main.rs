//! The whole plugin, over connections in memory.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod client;
mod conversations;
mod messages;
mod tls;
