//! Requests and answers, one after the other.

use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

use portcell_sdk::testing::{Peer, converse};
use portcell_sdk::{Connection, run};

use crate::answer::{Answer, answers};

/// This crate's folder: it has files, and folders with and without an `index.html`.
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

const GET: &str = "GET /facts HTTP/1.1\r\nHost: a\r\n\r\n";

fn handler(connection: Connection) -> io::Result<()> {
    http::serve(connection, Path::new(FOLDER))
}

/// All answers to `input`, after which the client ends its side.
fn talk(input: impl AsRef<[u8]>) -> Vec<Answer> {
    answers(&converse(handler, input))
}

/// The only answer to `input`.
fn ask(input: impl AsRef<[u8]>) -> Answer {
    let mut answers = talk(input);
    assert_eq!(answers.len(), 1, "answers");
    answers.remove(0)
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// Lets `client` talk to a handler that runs beside it; gives the handler's result.
fn beside(client: impl FnOnce(Peer)) -> io::Result<()> {
    let (connection, peer) = Connection::pair();
    thread::scope(|scope| {
        let handler = scope.spawn(|| handler(connection));
        client(peer);
        handler.join().expect("the handler does not panic")
    })
}

#[test]
fn an_open_connection_answers_request_after_request() {
    let ended = beside(|mut peer| {
        for _ in 0..3 {
            peer.write_all(GET.as_bytes()).unwrap();
            let answer = Answer::read(&mut peer);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("Connection"), None);
        }
    });
    assert!(ended.is_ok());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let input =
        [GET, &post("Content-Length: 2\r\n", "hi"), "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", GET];
    let answers = talk(input.concat());
    assert_eq!(statuses(&answers), [200, 200, 404, 200]);
    assert_eq!(answers[1].body, b"hi");
    assert_eq!(answers[0].body, answers[3].body);
}

#[test]
fn a_request_in_crumbs_is_the_same_request() {
    let input = [GET, &chunked("2\r\nhi\r\n0\r\n\r\n"), GET].concat();
    let ended = beside(|mut peer| {
        for byte in input.bytes() {
            peer.write_all(&[byte]).unwrap();
            thread::yield_now();
        }
        peer.finish();
        let mut output = Vec::new();
        peer.read_to_end(&mut output).unwrap();
        assert_eq!(statuses(&answers(&output)), [200, 200, 200]);
    });
    assert!(ended.is_ok());
}

#[test]
fn the_client_says_when_to_close() {
    let close = "GET /facts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = ask([close, GET].concat());
    assert_eq!(answer.field("Connection"), Some("close"));
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let answer = ask("GET /facts HTTP/1.0\r\n\r\nGET /facts HTTP/1.0\r\n\r\n");
    assert_eq!(answer.field("Connection"), Some("close"));

    let keep = "GET /facts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answers = talk([keep, keep].concat());
    assert_eq!(statuses(&answers), [200, 200]);
    assert_eq!(answers[0].field("Connection"), Some("keep-alive"));
}

#[test]
fn head_is_get_without_the_body() {
    for path in ["/facts", "/", "/favicon.ico", "/files/www/", "/files/none", "/none", "/echo"] {
        let request =
            |method| format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let get = ask(request("GET"));
        let head = Answer::head_of(&converse(handler, request("HEAD")));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.fields, get.fields, "{path}");
        assert_eq!(get.field("Content-Length"), Some(get.body.len().to_string().as_str()));
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn every_answer_has_a_date() {
    let date = "Date: ";
    let output = String::from_utf8(converse(handler, GET)).unwrap();
    let line = output.lines().find(|line| line.starts_with(date)).expect("a Date field");
    assert!(line.ends_with(" GMT") && line.len() == date.len() + 29, "{line}");
}

#[test]
fn methods_that_do_not_fit_are_told_which_do() {
    let request = |line: &str| ask(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
    for line in ["POST /", "DELETE /facts", "BREW /files/www/"] {
        let answer = request(line);
        assert_eq!(answer.status, 405, "{line}");
        assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"), "{line}");
    }
    assert_eq!(request("GET /echo").field("Allow"), Some("POST, PUT, OPTIONS"));
    assert_eq!(request("POST /none").status, 404);
    assert_eq!(request("OPTIONS /none").status, 404);
    for target in ["*", "/", "/echo"] {
        let answer = request(&format!("OPTIONS {target}"));
        assert_eq!(answer.status, 204, "{target}");
        assert!(answer.field("Allow").is_some() && answer.field("Content-Length").is_none());
    }
}

#[test]
fn a_body_of_known_length_comes_back() {
    let answer = ask(post("Content-Length: 5\r\n", "hello"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(answer.field("Content-Length"), Some("5"));
    assert_eq!(ask(post("", "")).body, b"");
}

#[test]
fn a_chunked_body_comes_back_without_extensions_and_trailers() {
    let body = "5;a=b\r\nhello\r\n1 ; c\r\n,\r\n00A\r\n wonderful\r\n0;d\r\nTrailer: e\r\n\r\n";
    let answers = talk([&chunked(body), GET].concat());
    assert_eq!(statuses(&answers), [200, 200]);
    assert_eq!(answers[0].field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answers[0].body, b"hello, wonderful");
}

#[test]
fn a_large_body_comes_back_piece_by_piece() {
    let body: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut input = post(&format!("Content-Length: {}\r\n", body.len()), "").into_bytes();
    input.extend_from_slice(&body);
    assert!(ask(input).body == body, "the body is another");

    let mut input = chunked(&format!("{:x}\r\n", body.len())).into_bytes();
    input.extend_from_slice(&body);
    input.extend_from_slice(b"\r\n0\r\n\r\n");
    assert!(ask(input).body == body, "the chunked body is another");
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let ended = beside(|mut peer| {
        let fields = "Content-Length: 5\r\nExpect: 100-continue\r\n";
        peer.write_all(post(fields, "").as_bytes()).unwrap();
        let mut interim = [0; 25];
        peer.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        peer.write_all(b"hello").unwrap();
        assert_eq!(Answer::read(&mut peer).body, b"hello");
    });
    assert!(ended.is_ok());
}

#[test]
fn a_client_that_waits_is_not_asked_for_what_nobody_wants() {
    let fields = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let answer = ask(format!("POST /none HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!((answer.status, answer.field("Connection")), (404, Some("close")));
    let fields = "Content-Length: 8388609\r\nExpect: 100-continue\r\n";
    assert_eq!(ask(post(fields, "")).status, 413);
}

#[test]
fn a_body_that_has_come_is_not_asked_for() {
    let answer = ask(post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
}

#[test]
fn a_body_that_is_too_long_is_refused_or_cut() {
    assert_eq!(ask(post("Content-Length: 8388609\r\n", "")).status, 413);
    assert_eq!(ask(chunked("800001\r\n")).status, 413);
    assert_eq!(ask(chunked("ffffffffffffffff\r\n")).status, 413);

    let mut input = chunked("");
    for _ in 0..129 {
        input.push_str("10000\r\n");
        input.push_str(&"x".repeat(0x1_0000));
        input.push_str("\r\n");
    }
    input.push_str("0\r\n\r\n");
    let output = converse(handler, input);
    assert!(output.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(!output.ends_with(b"0\r\n\r\n"), "the answer looks whole");
}

#[test]
fn a_body_that_nobody_wants_is_skipped_if_it_is_short() {
    let request = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}{GET}")
    };
    assert_eq!(statuses(&talk(request(64 * 1024))), [405, 200]);
    let answer = ask(request(64 * 1024 + 1));
    assert_eq!((answer.status, answer.field("Connection")), (405, Some("close")));

    let chunk = format!("{:x}\r\n{}\r\n", 0x1_0001, "x".repeat(0x1_0001));
    let input = chunked(&format!("{chunk}0\r\n\r\n{GET}")).replace("/echo", "/none");
    let answer = ask(input);
    assert_eq!((answer.status, answer.field("Connection")), (404, Some("close")));
}

#[test]
fn garbage_is_told_and_ends_the_connection() {
    for input in ["\x16\x03\x01\x02\x00", "hello\r\n\r\n", "GET /\r\n\r\n"] {
        let answer = ask([input, GET].concat());
        assert_eq!((answer.status, answer.field("Connection")), (400, Some("close")), "{input:?}");
    }
}

#[test]
fn garbage_is_told_while_the_client_still_waits() {
    let ended = beside(|mut peer| {
        peer.write_all(b"\x16\x03\x01\x02\x00").unwrap();
        assert_eq!(Answer::read(&mut peer).status, 400);
    });
    assert!(ended.is_ok());
}

#[test]
fn a_request_cannot_be_hidden_in_another() {
    let hidden = "GET /facts HTTP/1.1\r\nHost: hidden\r\n\r\n";
    for input in [
        post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"),
        post("Content-Length: 0\r\nContent-Length: 40\r\n", ""),
        post("Content-Length : 40\r\n", ""),
        post("X: a\r\n Content-Length: 40\r\n", ""),
        post("X: a\rContent-Length: 40\r\n", ""),
        chunked("0\n\n"),
        chunked("0\r\n\n"),
        chunked("2\nhi\r\n0\r\n\r\n"),
        chunked("2;a\rb\r\nhi\r\n0\r\n\r\n"),
        chunked("2;\nhi\r\n0\r\n\r\n"),
        chunked("10000000000000002\r\nhi\r\n0\r\n\r\n"),
        chunked("-2\r\nhi\r\n0\r\n\r\n"),
        chunked("\r\n0\r\n\r\n"),
        chunked(&format!("0{}\r\n\r\n", ";".repeat(256))),
        chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(800))),
        chunked(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(5000))),
    ] {
        let answer = ask([&input, hidden].concat());
        assert_eq!((answer.status, answer.field("Connection")), (400, Some("close")), "{input:?}");
    }
}

#[test]
fn a_chunk_longer_than_its_size_cuts_the_answer() {
    let output = converse(handler, [&chunked("2\r\nhi there\r\n0\r\n\r\n"), GET].concat());
    assert_eq!(output.windows(5).filter(|word| word == b"HTTP/").count(), 1);
    assert!(output.ends_with(b"\r\n2\r\nhi\r\n"));
}

#[test]
fn what_ends_too_early_is_told() {
    for input in [
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        &post("Content-Length: 5\r\n", ""),
        &chunked("5\r\n"),
    ] {
        let answer = ask(input);
        assert_eq!((answer.status, answer.field("Connection")), (400, Some("close")), "{input:?}");
    }
    assert!(talk("").is_empty());
    assert!(talk("\r\n").is_empty());
}

#[test]
fn long_heads_are_refused() {
    let line = "GET / HTTP/1.1\r\nHost: a\r\n";
    assert_eq!(ask(format!("{line}A: {}\r\n\r\n", "b".repeat(16 * 1024))).status, 431);
    assert_eq!(ask(format!("{line}{}\r\n", "A: b\r\n".repeat(200))).status, 431);
    assert_eq!(ask(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20 * 1024))).status, 414);
    assert_eq!(ask(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9 * 1024))).status, 414);
    assert_eq!(ask(format!("{line}A: {}\r\n\r\n", "b".repeat(15 * 1024))).status, 200);
}

#[test]
fn other_versions_and_codings_are_told() {
    assert_eq!(ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505);
    assert_eq!(ask(post("Transfer-Encoding: gzip, chunked\r\n", "")).status, 501);
    assert_eq!(ask(post("Expect: miracles\r\n", "")).status, 417);
}

#[test]
fn an_idle_connection_ends_when_the_host_drains() {
    let ended = beside(|mut peer| {
        peer.write_all(GET.as_bytes()).unwrap();
        assert_eq!(Answer::read(&mut peer).status, 200);
        peer.drain();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
    assert!(ended.is_ok());
}

#[test]
fn a_request_that_has_come_is_answered_when_the_host_drains() {
    let (connection, mut peer) = Connection::pair();
    peer.drain();
    peer.write_all([GET, GET].concat().as_bytes()).unwrap();
    handler(connection).unwrap();
    let mut output = Vec::new();
    peer.read_to_end(&mut output).unwrap();
    let answers = answers(&output);
    assert_eq!(statuses(&answers), [200]);
    assert_eq!(answers[0].field("Connection"), Some("close"));
}

#[test]
fn a_client_that_goes_away_is_no_failure() {
    let ended = beside(|mut peer| {
        peer.write_all(GET.as_bytes()).unwrap();
        peer.reset();
    });
    assert!(ended.is_ok());
    assert_eq!(run(http::http), 0, "a trial run");
}
