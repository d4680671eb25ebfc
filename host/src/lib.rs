//! A socket server whose handlers are sandboxed WebAssembly: every connection gets an instance of
//! its own, which sees that connection and nothing else.
//!
//! ```text
//!  config ··► listener ─► admission ─► handshake ─► route ─► instance ─► connection ─► receipt
//! ```
//!
//! The binary `portcell` is a thin face on this library. A server in a program of your own:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use portcell::{Config, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Server::load(Config::read(Path::new("portcell.toml"))?).await?;
//! server.bind().await?;
//! println!("{}", server.listening()[0]);
//! server.run_until(async { drop(tokio::signal::ctrl_c().await) }).await?;
//! # Ok(())
//! # }
//! ```

pub mod address;
pub mod config;

pub mod admission;
pub mod listener;
pub mod route;
pub mod server;
pub mod tls;

pub mod connection;
pub mod instance;

pub mod engine;
mod guest;
mod guest_log;
pub mod handler;
mod hostcalls;
pub mod plugin;

pub mod account;
pub mod capacity;
pub mod drain;
pub mod exit;
pub mod receipt;
pub mod telemetry;
mod text;
pub mod watchdog;

pub use config::Config;
pub use server::{Control, Server};
