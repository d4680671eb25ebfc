//! What memory does as connections, or flows of UDP, become very many: all of them idle in one
//! server, at several counts on the way. Raises limits where it may.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::flows::Flows;
use crate::load::{Bound, Load, Over};
use crate::process::Memory;
use crate::running::Server;

/// The subcommand.
pub(crate) const SLOPE: &str = "slope";

/// Of a message, in bytes.
const MESSAGE: usize = 64;

/// Descriptors of a process for all but connections; more than portcell keeps for that.
const OTHER_DESCRIPTORS: u64 = 256;

/// Mappings of the server (docs/operations.md, Sizing): of its own, and of each instance.
const OTHER_MAPPINGS: u64 = 5000;
const MAPPINGS: u64 = 4;

/// What a connection is taken to need, both ends and the kernel's part: with less there could be no
/// memory left for the machine.
const NEEDED_KIB: u64 = 80;

/// From first to last. Without it a server that gets slower and slower would never let go.
const WHOLE: Duration = Duration::from_mins(10);

/// After a step: what the server still does for the last of them.
const SETTLE: Duration = Duration::from_millis(200);

/// Of memory mappings in a process.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";

/// Whether the machine's limit of mappings may be changed meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mappings {
    AsTheyAre,
    Raised,
}

/// What is idle. A flow has an instance as a connection has, and no descriptor on either side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    Connections,
    Flows,
}

/// Those that are open.
enum Clients {
    Connections(Load),
    Flows(Flows),
}

/// Limits that are raised until it is dropped.
pub(crate) struct Limits {
    _mappings: Option<Raised>,
}

/// A number in a file of the kernel that is put back when this is dropped.
struct Raised {
    file: PathBuf,
    before: u64,
}

/// With so many connections open.
#[derive(Clone, Copy)]
struct Step {
    connections: usize,
    memory: Memory,
    mappings: usize,
    /// What the kernel has in its slabs, in KiB: of the whole machine, so with the clients' sockets.
    slabs: u64,
}

impl Limits {
    /// For a server and a load of so many connections. Fails where they cannot be had, and says what
    /// would help.
    pub(crate) fn raise(connections: usize, idle: Idle, mappings: Mappings) -> Result<Self> {
        let connections = u64::try_from(connections)?;
        let available = kib("/proc/meminfo", "MemAvailable:")?;
        ensure!(
            available / NEEDED_KIB >= connections,
            "{connections} connections may need {} MiB, and {} MiB are available: choose fewer",
            connections * NEEDED_KIB / 1024,
            available / 1024
        );
        let descriptors = if idle == Idle::Connections { connections } else { 0 };
        let needed = descriptors + OTHER_DESCRIPTORS;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if most < needed {
            setrlimit(Resource::RLIMIT_NOFILE, needed, needed).with_context(|| {
                format!(
                    "the hard limit of open files is {most}, and {connections} connections need \
                     {needed}: raise it before (`ulimit -Hn`), or run this with CAP_SYS_RESOURCE"
                )
            })?;
        }
        // Beside flows there is room for one connection at least.
        let beside = u64::from(idle == Idle::Flows);
        let needed = OTHER_MAPPINGS + MAPPINGS * (connections + beside);
        let there = number(Path::new(MAX_MAP_COUNT))?;
        if there >= needed {
            return Ok(Self { _mappings: None });
        }
        ensure!(
            mappings == Mappings::Raised,
            "vm.max_map_count is {there}, and {connections} connections need {needed}: \
             --raise-max-map-count sets it and puts it back at the end (as root), or choose fewer"
        );
        Ok(Self { _mappings: Some(Raised::to(Path::new(MAX_MAP_COUNT), needed)?) })
    }
}

impl Raised {
    fn to(file: &Path, number: u64) -> Result<Self> {
        let before = self::number(file)?;
        fs::write(file, number.to_string())
            .with_context(|| format!("setting {} to {number}", file.display()))?;
        Ok(Self { file: file.to_owned(), before })
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.file, self.before.to_string()) {
            let file = self.file.display();
            let _ =
                writeln!(io::stderr(), "{file} was {} and still is raised: {error}", self.before);
        }
    }
}

impl Clients {
    /// The first of them.
    async fn open(server: &Server, idle: Idle) -> Result<Self> {
        Ok(match idle {
            Idle::Connections => Self::Connections(Load::open(&server.target, 1, MESSAGE).await?),
            Idle::Flows => {
                let mut flows = Flows::to(server.target.address)?;
                flows.add(1)?;
                Self::Flows(flows)
            }
        })
    }

    async fn add(&mut self, server: &Server, more: usize) -> Result<()> {
        match self {
            Self::Connections(load) => load.add(&server.target, more, MESSAGE).await,
            Self::Flows(flows) => flows.add(more),
        }
    }

    /// Each of them, of which there are so many, echoes once more; then they are closed, where there
    /// is something to close.
    async fn end(self, open: usize) -> Result<()> {
        match self {
            Self::Connections(mut load) => {
                let bound = Bound { window: WHOLE, operations: open };
                let echoed = load.run(bound).await?.operations();
                ensure!(echoed == open, "{echoed} of {open} connections echoed at the end");
                load.close().await
            }
            Self::Flows(flows) => flows.echo_all(),
        }
    }
}

impl Idle {
    /// What they are in what is printed.
    const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Flows => "flows",
        }
    }
}

/// Opens connections or flows to a server with `plugin` until there are as many as each of `counts`, which
/// ascend, and prints what that took. Each has echoed a message and is silent then; at the end all of
/// them echo once more and are closed in good order.
pub(crate) async fn measure(
    portcell: &Path,
    plugin: &Path,
    idle: Idle,
    counts: &[usize],
    json: bool,
) -> Result<()> {
    let steps = tokio::time::timeout(WHOLE, steps(portcell, plugin, idle, counts)).await;
    let steps = steps.with_context(|| format!("it takes longer than {WHOLE:?}"))??;
    let out = if json { format!("{:#}\n", as_json(&steps)) } else { table(&steps, idle) };
    write!(io::stdout(), "{out}")?;
    Ok(())
}

/// The first is that of one connection, which pays for what all share.
async fn steps(portcell: &Path, plugin: &Path, idle: Idle, counts: &[usize]) -> Result<Vec<Step>> {
    let most = counts.last().copied().context("no counts")?;
    let mut command = Command::new(portcell);
    command.arg("run").arg(plugin);
    let most = most.to_string();
    let over = match idle {
        Idle::Connections => {
            command.args(["--listen", "tcp://127.0.0.1:0", "--max-connections", &most]);
            Over::Tcp
        }
        Idle::Flows => {
            command.args(["--listen", "udp://127.0.0.1:0", "--max-flows", &most]);
            command.args(["--max-connections", "1"]);
            Over::Udp
        }
    };
    // Of the memory that guests may use, most is never touched; and nobody is to leave meanwhile.
    command.args(["--max-memory", "none", "--idle-timeout", "none"]);
    let server = Server::start(&mut command, over, None).await?;
    let said = server.said();
    let done = on_the_way(&server, idle, counts).await;
    let ended = server.stop();
    let steps = done.map_err(|error| anyhow::anyhow!("{error:#}{said}"))?;
    ended?;
    Ok(steps)
}

async fn on_the_way(server: &Server, idle: Idle, counts: &[usize]) -> Result<Vec<Step>> {
    let mut clients = Clients::open(server, idle).await?;
    let mut steps = vec![step(server, 1).await?];
    for &count in counts {
        let begun = Instant::now();
        let more = count.saturating_sub(steps[steps.len() - 1].connections);
        clients.add(server, more).await?;
        steps.push(step(server, count).await?);
        let took = begun.elapsed().as_secs_f64();
        let name = idle.name();
        writeln!(io::stderr(), "{count} {name}; the last {more} took {took:.1} s")?;
    }
    clients.end(steps[steps.len() - 1].connections).await?;
    Ok(steps)
}

async fn step(server: &Server, connections: usize) -> Result<Step> {
    tokio::time::sleep(SETTLE).await;
    let memory = server.process.memory()?;
    let slabs = kib("/proc/meminfo", "Slab:")?;
    Ok(Step { connections, memory, mappings: server.process.mappings()?, slabs })
}

/// What each connection takes, in KiB: resident, page tables, slabs.
type Each = [f64; 3];

/// Of the connections that `after` has beyond those of `before`.
#[expect(clippy::cast_precision_loss, reason = "KiB and counts are far below 2^52")]
fn each(before: &Step, after: &Step) -> Each {
    let count = (after.connections - before.connections) as f64;
    let values = |step: &Step| {
        [step.memory.resident as f64, step.memory.page_tables as f64, step.slabs as f64]
    };
    let (before, after) = (values(before), values(after));
    std::array::from_fn(|value| (after[value] - before[value]) / count)
}

const HEADING: &str = "\
that echoed 64 B once: KiB of each, of all and of those since the line before
     number     RSS   since  tables   since   slabs   since  RSS MiB  mappings
";

fn table(steps: &[Step], idle: Idle) -> String {
    let mut out = format!("idle {} {HEADING}", idle.name());
    for pair in steps.windows(2) {
        let [resident, tables, slabs] = each(&steps[0], &pair[1]);
        let [resident_since, tables_since, slabs_since] = each(&pair[0], &pair[1]);
        let Step { connections, memory, mappings, .. } = pair[1];
        let whole = memory.resident / 1024;
        let _ = writeln!(
            out,
            "{connections:11} {resident:7.2} {resident_since:7.2} {tables:7.2} {tables_since:7.2} \
             {slabs:7.2} {slabs_since:7.2} {whole:8} {mappings:9}"
        );
    }
    out
}

fn as_json(steps: &[Step]) -> Value {
    let rows = steps.windows(2).map(|pair| {
        let named = |[resident, tables, slabs]: Each| {
            json!({
                "resident_kib": resident,
                "page_tables_kib": tables,
                "slabs_kib": slabs,
            })
        };
        json!({
            "connections": pair[1].connections,
            "resident_kib": pair[1].memory.resident,
            "page_tables_kib": pair[1].memory.page_tables,
            "mappings": pair[1].mappings,
            "each": named(each(&steps[0], &pair[1])),
            "each_since": named(each(&pair[0], &pair[1])),
        })
    });
    rows.collect()
}

fn number(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.trim().parse().with_context(|| file.display().to_string())
}

fn kib(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).context(file.to_owned())?;
    crate::process::kib(&text, name)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_raised_is_put_back() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("max_map_count");
        fs::write(&file, "65530\n").unwrap();
        let raised = Raised::to(&file, 405_000).unwrap();
        assert_eq!(number(&file).unwrap(), 405_000);
        drop(raised);
        assert_eq!(number(&file).unwrap(), 65_530);
    }

    #[test]
    fn mappings_are_not_raised_unasked_and_memory_has_to_be_there() {
        let error = |count, mappings| {
            Limits::raise(count, Idle::Connections, mappings).err().unwrap().to_string()
        };
        let most = usize::try_from(number(Path::new(MAX_MAP_COUNT)).unwrap()).unwrap();
        let said = error(1 << 40, Mappings::Raised);
        assert!(said.contains("MiB are available: choose fewer"), "{said}");
        // With fewer mappings than these there is nothing to refuse before memory or descriptors.
        if most < 100_000 {
            let said = error(most / 4, Mappings::AsTheyAre);
            assert!(said.contains("vm.max_map_count") || said.contains("open files"), "{said}");
        }
        assert!(Limits::raise(10, Idle::Connections, Mappings::AsTheyAre).is_ok());
    }

    #[test]
    fn connections_are_told_of_all_and_of_the_last_ones() {
        let step = |connections, resident| Step {
            connections,
            memory: Memory { resident, proportional: 0, page_tables: resident / 10 },
            mappings: 100 + 4 * connections,
            slabs: 1000 + u64::try_from(connections).unwrap(),
        };
        let steps = [step(1, 1000), step(101, 4000), step(201, 9000)];
        let shown = table(&steps, Idle::Flows);
        let last = "        201   40.00   50.00    4.00    5.00    1.00    1.00        8       904";
        assert!(shown.ends_with(&format!("{last}\n")), "{shown}");
        assert_eq!(shown.lines().count(), 4, "{shown}");
        let json = as_json(&steps);
        assert_eq!(json[1]["each"]["resident_kib"], 40.0);
        assert_eq!(json[1]["each_since"]["resident_kib"], 50.0);
    }
}
