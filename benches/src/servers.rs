//! The servers under test: what each is, and how it is started. Every one is on a loopback port of
//! the kernel's choice.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::bare::SERVE_BARE;
use crate::http;
use crate::load::Over;
use crate::machine::Apart;
use crate::nginx;
use crate::running::Server;
use crate::scenarios::{Carrier, Scenario};
use crate::tls::Identity;

/// The subcommand of this program that is the plain tokio server.
pub(crate) const SERVE_TOKIO: &str = "serve-tokio";

/// Handlers of `portcell-many`.
const MANY: usize = 200;

/// What can be measured. All do the same job with a buffer of 16 KiB, but for the SDK's plugin and
/// asyncio, whose buffers are their own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Plain tokio, over TLS tokio-rustls; no sandbox.
    Tokio,
    /// The same for datagrams, received and sent many in a call, as portcell does.
    TokioBatched,
    /// Tokio and wasmtime with portcell's settings, a fresh instance of the smallest guest for each
    /// connection, and nothing else.
    Bare,
    /// portcell with the echo plugin, written in Rust with the SDK.
    PortcellSdk,
    /// portcell with the smallest guest.
    PortcellWat,
    /// portcell with the smallest guest that is a plain WASI program.
    PortcellInetd,
    /// portcell with the smallest guest as one of many handlers, each with a module of its own.
    PortcellMany,
    /// portcell with the echo plugin, which writes a receipt for each connection to a file.
    PortcellReceipts,
    /// gevent's `StreamServer`: what portcell takes the place of. It uses one processor.
    Gevent,
    /// Python's asyncio, with a protocol. It uses one processor.
    Asyncio,
    /// Go's net.
    Go,
    /// nginx's stream module, a proxy in front of `Tokio`.
    Nginx,
    /// portcell with the http plugin.
    PortcellHttp,
    /// `wasmtime serve` with a component that has one answer.
    WasmtimeServe,
}

impl Kind {
    /// All kinds and their names, in the order in which they are measured.
    pub(crate) const NAMES: [(&'static str, Self); 12] = [
        ("tokio", Self::Tokio),
        ("tokio-batched", Self::TokioBatched),
        ("bare", Self::Bare),
        ("portcell-sdk", Self::PortcellSdk),
        ("portcell-wat", Self::PortcellWat),
        ("portcell-inetd", Self::PortcellInetd),
        ("portcell-many", Self::PortcellMany),
        ("portcell-receipts", Self::PortcellReceipts),
        ("gevent", Self::Gevent),
        ("asyncio", Self::Asyncio),
        ("go", Self::Go),
        ("nginx", Self::Nginx),
    ];

    /// Those that speak HTTP.
    pub(crate) const HTTP: [(&'static str, Self); 2] =
        [("wasmtime-serve", Self::WasmtimeServe), ("portcell-http", Self::PortcellHttp)];

    /// Those that are measured by default: they need nothing to be installed.
    pub(crate) const USUAL: [&'static str; 4] =
        ["tokio", "portcell-sdk", "portcell-wat", "portcell-inetd"];

    /// Whether there is such a server over this.
    pub(crate) fn serves(self, carrier: Carrier) -> bool {
        match self {
            Self::Tokio
            | Self::PortcellSdk
            | Self::PortcellWat
            | Self::PortcellInetd
            | Self::PortcellReceipts => true,
            Self::TokioBatched => carrier == Carrier::Udp,
            _ => carrier == Carrier::Tcp,
        }
    }

    /// Whether a whole run has it in this scenario. Curves are of the few that they compare, and
    /// what many handlers or receipts cost is a matter of each connection.
    pub(crate) fn belongs_to(self, scenario: Scenario) -> bool {
        match self {
            Self::Tokio | Self::TokioBatched | Self::PortcellSdk | Self::Gevent | Self::Go => true,
            Self::Bare | Self::PortcellWat | Self::Nginx => scenario.is_usual(),
            Self::PortcellInetd | Self::Asyncio => {
                scenario.is_usual() && !matches!(scenario, Scenario::FirstByte(_))
            }
            Self::PortcellMany | Self::PortcellReceipts => {
                matches!(scenario, Scenario::Connect | Scenario::Idle)
            }
            Self::PortcellHttp | Self::WasmtimeServe => matches!(scenario, Scenario::Http(_)),
        }
    }

    /// What of `scripts/bench-peers` it needs, in `.toolchains/bench`.
    const fn installed(self) -> Option<&'static str> {
        match self {
            Self::Gevent => Some("gevent"),
            Self::Go => Some("echo-go"),
            Self::Nginx => Some(NGINX_MODULE),
            Self::WasmtimeServe => Some(WASMTIME),
            _ => None,
        }
    }

    fn is_portcell(self) -> bool {
        use Kind::{Asyncio, Bare, Gevent, Go, Nginx, Tokio, TokioBatched, WasmtimeServe};
        ![Tokio, TokioBatched, Bare, Gevent, Asyncio, Go, Nginx, WasmtimeServe].contains(&self)
    }
}

/// Where the servers are, and what they need on disk.
pub(crate) struct Launcher {
    portcell: PathBuf,
    plugin: PathBuf,
    /// Holds the modules made from the texts in `guests/`, and the files of `identity`.
    folder: TempDir,
    identity: Identity,
    pub(crate) apart: Option<Apart>,
}

impl Launcher {
    /// Compiles guests that are text. Fails when one of `kinds` needs a file that is not there.
    pub(crate) fn new(
        portcell: PathBuf,
        plugin: PathBuf,
        kinds: &[Kind],
        apart: Option<Apart>,
    ) -> Result<Self> {
        ensure!(
            portcell.is_file() || !kinds.iter().any(|kind| kind.is_portcell()),
            "{} is not there: build it (cargo build --release -p portcell) or name it with --portcell",
            portcell.display()
        );
        ensure!(
            plugin.is_file() || !kinds.contains(&Kind::PortcellSdk),
            "{} is not there: build the plugins, name it with --plugin, or choose other --servers",
            plugin.display()
        );
        ensure!(
            http_plugin().is_file() || !kinds.contains(&Kind::PortcellHttp),
            "{} is not there: build the plugins",
            http_plugin().display()
        );
        for file in kinds.iter().filter_map(|kind| kind.installed()) {
            let file = peers(file);
            ensure!(
                file.exists(),
                "{} is not there: install it (scripts/bench-peers)",
                file.display()
            );
        }
        let folder = TempDir::with_prefix("portcell-benches-")?;
        for (name, text) in GUESTS {
            let module = wat::parse_str(text).with_context(|| format!("guest {name}"))?;
            std::fs::write(folder.path().join(name), module)?;
        }
        if kinds.contains(&Kind::WasmtimeServe) {
            std::fs::write(folder.path().join(COMPONENT), http::component()?)?;
        }
        if kinds.contains(&Kind::PortcellMany) {
            many(folder.path())?;
        }
        let identity = Identity::new(folder.path()).context("making a certificate")?;
        Ok(Self { portcell, plugin, folder, identity, apart })
    }

    /// Starts a server and waits until it says that it listens.
    pub(crate) async fn start(&self, kind: Kind, carrier: Carrier) -> Result<Server> {
        let in_folder = |name: &str| self.folder.path().join(name);
        let mut command = match kind {
            Kind::Tokio => tokio_echo(carrier)?,
            Kind::TokioBatched => {
                let mut command = tokio_echo(carrier)?;
                command.arg("--batched");
                command
            }
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(SERVE_BARE);
                command
            }
            Kind::Nginx => {
                let echo = Server::start(&mut tokio_echo(carrier)?, Over::Tcp, self.apart).await?;
                let (program, module) = (peers("nginx"), peers(NGINX_MODULE));
                let folder = self.folder.path();
                return nginx::start(&program, &module, folder, echo, self.apart).await;
            }
            Kind::PortcellSdk => self.portcell_run(&self.plugin, carrier),
            Kind::PortcellWat => self.portcell_run(&in_folder(MINIMUM), carrier),
            Kind::PortcellInetd => self.portcell_run(&in_folder(INETD), carrier),
            Kind::PortcellMany => {
                let mut command = Command::new(&self.portcell);
                command.arg("serve").arg(in_folder(MANY_CONFIG));
                command
            }
            Kind::PortcellReceipts => {
                let mut command = self.portcell_run(&self.plugin, carrier);
                command.arg("--receipts").arg(in_folder("receipts"));
                command
            }
            Kind::Gevent => {
                let mut command = python("gevent_echo.py");
                command.env("PYTHONPATH", peers("gevent"));
                command
            }
            Kind::PortcellHttp => self.portcell_run(&http_plugin(), carrier),
            Kind::WasmtimeServe => {
                let mut command = Command::new(peers(WASMTIME));
                command.args(["serve", "--addr", "127.0.0.1:0", "-C", "cache=n"]);
                command.arg(in_folder(COMPONENT));
                command
            }
            Kind::Asyncio => python("asyncio_echo.py"),
            Kind::Go => Command::new(peers("echo-go")),
        };
        let Identity { certificate, key, connector } = &self.identity;
        let over = match carrier {
            Carrier::Tcp => Over::Tcp,
            Carrier::Udp => Over::Udp,
            Carrier::Tls => {
                command.arg("--tls").args([certificate, key]);
                Over::Tls(connector.clone())
            }
        };
        Server::start(&mut command, over, self.apart).await
    }

    fn portcell_run(&self, module: &Path, carrier: Carrier) -> Command {
        let address =
            if carrier == Carrier::Udp { "udp://127.0.0.1:0" } else { "tcp://127.0.0.1:0" };
        let mut command = Command::new(&self.portcell);
        command.arg("run").arg(module).args(["--listen", address]);
        command
    }
}

fn tokio_echo(carrier: Carrier) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SERVE_TOKIO).args((carrier == Carrier::Udp).then_some("--udp"));
    Ok(command)
}

fn http_plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("plugins/http.wasm")
}

const COMPONENT: &str = "http.wasm";
const WASMTIME: &str = "wasmtime/wasmtime_cli/wasmtime";
const NGINX_MODULE: &str = "ngx_stream_module.so";

/// Where `scripts/bench-peers` installs.
fn peers(file: &str) -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.with_file_name(".toolchains").join("bench").join(file)
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script));
    command
}

const MANY_CONFIG: &str = "many.toml";

/// Writes the modules of `portcell-many`, which differ in a section that nobody reads, and its
/// configuration.
fn many(folder: &Path) -> Result<()> {
    let (_, minimum) = GUESTS[0];
    let mut config = String::new();
    for number in 0..MANY {
        let other = format!("(module (@custom \"number\" \"{number}\")");
        let module = wat::parse_str(minimum.replacen("(module", &other, 1))?;
        std::fs::write(folder.join(format!("h{number}.wasm")), module)?;
        let _ = write!(
            config,
            "[[listener]]\nname = \"l{number}\"\nbind = \"127.0.0.1:0\"\nhandler = \"h{number}\"\n\
             [handler.h{number}]\nmodule = \"h{number}.wasm\"\n"
        );
    }
    std::fs::write(folder.join(MANY_CONFIG), config)?;
    Ok(())
}

/// The smallest guest that can echo.
pub(crate) const MINIMUM_TEXT: &str = include_str!("../guests/minimum.wat");

const MINIMUM: &str = "minimum.wasm";
const INETD: &str = "inetd.wasm";
const GUESTS: [(&str, &str); 2] =
    [(MINIMUM, MINIMUM_TEXT), (INETD, include_str!("../guests/inetd.wat"))];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_are_wasm() {
        for (name, text) in GUESTS {
            wat::parse_str(text).expect(name);
        }
    }

    #[test]
    fn every_server_has_a_place_in_a_whole_run() {
        for (name, kind) in Kind::NAMES.into_iter().chain(Kind::HTTP) {
            let does = |&(_, scenario): &(&str, Scenario)| {
                kind.belongs_to(scenario) && kind.serves(scenario.carrier())
            };
            assert!(Scenario::NAMES.iter().chain(&Scenario::HTTP).any(does), "{name}");
        }
        assert!(!Kind::Gevent.serves(Carrier::Udp));
    }

    #[test]
    fn many_handlers_have_modules_of_their_own() {
        let folder = TempDir::new().unwrap();
        many(folder.path()).unwrap();
        let module = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_ne!(module("h0.wasm"), module("h199.wasm"));
    }

    #[test]
    fn a_missing_server_is_refused_before_anything_runs() {
        let launcher = |kinds: &[Kind]| Launcher::new("/nowhere".into(), "/x".into(), kinds, None);
        assert!(launcher(&[Kind::Tokio]).is_ok());
        let error = launcher(&[Kind::PortcellWat]).err().unwrap().to_string();
        assert!(error.starts_with("/nowhere is not there"), "{error}");
    }
}
