//! Requests that are not as they should be.

use std::io::Write as _;

use serde_json::json;

use super::{Ask as _, Steered, asked, open};
use crate::harness::Program;

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let steered = Steered::start();
    for (method, path, body, status, said) in [
        ("GET", "/", "", 404, "there is no /"),
        ("GET", "/v1/statuss", "", 404, "did you mean `/v1/status`?"),
        ("GET", "/v2/status", "", 404, "did you mean `/v1/status`?"),
        ("POST", "/v1/status", "", 405, "/v1/status takes GET, HEAD, not POST"),
        ("GET", "/v1/drain", "", 405, "/v1/drain takes POST, not GET"),
        ("GET", "/v1/connections/x", "", 400, "`x` is not the number of a connection"),
        ("GET", "/v1/connections?sort=x", "", 400, "cannot sort by `x`"),
        ("GET", "/v1/connections?peers=x", "", 400, "did you mean `peer`?"),
        ("POST", "/v1/listeners/ecko/suspend", "", 404, "did you mean `echo`?"),
        ("POST", "/v1/listeners/echo/susspend", "", 404, "did you mean `suspend`?"),
        ("POST", "/v1/listeners/echo/drain", "{\"deadline\": 5}", 400, "bad body: "),
        ("POST", "/v1/listeners/echo/drain", "{\"deadline\": \"5\"}", 400, "has no unit"),
        ("POST", "/v1/drain", "{\"within\": \"5s\"}", 400, "unknown field `within`"),
        ("POST", "/v1/drain", "nonsense", 400, "bad body: "),
        ("POST", "/v1/handlers/ecko/reload", "", 404, "did you mean `echo`?"),
        ("PUT", "/v1/limits/server", "", 400, "write {\"most\": N}"),
        ("PUT", "/v1/limits/server", "{\"most\": 0}", 400, "bad body: "),
        ("PUT", "/v1/limits/server", "{\"most\": 999}", 409, "there is room for 200"),
        ("PUT", "/v1/limits/flows", "{\"most\": 9}", 409, "is fixed while the server runs"),
    ] {
        let (code, answer) = asked(&steered, method, path, body);
        assert_eq!(code, status, "{method} {path}: {answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(said), "{method} {path}: {error}");
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    steered.echoed();
}

#[test]
fn what_is_too_large_is_refused() {
    let steered = Steered::start();
    let body = format!("{{\"deadline\": \"{}\"}}", "1".repeat(20_000));
    assert_eq!(asked(&steered, "POST", "/v1/drain", &body).0, 413);
    let long = format!("x: {}\r\n", "y".repeat(40_000));
    let mut stream = open(&steered);
    // It may be refused before all of it is sent.
    let _ = stream.write_all(format!("GET /v1/status HTTP/1.1\r\n{long}\r\n").as_bytes());
    let refused = std::panic::catch_unwind(|| stream.answer().0);
    assert!(refused.is_err() || refused.is_ok_and(|status| status == 431), "it is not answered");
    let many = "x: y\r\n".repeat(200);
    assert_eq!(open(&steered).ask("GET", "/v1/status", &many, "").0, 431);
    asked(&steered, "GET", "/v1/status", "");
}

#[test]
fn what_is_no_http_is_refused_and_others_are_answered() {
    let steered = Steered::start();
    let mut stream = open(&steered);
    stream.write_all(b"\x16\x03\x01 hello\r\n\r\n").unwrap();
    assert_eq!(stream.answer().0, 400);
    assert_eq!(asked(&steered, "GET", "/v1/status", "").0, 200);
}

#[test]
fn each_client_is_answered_once() {
    let steered = Steered::start();
    let mut stream = open(&steered);
    let twice = "GET /v1/limits HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    stream.write_all(twice.as_bytes()).unwrap();
    let (status, head, body) = stream.answer();
    assert_eq!(status, 200);
    assert!(head.contains("connection: close"), "{head}");
    assert!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap()[0]["name"] == json!("server")
    );
}

#[test]
fn the_head_of_an_answer_can_be_had_alone() {
    let steered = Steered::start();
    let socket = steered.socket();
    let head = Program::new("curl")
        .arguments(&["-sI", "--unix-socket"])
        .argument(socket)
        .argument("http://x/v1/status")
        .text();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
}
