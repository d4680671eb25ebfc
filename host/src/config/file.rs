//! Reads a configuration file: TOML whose tables and keys are known.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::check::{Document, check, check_admin};
use super::keys::{self, Home, KEYS};
use super::reader::Section;
use super::units::display_size;
use super::value::{Data, Field, Value, fields};
use super::{AdminConfig, Config, ConfigError, Errors, MAX_FILE_SIZE, Origin, nearest, scalar};

pub(super) fn read(path: &Path) -> Result<Config, Errors> {
    let walk = walk(path)?;
    check(&walk.document, walk.errors)
}

/// The same with what a file has, or would have, in a folder.
pub(super) fn read_text(text: &[u8], path: &Path, folder: &Path) -> Result<Config, Errors> {
    let walk = parse(text, path, folder)?;
    check(&walk.document, walk.errors)
}

/// Reads where the server is steered, and nothing else.
pub(super) fn read_admin(path: &Path) -> Result<Option<AdminConfig>, Errors> {
    check_admin(&walk(path)?.document)
}

/// What a file has, unchecked.
pub(super) fn text(path: &Path) -> Result<Vec<u8>, Errors> {
    let whole = Origin::File { path: path.into(), line: None };
    Ok(load(path).map_err(|why| ConfigError::new(whole, why))?)
}

fn walk(path: &Path) -> Result<Walk, Errors> {
    parse(&text(path)?, path, path.parent().unwrap_or(Path::new("")))
}

fn parse(bytes: &[u8], path: &Path, folder: &Path) -> Result<Walk, Errors> {
    let place = Place { path: path.into(), lines: line_starts(bytes) };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ConfigError::new(place.at(error.valid_up_to()), "this is not UTF-8 text")
    })?;
    let table = DeTable::parse(text).map_err(|_| not_toml(text, &place))?;
    let mut walk = Walk { errors: Vec::new(), document: empty(folder, &place) };
    walk.tables(fields(table.get_ref(), &|offset| place.at(offset)));
    Ok(walk)
}

fn load(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "there is no permission to read it".to_owned(),
        _ => format!("cannot open it: {error}"),
    })?;
    let mut bytes = Vec::new();
    match file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes) {
        Ok(n) if n as u64 > MAX_FILE_SIZE => Err(format!(
            "it is larger than {}, the most for a configuration",
            display_size(MAX_FILE_SIZE)
        )),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            Err("this is a folder; name the file in it".to_owned())
        }
        Err(error) => Err(format!("cannot read it: {error}")),
    }
}

/// The file, to tell lines by.
struct Place {
    path: Arc<Path>,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Place {
    fn whole(&self) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line: None }
    }

    fn at(&self, offset: usize) -> Origin {
        let line = self.lines.partition_point(|start| *start <= offset);
        Origin::File { path: Arc::clone(&self.path), line: Some(line) }
    }
}

fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(0).chain(newlines.map(|(i, _)| i + 1)).collect()
}

/// What the parser says of the first place that is not TOML, with the text there.
fn not_toml(text: &str, place: &Place) -> ConfigError {
    let (_, errors) = DeTable::parse_recoverable(text);
    let first = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start));
    let Some(error) = first else { return ConfigError::new(place.whole(), "this is not TOML") };
    let span = error.span().unwrap_or_default();
    let near = text.get(span.clone()).unwrap_or_default();
    let message = match (error.message(), near.trim()) {
        ("duplicate key", near) => format!("duplicate key `{near}`"),
        (message, near) if near.is_empty() || near.len() > 40 || near.contains('\n') => {
            format!("not TOML: {message}")
        }
        (message, near) => format!("not TOML at `{near}`: {message}"),
    };
    ConfigError::new(place.at(span.start), message)
}

fn empty(folder: &Path, place: &Place) -> Document {
    Document {
        origin: place.whole(),
        base: folder.into(),
        server: Section::new(Home::Server, Home::Server.header(), place.whole()),
        listeners: Vec::new(),
        handlers: Vec::new(),
        pools: Vec::new(),
        tenants: Vec::new(),
        whole: true,
    }
}

/// Sorts what was written into the document.
struct Walk {
    errors: Vec<ConfigError>,
    document: Document,
}

impl Walk {
    fn tables(&mut self, fields: Vec<Field>) {
        for field in fields {
            match (field.name.as_str(), field.value.data) {
                ("server", Data::Table(fields)) => {
                    self.document.server =
                        self.section(Home::Server, "[server]", field.value.origin, fields);
                }
                ("listener", Data::List(tables)) => {
                    for table in tables {
                        self.listener(table);
                    }
                }
                ("handler", Data::Table(fields)) => {
                    let handlers = self.named(Home::Handler, "handler", fields);
                    self.document.handlers.extend(handlers);
                }
                ("pool", Data::Table(fields)) => {
                    let pools = self.named(Home::Pool, "pool", fields);
                    self.document.pools.extend(pools);
                }
                ("tenant", Data::Table(fields)) => {
                    let tenants = self.named(Home::Tenant, "tenant", fields);
                    self.document.tenants.extend(tenants);
                }
                ("server", _) => self.malformed(field.origin, "[server] is one table"),
                ("listener", _) => self.malformed(
                    field.origin,
                    "a server has a list of listeners; write [[listener]], with two brackets",
                ),
                ("handler", _) => self.malformed(
                    field.origin,
                    "a handler has a name; write [handler.NAME], with one bracket",
                ),
                ("pool", _) => self.malformed(
                    field.origin,
                    "a pool has a name; write [pool.NAME], with one bracket",
                ),
                ("tenant", _) => self.malformed(
                    field.origin,
                    "a tenant has a name; write [tenant.NAME], with one bracket",
                ),
                (name, data) => {
                    let message = unknown_table(name, &data);
                    self.malformed(field.origin, &message);
                }
            }
        }
    }

    fn listener(&mut self, table: Value) {
        match table.data {
            Data::Table(fields) => {
                let section = self.section(Home::Listener, "[[listener]]", table.origin, fields);
                self.document.listeners.push(section);
            }
            _ => self.malformed(table.origin, "a listener is a table; write [[listener]]"),
        }
    }

    /// The tables `[kind.NAME]`.
    fn named(&mut self, home: Home, kind: &str, tables: Vec<Field>) -> Vec<(String, Section)> {
        let mut sections = Vec::new();
        for Field { name, origin, value } in tables {
            let Data::Table(fields) = value.data else {
                let message =
                    format!("`{name}` is not in a {kind}; write it under {}", home.header());
                self.malformed(origin, &message);
                continue;
            };
            if let Err(why) = scalar::name(&Value::text(origin.clone(), name.clone())) {
                self.errors.push(ConfigError::new(origin, format!("bad name of a {kind}: {why}")));
            }
            let header = format!("[{kind}.{name}]");
            sections.push((name, self.section(home, &header, value.origin, fields)));
        }
        sections
    }

    fn section(&mut self, home: Home, header: &str, origin: Origin, fields: Vec<Field>) -> Section {
        let mut section = Section::new(home, header, origin);
        for Field { name, origin, value } in fields {
            if let Some(key) = keys::find(home, &name) {
                section.entries.push((key, value));
            } else if let Some((_, inner)) = home.part().filter(|(part, _)| *part == name) {
                section.parts.extend(self.parts(inner, value));
            } else {
                let hint = unknown_key_hint(home, &name);
                let message = format!("unknown key `{name}` in {header}{hint}");
                self.errors.push(ConfigError::new(origin, message));
            }
        }
        section
    }

    /// The tables `inner` of another.
    fn parts(&mut self, inner: Home, value: Value) -> Vec<Section> {
        let header = inner.header();
        let what = if inner.repeats() { "each is a table of its own" } else { "this is one table" };
        let message = format!("{what}; write {header}");
        let tables = match value.data {
            Data::List(tables) if inner.repeats() => tables,
            data if !inner.repeats() => vec![Value { data, ..value }],
            _ => {
                self.malformed(value.origin, &message);
                Vec::new()
            }
        };
        let mut sections = Vec::new();
        for Value { origin, data } in tables {
            match data {
                Data::Table(fields) => sections.push(self.section(inner, header, origin, fields)),
                _ => self.malformed(origin, &message),
            }
        }
        sections
    }

    fn malformed(&mut self, origin: Origin, message: &str) {
        self.errors.push(ConfigError::new(origin, message));
        self.document.whole = false;
    }
}

fn unknown_key_hint(home: Home, name: &str) -> String {
    belongs(name).unwrap_or_else(|| {
        let known = KEYS.iter().filter(|key| key.home == home).map(|key| key.name);
        nearest::did_you_mean(name, known.chain(home.part().map(|(part, _)| part)))
    })
}

/// Which tables a key belongs in that is in the wrong place.
fn belongs(name: &str) -> Option<String> {
    let homes = KEYS.iter().filter(|key| key.name == name).map(|key| key.home.header());
    let homes: Vec<_> = homes.collect();
    (!homes.is_empty()).then(|| format!("; it belongs in {}", homes.join(" or ")))
}

/// Names that an unknown table may be meant to have.
const TABLES: [&str; 6] = ["server", "listener", "handler", "pool", "tenant", "tls"];

fn unknown_table(name: &str, data: &Data) -> String {
    let written = match data {
        Data::Table(_) => format!("[{name}]"),
        Data::List(list) if list.iter().all(|value| matches!(value.data, Data::Table(_))) => {
            format!("[[{name}]]")
        }
        _ => {
            let hint = belongs(name)
                .unwrap_or_else(|| nearest::did_you_mean(name, KEYS.iter().map(|key| key.name)));
            return format!("unknown key `{name}` outside of a table{hint}");
        }
    };
    let header = match nearest::nearest(name, TABLES) {
        Some("server") => Some(Home::Server),
        Some("listener") => Some(Home::Listener),
        Some("handler") => Some(Home::Handler),
        Some("tls") => Some(Home::Tls),
        Some("tenant") => Some(Home::Tenant),
        Some(_) => Some(Home::Pool),
        None => None,
    };
    match header {
        Some(home) => format!("unknown table {written}; did you mean {}?", home.header()),
        None => format!(
            "unknown table {written}; there are [server], [[listener]], [handler.NAME], \
             [pool.NAME] and [tenant.NAME]"
        ),
    }
}
