//! The first bytes of a client of TLS: a handshake, or an error; and what comes behind one.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcell::Config;
use portcell::config::Truncation;
use portcell::connection::{Socket, accept};
use portcell::tls::Profile;
use portcell_fuzz::block_on;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let flags = [("listen", "127.0.0.1:0"), ("tls-self-signed", "true")];
    let config = Config::from_flags(Path::new("x.wasm"), &flags).expect("a configuration");
    let tls = config.listeners[0].tls.as_ref().expect("TLS is configured");
    Profile::load(tls, None).expect("a certificate")
});

fuzz_target!(|bytes: &[u8]| {
    block_on(async {
        let (mut client, socket) = UnixStream::pair().expect("a pair of sockets");
        client.write_all(bytes).await.expect("room in the kernel");
        client.shutdown().await.expect("an open socket");
        let select = |name: Option<&str>| PROFILE.select(name);
        let accepted = accept(Socket::Unix(socket), Truncation::Error, select).await;
        // Nobody finishes a handshake without having heard the other side.
        let (_, error) = accepted.expect_err("the client says nothing more");
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
    });
});
