//! A server as a child process: its start, where it listens, what it said, and its end, which is when
//! its `Server` is dropped.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use tokio::sync::oneshot;

use crate::load::{Load, Over, Target};
use crate::machine::Apart;
use crate::process::{Process, workers};

/// From start to the ready line; compiling a module is in it.
const START: Duration = Duration::from_secs(30);

/// How long an error waits for what a server that has ended said before.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines of a server's stderr that are kept for error messages.
const TAIL: usize = 20;

/// A running server.
pub(crate) struct Server {
    child: KilledOnDrop,
    said: Tail,
    /// Where it listens, and how.
    pub(crate) target: Target,
    /// Its counters in the kernel.
    pub(crate) process: Process,
    /// The server that it is a proxy of.
    pub(crate) behind: Option<Box<Self>>,
}

impl Server {
    /// Starts one by this command and waits until it says that it listens.
    pub(crate) async fn start(
        command: &mut Command,
        over: Over,
        apart: Option<Apart>,
    ) -> Result<Self> {
        let (child, said, listens) = spawn(command, apart)?;
        let process = Process::new(child.child.id())?;
        let address = match tokio::time::timeout(START, listens).await {
            Ok(Ok(address)) => address,
            Ok(Err(_)) => bail!("{command:?} ended before it listened{said}"),
            Err(_) => bail!("{command:?} does not listen after {START:?}{said}"),
        };
        let target = Target { address, over };
        Ok(Self { child, said, target, process, behind: None })
    }

    /// Starts a proxy in front of `behind`, with processes of its own for the work. It inherits
    /// `listener`, so clients can connect before it accepts. Waits until it has passed on an echo.
    pub(crate) async fn start_proxy(
        command: &mut Command,
        listener: TcpListener,
        behind: Self,
        apart: Option<Apart>,
    ) -> Result<Self> {
        let (mut child, said, ended) = spawn(command, apart)?;
        child.has_workers = true;
        let process = Process::with_workers(child.child.id())?;
        let target = Target { address: listener.local_addr()?, over: Over::Tcp };
        // Clients would wait for ever for one that has ended.
        drop(listener);
        let echoed = async { Load::open(&target, 1, 1).await?.close().await };
        if let Err(error) = echoed.await {
            // For its last words.
            let _ = tokio::time::timeout(LAST_WORDS, ended).await;
            bail!("{command:?} passes nothing on: {error:#}{said}");
        }
        Ok(Self { child, said, target, process, behind: Some(Box::new(behind)) })
    }

    /// Ends the server. Fails when it had ended by itself.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.child.try_wait()? {
            bail!("the server ended: {status}{}", self.said);
        }
        self.behind.take().map_or(Ok(()), |behind| behind.stop())
    }

    /// The last lines it wrote to stderr, for an error message.
    pub(crate) fn said(&self) -> Tail {
        self.said.clone()
    }
}

struct KilledOnDrop {
    child: Child,
    /// Whether it has children that would go on without it.
    has_workers: bool,
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let workers = if self.has_workers { workers(self.child.id()) } else { Vec::new() };
        // All of this fails only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for worker in workers {
            let _ = kill(worker, Signal::SIGKILL);
        }
    }
}

/// Starts a process. What it says on stderr is kept; where it says to listen comes through the
/// channel, which ends with its stderr.
fn spawn(
    command: &mut Command,
    apart: Option<Apart>,
) -> Result<(KilledOnDrop, Tail, oneshot::Receiver<SocketAddr>)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = match apart {
        Some(apart) => apart.on_servers(|| command.spawn())?,
        None => command.spawn(),
    };
    let child = child.with_context(|| format!("starting {command:?}"))?;
    let mut child = KilledOnDrop { child, has_workers: false };
    let stderr = child.child.stderr.take().context("stderr is a pipe")?;
    let said = Tail::default();
    let (ready, listens) = oneshot::channel();
    thread::spawn({
        let said = said.clone();
        move || follow(stderr, ready, &said)
    });
    Ok((child, said, listens))
}

/// The last lines that a server wrote to stderr, other than where it listens.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().try_for_each(|line| write!(f, "\n  it said: {line}"))
    }
}

/// Reads stderr to its end, so that the server never waits for a reader.
fn follow(stderr: ChildStderr, ready: oneshot::Sender<SocketAddr>, said: &Tail) {
    let mut ready = Some(ready);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        match (listening(&line), ready.take()) {
            // Fails when nobody waits any more.
            (Some(address), Some(ready)) => drop(ready.send(address)),
            (_, still) => {
                ready = still;
                said.push(line);
            }
        }
    }
}

/// The address in a ready line, `listening on tcp://127.0.0.1:7000 (echo)`, or that of `wasmtime
/// serve`.
fn listening(line: &str) -> Option<SocketAddr> {
    if let Some((_, rest)) = line.split_once("Serving HTTP on http://") {
        return rest.strip_suffix('/')?.parse().ok();
    }
    let (_, rest) = line.split_once("listening on ")?;
    let rest = rest.strip_prefix("tcp://").or_else(|| rest.strip_prefix("udp://"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_ready_line_says_the_address() {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 7000)));
        assert_eq!(listening("listening on tcp://127.0.0.1:7000 (echo)"), address);
        assert_eq!(listening("INFO listening on tcp://127.0.0.1:7000"), address);
        assert_eq!(listening("listening on udp://127.0.0.1:7000 (echo)"), address);
        assert_eq!(listening("Serving HTTP on http://127.0.0.1:7000/"), address);
        assert_eq!(listening("listening on unix:/run/echo (echo)"), None);
        assert_eq!(listening("listening on tcp://somewhere (echo)"), None);
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_an_error_with_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such plugin >&2; exit 64"]);
        let error = Server::start(&mut command, Over::Tcp, None).await.err().unwrap().to_string();
        assert!(error.contains("ended before it listened"), "{error}");
        assert!(error.ends_with("\n  it said: no such plugin"), "{error}");
    }

    #[tokio::test]
    async fn dropping_a_server_ends_its_process() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo listening on tcp://127.0.0.1:1 >&2; exec sleep 1000"]);
        let server = Server::start(&mut command, Over::Tcp, None).await.unwrap();
        let id = server.child.child.id();
        assert!(Path::new(&format!("/proc/{id}")).exists());
        drop(server);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
