//! A running `portcell run` or `portcell serve`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

use super::log::Log;
use super::program::portcell;
use super::{Client, Folder, Peer};

/// A server in a process of its own, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Log,
}

/// A process that has taken the place of a server, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Successor(Pid);

/// A server that is about to be started.
#[derive(Debug)]
pub(crate) struct Builder {
    arguments: Vec<OsString>,
    listen: Vec<String>,
}

impl Server {
    /// `portcell run`, at a free port of 127.0.0.1 unless [`Builder::listen`] says where else, with
    /// its receipts on stderr.
    pub(crate) fn run(plugin: impl AsRef<Path>) -> Builder {
        Builder { arguments: vec!["run".into(), plugin.as_ref().into()], listen: Vec::new() }
            .arguments(&["--receipts", "stderr"])
    }

    /// `portcell serve` with this configuration, written to portcell.toml in `folder`, to which
    /// relative paths in it are relative.
    pub(crate) fn serve(folder: &Folder, config: &str) -> Builder {
        Self::serve_at(&folder.write("portcell.toml", config))
    }

    /// `portcell serve` with the configuration in this file.
    pub(crate) fn serve_at(config: &Path) -> Builder {
        Builder { arguments: vec!["serve".into(), config.into()], listen: Vec::new() }
    }

    /// `portcell dev` with this configuration, written to portcell.toml in `folder`.
    pub(crate) fn dev(folder: &Folder, config: &str) -> Builder {
        let config = folder.write("portcell.toml", config);
        Builder { arguments: vec!["dev".into(), config.into()], listen: Vec::new() }
    }

    /// What follows `listening on` for the listener of this name: one for each address.
    pub(crate) fn addresses(&self, listener: &str, count: usize) -> Vec<String> {
        let end = format!(" ({listener})");
        let address = |line: &String| {
            // Logs can be JSON.
            let json = serde_json::from_str::<Value>(line).ok();
            let line = json.as_ref().and_then(|json| json["message"].as_str()).unwrap_or(line);
            Some(line.split_once("listening on ")?.1.strip_suffix(&end)?.to_owned())
        };
        self.log.find(&format!("{count} addresses of {listener}"), |lines| {
            let found: Vec<_> = lines.iter().filter_map(address).collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// The port of the only TCP address.
    pub(crate) fn port(&self) -> u16 {
        port(&self.find_line("listening on tcp://"))
    }

    /// The port of the listener of this name.
    pub(crate) fn port_of(&self, listener: &str) -> u16 {
        self.addresses(listener, 1)[0].rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A client of the only listener.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(("127.0.0.1", self.port()))
    }

    /// A client of the listener of this name.
    pub(crate) fn connect_to(&self, listener: &str) -> Client {
        Client::connect(("127.0.0.1", self.port_of(listener)))
    }

    /// A UDP peer of the only UDP address, at 127.0.0.1.
    pub(crate) fn peer(&self) -> Peer {
        Peer::of(("127.0.0.1", self.udp_port()))
    }

    /// A UDP peer of the listener of this name.
    pub(crate) fn peer_of(&self, listener: &str) -> Peer {
        Peer::of(("127.0.0.1", self.port_of(listener)))
    }

    /// The port of the only UDP address.
    pub(crate) fn udp_port(&self) -> u16 {
        port(&self.find_line("listening on udp://"))
    }

    /// Waits for a line of the log with `text` in it.
    pub(crate) fn find_line(&self, text: &str) -> String {
        self.log.find(&format!("`{text}`"), |lines| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits for as many lines with `text` in them.
    pub(crate) fn find_lines(&self, count: usize, text: &str) -> Vec<String> {
        self.log.find(&format!("{count} lines with `{text}`"), |lines| {
            let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).cloned().collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// What stderr has had so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// Waits for the first receipt.
    pub(crate) fn receipt(&self) -> Value {
        self.receipts(1).remove(0)
    }

    /// Waits for this many receipts, and gives those that are there.
    pub(crate) fn receipts(&self, count: usize) -> Vec<Value> {
        self.log.find(&format!("{count} receipts"), |lines| {
            let found: Vec<_> = lines.iter().filter_map(|line| receipt(line)).collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// Waits for the last receipt that is like this.
    pub(crate) fn find_receipt(&self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        self.log.find("a receipt", |lines| {
            lines.iter().rev().filter_map(|line| receipt(line)).find(&is_wanted)
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Halts it until it is sent SIGCONT; the kernel goes on connecting clients.
    pub(crate) fn halt(&self) {
        self.signal(Signal::STOP);
        let halted = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap();
        assert!(halted.is_some_and(|(_, status)| status.stopped()), "{halted:?}");
    }

    /// Asks it to drain, and waits until it listens no more. There must be a connection that is
    /// open.
    pub(crate) fn drain(&self) {
        self.signal(Signal::TERM);
        self.find_line("draining: ");
    }

    /// Asks it to start its program anew in its place, and waits until that serves.
    pub(crate) fn upgrade(&self) -> Successor {
        self.signal(Signal::USR2);
        let line = self.find_line(" serves from now on");
        let mut words = line.split_whitespace().skip_while(|word| *word != "process").skip(1);
        Successor::of(words.next().unwrap().parse().unwrap())
    }

    /// Waits for the end of this process alone, which must be in good order; what took its place
    /// goes on writing to the log.
    pub(crate) fn ends(&mut self) {
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    /// Waits for its end; gives the exit code and what it wrote to stderr.
    pub(crate) fn wait(mut self) -> (i32, String) {
        self.log.wait_for_its_end();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or_else(|| panic!("{status}: {}", self.log())), self.log())
    }

    /// Asks it to drain and waits for its end, which must be in good order; gives its receipts.
    pub(crate) fn stop(self) -> Vec<Value> {
        self.signal(Signal::TERM);
        let (code, log) = self.wait();
        assert_eq!(code, 0, "{log}");
        log.lines().filter_map(receipt).collect()
    }
}

impl Successor {
    /// The process with this number.
    pub(crate) fn of(pid: i32) -> Self {
        Self(Pid::from_raw(pid).unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.as_raw_pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It has ended already in many tests.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// The port in a ready line.
fn port(ready: &str) -> u16 {
    let address = ready.split_whitespace().nth(2).unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A receipt among lines of the log.
fn receipt(line: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    value.get("exit").is_some().then_some(value)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already in many tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Builder {
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(Into::into));
        self
    }

    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Server {
        self.start_by(portcell())
    }

    /// Starts it, and does not wait.
    pub(crate) fn begin(self) -> Server {
        self.begin_by(portcell())
    }

    /// As [`Builder::start`], by a command that is the binary under test, or ends with its name.
    pub(crate) fn start_by(self, command: Command) -> Server {
        let server = self.begin_by(command);
        server.find_line("listening on ");
        server
    }

    /// As [`Builder::start_by`], for a server that cannot listen: gives the exit code and what it
    /// wrote to stderr.
    pub(crate) fn fail_by(self, command: Command) -> (i32, String) {
        self.begin_by(command).wait()
    }

    /// As [`Builder::start_by`], and does not wait.
    pub(crate) fn begin_by(mut self, mut command: Command) -> Server {
        let runs = self.arguments.first().is_some_and(|first| first == "run");
        if runs && self.listen.is_empty() {
            self.listen.push("tcp://127.0.0.1:0".into());
        }
        command.args(self.arguments);
        for address in self.listen {
            command.args(["--listen", &address]);
        }
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Log::collect(child.stderr.take().unwrap());
        Server { child, log }
    }
}
