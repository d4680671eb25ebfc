use portcell_sdk::handler;

#[handler]
struct Greeter;

#[handler]
pub(crate) const GREETING: &str = "hello";

fn main() {}
