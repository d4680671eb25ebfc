//! The smtp plugin: whatever a client sends, what it gets back are lines with codes, and what is
//! stored are whole messages.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcell_fuzz::converse;
use smtp::Settings;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(portcell_fuzz::folder);

fuzz_target!(|bytes: &[u8]| {
    let settings = Settings { max_size: 4096, ..Settings::new(FOLDER.path()) };
    let replies = converse(|connection| smtp::serve(connection, &settings), bytes);
    let replies = str::from_utf8(&replies).expect("replies are text");
    assert!(replies.is_empty() || replies.ends_with("\r\n"), "{replies:?}");
    for line in replies.split_terminator("\r\n") {
        assert!(line.len() <= 510 && line.is_ascii(), "{line:?}");
        assert!(!line.contains(|c: char| c.is_ascii_control()), "{line:?}");
        let code = line.get(..3).and_then(|code| code.parse().ok());
        assert!(code.is_some_and(|code: u16| (200..600).contains(&code)), "{line:?}");
    }
    for file in fs::read_dir(FOLDER.path()).expect("the folder") {
        let path = file.expect("a file").path();
        assert_eq!(path.extension().and_then(|end| end.to_str()), Some("eml"), "{path:?}");
        assert!(fs::metadata(&path).expect("a file").len() < 16 << 10, "{path:?}");
        fs::remove_file(&path).expect("it can be removed");
    }
});
