//! Reads the flags of `portcell run` as the same document that a file gives.

mod value;

use std::path::{Path, PathBuf};

use super::check::{Document, check};
use super::keys::{DEFAULT_LISTEN, DefaultValue, Home, KEYS, Key, find};
use super::reader::Section;
use super::value::{Data, Value};
use super::{Config, ConfigError, Errors, Kind, Origin, nearest, scalar};

pub(super) fn read(plugin: &Path, flags: &[(&str, &str)]) -> Result<Config, Errors> {
    let origin = Origin::Plugin(plugin.to_owned());
    let name = scalar::to_name(&plugin.file_stem().unwrap_or_default().to_string_lossy());
    let section = |home: Home| Section::new(home, home.header(), origin.clone());
    let mut sections = [Home::Server, Home::Listener, Home::Tls, Home::Handler].map(section);
    let mut errors = Vec::new();
    for &(given, text) in flags {
        let keys = || KEYS.iter().filter(|key| is_flag(key, given));
        let home = keys().next().map(|key| key.home);
        let Some(section) = sections.iter_mut().find(|section| Some(section.home) == home) else {
            errors.push(unknown(given));
            continue;
        };
        // A flag of several keys has a value for each, and begins again where all of them have one.
        let key = keys().find(|key| section.value(key.name).is_none()).or(keys().next());
        if let Some(Err(error)) = key.map(|key| add(section, key, text)) {
            errors.push(error);
        }
    }
    let [mut server, mut listener, tls, mut handler] = sections;
    if let Some((_, first)) = tls.entries.first() {
        let origin = first.origin.clone();
        listener.parts.push(Section { origin, ..tls });
    }
    let put = |section: &mut Section, key: &str, value| {
        section.entries.extend(find(section.home, key).map(|key| (key, value)));
    };
    for key in KEYS.iter().filter(|key| key.home == Home::Server) {
        if let DefaultValue::ByCommand { run, .. } = key.default
            && server.value(key.name).is_none()
        {
            server.entries.push((key, Value::from_default(run)));
        }
    }
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
        pools: Vec::new(),
        tenants: Vec::new(),
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
    let data = value::data(key.kind, &origin, text).map_err(|why| {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(flags: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_flags(Path::new("plugins/echo.wasm"), flags)
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
            (
                "spawn",
                "small",
                "takes a number from 1 on, like 100, or default, or inline; \
                 this is the text small",
            ),
            (
                "when-full",
                "queue:100",
                "takes wait, refuse, or queue:N:DURATION like queue:100:2s; \
                 `queue:100` has one `:`",
            ),
            (
                "when-full",
                "queue:0:2s",
                "takes wait, refuse, or queue:N:DURATION like queue:100:2s; \
                 `queue` is a number, 0 would allow nothing",
            ),
            (
                "when-full",
                "drop",
                "takes wait, refuse, or queue:N:DURATION like queue:100:2s; this is the text drop",
            ),
            (
                "farewell",
                r"bye\0",
                "takes a text of at most 512 bytes like 421 too many connections\\r\\n; \
                 `\\0` is not an escape; those are \\r, \\n, \\t and \\\\",
            ),
            (
                "farewell",
                "bye",
                "nobody is turned away while `when_full` is wait; make it refuse or a queue, \
                 or leave this out",
            ),
            (
                "keepalive",
                "1s:2s:3:4",
                "takes none, or IDLE:INTERVAL:COUNT like 60s:10s:3; \
                 `1s:2s:3:4` has more than two `:`",
            ),
            (
                "keepalive",
                "60s::3",
                "takes none, or IDLE:INTERVAL:COUNT like 60s:10s:3; it is empty",
            ),
            (
                "flow-queue",
                "2",
                "this is for udp:// addresses, and this listener has none; leave it out",
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
    fn errors_about_tls_begin_with_the_flag() {
        let alone = |name, text| run(&[(name, text)]).unwrap_err();
        assert_eq!(
            alone("handshake-timeout", "1s"),
            "--handshake-timeout: this listener has no [listener.tls], so there are no \
             handshakes; leave it out"
        );
        assert_eq!(
            alone("tls-alpn", "h2"),
            "--tls-alpn: there is no certificate; give one with --tls CERT KEY, or \
             --tls-self-signed to try something"
        );
        for (name, text, expected) in [
            ("tls-version", "1.1", "takes 1.2 or 1.3; 1.1 is not secure (RFC 8996) and not there"),
            ("tls-start", "now", "takes connect or request; this is the text now"),
            (
                "tls-client-ca",
                "ca.pem",
                "`client_auth` is none, so no client shows a certificate; make it optional or \
                 required, or leave this out",
            ),
            (
                "tls",
                "cert.pem",
                "there is a `certificate`, so none is made; leave one of the two out",
            ),
        ] {
            let error = run(&[("tls-self-signed", "true"), (name, text)]).unwrap_err();
            let flag = if name == "tls" { "tls-self-signed" } else { name };
            assert_eq!(error, format!("--{flag}: {expected}"));
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
