//! Reads the flags of `portcell run` as the same document that a file gives.

use std::path::{Path, PathBuf};

use super::check::{Document, check};
use super::keys::{DEFAULT_LISTEN, Home, KEYS, Key, find};
use super::reader::Section;
use super::value::{Data, Field, Value};
use super::{Config, ConfigError, Errors, Kind, Origin, nearest, scalar};

pub(super) fn read(plugin: &Path, flags: &[(String, String)]) -> Result<Config, Errors> {
    let origin = Origin::Plugin(plugin.to_owned());
    let name = scalar::to_name(&plugin.file_stem().unwrap_or_default().to_string_lossy());
    let section = |home: Home| Section::new(home, home.header(), origin.clone());
    let mut sections = [Home::Server, Home::Listener, Home::Handler].map(section);
    let mut errors = Vec::new();
    for (given, text) in flags {
        match KEYS.iter().find(|key| is_flag(key, given)) {
            Some(key) => {
                let section = sections.iter_mut().find(|section| section.home == key.home);
                if let Err(error) = section.map_or(Ok(()), |section| add(section, key, text)) {
                    errors.push(error);
                }
            }
            None => errors.push(unknown(given)),
        }
    }
    let [server, mut listener, mut handler] = sections;
    let put = |section: &mut Section, key: &str, value| {
        section.entries.extend(find(section.home, key).map(|key| (key, value)));
    };
    put(&mut listener, "name", Value::text(origin.clone(), &name));
    put(&mut listener, "handler", Value::text(origin.clone(), &name));
    if listener.value("bind").is_none() {
        let listen = Origin::Flag("listen".to_owned());
        put(&mut listener, "bind", Value::text(listen, DEFAULT_LISTEN));
    }
    let module = Value { origin: origin.clone(), data: Data::Path(plugin.to_owned()) };
    put(&mut handler, "module", module);
    let document = Document {
        origin,
        base: PathBuf::new(),
        server,
        listeners: vec![listener],
        handlers: vec![(name, handler)],
        whole: true,
    };
    check(&document, errors)
}

fn is_flag(key: &Key, given: &str) -> bool {
    key.flag.is_some_and(|flag| flag.name == given || key.name == given)
}

fn unknown(given: &str) -> ConfigError {
    let known = KEYS.iter().filter_map(|key| key.flag).map(|flag| flag.name);
    let hint = match nearest::nearest(given, known) {
        Some(flag) => format!("; did you mean --{flag}?"),
        None => String::new(),
    };
    ConfigError::new(Origin::Flag(given.to_owned()), format!("unknown flag{hint}"))
}

/// Adds what a flag gives to its section; repeated flags add to the same list.
fn add(section: &mut Section, key: &'static Key, text: &str) -> Result<(), ConfigError> {
    let name = key.flag.map_or(key.name, |flag| flag.name);
    let origin = Origin::Flag(name.to_owned());
    let data = data(key.kind, &origin, text).map_err(|why| {
        ConfigError::new(origin.clone(), format!("takes {}; {why}", key.kind.in_flag()))
    })?;
    let before = section.entries.iter_mut().find(|(other, _)| other.name == key.name);
    match (before.map(|(_, value)| &mut value.data), data) {
        (None, data) => section.entries.push((key, Value { origin, data })),
        (Some(Data::List(list)), Data::List(more)) => list.extend(more),
        (Some(Data::Table(fields)), Data::Table(more)) if key.kind == Kind::Env => {
            fields.extend(more);
        }
        _ => return Err(ConfigError::new(origin, "is there twice; give it once")),
    }
    Ok(())
}

/// The text as the file would have it.
fn data(kind: Kind, origin: &Origin, text: &str) -> Result<Data, String> {
    let value = |text: &str| Value::text(origin.clone(), text);
    let field = |name: &str, value| Field { name: name.to_owned(), origin: origin.clone(), value };
    let plain = || Data::Text(text.to_owned());
    Ok(match kind {
        Kind::Count(_) => text.parse().map_or_else(|_| plain(), Data::Integer),
        Kind::Bool => text.parse().map_or_else(|_| plain(), Data::Bool),
        Kind::Addresses => Data::List(vec![value(text)]),
        Kind::Env => {
            let (name, text) =
                text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
            Data::Table(vec![field(name, value(text))])
        }
        Kind::Backoff => {
            let (min, max) =
                text.split_once("..").ok_or_else(|| format!("`{text}` has no `..`"))?;
            Data::Table(vec![field("min", value(min)), field("max", value(max))])
        }
        Kind::Dirs => {
            let (host, guest) =
                text.split_once("::").ok_or_else(|| format!("`{text}` has no `::`"))?;
            let (guest, write) = match guest.split_once("::") {
                None => (guest, false),
                Some((guest, "rw")) => (guest, true),
                Some((_, other)) => return Err(format!("`::{other}` is not `::rw`")),
            };
            let write = Value { origin: origin.clone(), data: Data::Bool(write) };
            let dir = [("host", value(host)), ("guest", value(guest)), ("write", write)];
            let fields = dir.map(|(name, value)| field(name, value)).into();
            Data::List(vec![Value { origin: origin.clone(), data: Data::Table(fields) }])
        }
        _ => plain(),
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::config::{Receipts, Spawn, Stdout};

    fn run(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags: Vec<_> =
            flags.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Config::from_flags(Path::new("plugins/echo.wasm"), &flags)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_plugin_alone_is_a_whole_configuration() {
        let config = run(&[]).unwrap();
        let [listener] = &config.listeners[..] else { panic!("{config:?}") };
        let [handler] = &config.handlers[..] else { panic!("{config:?}") };
        assert_eq!((listener.name.as_str(), listener.handler.as_str()), ("echo", "echo"));
        assert_eq!(listener.bind, [DEFAULT_LISTEN.parse().unwrap()]);
        assert_eq!(listener.origin.to_string(), "--listen");
        assert_eq!(listener.idle_timeout, Some(Duration::from_mins(1)));
        assert_eq!(handler.name, "echo");
        assert_eq!(handler.module, Path::new("plugins/echo.wasm"));
        assert_eq!(handler.origin.to_string(), "plugins/echo.wasm");
        assert_eq!(config.server.max_connections, None);
    }

    #[test]
    fn every_flag_reaches_its_key() {
        let config = run(&[
            ("listen", "7000"),
            ("listen", "unix:x.sock"),
            ("max-connections", "10"),
            ("max_handshakes", "3"),
            ("drain-timeout", "none"),
            ("drain-idle", "1s"),
            ("receipts", "stderr"),
            ("max-module-size", "1MiB"),
            ("backlog", "5"),
            ("spawn", "inline"),
            ("accept-backoff", "1ms..2ms"),
            ("max-accept", "7"),
            ("nodelay", "false"),
            ("idle-timeout", "1m30s"),
            ("write-timeout", "none"),
            ("tenant", "me"),
            ("memory", "131072"),
            ("cpu", "500ms"),
            ("cpu-total", "2s"),
            ("lifetime", "1d"),
            ("env", "A=b=c"),
            ("env", "B="),
            ("dir", "/::/root"),
            ("dir", "/::/data::rw"),
            ("stdout", "full"),
        ])
        .unwrap();
        let server = &config.server;
        assert_eq!(server.max_connections.unwrap().get(), 10);
        assert_eq!(server.max_handshakes.get(), 3);
        assert_eq!(server.drain_timeout, None);
        assert_eq!(server.drain_idle, Some(Duration::from_secs(1)));
        assert_eq!(server.receipts, Receipts::Stderr);
        assert_eq!(server.max_module_size, 1 << 20);
        let listener = &config.listeners[0];
        let bind: Vec<_> = listener.bind.iter().map(ToString::to_string).collect();
        assert_eq!(bind, ["tcp://:7000", "unix:x.sock"]);
        assert_eq!(listener.max_connections, None);
        assert_eq!(listener.socket.backlog.get(), 5);
        assert_eq!(listener.spawn, Spawn::AtMost(NonZeroU32::MIN));
        assert_eq!(listener.accept_backoff.min, Duration::from_millis(1));
        assert_eq!(listener.accept_backoff.max, Duration::from_millis(2));
        assert_eq!(listener.max_accept.get(), 7);
        assert!(!listener.socket.nodelay);
        assert_eq!(listener.idle_timeout, Some(Duration::from_secs(90)));
        assert_eq!(listener.write_timeout, None);
        let handler = &config.handlers[0];
        assert_eq!(handler.tenant, "me");
        assert_eq!(handler.memory, 128 * 1024);
        assert_eq!(handler.cpu, Some(Duration::from_millis(500)));
        assert_eq!(handler.cpu_total, Some(Duration::from_secs(2)));
        assert_eq!(handler.lifetime, Some(Duration::from_hours(24)));
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(handler.env, [pair("A", "b=c"), pair("B", "")]);
        let dirs: Vec<_> = handler.dirs.iter().map(|dir| (dir.guest.as_str(), dir.write)).collect();
        assert_eq!(dirs, [("/root", false), ("/data", true)]);
        assert_eq!(handler.stdout, Stdout::Full);
    }

    #[test]
    fn errors_begin_with_the_flag() {
        for (name, text, expected) in [
            (
                "idle-timeout",
                "30",
                "takes a duration like 30s, or none; \
                 `30` has no unit; the units are ms, s, m, h and d",
            ),
            (
                "cpu",
                "0s",
                "takes a duration like 30s, or none; 0 would allow nothing: write none for no limit",
            ),
            ("backlog", "many", "takes a number from 1 on, like 100; this is the text many"),
            (
                "spawn",
                "0",
                "takes a number from 1 on, like 100, or default, or inline; \
                 0 would allow nothing: leave it out, or write default",
            ),
            ("nodelay", "yes", "takes true or false; this is the text yes"),
            ("memory", "1GiB", "takes a size like 16MiB, from 64KiB to 64MiB; 1GiB is too much"),
            ("stdout", "pipe", "takes terminal or full; this is the text pipe"),
            ("env", "A", "takes NAME=VALUE like GREETING=hello; `A` has no `=`"),
            ("env", "=x", "the name of a variable is empty"),
            ("accept-backoff", "1s", "takes MIN..MAX like 10ms..1s; `1s` has no `..`"),
            ("accept-backoff", "2s..1s", "`min` (2s) is more than `max` (1s)"),
            (
                "dir",
                "/tmp",
                "takes HOST::GUEST like www::/www, or HOST::GUEST::rw; `/tmp` has no `::`",
            ),
            (
                "dir",
                "/::/x::write",
                "takes HOST::GUEST like www::/www, or HOST::GUEST::rw; `::write` is not `::rw`",
            ),
            ("dir", "/no/such::/x", "there is no folder `/no/such`"),
            (
                "listen",
                "localhost",
                "bad address `localhost`: there is no port; write one like tcp://localhost:7000",
            ),
            ("idle-timout", "1s", "unknown flag; did you mean --idle-timeout?"),
            ("name", "x", "unknown flag"),
        ] {
            assert_eq!(run(&[(name, text)]).unwrap_err(), format!("--{name}: {expected}"));
        }
    }

    #[test]
    fn all_bad_flags_are_reported_in_their_order() {
        let errors = run(&[("cpu", "x"), ("cpu", "1s"), ("cpu", "2s"), ("backlog", "0")]);
        let errors = errors.unwrap_err();
        let flags: Vec<_> = errors.lines().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(flags, ["--cpu", "--cpu", "--backlog", "--cpu"], "{errors}");
    }

    #[test]
    fn a_file_stem_that_is_no_name_becomes_one() {
        let config = Config::from_flags(Path::new("my plugin.wasm"), &[]).unwrap();
        assert_eq!(config.handlers[0].name, "my-plugin");
    }
}
