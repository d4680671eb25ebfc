//! Where a run took place, as results of different machines or commits do not compare, and how
//! busy all of it was.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::{Value, json};

/// The facts that a result is read with.
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    /// Short, with `+` when files differ from it. None without git or outside a clone.
    commit: Option<String>,
    /// Of the last minute, before the run: what else the machine was doing.
    load: f64,
}

impl Machine {
    /// This machine, now. What cannot be told is "unknown" or 0.
    pub(crate) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.to_owned()));
        Self {
            cores: thread::available_parallelism().map_or(0, Into::into),
            processor: processor.unwrap_or_else(|| "unknown".to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "processor": self.processor,
            "kernel": self.kernel,
            "commit": self.commit,
            "load": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, commit, load } = self;
        let commit = commit.as_deref().unwrap_or("unknown");
        write!(f, "{cores} cores ({processor}), Linux {kernel}, load {load}, commit {commit}")
    }
}

/// CPU time that all processors together had for use up to now, used or not, and the part of it
/// that none used. In ticks of the kernel, usually 10 ms.
pub(crate) struct Processors {
    all: Duration,
    idle: Duration,
}

impl Processors {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let rate = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?.try_into()?;
        Self::parse(&stat, rate).context("the first line of /proc/stat is not known")
    }

    /// Time in use since `before`; time that a hypervisor gave to others counts as used.
    pub(crate) fn busy_since(&self, before: &Self) -> Duration {
        let idle = self.idle.saturating_sub(before.idle);
        self.all.saturating_sub(before.all).saturating_sub(idle)
    }

    fn parse(stat: &str, rate: u64) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        // user nice system idle iowait irq softirq steal; what follows is part of user and nice.
        let mut ticks = [0_u64; 8];
        let mut words = line.split_whitespace();
        for tick in &mut ticks {
            *tick = words.next()?.parse().ok()?;
        }
        let tick = 1_000_000_000_u64.checked_div(rate)?;
        let time = |ticks: u64| Duration::from_nanos(ticks * tick);
        Some(Self { all: time(ticks.iter().sum()), idle: time(ticks[3] + ticks[4]) })
    }
}

/// A processor for the servers and another one for the load, where they are not to share any.
#[derive(Clone, Copy)]
pub(crate) struct Apart {
    servers: usize,
    load: usize,
}

impl Apart {
    /// The first two processors that this process may use. This thread is the load's from now on.
    pub(crate) fn new() -> Result<Self> {
        let allowed = sched_getaffinity(THIS_THREAD).context("the processors of this process")?;
        let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let (Some(servers), Some(load)) = (usable.next(), usable.next()) else {
            bail!("--apart needs two processors");
        };
        keep_to(load)?;
        Ok(Self { servers, load })
    }

    /// Does something on the processor of the servers; processes that it starts stay there.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> T) -> Result<T> {
        keep_to(self.servers)?;
        let started = start();
        keep_to(self.load)?;
        Ok(started)
    }
}

const THIS_THREAD: Pid = Pid::from_raw(0);

fn keep_to(processor: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(processor)?;
    sched_setaffinity(THIS_THREAD, &only).with_context(|| format!("keeping to CPU {processor}"))
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git").arg("-C").arg(here).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut commit = git(&["rev-parse", "--short", "HEAD"])?;
    if !git(&["status", "--porcelain"])?.is_empty() {
        commit.push('+');
    }
    Some(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_load_have_a_processor_each() {
        let Ok(apart) = Apart::new() else { return }; // a machine of one
        let here = || thread::available_parallelism().unwrap().get();
        let allowed = || sched_getaffinity(THIS_THREAD).unwrap();
        let (load, servers) = (allowed(), apart.on_servers(allowed).unwrap());
        assert_eq!((here(), load), (1, allowed()));
        assert_ne!(load, servers);
    }

    #[test]
    fn busy_is_all_but_idle_and_waiting_for_disks() {
        let at = |line| Processors::parse(line, 100).unwrap();
        let before = at("cpu  1 2 3 100 50 6 7 8 1 1\ncpu0 9 9 9 9");
        let after = at("cpu  11 2 13 300 60 6 17 18 1 1\ncpu0 9 9 9 9");
        assert_eq!(after.busy_since(&before), Duration::from_millis(400));
        assert!(Processors::parse("cpu  1 2 3 4", 100).is_none(), "an older kernel's line");
        assert!(Processors::now().is_ok());
    }
}
