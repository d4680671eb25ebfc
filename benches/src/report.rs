//! What came out: medians, extremes and ratios, as a table for people and as JSON.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::scenarios::{Amount, Compared, Metric, Scenario};

/// All measurements of a run.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Whether servers and load had a processor each.
    pub(crate) apart: bool,
    pub(crate) rounds: usize,
    pub(crate) amount: Amount,
    /// Labels of the servers; the first is what the others are compared with.
    pub(crate) servers: Vec<String>,
    pub(crate) scenarios: Vec<(&'static str, Scenario)>,
    pub(crate) samples: Vec<Sample>,
    /// Which servers were measured in which scenarios, or were to be.
    pub(crate) tried: HashSet<(Scenario, usize)>,
    /// Measurements that went wrong, each in one line or more; their samples are missing.
    pub(crate) failures: Vec<String>,
}

/// One server in one scenario in one round.
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) scenario: Scenario,
    /// Its place in `Report::servers`.
    pub(crate) server: usize,
    /// A value for each of the scenario's metrics.
    pub(crate) values: Vec<f64>,
}

impl Report {
    /// A line about the machine, a table for each scenario, and the failures.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("{}\n{}\n", self.machine, self.how());
        for &(name, scenario) in &self.scenarios {
            let _ = writeln!(out, "\n{name}: {}", scenario.about(self.amount));
            out += &aligned(&self.rows(scenario));
            out += &self.disturbed(scenario);
            out += &self.load_bound(scenario);
        }
        for failure in &self.failures {
            let _ = writeln!(out, "\nFAILED {failure}");
        }
        out
    }

    /// How often and for how long it was measured, and what the numbers are.
    pub(crate) fn how(&self) -> String {
        format!(
            "{} x {} s each{}: median, (least..most), ratio to {}",
            self.rounds,
            self.amount.bound.window.as_secs_f64(),
            if self.apart { ", the server on one processor and the load on another" } else { "" },
            self.servers[0]
        )
    }

    /// One scenario, as a table in Markdown.
    pub(crate) fn markdown(&self, scenario: Scenario) -> String {
        let mut rows = self.rows(scenario).into_iter();
        let mut out = format!("{}.\n\n", capitalized(&scenario.about(self.amount)));
        if let Some(headings) = rows.next() {
            let _ = writeln!(out, "| {} |", headings.join(" | "));
            let _ = writeln!(out, "| ---{} |", " | ---:".repeat(headings.len() - 1));
        }
        for row in rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        for note in [self.disturbed(scenario), self.load_bound(scenario)].concat().lines() {
            let _ = write!(out, "\n{}\n", note.trim());
        }
        out
    }

    /// The median of a metric, by its name in JSON; `None` if no round gave a value.
    pub(crate) fn median(&self, scenario: Scenario, server: usize, metric: &str) -> Option<f64> {
        let index = scenario.metrics().iter().position(|known| known.name == metric)?;
        self.column(scenario, server, index).median
    }

    /// The headings, and the row of every server that was measured.
    fn rows(&self, scenario: Scenario) -> Vec<Vec<String>> {
        let mut rows = vec![headings(scenario.metrics())];
        let tried = |server: &usize| self.tried.contains(&(scenario, *server));
        rows.extend((0..self.servers.len()).filter(tried).map(|server| self.row(scenario, server)));
        rows
    }

    /// The same with the values of every round; a ratio or a median that no round gave is null.
    pub(crate) fn json(&self) -> Value {
        let scenarios = self.scenarios.iter().map(|&(name, scenario)| {
            let tried = |server: &usize| self.tried.contains(&(scenario, *server));
            let servers = (0..self.servers.len()).filter(tried).map(|server| {
                let metrics = scenario.metrics().iter().enumerate().map(|(index, metric)| {
                    let column = self.column(scenario, server, index);
                    let value = json!({
                        "median": column.median,
                        "min": column.least,
                        "max": column.most,
                        "ratio": column.ratio,
                        "difference": column.difference,
                        "rounds": column.rounds,
                    });
                    (metric.name.to_owned(), value)
                });
                let metrics: serde_json::Map<_, _> = metrics.collect();
                json!({ "server": self.servers[server], "metrics": metrics })
            });
            json!({
                "scenario": name,
                "about": scenario.about(self.amount),
                "servers": servers.collect::<Vec<_>>(),
            })
        });
        json!({
            "machine": self.machine.json(),
            "apart": self.apart,
            "rounds": self.rounds,
            "seconds": self.amount.bound.window.as_secs_f64(),
            "scenarios": scenarios.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    /// A warning, if there is something to warn of.
    fn disturbed(&self, scenario: Scenario) -> String {
        let samples = || self.samples.iter().filter(|sample| sample.scenario == scenario);
        match samples().filter(|sample| scenario.disturbed(&sample.values)).count() {
            0 => String::new(),
            count => format!(
                "  DISTURBED: other work during {count} of {} measurements; CPU per operation is \
                 too low there\n",
                samples().count()
            ),
        }
    }

    /// Where the load had no time left, if that was so.
    fn load_bound(&self, scenario: Scenario) -> String {
        let mut out = String::new();
        for (server, label) in self.servers.iter().enumerate() {
            let samples = || {
                let of_server =
                    |sample: &&Sample| sample.scenario == scenario && sample.server == server;
                self.samples.iter().filter(of_server)
            };
            let count = samples().filter(|sample| scenario.load_bound(&sample.values)).count();
            if count > 0 {
                let all = samples().count();
                let _ = writeln!(
                    out,
                    "  LOAD-BOUND: {count} of {all} measurements of {label}; its rate can be \
                     higher than that"
                );
            }
        }
        out
    }

    fn row(&self, scenario: Scenario, server: usize) -> Vec<String> {
        let mut row = vec![self.servers[server].clone()];
        for (index, metric) in scenario.metrics().iter().enumerate() {
            let column = self.column(scenario, server, index);
            let cell = |value| number(value, metric.decimals);
            row.push(cell(column.median));
            if metric.compared != Compared::Not {
                row.push(format!("{}..{}", cell(column.least), cell(column.most)));
                row.push(number(column.ratio, 3));
            }
            if metric.compared == Compared::Difference {
                row.push(cell(column.difference));
            }
        }
        row
    }

    fn column(&self, scenario: Scenario, server: usize, metric: usize) -> Column {
        let rounds = self.values(scenario, server, metric);
        let pairs = self.values(scenario, 0, metric);
        let beside = |&(round, value): &(usize, f64)| {
            let &(_, base) = pairs.iter().find(|pair| pair.0 == round)?;
            Some((value, base))
        };
        let pairs: Vec<(f64, f64)> = rounds.iter().filter_map(beside).collect();
        let ratios = pairs.iter().filter(|pair| pair.1 != 0.0).map(|(value, base)| value / base);
        let ratio = median(ratios.collect());
        let difference = median(pairs.iter().map(|(value, base)| value - base).collect());
        let rounds: Vec<f64> = rounds.into_iter().map(|(_, value)| value).collect();
        Column {
            median: median(rounds.clone()),
            least: rounds.iter().copied().reduce(f64::min),
            most: rounds.iter().copied().reduce(f64::max),
            ratio,
            difference,
            rounds,
        }
    }

    /// One metric of one server with the round of each value.
    fn values(&self, scenario: Scenario, server: usize, metric: usize) -> Vec<(usize, f64)> {
        let wanted = |sample: &&Sample| sample.scenario == scenario && sample.server == server;
        let samples = self.samples.iter().filter(wanted);
        samples.map(|sample| (sample.round, sample.values[metric])).collect()
    }
}

/// What the rounds say about one metric of one server. None where no round gave a value.
struct Column {
    median: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    /// The median of the ratios to the first server, each within one round.
    ratio: Option<f64>,
    /// The same of the differences.
    difference: Option<f64>,
    rounds: Vec<f64>,
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn headings(metrics: &[Metric]) -> Vec<String> {
    let mut row = vec![String::new()];
    for metric in metrics {
        row.push(metric.heading.to_owned());
        if metric.compared != Compared::Not {
            row.extend(["(range)".to_owned(), "ratio".to_owned()]);
        }
        if metric.compared == Compared::Difference {
            row.push("over".to_owned());
        }
    }
    row
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// The middle value, or the mean of the two in the middle; None of no values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Rows of as many cells each; the first column is text, the others are numbers.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let _ = write!(out, "  {:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Bound;

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_within_rounds() {
        // Every round of the second server is twice the first's, though their medians are not.
        let report = report(&[(0, 0, 10.0), (0, 1, 20.0), (1, 0, 100.0), (1, 1, 200.0)]);
        let column = report.column(Scenario::Idle, 1, 0);
        assert_eq!(column.ratio, Some(2.0));
        assert_eq!(
            (column.median, column.least, column.most),
            (Some(110.0), Some(20.0), Some(200.0))
        );
    }

    #[test]
    fn a_difference_is_the_median_of_the_differences_within_rounds() {
        let mut report = report(&[(0, 0, 10.0), (0, 1, 12.5), (1, 0, 90.0), (1, 1, 94.0)]);
        assert_eq!(report.column(Scenario::Idle, 1, 0).difference, Some(3.25));
        assert!(!report.table().contains("over"), "where nobody asks for it");
        let scenario = Scenario::FirstByte(1);
        report.scenarios = vec![("first-byte", scenario)];
        report.tried.extend([(scenario, 0), (scenario, 1)]);
        for sample in &mut report.samples {
            sample.scenario = scenario;
            sample.values = vec![sample.values[0]; scenario.metrics().len()];
        }
        let table = report.table();
        assert!(table.contains("p50 us     (range)  ratio  over"), "{table}");
        assert!(table.contains("53.2  12.5..94.0  1.147   3.2"), "{table}");
    }

    #[test]
    fn a_round_that_lacks_one_side_has_no_ratio() {
        let report = report(&[(0, 0, 10.0), (1, 1, 70.0), (2, 0, 10.0), (2, 1, 30.0)]);
        let column = report.column(Scenario::Idle, 1, 0);
        assert_eq!(column.ratio, Some(3.0));
        assert_eq!(column.rounds, [70.0, 30.0]);
    }

    #[test]
    fn a_server_without_samples_is_dashes_and_nulls() {
        let mut report = report(&[(0, 0, 10.0)]);
        report.failures.push("round 1, idle, b: it broke".to_owned());
        let table = report.table();
        assert!(table.contains("\n  b        -        -..-      -"), "{table}");
        assert!(table.ends_with("\nFAILED round 1, idle, b: it broke\n"), "{table}");
        let json = report.json();
        assert_eq!(json["scenarios"][0]["servers"][0]["metrics"]["resident_kib"]["median"], 10.0);
        assert!(json["scenarios"][0]["servers"][1]["metrics"]["resident_kib"]["median"].is_null());
    }

    #[test]
    fn measurements_beside_other_work_are_pointed_out() {
        let mut report = report(&[]);
        report.scenarios = vec![("connect", Scenario::Connect)];
        for (round, busy) in [7.0, 80.0, 26.0].into_iter().enumerate() {
            let mut values = vec![1.0; Scenario::Connect.metrics().len()];
            values.pop();
            values.push(busy);
            report.samples.push(Sample { round, scenario: Scenario::Connect, server: 0, values });
        }
        let table = report.table();
        assert!(table.contains("DISTURBED: other work during 2 of 3 measurements"), "{table}");
        report.samples.truncate(1);
        assert!(!report.table().contains("DISTURBED"));
    }

    #[test]
    fn rates_that_are_the_loads_own_are_pointed_out() {
        let mut report = report(&[]);
        report.scenarios = vec![("tls-connect", Scenario::TlsConnect)];
        for (server, busy) in [(0, 99.0), (1, 60.0), (0, 80.0)] {
            let mut values = vec![1.0; Scenario::TlsConnect.metrics().len()];
            values[5] = busy;
            report.samples.push(Sample {
                round: 0,
                scenario: Scenario::TlsConnect,
                server,
                values,
            });
        }
        let table = report.table();
        assert!(table.contains("LOAD-BOUND: 1 of 2 measurements of a;"), "{table}");
        assert!(!table.contains("measurements of b"), "{table}");
    }

    #[test]
    fn the_columns_line_up() {
        let table = report(&[(0, 0, 10.0), (0, 1, 20000.0)]).table();
        let lengths: Vec<usize> = table.lines().skip(4).map(str::len).collect();
        assert_eq!(lengths.len(), 3, "{table}");
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{table}");
    }

    fn report(samples: &[(usize, usize, f64)]) -> Report {
        let sample = |&(round, server, value): &(usize, usize, f64)| Sample {
            round,
            scenario: Scenario::Idle,
            server,
            values: vec![value; Scenario::Idle.metrics().len()],
        };
        let bound = Bound { window: Duration::from_secs(1), operations: 1 };
        Report {
            machine: Machine::here(),
            apart: false,
            rounds: 3,
            amount: Amount { connections: 1, idle: 1, bound },
            servers: vec!["a".to_owned(), "b".to_owned()],
            scenarios: vec![("idle", Scenario::Idle)],
            samples: samples.iter().map(sample).collect(),
            tried: [Scenario::Idle, Scenario::Connect, Scenario::TlsConnect]
                .into_iter()
                .flat_map(|scenario| [(scenario, 0), (scenario, 1)])
                .collect(),
            failures: Vec::new(),
        }
    }
}
