use portcell_sdk::{Connection, handler};

#[handler]
fn greet<T>(_: Connection) {}

fn main() {}
