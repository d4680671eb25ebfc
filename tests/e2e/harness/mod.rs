//! What tests are made of: servers, clients, programs, and folders for their files.

mod authority;
mod client;
mod folder;
mod local;
mod log;
mod passing;
mod peer;
mod process;
mod program;
mod server;
mod sockets;
mod tls;

use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use self::authority::Authority;
pub(crate) use self::client::Client;
pub(crate) use self::folder::Folder;
pub(crate) use self::local::{Local, config, edit, until};
pub(crate) use self::log::Log;
pub(crate) use self::passing::{Passed, portcell_with};
pub(crate) use self::peer::Peer;
pub(crate) use self::process::Process;
pub(crate) use self::program::{Output, Program, portcell, shared_cache};
pub(crate) use self::server::{Server, Successor};
pub(crate) use self::sockets::{Port, lose, open_at};
pub(crate) use self::tls::TlsClient;

/// Nothing waits longer: a test that would hang fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long something that must not happen is waited for.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(150);

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().unwrap().to_path_buf()
}

/// One of plugins/*.wasm.
pub(crate) fn plugin(name: &str) -> PathBuf {
    let path = repository().join("plugins").join(format!("{name}.wasm"));
    assert!(path.exists(), "there is no {}: run `make guests` first", path.display());
    path
}

/// Waits until `condition` holds; for what gives no event to wait for.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        #[expect(clippy::disallowed_methods, reason = "polls a condition that has no event")]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Some containers have no IPv6, and nothing can be shown there.
pub(crate) fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
