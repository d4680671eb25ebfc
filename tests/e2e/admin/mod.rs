//! The admin socket and the commands on top of it, against the real binary.

mod access;
mod bounds;
mod commands;
mod diff;
mod drain;
mod follow;
mod http;
mod kill;
mod metrics;
mod nobody;
mod pages;
mod receipts;
mod stays;
mod tenants;
mod upgrade;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Client, Folder, Output, PATIENCE, Program, Server, wait_until};

/// A server with an admin socket in a folder of its own, and two listeners, `echo` and `told`, with
/// a handler of the same name each. The second does as it is told.
pub(super) struct Steered {
    pub(super) server: Server,
    pub(super) folder: Folder,
}

impl Steered {
    pub(super) fn start() -> Self {
        Self::with("", "")
    }

    /// With more in `[server]`, and more after everything else.
    pub(super) fn with(of_server: &str, more: &str) -> Self {
        let folder = Folder::new();
        folder.guest("echo");
        folder.guest("does_as_told");
        let server = Server::serve(&folder, &config(of_server, more)).start();
        Self { server, folder }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.at("portcell.sock")
    }

    /// Runs `portcell` with these arguments in the folder of the server.
    pub(super) fn command(&self, arguments: &[&str]) -> Output {
        command(&self.folder, arguments)
    }

    /// The same, which must succeed; gives its stdout.
    pub(super) fn said(&self, arguments: &[&str]) -> String {
        let Output { code, stdout, stderr } = self.command(arguments);
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        String::from_utf8(stdout).unwrap()
    }

    /// The same, whose stdout is JSON.
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.said(arguments)).unwrap()
    }

    /// The same, which must fail with 1; gives its stderr.
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let Output { code, stdout, stderr } = self.command(arguments);
        assert_eq!((code, stdout.as_slice()), (1, &b""[..]), "{arguments:?}: {stderr}");
        stderr
    }

    /// A client of the listener of this name that is served.
    pub(super) fn echoed(&self) -> Client {
        let mut client = self.server.connect_to("echo");
        client.is_echoed();
        client
    }

    /// The connections that are open.
    pub(super) fn connections(&self) -> Vec<Value> {
        self.json(&["connections", "--json"]).as_array().unwrap().clone()
    }

    /// Waits until the only connection is in this state, and gives it.
    pub(super) fn only_one_is(&self, state: &str) -> Value {
        let mut found = Vec::new();
        wait_until(&format!("the connection is {state}"), || {
            found = self.connections();
            found.len() == 1 && found[0]["state"] == state
        });
        found.remove(0)
    }
}

pub(super) fn command(folder: &Folder, arguments: &[&str]) -> Output {
    Program::portcell().arguments(arguments).directory(folder.path()).run()
}

pub(super) fn config(of_server: &str, more: &str) -> String {
    format!(
        r#"
        [server]
        receipts = "stderr"
        max_connections = 200
        {of_server}
        [[listener]]
        name = "echo"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        [[listener]]
        name = "told"
        bind = "tcp://127.0.0.1:0"
        handler = "told"
        [handler.echo]
        module = "echo.wasm"
        cpu = "none"
        [handler.told]
        module = "does_as_told.wasm"
        cpu = "none"
        {more}
        "#
    )
}

/// A client of an admin socket.
pub(super) trait Ask: Read + Write + Sized {
    /// Sends a request, and gives the status and the body of the answer.
    fn ask(mut self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.write_all(request.as_bytes()).unwrap();
        let (status, _, body) = self.answer();
        (status, body)
    }

    /// Waits for an answer and the end: status, headers and body.
    fn answer(mut self) -> (u16, String, String) {
        let mut answer = String::new();
        self.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }
}

impl<S: Read + Write> Ask for S {}

/// A connection to the admin socket that does not wait for ever.
pub(super) fn open(steered: &Steered) -> UnixStream {
    let stream = UnixStream::connect(steered.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status and the JSON that a request is answered with.
pub(super) fn asked(steered: &Steered, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = open(steered).ask(method, path, "", body);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}
