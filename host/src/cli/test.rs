//! `test`: a handler is held against scripts of conversations.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use portcell::admission::Opening;
use portcell::config::{Home, KEYS};
use portcell::engine::{Engine, Settings};
use portcell::handler::{Loader, Loading};
use portcell::rehearsal::{Conversation, LONGEST, Rehearsal, Report, Torture, parse};
use portcell::route::Route;
use portcell::{Compiler, Config};
use serde_json::{Value, json};

use super::arguments::{self, plugin as plugin_path};
use super::{Failure, print};

/// Instances that the engine has room for: one runs, and the one before may be on its way out.
const INSTANCES: u32 = 4;

/// Flags of handlers that say how a server goes about them, not what they may do.
const OF_SERVERS: [&str; 5] = ["tenant", "drain-input", "watch", "trial", "retire-after"];

/// Flags of the server that say what guests may do.
const OF_GUESTS: [&str; 2] = ["meter", "stack"];

const LONG_ABOUT: &str = "\
Plays scripts of conversations with a plugin, in this process and without sockets: what is sent, \
and what has to come. Every conversation gets an instance of its own, within the limits that it \
would have under `portcell run`.

With --torture each one that goes well is played again: sent one byte per write, sent all at once, \
read one byte at a time, with a reset at every offset of what either side sends, and with the \
client's end at every offset of what it sends.";

const EXAMPLES: &str = "\
A script has one action a line; docs/testing.md has all of them:
  send \"hello\\n\"           bytes to the handler
  expect \"HELLO\\n\"         exactly these come next
  expect /^250[ -]/         a line comes that begins so
  end                       the client sends no more
  expect end                the handler sends no more
  ---                       another conversation

Examples:
  portcell test shout.wasm --script shout.txt
  portcell test http.wasm --script tests/*.txt --torture --dir www::/www

Exit codes: 0 all went as written, 1 something came differently, 64 bad usage, a script that cannot
be read, or a plugin that cannot be served.";

pub(super) fn command() -> Command {
    let switch = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let of_handler = |name: &str| {
        let keys = KEYS.iter().filter(|key| key.flag.is_some_and(|flag| flag.name == name));
        let is_handlers = keys.map(|key| key.home).all(|home| home == Home::Handler);
        (is_handlers && !OF_SERVERS.contains(&name)) || OF_GUESTS.contains(&name)
    };
    Command::new("test")
        .about("Play scripted conversations with a plugin, and say what comes differently")
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        // In the other order the plugin would be taken for one more script.
        .override_usage("portcell test <PLUGIN.wasm> --script <FILE>... [OPTIONS]")
        .arg(arguments::plugin_argument())
        .arg(
            Arg::new("script")
                .long("script")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("Scripts of conversations, one or more"),
        )
        .arg(switch("torture", "Play each again in every way that a network could make of it"))
        .arg(switch("json", "Print JSON instead of text"))
        .args(arguments::flags_as_arguments(of_handler))
}

/// The conversations of one script.
struct Script {
    path: PathBuf,
    conversations: Vec<Conversation>,
}

/// Plays all scripts; fails, after that, if something came differently.
pub(super) fn test(matches: &ArgMatches) -> Result<(), Failure> {
    let paths = matches.get_many::<PathBuf>("script").unwrap_or_default();
    let scripts = paths.map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let config = Config::from_flags(plugin_path(matches), &arguments::given(matches))
        .map_err(|errors| Failure::Usage(errors.into()))?;
    let engine = Engine::with(&Settings::of(&config.server, INSTANCES))
        .map_err(|error| Failure::Failed(error.into()))?;
    // It has the clock that limits of CPU time need, for as long as something runs.
    let loader = Loader::new(engine, Compiler::this_program())
        .map_err(|error| Failure::Failed(error.into()))?;
    let rehearsal = rehearsal(&config, &loader)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the reactor").map_err(Failure::Failed)?;
    let (torture, as_json) = (matches.get_flag("torture"), matches.get_flag("json"));
    let mut total = Total::default();
    let mut reports = Vec::new();
    for script in &scripts {
        for conversation in &script.conversations {
            let report = runtime.block_on(rehearsal.rehearse(conversation, torture));
            total.add(&report);
            if as_json {
                reports.push(json_of(script, conversation, &report));
            } else {
                print(&text_of(script, conversation, &report));
            }
        }
    }
    // What a guest wants of a file may last; nobody waits for it.
    runtime.shutdown_background();
    if as_json {
        let all = json!({ "ok": total.wrong == 0, "conversations": reports });
        print(&format!("{all:#}\n"));
    } else if total.wrong == 0 {
        print(&format!("{total}\n"));
    }
    match total.wrong {
        0 => Ok(()),
        wrong => Err(Failure::Failed(anyhow!("{wrong} of {} went wrong", total.played()))),
    }
}

fn read(path: &Path) -> Result<Script, Failure> {
    let mut script = Vec::new();
    // One byte more than may be, so that it shows.
    File::open(path)
        .and_then(|file| file.take(LONGEST as u64 + 1).read_to_end(&mut script))
        .with_context(|| format!("{}: cannot read the script", path.display()))
        .map_err(Failure::Usage)?;
    let conversations =
        parse(&script).map_err(|error| Failure::Usage(anyhow!("{}:{error}", path.display())))?;
    Ok(Script { path: path.to_owned(), conversations })
}

/// The plugin, loaded.
fn rehearsal(config: &Config, loader: &Loader) -> Result<Rehearsal, Failure> {
    // A configuration of flags has one of each.
    let (Some(handler), Some(listener)) = (config.handlers.first(), config.listeners.first())
    else {
        return Err(Failure::Failed(anyhow!("there is no handler")));
    };
    let handler = loader
        .load(handler, 1, &Loading::of(&config.server))
        .map_err(|error| Failure::Usage(anyhow!("{}: {error}", handler.module.display())))?;
    let (handler, opening) = (Arc::new(handler), Opening::Plaintext);
    Ok(Rehearsal::new(Route::new(&config.server, listener, handler, opening, Arc::default())))
}

/// `ok` or `WRONG`, where, and what was done or came.
fn text_of(script: &Script, conversation: &Conversation, report: &Report) -> String {
    let place = format!("{}:{}", script.path.display(), conversation.line);
    match (&report.difference, &report.torture) {
        (Some(difference), _) => format!("WRONG {place}  {difference}\n"),
        (None, None) => format!("ok    {place}\n"),
        (None, Some(torture)) => format!("ok    {place}  {}\n", said(torture)),
    }
}

fn said(torture: &Torture) -> String {
    let Torture { replays, cuts, places, ran_out_of_time } = torture;
    let left_out = match (ran_out_of_time, cuts < places) {
        (true, _) => format!(", given up after 1m: left at {cuts} of {places} offsets"),
        (false, true) => format!(", left at {cuts} of {places} offsets, spread evenly"),
        (false, false) => String::new(),
    };
    format!("torture: {replays} replays{left_out}")
}

fn json_of(script: &Script, conversation: &Conversation, report: &Report) -> Value {
    let difference = report.difference.as_ref().map(|difference| {
        let log: Vec<_> = difference
            .log
            .iter()
            .map(|line| json!({ "level": line.level.as_str(), "text": line.text }))
            .collect();
        json!({
            "line": difference.line,
            "mode": difference.mode.name(),
            "left_at": difference.mode.at(),
            "offset": difference.offset(),
            "expected": difference.expected(),
            "came": difference.came(),
            "exit": difference.exit,
            "backtrace": difference.backtrace,
            "log": log,
        })
    });
    let torture = report.torture.map(|torture| {
        json!({
            "replays": torture.replays,
            "cuts": torture.cuts,
            "places": torture.places,
            "ran_out_of_time": torture.ran_out_of_time,
        })
    });
    json!({
        "script": script.path.display().to_string(),
        "line": conversation.line,
        "ok": difference.is_none(),
        "torture": torture,
        "difference": difference,
    })
}

/// All that was played.
#[derive(Default)]
struct Total {
    conversations: usize,
    replays: u64,
    wrong: usize,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.conversations += 1;
        self.replays += report.torture.map_or(0, |torture| torture.replays);
        self.wrong += usize::from(report.difference.is_some());
    }

    fn played(&self) -> String {
        let plural = if self.conversations == 1 { "" } else { "s" };
        format!("{} conversation{plural}", self.conversations)
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.played())?;
        if self.replays > 0 {
            write!(f, " and {} replays", self.replays)?;
        }
        f.write_str(", all as written")
    }
}
