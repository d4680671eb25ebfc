//! Starts the program again, in the place of this process: with its sockets, so that nobody is
//! turned away, and only if it comes to serve.

use std::env;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping, FdMappingCollision};
use portcell::Control;
use portcell::admin::Sockets;
use portcell::server::ControlError;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::notify;

/// How long the new process has until it serves; it compiles plugins meanwhile. Without it one
/// that hangs would keep others from being tried.
const START: Duration = Duration::from_mins(5);

/// This process serves on.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error(transparent)]
    Ended(#[from] ControlError),
    #[error("cannot pass the sockets on: {0}")]
    Sockets(#[from] io::Error),
    #[error("cannot pass the sockets on: {0}")]
    Numbers(#[from] FdMappingCollision),
    #[error("cannot say what is passed on: {0}")]
    Note(#[from] serde_json::Error),
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("the new process ended before it served ({0}); what it said is above")]
    Failed(ExitStatus),
    #[error("the new process closed its end and did not serve; it was ended")]
    Silent,
    #[error("the new process did not serve after {} s; it was ended", START.as_secs())]
    Late,
    #[error("this process is to end; the new one was ended")]
    Ending,
    #[error("{0}; the new process was ended")]
    NotLeft(ControlError),
}

/// Starts the program anew and leaves the sockets to it when it serves; this process drains then.
/// If it does not come to that, or this process begins to end meanwhile, it is ended, the log says
/// why, and nothing has changed.
pub(super) async fn upgrade(control: Control, admin: Sockets) {
    tracing::info!("upgrade: starting the program anew");
    match try_upgrade(&control, &admin).await {
        Ok(()) => {}
        Err(
            error @ (UpgradeError::Ended(_)
            | UpgradeError::Ending
            | UpgradeError::NotLeft(ControlError::Ended | ControlError::Ending)),
        ) => tracing::error!("upgrade: {error}"),
        Err(error) => tracing::error!("upgrade: {error}; this process serves on"),
    }
}

async fn try_upgrade(control: &Control, admin: &Sockets) -> Result<(), UpgradeError> {
    let handed_over = control.hand_over().await?;
    let (ready, theirs) = io::pipe()?;
    let parcel = handed_over.parcel(theirs.into(), admin.duplicates()?)?;
    let mut child = start(parcel)?;
    let mut ready = pipe::Receiver::from_owned_fd(ready.into())?;
    let mut answer = [0];
    let served = tokio::select! {
        read = timeout(START, ready.read(&mut answer)) => match read {
            Ok(Ok(1)) => Ok(()),
            // It has ended, most likely: its end of the pipe is closed.
            Ok(_) => Err(match timeout(Duration::from_secs(1), child.wait()).await {
                Ok(Ok(status)) => UpgradeError::Failed(status),
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
        return left;
    }
    admin.leave();
    if let Some(pid) = child.id() {
        notify::successor(pid);
        tracing::info!("upgrade: process {pid} serves from now on, this one drains");
    }
    Ok(())
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
