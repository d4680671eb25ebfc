use portcell_sdk::{Connection, handler};

#[handler]
pub async fn greet(_: Connection) {}

fn main() {}
