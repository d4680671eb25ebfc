//! The compiler's own process: bounds itself, reads a module from stdin, writes its code to
//! stdout, and ends. It has nothing of the server's and keeps nothing.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal as Ignored};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::order::{ASKED, Order};
use super::precompile;
use crate::engine;

/// The answer is the code. All answers begin with the fingerprint that was asked for.
pub(super) const DONE: u8 = 0;

/// The module is not valid: the answer says why.
pub(super) const INVALID: u8 = 65;

/// The code would not fit the parent: there is no answer.
pub(super) const OTHER: u8 = 70;

/// Descriptors that it may have: its three, and one to look at the machine.
const DESCRIPTORS: u64 = 16;

/// The smallest module there is.
const NOTHING: &[u8] = b"\0asm\x01\0\0\0";

/// How much it gives way to the server, which may be serving.
const NICE: i32 = 5;

/// Whether this process was started as a compiler (see [`Compiler::Program`]); if so, it has done
/// its work, and must end with this code. To be called first of all in `main`.
///
/// [`Compiler::Program`]: super::Compiler::Program
pub fn compile_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ASKED {
        return None;
    }
    let Some(order) = Order::parse(arguments) else {
        complain("this is started by portcell only");
        return Some(OTHER.into());
    };
    Some(compile(&order).unwrap_or_else(|error| {
        complain(&error.to_string());
        ExitCode::FAILURE
    }))
}

fn compile(order: &Order) -> io::Result<ExitCode> {
    bind_to(order.parent)?;
    bound(order)?;
    give_way();
    let engine = engine::compiling(&order.fingerprint).map_err(io::Error::other)?;
    let Some(engine) = engine else { return Ok(OTHER.into()) };
    // Its threads are started now, while there is memory for them: later their want would look like
    // a crash.
    precompile(&engine, NOTHING).map_err(io::Error::other)?;
    let mut module = Vec::new();
    io::stdin().lock().read_to_end(&mut module)?;
    let (exit, answer) = match precompile(&engine, &module) {
        Ok(code) => (DONE, code),
        Err(why) => (INVALID, why.into_bytes()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(order.fingerprint.as_bytes())?;
    stdout.write_all(&answer)?;
    stdout.flush()?;
    Ok(exit.into())
}

/// Ends this process when its parent ends, and only then: signals that the parent acts upon are for
/// the parent, also where they are sent to all processes of the service or of this name.
fn bind_to(parent: u32) -> io::Result<()> {
    let ignored =
        [Ignored::SIGTERM, Ignored::SIGINT, Ignored::SIGHUP, Ignored::SIGUSR2, Ignored::SIGQUIT];
    ignored.into_iter().collect::<SigSet>().thread_block()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that.
    let now = rustix::process::getppid().map(Pid::as_raw_nonzero);
    if now.is_none_or(|now| u32::try_from(now.get()) != Ok(parent)) {
        return Err(io::Error::other("the parent has ended"));
    }
    Ok(())
}

fn bound(order: &Order) -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, own_addresses().saturating_add(order.memory)),
        (Resource::Cpu, order.cpu),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, DESCRIPTORS),
    ] {
        // What is bounded more already stays so.
        let least = |most: u64| getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        // Where both are the same, the end by CPU time is a SIGKILL, which has other reasons, too:
        // setrlimit(2).
        let later = u64::from(resource == Resource::Cpu);
        let (current, maximum) = (Some(least(most)), Some(least(most.saturating_add(later))));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

/// The address space that the program has before it has done anything, in bytes
/// (`proc_pid_status(5)`); 0 where that is not told.
fn own_addresses() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix(" kB"));
    size.and_then(|size| size.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// To the server, in processor time; and in memory, if the machine has none left. It works without
/// that, too.
fn give_way() {
    let _ = rustix::process::nice(NICE);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

fn complain(why: &str) {
    // The parent reads it, and says it where it is wanted.
    let _ = writeln!(io::stderr(), "{why}");
}
