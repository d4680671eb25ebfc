//! What a server answers, in words and tables.

use std::time::Duration;

use portcell::config::{display_duration, display_size};
use serde_json::Value;

use super::table::{Cell, Column, table};

/// `/v1/status`.
pub(super) fn status(status: &Value) -> String {
    let uptime = display_duration(Duration::from_secs(number(&status["uptime_ms"]) / 1000));
    let memory = of(size(&status["memory"]), &status["max_memory"], size);
    let mut text = format!(
        "portcell {}, process {}, {} for {uptime}: {} of {} connections, {} of memory\n",
        plain(&status["version"]),
        status["pid"],
        plain(&status["state"]),
        status["connections"],
        status["max_connections"],
        memory.text(),
    );
    text += &times("max_memory was not enough for an instance", &status["memory_denied"]);
    text += &times("a receipt was lost", &status["receipts_lost"]);
    for (what, outcomes) in [("reload", &status["reloads"]), ("swap", &status["swaps"])] {
        text += &last(what, &outcomes["last"]);
    }
    text.push('\n');
    text += &table(LISTENERS, rows(&status["listeners"]));
    text.push('\n');
    text += &table(HANDLERS, rows(&status["handlers"]));
    text.push('\n');
    text += &table(TENANTS, rows(&status["tenants"]));
    text.push('\n');
    text + &limits(&status["limits"])
}

/// `/v1/connections`.
pub(super) fn connections(found: &Value) -> String {
    table(CONNECTIONS, rows(found))
}

/// `/v1/limits`.
pub(super) fn limits(limits: &Value) -> String {
    table(LIMITS, rows(limits))
}

/// `/v1/diff`.
pub(super) fn differences(found: &Value) -> String {
    let line = |one: &Value| {
        let restart = if one["needs_restart"] == true { "; needs a restart" } else { "" };
        format!("{}{restart}\n", plain(&one["difference"]))
    };
    match rows(found) {
        [] => "nothing is different\n".to_owned(),
        all => all.iter().map(line).collect(),
    }
}

/// One of them, when it was set.
pub(super) fn limit(limit: &Value) -> String {
    let (name, used) = (plain(&limit["name"]), &limit["used"]);
    match &limit["most"] {
        Value::Null => format!("{name}: no bound, {used} used\n"),
        most => format!("{name}: at most {most}, {used} used\n"),
    }
}

/// What has become of a listener.
pub(super) fn listener(name: &str, action: &str, answer: &Value) -> String {
    match action {
        "drain" | "stop" => {
            format!(
                "{name} has stopped; {}\n",
                counted(number(&answer["cut"]), "was", "were", "cut")
            )
        }
        _ => format!("{name} is {}\n", plain(&answer["state"])),
    }
}

/// What has become of the server.
pub(super) fn draining(answer: &Value) -> String {
    format!("draining; {}\n", counted(number(&answer["connections"]), "is", "are", "open"))
}

/// What has become of its process.
pub(super) fn upgraded(answer: &Value) -> String {
    let (old, new) = (&answer["pid"], &answer["successor"]);
    format!("process {new} serves from now on; process {old} drains, and then ends\n")
}

const LISTENERS: &[Column] = &[
    Column { name: "listener", cell: |row| text(&row["name"]) },
    Column { name: "state", cell: |row| text(&row["state"]) },
    Column { name: "connections", cell: |row| count(&row["connections"]) },
    Column { name: "accepted", cell: |row| count(&row["accepted"]) },
    Column { name: "refused", cell: |row| count(&row["refused"]) },
    Column { name: "handler", cell: |row| text(&row["handler"]) },
    Column { name: "addresses", cell: |row| Cell::Text(joined(&row["addresses"])) },
    Column { name: "why", cell: |row| text(&row["why"]) },
];

const HANDLERS: &[Column] = &[
    Column { name: "handler", cell: |row| text(&row["name"]) },
    Column { name: "version", cell: |row| count(&row["version"]) },
    Column { name: "connections", cell: |row| Cell::Text(versions(row)) },
    Column { name: "digest", cell: |row| Cell::Text(short(&row["digest"])) },
    Column { name: "module", cell: |row| text(&row["module"]) },
    Column { name: "error", cell: |row| Cell::Text(on_a_line(&row["error"]["error"])) },
];

const TENANTS: &[Column] = &[
    Column { name: "tenant", cell: |row| text(&row["name"]) },
    Column {
        name: "connections",
        cell: |row| of(count(&row["connections"]), &row["max_connections"], count),
    },
    Column { name: "refused", cell: |row| count(&row["refused"]) },
    Column { name: "memory", cell: |row| of(size(&row["memory"]), &row["max_memory"], size) },
    Column { name: "cpu", cell: |row| cpu(&row["cpu_us"]) },
    Column { name: "quota", cell: |row| processors(&row["max_cpu_us"]) },
    Column { name: "held", cell: |row| time(&row["held_ms"]) },
];

const LIMITS: &[Column] = &[
    Column { name: "limit", cell: |row| text(&row["name"]) },
    Column { name: "used", cell: |row| count(&row["used"]) },
    Column { name: "most", cell: |row| bound(&row["most"]) },
    Column { name: "set", cell: |row| Cell::Text(settable(row).into()) },
];

const CONNECTIONS: &[Column] = &[
    Column { name: "id", cell: |row| count(&row["id"]) },
    Column { name: "listener", cell: |row| text(&row["listener"]) },
    Column { name: "handler", cell: |row| text(&row["handler"]) },
    Column { name: "version", cell: |row| count(&row["version"]) },
    Column { name: "peer", cell: |row| text(&row["peer"]) },
    Column { name: "transport", cell: |row| text(&row["transport"]) },
    Column { name: "state", cell: |row| text(&row["state"]) },
    Column { name: "age", cell: |row| time(&row["age_ms"]) },
    Column { name: "idle", cell: |row| time(&row["idle_ms"]) },
    Column { name: "in", cell: |row| size(&row["bytes_in"]) },
    Column { name: "out", cell: |row| size(&row["bytes_out"]) },
    Column { name: "cpu", cell: |row| cpu(&row["cpu_us"]) },
    Column { name: "memory", cell: |row| size(&row["memory"]) },
    Column { name: "peak", cell: |row| size(&row["memory_peak"]) },
];

/// What should never happen, if it has.
fn times(what: &str, count: &Value) -> String {
    match number(count) {
        0 => String::new(),
        1 => format!("{what} once\n"),
        count => format!("{what} {count} times\n"),
    }
}

fn last(what: &str, last: &Value) -> String {
    let Some(time) = last["time"].as_str() else { return String::new() };
    let of = last["handler"].as_str().map_or_else(String::new, |handler| format!(" of {handler}"));
    match last["error"].as_str() {
        None => format!("last {what}{of}: done at {time}\n"),
        Some(error) => format!("last {what}{of}: refused at {time}: {error}\n"),
    }
}

fn counted(number: u64, one: &str, many: &str, what: &str) -> String {
    if number == 1 {
        format!("1 connection {one} {what}")
    } else {
        format!("{number} connections {many} {what}")
    }
}

/// `3`, or `3, and 2 of version 1`.
fn versions(handler: &Value) -> String {
    let now = number(&handler["version"]);
    let all = rows(&handler["versions"]);
    let open = |version: &Value| number(&version["connections"]);
    let is_now = |version: &&Value| number(&version["version"]) == now;
    let of_now = all.iter().find(is_now).map_or(0, open);
    let others = all.iter().filter(|version| !is_now(version) && open(version) > 0);
    let others = others.map(|one| format!(", and {} of version {}", open(one), one["version"]));
    format!("{of_now}{}", others.collect::<String>())
}

fn rows(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn text(value: &Value) -> Cell {
    Cell::Text(plain(value).to_owned())
}

/// What may have several lines.
fn on_a_line(value: &Value) -> String {
    plain(value).lines().collect::<Vec<_>>().join("; ")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn count(value: &Value) -> Cell {
    Cell::Number(value.as_u64().map_or_else(|| "-".into(), |number| number.to_string()))
}

fn bound(value: &Value) -> Cell {
    Cell::Number(value.as_u64().map_or_else(|| "none".into(), |number| number.to_string()))
}

/// `3 of 8`, or `3` where there is no bound.
fn of(used: Cell, most: &Value, shown: fn(&Value) -> Cell) -> Cell {
    match (used, most) {
        (used, Value::Null) => used,
        (used, most) => Cell::Number(format!("{} of {}", used.text(), shown(most).text())),
    }
}

/// How many may be kept busy, of microseconds of CPU time a second.
fn processors(micros: &Value) -> Cell {
    let shown = |micros: f64| (micros / 1e6).to_string();
    Cell::Number(micros.as_f64().map_or_else(|| "none".into(), shown))
}

fn settable(limit: &Value) -> &'static str {
    if limit["live"] == true { "live" } else { "at start" }
}

fn joined(list: &Value) -> String {
    rows(list).iter().map(plain).collect::<Vec<_>>().join(" ")
}

/// As much of a digest as tells it from others.
fn short(digest: &Value) -> String {
    plain(digest).chars().take(12).collect()
}

/// In whole seconds, from a second on.
fn time(millis: &Value) -> Cell {
    let millis = number(millis);
    let shown = if millis < 1000 { millis } else { millis / 1000 * 1000 };
    Cell::Number(display_duration(Duration::from_millis(shown)))
}

fn cpu(micros: &Value) -> Cell {
    Cell::Number(match number(micros) {
        micros @ ..1000 => format!("{micros}us"),
        micros @ 1000..1_000_000 => format!("{}ms", micros / 1000),
        micros => display_duration(Duration::from_secs(micros / 1_000_000)),
    })
}

/// With at most four digits, and nothing after a point.
fn size(bytes: &Value) -> Cell {
    let bytes = number(bytes);
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= 10 * unit);
    Cell::Number(display_size(unit.map_or(bytes, |unit| bytes / unit * unit)))
}
