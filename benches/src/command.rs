//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};

use crate::bare::SERVE_BARE;
use crate::counts::COUNTS;
use crate::hot_path::HOT_PATH;
use crate::http::HTTP;
use crate::instances::INSTANCES;
use crate::neighbours::NEIGHBOURS;
use crate::scenarios::Scenario;
use crate::servers::{Kind, SERVE_TOKIO};
use crate::slope::SLOPE;

/// The comparison, and the subcommands beside it.
pub(crate) fn command() -> Command {
    Command::new("portcell-benches")
        .about("Measures portcell against other servers in the same run")
        .args_conflicts_with_subcommands(true)
        .subcommands([
            serve_tokio(),
            Command::new(SERVE_BARE).hide(true),
            neighbours(),
            http(),
            instances(),
            hot_path(),
            counts(),
            slope(),
        ])
        .args([
            list("servers", Kind::NAMES.map(|(name, _)| name).into(), &Kind::USUAL).help(
                "Servers in turn; the others are compared with the first. One may be named twice",
            ),
            list("scenarios", Scenario::NAMES.map(|(name, _)| name).into(), &Scenario::USUAL)
                .help("What is measured, in this order"),
            count("rounds", "5").help("How often every pair is measured"),
            seconds(),
            count("operations", "5000000")
                .help("A measurement ends after this many, if that is sooner"),
            connections(),
            count("idle", "1000").help("Open connections in `idle`"),
            apart(),
            flag("quick")
                .conflicts_with_all(["rounds", "seconds", "idle"])
                .help("One short round of everything: shows that it works, measures nothing"),
            flag("all")
                .conflicts_with_all(["servers", "scenarios"])
                .help("All servers, and all scenarios; not every server in every one. HTTP, too"),
            json_of_rounds(),
            file("results")
                .value_name("FOLDER")
                .help("Writes RESULTS.md with its curves into this folder, too"),
            portcell(),
            echo_plugin(),
        ])
}

fn serve_tokio() -> Command {
    let tls = Arg::new("tls").long("tls").num_args(2).value_parser(value_parser!(PathBuf));
    Command::new(SERVE_TOKIO).hide(true).args([tls, flag("udp"), flag("batched")])
}

fn neighbours() -> Command {
    Command::new(NEIGHBOURS)
        .about("Latencies of one connection, alone and beside 4 that spin on 2 threads")
        .args([rounds(), seconds(), portcell(), json_of_rounds()])
}

fn http() -> Command {
    let seconds = seconds().help("Length of each measurement, in whole seconds");
    Command::new(HTTP)
        .about("portcell's http plugin beside `wasmtime serve`, with wrk as the load")
        .args([rounds(), seconds, connections(), apart(), portcell(), json_of_rounds()])
}

fn instances() -> Command {
    Command::new(INSTANCES).about("How long it takes to make an instance, in this process").args([
        count("count", "20000").help("Instances of each module"),
        file("plugin").help("The second module [default: plugins/echo.wasm]"),
        json(),
    ])
}

fn hot_path() -> Command {
    Command::new(HOT_PATH)
        .about("Serves connections in this process, for counting instructions")
        .args([
            count("connections", "1000").help("One after the other"),
            count("rounds", "1").help("Messages of each"),
            file("plugin").help("The module [default: plugins/echo.wasm]"),
        ])
}

fn counts() -> Command {
    Command::new(COUNTS)
        .about("Counts instructions by valgrind, and fails if they are more than recorded")
        .args([
            file("plugin").help("The second module [default: plugins/echo.wasm]"),
            file("recorded").help("What to compare with [default: benches/instructions.json]"),
            Arg::new("record")
                .long("record")
                .action(ArgAction::SetTrue)
                .help("Writes what is counted there"),
        ])
}

fn slope() -> Command {
    let counts = Arg::new("counts").long("counts").value_name("N,...").value_delimiter(',');
    Command::new(SLOPE).about("Memory of each idle connection where they are very many").args([
        counts
            .default_value("1000,10000")
            .value_parser(value_parser!(u32).range(2..=1_000_000))
            .help("Where it is measured, ascending; 1000,10000,50000,100000 is all of it"),
        flag("udp").help("Flows of UDP instead, which need no descriptors: their peers share one"),
        flag("raise-max-map-count")
            .help("Sets vm.max_map_count of this machine as high as it takes, and back at the end"),
        portcell(),
        echo_plugin(),
        json(),
    ])
}

fn rounds() -> Arg {
    count("rounds", "5").help("How often it is measured")
}

fn seconds() -> Arg {
    let argument = number("seconds", "2").value_parser(value_parser!(f64));
    argument.help("Length of each measurement")
}

fn connections() -> Arg {
    count("connections", "50").help("Clients at once")
}

fn apart() -> Arg {
    flag("apart").help("The servers on one processor, the load on another")
}

fn portcell() -> Arg {
    file("portcell").help("The portcell binary [default: the one beside this program]")
}

fn echo_plugin() -> Arg {
    file("plugin").help("The module of portcell-sdk [default: plugins/echo.wasm of the workspace]")
}

fn json() -> Arg {
    flag("json").help("JSON instead of the table")
}

fn json_of_rounds() -> Arg {
    json().help("JSON instead of the table, with the values of every round")
}

fn list(name: &'static str, names: Vec<&'static str>, usual: &[&'static str]) -> Arg {
    let argument = Arg::new(name).long(name).value_name("NAME,...").value_delimiter(',');
    argument.default_values(usual).value_parser(PossibleValuesParser::new(names))
}

fn count(name: &'static str, default: &'static str) -> Arg {
    number(name, default).value_parser(value_parser!(u32).range(1..))
}

fn number(name: &'static str, default: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("N").default_value(default)
}

fn file(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("PATH").value_parser(value_parser!(PathBuf))
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
