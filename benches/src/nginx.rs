//! nginx's stream module. It cannot echo, so it is a proxy in front of a server that can.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::machine::Apart;
use crate::running::Server;

const CONFIG: &str = include_str!("../peers/nginx.conf");

/// Starts `program` with its `module` in front of `behind`, with its files in `folder`.
pub(crate) async fn start(
    program: &Path,
    module: &Path,
    folder: &Path,
    behind: Server,
    apart: Option<Apart>,
) -> Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let config = CONFIG
        .replace("MODULE", &module.display().to_string())
        .replace("LISTEN", &address.to_string())
        .replace("BEHIND", &behind.target.address.to_string());
    let file = folder.join("nginx.conf");
    fs::write(&file, config).with_context(|| file.display().to_string())?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&file);
    // As a new nginx has its sockets from the one before it, so that the kernel can pick the port.
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))
        .context("letting a socket be inherited")?;
    command.env("NGINX", format!("{};", listener.as_raw_fd()));
    Server::start_proxy(&mut command, listener, behind, apart).await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::load::Over;

    /// A program that does not do what nginx does fails the start, with what it said.
    #[tokio::test]
    async fn a_proxy_that_ends_at_once_is_an_error_with_its_last_words() {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("nginx");
        let text = "#!/bin/sh\ncat \"$6\" >&2; echo \"socket $NGINX\" >&2; exit 1\n";
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo listening on tcp://127.0.0.1:1 >&2; exec sleep 1000"]);
        let behind = Server::start(&mut command, Over::Tcp, None).await.unwrap();
        let started = start(&program, Path::new("/m.so"), folder.path(), behind, None).await;
        let said = started.err().unwrap().to_string();
        assert!(said.contains("\n  it said: load_module /m.so;"), "{said}");
        assert!(said.contains("proxy_pass 127.0.0.1:1;"), "{said}");
        let (_, socket) = said.split_once("it said: socket ").unwrap();
        assert!(socket.strip_suffix(';').unwrap().parse::<u32>().unwrap() > 2, "{said}");
    }
}
