//! A process that is not the test's own child, as Linux shows it in /proc.

use std::fs;
use std::path::PathBuf;

use rustix::process::Pid;

use super::{Server, wait_until};

/// A process, which may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(i32);

impl Process {
    pub(crate) fn of(server: &Server) -> Self {
        Self(server.pid().as_raw_nonzero().get())
    }

    /// The one that the tests run in.
    pub(crate) fn of_this_test() -> Self {
        Self(std::process::id().try_into().unwrap())
    }

    /// The children of this one, those included that nobody has waited for.
    pub(crate) fn children(self) -> Vec<Self> {
        let ids = fs::read_dir("/proc").unwrap().flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.map(Self).filter(|process| process.field(1) == Some(self.0)).collect()
    }

    /// Waits until it has a child.
    pub(crate) fn child(self) -> Self {
        let mut found = None;
        wait_until("there is a child", || {
            found = self.children().into_iter().next();
            found.is_some()
        });
        found.unwrap()
    }

    /// Whether it runs, and is not only waited for.
    pub(crate) fn runs(self) -> bool {
        self.stat().is_some_and(|stat| !stat.starts_with('Z'))
    }

    /// The leader of its group.
    pub(crate) fn group(self) -> Option<Self> {
        self.field(2).map(Self)
    }

    /// What its threads of this name have computed, in ticks of the kernel's clock, and whether the
    /// kernel runs them only when no other wants to (`SCHED_IDLE`).
    pub(crate) fn threads(self, name: &str) -> Vec<(u64, bool)> {
        let threads = fs::read_dir(self.at("task")).unwrap().flatten();
        let stats = threads.filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            let (before, after) = stat.rsplit_once(") ")?;
            let is_meant = before.rsplit_once('(')?.1 == name;
            is_meant.then(|| after.split(' ').map(str::to_owned).collect::<Vec<_>>())
        });
        // proc_pid_stat(5): utime, stime and policy.
        let number = |stat: &[String], index: usize| stat[index - 3].parse::<u64>().unwrap();
        stats.map(|stat| (number(&stat, 14) + number(&stat, 15), number(&stat, 41) == 5)).collect()
    }

    /// The numbers of its descriptors.
    pub(crate) fn descriptors(self) -> Vec<String> {
        let open = fs::read_dir(self.at("fd")).unwrap().flatten();
        let mut open: Vec<_> = open.map(|entry| entry.file_name().into_string().unwrap()).collect();
        open.sort();
        open
    }

    /// The resident memory, in bytes.
    pub(crate) fn memory(self) -> u64 {
        self.size("VmRSS:")
    }

    /// Memory that it may write to and shares with nobody, used or not, in bytes: what `RLIMIT_DATA`
    /// of setrlimit(2) limits.
    pub(crate) fn data(self) -> u64 {
        self.size("VmData:")
    }

    /// Of `proc_pid_status(5)`, in bytes.
    fn size(self, name: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// One of the files that tell about it.
    pub(crate) fn read(self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    pub(crate) fn pid(self) -> Pid {
        Pid::from_raw(self.0).unwrap()
    }

    fn at(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }

    /// Of `proc_pid_stat(5)`, from the state on.
    fn stat(self) -> Option<String> {
        let stat = fs::read_to_string(self.at("stat")).ok()?;
        Some(stat.rsplit_once(") ")?.1.to_owned())
    }

    fn field(self, index: usize) -> Option<i32> {
        self.stat()?.split(' ').nth(index)?.parse().ok()
    }
}
