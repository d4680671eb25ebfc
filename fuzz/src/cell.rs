//! The guest that calls what it is told, served in this process as the server does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portcell::account::Account;
use portcell::admission::Opening;
use portcell::connection::{Connection, Socket, Upgrade};
use portcell::engine::Engine;
use portcell::exit::Exit;
use portcell::handler::{Loader, Loading};
use portcell::instance::{self, Ended};
use portcell::listener::{Handshaking, Life, Phase};
use portcell::route::Route;
use portcell::tls::Profile;
use portcell::{Compiler, Config};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::{block_on, folder};

const GUEST: &str = include_str!("../../tests/guests/calls_as_told.wat");

/// What must stay as it is: the file beside the folder that is granted.
const SECRET: &str = "nobody reads this";

/// Of the files that guests may make there are no more than this many, or the folder is emptied.
const FILES: usize = 8;

/// The guest as each kind of handler, and what it is granted.
pub struct Cells {
    routes: [Route; 2],
    upgrade: Arc<dyn Upgrade>,
    folder: TempDir,
}

impl Cells {
    /// Compiles them.
    pub fn new() -> Self {
        let folder = folder();
        fs::write(folder.path().join("secret"), SECRET).expect("a file");
        let loader =
            Loader::new(Engine::new(4).expect("an engine"), Compiler::InProcess).expect("a loader");
        let route = |entry: &str| {
            let text = GUEST.replace("\"handle\"", &format!("\"{entry}\""));
            let module = folder.path().join(format!("{entry}.wasm"));
            fs::write(&module, wat::parse_str(text).expect("the guest is wasm")).expect("a file");
            let granted = format!("{}::/::rw", granted(folder.path()).display());
            let flags = [
                ("listen", "127.0.0.1:0"),
                ("dir", &granted),
                ("env", "NAME=value"),
                ("memory", "1MiB"),
                ("cpu-total", "2s"),
                ("tls-self-signed", "true"),
                ("tls-start", "request"),
            ];
            let config = Config::from_flags(&module, &flags).expect("a configuration");
            let handler = loader
                .load(&config.handlers[0], 1, &Loading::without_cache(&config.server))
                .expect("the guest can serve");
            let listener = Arc::clone(&config.listeners[0]);
            let route = Route::new(
                &config.server,
                &listener,
                Arc::new(handler),
                Opening::Plaintext,
                Arc::default(),
            );
            (route, listener)
        };
        fs::create_dir(granted(folder.path())).expect("a folder");
        let ((handle, listener), (command, _)) = (route("handle"), route("_start"));
        let tls = listener.tls.as_ref().expect("TLS is configured");
        let profile = Arc::new(Profile::load(tls, None).expect("a certificate"));
        let life = Arc::new(Life::new(Phase::Accepting));
        let upgrade = Arc::new(Handshaking::new(&listener, tls, profile, life));
        let this = Self { routes: [handle, command], upgrade, folder };
        this.clean();
        this
    }

    /// Serves one connection, whose peer sends the rest of `bytes` and then its end, and reads
    /// nothing. Bits of the first byte say which kind of handler it is, and whether TLS is offered.
    pub fn serve(&self, bytes: &[u8]) -> Exit {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let (&first, program) = bytes.split_first().unwrap_or((&0, &[]));
        let route = &self.routes[usize::from(first & 1)];
        let account = Arc::new(Account::new(IDS.fetch_add(1, Relaxed)));
        let exit = block_on(async {
            let (mut peer, socket) = UnixStream::pair().expect("a pair of sockets");
            peer.write_all(program).await.expect("room in the kernel");
            peer.shutdown().await.expect("an open socket");
            let placement = Arc::clone(&route.placement);
            let mut connection = Connection::new(Socket::Unix(socket), account, placement);
            if first & 2 != 0 {
                connection.can_upgrade(Arc::clone(&self.upgrade));
            }
            let run = instance::run(&route.handler, connection, route.limits, |_| {}, None);
            let Ended { connection, exit, .. } = run.await;
            connection.end(exit.closing()).await;
            // What was written is there, or the connection was reset.
            let mut rest = Vec::new();
            let reading = peer.read_to_end(&mut rest);
            let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
            exit
        });
        self.check();
        exit
    }

    /// Nothing outside of the granted folder has changed.
    fn check(&self) {
        let folder = self.folder.path();
        assert_eq!(fs::read_dir(folder).expect("the folder").count(), 4, "somebody was outside");
        assert_eq!(fs::read(folder.join("secret")).expect("the secret"), SECRET.as_bytes());
        if fs::read_dir(granted(folder)).map_or(usize::MAX, Iterator::count) > FILES {
            self.clean();
        }
    }

    fn clean(&self) {
        let granted = granted(self.folder.path());
        fs::remove_dir_all(&granted).expect("it can be removed");
        fs::create_dir_all(granted.join("folder")).expect("a folder");
        fs::write(granted.join("file"), "content").expect("a file");
        fs::write(granted.join("folder/file"), "more").expect("a file");
    }
}

impl Default for Cells {
    fn default() -> Self {
        Self::new()
    }
}

fn granted(folder: &Path) -> std::path::PathBuf {
    folder.join("granted")
}
