//! What a guest sees of records: nothing but plaintext, the end, and errors.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream as Client};
use std::time::Duration;

use portcell_abi::{Errno, poll as bits};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tokio::net::TcpListener;

use super::*;
use crate::account::Account;
use crate::config::Truncation;
use crate::connection::{Connection, Direction, Placement};
use crate::tls::Selected;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// The client's end, and the guest's.
struct Pair {
    tls: ClientConnection,
    client: Client,
    connection: Connection,
}

impl Pair {
    async fn connect() -> Self {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handshake = tokio::task::spawn_blocking(move || {
            let name = ServerName::try_from("localhost").unwrap();
            let mut tls = ClientConnection::new(client, name).unwrap();
            let mut client = Client::connect(address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            while tls.is_handshaking() {
                tls.complete_io(&mut client).unwrap();
            }
            (tls, client)
        });
        let (stream, peer) = listener.accept().await.unwrap();
        let select = |_: Option<&str>| Ok(Selected { server, handler: None });
        let accepted = accept(Socket::Tcp(stream, peer), Truncation::Error, select).await;
        let (socket, _) = accepted.map_err(|(_, error)| error).unwrap();
        let placement = Arc::new(Placement {
            listener: "test".into(),
            handler: "test".into(),
            version: 1,
            tenant: "test".into(),
            memory: 0,
            cpu: None,
            idle_timeout: None,
        });
        let (tls, client) = handshake.await.unwrap();
        let connection = Connection::new(socket, Arc::new(Account::new(1)), placement);
        Self { tls, client, connection }
    }

    /// The records that there are to send.
    fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plaintext).unwrap();
        self.records()
    }

    /// Sends `bytes`, and waits until the kernel has them at the guest's end. Nothing else is there.
    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).unwrap();
        let socket = self.connection.link.socket().unwrap();
        let Socket::Tls(tls) = socket else { panic!("it is TLS") };
        loop {
            let wire = tls.wire();
            let mut there = vec![0; bytes.len()];
            let Socket::Tcp(stream, _) = wire else { panic!("it is TCP") };
            if stream.peek(&mut there).await.unwrap() == bytes.len() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn events(&mut self) -> u16 {
        self.connection.poll(bits::READABLE | bits::WRITABLE, AT_ONCE).await
    }
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

#[tokio::test]
async fn part_of_a_record_is_not_readable_and_the_rest_of_one_is() {
    let mut pair = Pair::connect().await;
    let record = pair.encrypt(b"hello");
    pair.send(&record[..9]).await;
    assert_eq!(pair.events().await, bits::WRITABLE);
    pair.connection.set_timeout(Direction::Read, AT_ONCE).unwrap();
    let mut buf = [0; 3];
    assert_eq!(pair.connection.read(&mut buf).await, Err(Errno::Again));
    pair.send(&record[9..]).await;
    assert_eq!(pair.events().await, bits::WRITABLE | bits::READABLE);
    assert_eq!(pair.connection.read(&mut buf).await, Ok(3));
    // The kernel has nothing any more.
    assert_eq!(pair.connection.poll(bits::READABLE, None).await, bits::READABLE);
    assert_eq!(pair.connection.read(&mut buf).await, Ok(2));
    assert_eq!(pair.events().await, bits::WRITABLE);
    assert_eq!(pair.connection.account().bytes_in(), 5);
}

#[tokio::test]
async fn records_without_plaintext_are_dealt_with_and_not_seen() {
    let mut pair = Pair::connect().await;
    pair.tls.refresh_traffic_keys().unwrap();
    let update = pair.records();
    pair.send(&update).await;
    assert_eq!(pair.events().await, bits::WRITABLE);
    let records = pair.encrypt(b"x");
    pair.send(&records).await;
    let mut buf = [0; 3];
    assert_eq!(pair.connection.read(&mut buf).await, Ok(1));
    assert_eq!(pair.connection.write(b"yes").await, Ok(3));
    pair.tls.complete_io(&mut pair.client).unwrap();
    pair.tls.reader().read_exact(&mut buf).unwrap();
    assert_eq!(buf, *b"yes");
}

#[tokio::test]
async fn a_goodbye_is_the_end_and_writing_goes_on() {
    let mut pair = Pair::connect().await;
    pair.tls.send_close_notify();
    let goodbye = pair.records();
    pair.send(&goodbye).await;
    assert_eq!(pair.events().await, bits::WRITABLE | bits::READABLE);
    assert_eq!(pair.connection.read(&mut [0; 3]).await, Ok(0));
    assert_eq!(pair.connection.write(b"more").await, Ok(4));
    pair.connection.shutdown(crate::connection::Shutdown::Write).unwrap();
    pair.connection.flush();
    let mut rest = Vec::new();
    let mut client = rustls::Stream::new(&mut pair.tls, &mut pair.client);
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"more");
}

#[tokio::test]
async fn an_end_without_a_goodbye_is_an_error_that_stays() {
    let mut pair = Pair::connect().await;
    let record = pair.encrypt(b"hello");
    pair.send(&record).await;
    pair.client.shutdown(Shutdown::Write).unwrap();
    let mut buf = [0; 8];
    assert_eq!(pair.connection.read(&mut buf).await, Ok(5));
    for _ in 0..2 {
        assert_eq!(pair.connection.read(&mut buf).await, Err(Errno::ConnAborted));
    }
    assert_ne!(pair.events().await & bits::FAILED, 0);
    assert!(!pair.connection.is_broken(), "the guest judges it");
}

#[tokio::test]
async fn a_forged_record_breaks_the_connection() {
    let mut pair = Pair::connect().await;
    let mut record = pair.encrypt(b"hello");
    *record.last_mut().unwrap() ^= 1;
    pair.send(&record).await;
    assert_eq!(pair.connection.read(&mut [0; 8]).await, Err(Errno::ConnReset));
    assert!(pair.connection.is_broken());
    let error = pair.tls.complete_io(&mut pair.client).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
}

#[tokio::test]
async fn writes_that_may_not_wait_give_all_that_they_took() {
    let mut pair = Pair::connect().await;
    pair.connection.set_timeout(Direction::Write, AT_ONCE).unwrap();
    let chunk = vec![b'x'; 50_000];
    let mut taken = 0;
    loop {
        match pair.connection.write(&chunk).await {
            Ok(n) => taken += n,
            Err(errno) => break assert_eq!(errno, Errno::Again),
        }
    }
    assert_eq!(pair.events().await, 0);
    let Pair { mut tls, mut client, mut connection } = pair;
    let reads = tokio::task::spawn_blocking(move || {
        let mut got = vec![0; taken + 1];
        rustls::Stream::new(&mut tls, &mut client).read_exact(&mut got).unwrap();
        got
    });
    assert_eq!(connection.poll(bits::WRITABLE, None).await, bits::WRITABLE);
    assert_eq!(connection.write(b"y").await, Ok(1));
    // What is left goes out beside any wait.
    tokio::select! {
        () = connection.sleep(None) => {}
        got = reads => assert!(got.unwrap().ends_with(b"xy")),
    }
}
