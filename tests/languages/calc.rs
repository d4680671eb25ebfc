//! `calc` is a calculator that speaks JSON, one object a line.

use std::path::Path;

use serde_json::{Value, json};

use crate::conversation::{converse, converse_by_bytes};
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

macro_rules! calc {
    ($language:ident) => {
        tests! { $language calc:
            requests_are_calculated
            what_is_wrong_is_told_and_the_conversation_goes_on
            requests_that_come_byte_by_byte_are_calculated_as_others
            memory_does_not_grow_with_the_number_of_requests
            a_request_of_more_than_4_kib_ends_it
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn requests_are_calculated(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for (request, result) in [
        (json!({"op": "add", "a": 1, "b": 2}), json!(3)),
        (json!({"op": "sub", "a": 0.5, "b": 2}), json!(-1.5)),
        (json!({"op": "mul", "a": -2e1, "b": 3, "note": null}), json!(-60)),
        (json!({"op": "div", "a": 1, "b": 8}), json!(0.125)),
    ] {
        let answer: Value = serde_json::from_str(&client.ask(&request.to_string())).unwrap();
        assert_eq!(answer, json!({ "result": result }), "{request}");
    }
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn what_is_wrong_is_told_and_the_conversation_goes_on(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for request in [
        "",
        "add 1 2",
        "[1, 2]",
        r#"{"op": "add", "a": 1, "b": 2"#,
        r#"{"op": "add", "a": 1}"#,
        r#"{"op": "add", "a": "1", "b": 2}"#,
        r#"{"op": "pow", "a": 1, "b": 2}"#,
        r#"{"op": "div", "a": 1, "b": 0}"#,
    ] {
        let answer: Value = serde_json::from_str(&client.ask(request)).unwrap();
        assert!(answer["error"].is_string(), "{request}: {answer}");
    }
    assert_eq!(client.ask(r#"{"op":"add","a":1,"b":2}"#), r#"{"result":3}"#);
    client.leaves();
}

pub(crate) fn requests_that_come_byte_by_byte_are_calculated_as_others(module: &Path) {
    let server = Server::run(module).start();
    let requests = "{\"op\":\"add\",\"a\":1,\"b\":2}\r\n{\"op\":\"sub\",\"a\":1,\"b\":2}";
    assert_eq!(converse_by_bytes(&server, requests), "{\"result\":3}\n{\"result\":-1}\n");
}

pub(crate) fn memory_does_not_grow_with_the_number_of_requests(module: &Path) {
    let server = Server::run(module).arguments(&["--memory", "1MiB"]).start();
    let requests = "{\"op\":\"add\",\"a\":1,\"b\":2}\n".repeat(10_000);
    assert!(converse(&server, requests) == "{\"result\":3}\n".repeat(10_000).as_bytes());
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_request_of_more_than_4_kib_ends_it(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, vec![b' '; 4097]), b"");
    assert_eq!(server.receipt()["exit"]["code"], 1);
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "calc");
}
