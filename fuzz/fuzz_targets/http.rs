//! The http plugin: whatever a client sends, what it gets back are answers of HTTP.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcell_fuzz::{converse, repository};

static FILES: LazyLock<PathBuf> = LazyLock::new(|| repository("plugins/http/www"));

fuzz_target!(|bytes: &[u8]| {
    let answers = converse(|connection| http::serve(connection, &FILES), bytes);
    assert!(
        answers.is_empty() || answers.starts_with(b"HTTP/1.1 "),
        "{}",
        String::from_utf8_lossy(&answers)
    );
});
