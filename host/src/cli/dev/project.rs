//! What is developed: a configuration, with the commands that build its modules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use portcell::Config;
use portcell::text::printable;

use crate::cli::{Failure, serve};

/// A configuration that can be built.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) config: Config,
    /// At least one, in the order of the handlers; no command twice.
    pub(super) jobs: Vec<Job>,
}

/// A command, and the handlers whose modules it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) command: String,
    pub(super) handlers: Vec<String>,
}

impl Project {
    /// Reads the configuration at `path`; `command` builds its only handler, if it is there.
    pub(super) fn read(path: &Path, command: Option<&str>) -> Result<Self, Failure> {
        if matches!(path.try_exists(), Ok(false)) {
            return Err(at(
                path,
                "there is no such file; `portcell new` makes a project that has one, and another \
                 file can be named: portcell dev CONFIG",
            ));
        }
        let mut config = serve::read(path)?;
        if let Some(command) = command {
            overrule(&mut config, command).map_err(|why| at(path, &why))?;
        }
        let jobs = jobs(&config);
        match config.handlers.first() {
            Some(handler) if jobs.is_empty() => Err(at(
                path,
                &format!(
                    "no handler has a `build`; write the command that makes its module into \
                     [handler.{}], like build = \"cargo build --release\", or give it with --build",
                    handler.name
                ),
            )),
            _ => Ok(Self { config, jobs }),
        }
    }

    /// Where it is: the folder that its commands run in.
    pub(super) fn folder(path: &Path) -> PathBuf {
        match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    /// Whether there is a handler of this name.
    pub(super) fn has(&self, handler: &str) -> bool {
        self.config.handlers.iter().any(|config| config.name == handler)
    }
}

impl Job {
    /// The names of its handlers.
    pub(super) fn names(&self) -> String {
        self.handlers.join(", ")
    }

    /// Its command in one line.
    pub(super) fn shown(&self) -> String {
        let mut lines = self.command.trim().lines();
        let first = printable(lines.next().unwrap_or_default());
        if lines.next().is_some() { first + " ..." } else { first }
    }
}

fn at(path: &Path, why: &str) -> Failure {
    Failure::Usage(anyhow!("{}: {why}", path.display()))
}

fn overrule(config: &mut Config, command: &str) -> Result<(), String> {
    if command.trim().is_empty() {
        return Err("the command of --build is empty".to_owned());
    }
    if let [handler] = &mut config.handlers[..] {
        Arc::make_mut(handler).build = Some(command.to_owned());
        return Ok(());
    }
    let names: Vec<_> = config.handlers.iter().map(|handler| handler.name.as_str()).collect();
    Err(format!(
        "--build is for one handler, and here are {}: {}; write a `build` into the table of each \
         that is built",
        names.len(),
        names.join(", ")
    ))
}

fn jobs(config: &Config) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for handler in &config.handlers {
        let Some(command) = &handler.build else { continue };
        if let Some(job) = jobs.iter_mut().find(|job| job.command == *command) {
            job.handlers.push(handler.name.clone());
        } else {
            let (command, handlers) = (command.clone(), vec![handler.name.clone()]);
            jobs.push(Job { command, handlers });
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(handlers: &str, command: Option<&str>) -> Result<Project, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcell.toml");
        let names =
            handlers.lines().filter_map(|line| line.strip_prefix("[handler.")?.strip_suffix(']'));
        let listener = |name| {
            format!(
                "[[listener]]\nname = \"{name}\"\nbind = \"unix:{name}\"\nhandler = \"{name}\"\n"
            )
        };
        let listeners: String = names.map(listener).collect();
        std::fs::write(&path, listeners + handlers).unwrap();
        Project::read(&path, command).map_err(|failure| match failure {
            Failure::Usage(error) | Failure::Failed(error) => {
                error.to_string().replace(&path.display().to_string(), "FILE")
            }
        })
    }

    fn job(command: &str, handlers: &[&str]) -> Job {
        let handlers = handlers.iter().map(|&name| name.to_owned()).collect();
        Job { command: command.to_owned(), handlers }
    }

    #[test]
    fn a_command_of_several_handlers_is_one_job() {
        let handlers = "[handler.a]\nmodule = \"a\"\nbuild = \"make\"\n[handler.b]\nmodule = \"b\"\n\
                        [handler.c]\nmodule = \"c\"\nbuild = \"zig build\"\n\
                        [handler.d]\nmodule = \"d\"\nbuild = \"make\"\n";
        let project = project(handlers, None).unwrap();
        assert_eq!(project.jobs, [job("make", &["a", "d"]), job("zig build", &["c"])]);
        assert_eq!(project.jobs[0].names(), "a, d");
        assert!(project.has("b") && !project.has("e"));
    }

    #[test]
    fn a_command_that_is_given_builds_the_only_handler() {
        let one = "[handler.a]\nmodule = \"a\"\nbuild = \"make\"\n";
        assert_eq!(project(one, Some("ninja")).unwrap().jobs, [job("ninja", &["a"])]);
        let two = "[handler.a]\nmodule = \"a\"\n[handler.b]\nmodule = \"b\"\n";
        assert_eq!(
            project(two, Some("make")).unwrap_err(),
            "FILE: --build is for one handler, and here are 2: a, b; write a `build` into the \
             table of each that is built"
        );
        assert_eq!(project(one, Some(" ")).unwrap_err(), "FILE: the command of --build is empty");
    }

    #[test]
    fn without_a_command_it_says_what_to_write() {
        assert_eq!(
            project("[handler.a]\nmodule = \"a\"\n", None).unwrap_err(),
            "FILE: no handler has a `build`; write the command that makes its module into \
             [handler.a], like build = \"cargo build --release\", or give it with --build"
        );
    }

    #[test]
    fn without_a_configuration_it_says_where_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let read = Project::read(&folder.path().join("portcell.toml"), None);
        let Err(Failure::Usage(error)) = read else { panic!("it was read") };
        let said = error.to_string();
        assert!(said.contains(": there is no such file; `portcell new` makes"), "{said}");
    }

    #[test]
    fn a_command_of_several_lines_is_shown_as_one() {
        assert_eq!(job("\nmake all\n", &[]).shown(), "make all");
        assert_eq!(job("cd x\nmake", &[]).shown(), "cd x ...");
    }
}
