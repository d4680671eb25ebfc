//! The server's side of a handshake, up to a stream that gives plaintext.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::task::Poll;

use rustls::server::Acceptor;
use rustls::{InvalidMessage, ServerConfig, ServerConnection};

use super::wire::{AtOnce, Polled, Waiting};
use super::{Secured, Session, Socket, Tls};
use crate::text::printable;

/// The alert `unrecognized_name` (RFC 6066, section 3), fatal, as a record in plaintext: rustls
/// sends only what it finds wrong itself.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What a client's first message leads to.
#[derive(Debug)]
pub struct Selected<T> {
    /// The certificate to show, and the rest.
    pub config: Arc<ServerConfig>,
    /// The end of the transport is the end of the stream, also without `close_notify`.
    pub eof_is_end: bool,
    /// Whatever whoever selects wants to know afterwards.
    pub then: T,
}

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
    #[error("there is no certificate for {}", shown(.0.as_deref()))]
    UnknownName(Option<String>),
}

/// Does the handshake on a plain stream. `select` is called once, when the peer's first message is
/// there as a whole, with the server name in it; with `None` the peer is told that its name is not
/// known.
///
/// Waits for the peer without a bound of its own; dropped while it waits, it closes the stream.
/// After an error the peer has been sent the alert, if there is one, and the stream is still open.
pub async fn accept<T>(
    mut socket: Socket,
    select: impl FnOnce(Option<&str>) -> Option<Selected<T>>,
) -> Result<(Socket, T), (Socket, HandshakeError)> {
    match handshake(&mut socket, select).await {
        Ok((tls, selected, then)) => {
            let secured = Arc::new(Secured::of(&tls));
            let session = Session::new(tls, selected);
            Ok((Socket::Tls(Box::new(Tls::new(socket, session, secured))), then))
        }
        Err(error) => Err((socket, error)),
    }
}

async fn handshake<T>(
    socket: &mut Socket,
    select: impl FnOnce(Option<&str>) -> Option<Selected<T>>,
) -> Result<(ServerConnection, bool, T), HandshakeError> {
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
    let name = accepted.client_hello().server_name().map(str::to_owned);
    let Some(Selected { config, eof_is_end, then }) = select(name.as_deref()) else {
        let _ = AtOnce(socket).write(&UNRECOGNIZED_NAME);
        return Err(HandshakeError::UnknownName(name));
    };
    let mut tls = accepted.into_connection(config).map_err(|(error, mut alert)| {
        let _ = alert.write_all(&mut AtOnce(socket));
        error
    })?;
    loop {
        send(socket, &mut tls).await?;
        if !tls.is_handshaking() {
            return Ok((tls, eof_is_end, then));
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

fn shown(name: Option<&str>) -> String {
    name.map_or_else(
        || "a client that asks for no name".into(),
        |name| format!("`{}`", printable(name)),
    )
}
