//! `/files/`.

use std::fs;
use std::path::Path;

use portcell_sdk::testing::converse;

use crate::answer::{Answer, answers};

fn get(path: &str, fields: &str, folder: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let handler = |connection| http::serve(connection, Path::new(folder));
    let mut answers = answers(&converse(handler, request));
    assert_eq!(answers.len(), 1, "answers");
    answers.remove(0)
}

/// From this crate's folder.
fn file(path: &str) -> Answer {
    get(path, "", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_file_comes_whole_with_its_type() {
    let answer = file("/files/www/style.css");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("Content-Type"), Some("text/css; charset=utf-8"));
    assert_eq!(answer.body, include_bytes!("../../www/style.css"));
    assert_eq!(file("/files/%77ww/style%2Ecss?version=1").body, answer.body);
}

#[test]
fn a_folder_is_its_index_under_a_name_that_ends_with_a_slash() {
    let answer = file("/files/www/");
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.body, include_bytes!("../../www/index.html"));

    let answer = file("/files/www");
    assert_eq!((answer.status, answer.field("Location")), (301, Some("/files/www/")));
    let answer = file("/files");
    assert_eq!((answer.status, answer.field("Location")), (301, Some("/files/")));
}

#[test]
fn what_is_not_there_is_not_found() {
    let long = format!("/files/{}", "a".repeat(300));
    for path in [
        "/files/none",
        "/files/none/",
        "/files/",
        "/files/src/",
        "/files/Cargo.toml/",
        "/files/Cargo.toml/none",
        "/files/.gitignore",
        &long,
    ] {
        let answer = file(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, b"404 Not Found\nThere is no such file.\n", "{path}");
    }
}

#[test]
fn no_path_leads_out() {
    for path in
        ["/files/../src/lib.rs", "/files/www/../Cargo.toml", "/files/%2e%2e/", "/files//etc"]
    {
        assert_eq!(file(path).status, 400, "{path}");
    }
}

#[test]
fn a_file_that_the_client_has_is_not_sent_again() {
    let modified = file("/files/www/").field("Last-Modified").expect("a date").to_owned();
    let ask = |date: &str| {
        let field = format!("If-Modified-Since: {date}\r\n");
        get("/files/www/", &field, env!("CARGO_MANIFEST_DIR"))
    };
    let answer = ask(&modified);
    assert_eq!((answer.status, answer.field("Content-Length")), (304, None));
    assert_eq!(answer.field("Last-Modified"), Some(modified.as_str()));
    assert_eq!(ask("Thu, 01 Jan 1970 00:00:00 GMT").status, 200);
}

#[test]
fn a_large_file_comes_whole_and_so_does_an_empty_one() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(Path::new(folder).join("large.bin"), &bytes).unwrap();
    fs::write(Path::new(folder).join("empty.txt"), "").unwrap();
    let answer = get("/files/large.bin", "", folder);
    assert_eq!(answer.field("Content-Type"), Some("application/octet-stream"));
    assert!(answer.body == bytes, "the file is another");
    assert_eq!(get("/files/empty.txt", "", folder).field("Content-Length"), Some("0"));
}

#[test]
fn without_a_folder_the_answer_says_how_to_grant_one() {
    for path in ["/files/", "/files", "/files/a"] {
        let answer = get(path, "", "/there/is/no/such/folder");
        assert_eq!(answer.status, 404, "{path}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(r#"dirs = [{ host = "www", guest = "/www" }]"#), "{text}");
    }
}
