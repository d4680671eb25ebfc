//! The configuration as its users see it: the messages of bad files, what a whole file means, and
//! the reference page. `UPDATE_EXPECT=1` rewrites what the golden files expect.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fs;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcell::address::Address;
use portcell::config::{
    CIPHERS, CertificateConfig, CertificateFiles, Change, ClientAuth, ClientTrust, Config,
    CrlScope, DrainInput, HandlerConfig, Home, KEYS, Keepalive, Key, LogBounds, MAX_FILE_SIZE,
    MemoryBound, Meter, MinRate, NameConfig, NamedFile, Origin, PoolConfig, Receipts, ReceiptsFor,
    SocketOptions, Spawn, Stdout, TlsConfig, TlsStart, Truncation, UdpConfig, UdpMode, Version,
    Versions, WhenFull, reference,
};

/// Each `NAME.toml` is refused with the lines of `NAME.stderr`.
#[test]
fn bad_files_are_refused_with_the_messages_that_were_reviewed() {
    let folder = repository().join("tests/golden/config");
    let prefix = format!("{}/", folder.display());
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 30, "only {} files in {prefix}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let errors = match Config::read(&path) {
            Err(errors) => errors.to_string().replace(&prefix, "") + "\n",
            Ok(_) => String::new(),
        };
        wrong.extend(differs(&path.with_extension("stderr"), &errors));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_page_is_the_table_of_keys() {
    let wrong = differs(&repository().join("docs/config.md"), &reference());
    assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
}

#[test]
fn the_example_of_the_reference_page_is_a_configuration() {
    let page = reference();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = File::new(example);
    let config = file.read().unwrap();
    assert_eq!(config.listeners[0].bind.len(), 2);
}

/// Each row has its keys, their default, and the table that they are in.
#[test]
fn the_limits_that_operators_are_told_of_are_those_of_the_table_of_keys() {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (_, rows) = page.split_once("| limit | default | of | bounds |\n").unwrap();
    let mut seen = 0;
    for row in rows.lines().skip(1).take_while(|row| row.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for name in cells[1].split('`').skip(1).step_by(2) {
            let is_it = |key: &&Key| {
                let home = key.home.header().trim_matches(['[', ']']);
                key.name == name && home.trim_end_matches(".NAME") == cells[3]
            };
            let key = KEYS.iter().find(is_it).unwrap_or_else(|| panic!("there is no {row}"));
            let default = key.default.in_words(str::to_owned).unwrap_or_default();
            let told = cells[2].replace(['`', '"'], "");
            // That of a table is told in words.
            let is_table = default.starts_with('{');
            assert!(is_table || told == default.replace('"', "").replace("for ", ""), "{row}");
            seen += 1;
        }
    }
    assert!(seen > 30, "the limits were not found");
}

#[test]
fn the_keys_that_need_a_restart_are_told_to_operators() {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let row = page.lines().find(|line| line.contains("`server.stack cannot change")).unwrap();
    let names = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
    let mut told: Vec<_> = names.map(|name| name.trim_start_matches("server.")).collect();
    let fixed = KEYS.iter().filter(|key| key.change == Change::Restart);
    let mut fixed: Vec<_> = fixed.map(|key| key.name).collect();
    told.sort_unstable();
    fixed.sort_unstable();
    assert_eq!(told, fixed);
}

#[test]
fn a_small_file_gets_every_default() {
    let file = File::new(&whole("", "", ""));
    let config = file.read().unwrap();
    let server = &config.server;
    assert_eq!(server.max_connections, None);
    assert_eq!(server.max_handshakes.get(), 1024);
    assert_eq!(server.max_flows.get(), 1024);
    assert_eq!(server.drain_timeout, Some(Duration::from_secs(30)));
    assert_eq!(server.drain_idle, None);
    assert_eq!(server.receipts, Receipts::Off);
    assert_eq!(server.receipts_for, ReceiptsFor::Connections);
    assert_eq!(server.max_module_size, 16 << 20);
    assert_eq!(server.max_memory, MemoryBound::Auto);
    assert_eq!((server.stack, server.meter), (256 << 10, Meter::Epoch));
    let listener = &config.listeners[0];
    assert_eq!(listener.name, "echo");
    assert_eq!(listener.bind, ["tcp://127.0.0.1:7000".parse::<Address>().unwrap()]);
    assert_eq!(listener.handler, "echo");
    assert_eq!(listener.max_connections, None);
    assert_eq!(listener.spawn, Spawn::PerConnection);
    assert_eq!((listener.when_full, listener.farewell.as_str()), (WhenFull::Wait, ""));
    assert_eq!(listener.accept_backoff.min, Duration::from_millis(10));
    assert_eq!(listener.accept_backoff.max, Duration::from_secs(1));
    assert_eq!(listener.max_accept.get(), 100);
    assert_eq!(listener.idle_timeout, Some(Duration::from_mins(1)));
    assert_eq!(listener.flow_idle_timeout, Some(Duration::from_secs(30)));
    assert_eq!(listener.write_timeout, Some(Duration::from_mins(1)));
    assert_eq!((listener.max_bytes_in, listener.max_bytes_out), (None, None));
    assert_eq!(listener.min_rate, None);
    let socket = SocketOptions {
        backlog: number(1024),
        reuse_port: false,
        v6_only: false,
        nodelay: true,
        keepalive: None,
        user_timeout: None,
        receive_buffer: None,
        send_buffer: None,
        defer_accept: None,
        ip_freebind: false,
        mark: None,
        device: None,
        unix_mode: None,
        unix_owner: None,
        unix_group: None,
    };
    assert_eq!(listener.socket, socket);
    let udp = UdpConfig {
        mode: UdpMode::Flow,
        max_datagram: 65_527,
        max_flows: None,
        flow_queue: number(64),
        max_reply_factor: None,
        multicast: Vec::new(),
    };
    assert_eq!(listener.udp, udp);
    assert_eq!(listener.tls, None);
    assert_eq!(listener.handshake_timeout, Duration::from_secs(5));
    assert_eq!(config.pools, []);
    assert_eq!(listener.origin.to_string(), format!("{}:4", file.path.display()));
    let HandlerConfig {
        name,
        module,
        build,
        tenant,
        memory,
        fuel,
        cpu,
        cpu_total,
        lifetime,
        slice,
        max_host_calls,
        log,
        env,
        dirs,
        stdout,
        drain_input,
        watch,
        trial,
        retire_after,
        origin,
    } = &*config.handlers[0];
    assert_eq!(name, "echo");
    assert_eq!(*module, file.folder().join("echo.wasm"));
    assert_eq!(*build, None);
    assert_eq!(tenant, "default");
    assert_eq!((*memory, *fuel), (32 << 20, None));
    assert_eq!(*cpu, Some(Duration::from_secs(1)));
    assert_eq!((*cpu_total, *lifetime), (None, None));
    assert_eq!((*slice, *max_host_calls), (Duration::from_millis(10), Some(number(1_000_000))));
    assert_eq!(*log, LogBounds { lines: number(20), bytes: number(64 << 10), line: 1024 });
    assert_eq!((env.len(), dirs.len()), (0, 0));
    assert_eq!(*stdout, Stdout::Terminal);
    assert_eq!(*drain_input, DrainInput::Open);
    assert_eq!((*watch, *trial, *retire_after), (false, true, None));
    assert_eq!(origin.to_string(), format!("{}:7", file.path.display()));
}

#[test]
fn every_key_of_a_file_is_read() {
    let file = File::new(&whole(
        "max_connections = 8192\nmax_handshakes = 7\nmax_flows = 9\ndrain_timeout = \"none\"\n\
         drain_idle = \"5s\"\nreceipts = \"log/receipts.json\"\nmax_module_size = 65536\n\
         max_memory = \"none\"\nstack = \"1MiB\"\nmeter = \"fuel\"\n",
        "max_connections = 6\nspawn = 7\nwhen_full = \"refuse\"\nfarewell = \"421\\r\\n\"\n\
         accept_backoff = { max = \"5s\" }\nmax_accept = 8\nidle_timeout = \"none\"\n\
         write_timeout = \"1m30s\"\nmax_bytes_in = 1\nmax_bytes_out = \"1TiB\"\n\
         min_rate = { bytes = \"1KB\", over = \"1m\" }\n",
        "build = \"make\"\ntenant = \"me\"\nmemory = \"64MiB\"\nfuel = 10_000_000_000\ncpu = \"none\"\ncpu_total = \"1h\"\n\
         lifetime = \"1d\"\nslice = \"50ms\"\nmax_host_calls = 4000\n\
         log = { lines = 3, line = \"2KiB\" }\nstdout = \"full\"\ndrain_input = \"end\"\n\
         watch = true\ntrial = false\nretire_after = \"10m\"\n\
         env = { B = \"2\", A = \"\" }\n\
         dirs = [{ host = \".\", guest = \"/a\" }, \
         { host = \"/\", guest = \"/\", write = true }]\n",
    ));
    let config = file.read().unwrap();
    let server = &config.server;
    assert_eq!(server.max_connections.unwrap().get(), 8192);
    assert_eq!(server.max_handshakes.get(), 7);
    assert_eq!(server.max_flows.get(), 9);
    assert_eq!(server.drain_timeout, None);
    assert_eq!(server.drain_idle, Some(Duration::from_secs(5)));
    assert_eq!(server.receipts, Receipts::File(file.folder().join("log/receipts.json")));
    assert_eq!(server.max_module_size, 65_536);
    assert_eq!(server.max_memory, MemoryBound::Unbounded);
    assert_eq!((server.stack, server.meter), (1 << 20, Meter::Fuel));
    let listener = &config.listeners[0];
    assert_eq!(listener.max_connections.unwrap().get(), 6);
    assert_eq!(listener.spawn, Spawn::AtMost(number(7)));
    assert_eq!((listener.when_full, listener.farewell.as_str()), (WhenFull::Refuse, "421\r\n"));
    assert_eq!(listener.accept_backoff.min, Duration::from_millis(10));
    assert_eq!(listener.accept_backoff.max, Duration::from_secs(5));
    assert_eq!(listener.max_accept.get(), 8);
    assert_eq!((listener.idle_timeout, listener.flow_idle_timeout), (None, None));
    assert_eq!(listener.write_timeout, Some(Duration::from_secs(90)));
    assert_eq!((listener.max_bytes_in, listener.max_bytes_out), (Some(1), Some(1 << 40)));
    let bytes = NonZeroU64::new(1000).unwrap();
    assert_eq!(listener.min_rate, Some(MinRate { bytes, over: Duration::from_mins(1) }));
    let handler = &config.handlers[0];
    assert_eq!(handler.build.as_deref(), Some("make"));
    assert_eq!(handler.tenant, "me");
    assert_eq!(handler.memory, 64 << 20);
    assert_eq!(handler.fuel.unwrap().get(), 10_000_000_000);
    assert_eq!(handler.cpu, None);
    assert_eq!(handler.cpu_total, Some(Duration::from_hours(1)));
    assert_eq!(handler.lifetime, Some(Duration::from_hours(24)));
    assert_eq!(handler.slice, Duration::from_millis(50));
    assert_eq!(handler.max_host_calls, Some(number(4000)));
    assert_eq!(handler.log, LogBounds { lines: number(3), bytes: number(64 << 10), line: 2048 });
    assert_eq!(handler.stdout, Stdout::Full);
    assert_eq!(handler.drain_input, DrainInput::End);
    let env: Vec<_> = handler.env.iter().map(|(name, text)| format!("{name}={text}")).collect();
    assert_eq!(env, ["B=2", "A="]);
    assert_eq!(handler.dirs[0].host, file.folder().join("."));
    assert_eq!((handler.dirs[0].guest.as_str(), handler.dirs[0].write), ("/a", false));
    assert_eq!(handler.dirs[1].host, Path::new("/"));
    assert_eq!((handler.dirs[1].guest.as_str(), handler.dirs[1].write), ("/", true));
}

#[test]
fn fuel_takes_the_place_of_time_unless_both_are_written() {
    let cpu = |handler: &str| {
        let file = File::new(&whole("meter = \"fuel\"\n", "", handler));
        file.read().unwrap().handlers[0].cpu
    };
    assert_eq!(cpu("fuel = 1000\n"), None);
    assert_eq!(cpu("fuel = 1000\ncpu = \"2s\"\n"), Some(Duration::from_secs(2)));
    assert_eq!(cpu("fuel = \"none\"\n"), Some(Duration::from_secs(1)));
}

#[test]
fn every_option_of_a_socket_is_read() {
    let file = File::new(
        &whole(
            "",
            "backlog = 5\nreuse_port = true\nv6_only = true\nip_freebind = true\n\
             device = \"eth0\"\nmark = 0x10\nreceive_buffer = \"1MiB\"\nsend_buffer = 4096\n\
             nodelay = false\nkeepalive = { idle = \"2m\", interval = \"5s\", count = 4 }\n\
             user_timeout = \"1500ms\"\ndefer_accept = \"3s\"\nunix_mode = \"0660\"\n\
             unix_owner = \"www-data\"\nunix_group = 33\n",
            "",
        )
        .replace("\"tcp://127.0.0.1:7000\"", "[\":7000\", \"unix:x\"]"),
    );
    let expected = SocketOptions {
        backlog: number(5),
        reuse_port: true,
        v6_only: true,
        nodelay: false,
        keepalive: Some(Keepalive {
            idle: Duration::from_mins(2),
            interval: Duration::from_secs(5),
            count: number(4),
        }),
        user_timeout: Some(Duration::from_millis(1500)),
        receive_buffer: Some(number(1 << 20)),
        send_buffer: Some(number(4096)),
        defer_accept: Some(Duration::from_secs(3)),
        ip_freebind: true,
        mark: Some(number(16)),
        device: Some("eth0".into()),
        unix_mode: Some(0o660),
        unix_owner: Some("www-data".into()),
        unix_group: Some("33".into()),
    };
    assert_eq!(file.read().unwrap().listeners[0].socket, expected);
}

#[test]
fn what_is_left_out_of_keepalive_is_the_default() {
    let file = File::new(&whole("", "keepalive = { interval = \"1s\" }\n", ""));
    let expected = Keepalive {
        idle: Duration::from_mins(1),
        interval: Duration::from_secs(1),
        count: number(3),
    };
    assert_eq!(file.read().unwrap().listeners[0].socket.keepalive, Some(expected));
}

#[test]
fn every_key_of_udp_is_read() {
    let file = File::new(
        &whole(
            "",
            "mode = \"datagram\"\nmax_datagram = \"1KiB\"\nmax_flows = 9\nflow_queue = 2\n\
             max_reply_factor = 3\nmulticast = [\"224.0.0.251\", \"ff02::fb\"]\n\
             idle_timeout = \"5s\"\n",
            "",
        )
        .replace("tcp://127.0.0.1", "udp://"),
    );
    let config = file.read().unwrap();
    let listener = &config.listeners[0];
    let expected = UdpConfig {
        mode: UdpMode::Datagram,
        max_datagram: 1024,
        max_flows: Some(number(9)),
        flow_queue: number(2),
        max_reply_factor: Some(number(3)),
        multicast: vec!["224.0.0.251".parse().unwrap(), "ff02::fb".parse().unwrap()],
    };
    assert_eq!(listener.udp, expected);
    let both = Some(Duration::from_secs(5));
    assert_eq!((listener.idle_timeout, listener.flow_idle_timeout), (both, both));
}

#[test]
fn a_certificate_alone_is_tls() {
    let file = File::new(&whole("", "[listener.tls]\ncertificate = \"both.pem\"\n", ""));
    let config = file.read().unwrap();
    let TlsConfig {
        certificate,
        names,
        client_auth,
        versions,
        ciphers,
        alpn,
        start,
        truncation,
        origin,
    } = config.listeners[0].tls.as_ref().unwrap();
    let Some(CertificateConfig::Files(files)) = certificate else { panic!("{certificate:?}") };
    assert_eq!(files.certificate.path, file.folder().join("both.pem"));
    assert_eq!((&files.key, &files.ocsp), (&files.certificate, &None));
    assert_eq!(files.key.origin.to_string(), format!("{}:7", file.path.display()));
    assert_eq!(origin.to_string(), format!("{}:6", file.path.display()));
    assert_eq!((names.len(), alpn.len()), (0, 0));
    assert_eq!((client_auth, *versions), (&ClientAuth::None, Versions::Both));
    assert_eq!(*ciphers, CIPHERS.iter().collect::<Vec<_>>());
    assert_eq!((*start, *truncation), (TlsStart::Connect, Truncation::Error));
}

#[test]
fn every_key_of_tls_is_read() {
    let file = File::new(&whole(
        "",
        "handshake_timeout = \"1m\"\n[listener.tls]\ncertificate = \"cert.pem\"\n\
         key = \"key.der\"\nocsp = \"/ocsp.der\"\nclient_auth = \"optional\"\n\
         client_ca = \"ca.pem\"\nclient_crl = [\"a.crl\", \"b.crl\"]\n\
         client_crl_scope = \"leaf\"\nversions = \"1.3\"\n\
         ciphers = \"TLS_AES_128_GCM_SHA256\"\nalpn = [\"h2\", \"http/1.1\"]\n\
         truncation = \"eof\"\n\
         [[listener.tls.name]]\nname = \"A.example.\"\ncertificate = \"a.pem\"\nkey = \"a.key\"\n\
         ocsp = \"a.ocsp\"\nhandler = \"echo\"\n\
         [[listener.tls.name]]\nname = \"*.example\"\n",
        "",
    ));
    let config = file.read().unwrap();
    let listener = &config.listeners[0];
    assert_eq!(listener.handshake_timeout, Duration::from_mins(1));
    let path = |name: &str| NamedFile { path: file.folder().join(name), origin: Origin::Default };
    let files = |certificate, key, ocsp| {
        let [certificate, key, ocsp] = [certificate, key, ocsp].map(path);
        CertificateConfig::Files(CertificateFiles { certificate, key, ocsp: Some(ocsp) })
    };
    let own = files("cert.pem", "key.der", "/ocsp.der");
    let expected = TlsConfig {
        certificate: Some(own.clone()),
        names: vec![
            NameConfig {
                name: "a.example".into(),
                certificate: files("a.pem", "a.key", "a.ocsp"),
                handler: Some("echo".into()),
            },
            NameConfig { name: "*.example".into(), certificate: own, handler: None },
        ],
        client_auth: ClientAuth::Optional(ClientTrust {
            ca: vec![path("ca.pem")],
            crl: vec![path("a.crl"), path("b.crl")],
            crl_scope: CrlScope::Leaf,
        }),
        versions: Versions::Only(Version::Tls13),
        ciphers: vec![&CIPHERS[1]],
        alpn: vec!["h2".into(), "http/1.1".into()],
        start: TlsStart::Connect,
        truncation: Truncation::Eof,
        origin: Origin::Default,
    };
    assert_eq!(listener.tls, Some(expected));
}

#[test]
fn a_handler_that_only_a_server_name_uses_is_used() {
    let file = File::new(&whole(
        "",
        "[listener.tls]\nself_signed = true\n\
         [[listener.tls.name]]\nname = \"a.example\"\nhandler = \"other\"\n",
        "[handler.other]\nmodule = \"other.wasm\"\n",
    ));
    let config = file.read().unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.names[0].handler.as_deref(), Some("other"));
    let names = ["localhost", "127.0.0.1", "::1", "a.example"].map(str::to_owned).to_vec();
    assert_eq!(tls.names[0].certificate, CertificateConfig::SelfSigned(names));
    assert_eq!(tls.certificate.as_ref(), Some(&tls.names[0].certificate));
}

#[test]
fn tables_in_tables_can_be_on_one_line() {
    let tls = "tls = { certificate = \"both.pem\", name = [{ name = \"a.example\" }] }\n";
    let config = File::new(&whole("", tls, "")).read().unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.names[0].name, "a.example");
    assert_eq!(Some(&tls.names[0].certificate), tls.certificate.as_ref());
}

#[test]
fn tls_is_for_every_kind_of_stream() {
    for bind in ["tcp://:1", "unix:x", "unix:@x", "fd://3", "fd://web"] {
        let tls = "[listener.tls]\ncertificate = \"both.pem\"\n";
        let file = File::new(&whole("", tls, "").replace("tcp://127.0.0.1:7000", bind));
        assert!(file.read().unwrap().listeners[0].tls.is_some(), "{bind}");
    }
}

#[test]
fn listeners_share_a_pool() {
    let listener = |name: &str, bind: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"{bind}\"\nhandler = \"echo\"\n\
             spawn = {{ pool = \"small\" }}\nwhen_full = {{ queue = 2, for = \"1s\" }}\n"
        )
    };
    let file = File::new(&format!(
        "{}{}[handler.echo]\nmodule = \"echo.wasm\"\n[pool.small]\nsize = 5\n",
        listener("a", "unix:x"),
        listener("b", "udp://:7000"),
    ));
    let config = file.read().unwrap();
    assert_eq!(config.pools, [PoolConfig { name: "small".into(), size: number(5) }]);
    for listener in &config.listeners {
        assert_eq!(listener.spawn, Spawn::Pool("small".into()));
        let queue = WhenFull::Queue { most: number(2), wait: Duration::from_secs(1) };
        assert_eq!(listener.when_full, queue);
    }
}

#[test]
fn what_is_not_written_suits_every_kind_of_address() {
    for bind in ["udp://:1", "unix:x", "unix:@x", "fd://3", "fd://web"] {
        let file = File::new(&whole("", "", "").replace("tcp://127.0.0.1:7000", bind));
        let config = file.read().unwrap();
        assert_eq!(config.listeners[0].bind.len(), 1);
    }
}

#[test]
fn an_inherited_socket_takes_what_can_be_set_on_any() {
    let file = File::new(
        &whole(
            "",
            "mode = \"datagram\"\nmulticast = \"ff02::fb\"\nmark = 1\nnodelay = false\n\
             keepalive = {}\nuser_timeout = \"1s\"\ndefer_accept = \"1s\"\n\
             receive_buffer = 4096\nsend_buffer = 4096\n",
            "",
        )
        .replace("tcp://127.0.0.1:7000", "fd://web"),
    );
    assert!(file.read().is_ok());
}

#[test]
fn one_port_of_tcp_and_udp_is_bound_twice() {
    let bind = "[\"tcp://:7000\", \"udp://:7000\"]";
    let file = File::new(&whole("", "", "").replace("\"tcp://127.0.0.1:7000\"", bind));
    assert_eq!(file.read().unwrap().listeners[0].bind.len(), 2);
}

#[test]
fn every_key_of_the_table_is_checked() {
    let keys = |home: Home| {
        let keys = KEYS.iter().filter(|key| key.home == home);
        keys.fold(String::new(), |text, key| text + key.name + " = 2026-01-01\n")
    };
    let homes = [
        ("[server]", Home::Server),
        ("[[listener]]", Home::Listener),
        ("[listener.tls]", Home::Tls),
        ("[[listener.tls.name]]", Home::TlsName),
        ("[handler.echo]", Home::Handler),
        ("[pool.x]", Home::Pool),
        ("[tenant.x]", Home::Tenant),
    ];
    let text = homes.map(|(header, home)| format!("{header}\n{}", keys(home))).concat();
    let file = File::new(&text);
    let errors = file.read().unwrap_err();
    let found: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), KEYS.len(), "{errors}");
    for (key, error) in KEYS.iter().zip(found) {
        assert!(
            error.contains(&format!(": `{}` takes {}; ", key.name, key.kind.in_file())),
            "{error}"
        );
    }
}

#[test]
fn flags_and_keys_have_one_meaning_each() {
    for (i, key) in KEYS.iter().enumerate() {
        for other in &KEYS[..i] {
            assert!(key.home != other.home || key.name != other.name, "{}", key.name);
            let same = key.flag.is_some() && key.flag.map(|f| f.name) == other.flag.map(|f| f.name);
            let neighbours = other.name == "certificate" && key.name == "key";
            assert!(!same || neighbours, "{} and {} have the same flag", key.name, other.name);
        }
    }
    let of_names = |key: &Key| key.home == Home::TlsName;
    assert!(KEYS.iter().filter(|key| of_names(key)).all(|key| key.flag.is_none()));
    let without: Vec<_> = KEYS
        .iter()
        .filter(|key| key.flag.is_none() && !of_names(key))
        .map(|key| key.name)
        .collect();
    let none = [
        "name",
        "handler",
        "max_connections",
        "max_flows",
        "module",
        "build",
        "size",
        "max_connections",
        "memory",
        "cpu",
    ];
    assert_eq!(without, none);
}

#[test]
fn handlers_and_listeners_keep_the_order_of_the_file() {
    let file = File::new(
        "[handler.zebra]\nmodule = \"z.wasm\"\n[[listener]]\nname = \"b\"\nbind = \":1\"\n\
         handler = \"zebra\"\n[handler.ant]\nmodule = \"a.wasm\"\n[[listener]]\nname = \"a\"\n\
         bind = \":2\"\nhandler = \"ant\"\n",
    );
    let config = file.read().unwrap();
    let handlers: Vec<_> = config.handlers.iter().map(|handler| &handler.name).collect();
    let listeners: Vec<_> = config.listeners.iter().map(|listener| &listener.name).collect();
    assert_eq!(handlers, ["zebra", "ant"]);
    assert_eq!(listeners, ["b", "a"]);
}

#[test]
fn socket_paths_are_taken_from_the_folder_of_the_file() {
    let file = File::new(&whole("", "", "").replace("tcp://127.0.0.1:7000", "unix:x.sock"));
    let config = file.read().unwrap();
    assert_eq!(config.listeners[0].bind, [Address::Unix(file.folder().join("x.sock"))]);
    let long = format!("unix:{}", "x".repeat(107));
    let file = File::new(&whole("", "", "").replace("tcp://127.0.0.1:7000", &long));
    let error = file.read().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}:4: bad address `unix:xxx", file.path.display())),
        "{error}"
    );
    assert!(error.contains("at most 107 bytes"), "{error}");
}

#[test]
fn a_value_that_moved_is_no_change() {
    let before = File::new(&whole("", "", ""));
    let first = before.read().unwrap();
    fs::write(&before.path, whole("# a new line\n\n", "", "")).unwrap();
    let moved = before.read().unwrap();
    assert_ne!(first.handlers[0].origin.to_string(), moved.handlers[0].origin.to_string());
    assert_eq!(first, moved);
    fs::write(&before.path, whole("", "nodelay = false\n", "")).unwrap();
    assert_ne!(first, before.read().unwrap());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, why: &str| {
        let errors = Config::read(path).unwrap_err();
        assert_eq!(errors.to_string(), format!("{}{why}", path.display()));
    };
    let path = folder.path().join("portcell.toml");
    refused(&path, ": there is no such file");
    refused(folder.path(), ": this is a folder; name the file in it");
    fs::write(&path, b"[server]\n\n# \xff\n").unwrap();
    refused(&path, ":3: this is not UTF-8 text");
    let whole = whole("", "", "");
    let most = usize::try_from(MAX_FILE_SIZE).unwrap();
    let filled = |size: usize| format!("{whole}#{}", "x".repeat(size - whole.len() - 1));
    fs::write(&path, filled(most)).unwrap();
    assert!(Config::read(&path).is_ok());
    fs::write(&path, filled(most + 1)).unwrap();
    refused(&path, ": it is larger than 1MiB, the most for a configuration");
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A configuration that is right, with more keys in its tables.
fn whole(server: &str, listener: &str, handler: &str) -> String {
    format!(
        "[server]\n{server}[[listener]]\nname = \"echo\"\nbind = \"tcp://127.0.0.1:7000\"\n\
         handler = \"echo\"\n{listener}[handler.echo]\nmodule = \"echo.wasm\"\n{handler}"
    )
}

/// A configuration file in a folder of its own.
struct File {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcell.toml");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self) -> Result<Config, portcell::config::Errors> {
        Config::read(&self.path)
    }
}

/// Where a file differs from what it should hold, unless `UPDATE_EXPECT=1` rewrites it.
fn differs(path: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return None;
    }
    let same = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    Some(format!(
        "{}:{}\n  expected: {}\n  actual:   {}",
        path.display(),
        same + 1,
        line(&expected),
        line(actual)
    ))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
