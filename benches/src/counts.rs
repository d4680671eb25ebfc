//! How many instructions the hot path takes, by valgrind's callgrind: a guard against changes that
//! make it longer, which does not depend on what else the machine does.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::hot_path::HOT_PATH;
use crate::servers::MINIMUM_TEXT;

/// The subcommand.
pub(crate) const COUNTS: &str = "counts";

/// How much longer than recorded the path may be, in hundredths: libc's copying differs between
/// processors.
const TOLERANCE: u64 = 5;

/// Connections and messages of each that are counted; the difference of two counts has nothing of
/// the start in it, which compiles a module.
const FEW: (u64, u64) = (100, 1);
const MORE_CONNECTIONS: (u64, u64) = (1_100, 1);
const MORE_ROUNDS: (u64, u64) = (100, 101);

/// What was counted of one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    /// From an accepted connection to its end, with one message.
    connection: u64,
    /// One message more.
    round: u64,
}

/// What was counted of both guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    minimum: Counted,
    plugin: Counted,
}

/// Counts, and compares with what `recorded` has; with `record`, writes it there. False if it is
/// more than it may be.
pub(crate) fn guard(plugin: &Path, recorded: &Path, record: bool) -> Result<bool> {
    let folder = TempDir::with_prefix("portcell-benches-")?;
    let minimum = folder.path().join("minimum.wasm");
    std::fs::write(&minimum, wat::parse_str(MINIMUM_TEXT)?)?;
    let now = Counts { minimum: count(&minimum, &folder)?, plugin: count(plugin, &folder)? };
    let name = recorded.display();
    if record {
        std::fs::write(recorded, serde_json::to_string_pretty(&now)? + "\n")
            .with_context(|| format!("writing {name}"))?;
    }
    let before = std::fs::read_to_string(recorded)
        .with_context(|| format!("reading {name}; --record writes it"))?;
    let before = serde_json::from_str(&before).with_context(|| format!("in {name}"))?;
    let (out, is_good) = compared(&before, &now);
    write!(io::stdout(), "{out}")?;
    Ok(is_good)
}

fn count(module: &Path, folder: &TempDir) -> Result<Counted> {
    writeln!(io::stderr(), "counting {}", module.display())?;
    let few = instructions(module, FEW, folder)?;
    let each = |(connections, rounds): (u64, u64)| -> Result<u64> {
        let more = instructions(module, (connections, rounds), folder)?.saturating_sub(few);
        let rounds = if connections > FEW.0 { 1 } else { rounds - FEW.1 };
        let connections = if rounds > 1 { connections } else { connections - FEW.0 };
        Ok(more / (connections * rounds))
    };
    Ok(Counted { connection: each(MORE_CONNECTIONS)?, round: each(MORE_ROUNDS)? })
}

fn instructions(module: &Path, (connections, rounds): (u64, u64), folder: &TempDir) -> Result<u64> {
    let profile: PathBuf = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args([HOT_PATH, "--connections", &connections.to_string()])
        .args(["--rounds", &rounds.to_string(), "--plugin"])
        .arg(module)
        .output()
        .context("starting valgrind; it is in a package of that name")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed ({}):\n{said}", output.status);
    collected(&said)
}

/// The number in `==1== Collected : 856301137`.
fn collected(said: &str) -> Result<u64> {
    let number = said.lines().find_map(|line| line.split_once("Collected :"));
    match number.map(|(_, number)| number.trim().parse()) {
        Some(Ok(number)) => Ok(number),
        _ => bail!("valgrind does not say what it has counted:\n{said}"),
    }
}

fn compared(before: &Counts, now: &Counts) -> (String, bool) {
    let mut out = "instructions             recorded      now\n".to_owned();
    let mut is_good = true;
    for (name, before, now) in [
        ("minimum, a connection", before.minimum.connection, now.minimum.connection),
        ("minimum, a message", before.minimum.round, now.minimum.round),
        ("plugin, a connection", before.plugin.connection, now.plugin.connection),
        ("plugin, a message", before.plugin.round, now.plugin.round),
    ] {
        let is_more = now * 100 > before * (100 + TOLERANCE);
        let remark = if is_more { "  MORE than it may be" } else { "" };
        is_good &= !is_more;
        let _ = writeln!(out, "{name:<24} {before:>8} {now:>8}{remark}");
    }
    (out, is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_read() {
        let said = "==7== Events    : Ir\n==7== Collected : 856301137\n==7== \n";
        assert_eq!(collected(said).unwrap(), 856_301_137);
        assert!(collected("==7== Collected : many").is_err());
    }

    #[test]
    fn more_than_it_may_be_is_told_and_less_is_not() {
        let of = |connection, round| {
            let both = Counted { connection, round };
            Counts { minimum: both, plugin: both }
        };
        assert!(compared(&of(1_000, 100), &of(1_050, 100)).1);
        assert!(compared(&of(1_000, 100), &of(1, 1)).1);
        for now in [of(1_051, 100), of(1_000, 106)] {
            let (out, is_good) = compared(&of(1_000, 100), &now);
            assert!(!is_good && out.contains("MORE"), "{out}");
        }
    }

    #[test]
    fn what_was_recorded_can_be_read() {
        let recorded = include_str!("../instructions.json");
        let counts: Counts = serde_json::from_str(recorded).unwrap();
        assert!(counts.plugin.round > 0);
    }
}
