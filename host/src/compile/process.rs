//! The parent's side of a compiler in a process of its own: starts it, feeds it, bounds it, and
//! makes sure that it is gone.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::child::{DONE, INVALID, OTHER};
use super::order::Order;
use super::{Bounds, CompileError, Stop, THREADS, processors};
use crate::config::display_duration;
use crate::text::printable;

/// After this time people are told what they wait for.
const LONG: Duration = Duration::from_secs(3);

/// What is kept of a compiler's last words, in bytes.
const LAST_WORDS: usize = 4096;

/// What is said before the end for want of memory: by Rust's allocator, by Cranelift's collections.
const WANT_OF_MEMORY: [&str; 2] = ["memory allocation of", "unhandled out-of-memory"];

/// What is moved at once, in bytes: a pipe's usual room.
const PIECE: usize = 64 << 10;

/// Has `module` compiled by `program`, and gives its code.
pub(super) fn compile(
    program: &Path,
    order: &Order,
    module: &[u8],
    name: &Path,
    bounds: Bounds,
    stop: &Stop,
) -> Result<Vec<u8>, CompileError> {
    let start = |source| CompileError::Start { program: program.to_owned(), source };
    let began = Instant::now();
    let mut running = Running::start(program, order).map_err(start)?;
    let mut told = false;
    while !running.is_done() {
        let next = if told { bounds.timeout } else { LONG.min(bounds.timeout) };
        match running.advance(module, bounds.code(), began + next, stop).map_err(start)? {
            Step::Moved => {}
            Step::TooMuch => return Err(CompileError::Memory(bounds.memory)),
            Step::Stopped => return Err(CompileError::Stopped),
            Step::Waited if began.elapsed() >= bounds.timeout => {
                return Err(CompileError::Timeout(bounds.timeout));
            }
            Step::Waited => {
                told = true;
                tracing::info!(
                    "compiling {} ({} bytes) takes a while; it may take {}",
                    name.display(),
                    module.len(),
                    display_duration(bounds.timeout)
                );
            }
        }
    }
    let (status, mut answer, words) = running.end().map_err(start)?;
    let said = status.code().and_then(|code| u8::try_from(code).ok());
    let Some(said @ (DONE | INVALID | OTHER)) = said else {
        return Err(crashed(status, &words, bounds));
    };
    // Another program may have the same exit codes.
    let sign = order.fingerprint.as_bytes();
    if said == OTHER || !answer.starts_with(sign) {
        return Err(CompileError::OtherProgram(program.to_owned()));
    }
    answer.drain(..sign.len());
    if said == DONE { Ok(answer) } else { Err(CompileError::Invalid(shown(&answer))) }
}

/// A compiler that is under way; it is gone when this is dropped.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// How much of the module it has.
    fed: usize,
    /// What it has answered so far.
    answer: Vec<u8>,
    words: Vec<u8>,
}

/// What waiting for a compiler came to.
enum Step {
    Moved,
    Waited,
    TooMuch,
    Stopped,
}

impl Running {
    fn start(program: &Path, order: &Order) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg0("portcell")
            .args(order.arguments())
            .env_clear()
            // The compiler makes one for each processor otherwise, and each needs address space.
            .env("RAYON_NUM_THREADS", processors().min(THREADS).to_string())
            // The allocator of the binary takes 1 GiB of it at once otherwise.
            .env("MIMALLOC_ARENA_RESERVE", "32MiB")
            .current_dir("/")
            // What a terminal sends to the server's group is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (answer, words) = (Vec::new(), Vec::new());
        let this = Self { child, stdin, stdout, stderr, fed: 0, answer, words };
        for pipe in [
            this.stdin.as_ref().map(AsFd::as_fd),
            this.stdout.as_ref().map(AsFd::as_fd),
            this.stderr.as_ref().map(AsFd::as_fd),
        ] {
            rustix::io::ioctl_fionbio(pipe.ok_or(io::ErrorKind::BrokenPipe)?, true)?;
        }
        Ok(this)
    }

    /// Whether it has closed its outputs: it ends.
    const fn is_done(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Waits until something can be moved or it is `deadline`, and moves it.
    fn advance(
        &mut self,
        module: &[u8],
        most: u64,
        deadline: Instant,
        stop: &Stop,
    ) -> io::Result<Step> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Step::Waited);
        }
        let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
        fds.extend(self.stdin.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        fds.extend(self.stdout.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stderr.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(Step::Moved),
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(Step::Waited),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(Step::Stopped),
            Ok(_) => {}
        }
        self.feed(module);
        read(&mut self.stdout, &mut self.answer, most);
        if self.answer.len() as u64 > most {
            return Ok(Step::TooMuch);
        }
        // Whatever it says beyond that is read, too, or it would wait for ever.
        read(&mut self.stderr, &mut self.words, u64::MAX);
        self.words.truncate(LAST_WORDS);
        Ok(Step::Moved)
    }

    /// Gives it more of the module; its end is the end of the pipe.
    fn feed(&mut self, module: &[u8]) {
        let Some(stdin) = &mut self.stdin else { return };
        let left = &module[self.fed..];
        match stdin.write(&left[..left.len().min(PIECE)]) {
            Ok(0) => self.stdin = None,
            Ok(n) => {
                self.fed += n;
                if self.fed == module.len() {
                    self.stdin = None;
                }
            }
            Err(error) if passes(&error) => {}
            // It reads no more: how it ends says why.
            Err(_) => self.stdin = None,
        }
    }

    /// Waits for its end; gives what it has said.
    fn end(mut self) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        // Its outputs are closed, so it has an exit code already, or should not go on.
        let _ = self.child.kill();
        let status = self.child.wait()?;
        Ok((status, std::mem::take(&mut self.answer), std::mem::take(&mut self.words)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing if it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what is there, up to a byte more than `most` in all; `None` from the end on.
fn read(pipe: &mut Option<impl io::Read>, into: &mut Vec<u8>, most: u64) {
    let Some(open) = pipe else { return };
    let room = (PIECE as u64).min(most.saturating_add(1).saturating_sub(into.len() as u64));
    match open.take(room).read_to_end(into) {
        Ok(0) => *pipe = None,
        Ok(_) => {}
        Err(error) if passes(&error) => {}
        Err(_) => *pipe = None,
    }
}

fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Why it ended without an answer.
fn crashed(status: ExitStatus, words: &[u8], bounds: Bounds) -> CompileError {
    let words = shown(words);
    if WANT_OF_MEMORY.iter().any(|it| words.contains(it)) {
        return CompileError::Memory(bounds.memory);
    }
    let signal = status.signal().and_then(Signal::from_named_raw);
    match signal {
        Some(Signal::XCPU) => CompileError::Timeout(bounds.timeout),
        // Not by us, who know that by other ways.
        Some(Signal::KILL) => CompileError::Crashed(
            "was killed, probably because the machine is out of memory".into(),
        ),
        _ if words.is_empty() => CompileError::Crashed(format!("ended with {status}")),
        _ => CompileError::Crashed(format!("ended with {status}: {words}")),
    }
}

/// The beginning of what a compiler has said, on one line.
fn shown(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    printable(&line.chars().take(LAST_WORDS / 8).collect::<String>())
}
