//! What can be typed, and the help that goes with it. The flags of `run` come from the table of
//! configuration keys.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use portcell::config::{Config, Errors, Flag, Home, KEYS, Key};
use portcell::telemetry::Format;

const ABOUT: &str = "A socket server whose handlers are sandboxed WebAssembly";

const EXAMPLES: &str = "\
Examples:
  portcell run plugins/echo.wasm                       serve it on tcp://127.0.0.1:7000
  portcell run echo.wasm --listen :9000 --idle-timeout 5m
  portcell run http.wasm --listen :8080 --dir www::/www
  portcell check portcell.toml                         is the configuration good?
  portcell serve portcell.toml                         serve all of it
  portcell inspect plugins/echo.wasm                   what is this file?
  portcell new chat --lang rust                        a project to begin with
  portcell dev                                         build, serve, again on every save
  portcell test echo.wasm --script echo.txt --torture  does it do what it should?
  portcell status                                      what does the running server do?
  portcell receipts --failed                           which connections did not end well?

Exit codes: 0 ended in good order, 64 bad usage or configuration, 1 could not start or go on, or no
server was there to do it.";

const RUN: &str = "\
Serves one plugin. Everything that a configuration file can say about one listener and one \
handler can be said with flags; `portcell serve` is for more.

Every connection gets an instance of the plugin of its own, which sees that connection and \
nothing else.";

const RUN_EXAMPLES: &str = "\
Examples:
  portcell run plugins/echo.wasm
  portcell run echo.wasm --listen tcp://127.0.0.1:0       a free port; the ready line says which
  portcell run echo.wasm --listen :7000 --listen unix:/run/echo.sock
  portcell run http.wasm --listen :8080 --dir www::/www --memory 16MiB --receipts stderr

Durations are like 500ms, 30s, 5m; sizes like 64KiB, 16MiB; `none` takes a limit away.";

const RECEIPTS_EXAMPLES: &str = "\
Examples:
  portcell receipts                                    of portcell.toml's server
  portcell receipts --failed --since 1h
  portcell receipts --exit trap --exit cpu_limit --json receipts.json | jq .exit.backtrace
  portcell receipts --tail 20 --follow
  portcell receipts --follow --admin unix:portcell.sock   from the server, written or not
  portcell run echo.wasm --receipts stderr 2>&1 | portcell receipts -

Lines that are no receipts are skipped and counted. With --follow and without a file the server is
asked if --admin or PORTCELL_ADMIN says where it is, or the configuration has no file for receipts.
It has only those of connections that end from then on.";

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("portcell")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(EXAMPLES)
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("log-format")
                .long("log-format")
                .global(true)
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .default_value("text")
                .help("How log lines on stderr look"),
        )
        .arg(
            Arg::new("log")
                .long("log")
                .global(true)
                .value_name("LEVEL")
                .env("PORTCELL_LOG")
                .default_value("info")
                .help("What is logged: error, warn, info, debug or trace, or by part: info,guest=debug"),
        )
        .subcommand(run_command())
        .subcommand(
            Command::new("serve")
                .about("Serve a configuration")
                .after_help("SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reads the configuration again; SIGUSR2 starts the program anew in its place, with its sockets.")
                .arg(config_argument()),
        )
        .subcommand(
            Command::new("check")
                .about("Check a configuration: everything that `serve` checks, without listening")
                .arg(config_argument()),
        )
        .subcommand(
            Command::new("inspect")
                .about("Say what a plugin is, and what it would need")
                .arg(plugin_argument())
                .arg(
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Print JSON instead of text"),
                ),
        )
        .subcommand(receipts_command())
        .subcommands(super::steer::commands())
        .subcommand(super::new::command())
        .subcommand(super::dev::command())
        .subcommand(super::test::command())
}

fn receipts_command() -> Command {
    let option = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let several = |name, value, help| option(name, value, help).action(ArgAction::Append);
    let switch = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("receipts")
        .about("Print receipts: how connections have ended, and what they used")
        .after_help(RECEIPTS_EXAMPLES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A file of receipts, or - for stdin; without it, where the configuration has them written"),
        )
        .arg(
            option("config", "CONFIG", "The configuration that says where they are")
                .default_value("portcell.toml")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("file"),
        )
        .arg(several("handler", "NAME", "Only those of this handler"))
        .arg(several("listener", "NAME", "Only those of this listener"))
        .arg(several("exit", "KIND", "Only those that ended so, or with !KIND not so"))
        .arg(switch("failed", "Only those that did not end with ok"))
        .arg(several("peer", "ADDRESS", "Only those of this peer, with or without its port"))
        .arg(
            option("since", "DURATION", "Only those of the last 10m, 2h, ...")
                .value_parser(super::receipts::duration),
        )
        .arg(
            option("tail", "N", "Only the last so many that are there")
                .value_parser(RangedU64ValueParser::<usize>::new().range(1..=1_000_000)),
        )
        .arg(
            switch(
                "follow",
                "Go on with those that come, also when the file is rotated; without a file, with \
                 those of the running server",
            )
            .short('f'),
        )
        .arg(switch("json", "Print the lines as they are"))
        .args(super::steer::where_to())
}

fn run_command() -> Command {
    Command::new("run")
        .about("Serve one plugin")
        .long_about(RUN)
        .after_help(RUN_EXAMPLES)
        .arg(plugin_argument())
        .args(flags_as_arguments(|_| true))
}

/// The flags of `run` whose names are `wanted`, with their help.
pub(super) fn flags_as_arguments(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Arg> {
    flags().filter(move |(_, flag)| wanted(flag.name)).map(|(key, flag)| flag_argument(key, flag))
}

fn flag_argument(key: &Key, flag: Flag) -> Arg {
    let default = match key.default.of_run().in_words(in_flag) {
        Some(default) => format!(" [default: {}]", default.replace('`', "")),
        None => String::new(),
    };
    let heading = match key.home {
        Home::Listener => "The listener: what bounds the peer",
        Home::Tls | Home::TlsName => "TLS",
        Home::Handler => "The handler: what bounds and is granted to the guest",
        Home::Server => "The server",
        Home::Pool => "Pools",
        Home::Tenant => "Tenants",
    };
    let doc = joined(flag, " ", |key| plain(key.doc));
    let takes = match joined(flag, " and ", |key| key.kind.in_flag()) {
        takes if flag.values().count() > 0 => format!("It takes {takes}."),
        _ => "It takes no value.".to_owned(),
    };
    Arg::new(flag.name)
        .long(flag.name)
        .value_names(flag.values())
        .num_args(flag.values().count())
        .default_missing_value("true")
        .action(if flag.repeat { ArgAction::Append } else { ArgAction::Set })
        .help(format!("{doc}{default}"))
        .long_help(format!("{doc}\nWithout it: {}\n{takes}{default}", plain(key.without)))
        .help_heading(heading)
}

/// The flags of `run`, each once, with its first key.
fn flags() -> impl Iterator<Item = (&'static Key, Flag)> {
    let flags = KEYS.iter().filter_map(|key| Some((key, key.flag?)));
    flags.filter(|(key, flag)| flag.keys().next() == Some(key))
}

/// What `part` says of each key of a flag.
fn joined(flag: Flag, between: &str, part: impl FnMut(&Key) -> String) -> String {
    flag.keys().map(part).collect::<Vec<_>>().join(between)
}

/// A default as it would be written after a flag.
fn in_flag(toml: &str) -> String {
    match toml.trim_matches('"') {
        "" => "nothing".to_owned(),
        text => text.to_owned(),
    }
}

/// The documentation's text without its quotes around code, which help has no use for.
fn plain(text: &str) -> String {
    text.replace(['`', '"'], "")
}

pub(super) fn plugin_argument() -> Arg {
    Arg::new("plugin")
        .value_name("PLUGIN.wasm")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The plugin: a core wasm module that exports `handle` or `_start`")
}

pub(super) fn config_argument() -> Arg {
    Arg::new("config")
        .value_name("CONFIG")
        .default_value("portcell.toml")
        .value_parser(value_parser!(PathBuf))
        .help("The configuration, a TOML file")
}

/// The configuration that the flags of `run` make.
pub(super) fn run(matches: &ArgMatches) -> Result<Config, Errors> {
    Config::from_flags(plugin(matches), &given(matches))
}

/// The flags of `run` that were given to a command which has some of them.
pub(super) fn given(matches: &ArgMatches) -> Vec<(&'static str, &str)> {
    flags()
        .flat_map(|(_, flag)| {
            let values = matches.try_get_many::<String>(flag.name).ok().flatten();
            values.unwrap_or_default().map(move |value| (flag.name, value.as_str()))
        })
        .collect()
}

/// The plugin that was named.
pub(super) fn plugin(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("plugin").map_or(Path::new(""), PathBuf::as_path)
}

/// The configuration that was named.
pub(super) fn config_path(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("config").map_or(Path::new("portcell.toml"), PathBuf::as_path)
}

/// How log lines look.
pub(super) fn log_format(matches: &ArgMatches) -> Format {
    match matches.get_one::<String>("log-format").map(String::as_str) {
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

/// What is logged.
pub(super) fn log_filter(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("log").map_or("info", String::as_str)
}

#[cfg(test)]
mod tests {
    use portcell::config::CertificateConfig;

    use super::*;

    #[test]
    fn clap_finds_no_mistake_in_the_command_line() {
        command().debug_assert();
    }

    #[test]
    fn a_flag_of_two_keys_takes_two_values() {
        let typed = |tls: &[&str]| {
            let typed = ["portcell", "run", "--tls"].iter().chain(tls);
            command().try_get_matches_from(typed)
        };
        let matches = typed(&["cert.pem", "key.pem", "echo.wasm"]).unwrap();
        let config = run(matches.subcommand().unwrap().1).unwrap();
        let tls = config.listeners[0].tls.as_ref().unwrap();
        let Some(CertificateConfig::Files(files)) = &tls.certificate else { panic!("{tls:?}") };
        let paths = [&files.certificate, &files.key].map(|file| file.path.to_str());
        assert_eq!(paths, [Some("cert.pem"), Some("key.pem")]);
        let twice = ["cert.pem", "key.pem", "--tls", "cert.pem", "key.pem", "echo.wasm"];
        assert!(typed(&twice).is_err());
    }

    #[test]
    fn every_flag_of_run_reaches_the_configuration() {
        for flag in KEYS.iter().filter_map(|key| key.flag) {
            let long = format!("--{}", flag.name);
            let mut typed = vec!["portcell", "run", "echo.wasm", &long];
            typed.extend(flag.values().map(|_| "\u{0}"));
            let matches = command().try_get_matches_from(typed).unwrap();
            match run(matches.subcommand().unwrap().1) {
                Err(errors) => {
                    let errors = errors.to_string();
                    assert!(errors.contains(&long), "{long}: {errors}");
                }
                Ok(config) if flag.name == "watch" => assert!(config.handlers[0].watch),
                Ok(config) => {
                    assert_eq!(flag.name, "tls-self-signed", "it takes anything");
                    assert!(config.listeners[0].tls.is_some());
                }
            }
        }
    }
}
