//! A program that is run to its end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::PATIENCE;

/// A program that is about to be run. It is ended when it takes too long.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    input: Vec<u8>,
}

/// What it did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The binary under test, in an environment that does not steer it, with no input and an output
/// that nobody reads.
pub(crate) fn portcell() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcell"));
    in_an_environment_of_tests(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Nothing steers it, and it keeps compiled modules where those of other tests are, and not where
/// those of the developer are.
pub(crate) fn in_an_environment_of_tests(command: &mut Command) {
    command.env_remove("PORTCELL_LOG").env_remove("COLUMNS").env_remove("CACHE_DIRECTORY");
    command.env("XDG_CACHE_HOME", shared_cache());
}

/// What all tests have compiled; their cache is the folder `portcell` in it.
pub(crate) fn shared_cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Program {
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new("timeout");
        // Killed in the end: a server takes over SIGTERM as it starts.
        command.args(["--kill-after=5", &PATIENCE.as_secs().to_string(), name]);
        // It may start the binary under test.
        in_an_environment_of_tests(&mut command);
        Self { command, input: Vec::new() }
    }

    /// The binary under test.
    pub(crate) fn portcell() -> Self {
        Self::new(env!("CARGO_BIN_EXE_portcell"))
    }

    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// What it reads from stdin; nothing otherwise.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(crate) fn run(mut self) -> Output {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let input = self.input;
        let writer = thread::spawn(move || {
            // A program need not read all that it is given.
            let _ = stdin.write_all(&input);
        });
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let stderr = errors.join().unwrap();
        let code = output.status.code().unwrap_or(-1);
        assert!(code != 124 && code != 137, "{:?} did not end; stderr:\n{stderr}", self.command);
        Output { code, stdout: output.stdout, stderr }
    }

    /// Runs it; it must succeed. Gives its stdout.
    pub(crate) fn output(self) -> Vec<u8> {
        let command = format!("{:?}", self.command);
        let output = self.run();
        assert_eq!(output.code, 0, "{command}: {}", output.stderr);
        output.stdout
    }

    /// As [`Program::output`], as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.output()).unwrap()
    }
}
