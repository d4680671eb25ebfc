//! What the kernel knows about a process: its CPU time and its memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// A live process, by its number.
pub(crate) struct Process {
    id: u32,
    clock: ClockId,
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Pages mapped and present; a page that is mapped twice counts twice.
    pub(crate) resident: u64,
    /// The same, with each page's size divided by how often it is mapped.
    pub(crate) proportional: u64,
    /// The page tables themselves, which `resident` leaves out.
    pub(crate) page_tables: u64,
}

impl Process {
    pub(crate) fn new(id: u32) -> Result<Self> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(id.try_into()?))
            .with_context(|| format!("the CPU clock of process {id}"))?;
        Ok(Self { id, clock })
    }

    pub(crate) fn this() -> Self {
        Self { id: std::process::id(), clock: ClockId::CLOCK_PROCESS_CPUTIME_ID }
    }

    /// CPU time in user and kernel mode of all threads, ended ones too, as the scheduler counts it
    /// (nanoseconds, not ticks). Work that the kernel does for a socket in another process's
    /// context, such as the receiving half of a send over loopback, is that process's.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now().context("reading a CPU clock")?.into())
    }

    /// Exact at the cost of walking the page tables: not for use within a window.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let read = |file| {
            let path = format!("/proc/{}/{file}", self.id);
            fs::read_to_string(&path).context(path)
        };
        let (rollup, status) = (read("smaps_rollup")?, read("status")?);
        Ok(Memory {
            resident: kib(&rollup, "Rss:")?,
            proportional: kib(&rollup, "Pss:")?,
            page_tables: kib(&status, "VmPTE:")?,
        })
    }
}

fn kib(text: &str, name: &str) -> Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok())
        .with_context(|| format!("no line {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_for_a_live_process_only() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::new(child.id()).unwrap();
        let memory = process.memory().unwrap();
        assert!(memory.resident >= memory.proportional, "its pages are partly libc's");
        assert!(memory.proportional > 0);
        assert!(memory.page_tables > 0);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(process.memory().is_err());
    }

    #[test]
    fn sizes_are_found_by_their_whole_name() {
        let text = "Rss_total:  9 kB\nRss:       1024 kB\nPss: none\n";
        assert_eq!(kib(text, "Rss:").unwrap(), 1024);
        assert!(kib(text, "Pss:").is_err());
        assert!(kib(text, "VmPTE:").is_err());
    }

    #[test]
    fn another_process_has_a_clock_of_its_own() {
        let loops = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read x";
        let mut child = std::process::Command::new("sh")
            .args(["-c", loops])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::new(child.id()).unwrap();
        while process.cpu().unwrap() < Duration::from_millis(5) {
            std::thread::yield_now();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(process.cpu().is_err(), "a process that is gone has no clock");
    }
}
