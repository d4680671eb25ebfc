//! Starts the program again, in the place of this process: with its sockets, so that nobody is
//! turned away, and only if it comes to serve.

use std::env;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping, FdMappingCollision};
use portcell::Control;
use portcell::admin::{Sockets, UpgradeRequest};
use portcell::listener::{SERVES, why_not};
use portcell::server::ControlError;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::notify;

/// How long the new process has until it serves; it compiles plugins meanwhile. Without it one
/// that hangs would keep others from being tried.
pub(super) const START: Duration = Duration::from_mins(5);

/// How long it has to end after it has said that it does not.
const END: Duration = Duration::from_secs(2);

/// The most that is read of what the new process says, in bytes.
const SAID: usize = 8 * 1024;

/// This process serves on.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error(transparent)]
    Ended(#[from] ControlError),
    #[error("one is under way already")]
    UnderWay,
    #[error("cannot pass the sockets on: {0}")]
    Sockets(#[from] io::Error),
    #[error("cannot pass the sockets on: {0}")]
    Numbers(#[from] FdMappingCollision),
    #[error("cannot say what is passed on: {0}")]
    Note(#[from] serde_json::Error),
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("the new process could not serve: {0}")]
    Failed(String),
    #[error("the new process ended before it served ({0}); the log has what it said")]
    Vanished(ExitStatus),
    #[error("the new process closed its end and did not serve; it was ended")]
    Silent,
    #[error("the new process did not serve after {} s; it was ended", START.as_secs())]
    Late,
    #[error("this process is to end; the new one was ended")]
    Ending,
    #[error("{0}; the new process was ended")]
    NotLeft(ControlError),
}

/// Upgrades of this process, one at a time.
#[derive(Clone)]
pub(super) struct Upgrades {
    control: Control,
    admin: Sockets,
    under_way: TaskTracker,
}

impl Upgrades {
    pub(super) fn of(control: Control, admin: Sockets) -> Self {
        Self { control, admin, under_way: TaskTracker::new() }
    }

    /// Starts the program anew, beside this process, and leaves the sockets to it when it serves;
    /// this process drains then. If it does not come to that, or this process begins to end
    /// meanwhile, it is ended, the log and who has asked are told why, and nothing has changed.
    pub(super) fn begin(&self, request: Option<UpgradeRequest>) {
        if !self.under_way.is_empty() {
            return refused(&UpgradeError::UnderWay, request);
        }
        self.under_way.spawn(upgrade(self.control.clone(), self.admin.clone(), request));
    }

    /// Waits for the one that is under way.
    pub(super) async fn ended(self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

async fn upgrade(control: Control, admin: Sockets, request: Option<UpgradeRequest>) {
    tracing::info!("upgrade: starting the program anew");
    let successor = match try_upgrade(&control, &admin).await {
        Ok(successor) => successor,
        Err(error) => return refused(&error, request),
    };
    admin.leave();
    notify::successor(successor);
    tracing::info!("upgrade: process {successor} serves from now on, this one drains");
    if let Some(request) = request {
        request.done(successor);
    }
}

fn refused(error: &UpgradeError, request: Option<UpgradeRequest>) {
    let ends = matches!(
        error,
        UpgradeError::Ended(_)
            | UpgradeError::Ending
            | UpgradeError::NotLeft(ControlError::Ended | ControlError::Ending)
    );
    let end = if ends { "" } else { "; this process serves on" };
    tracing::error!("upgrade: {error}{end}");
    if let Some(request) = request {
        let end = end.replace("this process", &format!("process {}", std::process::id()));
        request.refuse(format_args!("{error}{end}"));
    }
}

/// The number of the process that serves now.
async fn try_upgrade(control: &Control, admin: &Sockets) -> Result<u32, UpgradeError> {
    let handed_over = control.hand_over().await?;
    let (ready, theirs) = io::pipe()?;
    let parcel = handed_over.parcel(theirs.into(), admin.duplicates()?)?;
    let mut child = start(parcel)?;
    // Nobody has waited for it, so it has one.
    let successor = child.id().unwrap_or_default();
    let mut ready = pipe::Receiver::from_owned_fd(ready.into())?;
    let served = tokio::select! {
        heard = timeout(START, hear(&mut ready)) => match heard {
            Ok(Ok(())) => Ok(()),
            // It has ended, most likely: its end of the pipe is closed.
            Ok(Err(said)) => Err(match (timeout(END, child.wait()).await, why_not(&said)) {
                (_, Some(why)) => UpgradeError::Failed(why),
                (Ok(Ok(status)), None) => UpgradeError::Vanished(status),
                _ => UpgradeError::Silent,
            }),
            Err(_) => Err(UpgradeError::Late),
        },
        () = control.ending() => Err(UpgradeError::Ending),
    };
    let left = match served {
        Ok(()) => control.leave(handed_over).await.map_err(UpgradeError::NotLeft),
        Err(error) => Err(error),
    };
    if left.is_err() {
        // It may have ended by itself.
        let _ = child.kill().await;
    }
    left.map(|()| successor)
}

/// Waits until the new process says that it serves, or has said something else and no more.
async fn hear(ready: &mut pipe::Receiver) -> Result<(), Vec<u8>> {
    let mut said = Vec::new();
    while said.len() < SAID && ready.read_buf(&mut said).await.is_ok_and(|read| read > 0) {
        if said.first() == Some(&SERVES) {
            return Ok(());
        }
    }
    Err(said)
}

/// Starts the program by the name that it was started by, so that a file that was replaced or a
/// link that was moved counts, with the same arguments.
fn start(parcel: portcell::listener::Parcel) -> Result<Child, UpgradeError> {
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    let (variable, note) = parcel.variable()?;
    let mut command = Command::new(&program);
    command.args(arguments).env(variable, note);
    for of_this_process in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(of_this_process);
    }
    let mapping = |(child_fd, parent_fd)| FdMapping { parent_fd, child_fd };
    command.fd_mappings(parcel.into_descriptors().into_iter().map(mapping).collect())?;
    let program = program.display().to_string();
    command.spawn().map_err(|source| UpgradeError::Start { program, source })
}
