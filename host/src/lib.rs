//! A socket server whose handlers are sandboxed WebAssembly: every connection gets an instance of
//! its own, which sees that connection and nothing else. So does every peer of a UDP socket.
//!
//! ```text
//!  config ··► listener ─► admission ─► handshake ─► route ─► instance ─► connection ─► receipt
//! ```
//!
//! The binary `portcell` is a thin face on this library. A server in a program of your own:
//!
//! ```
//! use portcell::{Config, Server};
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let plugin = folder.path().join("echo.wasm");
//! # std::fs::write(&plugin, wat::parse_file("../tests/guests/echo.wat")?)?;
//! let config = Config::from_flags(&plugin, &[("listen", "127.0.0.1:0")])?;
//! # let mut config = config;
//! # config.server.cache = portcell::config::CacheConfig::Off;
//! let mut server = Server::load(config).await?;
//! server.bind().await?;
//! println!("{}", server.listening()[0]); // listening on tcp://127.0.0.1:40711 (echo)
//! # let address = server.listening()[0].address.replace("tcp://", "");
//! # let mut answer = [0; 5];
//! # let shutdown = async {
//! #     let mut client = tokio::net::TcpStream::connect(address).await.expect("it is bound");
//! #     client.write_all(b"hello").await.expect("it serves");
//! #     client.read_exact(&mut answer).await.expect("it echoes");
//! # };
//! server.run_until(shutdown).await?; // any future: then it drains
//! # assert_eq!(&answer, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! While it runs, a [`Control`] steers it from other tasks: it suspends, resumes, drains and starts
//! single listeners, swaps the module of a handler, changes bounds, puts another configuration into
//! service, and tells what all of them do ([`server::Status`]).
//!
//! Modules are compiled in this process, which one that was made for it can hold up or fill. A
//! program that calls [`compile::compile_if_asked`] first of all in its `main` can have them
//! compiled by itself in processes of their own, within bounds:
//! `Server::load_with(config, Compiler::this_program())`.
//!
//! Addresses like `fd://web` need [`listener::inherit`] at the beginning of `main`. Logs are those
//! of `tracing`; a program without a subscriber of its own has [`telemetry::init`].

pub mod address;
pub mod config;

pub mod admin;
pub mod admission;
pub mod listener;
pub mod route;
pub mod server;
pub mod tls;

pub mod connection;
pub mod instance;
pub mod rehearsal;
pub mod trial;

mod background;
pub mod backtrace;
mod cache;
mod call_meter;
pub mod compile;
mod coredump;
pub mod engine;
mod guest;
mod guest_log;
pub mod handler;
mod hostcalls;
pub mod memory_budget;
pub mod plugin;

pub mod account;
mod allowance;
pub mod capacity;
pub mod coredumps;
pub mod cpu_quota;
mod cpu_time;
pub mod drain;
pub mod exit;
pub mod followers;
mod heavy;
pub mod host_calls;
mod pace;
pub mod presence;
pub mod receipt;
pub mod tally;
pub mod telemetry;
pub mod tenant;
pub mod text;
pub mod watchdog;

pub use compile::Compiler;
pub use config::Config;
pub use server::{Control, Server};
