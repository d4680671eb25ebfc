//! The http plugin, with curl, wrk and a browser.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::TestResult;
use crate::harness::{Folder, Program, Server, plugin};

fn start() -> Server {
    Server::run(plugin("http")).start()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port())
}

/// curl that says nothing of its progress, and shows what it got with the status at its end.
fn curl(server: &Server, path: &str) -> Program {
    Program::new("curl").arguments(&[
        "-sS",
        "--noproxy",
        "*",
        "-w",
        "\n%{http_code}",
        &url(server, path),
    ])
}

/// The answer to a GET: status and body.
fn get(server: &Server, path: &str) -> (u16, String) {
    let text = curl(server, path).argument("--path-as-is").text();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn the_page_has_the_facts_of_this_very_connection() {
    let server = start();
    let (status, page) = get(&server, "/");
    let receipt = server.receipt();
    assert_eq!(status, 200);
    assert!(page.contains("<!doctype html>"));
    for fact in ["peer", "local", "handler", "listener"] {
        let value = format!("<dd>{}</dd>", receipt[fact].as_str().unwrap());
        assert!(page.contains(&value), "no {value} in {page}");
    }
    assert!(page.contains(&format!("portcell: connection {}<", receipt["id"])));
}

#[test]
fn the_facts_are_json_too() -> TestResult {
    let server = Server::run(plugin("http"))
        .arguments(&["--memory", "16MiB", "--idle-timeout", "none", "--tenant", "me"])
        .start();
    let (_, text) = get(&server, "/facts");
    let facts: Value = serde_json::from_str(&text)?;
    assert_eq!(facts["limits.memory"], "16777216");
    assert_eq!(facts["limits.cpu"], "1000");
    assert_eq!(facts["limits.idle_timeout"], Value::Null);
    assert_eq!(facts["tenant"], "me");
    assert_eq!(facts["handler.version"], "1");
    assert_eq!(facts["peer.address"], server.receipt()["peer"]);
    Ok(())
}

#[test]
fn head_is_a_get_without_the_body() {
    let server = start();
    let head = curl(&server, "/").argument("--head").text().to_lowercase();
    let (_, page) = get(&server, "/");
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    // Ports and numbers of connections differ by a few digits.
    let length: usize = length.unwrap().parse().unwrap();
    assert!(length.abs_diff(page.len()) < 20, "{length} and {}", page.len());
}

#[test]
fn what_is_not_there_is_404() {
    let (status, body) = get(&start(), "/nowhere");
    assert_eq!(status, 404);
    assert!(!body.is_empty());
}

#[test]
fn garbage_is_400_and_ends_the_connection() {
    let server = start();
    for garbage in ["\0\u{1}\u{2}garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n"]
    {
        let mut client = server.connect();
        client.send(garbage);
        let answer = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
    }
}

#[test]
fn a_long_body_comes_back_with_its_length_or_in_chunks() {
    let server = start();
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let echo = |arguments: &[&str]| {
        let url = url(&server, "/echo");
        let curl = Program::new("curl").arguments(&["-sS", "--noproxy", "*", &url]);
        curl.arguments(arguments).input(body.clone()).output()
    };
    assert!(echo(&["--data-binary", "@-"]) == body, "with its length");
    // What comes from stdin has no length for curl: it sends chunks.
    assert!(echo(&["-T", "-"]) == body, "in chunks");
    for receipt in server.receipts(2) {
        assert_eq!(receipt["exit"]["kind"], "ok");
        assert!(receipt["bytes_in"].as_u64() > Some(5_000_000), "{receipt}");
    }
}

#[test]
fn one_connection_answers_many_requests() {
    let server = start();
    let facts = url(&server, "/facts");
    let curl = ["-sS", "--noproxy", "*", "-w", "%{num_connects}", &facts, &facts, &facts];
    let text = Program::new("curl").arguments(&curl).text();
    assert_eq!(text.matches("\"connection.id\": \"").count(), 3, "{text}");
    let connects: Vec<_> = text.split('}').skip(1).map(str::trim).map(|s| &s[..1]).collect();
    assert_eq!(connects, ["1", "0", "0"]);
    assert_eq!(server.stop().len(), 1);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = start();
    let head = curl(&server, "/").arguments(&["--http1.0", "-i"]).text().to_lowercase();
    assert!(head.starts_with("http/1."), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
}

#[test]
fn files_of_a_granted_folder_are_served_and_no_others() {
    let folder = Folder::new();
    let www = folder.at("www");
    std::fs::create_dir_all(www.join("below")).unwrap();
    folder.write("secret", "the secret");
    folder.write("www/page.txt", "a file");
    folder.write("www/below/index.html", "an index");
    symlink("../secret", www.join("out")).unwrap();
    symlink(folder.at("secret"), www.join("absolute")).unwrap();
    symlink("..", www.join("up")).unwrap();
    symlink("page.txt", www.join("inside")).unwrap();
    let grant = format!("{}::/www", www.display());
    let server = Server::run(plugin("http")).arguments(&["--dir", &grant]).start();
    assert_eq!(get(&server, "/files/page.txt"), (200, "a file".into()));
    assert_eq!(get(&server, "/files/below/"), (200, "an index".into()));
    assert_eq!(get(&server, "/files/inside"), (200, "a file".into()));
    assert_eq!(get(&server, "/files/nothing").0, 404);
    for out in ["out", "absolute", "up/secret", "../secret", "%2e%2e/secret", "/etc/passwd"] {
        let (status, body) = get(&server, &format!("/files/{out}"));
        assert!(matches!(status, 400 | 403 | 404), "{out}: {status}");
        assert!(!body.contains("the secret") && !body.contains("root:"), "{out}: {body}");
    }
}

#[test]
fn without_a_grant_a_hint_says_how_to_give_one() {
    let (status, body) = get(&start(), "/files/page.txt");
    assert_eq!(status, 404);
    assert!(body.contains("--dir www::/www") && body.contains("dirs = "), "{body}");
}

#[test]
fn a_drain_ends_connections_that_are_kept_alive() {
    let server = start();
    let mut client = server.connect();
    client.send("GET /facts HTTP/1.1\r\nHost: a\r\n\r\n");
    while client.line() != "}" {}
    server.drain();
    client.ends_in_good_order();
    drop(client);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

#[test]
fn wrk_finds_no_errors() {
    let server = start();
    let load = ["-t", "1", "-c", "20", "-d", "1s", &url(&server, "/facts")];
    let said = Program::new("wrk").arguments(&load).text();
    assert!(said.contains("Requests/sec:"), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    // wrk leaves in the middle of an answer.
    let ended = |receipt: &Value| {
        receipt["exit"]["kind"] == "ok" || receipt["exit"]["kind"] == "peer_reset"
    };
    let receipts = server.stop();
    assert!(receipts.len() > 20 && receipts.iter().all(ended), "{receipts:?}");
}

/// `make test-browser` runs it: a browser is a large download.
#[cfg(feature = "browser-test")]
#[test]
fn a_browser_shows_the_page() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&str| Program::new("which").argument(name).run().code == 0;
    let browser = names.into_iter().find(there).expect("there is a browser");
    let server = start();
    let profile = Folder::new();
    let page = Program::new(browser)
        .arguments(&["--headless", "--no-sandbox", "--disable-gpu"])
        .arguments(&["--disable-background-networking", "--no-first-run", "--no-proxy-server"])
        .argument(format!("--user-data-dir={}", profile.path().display()))
        .arguments(&["--dump-dom", &url(&server, "/")])
        .text();
    let mine = |receipt: &Value| page.contains(&format!("connection {}<", receipt["id"]));
    assert!(page.contains("<h1>portcell</h1>"), "{page}");
    assert!(server.stop().iter().any(mine), "{page}");
}
