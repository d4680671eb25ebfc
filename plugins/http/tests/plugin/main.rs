//! The whole plugin, over a connection in memory.

mod answer;
mod conversation;
mod files;
