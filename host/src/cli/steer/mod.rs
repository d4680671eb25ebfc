//! The commands that talk to a running server.

mod server;
mod show;
mod table;

use std::io::{Write as _, stdout};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use portcell::config::{Config, parse_duration};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(super) use self::server::Server;

use super::upgrade::START;
use super::{Failure, print};

const DIFF: &str = "\
Says what a reload would change, and changes nothing: in the configuration that the server was \
started with, as its file is now, or if CONFIG were in its place. CONFIG is read here and checked \
as a whole by the server; relative paths in it are taken from the folder of the server's \
configuration. Ends with 0 whether there are differences or not.";

const WHERE: &str = "Where the server is asked: --admin, else PORTCELL_ADMIN, else `admin` of \
                     portcell.toml in this folder, else portcell.sock in this folder.";

const ANEW: &str = "\
Starts the program of the server anew, by the name and with the arguments that it was started \
with, and gives it the sockets. Waits until the new process serves, for up to 5 minutes; the old \
one then takes nobody in any more and ends when its connections have. If the new process does not \
come to serve, the old one serves on as before.";

/// How often `--follow` looks.
const LOOK: Duration = Duration::from_secs(1);

/// What takes a server longer than a moment.
const UNBOUNDED: Option<Duration> = None;

/// What takes it a moment, unless it binds listeners meanwhile.
const MOMENT: Option<Duration> = Some(ANSWER);
const ANSWER: Duration = Duration::from_secs(15);

/// An upgrade, which the server gives up after [`START`].
const UPGRADE: Option<Duration> = Some(START.saturating_add(Duration::from_mins(1)));

/// What can be typed.
pub(super) fn commands() -> Vec<Command> {
    let command = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).after_help(WHERE).args(where_to())
    };
    let listener = || required("listener", "LISTENER", "The listener's name");
    vec![
        command("status", "Say what a running server does").arg(json_flag()),
        connections(command("connections", "List the open connections")),
        command("kill", "End a connection now, with a reset").arg(
            required("id", "ID", "The number of the connection, as `connections` lists it")
                .value_parser(value_parser!(u64)),
        ),
        command("suspend", "Take nobody in at a listener for now; clients wait").arg(listener()),
        command("resume", "Take clients in again at a suspended listener").arg(listener()),
        command("start", "Bind a stopped listener again, and take clients in").arg(listener()),
        command("stop", "Close a listener and cut its connections").arg(listener()),
        command("drain", "Take nobody new in, let connections end, then end the server")
            .arg(
                Arg::new("listener").value_name("LISTENER").help(
                    "Only this listener, which can be started again; waits until it has stopped",
                ),
            )
            .arg(
                Arg::new("deadline")
                    .long("deadline")
                    .value_name("DURATION")
                    .value_parser(deadline)
                    .help("Cut what is left after this long, or `none` [default: drain_timeout]"),
            ),
        command("upgrade", "Start the program anew in the place of the server, which then drains")
            .long_about(ANEW)
            .arg(json_flag()),
        command("reload", "Read the configuration again, and apply it or leave all as it is").arg(
            Arg::new("handler")
                .value_name("HANDLER")
                .help("Read only the module of this handler again"),
        ),
        command("rollback", "Give a handler the version that came before its present one")
            .arg(required("handler", "HANDLER", "The handler's name")),
        command("diff", "Say what a reload would change, and change nothing")
            .long_about(DIFF)
            .arg(Arg::new("config").value_name("CONFIG").value_parser(value_parser!(PathBuf)).help(
                "A file that would be the server's configuration; without it, the one that is",
            ))
            .arg(json_flag()),
        command("limits", "Show the bounds of a running server, or set one")
            .arg(json_flag())
            .subcommand(
                command("set", "Change a bound until the next reload")
                    .arg(required(
                        "name",
                        "NAME",
                        "server, listener.NAME, pool.NAME or tenant.NAME, as `limits` lists them",
                    ))
                    .arg(
                        required("most", "N", "How many there may be at once, or none")
                            .value_parser(most),
                    ),
            ),
    ]
}

/// Does what was typed.
pub(super) fn steer(command: &str, matches: &ArgMatches) -> Result<(), Failure> {
    runtime()?.block_on(ask(command, matches))
}

/// What waits for a server.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.context("cannot start the reactor").map_err(Failure::Failed)
}

async fn ask(command: &str, matches: &ArgMatches) -> Result<(), Failure> {
    let name = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let server = |matches| Server::find(matches);
    match command {
        "status" => {
            let status = server(matches)?.get("/v1/status").await?;
            show(matches, &status, show::status);
        }
        "connections" => list(&server(matches)?, matches).await?,
        "kill" => {
            let id = matches.get_one::<u64>("id").copied().unwrap_or_default();
            server(matches)?.ask("DELETE", &format!("/v1/connections/{id}"), None, MOMENT).await?;
            print(&format!("killed {id}\n"));
        }
        "suspend" | "resume" | "start" | "stop" => {
            let listener = name("listener");
            let path = listener_path(listener, command)?;
            let answer = server(matches)?.ask("POST", &path, None, UNBOUNDED).await?;
            print(&show::listener(listener, command, &answer));
        }
        "drain" => {
            let within = matches.get_one::<String>("deadline");
            let body = within.map(|deadline| json!({ "deadline": deadline }));
            let said = if let Some(listener) = matches.get_one::<String>("listener") {
                let path = listener_path(listener, command)?;
                let answer = server(matches)?.ask("POST", &path, body, UNBOUNDED).await?;
                show::listener(listener, command, &answer)
            } else {
                show::draining(&server(matches)?.ask("POST", "/v1/drain", body, MOMENT).await?)
            };
            print(&said);
        }
        "reload" => match matches.get_one::<String>("handler") {
            None => {
                server(matches)?.ask("POST", "/v1/reload", None, UNBOUNDED).await?;
                print("the configuration was applied\n");
            }
            Some(handler) => {
                let path = format!("/v1/handlers/{}/reload", segment(handler)?);
                let answer = server(matches)?.ask("POST", &path, None, UNBOUNDED).await?;
                print(&format!("{handler} has version {}\n", answer["version"]));
            }
        },
        "rollback" => {
            let handler = name("handler");
            let path = format!("/v1/handlers/{}/rollback", segment(handler)?);
            let answer = server(matches)?.ask("POST", &path, None, UNBOUNDED).await?;
            print(&format!("{handler} has version {}\n", answer["version"]));
        }
        "upgrade" => {
            let answer = server(matches)?.ask("POST", "/v1/upgrade", None, UPGRADE).await?;
            show(matches, &answer, show::upgraded);
        }
        "diff" => {
            let server = server(matches)?;
            let differences = match matches.get_one::<PathBuf>("config") {
                None => server.get("/v1/diff").await?,
                Some(path) => {
                    let text = Config::text_of(path);
                    let text = text.map_err(|errors| Failure::Usage(errors.into()))?;
                    let mut query = form_urlencoded::Serializer::new(String::new());
                    query.append_pair("name", &path.to_string_lossy());
                    server.send(&format!("/v1/diff?{}", query.finish()), text).await?
                }
            };
            show(matches, &differences, show::differences);
        }
        "limits" => match matches.subcommand() {
            None => {
                let limits = server(matches)?.get("/v1/limits").await?;
                show(matches, &limits, show::limits);
            }
            Some((_, matches)) => {
                let name = matches.get_one::<String>("name").map_or("", String::as_str);
                let most = matches.get_one::<Most>("most").and_then(|most| most.0);
                let path = format!("/v1/limits/{}", segment(name)?);
                let body = json!({ "most": most });
                let answer = server(matches)?.ask("PUT", &path, Some(body), MOMENT).await?;
                print(&show::limit(&answer));
            }
        },
        _ => {}
    }
    Ok(())
}

fn connections(command: Command) -> Command {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    command
        .arg(json_flag())
        .arg(filter("listener", "NAME", "Those of this listener"))
        .arg(filter("handler", "NAME", "Those of this handler"))
        .arg(filter("peer", "PREFIX", "Those whose peer begins with this"))
        .arg(filter("older-than", "DURATION", "Those that have been there for longer"))
        .arg(filter("idle-longer-than", "DURATION", "Those on which nothing moved for longer"))
        .arg(filter(
            "sort",
            "KEY",
            "The most first: age, idle, bytes_in, bytes_out, cpu, memory or memory_peak",
        ))
        .arg(filter("limit", "N", "So many at most"))
        .arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Look again every second; with --json an array a line"),
        )
}

async fn list(server: &Server, matches: &ArgMatches) -> Result<(), Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for flag in ["listener", "handler", "peer", "older-than", "idle-longer-than", "sort", "limit"] {
        if let Some(value) = matches.get_one::<String>(flag) {
            query.append_pair(&flag.replace('-', "_"), value);
        }
    }
    let path = format!("/v1/connections?{}", query.finish());
    if !matches.get_flag("follow") {
        let found = server.get(&path).await?;
        show(matches, &found, show::connections);
        return Ok(());
    }
    loop {
        let found = server.get(&path).await?;
        let text = if matches.get_flag("json") {
            format!("{found}\n")
        } else {
            format!("{}{}", table::clear(), show::connections(&found))
        };
        // Whoever reads has seen enough, or is gone.
        if stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()).is_err() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints for machines, or for people.
fn show(matches: &ArgMatches, answer: &Value, for_people: fn(&Value) -> String) {
    let text = if matches.get_flag("json") { format!("{answer:#}\n") } else { for_people(answer) };
    print(&text);
}

fn listener_path(listener: &str, action: &str) -> Result<String, Failure> {
    Ok(format!("/v1/listeners/{}/{action}", segment(listener)?))
}

/// A name as a part of a path. What cannot be a name cannot be there either.
fn segment(name: &str) -> Result<&str, Failure> {
    let is_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_char) {
        return Err(Failure::Usage(anyhow!(
            "`{}` is no name; names have letters, digits, `-`, `_` and `.`",
            name.escape_default()
        )));
    }
    Ok(name)
}

/// A bound, or none.
#[derive(Clone, Copy, Debug)]
struct Most(Option<NonZeroU32>);

fn most(text: &str) -> Result<Most, String> {
    match text {
        "none" => Ok(Most(None)),
        _ => match text.parse() {
            Ok(most) => Ok(Most(Some(most))),
            Err(_) => Err("it is a number from 1 on, or none".to_owned()),
        },
    }
}

fn deadline(text: &str) -> Result<String, String> {
    match text {
        "none" => Ok(text.to_owned()),
        _ => parse_duration(text).map(|_| text.to_owned()).map_err(|error| error.to_string()),
    }
}

fn required(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(id).value_name(value).required(true).help(help)
}

fn json_flag() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of a table")
}

pub(super) fn where_to() -> [Arg; 2] {
    [
        Arg::new("admin")
            .long("admin")
            .value_name("ADDRESS")
            .env("PORTCELL_ADMIN")
            .hide_env_values(true)
            .help("The admin socket, like unix:portcell.sock or tcp://127.0.0.1:7070"),
        Arg::new("admin-token")
            .long("admin-token")
            .value_name("FILE")
            .env("PORTCELL_ADMIN_TOKEN")
            .hide_env_values(true)
            .value_parser(value_parser!(PathBuf))
            .help("The file with the token that a TCP address asks for"),
    ]
}
