//! Receipts as rows of a table. What peers and guests have chosen is escaped.

use std::io::{self, Write};

use portcell::text::printable;
use serde_json::Value;

use super::terminal;

/// Rows that are measured before the first is printed.
const MEASURED: usize = 1000;

/// A terminal narrower than this has fewer columns.
const WIDE: usize = 116;

/// What is left for the last column at least, on a terminal.
const LAST: usize = 12;

/// One column. Their order is that of the table.
struct Column {
    head: &'static str,
    /// Its width at least.
    width: usize,
    /// On narrow terminals, too.
    always: bool,
    to_the_right: bool,
    cell: fn(&Value, bool) -> String,
}

const COLUMNS: [Column; 11] = [
    left("UTC", 8, true, time),
    right("ID", 4, true, |receipt, _| number(&receipt["id"], |id| id.to_string())),
    left("LISTENER", 8, false, |receipt, _| text(&receipt["listener"])),
    left("HANDLER", 8, true, handler),
    left("PEER", 15, true, |receipt, _| text(&receipt["peer"])),
    right("LASTED", 6, true, |receipt, _| number(&receipt["duration_ms"], |ms| time_of(ms * 1000))),
    right("IN", 5, true, |receipt, _| number(&receipt["bytes_in"], bytes)),
    right("OUT", 5, true, |receipt, _| number(&receipt["bytes_out"], bytes)),
    right("CPU", 6, true, |receipt, _| number(&receipt["cpu_us"], time_of)),
    right("MEMORY", 6, false, |receipt, _| number(&receipt["memory_peak"], bytes)),
    left("EXIT", 0, true, exit),
];

const fn left(
    head: &'static str,
    width: usize,
    always: bool,
    cell: fn(&Value, bool) -> String,
) -> Column {
    Column { head, width, always, to_the_right: false, cell }
}

const fn right(
    head: &'static str,
    width: usize,
    always: bool,
    cell: fn(&Value, bool) -> String,
) -> Column {
    Column { head, width, always, to_the_right: true, cell }
}

/// A table that is printed as it grows. A column that was too narrow becomes wider and stays so.
pub(super) struct Table {
    columns: Vec<(&'static Column, usize)>,
    /// Of the terminal; `None` prints all of every row.
    width: Option<usize>,
    colours: bool,
    /// Rows that are measured, with the colour of each; `None` once they are printed.
    measured: Option<Vec<Row>>,
    has_head: bool,
}

struct Row {
    cells: Vec<String>,
    colour: &'static str,
}

impl Table {
    /// A table whose rows are printed as they come (`at_once`), or when they have been measured.
    pub(super) fn new(at_once: bool) -> Self {
        let (is_terminal, colours) = terminal();
        let width = if is_terminal { terminal_width() } else { None };
        let mut table = Self::of_width(width, colours);
        if at_once {
            table.measured = None;
        }
        table
    }

    fn of_width(width: Option<usize>, colours: bool) -> Self {
        let is_wide = width.is_none_or(|width| width >= WIDE);
        let columns = COLUMNS.iter().filter(|column| column.always || is_wide);
        let columns = columns.map(|column| (column, column.width)).collect();
        Self { columns, width, colours, measured: Some(Vec::new()), has_head: false }
    }

    pub(super) fn add(&mut self, output: &mut impl Write, receipt: &Value) -> io::Result<()> {
        let is_wide = self.width.is_none_or(|width| width >= WIDE);
        let mut cells = Vec::with_capacity(self.columns.len());
        for (column, width) in &mut self.columns {
            let cell = (column.cell)(receipt, is_wide);
            if column.head != "EXIT" {
                *width = (*width).max(length(&cell));
            }
            cells.push(cell);
        }
        let row = Row { cells, colour: colour(receipt["exit"]["kind"].as_str()) };
        match &mut self.measured {
            Some(rows) => {
                rows.push(row);
                if rows.len() < MEASURED { Ok(()) } else { self.flush(output) }
            }
            None => self.print(output, &row),
        }
    }

    /// Prints what is held back.
    pub(super) fn flush(&mut self, output: &mut impl Write) -> io::Result<()> {
        for row in self.measured.take().unwrap_or_default() {
            self.print(output, &row)?;
        }
        Ok(())
    }

    fn print(&mut self, output: &mut impl Write, row: &Row) -> io::Result<()> {
        if !self.has_head {
            self.has_head = true;
            let heads = self.columns.iter().map(|(column, _)| column.head.to_owned()).collect();
            self.print(output, &Row { cells: heads, colour: "\x1b[1m" })?;
        }
        let mut line = String::new();
        for ((column, width), cell) in self.columns.iter().zip(&row.cells) {
            let gap = " ".repeat(width.saturating_sub(length(cell)));
            if column.head == "EXIT" {
                let room = self.width.map(|width| width.saturating_sub(length(&line)).max(LAST));
                let cell = cut(cell, room);
                if self.colours && !row.colour.is_empty() {
                    line.extend([row.colour, &cell, "\x1b[0m"]);
                } else {
                    line.push_str(&cell);
                }
            } else if column.to_the_right {
                line.extend([&gap, cell, " "]);
            } else {
                line.extend([cell, &gap, " "]);
            }
        }
        writeln!(output, "{}", line.trim_end())
    }
}

fn terminal_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()))
}

/// The date is left out where there is little room.
fn time(receipt: &Value, is_wide: bool) -> String {
    let time = text(&receipt["time"]);
    match time.split_once('T') {
        Some((date, clock)) => {
            let clock = clock.split(['.', 'Z']).next().unwrap_or_default();
            if is_wide { format!("{date} {clock}") } else { clock.to_owned() }
        }
        None => time,
    }
}

fn handler(receipt: &Value, _: bool) -> String {
    let name = text(&receipt["handler"]);
    match receipt["version"].as_u64() {
        Some(version) => format!("{name}@{version}"),
        None => name,
    }
}

fn exit(receipt: &Value, _: bool) -> String {
    let exit = &receipt["exit"];
    let kind = text(&exit["kind"]);
    match (exit["detail"].as_str(), exit["code"].as_i64()) {
        (Some(detail), _) => format!("{kind}: {}", printable(detail)),
        (None, Some(code)) => format!("{kind} with code {code}"),
        (None, None) => kind,
    }
}

/// Green for what went well, red for what a guest or the host is to blame for.
fn colour(kind: Option<&str>) -> &'static str {
    match kind {
        Some("ok") => "\x1b[32m",
        Some(
            "failed" | "trap" | "memory_limit" | "cpu_limit" | "lifetime" | "killed" | "host_error",
        ) => "\x1b[31m",
        _ => "\x1b[33m",
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), printable)
}

fn number(value: &Value, shown: impl FnOnce(u64) -> String) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), shown)
}

/// `999`, `1.5K`, `20M`: powers of 1024, in 5 characters at most.
fn bytes(bytes: u64) -> String {
    let mut unit = 1_u64;
    for letter in ["", "K", "M", "G", "T", "P", "E"] {
        if bytes / unit < 1000 || letter == "E" {
            return match bytes / unit {
                small if small < 10 && unit > 1 => {
                    format!("{small}.{}{letter}", bytes % unit * 10 / unit)
                }
                whole => format!("{whole}{letter}"),
            };
        }
        unit *= 1024;
    }
    bytes.to_string()
}

/// `350us`, `1.2ms`, `45s`, `2m03s`, `5h10m`, `3d04h`: in 6 characters at most, for a while.
fn time_of(micros: u64) -> String {
    let tenths = |unit: u64, name: &str| match micros / unit {
        small if small < 10 => format!("{small}.{}{name}", micros % unit / (unit / 10)),
        whole => format!("{whole}{name}"),
    };
    let seconds = micros / 1_000_000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => tenths(1_000, "ms"),
        _ if minutes == 0 => tenths(1_000_000, "s"),
        _ if hours == 0 => format!("{minutes}m{:02}s", seconds % 60),
        _ if hours < 24 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// So many characters of it at most.
fn cut(text: &str, most: Option<usize>) -> String {
    match most {
        Some(most) if length(text) > most => {
            let kept: String = text.chars().take(most.saturating_sub(3)).collect();
            format!("{kept}...")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn receipt(detail: &str) -> Value {
        json!({
            "time": "2026-11-23T05:21:51.123Z", "id": 7, "listener": "web", "handler": "http",
            "version": 2, "peer": "127.0.0.1:40711", "duration_ms": 1234, "bytes_in": 5,
            "bytes_out": 20480, "cpu_us": 310, "memory_peak": 1_114_112,
            "exit": { "kind": "trap", "detail": detail },
        })
    }

    fn table(width: Option<usize>, colours: bool, rows: &[Value]) -> String {
        let mut table = Table::of_width(width, colours);
        let mut output = Vec::new();
        for row in rows {
            table.add(&mut output, row).unwrap();
        }
        table.flush(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_whole_where_there_is_no_terminal() {
        let refused = json!({
            "time": "2026-11-23T05:21:52Z", "id": null, "listener": "web", "handler": null,
            "peer": "[2001:db8::1]:50000", "duration_ms": 0,
            "exit": { "kind": "refused", "detail": "it is full" },
        });
        assert_eq!(
            table(None, false, &[receipt("unreachable in `main`"), refused]),
            "\
UTC                   ID LISTENER HANDLER  PEER                LASTED    IN   OUT    CPU MEMORY EXIT
2026-11-23 05:21:51    7 web      http@2   127.0.0.1:40711       1.2s     5   20K  310us   1.0M trap: unreachable in `main`
2026-11-23 05:21:52    - web      -        [2001:db8::1]:50000    0us     -     -      -      - refused: it is full
"
        );
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_rows_that_fit() {
        let said = table(Some(80), false, &[receipt(&"long ".repeat(100))]);
        let rows: Vec<_> = said.lines().collect();
        assert_eq!(
            rows[0],
            "UTC        ID HANDLER  PEER            LASTED    IN   OUT    CPU EXIT"
        );
        assert!(rows[1].starts_with("05:21:51"), "{said}");
        assert!(rows.iter().all(|row| row.len() <= 80), "{said}");
        assert!(rows[1].ends_with("..."), "{said}");
    }

    #[test]
    fn what_a_peer_has_chosen_cannot_drive_the_terminal() {
        let said = table(Some(200), true, &[receipt("\u{1b}[2J\n\u{9b}31m\u{202e}")]);
        assert_eq!(said.lines().count(), 2);
        assert!(said.contains("trap: \\u{1b}[2J\\n\\u{9b}31m\\u{202e}\u{1b}[0m"), "{said:?}");
    }

    #[test]
    fn numbers_are_short() {
        let sizes = [0, 999, 1000, 1024, 1536, 20_480, 1 << 20, u64::MAX];
        assert_eq!(sizes.map(bytes), ["0", "999", "0.9K", "1.0K", "1.5K", "20K", "1.0M", "15E"]);
        let times = [0, 999, 1_000, 1_250, 45_000, 1_200_000, 59_999_999, 123_000_000];
        assert_eq!(
            times.map(time_of),
            ["0us", "999us", "1.0ms", "1.2ms", "45ms", "1.2s", "59s", "2m03s"]
        );
        assert_eq!(time_of(5 * 3_600_000_000 + 600_000_000), "5h10m");
        assert_eq!(time_of(76 * 3_600_000_000), "3d04h");
    }
}
