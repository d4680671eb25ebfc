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
    /// Whether its children, which it has until its end, are a part of it.
    with_workers: bool,
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
        Ok(Self { id, clock, with_workers: false })
    }

    /// One that has others do its work: what is told is the sum of all of them.
    pub(crate) fn with_workers(id: u32) -> Result<Self> {
        Ok(Self { with_workers: true, ..Self::new(id)? })
    }

    pub(crate) fn this() -> Self {
        let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
        Self { id: std::process::id(), clock, with_workers: false }
    }

    /// CPU time in user and kernel mode of all threads, ended ones too, as the scheduler counts it
    /// (nanoseconds, not ticks). Work that the kernel does for a socket in another process's
    /// context, such as the receiving half of a send over loopback, is that process's.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut used = self.clock.now().context("reading a CPU clock")?.into();
        for worker in self.workers()? {
            used += worker.cpu()?;
        }
        Ok(used)
    }

    /// Exact at the cost of walking the page tables: not for use within a window.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let read = |file| {
            let path = format!("/proc/{}/{file}", self.id);
            fs::read_to_string(&path).context(path)
        };
        let (rollup, status) = (read("smaps_rollup")?, read("status")?);
        let mut memory = Memory {
            resident: kib(&rollup, "Rss:")?,
            proportional: kib(&rollup, "Pss:")?,
            page_tables: kib(&status, "VmPTE:")?,
        };
        for worker in self.workers()? {
            let of_worker = worker.memory()?;
            memory.resident += of_worker.resident;
            memory.proportional += of_worker.proportional;
            memory.page_tables += of_worker.page_tables;
        }
        Ok(memory)
    }

    /// How many memory mappings it has, without those of workers.
    pub(crate) fn mappings(&self) -> Result<usize> {
        let path = format!("/proc/{}/maps", self.id);
        Ok(fs::read_to_string(&path).context(path)?.lines().count())
    }

    fn workers(&self) -> Result<Vec<Self>> {
        let workers = if self.with_workers { workers(self.id) } else { Vec::new() };
        workers.into_iter().map(|worker| Self::new(worker.as_raw().try_into()?)).collect()
    }
}

/// The processes that a process of one thread has started and that have not ended.
pub(crate) fn workers(id: u32) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|id| id.parse().ok().map(Pid::from_raw)).collect()
}

/// A size in a text of the kernel, `Rss:  12 kB`.
pub(crate) fn kib(text: &str, name: &str) -> Result<u64> {
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
    fn a_process_is_told_together_with_its_workers() {
        let script = "sleep 1000 & a=$!; sleep 1000 & b=$!; read x; kill $a $b";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while workers(child.id()).len() < 2 {
            std::thread::yield_now();
        }
        let (alone, all) = (Process::new(child.id()), Process::with_workers(child.id()));
        let (alone, all) = (alone.unwrap(), all.unwrap());
        while all.cpu().unwrap() <= alone.cpu().unwrap() {
            std::thread::yield_now();
        }
        let (alone, all) = (alone.memory().unwrap(), all.memory().unwrap());
        assert!(all.resident > alone.resident && all.proportional > alone.proportional);
        assert!(all.page_tables > alone.page_tables);
        drop(child.stdin.take());
        child.wait().unwrap();
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
