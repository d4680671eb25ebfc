//! Rehearsals find what is wrong with a guest, and where.

use std::fmt::Write as _;

use portcell::rehearsal::{Difference, Mode, Rehearsal, Report, parse};

use crate::harness::Guest;

/// What every guest here has.
const HEAD: &str = r#"
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "set_timeout" (func $timeout (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hello")
"#;

/// A guest with the entry `handle` of this body.
fn guest(body: &str) -> Guest {
    Guest::text(&format!(
        "(module {HEAD} (func $handle (export \"handle\") (result i32) (local $n i32) (local $got i32) {body}))"
    ))
}

/// Plays the only conversation of `script`, with torture.
async fn rehearse(guest: &Guest, script: &str) -> Report {
    let route = guest.load().unwrap_or_else(|error| panic!("{error}"));
    let conversations = parse(script.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let [conversation] = &conversations[..] else { panic!("{conversations:?}") };
    Rehearsal::new(route).rehearse(conversation, true).await
}

/// What is wrong with the guest.
async fn difference(guest: &Guest, script: &str) -> Difference {
    rehearse(guest, script).await.difference.expect("nothing was found")
}

/// Its line, what was expected, and what came.
fn words(difference: &Difference) -> (usize, String, String) {
    (difference.line, difference.expected(), difference.came())
}

#[tokio::test]
async fn a_guest_that_does_what_it_should_goes_through_all_of_it() {
    let script = "send \"one\"\nexpect \"one\"\nsend \"two\"\nend\nexpect \"two\"\nexpect end";
    let report = rehearse(&Guest::wat("echo"), script).await;
    assert!(report.difference.is_none(), "{report:?}");
    let torture = report.torture.unwrap();
    // A reset at each of 7 places of what it reads and after each of 6 bytes that it writes, and an
    // end at each of the 7.
    assert_eq!((torture.cuts, torture.places, torture.replays), (20, 20, 23));
    assert!(!torture.ran_out_of_time);
}

#[tokio::test]
async fn one_that_takes_a_read_for_a_message_is_found_where_it_is_split() {
    // It says hello when its read has given all five bytes.
    let reads_once = guest(
        "(local.set $n (call $read (i32.const 0) (i32.const 100) (i32.const 100)))
         (if (i32.eq (local.get $n) (i32.const 5))
           (then (drop (call $write (i32.const 0) (i32.const 0) (i32.const 5)))))
         (i32.const 0)",
    );
    let found = difference(&reads_once, "send \"HELLO\"\nexpect \"hello\"").await;
    assert_eq!(found.mode, Mode::Bytewise);
    assert_eq!(words(&found), (2, "\"hello\"".into(), "the end".into()));
    assert_eq!(found.offset(), Some(0));
}

#[tokio::test]
async fn one_that_takes_a_read_for_a_message_is_found_where_two_come_at_once() {
    // It answers each read with one byte.
    let answers_reads = guest(
        "(loop $next
           (if (i32.gt_s (call $read (i32.const 0) (i32.const 100) (i32.const 100)) (i32.const 0))
             (then
               (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
               (br $next))))
         (i32.const 0)",
    );
    let script = "send \"1\"\nexpect \"h\"\nsend \"2\"\nend\nexpect \"h\"";
    let found = difference(&answers_reads, script).await;
    assert_eq!(found.mode, Mode::Merged);
    assert_eq!(words(&found), (5, "\"h\"".into(), "the end".into()));
    assert_eq!(found.offset(), Some(1));
    // What is kept apart is not merged.
    let report = rehearse(&answers_reads, &script.replace("send \"2\"", "sync\nsend \"2\"")).await;
    assert!(report.difference.is_none(), "{report:?}");
}

#[tokio::test]
async fn one_that_forgets_what_a_write_did_not_take_is_found_by_a_slow_reader() {
    let hurries = guest(
        "(drop (call $timeout (i32.const 0) (i32.const 1) (i32.const 0)))
         (drop (call $write (i32.const 0) (i32.const 0) (i32.const 5)))
         (i32.const 0)",
    );
    let found = difference(&hurries, "expect \"hello\"\nexpect end").await;
    assert_eq!(found.mode, Mode::SlowReader);
    assert_eq!(words(&found), (1, "\"hello\"".into(), "\"h\" and then the end".into()));
}

#[tokio::test]
async fn one_that_traps_at_a_reset_is_found_at_its_first_offset_with_what_is_known() {
    // The first read may fail, the second may not.
    let trusts = guest(
        "(if (i32.le_s (call $read (i32.const 0) (i32.const 100) (i32.const 3)) (i32.const 0))
           (then (return (i32.const 0))))
         (drop (call $log (i32.const 2) (i32.const 0) (i32.const 5)))
         (if (i32.lt_s (call $read (i32.const 0) (i32.const 100) (i32.const 3)) (i32.const 0))
           (then (unreachable)))
         (i32.const 0)",
    );
    let found = difference(&trusts, "send \"abcdef\"\nend\nexpect end").await;
    assert_eq!(found.mode, Mode::ResetAfterRead(1));
    let expected = "exit ok, failed or peer_reset".to_owned();
    assert_eq!(words(&found), (3, expected, "exit trap".into()));
    assert!(found.backtrace[0].contains("handle"), "{:?}", found.backtrace);
    let mut shown = String::new();
    write!(shown, "{found}").unwrap();
    for part in [
        "line 3, reset after it has read 1 byte\n",
        "\n  came      exit trap",
        "\n  handler   trap: ",
        "\n            in ",
        "\n  its log   WARN  hello",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
}

#[tokio::test]
async fn one_that_traps_when_its_write_fails_is_found_at_the_byte_before() {
    // The first write may fail, the second may not.
    let trusts = guest(
        "(if (i32.lt_s (call $write (i32.const 0) (i32.const 0) (i32.const 2)) (i32.const 2))
           (then (return (i32.const 0))))
         (if (i32.lt_s (call $write (i32.const 0) (i32.const 2) (i32.const 3)) (i32.const 0))
           (then (unreachable)))
         (i32.const 0)",
    );
    let found = difference(&trusts, "expect \"hello\"").await;
    assert_eq!(found.mode, Mode::ResetAfterWritten(2));
    assert_eq!(found.exit.unwrap().kind(), "trap");
}

#[tokio::test]
async fn one_that_hangs_after_a_reset_is_found() {
    let hangs = guest(
        "(if (i32.lt_s (call $read (i32.const 0) (i32.const 100) (i32.const 3)) (i32.const 0))
           (then (drop (call $poll (i32.const 0) (i32.const 0) (i32.const -1)))))
         (i32.const 0)",
    );
    let found = difference(&hangs, "timeout 50ms\nsend \"abc\"\nexpect end").await;
    assert_eq!(found.mode, Mode::ResetAfterRead(0));
    let came = "nothing: it has not ended in 50ms".to_owned();
    assert_eq!(words(&found), (3, "the handler's end".into(), came));
    assert_eq!(found.exit, None);
}

#[tokio::test]
async fn one_that_reads_on_and_on_at_the_end_of_its_input_is_found() {
    // It wants three bytes, and takes an end for a pause.
    let wants = guest(
        "(local.set $n (call $read (i32.const 0) (i32.const 100) (i32.const 3)))
         (loop $more
           (if (i32.and (i32.ge_s (local.get $n) (i32.const 0)) (i32.lt_s (local.get $n) (i32.const 3)))
             (then
               (local.set $n (i32.or
                 (i32.add (local.get $n) (local.tee $got (call $read
                   (i32.const 0) (i32.const 100) (i32.sub (i32.const 3) (local.get $n)))))
                 (i32.and (local.get $got) (i32.const 0x80000000))))
               (br $more))))
         (i32.const 0)",
    );
    let found = difference(&wants.with("cpu", "20ms"), "send \"abc\"\nexpect end").await;
    assert_eq!(found.mode, Mode::EndAfterRead(0));
    assert_eq!(found.exit.unwrap().kind(), "cpu_limit");
}

#[tokio::test]
async fn one_that_computes_without_end_after_a_reset_is_found_by_its_limit() {
    let spins = guest(
        "(if (i32.lt_s (call $read (i32.const 0) (i32.const 100) (i32.const 3)) (i32.const 0))
           (then (loop $on (br $on))))
         (i32.const 0)",
    );
    let spins = spins.with("cpu", "20ms");
    let found = difference(&spins, "send \"abc\"\nexpect end").await;
    assert_eq!(found.mode, Mode::ResetAfterRead(0));
    assert_eq!(found.exit.unwrap().kind(), "cpu_limit");
}

#[tokio::test]
async fn one_that_sends_something_else_each_time_is_found_at_a_reset() {
    // Eight letters.
    let random = Guest::text(
        r#"(module
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "handle") (result i32)
            (drop (call $random (i32.const 0) (i32.const 8)))
            (i64.store (i32.const 0) (i64.add (i64.const 0x6161616161616161)
              (i64.and (i64.load (i32.const 0)) (i64.const 0x0f0f0f0f0f0f0f0f))))
            (drop (call $write (i32.const 0) (i32.const 0) (i32.const 8)))
            (i32.const 0)))"#,
    );
    // Nothing is expected of what it sends, so everything goes well but the comparison.
    let found = difference(&random, "end").await;
    assert!(matches!(found.mode, Mode::ResetAfterWritten(_)), "{found}");
    // Where not all that is expected is written out, there is no such comparison.
    let report = rehearse(&random, "end\nexpect /[a-p]{8}$/\nexpect end").await;
    assert!(report.difference.is_none(), "{report:?}");
}

#[tokio::test]
async fn as_it_is_written_a_conversation_is_compared_with_what_comes() {
    let says_hello = guest(
        "(drop (call $write (i32.const 0) (i32.const 0) (i32.const 5)))
         (drop (call $read (i32.const 0) (i32.const 100) (i32.const 3)))
         (i32.const 7)",
    );
    for (script, line, expected, came) in [
        ("expect \"help\"", 1, "\"help\"", "\"hello\""),
        ("expect \"hello!\"\ntimeout 1s", 1, "\"hello!\"", "\"hello\" and then nothing for 20ms"),
        ("expect \"hell\"\nexpect end", 2, "the end", "\"o\""),
        ("expect \"hello\"\nexpect end", 2, "the end", "nothing for 20ms"),
        ("end\nexpect /[a-g]/", 2, "a line that matches /[a-g]/", "\"hello\""),
        ("expect \"hello\"\nend\nexpect end", 3, "exit ok", "exit failed"),
        ("expect \"hello\"\nexpect exit ok", 2, "exit ok", "exit failed"),
    ] {
        let script = format!("timeout 20ms\n{script}");
        let found = difference(&says_hello, &script).await;
        assert_eq!(found.mode, Mode::Plain, "{script}");
        assert_eq!(words(&found), (line + 1, expected.into(), came.into()), "{script}");
    }
    let script = "expect \"hello\"\nend\nexpect end\nexpect exit failed";
    let report = rehearse(&says_hello, script).await;
    assert!(report.difference.is_none(), "{report:?}");
}

#[tokio::test]
async fn a_conversation_can_end_with_a_reset() {
    let report = rehearse(&Guest::wat("echo"), "send \"a\"\nexpect \"a\"\nreset").await;
    assert!(report.difference.is_none(), "{report:?}");
    let script = "send \"a\"\nexpect \"a\"\nreset\nexpect exit ok";
    let found = difference(&Guest::wat("echo"), script).await;
    assert_eq!((found.mode, found.exit.unwrap().kind()), (Mode::Plain, "peer_reset"));
}

#[tokio::test]
async fn a_large_conversation_is_left_at_2000_places() {
    let text = "0123456789".repeat(2000);
    let script = format!("send \"{text}\"\nexpect \"{text}\"\nend\nexpect end");
    let report = rehearse(&Guest::wat("echo"), &script).await;
    assert!(report.difference.is_none(), "{report:?}");
    let torture = report.torture.unwrap();
    assert_eq!((torture.cuts, torture.places, torture.replays), (2000, 60_002, 2003));
}

#[tokio::test]
async fn what_a_guest_is_told_of_its_client_is_the_same_each_time() {
    let asks = Guest::calls_with(
        &[(100, b"peer.addressconnection.idtransport")],
        &[
            "info 100 12 300 20",
            "write 0 300 15",
            "info 112 13 300 20",
            "write 0 300 1",
            "info 125 9 300 20",
            "write 0 300 3",
        ],
    );
    let report = rehearse(&asks, "expect \"192.0.2.1:500001tcp\"\nexpect end").await;
    assert!(report.difference.is_none(), "{report:?}");
}
