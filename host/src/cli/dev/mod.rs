//! `dev`: builds, serves, and builds again when sources are saved.

mod build;
mod project;
mod report;
mod service;
mod session;
mod sources;
mod unwatched;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use portcell::telemetry::Format;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, arguments, serve};

use self::project::Project;
use self::session::Session;

const LONG: &str = "\
Runs the command that each handler has as `build`, serves the configuration, and does both again \
when something in its folder is saved: what is built takes the place of what is in service, and \
connections that are open keep theirs. A build that fails changes nothing, and one that is under \
way when a source is saved is ended. A configuration that is saved is applied.

What `.gitignore` names is not watched, nor are the modules, .git and the folders target, build, \
node_modules, .zig-cache and zig-out.";

const EXAMPLES: &str = "\
Examples:
  portcell dev                                         what portcell.toml in this folder says
  portcell dev --build \"cargo build --release\"

Ctrl-C ends the build that is under way and gives connections a second to end; once more cuts them.";

/// What can be typed.
pub(super) fn command() -> Command {
    Command::new("dev")
        .about("Build and serve a configuration, and again whenever a source is saved")
        .long_about(LONG)
        .after_help(EXAMPLES)
        .arg(arguments::config_argument())
        .arg(
            Arg::new("build")
                .long("build")
                .value_name("COMMAND")
                .help("What makes the module, where there is one handler, instead of its `build`"),
        )
}

/// Builds and serves until a signal ends it.
pub(super) fn dev(matches: &ArgMatches, format: Format) -> Result<(), Failure> {
    let path = arguments::config_path(matches);
    let command = matches.get_one::<String>("build").map(String::as_str);
    let project = Project::read(path, command)?;
    let runtime = serve::runtime()?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen().context("cannot listen for signals");
        let mut signals = signals.map_err(Failure::Failed)?;
        Session::new(path, command, project, format)?.run(&mut signals).await
    });
    runtime.shutdown_background();
    ended
}

/// What ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone.
    hangup: Signal,
    /// An upgrade is asked for, which there is not here. It would end this process otherwise.
    _user2: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one. Safe to cancel.
    async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
