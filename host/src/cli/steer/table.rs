//! Tables for people: aligned, and coloured on a terminal only.

use std::env;
use std::io::{IsTerminal as _, stdout};

use serde_json::Value;

/// A column: what it is called, and what is in it.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) cell: fn(&Value) -> Cell,
}

/// What is in one place of a table.
pub(super) enum Cell {
    /// From the left.
    Text(String),
    /// From the right.
    Number(String),
}

/// A table of these rows, with a line of names above them.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> String {
    let of_row = |row| columns.iter().map(|column| (column.cell)(row)).collect::<Vec<_>>();
    let cells: Vec<_> = rows.iter().map(of_row).collect();
    let widths: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = cells.iter().map(|row| row[at].text().chars().count());
            cells.chain([column.name.len()]).max().unwrap_or(0)
        })
        .collect();
    // A name stands as what is below it.
    let first = cells.first();
    let names = columns.iter().enumerate().map(|(at, column)| match first.map(|row| &row[at]) {
        Some(Cell::Number(_)) => Cell::Number(column.name.into()),
        _ => Cell::Text(column.name.into()),
    });
    let names: Vec<_> = names.collect();
    let (bold, plain) = if is_coloured() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let mut text = format!("{bold}{}{plain}\n", line(&names, &widths));
    for row in &cells {
        text += &line(row, &widths);
        text.push('\n');
    }
    text
}

fn line(cells: &[Cell], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| match cell {
        Cell::Text(text) => format!("{text:width$}"),
        Cell::Number(text) => format!("{text:>width$}"),
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

impl Cell {
    /// What is in it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }
}

/// What makes room on a terminal for what comes in place of what was there; a line in between
/// elsewhere.
pub(super) fn clear() -> &'static str {
    if stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "\n" }
}

fn is_coloured() -> bool {
    // https://no-color.org
    stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
