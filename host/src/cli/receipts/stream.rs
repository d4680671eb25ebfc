//! The receipts of a running server as they come, read as a file is.

use std::io::{self, Read};

use anyhow::Context as _;
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::cli::steer::{self, Server};

/// The bytes of `/v1/receipts`; their end is that of the server, or Ctrl-C.
pub(super) struct Stream {
    runtime: Runtime,
    body: Incoming,
    interrupt: Signal,
    /// What has come and is not read yet.
    come: Bytes,
    end: Option<End>,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server has ended in good order.
    Server,
    /// Somebody does not want more.
    Interrupt,
}

impl Stream {
    /// Follows from now on.
    pub(super) fn of(server: &Server) -> Result<Self, Failure> {
        let runtime = steer::runtime()?;
        let body = runtime.block_on(server.stream("/v1/receipts"))?;
        let interrupt = {
            let _inside = runtime.enter();
            signal(SignalKind::interrupt())
        };
        let interrupt = interrupt.context("cannot listen for signals").map_err(Failure::Failed)?;
        Ok(Self { runtime, body, interrupt, come: Bytes::new(), end: None })
    }

    /// Why it has ended, if it has.
    pub(super) const fn end(&self) -> Option<End> {
        self.end
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.come.is_empty() && self.end.is_none() {
            let Self { runtime, body, interrupt, .. } = self;
            let frame = runtime.block_on(async {
                tokio::select! {
                    frame = body.frame() => frame.ok_or(End::Server),
                    _ = interrupt.recv() => Err(End::Interrupt),
                }
            });
            match frame {
                Ok(frame) => {
                    let gone = |error| format!("the server has gone: {error}");
                    let frame = frame.map_err(|error| io::Error::other(gone(error)))?;
                    self.come = frame.into_data().unwrap_or_default();
                }
                Err(end) => self.end = Some(end),
            }
        }
        let length = buffer.len().min(self.come.len());
        self.come.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
