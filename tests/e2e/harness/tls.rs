//! A client that speaks TLS, and does not wait for ever.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;

/// One connection, whose handshake is done.
pub(crate) struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Connects to 127.0.0.1 and asks for `name`.
    pub(crate) fn connect(port: u16, config: &Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        Self::on(TcpStream::connect(("127.0.0.1", port))?, config, name)
    }

    /// Does the handshake on a connection.
    pub(crate) fn on(
        mut stream: TcpStream,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(tls, stream)))
    }

    pub(crate) fn session(&mut self) -> &mut ClientConnection {
        &mut self.0.conn
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
        self.0.flush().unwrap();
    }

    /// Waits for this many bytes, as text.
    pub(crate) fn receive(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Sends a line and gives the answer, without its end.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.try_ask(line).unwrap()
    }

    /// The same, or what is wrong: with TLS 1.3 a client hears only then that it is not let in.
    pub(crate) fn try_ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.0, "{line}")?;
        self.0.flush()?;
        let mut answer = Vec::new();
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            match byte {
                [b'\n'] => return Ok(String::from_utf8(answer).unwrap()),
                [byte] => answer.push(byte),
            }
        }
    }

    /// Sends a byte, and checks that it comes back.
    pub(crate) fn is_echoed(&mut self) {
        self.send("x");
        assert_eq!(self.receive(1), "x");
    }

    /// Says goodbye to the server, and reads on.
    pub(crate) fn end(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().unwrap();
    }

    /// Ends the transport without saying goodbye.
    pub(crate) fn truncate(&mut self) {
        self.0.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for the server's goodbye; gives what came before it, or the error that came instead.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).map(|_| bytes)
    }
}
