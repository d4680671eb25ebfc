//! The server's side of a handshake, up to a stream that gives plaintext.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::task::Poll;

use rustls::pki_types::UnixTime;
use rustls::server::{Accepted, Acceptor};
use rustls::{AlertDescription, HandshakeKind, InvalidMessage, ServerConfig, ServerConnection};

use super::wire::{AtOnce, Copied, Polled, Waiting};
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
    let (accepted, hello) = hello(socket).await?;
    let selected = select(accepted.client_hello().server_name()).inspect_err(|_| {
        // rustls sends only what it finds wrong itself.
        say_alert(socket, UnknownName::ALERT);
    })?;
    let mut tls = begin(socket, accepted, Arc::clone(&selected.server))?;
    let mut resumes = is_resumed(&tls);
    if resumes && check_client(&tls, &selected).is_err() {
        // Nothing is sent yet. It has to show its certificate again, and perhaps has a new one.
        tls = begin(socket, accept_again(&hello)?, selected.server_anew())?;
    }
    drop(hello);
    loop {
        send(socket, &mut tls).await?;
        if !tls.is_handshaking() {
            return Ok((tls, selected.handler));
        }
        if receive(socket, |wire| tls.read_tls(wire)).await? == 0 {
            return Err(HandshakeError::Left);
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert.
            let _ = tls.write_tls(&mut AtOnce(socket));
            return Err(error.into());
        }
        // A client that was asked for another key exchange resumes with its second message. That
        // cannot be begun anew.
        if !resumes && is_resumed(&tls) {
            resumes = true;
            check_client(&tls, &selected).inspect_err(|error| say_alert(socket, alert(error)))?;
        }
    }
}

/// The client's first message as a whole, and the bytes that came, which rustls bounds.
async fn hello(socket: &mut Socket) -> Result<(Accepted, Vec<u8>), HandshakeError> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    loop {
        if receive(socket, |wire| acceptor.read_tls(&mut Copied(wire, &mut bytes))).await? == 0 {
            return Err(HandshakeError::Left);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok((accepted, bytes)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                // It fits: nothing has been sent before. A peer that is gone misses nothing.
                let _ = alert.write_all(&mut AtOnce(socket));
                return Err(error.into());
            }
        }
    }
}

/// The same from bytes that it was in before.
fn accept_again(mut bytes: &[u8]) -> Result<Accepted, HandshakeError> {
    let mut acceptor = Acceptor::default();
    // Not to its end, which would be that of the connection.
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes)?;
    }
    let accepted = acceptor.accept().map_err(|(error, _alert)| error)?;
    accepted.ok_or(HandshakeError::Left)
}

/// Answers the first message, as far as that is ready to be sent.
fn begin(
    socket: &Socket,
    accepted: Accepted,
    server: Arc<ServerConfig>,
) -> Result<ServerConnection, HandshakeError> {
    accepted.into_connection(server).map_err(|(error, mut alert)| {
        let _ = alert.write_all(&mut AtOnce(socket));
        error.into()
    })
}

fn is_resumed(tls: &ServerConnection) -> bool {
    tls.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Fails if the client of a session that is resumed would not be let in any more with what it has
/// shown when that began: rustls does not look at it again.
fn check_client(tls: &ServerConnection, selected: &Selected) -> Result<(), rustls::Error> {
    selected.check_resumed(tls.peer_certificates().unwrap_or_default(), UnixTime::now())
}

fn alert(error: &rustls::Error) -> [u8; 7] {
    let alert = match error {
        rustls::Error::InvalidCertificate(error) => AlertDescription::from(error.clone()),
        _ => AlertDescription::CertificateUnknown,
    };
    [21, 3, 3, 0, 2, 2, alert.into()]
}

/// Sends a record with a fatal alert in plaintext, which is what a client understands that has no
/// keys yet.
fn say_alert(socket: &Socket, record: [u8; 7]) {
    let _ = AtOnce(socket).write(&record);
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
