//! The text after a flag as the value that the file would have.

use crate::config::value::{Data, Field, Value};
use crate::config::{Kind, Origin};

/// The text as the file would have it.
pub(super) fn data(kind: Kind, origin: &Origin, text: &str) -> Result<Data, String> {
    let value = |text: &str| Value::text(origin.clone(), text);
    let field = |name: &str, value| Field { name: name.to_owned(), origin: origin.clone(), value };
    let plain = || Data::Text(text.to_owned());
    let number = |text: &str| Value { origin: origin.clone(), data: number(text) };
    // What is left out at the end is left out of the table.
    let parts = |text: &str, names: &[&str]| {
        if text.split(':').count() > names.len() {
            let most = if names.len() == 2 { "one" } else { "two" };
            return Err(format!("`{text}` has more than {most} `:`"));
        }
        let parts = names.iter().zip(text.split(':'));
        Ok(Data::Table(parts.map(|(name, part)| field(name, number(part))).collect()))
    };
    Ok(match kind {
        Kind::Count(_) | Kind::Amount | Kind::Spawn => number(text).data,
        Kind::Bool => text.parse().map_or_else(|_| plain(), Data::Bool),
        Kind::Addresses
        | Kind::Groups
        | Kind::Paths(_)
        | Kind::Versions
        | Kind::Ciphers
        | Kind::Protocols => Data::List(vec![value(text)]),
        Kind::Text { .. } => Data::Text(unescape(text)?),
        Kind::WhenFull => match text.strip_prefix("queue:").map(|queue| queue.split_once(':')) {
            None => plain(),
            Some(None) => return Err(format!("`{text}` has one `:`")),
            Some(Some((queue, wait))) => {
                Data::Table(vec![field("queue", number(queue)), field("for", value(wait))])
            }
        },
        Kind::MinRate | Kind::Keepalive if text == "none" => plain(),
        Kind::MinRate => parts(text, &["bytes", "over"])?,
        Kind::Keepalive => parts(text, &["idle", "interval", "count"])?,
        Kind::Log => parts(text, &["lines", "bytes", "line"])?,
        Kind::Env => {
            let (name, text) =
                text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
            Data::Table(vec![field(name, value(text))])
        }
        Kind::Backoff => {
            let (min, max) =
                text.split_once("..").ok_or_else(|| format!("`{text}` has no `..`"))?;
            Data::Table(vec![field("min", value(min)), field("max", value(max))])
        }
        Kind::Dirs => {
            let (host, guest) =
                text.split_once("::").ok_or_else(|| format!("`{text}` has no `::`"))?;
            let (guest, write) = match guest.split_once("::") {
                None => (guest, false),
                Some((guest, "rw")) => (guest, true),
                Some((_, other)) => return Err(format!("`::{other}` is not `::rw`")),
            };
            let write = Value { origin: origin.clone(), data: Data::Bool(write) };
            let dir = [("host", value(host)), ("guest", value(guest)), ("write", write)];
            let fields = dir.map(|(name, value)| field(name, value)).into();
            Data::List(vec![Value { origin: origin.clone(), data: Data::Table(fields) }])
        }
        _ => plain(),
    })
}

/// A whole number, or the text if it is none.
fn number(text: &str) -> Data {
    text.parse().map_or_else(|_| Data::Text(text.to_owned()), Data::Integer)
}

/// Puts characters in the place of their escapes.
fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('\\') => '\\',
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        r"`\{other}` is not an escape; those are \r, \n, \t and \\"
                    ));
                }
            },
            c => c,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};
    use std::path::Path;
    use std::time::Duration;

    use crate::config::{
        CIPHERS, CacheConfig, CertificateConfig, CertificateFiles, ClientAuth, ClientTrust, Config,
        CrlScope, DrainInput, KEYS, Keepalive, LogBounds, MemoryBound, Meter, MinRate, NamedFile,
        Origin, Receipts, ReceiptsFor, SocketOptions, Spawn, Stdout, TlsConfig, TlsStart,
        Truncation, UdpConfig, UdpMode, Versions, WhenFull,
    };

    /// Every flag there is, once or more.
    const FLAGS: &[(&str, &str)] = &[
        ("listen", "7000"),
        ("listen", "unix:x.sock"),
        ("listen", "udp://:53"),
        ("max-connections", "10"),
        ("max_handshakes", "3"),
        ("max-flows", "4"),
        ("drain-timeout", "none"),
        ("drain-idle", "1s"),
        ("receipts", "stderr"),
        ("receipts-for", "all"),
        ("coredumps", "."),
        ("admin", "tcp://127.0.0.1:7070"),
        ("admin-token", "admin.token"),
        ("metrics", "tcp://127.0.0.1:9100"),
        ("max-module-size", "1MiB"),
        ("compile-timeout", "2m"),
        ("compile-memory", "1GiB"),
        ("cache", "./cache"),
        ("max-memory", "1GiB"),
        ("stack", "128KiB"),
        ("meter", "fuel"),
        ("share-data", "true"),
        ("spawn", "inline"),
        ("when-full", "queue:100:2s"),
        ("farewell", r"421 a\\b\tc\r\n"),
        ("accept-backoff", "1ms..2ms"),
        ("max-accept", "7"),
        ("idle-timeout", "1m30s"),
        ("write-timeout", "none"),
        ("max-bytes-in", "1MiB"),
        ("max-bytes-out", "none"),
        ("min-rate", "1KiB:10s"),
        ("mode", "datagram"),
        ("max-datagram", "1KiB"),
        ("flow-queue", "6"),
        ("max-reply-factor", "3"),
        ("multicast", "224.0.0.251"),
        ("multicast", "ff02::fb"),
        ("backlog", "5"),
        ("reuse-port", "true"),
        ("v6-only", "true"),
        ("ip-freebind", "true"),
        ("device", "eth0"),
        ("mark", "8"),
        ("receive-buffer", "64KiB"),
        ("send-buffer", "4096"),
        ("nodelay", "false"),
        ("keepalive", "2m:5s:4"),
        ("user-timeout", "1500ms"),
        ("defer-accept", "3s"),
        ("unix-mode", "0660"),
        ("unix-owner", "1000"),
        ("unix-group", "www-data"),
        ("tenant", "me"),
        ("memory", "131072"),
        ("fuel", "5000000000"),
        ("cpu", "500ms"),
        ("cpu-total", "2s"),
        ("lifetime", "1d"),
        ("slice", "20ms"),
        ("max-host-calls", "none"),
        ("guest-log", "7:32KiB:100"),
        ("env", "A=b=c"),
        ("env", "B="),
        ("dir", "/::/root"),
        ("dir", "/::/data::rw"),
        ("stdout", "full"),
        ("drain-input", "end"),
        ("watch", "true"),
        ("trial", "false"),
        ("retire-after", "10m"),
    ];

    /// Every flag of TLS, which is not for UDP, but the one that a certificate excludes.
    const TLS_FLAGS: &[(&str, &str)] = &[
        ("listen", "unix:x.sock"),
        ("handshake-timeout", "3s"),
        ("tls", "cert.pem"),
        ("tls", "key.pem"),
        ("tls-ocsp", "ocsp.der"),
        ("tls-client-auth", "required"),
        ("tls-client-ca", "ca.pem"),
        ("tls-client-ca", "ca2.pem"),
        ("tls-client-crl", "crl.pem"),
        ("tls-client-crl-scope", "leaf"),
        ("tls-version", "1.2"),
        ("tls-version", "1.3"),
        ("tls-cipher", "TLS_AES_128_GCM_SHA256"),
        ("tls-cipher", "ecdhe-rsa-aes128-gcm-sha256"),
        ("tls-alpn", "h2"),
        ("tls-alpn", "http/1.1"),
        ("tls-start", "request"),
        ("tls-truncation", "eof"),
    ];

    fn run(flags: &[(&str, &str)]) -> Config {
        Config::from_flags(Path::new("plugins/echo.wasm"), flags).unwrap()
    }

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn every_flag_is_tried() {
        for flag in KEYS.iter().filter_map(|key| key.flag) {
            let given = flag.name.replace('-', "_");
            let mut tried = FLAGS.iter().chain(TLS_FLAGS).map(|(name, _)| *name);
            let other = ["tls-self-signed"];
            let is_it = |name: &str| name.replace('-', "_") == given;
            assert!(tried.any(is_it) || other.into_iter().any(is_it), "{flag:?}");
        }
    }

    #[test]
    fn every_flag_reaches_its_key() {
        let config = run(FLAGS);
        let server = &config.server;
        assert_eq!(server.max_connections.unwrap().get(), 10);
        assert_eq!(server.max_handshakes.get(), 3);
        assert_eq!(server.max_flows.get(), 4);
        assert_eq!(server.drain_timeout, None);
        assert_eq!(server.drain_idle, Some(Duration::from_secs(1)));
        assert_eq!(server.receipts, Receipts::Stderr);
        assert_eq!(server.receipts_for, ReceiptsFor::All);
        assert_eq!(server.coredumps.as_deref(), Some(Path::new(".")));
        let admin = server.admin.as_ref().unwrap();
        assert_eq!(admin.address.to_string(), "tcp://127.0.0.1:7070");
        assert_eq!(admin.token.as_deref(), Some(Path::new("admin.token")));
        assert_eq!(server.metrics.as_ref().unwrap().to_string(), "tcp://127.0.0.1:9100");
        assert_eq!(server.max_module_size, 1 << 20);
        assert_eq!(server.compile_timeout, Duration::from_mins(2));
        assert_eq!(server.compile_memory, 1 << 30);
        assert_eq!(server.cache, CacheConfig::Folder("./cache".into()));
        assert_eq!(server.max_memory, MemoryBound::Bytes(1 << 30));
        assert_eq!((server.stack, server.meter), (128 << 10, Meter::Fuel));
        assert!(server.share_data);
        let listener = &config.listeners[0];
        let bind: Vec<_> = listener.bind.iter().map(ToString::to_string).collect();
        assert_eq!(bind, ["tcp://:7000", "unix:x.sock", "udp://:53"]);
        assert_eq!(listener.max_connections, None);
        assert_eq!(listener.spawn, Spawn::AtMost(NonZeroU32::MIN));
        let queue = WhenFull::Queue { most: number(100), wait: Duration::from_secs(2) };
        assert_eq!(listener.when_full, queue);
        assert_eq!(listener.farewell, "421 a\\b\tc\r\n");
        assert_eq!(listener.accept_backoff.min, Duration::from_millis(1));
        assert_eq!(listener.accept_backoff.max, Duration::from_millis(2));
        assert_eq!(listener.max_accept.get(), 7);
        assert_eq!(listener.idle_timeout, Some(Duration::from_secs(90)));
        assert_eq!(listener.flow_idle_timeout, Some(Duration::from_secs(90)));
        assert_eq!(listener.write_timeout, None);
        assert_eq!((listener.max_bytes_in, listener.max_bytes_out), (Some(1 << 20), None));
        let bytes = NonZeroU64::new(1024).unwrap();
        let min_rate = MinRate { bytes, over: Duration::from_secs(10) };
        assert_eq!(listener.min_rate, Some(min_rate));
        let handler = &config.handlers[0];
        assert_eq!(handler.tenant, "me");
        assert_eq!(handler.memory, 128 * 1024);
        assert_eq!(handler.fuel.unwrap().get(), 5_000_000_000);
        assert_eq!(handler.cpu, Some(Duration::from_millis(500)));
        assert_eq!(handler.cpu_total, Some(Duration::from_secs(2)));
        assert_eq!(handler.lifetime, Some(Duration::from_hours(24)));
        assert_eq!(handler.slice, Duration::from_millis(20));
        assert_eq!(handler.max_host_calls, None);
        let log = LogBounds { lines: number(7), bytes: number(32 << 10), line: 100 };
        assert_eq!(handler.log, log);
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(handler.env.0, [pair("A", "b=c"), pair("B", "")]);
        let dirs: Vec<_> = handler.dirs.iter().map(|dir| (dir.guest.as_str(), dir.write)).collect();
        assert_eq!(dirs, [("/root", false), ("/data", true)]);
        assert_eq!(handler.stdout, Stdout::Full);
        assert_eq!(handler.drain_input, DrainInput::End);
        assert!(handler.watch && !handler.trial);
        assert_eq!(handler.retire_after, Some(Duration::from_mins(10)));
    }

    #[test]
    fn every_flag_of_sockets_reaches_its_key() {
        let config = run(FLAGS);
        let listener = &config.listeners[0];
        let udp = UdpConfig {
            mode: UdpMode::Datagram,
            max_datagram: 1024,
            max_flows: None,
            flow_queue: number(6),
            max_reply_factor: Some(number(3)),
            multicast: vec!["224.0.0.251".parse().unwrap(), "ff02::fb".parse().unwrap()],
        };
        assert_eq!(listener.udp, udp);
        let keepalive = Keepalive {
            idle: Duration::from_mins(2),
            interval: Duration::from_secs(5),
            count: number(4),
        };
        let socket = SocketOptions {
            backlog: number(5),
            reuse_port: true,
            v6_only: true,
            nodelay: false,
            keepalive: Some(keepalive),
            user_timeout: Some(Duration::from_millis(1500)),
            receive_buffer: Some(number(65_536)),
            send_buffer: Some(number(4096)),
            defer_accept: Some(Duration::from_secs(3)),
            ip_freebind: true,
            mark: Some(number(8)),
            device: Some("eth0".into()),
            unix_mode: Some(0o660),
            unix_owner: Some("1000".into()),
            unix_group: Some("www-data".into()),
        };
        assert_eq!(listener.socket, socket);
    }

    #[test]
    fn every_flag_of_tls_reaches_its_key() {
        let listener = run(TLS_FLAGS).listeners[0].clone();
        assert_eq!(listener.handshake_timeout, Duration::from_secs(3));
        let tls = listener.tls.clone().unwrap();
        assert_eq!(tls.origin.to_string(), "--tls");
        let file = |path: &str| NamedFile { path: path.into(), origin: Origin::Default };
        let files = CertificateFiles {
            certificate: file("cert.pem"),
            key: file("key.pem"),
            ocsp: Some(file("ocsp.der")),
        };
        let trust = ClientTrust {
            ca: vec![file("ca.pem"), file("ca2.pem")],
            crl: vec![file("crl.pem")],
            crl_scope: CrlScope::Leaf,
        };
        let expected = TlsConfig {
            certificate: Some(CertificateConfig::Files(files)),
            names: Vec::new(),
            client_auth: ClientAuth::Required(trust),
            versions: Versions::Both,
            ciphers: vec![&CIPHERS[1], &CIPHERS[7]],
            alpn: vec!["h2".into(), "http/1.1".into()],
            start: TlsStart::Request,
            truncation: Truncation::Eof,
            origin: Origin::Default,
        };
        assert_eq!(tls, expected);
    }

    #[test]
    fn a_certificate_can_be_made() {
        let listener = run(&[("tls-self-signed", "true"), ("listen", "my.host:1")]);
        let tls = listener.listeners[0].tls.clone().unwrap();
        let names = ["localhost", "127.0.0.1", "::1", "my.host"].map(str::to_owned).to_vec();
        assert_eq!(tls.certificate, Some(CertificateConfig::SelfSigned(names)));
    }

    #[test]
    fn words_and_parts_can_be_left_out_of_flags() {
        let listener = |flag, text| run(&[(flag, text)]).listeners[0].clone();
        assert_eq!(listener("when-full", "wait").when_full, WhenFull::Wait);
        assert_eq!(listener("when-full", "refuse").when_full, WhenFull::Refuse);
        let keepalive = |text| {
            let keepalive = listener("keepalive", text).socket.keepalive?;
            Some((keepalive.idle.as_secs(), keepalive.interval.as_secs(), keepalive.count.get()))
        };
        assert_eq!(keepalive("none"), None);
        assert_eq!(keepalive("5s"), Some((5, 10, 3)));
        assert_eq!(keepalive("5s:1s"), Some((5, 1, 3)));
        assert_eq!(keepalive("5s:1s:2"), Some((5, 1, 2)));
    }
}
