//! What neighbours that never let go of the processor do to somebody who is served: latencies of one
//! connection, alone and beside them, in the same server.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{Bound, Load, Over, Work};
use crate::running::Server;

/// The subcommand.
pub(crate) const NEIGHBOURS: &str = "neighbours";

const GUEST: &str = include_str!("../guests/neighbour.wat");

/// How many spin.
const COUNT: usize = 4;

/// Threads that run guests: fewer than there are neighbours.
const THREADS: &str = "2";

/// Of the victim's messages, in bytes. One byte is what makes a neighbour.
const MESSAGE: usize = 64;

/// One round: p50 and p99, alone and beside the neighbours, in microseconds.
type Round = [f64; 4];

/// Measures `rounds` times for `window` each, alone and beside, and prints medians.
pub(crate) async fn measure(
    portcell: &Path,
    rounds: usize,
    window: Duration,
    json: bool,
) -> Result<()> {
    let folder = TempDir::with_prefix("portcell-benches-")?;
    let module = folder.path().join("neighbour.wasm");
    std::fs::write(&module, wat::parse_str(GUEST)?)?;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        writeln!(io::stderr(), "round {number} of {rounds}")?;
        measured.push(round(portcell, &module, window).await?);
    }
    let out = if json { format!("{:#}\n", as_json(&measured)) } else { table(&measured) };
    write!(io::stdout(), "{out}")?;
    Ok(())
}

/// By a server of its own.
async fn round(portcell: &Path, module: &Path, window: Duration) -> Result<Round> {
    let mut command = std::process::Command::new(portcell);
    command.env("TOKIO_WORKER_THREADS", THREADS).arg("run").arg(module);
    command.args(["--listen", "tcp://127.0.0.1:0", "--cpu", "none"]);
    let server = Server::start(&mut command, Over::Tcp, None).await?;
    let bound = Bound { window, operations: usize::MAX };
    let mut victim = Load::open(&server.target, 1, MESSAGE).await?;
    // A moment to get going.
    victim.run(Bound { window: window / 5, ..bound }).await?;
    let alone = victim.run(bound).await?;
    // Each has echoed its byte by then, and spins. They are never closed in good order.
    let neighbours = Load::open(&server.target, COUNT, 1).await?;
    victim.run(Bound { window: window / 5, ..bound }).await?;
    let beside = victim.run(bound).await?;
    drop(neighbours);
    server.stop()?;
    let micros = |work: &Work, share| work.percentile(share).as_secs_f64() * 1e6;
    Ok([micros(&alone, 0.5), micros(&alone, 0.99), micros(&beside, 0.5), micros(&beside, 0.99)])
}

fn table(rounds: &[Round]) -> String {
    let [alone_50, alone_99, beside_50, beside_99] = medians(rounds);
    let [ratio_50, ratio_99] = ratios(rounds);
    format!(
        "one connection, {MESSAGE} B echoed, alone and beside {COUNT} neighbours that spin, \
         {THREADS} threads; {} rounds: medians in us, ratio within a round\n\
         \x20      alone   beside    ratio\n\
         p50 {alone_50:8.1} {beside_50:8.1} {ratio_50:8.2}\n\
         p99 {alone_99:8.1} {beside_99:8.1} {ratio_99:8.2}\n",
        rounds.len()
    )
}

fn as_json(rounds: &[Round]) -> Value {
    let [alone_50, alone_99, beside_50, beside_99] = medians(rounds);
    let [ratio_50, ratio_99] = ratios(rounds);
    json!({
        "neighbours": COUNT,
        "p50_us": { "alone": alone_50, "beside": beside_50, "ratio": ratio_50 },
        "p99_us": { "alone": alone_99, "beside": beside_99, "ratio": ratio_99 },
        "rounds": rounds,
    })
}

fn medians(rounds: &[Round]) -> Round {
    std::array::from_fn(|value| median(rounds.iter().map(|round| round[value]).collect()))
}

/// Beside to alone, of p50 and of p99.
fn ratios(rounds: &[Round]) -> [f64; 2] {
    [0, 1].map(|value| median(rounds.iter().map(|round| round[value + 2] / round[value]).collect()))
}

/// The middle value, or the mean of the two; not a number of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        values if values.len() % 2 == 1 => values[middle],
        values => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_wasm() {
        wat::parse_str(GUEST).unwrap();
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rounds = [[1.0, 10.0, 2.0, 30.0], [100.0, 1.0, 100.0, 2.0], [4.0, 4.0, 12.0, 4.0]];
        assert_eq!(format!("{:?}", medians(&rounds)), "[4.0, 4.0, 12.0, 4.0]");
        assert_eq!(format!("{:?}", ratios(&rounds)), "[2.0, 2.0]");
        assert_eq!(median(vec![1.0, 2.0]).to_string(), "1.5");
        let shown = table(&rounds);
        assert!(shown.contains("p50      4.0     12.0     2.00"), "{shown}");
        assert_eq!(as_json(&rounds)["p99_us"]["ratio"], 2.0);
    }
}
