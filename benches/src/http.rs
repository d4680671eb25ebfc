//! HTTP: one and the same answer of portcell's http plugin and of a component in `wasmtime serve`,
//! with wrk as the load.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The subcommand.
pub(crate) const HTTP: &str = "http";

/// What is asked for: what the plugin has in its module and answers without a look at anything else.
const PATH: &str = "/favicon.ico";

/// The content of the answer.
const CONTENT: &str = include_str!("../../plugins/http/src/icon.svg");

/// Fields of the answer that both servers have, beside its date.
const FIELDS: [&str; 4] = [
    "cache-control: max-age=86400",
    "content-length: 197",
    "content-type: image/svg+xml",
    "server: portcell",
];

const COMPONENT: &str = include_str!("../guests/http.wat");

/// What wrk and an answer may take beyond their time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer answers are none of those that are expected.
const ANSWER_MAX: usize = 4096;

/// When a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keep {
    /// With the load.
    Alive,
    /// After one answer, because the client asks for that.
    Close,
}

/// What wrk got done. Times are in microseconds.
#[derive(Deserialize)]
pub(crate) struct Done {
    pub(crate) requests: u32,
    pub(crate) elapsed: u32,
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) p999: u32,
    failed: Failed,
}

/// Of requests and connections.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Failed {
    connect: u32,
    read: u32,
    write: u32,
    status: u32,
    timeout: u32,
}

/// The component for `wasmtime serve`.
pub(crate) fn component() -> Result<Vec<u8>> {
    let mut escaped = String::new();
    for byte in CONTENT.bytes() {
        let _ = write!(escaped, "\\{byte:02x}");
    }
    let length = CONTENT.len().to_string();
    let text = COMPONENT
        .replace("\"CONTENT\"", &format!("\"{escaped}\""))
        .replace("LENGTH", &length)
        .replace("DIGITS", &length.len().to_string());
    wat::parse_str(text).context("the component for wasmtime serve")
}

/// Fails unless a server gives the answer that both are to give, on a connection that is kept and on
/// one that is not.
pub(crate) async fn check(address: SocketAddr) -> Result<()> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        for close in ["", "Connection: close\r\n"] {
            let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\n{close}\r\n");
            stream.write_all(request.as_bytes()).await.context("sending a request")?;
            let mut answer = Vec::new();
            while !answer.ends_with(CONTENT.as_bytes()) && answer.len() < ANSWER_MAX {
                let count = stream.read_buf(&mut answer).await.context("reading an answer")?;
                ensure!(count > 0, "the answer has no end: {}", String::from_utf8_lossy(&answer));
            }
            let answer = String::from_utf8(answer).context("the answer is not text")?;
            ensure!(is_expected(&answer), "the answer is another than expected: {answer}");
        }
        ensure!(stream.read(&mut [0]).await? == 0, "the connection does not end");
        Ok(())
    };
    let done = tokio::time::timeout(PATIENCE, exchange).await;
    done.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}"))
}

/// Names of fields are as good in capitals, in any order.
fn is_expected(answer: &str) -> bool {
    let Some((head, CONTENT)) = answer.split_once("\r\n\r\n") else { return false };
    let mut lines = head.split("\r\n");
    if lines.next() != Some("HTTP/1.1 200 OK") {
        return false;
    }
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| format!("{}: {value}", name.to_lowercase()));
    let mut fields: Vec<String> =
        fields.filter(|line| !line.starts_with("date: ") && line != "connection: close").collect();
    fields.sort();
    fields == FIELDS
}

/// Puts wrk on a server for whole seconds, at least one, with one thread, as the other load has.
pub(crate) async fn load(
    address: SocketAddr,
    keep: Keep,
    clients: usize,
    window: Duration,
) -> Result<Done> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/wrk.lua");
    let seconds = window.as_millis().div_ceil(1000).max(1);
    let mut command = Command::new("wrk");
    command.arg("-t1").arg(format!("-c{clients}")).arg(format!("-d{seconds}s"));
    command.arg("-s").arg(script).args(match keep {
        Keep::Alive => [].as_slice(),
        Keep::Close => &["-H", "Connection: close"],
    });
    command.arg(format!("http://{address}{PATH}"));
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let ended = tokio::time::timeout(window + PATIENCE, command.output()).await;
    let output =
        ended.context("wrk does not end")?.context("starting wrk (scripts/bench-peers)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {}\n{said}", output.status);
    done(&said)
}

/// What wrk said with `peers/wrk.lua`. Nothing may have failed.
fn done(said: &str) -> Result<Done> {
    let line = said.lines().rfind(|line| line.starts_with('{'));
    let done: Done = serde_json::from_str(line.context("wrk said nothing")?)?;
    ensure!(done.failed == Failed::default(), "wrk saw failures: {:?}", done.failed);
    ensure!(done.requests > 0 && done.elapsed > 0, "no request was answered");
    Ok(done)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn the_component_is_one() {
        let component = component().unwrap();
        // Magic, version 13, layer 1: a component, not a module.
        assert_eq!(component[..8], *b"\0asm\x0d\0\x01\0");
    }

    #[test]
    fn an_answer_is_known_by_its_fields_and_content() {
        let answer = |length, more| {
            format!(
                "HTTP/1.1 200 OK\r\nServer: portcell\r\nDate: now\r\ncontent-type: image/svg+xml\r\n\
                 Cache-Control: max-age=86400\r\nContent-Length: {length}\r\n{more}\r\n{CONTENT}"
            )
        };
        let length = CONTENT.len();
        assert!(is_expected(&answer(length, "")));
        assert!(is_expected(&answer(length, "connection: close\r\n")));
        assert!(!is_expected(&answer(length + 1, "")), "another length");
        assert!(!is_expected(&answer(length, "X: y\r\n")), "another field");
        assert!(!is_expected(&answer(length, "").replace("200", "201")), "another status");
        assert!(!is_expected(&answer(length, "").replace("svg xmlns", "x")), "another content");
    }

    #[test]
    fn what_wrk_says_is_read_and_failures_are_errors() {
        let line = r#"{"requests":9,"elapsed":1,"p50":2,"p99":3,"p999":4,
            "failed":{"connect":0,"read":0,"write":0,"status":0,"timeout":0}}"#;
        let line = line.replace('\n', "");
        let measured = done(&format!("Running 1s test\n  9 requests\n\n{line}\n")).unwrap();
        assert_eq!((measured.requests, measured.p999), (9, 4));
        let error = done(&line.replace("\"read\":0", "\"read\":7")).err().unwrap().to_string();
        assert!(error.contains("read: 7"), "{error}");
        assert!(done("wrk: unknown option").is_err());
    }

    #[tokio::test]
    async fn a_server_that_answers_otherwise_or_closes_early_is_refused() {
        let good = format!(
            "HTTP/1.1 200 OK\r\n{}\r\ndate: now\r\n\r\n{CONTENT}",
            FIELDS
                .join("\r\n")
                .to_uppercase()
                .replace("IMAGE/SVG+XML", "image/svg+xml")
                .replace("MAX-AGE", "max-age")
                .replace("PORTCELL", "portcell")
        );
        for (answer, answers, error) in [
            (good.clone(), 2, None),
            (good.replace("max-age", "min-age"), 2, Some("another than expected")),
            (good, 1, Some("has no end")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..answers {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut request).await.unwrap() == 0 {
                            return;
                        }
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                // The next request is read, so that the end is no reset.
                stream.shutdown().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
            });
            match (check(address).await, error) {
                (Ok(()), None) => {}
                (Err(seen), Some(error)) => assert!(seen.to_string().contains(error), "{seen}"),
                (seen, error) => panic!("{seen:?} instead of {error:?}"),
            }
            server.abort();
        }
    }
}
