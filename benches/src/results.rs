//! What a run says as a page with curves, for the repository.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use crate::report::Report;
use crate::scenarios::Scenario;

/// The page.
const PAGE: &str = "RESULTS.md";

/// Where its pictures are.
const PICTURES: &str = "curves";

/// Of a picture, in pixels.
const SIZE: (u32, u32) = (760, 420);

/// The servers' colours, in their order.
const COLOURS: [RGBColor; 10] = [
    RGBColor(0x33, 0x33, 0x33),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0xbc, 0xbd, 0x22),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x17, 0xbe, 0xcf),
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0x94, 0x67, 0xbd),
];

/// A picture of several curves.
struct Picture {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// How a number below the picture is written.
    label: fn(f64) -> String,
    curves: Vec<Curve>,
}

struct Curve {
    server: usize,
    points: Vec<(f64, f64)>,
}

/// Writes the page and its pictures into `folder`, which is made if it is not there. The tables of
/// `more`, which compares other servers, come before the pictures.
pub(crate) fn write(report: &Report, more: Option<&Report>, folder: &Path) -> Result<()> {
    let pictures_folder = folder.join(PICTURES);
    fs::create_dir_all(&pictures_folder).with_context(|| pictures_folder.display().to_string())?;
    let mut page = format!(
        "# Results\n\nWritten by `make bench`. [README.md](README.md) says what the servers and the \
         scenarios are and how to read this.\n\n{}\n\n{}\n",
        report.machine,
        report.how()
    );
    page += &tables(report);
    if let Some(more) = more {
        let _ = write!(page, "\n{}\n{}", more.how(), tables(more));
    }
    let pictures = pictures(report);
    if !pictures.is_empty() {
        page += "\n## Curves\n";
    }
    for picture in pictures {
        let path = pictures_folder.join(picture.file);
        picture.draw(&path, &report.servers).map_err(|why| anyhow!("{}: {why}", path.display()))?;
        let _ = write!(page, "\n![{}]({PICTURES}/{})\n", picture.title, picture.file);
    }
    for failure in [Some(report), more].into_iter().flatten().flat_map(|each| &each.failures) {
        let _ = write!(page, "\nFAILED: {failure}\n");
    }
    let page_path = folder.join(PAGE);
    fs::write(&page_path, page).with_context(|| page_path.display().to_string())
}

fn tables(report: &Report) -> String {
    let mut out = String::new();
    for &(name, scenario) in report.scenarios.iter().filter(|(_, scenario)| scenario.has_table()) {
        let _ = write!(out, "\n## {name}\n\n{}\n", report.markdown(scenario));
    }
    out
}

/// Those for which there are values.
fn pictures(report: &Report) -> Vec<Picture> {
    let has = |picture: &Picture| !picture.curves.is_empty();
    let percentiles = |number: f64| match number {
        2.0 => "p50".to_owned(),
        100.0 => "p99".to_owned(),
        1000.0 => "p99.9".to_owned(),
        _ => String::new(),
    };
    let all = [
        Picture {
            file: "rate-by-connections.svg",
            title: "64 B echoed over open connections",
            x: "connections",
            y: "echoes per second",
            label: count,
            curves: curves(report, connections, "operations_per_second"),
        },
        Picture {
            file: "p99-by-connections.svg",
            title: "64 B echoed over open connections",
            x: "connections",
            y: "p99 in microseconds",
            label: count,
            curves: curves(report, connections, "latency_p99_us"),
        },
        Picture {
            file: "cpu-by-size.svg",
            title: "messages echoed over 50 open connections",
            x: "bytes of a message",
            y: "server's CPU time per echo in microseconds",
            label: count,
            curves: curves(report, size, "cpu_us_per_operation"),
        },
        Picture {
            file: "latency.svg",
            title: "64 B echoed over 50 open connections",
            x: "percentile",
            y: "latency in microseconds",
            label: percentiles,
            curves: latencies(report),
        },
    ];
    all.into_iter().filter(has).collect()
}

fn connections(scenario: Scenario) -> Option<usize> {
    if let Scenario::Over(connections) = scenario { Some(connections) } else { None }
}

fn size(scenario: Scenario) -> Option<usize> {
    if let Scenario::Echo(size) = scenario { Some(size) } else { None }
}

/// A curve for each server that has two points at least: what `x` makes of a scenario, and the
/// median of a metric there.
fn curves(report: &Report, x: fn(Scenario) -> Option<usize>, metric: &str) -> Vec<Curve> {
    let servers = 0..report.servers.len();
    let curves = servers.map(|server| {
        let points = report.scenarios.iter().filter_map(|&(_, scenario)| {
            #[expect(clippy::cast_precision_loss, reason = "sizes and counts are far below 2^52")]
            let x = x(scenario)? as f64;
            Some((x, report.median(scenario, server, metric)?))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve { server, points }
    });
    curves.filter(|curve| curve.points.len() > 1).collect()
}

/// By how rare they are: 100 is one in a hundred, p99.
fn latencies(report: &Report) -> Vec<Curve> {
    let of = |server| {
        let metrics =
            [(2.0, "latency_p50_us"), (100.0, "latency_p99_us"), (1000.0, "latency_p999_us")];
        let points = metrics.into_iter().filter_map(|(x, metric)| {
            Some((x, report.median(Scenario::Echo(64), server, metric)?))
        });
        Curve { server, points: points.collect() }
    };
    (0..report.servers.len()).map(of).filter(|curve| curve.points.len() > 1).collect()
}

/// 10000 as 10k.
fn count(number: f64) -> String {
    if number >= 1e6 {
        format!("{}M", number / 1e6)
    } else if number >= 1e3 {
        format!("{}k", number / 1e3)
    } else {
        number.to_string()
    }
}

impl Picture {
    /// Both axes are logarithmic.
    fn draw(
        &self,
        path: &Path,
        servers: &[String],
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let span = |of: fn(&(f64, f64)) -> f64| {
            let least = points().map(of).fold(f64::MAX, f64::min);
            least..points().map(of).fold(f64::MIN, f64::max)
        };
        let (x, y) = (span(|point| point.0), span(|point| point.1));
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(x.log_scale(), (y.start * 0.8..y.end * 1.25).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|number| (self.label)(*number))
            .y_label_formatter(&|number| count(*number))
            .light_line_style(RGBColor(0xee, 0xee, 0xee))
            .draw()?;
        for Curve { server, points } in &self.curves {
            let colour = COLOURS[server % COLOURS.len()];
            let line =
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
            chart.draw_series(line)?.label(&servers[*server]).legend(move |(x, y)| {
                Rectangle::new([(x, y - 2), (x + 16, y + 2)], colour.filled())
            });
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(0xcc, 0xcc, 0xcc))
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::load::Bound;
    use crate::machine::Machine;
    use crate::report::Sample;
    use crate::scenarios::Amount;

    #[test]
    fn a_run_is_a_page_with_a_table_for_each_scenario_and_pictures_of_the_others() {
        let scenarios = ["echo-64", "over-1", "over-10"].map(|name| (name, named(name))).to_vec();
        let pairs = scenarios.iter().flat_map(|&(_, scenario)| [(scenario, 0), (scenario, 1)]);
        let pairs: Vec<(Scenario, usize)> = pairs.collect();
        let sample = |&(scenario, server): &(Scenario, usize)| Sample {
            round: 0,
            scenario,
            server,
            values: vec![7.0; scenario.metrics().len()],
        };
        let bound = Bound { window: Duration::from_secs(1), operations: 1 };
        let report = Report {
            machine: Machine::here(),
            apart: false,
            rounds: 1,
            amount: Amount { connections: 50, idle: 1, bound },
            servers: vec!["first".to_owned(), "second".to_owned()],
            samples: pairs.iter().map(sample).collect(),
            tried: pairs.into_iter().collect::<HashSet<_>>(),
            scenarios,
            failures: vec!["it broke".to_owned()],
        };
        let folder = TempDir::new().unwrap();
        let scenarios = Scenario::HTTP.to_vec();
        let tried = scenarios.iter().map(|&(_, scenario)| (scenario, 0)).collect();
        let more = Report {
            scenarios,
            tried,
            machine: Machine::here(),
            servers: vec!["other".to_owned()],
            samples: Vec::new(),
            failures: vec!["so did that".to_owned()],
            ..report
        };
        write(&report, Some(&more), folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join(PAGE)).unwrap();
        assert!(page.contains("\n## echo-64\n\n64 B echoed over 50 open connections.\n"), "{page}");
        assert!(page.contains("\n| second | 7 | 7..7 | 1.000 |"), "{page}");
        assert!(!page.contains("## over-1"), "{page}");
        assert!(page.contains("ratio to other\n\n## http-keep-alive\n"), "{page}");
        assert!(page.ends_with("\nFAILED: it broke\n\nFAILED: so did that\n"), "{page}");
        for (file, is_there) in
            [("rate-by-connections", true), ("latency", true), ("cpu-by-size", false)]
        {
            let path = format!("{PICTURES}/{file}.svg");
            assert_eq!(page.contains(&path), is_there, "{page}");
            let picture = fs::read_to_string(folder.path().join(path)).unwrap_or_default();
            assert_eq!(picture.contains("second"), is_there, "{picture}");
        }
    }

    fn named(name: &str) -> Scenario {
        Scenario::NAMES.into_iter().find(|known| known.0 == name).unwrap().1
    }
}
