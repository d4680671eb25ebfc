//! The server's side of a handshake, up to a stream that gives plaintext.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::task::Poll;

use rustls::server::Acceptor;
use rustls::{InvalidMessage, ServerConnection};

use super::wire::{AtOnce, Polled, Waiting};
use super::{Secured, Session, Socket, Tls};
use crate::config::Truncation;
use crate::tls::{Selected, UnknownName};

/// Why a handshake has failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer has ended the connection.
    #[error("the client has left")]
    Left,
    /// The transport failed.
    #[error("{0}")]
    Transport(#[from] io::Error),
    /// What the peer sends is no TLS: most often its plaintext.
    #[error("this is not TLS")]
    NotTls,
    /// Both cannot agree, or one of them breaks the rules; an alert was sent or has come.
    #[error("{0}")]
    Protocol(rustls::Error),
    /// There is no certificate for the name that the peer asks for.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
}

/// Does the handshake on a plain stream. `select` is called once, when the peer's first message is
/// there as a whole, with the server name in it. Gives the stream, and the handler of that name.
///
/// Waits for the peer without a bound of its own; dropped while it waits, it closes the stream.
/// After an error the peer has been sent the alert, if there is one, and the stream is still open.
pub async fn accept(
    mut socket: Socket,
    truncation: Truncation,
    select: impl FnOnce(Option<&str>) -> Result<Selected, UnknownName>,
) -> Result<(Socket, Option<Arc<str>>), (Socket, HandshakeError)> {
    match handshake(&mut socket, select).await {
        Ok((tls, handler)) => {
            let secured = Arc::new(Secured::of(&tls));
            let session = Session::new(tls, truncation == Truncation::Eof);
            Ok((Socket::Tls(Box::new(Tls::new(socket, session, secured))), handler))
        }
        Err(error) => Err((socket, error)),
    }
}

async fn handshake(
    socket: &mut Socket,
    select: impl FnOnce(Option<&str>) -> Result<Selected, UnknownName>,
) -> Result<(ServerConnection, Option<Arc<str>>), HandshakeError> {
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        if receive(socket, |wire| acceptor.read_tls(wire)).await? == 0 {
            return Err(HandshakeError::Left);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) => {}
            Err((error, mut alert)) => {
                // It fits: nothing has been sent before. A peer that is gone misses nothing.
                let _ = alert.write_all(&mut AtOnce(socket));
                return Err(error.into());
            }
        }
    };
    let selected = select(accepted.client_hello().server_name());
    let Selected { server, handler } = selected.inspect_err(|_| {
        // rustls sends only what it finds wrong itself.
        let _ = AtOnce(socket).write(&UnknownName::ALERT);
    })?;
    let mut tls = accepted.into_connection(server).map_err(|(error, mut alert)| {
        let _ = alert.write_all(&mut AtOnce(socket));
        error
    })?;
    loop {
        send(socket, &mut tls).await?;
        if !tls.is_handshaking() {
            return Ok((tls, handler));
        }
        if receive(socket, |wire| tls.read_tls(wire)).await? == 0 {
            return Err(HandshakeError::Left);
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert.
            let _ = tls.write_tls(&mut AtOnce(socket));
            return Err(error.into());
        }
    }
}

/// Waits until `read` has read from the socket.
async fn receive(
    socket: &mut Socket,
    mut read: impl FnMut(&mut Polled<'_, '_, '_>) -> io::Result<usize>,
) -> io::Result<usize> {
    poll_fn(|cx| match read(&mut Polled { socket, cx }) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        read => Poll::Ready(read),
    })
    .await
}

/// Waits until all that is to be sent is taken.
async fn send(socket: &Socket, tls: &mut ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        poll_fn(|cx| match tls.write_tls(&mut Waiting { socket, cx }) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            written => Poll::Ready(written),
        })
        .await?;
    }
    Ok(())
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            error => Self::Protocol(error),
        }
    }
}
