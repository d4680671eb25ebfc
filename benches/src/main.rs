//! Measures portcell against other servers in the same run: rates, latencies, CPU time per
//! operation and memory per connection. `README.md` beside this crate says how to read it.

mod bare;
mod command;
mod counts;
mod flows;
mod hot_path;
mod http;
mod instances;
mod load;
mod machine;
mod neighbours;
mod nginx;
mod process;
mod report;
mod results;
mod running;
mod scenarios;
mod servers;
mod slope;
mod tls;
mod tokio_echo;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ArgMatches;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use bare::SERVE_BARE;
use command::command;
use counts::COUNTS;
use hot_path::HOT_PATH;
use http::HTTP;
use instances::INSTANCES;
use load::Bound;
use machine::{Apart, Machine};
use neighbours::NEIGHBOURS;
use report::{Report, Sample};
use scenarios::{Amount, Scenario};
use servers::{Kind, Launcher, SERVE_TOKIO};
use slope::{Idle, Limits, Mappings, SLOPE};
use tokio_echo::Datagrams;

/// As portcell has it: what the servers of this program are compared with is not an allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = command().get_matches();
    let done = match arguments.subcommand() {
        Some((SERVE_TOKIO, of_server)) => {
            let files: Vec<&PathBuf> = of_server.get_many("tls").into_iter().flatten().collect();
            let identity = match files[..] {
                [certificate, key] => Some((certificate.as_path(), key.as_path())),
                _ => None,
            };
            let datagrams = match (of_server.get_flag("udp"), of_server.get_flag("batched")) {
                (false, _) => Datagrams::None,
                (true, false) => Datagrams::Single,
                (true, true) => Datagrams::Batched,
            };
            tokio_echo::serve(identity, datagrams).map(|()| true)
        }
        Some((SERVE_BARE, _)) => bare::serve().map(|()| true),
        Some((NEIGHBOURS, arguments)) => beside_neighbours(arguments).map(|()| true),
        Some((HOT_PATH, arguments)) => on_hot_path(arguments).map(|()| true),
        Some((COUNTS, arguments)) => counted(arguments),
        Some((INSTANCES, arguments)) => of_instances(arguments).map(|()| true),
        Some((HTTP, arguments)) => over_http(arguments),
        Some((SLOPE, arguments)) => slope_of(arguments).map(|()| true),
        _ => bench(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs and reports; false when a measurement failed.
fn bench(arguments: &ArgMatches) -> Result<bool> {
    let all = arguments.get_flag("all");
    let servers = if all { Kind::NAMES.into() } else { chosen(arguments, "servers", &Kind::NAMES) };
    let over_http = if all { Kind::HTTP.as_slice() } else { &[] };
    let launcher = launcher(arguments, plugin(arguments), servers.iter().chain(over_http))?;
    let (rounds, amount) = amount(arguments)?;
    let asked = chosen(arguments, "scenarios", &Scenario::NAMES);
    let wanted = |known: &(_, _)| all || asked.contains(known);
    let scenarios = Scenario::NAMES.into_iter().filter(wanted).collect();
    let report = compare(&launcher, all, &servers, scenarios, rounds, amount)?;
    let over_http =
        all.then(|| compare(&launcher, all, over_http, Scenario::HTTP.into(), rounds, amount));
    let over_http = over_http.transpose()?;
    if let Some(folder) = arguments.get_one::<PathBuf>("results") {
        results::write(&report, over_http.as_ref(), folder)?;
    }
    let reports: Vec<&Report> = [Some(&report), over_http.as_ref()].into_iter().flatten().collect();
    print(&reports, arguments.get_flag("json"))
}

/// portcell beside `wasmtime serve`.
fn over_http(arguments: &ArgMatches) -> Result<bool> {
    let launcher = launcher(arguments, PathBuf::new(), Kind::HTTP.iter())?;
    let bound = Bound { window: window(arguments)?, operations: usize::MAX };
    let amount = Amount { connections: count(arguments, "connections")?, idle: 0, bound };
    let rounds = count(arguments, "rounds")?;
    let report = compare(&launcher, false, &Kind::HTTP, Scenario::HTTP.into(), rounds, amount)?;
    print(&[&report], arguments.get_flag("json"))
}

fn launcher<'kinds>(
    arguments: &ArgMatches,
    plugin: PathBuf,
    servers: impl Iterator<Item = &'kinds (&'static str, Kind)>,
) -> Result<Launcher> {
    let kinds: Vec<Kind> = servers.map(|(_, kind)| *kind).collect();
    let apart = arguments.get_flag("apart").then(Apart::new).transpose()?;
    Launcher::new(portcell(arguments)?, plugin, &kinds, apart)
}

/// Measures all of it; in a `whole` run not every server in every scenario.
fn compare(
    launcher: &Launcher,
    whole: bool,
    servers: &[(&'static str, Kind)],
    scenarios: Vec<(&'static str, Scenario)>,
    rounds: usize,
    amount: Amount,
) -> Result<Report> {
    let kinds: Vec<Kind> = servers.iter().map(|(_, kind)| *kind).collect();
    let mut report = Report {
        machine: Machine::here(),
        apart: launcher.apart.is_some(),
        rounds,
        amount,
        servers: labels(servers),
        scenarios,
        samples: Vec::new(),
        tried: HashSet::new(),
        failures: Vec::new(),
    };
    run(measure_all(launcher, &kinds, whole, &mut report))?;
    Ok(report)
}

/// False when a measurement failed.
fn print(reports: &[&Report], json: bool) -> Result<bool> {
    let mut out = io::stdout();
    match reports {
        [report] if json => writeln!(out, "{:#}", report.json())?,
        reports if json => {
            let all: Value = reports.iter().map(|report| report.json()).collect();
            writeln!(out, "{all:#}")?;
        }
        reports => reports.iter().try_for_each(|report| write!(out, "{}", report.table()))?,
    }
    Ok(reports.iter().all(|report| report.failures.is_empty()))
}

/// The latencies of a victim and its neighbours.
fn beside_neighbours(arguments: &ArgMatches) -> Result<()> {
    let (rounds, window) = (count(arguments, "rounds")?, window(arguments)?);
    let portcell = portcell(arguments)?;
    run(neighbours::measure(&portcell, rounds, window, arguments.get_flag("json")))
}

/// Very many connections.
fn counted(arguments: &ArgMatches) -> Result<bool> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let recorded = arguments.get_one("recorded").cloned().unwrap_or(beside);
    counts::guard(&plugin(arguments), &recorded, arguments.get_flag("record"))
}

fn slope_of(arguments: &ArgMatches) -> Result<()> {
    let counts = arguments.get_many::<u32>("counts").into_iter().flatten();
    let counts = counts.map(|count| usize::try_from(*count));
    let counts: Vec<usize> = counts.collect::<Result<_, _>>()?;
    ensure!(counts.is_sorted_by(|a, b| a < b), "--counts must ascend");
    let most = counts.last().copied().context("--counts is empty")?;
    let mappings = if arguments.get_flag("raise-max-map-count") {
        Mappings::Raised
    } else {
        Mappings::AsTheyAre
    };
    let kind = if arguments.get_flag("udp") { Idle::Flows } else { Idle::Connections };
    let (portcell, plugin) = (portcell(arguments)?, plugin(arguments));
    // Until the server is gone.
    let _limits = Limits::raise(most, kind, mappings)?;
    run(slope::measure(&portcell, &plugin, kind, &counts, arguments.get_flag("json")))
}

/// The making of instances.
fn of_instances(arguments: &ArgMatches) -> Result<()> {
    let (plugin, count) = (plugin(arguments), count(arguments, "count")?);
    run(instances::measure(&plugin, count, arguments.get_flag("json")))
}

fn on_hot_path(arguments: &ArgMatches) -> Result<()> {
    let plugin = plugin(arguments);
    let (connections, rounds) = (count(arguments, "connections")?, count(arguments, "rounds")?);
    run(async move {
        // On its own: beside signals it would be polled together with them.
        tokio::spawn(async move { hot_path::walk(&plugin, connections, rounds).await }).await?
    })
}

/// Runs a measurement to its end, or until this program is told to end.
fn run(measure: impl Future<Output = Result<()>>) -> Result<()> {
    if cfg!(debug_assertions) {
        writeln!(io::stderr(), "a build without --release: the load is slower than it could be")?;
    }
    raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = measure => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
        }
    })
}

fn portcell(arguments: &ArgMatches) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("portcell");
    Ok(arguments.get_one("portcell").cloned().unwrap_or(beside))
}

fn plugin(arguments: &ArgMatches) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("plugins/echo.wasm");
    arguments.get_one("plugin").cloned().unwrap_or(built)
}

/// All rounds. Within a round the servers take turns at every scenario, each round beginning with
/// the next server, so that what drifts on the machine drifts for all.
/// A server that cannot do a scenario is left out, and so is one that has nothing to do with it in a
/// `whole` run.
async fn measure_all(
    launcher: &Launcher,
    kinds: &[Kind],
    whole: bool,
    report: &mut Report,
) -> Result<()> {
    for round in 0..report.rounds {
        for (name, scenario) in report.scenarios.clone() {
            for turn in 0..kinds.len() {
                let server = (turn + round) % kinds.len();
                let label = &report.servers[server];
                let place = format!("round {} of {}, {name}, {label}", round + 1, report.rounds);
                let kind = kinds[server];
                if whole && !kind.belongs_to(scenario) {
                    continue;
                }
                if !kind.serves(scenario.carrier()) {
                    writeln!(io::stderr(), "{place}: left out, it does not serve that")?;
                    continue;
                }
                report.tried.insert((scenario, server));
                writeln!(io::stderr(), "{place}")?;
                match measure(launcher, kinds[server], scenario, report.amount).await {
                    Ok(values) => {
                        report.samples.push(Sample { round, scenario, server, values });
                    }
                    Err(error) => {
                        writeln!(io::stderr(), "FAILED: {error:#}")?;
                        report.failures.push(format!("{place}: {error:#}"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// One measurement, by a server that did nothing before and does nothing after.
async fn measure(
    launcher: &Launcher,
    kind: Kind,
    scenario: Scenario,
    amount: Amount,
) -> Result<Vec<f64>> {
    let server = launcher.start(kind, scenario.carrier()).await?;
    let said = server.said();
    let measured = scenario.measure(&server, amount).await;
    let ended = server.stop();
    let values = measured.map_err(|error| anyhow::anyhow!("{error:#}{said}"))?;
    ended?;
    Ok(values)
}

fn chosen<T: Copy>(
    arguments: &ArgMatches,
    list: &str,
    names: &[(&'static str, T)],
) -> Vec<(&'static str, T)> {
    let asked = arguments.get_many::<String>(list).into_iter().flatten();
    asked.filter_map(|name| names.iter().find(|known| known.0 == name).copied()).collect()
}

fn amount(arguments: &ArgMatches) -> Result<(usize, Amount)> {
    let (rounds, window, idle) = if arguments.get_flag("quick") {
        (1, Duration::from_millis(50), 50)
    } else {
        (count(arguments, "rounds")?, window(arguments)?, count(arguments, "idle")?)
    };
    let bound = Bound { window, operations: count(arguments, "operations")? };
    Ok((rounds, Amount { connections: count(arguments, "connections")?, idle, bound }))
}

fn count(arguments: &ArgMatches, name: &str) -> Result<usize> {
    let count = arguments.get_one::<u32>(name).copied().context("it has a default")?;
    Ok(count.try_into()?)
}

fn window(arguments: &ArgMatches) -> Result<Duration> {
    let seconds = arguments.get_one("seconds").copied().context("it has a default")?;
    ensure!((0.01..=3600.0).contains(&seconds), "--seconds must be from 0.01 to 3600");
    Ok(Duration::from_secs_f64(seconds))
}

/// A server that is named again gets a number: `tokio`, `tokio (2)`.
fn labels(servers: &[(&str, Kind)]) -> Vec<String> {
    let label = |(place, (name, _)): (usize, &(&str, Kind))| match servers[..place]
        .iter()
        .filter(|before| before.0 == *name)
        .count()
    {
        0 => (*name).to_owned(),
        times => format!("{name} ({})", times + 1),
    };
    servers.iter().enumerate().map(label).collect()
}

/// As many descriptors as the hard limit allows, for this process and the servers it starts.
fn raise_descriptors() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raising the limit of descriptors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_named_twice_is_told_apart() {
        let arguments = command().get_matches_from(["x", "--servers", "tokio,portcell-wat,tokio"]);
        let servers = chosen(&arguments, "servers", &Kind::NAMES);
        assert_eq!(labels(&servers), ["tokio", "portcell-wat", "tokio (2)"]);
    }

    #[test]
    fn quick_is_one_short_round() {
        let (rounds, amount) = amount(&command().get_matches_from(["x", "--quick"])).unwrap();
        assert_eq!(rounds, 1);
        assert!(amount.bound.window < Duration::from_millis(100));
    }
}
