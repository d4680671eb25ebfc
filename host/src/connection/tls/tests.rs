//! What a guest sees of records: nothing but plaintext, the end, and errors.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream as Client};
use std::time::Duration;

use portcell_abi::{Errno, poll as bits};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, NamedGroup, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};
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
        let clients = WebPkiClientVerifier::no_client_auth();
        Self::connect_as(client, Selected { server, clients, handler: None }).await
    }

    async fn connect_as(config: Arc<ClientConfig>, selected: Selected) -> Self {
        let (socket, client) = shake(config, selected).await;
        let (tls, client) = client.unwrap();
        let placement = Arc::new(Placement {
            listener: "test".into(),
            handler: "test".into(),
            version: 1,
            digest: "test".into(),
            tenant: "test".into(),
            memory: 0,
            cpu: None,
            idle_timeout: None,
        });
        let connection = Connection::new(socket.unwrap(), Arc::new(Account::new(1)), placement);
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

/// A handshake, and what each end makes of it.
async fn shake(
    config: Arc<ClientConfig>,
    selected: Selected,
) -> (Result<Socket, HandshakeError>, io::Result<(ClientConnection, Client)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::task::spawn_blocking(move || {
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(config, name).unwrap();
        let mut client = Client::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut client)?;
        }
        Ok((tls, client))
    });
    let (stream, peer) = listener.accept().await.unwrap();
    let select = |_: Option<&str>| Ok(selected);
    let accepted = accept(Socket::Tcp(stream, peer), Truncation::Error, select).await;
    let socket = accepted.map(|(socket, _)| socket).map_err(|(_, error)| error);
    (socket, client.await.unwrap())
}

/// Somebody's certificate, and who lets in those who show it.
fn client_certificate() -> (CertifiedKey<KeyPair>, Arc<dyn ClientCertVerifier>) {
    let own = generate_simple_self_signed(["client".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    (own, verifier.build().unwrap())
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

/// Servers that let in who shows a certificate of theirs, and a client with such a certificate.
struct Known {
    server: ServerConfig,
    clients: Arc<dyn ClientCertVerifier>,
    client: Arc<ClientConfig>,
}

impl Known {
    fn with(version: &'static SupportedProtocolVersion, ticketer: bool) -> Self {
        let (own, clients) = client_certificate();
        let (server, client) = configs();
        let provider = Arc::new(default_provider());
        let resolver = Arc::clone(&server.cert_resolver);
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_cert_resolver(resolver);
        if ticketer {
            server.ticketer = Ticketer::new().unwrap();
        }
        let mut client = ClientConfig::clone(&client);
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = rustls::sign::CertifiedKey::new(vec![own.cert.der().clone()], key);
        client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        Self { server, clients, client: Arc::new(client) }
    }

    /// The same server, which resumes sessions of `clients` only.
    fn selected(&self, clients: &Arc<dyn ClientCertVerifier>) -> Selected {
        let (server, clients) = (Arc::new(self.server.clone()), Arc::clone(clients));
        Selected { server, clients, handler: None }
    }

    /// Whether the client's session goes on.
    async fn resumes(&self, clients: &Arc<dyn ClientCertVerifier>) -> bool {
        let client = Arc::clone(&self.client);
        let mut pair = Pair::connect_as(client, self.selected(clients)).await;
        // Tickets come behind the handshake.
        assert_eq!(pair.connection.write(b"x").await, Ok(1));
        rustls::Stream::new(&mut pair.tls, &mut pair.client).read_exact(&mut [0]).unwrap();
        let secured = pair.connection.secured().unwrap();
        assert!(secured.peer().is_some());
        assert!(secured.version() == "1.2" || pair.tls.tls13_tickets_received() > 0);
        let resumed = Some(rustls::HandshakeKind::Resumed);
        assert_eq!(secured.resumed(), pair.tls.handshake_kind() == resumed);
        secured.resumed()
    }
}

#[tokio::test]
async fn who_resumes_a_session_has_a_certificate_that_is_still_good_or_begins_anew() {
    let (_, others) = client_certificate();
    for version in [&TLS12, &TLS13] {
        for ticketer in [true, false] {
            let known = Known::with(version, ticketer);
            assert!(!known.resumes(&known.clients).await);
            assert!(known.resumes(&known.clients).await, "{version:?} {ticketer}");
            assert!(!known.resumes(&others).await, "{version:?} {ticketer}");
            assert!(known.resumes(&known.clients).await, "the new session goes on");
        }
    }
}

#[tokio::test]
async fn who_resumes_with_a_second_hello_and_is_not_let_in_any_more_is_told_so() {
    let (_, others) = client_certificate();
    for is_good in [true, false] {
        let mut known = Known::with(&TLS13, true);
        assert!(!known.resumes(&known.clients).await);
        // The client goes on with the key exchange that it has used, and is asked for another.
        let mut provider = default_provider();
        provider.kx_groups.retain(|group| group.name() == NamedGroup::secp384r1);
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&known.clients))
            .with_cert_resolver(Arc::clone(&known.server.cert_resolver));
        server.ticketer = Arc::clone(&known.server.ticketer);
        known.server = server;
        if is_good {
            assert!(known.resumes(&known.clients).await);
            continue;
        }
        let selected = known.selected(&others);
        let (socket, client) = shake(Arc::clone(&known.client), selected).await;
        assert!(matches!(socket, Err(HandshakeError::Protocol(_))), "{socket:?}");
        let error = client.unwrap_err().to_string();
        assert!(error.starts_with("received fatal alert"), "{error}");
    }
}

#[tokio::test]
async fn all_that_came_before_an_error_can_be_read() {
    let mut pair = Pair::connect().await;
    let mut records = pair.encrypt(b"one");
    records.extend(pair.encrypt(b"two"));
    let mut forged = pair.encrypt(b"three");
    *forged.last_mut().unwrap() ^= 1;
    records.extend(forged);
    pair.send(&records).await;
    let mut buf = [0; 3];
    assert_eq!(pair.connection.read(&mut buf).await, Ok(3));
    assert_eq!((pair.connection.read(&mut buf).await, &buf), (Ok(3), b"two"));
    assert_eq!(pair.connection.read(&mut buf).await, Err(Errno::ConnReset));
}

#[tokio::test]
async fn behind_an_alert_the_transport_ends_all_the_same() {
    let mut pair = Pair::connect().await;
    let mut forged = pair.encrypt(b"hello");
    *forged.last_mut().unwrap() ^= 1;
    pair.send(&forged).await;
    // Seen, and not read.
    assert_ne!(pair.events().await & bits::FAILED, 0);
    pair.connection.shutdown(crate::connection::Shutdown::Write).unwrap();
    pair.connection.flush();
    let Pair { mut client, connection, .. } = pair;
    let rest = tokio::task::spawn_blocking(move || client.read_to_end(&mut Vec::new()));
    assert!(rest.await.unwrap().unwrap() > 0, "the alert");
    drop(connection);
}
