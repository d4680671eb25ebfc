//! Profiles of real files, and handshakes with them in memory.

mod authority;
mod client;
mod files;
mod folder;
mod handshakes;
mod names;
mod openssl;
mod reload;
mod trust;
