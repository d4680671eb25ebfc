//! `receipts`: the records of connections that have ended, for people: filtered, and as a table.

mod filter;
mod source;
mod stream;
mod table;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use clap::parser::ValueSource;
use portcell::config::Receipts;
use portcell::telemetry::{self, Format};
use serde_json::Value;

use super::steer::Server;
use super::{Failure, serve};

pub(in crate::cli) use self::filter::duration;

use self::filter::Filter;
use self::source::{Next, Source};
use self::stream::{End, Stream};
use self::table::Table;

/// Prints the receipts that are asked for.
pub(super) fn receipts(matches: &ArgMatches, format: Format) -> Result<(), Failure> {
    let filter = Filter::of(matches).map_err(Failure::Usage)?;
    let mut source = open(matches)?;
    // What is not there yet cannot be measured.
    let waits = matches.get_flag("follow") || source.waits();
    // A server has none that are there.
    let is_server = matches!(source, Source::Server(_));
    let last = matches.get_one::<usize>("tail").copied().filter(|_| !is_server);
    let mut shown = Shown {
        output: BufWriter::new(io::stdout()),
        table: (!matches.get_flag("json")).then(|| Table::new(waits && last.is_none())),
        last: last.map(|most| (most, VecDeque::new())),
    };
    let mut others = 0_u64;
    let outcome = show(&mut source, &filter, &mut shown, &mut others, format);
    if others > 0 {
        let (lines, were) = if others == 1 { ("line", "was") } else { ("lines", "were") };
        telemetry::complain(format, &format!("{others} {lines} {were} no receipts"));
    }
    match outcome {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Ok(()) if source.end() == Some(End::Server) => {
            telemetry::complain(format, "the server has ended; there are no more receipts");
            Ok(())
        }
        outcome => outcome.context("receipts").map_err(Failure::Failed),
    }
}

/// Shows what passes the filter, to the end; counts the lines that are no receipts.
fn show(
    source: &mut Source,
    filter: &Filter,
    shown: &mut Shown,
    others: &mut u64,
    format: Format,
) -> io::Result<()> {
    loop {
        let line = match source.next()? {
            Next::Line(line) => line,
            Next::TooLong => {
                *others += 1;
                continue;
            }
            Next::Nothing => {
                shown.all_so_far(true)?;
                source::wait();
                continue;
            }
            Next::End => return shown.all_so_far(true),
        };
        match receipt(&line) {
            Some(receipt) if filter.matches(&receipt) => {
                shown.add(Line { text: line, receipt })?;
                if source.waits() {
                    shown.all_so_far(false)?;
                }
            }
            Some(_) => {}
            None if line.iter().all(u8::is_ascii_whitespace) => {}
            None => match missed(&line).filter(|_| matches!(source, Source::Server(_))) {
                Some(missed) => telemetry::complain(format, &missed),
                None => *others += 1,
            },
        }
    }
}

/// What a server says to one who does not read as fast as receipts come.
fn missed(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let (receipts, were) = match value["lost"].as_u64()? {
        1 => ("1 receipt".to_owned(), "was"),
        many => (format!("{many} receipts"), "were"),
    };
    Some(format!("{receipts} {were} missed: they came faster than they were read"))
}

/// A line that is a receipt.
fn receipt(line: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let is_receipt = value["exit"]["kind"].is_string() && value["time"].is_string();
    is_receipt.then_some(value)
}

fn open(matches: &ArgMatches) -> Result<Source, Failure> {
    let follow = matches.get_flag("follow");
    let usage = |why: &str| Err(Failure::Usage(anyhow!("--admin: {why}")));
    let is_typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    let path = match matches.get_one::<PathBuf>("file") {
        Some(_) if is_typed("admin") => {
            return usage("a running server is asked, or a file is read; name one of them");
        }
        Some(path) if path == Path::new("-") => return Ok(Source::stdin()),
        Some(path) => path.clone(),
        None if is_typed("admin") && !follow => {
            return usage(
                "a server keeps no receipts; add --follow for those to come, or name a file",
            );
        }
        None => {
            let is_elsewhere = matches.get_one::<String>("admin").is_some();
            let config = matches.get_one::<PathBuf>("config");
            let config = config.map_or(Path::new("portcell.toml"), PathBuf::as_path);
            let is_here = is_typed("config") || config.exists();
            if follow && (is_elsewhere || !is_here) {
                return server(matches, config);
            }
            match serve::read(config)?.server.receipts {
                Receipts::File(path) => path,
                Receipts::Off | Receipts::Stderr if follow => return server(matches, config),
                Receipts::Off => return none(config, "`server.receipts` is off"),
                Receipts::Stderr => return none(config, PIPE),
            }
        }
    };
    File::open(&path)
        .and_then(|file| Source::file(file, follow.then_some(&path)))
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Failure::Usage)
}

const PIPE: &str = "receipts go to stderr; `portcell receipts -` reads them from a pipe";

/// Those that come at the server of this configuration, or where it was said to be.
fn server(matches: &ArgMatches, config: &Path) -> Result<Source, Failure> {
    Ok(Source::server(Stream::of(&Server::find_by(matches, config)?)?))
}

fn none(config: &Path, why: &str) -> Result<Source, Failure> {
    let hint = "; --follow asks the server for those to come";
    Err(Failure::Usage(anyhow!("{}: {why}{hint}", config.display())))
}

/// What was asked for, on its way to stdout.
struct Shown {
    output: BufWriter<Stdout>,
    /// `None` for the lines as they are.
    table: Option<Table>,
    /// Only so many of those that are there already.
    last: Option<(usize, VecDeque<Line>)>,
}

/// A receipt, as it is and as it was read.
struct Line {
    text: Vec<u8>,
    receipt: Value,
}

impl Shown {
    fn add(&mut self, line: Line) -> io::Result<()> {
        let Some((most, last)) = &mut self.last else { return self.put(&line) };
        last.push_back(line);
        if last.len() > *most {
            last.pop_front();
        }
        Ok(())
    }

    /// Nothing is held back any more, but for the last ones while there may be others.
    fn all_so_far(&mut self, is_end: bool) -> io::Result<()> {
        if is_end && let Some((_, last)) = self.last.take() {
            for line in last {
                self.put(&line)?;
            }
        }
        if let Some(table) = &mut self.table {
            table.flush(&mut self.output)?;
        }
        self.output.flush()
    }

    fn put(&mut self, line: &Line) -> io::Result<()> {
        if let Some(table) = &mut self.table {
            return table.add(&mut self.output, &line.receipt);
        }
        self.output.write_all(&line.text)?;
        self.output.write_all(b"\n")
    }
}

/// Whether stdout is a terminal, and may have colours.
fn terminal() -> (bool, bool) {
    let is_terminal = io::stdout().is_terminal();
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    (is_terminal, is_terminal && !is_plain)
}
