//! How its memory is laid out: the pages that it writes are as few as can be.

/// A stack of 17 KiB, which is more than it needs, ends 1 KiB into a page. So the top of the stack,
/// all that is used of it, the data behind it and the beginning of the buffer are in one page.
const STACK: u32 = 17 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
}
