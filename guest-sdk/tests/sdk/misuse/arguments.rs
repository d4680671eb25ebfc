use portcell_sdk::{Connection, handler};

#[handler(name = "greet")]
fn greet(_: Connection) {}

fn main() {}
