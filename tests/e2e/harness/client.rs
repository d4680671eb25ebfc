//! A TCP or Unix client that does not wait for ever.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{A_MOMENT, PATIENCE};

/// One connection.
#[derive(Debug)]
pub(crate) struct Client(Socket);

impl Client {
    pub(crate) fn connect(address: impl ToSocketAddrs + Debug) -> Self {
        match TcpStream::connect(&address) {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                Self::new(stream.into())
            }
            Err(error) => panic!("{address:?}: {error}"),
        }
    }

    pub(crate) fn connect_unix(path: &Path) -> Self {
        Self::new(UnixStream::connect(path).unwrap().into())
    }

    /// Connects to an address as listeners have it. Does not wait for a kernel that does not
    /// answer.
    pub(crate) fn try_connect(address: &str) -> io::Result<Self> {
        let (address, domain) = match address.split_once(':').unwrap() {
            ("tcp", address) => {
                let address: SocketAddr = address.trim_start_matches('/').parse().unwrap();
                (address.into(), Domain::for_address(address))
            }
            // A first byte of 0 makes a name abstract.
            (_, path) => match path.strip_prefix('@') {
                Some(name) => (SockAddr::unix(format!("\0{name}"))?, Domain::UNIX),
                None => (SockAddr::unix(path)?, Domain::UNIX),
            },
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        // It bounds the call, too.
        socket.set_write_timeout(Some(A_MOMENT))?;
        socket.connect(&address)?;
        Ok(Self::new(socket))
    }

    fn new(socket: Socket) -> Self {
        let client = Self(socket);
        client.be_patient(PATIENCE);
        client
    }

    fn be_patient(&self, patience: Duration) {
        self.0.set_read_timeout(Some(patience)).unwrap();
        self.0.set_write_timeout(Some(patience)).unwrap();
    }

    /// The connection's own end, as the server sees it.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().as_socket().unwrap().to_string()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends until the server takes no more of it and ends the connection.
    pub(crate) fn flood(&mut self) {
        let bytes = vec![b'x'; 1 << 16];
        while self.0.write_all(&bytes).is_ok() {}
    }

    /// Ends this side, unless the server has reset the connection already.
    pub(crate) fn end(&mut self) {
        if let Err(error) = self.0.shutdown(Shutdown::Write) {
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
        }
    }

    /// Waits for this many bytes, as text.
    pub(crate) fn receive(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Waits for a line, and gives it without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            match byte {
                [b'\n'] => return String::from_utf8(line).unwrap(),
                [byte] => line.push(byte),
            }
        }
    }

    /// Waits for the server's end of the stream; gives what came before it, or the error that
    /// came instead.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Sends a line and gives the answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// Sends a byte, and checks that it comes back.
    pub(crate) fn is_echoed(&mut self) {
        self.send("x");
        assert_eq!(self.receive(1), "x");
    }

    /// Whether nothing comes for a moment.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.be_patient(A_MOMENT);
        let read = self.0.read(&mut [0]);
        self.be_patient(PATIENCE);
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Checks that the server ends the stream in good order, after nothing more.
    pub(crate) fn ends_in_good_order(&mut self) {
        assert_eq!(self.rest().unwrap(), b"");
    }

    /// Ends this side, and checks that the server ends the stream in good order.
    pub(crate) fn leaves(mut self) {
        self.end();
        self.ends_in_good_order();
    }

    /// Checks that the server resets the connection.
    pub(crate) fn is_reset(&mut self) {
        assert_eq!(self.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    /// Breaks the connection: the server sees a reset.
    pub(crate) fn reset(self) {
        self.0.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
