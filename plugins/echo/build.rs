//! How its memory is laid out: the pages that it writes are as few as can be.

/// Less than the 1 MiB that Rust leaves for the stack, which lies below the data. That it ends 1 KiB
/// into a page has the first data and the top of the stack, all that there is of it, in that page.
const STACK: u32 = 65 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
}
