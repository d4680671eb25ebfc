//! `new`: a folder with a project in it that builds, has tests and can be served.
//!
//! What is in a project is in `templates` and in the SDKs; `language` has what they differ in.

mod embedded;
mod folder;
mod language;
mod name;
mod project;
mod question;

use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use self::folder::Problem;
use self::language::Language;
use self::name::Name;
use self::project::Project;
use super::{Failure, print};

const ABOUT: &str = "\
Makes a folder with a project in it: a handler that greets, with tests, portcell's SDK for the \
language and a portcell.toml that serves it. Without --lang it asks for the language.

With --inetd it is a plain program that reads stdin and writes stdout, without the SDK.";

const EXAMPLES: &str = "\
Examples:
  portcell new chat --lang rust            a project `chat` in the folder chat
  portcell new services/chat --lang go     the same in services/chat; services is there already
  portcell new chat --lang c --inetd       a program that knows nothing of portcell

A folder that is there already has to be empty.";

/// What can be typed.
pub(super) fn command() -> Command {
    Command::new("new")
        .about("Make a project: a handler to begin with, in Rust, C, C++, Go, AssemblyScript or Zig")
        .long_about(ABOUT)
        .after_help(EXAMPLES)
        .arg(Arg::new("name").value_name("NAME").required(true).value_parser(value_parser!(PathBuf)).help(
            "The folder to make; the last part of its path is the project's name: a letter, then \
             letters, digits, - and _",
        ))
        .arg(
            Arg::new("lang")
                .long("lang")
                .value_name("LANGUAGE")
                .value_parser(PossibleValuesParser::new(Language::ALL.map(word)))
                .ignore_case(true)
                .help("What it is written in"),
        )
        .arg(
            Arg::new("inetd")
                .long("inetd")
                .action(ArgAction::SetTrue)
                .help("A plain program with stdin and stdout, without the SDK"),
        )
}

/// What `--lang` takes. `c++` is known, too: it is not C.
fn word(language: Language) -> PossibleValue {
    PossibleValue::new(language.word()).alias(language.title())
}

/// Makes the project, and says how to go on.
pub(super) fn new(matches: &ArgMatches) -> Result<(), Failure> {
    let path = matches.get_one::<PathBuf>("name").map_or(Path::new(""), PathBuf::as_path);
    // Without a dot at its end, which the system takes only for what is there.
    let path: PathBuf = path.components().collect();
    let name = Name::of(&path).map_err(Failure::Usage)?;
    // Before a question: its answer would be for nothing.
    folder::must_be_free(&path).map_err(failure)?;
    let language = match matches.get_one::<String>("lang") {
        Some(word) => Language::named(word),
        None => Some(asked(&path)?),
    };
    let language = language.ok_or_else(|| Failure::Usage(anyhow!("--lang: unknown")))?;
    let project =
        Project::new(language, matches.get_flag("inetd"), name).map_err(Failure::Usage)?;
    folder::fill(&path, &project.files()).map_err(failure)?;
    print(&project.next_steps(&path));
    Ok(())
}

/// The language that somebody at a terminal wants.
fn asked(path: &Path) -> Result<Language, Failure> {
    let words = Language::ALL.map(Language::word).join("|");
    let how = || anyhow!("in which language? portcell new {} --lang {words}", path.display());
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(how()));
    }
    let answer = question::ask(BufReader::new(io::stdin().lock()), io::stderr().lock());
    answer.map_err(|error| Failure::Failed(error.into()))?.ok_or_else(|| Failure::Usage(how()))
}

fn failure(problem: Problem) -> Failure {
    match problem {
        Problem::Taken { .. } | Problem::Nowhere { .. } => Failure::Usage(problem.into()),
        Problem::Io { .. } => Failure::Failed(problem.into()),
    }
}
