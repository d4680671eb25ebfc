//! The whole plugin, over connections in memory.

mod answers;
mod client;
mod conversations;
mod edns;
mod garbage;
mod mutations;
