//! Sockets that a server is started with.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};

use super::program::{in_an_environment_of_tests, portcell};

/// What a service manager does (`sd_listen_fds(3)`): moves descriptors to where they belong, and
/// says which process they are for. A child is given no others than the first three.
const MANAGER: &str =
    "exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\"";

/// Something that is passed on, with its name; it stays open here, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'a>(&'a str, BorrowedFd<'a>);

impl<'a> Passed<'a> {
    pub(crate) fn new(name: &'a str, descriptor: &'a impl AsFd) -> Self {
        Self(name, descriptor.as_fd())
    }
}

/// The binary under test, with one or two descriptors from 3 on.
pub(crate) fn portcell_with(passed: &[Passed<'_>]) -> Command {
    let handed = |index: usize| match passed.get(index) {
        Some(Passed(_, descriptor)) => Stdio::from(descriptor.try_clone_to_owned().unwrap()),
        None => Stdio::null(),
    };
    assert!((1..=2).contains(&passed.len()), "there are two ways to pass one");
    let names: Vec<_> = passed.iter().map(|Passed(name, _)| *name).collect();
    let program = portcell();
    let mut manager = Command::new("sh");
    manager.args(["-c", MANAGER]).arg(program.get_program());
    in_an_environment_of_tests(&mut manager);
    manager.env("LISTEN_FDS", passed.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    manager.stdin(handed(0)).stdout(handed(1));
    manager
}
