//! How long it takes to make an instance: store, memory and tables from the pool, start function. In
//! this process, without sockets of a network: the module is compiled, and its slots are warm.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use portcell::account::Account;
use portcell::admission::Opening;
use portcell::connection::{Connection, Socket};
use portcell::engine::Engine;
use portcell::exit::Exit;
use portcell::handler::{Loader, Loading};
use portcell::instance::{self, Ended};
use portcell::route::Route;
use portcell::{Compiler, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixStream;

/// The subcommand.
pub(crate) const INSTANCES: &str = "instances";

const MINIMUM: &str = include_str!("../guests/minimum.wat");

/// Places in the pool.
const POOL: u32 = 64;

/// Instances that are made before those that are measured.
const WARM: usize = 2_000;

/// What is known of one module.
struct Measured {
    name: &'static str,
    /// From its file to a handler that can serve, compiling included.
    compiled: Duration,
    /// The same with what the cache on disk has of it.
    cached: Duration,
    /// From nothing to an instance, ascending.
    made: Vec<Duration>,
}

/// Makes `count` instances of the smallest guest and of `plugin`, one after the other, and prints
/// how long that took.
pub(crate) async fn measure(plugin: &Path, count: usize, json: bool) -> Result<()> {
    let folder = TempDir::with_prefix("portcell-benches-")?;
    let minimum = folder.path().join("minimum.wasm");
    std::fs::write(&minimum, wat::parse_str(MINIMUM)?)?;
    let loader = Loader::new(Engine::new(POOL)?, Compiler::InProcess)?;
    let modules: [(&'static str, PathBuf); 2] =
        [("minimum", minimum), ("plugin", plugin.to_owned())];
    let mut all = Vec::new();
    for (name, module) in modules {
        writeln!(io::stderr(), "{count} instances of {name}")?;
        all.push(of_module(&loader, name, &module, count).await?);
    }
    let out = if json { format!("{:#}\n", as_json(&all)) } else { table(&all) };
    write!(io::stdout(), "{out}")?;
    Ok(())
}

async fn of_module(
    loader: &Loader,
    name: &'static str,
    module: &Path,
    count: usize,
) -> Result<Measured> {
    let cache = TempDir::with_prefix("portcell-benches-")?;
    let cache = cache.path().to_str().context("a path that is no text")?;
    let config = Config::from_flags(module, &[("listen", "127.0.0.1:0"), ("cache", cache)])?;
    let loading = Loading::of(&config.server);
    let load = || {
        let begun = Instant::now();
        let handler = loader.load(&config.handlers[0], 1, &loading);
        let handler = handler.with_context(|| module.display().to_string())?;
        anyhow::Ok((handler, begun.elapsed()))
    };
    let (_, compiled) = load()?;
    let (handler, cached) = load()?;
    let listener = &config.listeners[0];
    let route =
        Route::new(&config.server, listener, Arc::new(handler), Opening::Plaintext, Arc::default());
    for _ in 0..WARM {
        make(&route).await?;
    }
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        made.push(make(&route).await?);
    }
    made.sort_unstable();
    Ok(Measured { name, compiled, cached, made })
}

/// Makes one for a peer that has left, so that it ends at once; how long that took.
async fn make(route: &Route) -> Result<Duration> {
    let (peer, socket) = UnixStream::pair()?;
    drop(peer);
    let account = Arc::new(Account::new(1));
    let placement = Arc::clone(&route.placement);
    let connection = Connection::new(Socket::Unix(socket), account, placement);
    let mut made = None;
    let begun = Instant::now();
    let run = instance::run(
        &route.handler,
        connection,
        route.limits,
        |_| made = Some(begun.elapsed()),
        None,
    );
    let Ended { connection, exit, .. } = run.await;
    ensure!(matches!(exit, Exit::Ok | Exit::PeerReset), "the instance ended as {exit}");
    connection.end(exit.closing()).await;
    made.context("there was no instance")
}

fn percentile(ascending: &[Duration], hundredth: usize) -> f64 {
    let at = (ascending.len() * hundredth).div_ceil(100).max(1) - 1;
    ascending.get(at).map_or(f64::NAN, Duration::as_secs_f64) * 1e6
}

fn table(all: &[Measured]) -> String {
    let mut out = "an instance made, in us; its module loaded before, in ms\n\
                   \x20              p50      p99  compiled  from the cache\n"
        .to_owned();
    for Measured { name, compiled, cached, made } in all {
        let (half, most) = (percentile(made, 50), percentile(made, 99));
        let [compiled, cached] = [compiled, cached].map(|time| time.as_secs_f64() * 1e3);
        let _ = writeln!(out, "{name:<9} {half:8.1} {most:8.1} {compiled:9.1} {cached:15.2}");
    }
    out
}

fn as_json(all: &[Measured]) -> Value {
    let of_module = |Measured { name, compiled, cached, made }: &Measured| {
        json!({
            "module": name,
            "p50_us": percentile(made, 50),
            "p99_us": percentile(made, 99),
            "compiled_ms": compiled.as_secs_f64() * 1e3,
            "cached_ms": cached.as_secs_f64() * 1e3,
            "instances": made.len(),
        })
    };
    all.iter().map(of_module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_instance_is_made_each_time() {
        let folder = TempDir::new().unwrap();
        let module = folder.path().join("minimum.wasm");
        std::fs::write(&module, wat::parse_str(MINIMUM).unwrap()).unwrap();
        let loader = Loader::new(Engine::new(4).unwrap(), Compiler::InProcess).unwrap();
        let measured = of_module(&loader, "minimum", &module, 10).await.unwrap();
        assert_eq!(measured.made.len(), 10);
        assert!(measured.made.is_sorted() && measured.made[0] > Duration::ZERO);
    }

    #[test]
    fn percentiles_are_of_instances_that_were_made() {
        let made: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert!((percentile(&made, 50) - 100.0).abs() < 1e-6);
        assert!((percentile(&made, 99) - 198.0).abs() < 1e-6);
        let [compiled, cached] = [3, 2].map(Duration::from_millis);
        let measured = [Measured { name: "x", compiled, cached, made }];
        let row = "x            100.0    198.0       3.0            2.00";
        assert!(table(&measured).contains(row), "{}", table(&measured));
        assert_eq!(as_json(&measured)[0]["instances"], 200);
    }
}
