//! A running server: where it is found, and what it answers.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, anyhow};
use bytes::Bytes;
use clap::ArgMatches;
use clap::parser::ValueSource;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use portcell::address::{Address, Host};
use portcell::admin::Token;
use portcell::config::{AdminConfig, Config};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Failure;

/// The configuration that says where a server is.
const CONFIG: &str = "portcell.toml";

/// Where it is without one.
const SOCKET: &str = "portcell.sock";

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// The server that a command talks to.
pub(in crate::cli) struct Server {
    address: Address,
    token: Option<Token>,
    /// Who says that it is there.
    found: String,
}

impl Server {
    /// The server that was typed, or the one that belongs to this folder.
    pub(in crate::cli) fn find(matches: &ArgMatches) -> Result<Self, Failure> {
        Self::find_by(matches, Path::new(CONFIG))
    }

    /// The server that was typed, or the one of this configuration.
    pub(in crate::cli) fn find_by(matches: &ArgMatches, config: &Path) -> Result<Self, Failure> {
        let shown = config.display().to_string();
        let usage = |error: Error| Failure::Usage(error);
        let typed_token = matches.get_one::<PathBuf>("admin-token");
        let (admin, found) = if let Some(typed) = matches.get_one::<String>("admin") {
            let is_typed = matches.value_source("admin") == Some(ValueSource::CommandLine);
            let found = if is_typed { "--admin" } else { "PORTCELL_ADMIN" };
            let address = typed.parse::<Address>();
            let address = address.map_err(|error| usage(anyhow!("{found}: {error}")))?;
            (AdminConfig { address, token: None, is_written: true }, found)
        } else if config.exists() {
            let admin = Config::read_admin(config);
            let admin = admin.map_err(|errors| usage(errors.into()))?.ok_or_else(|| {
                Failure::Failed(anyhow!("{shown}: `admin` is off: its server cannot be asked"))
            })?;
            (admin, &*shown)
        } else {
            let address = Address::Unix(SOCKET.into());
            let admin = AdminConfig { address, token: None, is_written: false };
            (admin, "no portcell.toml is here")
        };
        let token = typed_token.or(admin.token.as_ref()).map(|file| Token::read(file));
        let token = token.transpose().map_err(|error| usage(error.into()))?;
        Ok(Self { address: admin.address, token, found: found.to_owned() })
    }

    /// What is at `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, None, super::MOMENT).await
    }

    /// The answer to a request; it may take so long.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        bound: Option<Duration>,
    ) -> Result<Value, Failure> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.answer(self.open(method, path, body), bound).await
    }

    /// The answer to a configuration.
    pub(super) async fn send(&self, path: &str, config: Vec<u8>) -> Result<Value, Failure> {
        let body = Some(("application/toml", Bytes::from(config)));
        self.answer(self.open("POST", path, body), super::MOMENT).await
    }

    /// What comes from `path` until the server ends.
    pub(in crate::cli) async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        let opened = async {
            let response = self.open("GET", path, None).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response.into_body());
            }
            self.whole(response).await.and(Err(self.no_portcell(status)))
        };
        timeout(super::ANSWER, opened).await.unwrap_or_else(|_| Err(self.late(super::ANSWER)))
    }

    async fn answer(
        &self,
        opened: impl Future<Output = Result<Response<Incoming>, Failure>>,
        bound: Option<Duration>,
    ) -> Result<Value, Failure> {
        let answer = async { self.whole(opened.await?).await };
        match bound {
            None => answer.await,
            Some(bound) => timeout(bound, answer).await.unwrap_or_else(|_| Err(self.late(bound))),
        }
    }

    fn late(&self, bound: Duration) -> Failure {
        let seconds = bound.as_secs();
        Failure::Failed(anyhow!("{}: no answer within {seconds} s", self.address))
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Value, Failure> {
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.broke(&error))?;
        let answer: Value =
            serde_json::from_slice(&body.to_bytes()).map_err(|_| self.no_portcell(status))?;
        self.accepted(status, answer)
    }

    /// Sends a request, and waits until the answer begins. The body is of a type.
    async fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "portcell");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.as_header());
        }
        if let Some((content_type, _)) = body {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request
            .body(Full::new(body.map(|(_, body)| body).unwrap_or_default()))
            .map_err(|error| Failure::Usage(anyhow!("{path}: {error}")))?;
        let connected = timeout(CONNECT, async {
            Ok(match &self.address {
                Address::Unix(path) => over(UnixStream::connect(path).await?).await,
                Address::Tcp { host, port } => {
                    let host = match host {
                        Host::Any => "127.0.0.1".to_owned(),
                        Host::Ip(ip) => ip.to_string(),
                        Host::Name(name) => name.clone(),
                    };
                    over(TcpStream::connect((host, *port)).await?).await
                }
                _ => return Err(io::Error::from(ErrorKind::Unsupported)),
            })
        });
        match connected.await {
            Ok(Ok(Ok(mut sender))) => {
                sender.send_request(request).await.map_err(|error| self.broke(&error))
            }
            Ok(Ok(Err(error))) => Err(self.broke(&error)),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&ErrorKind::TimedOut.into())),
        }
    }

    fn accepted(&self, status: StatusCode, answer: Value) -> Result<Value, Failure> {
        if status.is_success() {
            return Ok(answer);
        }
        let Some(said) = answer["error"].as_str() else { return Err(self.no_portcell(status)) };
        Err(match status {
            StatusCode::BAD_REQUEST => Failure::Usage(anyhow!("{said}")),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Failure::Failed(anyhow!(
                "{}: it asks for a token; name the file with it with --admin-token",
                self.address
            )),
            StatusCode::UNAUTHORIZED => {
                Failure::Failed(anyhow!("{}: the token is not that of the server", self.address))
            }
            _ => Failure::Failed(anyhow!("{said}")),
        })
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let Self { address, found, .. } = self;
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
            ErrorKind::TimedOut => "it does not answer".to_owned(),
            ErrorKind::PermissionDenied => {
                return Failure::Failed(anyhow!(
                    "{address} ({found}): you may not connect to this server; do it as the user \
                     that it runs as"
                ));
            }
            ErrorKind::Unsupported => {
                return Failure::Usage(anyhow!(
                    "{found}: {address} is no admin socket; write one like unix:portcell.sock or \
                     tcp://127.0.0.1:7070"
                ));
            }
            _ => error.to_string(),
        };
        Failure::Failed(anyhow!(
            "no server at {address} ({found}): {why}; start one, or say where it is with --admin \
             ADDRESS or PORTCELL_ADMIN"
        ))
    }

    fn broke(&self, error: &hyper::Error) -> Failure {
        // It was refused before it has asked.
        if error.is_canceled() || error.is_closed() {
            return Failure::Failed(anyhow!(
                "{}: the server has closed the connection: it ends, or has too many clients; try \
                 again",
                self.address
            ));
        }
        Failure::Failed(anyhow!(
            "{}: the server has gone before it answered: {error}",
            self.address
        ))
    }

    fn no_portcell(&self, status: StatusCode) -> Failure {
        Failure::Failed(anyhow!("{}: this is not portcell; it answers {status}", self.address))
    }
}

/// HTTP over a stream.
async fn over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
) -> hyper::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors are those of the answer.
    tokio::spawn(connection);
    Ok(sender)
}
