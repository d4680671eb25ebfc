//! One run of a build command: a shell with a process group of its own, which is ended as a whole.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a build that is told to end may take to tidy up, before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A build that is under way. Its processes are killed when this is dropped before it is done.
#[derive(Debug)]
pub(super) struct Build {
    shell: Child,
    /// That of the shell, as long as it is not done.
    group: Option<Pid>,
}

impl Build {
    /// Starts `command` in `folder`. What it writes goes to stderr as it comes, in colour if that
    /// is a terminal; it has no input.
    pub(super) fn start(command: &str, folder: &Path) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder)
            // What a terminal sends to this process is not for it: it may end in good order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .stderr(Stdio::inherit())
            .spawn()?;
        let pid = shell.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self { shell, group: pid.and_then(Pid::from_raw) })
    }

    /// Waits until the shell has ended; what it has left behind may go on. Safe to cancel.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.shell.wait().await;
        self.group = None;
        status
    }

    /// Ends all its processes: asks them to, and kills those that are there after a while. Takes
    /// at most twice [`GRACE`].
    pub(super) async fn end(mut self) {
        self.signal(Signal::TERM);
        // Some may ignore what the shell has heard: they keep the group's number.
        let _ = timeout(GRACE, self.shell.wait()).await;
        self.signal(Signal::KILL);
        self.group = None;
        // One that the kernel does not let go is left alone.
        let _ = timeout(GRACE, self.shell.wait()).await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // They may all have ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
