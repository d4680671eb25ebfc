//! TLS, with real clients.

mod clients;
mod closing;
mod handshakes;
mod limits;
mod names;
mod renewal;
mod start_tls;

use std::sync::Arc;

use rustls::ClientConfig;

use crate::harness::{Authority, Folder, Server, plugin};

/// A server with TLS, and who trusts it.
struct Secured {
    folder: Folder,
    authority: Authority,
    server: Server,
}

impl Secured {
    /// A plugin at a free port, with a certificate for `localhost` and more flags.
    fn run(guest: impl FnOnce(&Folder) -> std::path::PathBuf, flags: &[&str]) -> Self {
        let folder = Folder::new();
        let authority = Authority::new("Test CA");
        authority.file(&folder);
        let leaf = authority.sign(&folder, "server", &["localhost", "127.0.0.1"]);
        let (certificate, key) = (leaf.certificate.to_str().unwrap(), leaf.key.to_str().unwrap());
        let server = Server::run(guest(&folder))
            .arguments(&["--tls", certificate, key])
            .arguments(flags)
            .start();
        Self { folder, authority, server }
    }

    fn echo(flags: &[&str]) -> Self {
        Self::run(|_| plugin("echo"), flags)
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.authority.client())
    }

    fn ca(&self) -> String {
        self.folder.at("ca.pem").display().to_string()
    }
}
