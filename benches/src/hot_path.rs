//! The hot path of the server on its own: from an accepted connection to its end, over a stream in
//! memory. For counting instructions (`counts.rs`), and for profiles.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use portcell::account::Account;
use portcell::admission::Opening;
use portcell::connection::{Connection, Pipe, PipeClient, Received, Socket};
use portcell::engine::Engine;
use portcell::exit::Exit;
use portcell::handler::{Loader, Loading};
use portcell::instance::{self, Ended};
use portcell::route::Route;
use portcell::{Compiler, Config};

/// The subcommand.
pub(crate) const HOT_PATH: &str = "hot-path";

/// What is echoed, in bytes.
const MESSAGE: usize = 64;

/// What may be on its way to the client, in bytes.
const ROOM: usize = 64 << 10;

/// Serves so many connections one after the other, each of which echoes so many messages.
pub(crate) async fn walk(module: &Path, connections: usize, rounds: usize) -> Result<()> {
    let loader = Loader::new(Engine::new(1)?, Compiler::InProcess)?;
    let config = Config::from_flags(module, &[("listen", "127.0.0.1:0"), ("cache", "off")])?;
    let handler = loader.load(&config.handlers[0], 1, &Loading::of(&config.server));
    let handler = Arc::new(handler.with_context(|| module.display().to_string())?);
    let (server, listener) = (&config.server, &config.listeners[0]);
    let route = Route::new(server, listener, handler, Opening::Plaintext, Arc::default());
    let route = Arc::new(route);
    for _ in 0..connections {
        let (pipe, client) = Pipe::new(ROOM, None);
        let serving = tokio::spawn(serve(Arc::clone(&route), pipe));
        converse(&client, rounds).await?;
        serving.await??;
    }
    Ok(())
}

async fn serve(route: Arc<Route>, pipe: Pipe) -> Result<()> {
    let account = Arc::new(Account::new(1));
    let placement = Arc::clone(&route.placement);
    let connection = Connection::new(Socket::Pipe(pipe), account, placement);
    let run = instance::run(&route.handler, connection, route.limits, |_| (), None);
    let Ended { connection, exit, .. } = run.await;
    ensure!(exit == Exit::Ok, "the instance ended as {exit}");
    connection.end(exit.closing()).await;
    Ok(())
}

async fn converse(client: &PipeClient, rounds: usize) -> Result<()> {
    let message = [b'x'; MESSAGE];
    let mut echo = Vec::with_capacity(MESSAGE);
    for _ in 0..rounds {
        echo.clear();
        client.send(&message);
        while echo.len() < MESSAGE {
            let received =
                poll_fn(|cx| client.poll_receive(cx, MESSAGE - echo.len(), &mut echo)).await;
            ensure!(matches!(received, Received::Bytes(_)), "{received:?} instead of an echo");
        }
        ensure!(echo == message, "the echo differs from what was sent");
    }
    client.end();
    let end = poll_fn(|cx| client.poll_receive(cx, 1, &mut echo)).await;
    ensure!(end == Received::End, "{end:?} instead of the end");
    Ok(())
}
