//! SIGHUP: the configuration is read again.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::harness::{Client, Folder, PATIENCE, Server, plugin, wait_until};

fn listener(name: &str, bind: &str, more: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\nbind = \"{bind}\"\nhandler = \"h\"\n{more}\n")
}

fn handler(module: &Path, more: &str) -> String {
    format!("[handler.h]\nmodule = \"{}\"\n{more}", module.display())
}

/// Replaces the configuration and waits until it is applied, the `count`th time.
fn reload(server: &Server, folder: &Folder, count: usize, config: &str) {
    folder.write("portcell.toml", config);
    server.signal(Signal::HUP);
    server.find_lines(count, "the configuration was applied");
}

#[test]
fn listeners_come_and_go_and_others_are_untouched() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts"), "");
    let bind = |name: &str| format!("unix:{}", folder.at(name).display());
    let stays = listener("stays", &bind("stays"), "");
    let goes = listener("goes", &bind("goes"), "");
    let comes = listener("comes", &bind("comes"), "");
    let server = Server::serve(&folder, &format!("{stays}{goes}{handler}")).start();
    server.addresses("stays", 1);
    let mut untouched = Client::connect_unix(&folder.at("stays"));
    let mut drains = Client::connect_unix(&folder.at("goes"));
    assert_eq!(untouched.ask("listener"), "stays");
    assert_eq!(drains.ask("listener"), "goes");

    reload(&server, &folder, 1, &format!("{stays}{comes}{handler}"));
    assert_eq!(Client::connect_unix(&folder.at("comes")).ask("listener"), "comes");
    wait_until("the listener is gone", || !folder.at("goes").exists());
    assert_eq!(drains.ask("listener"), "goes");
    drains.end();
    drains.ends_in_good_order();
    assert_eq!(untouched.ask("listener"), "stays");
    assert_eq!(Client::connect_unix(&folder.at("stays")).ask("listener"), "stays");
}

#[test]
fn a_new_listener_has_a_ready_line() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts"), "");
    let first = listener("first", "tcp://127.0.0.1:0", "");
    let server = Server::serve(&folder, &format!("{first}{handler}")).start();
    let port = server.port_of("first");
    let second = listener("second", "tcp://127.0.0.1:0", "");
    reload(&server, &folder, 1, &format!("{first}{second}{handler}"));
    assert_eq!(server.connect_to("second").ask("listener"), "second");
    assert_eq!(Client::connect(("127.0.0.1", port)).ask("listener"), "first");
    assert_eq!(server.addresses("first", 1).len(), 1, "what listened before is not announced");
}

#[test]
fn a_udp_listener_can_go_and_come_back() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts_by_datagram"), "");
    let unix = format!("unix:{}", folder.at("stays").display());
    let stays = format!("{}{handler}", listener("stays", &unix, ""));
    let with = |name: &str| format!("{}{stays}", listener(name, "udp://127.0.0.1:0", ""));
    let server = Server::serve(&folder, &with("first")).start();
    assert_eq!(server.peer_of("first").ask("listener"), "first");
    reload(&server, &folder, 1, &stays);
    reload(&server, &folder, 2, &with("second"));
    assert_eq!(server.peer_of("second").ask("listener"), "second");
}

#[test]
fn connections_of_a_listener_that_goes_are_told_to_finish() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("does_as_told"), "");
    let stays = listener("stays", "tcp://127.0.0.1:0", "");
    let goes = listener("goes", "tcp://127.0.0.1:0", "");
    let server = Server::serve(&folder, &format!("{stays}{goes}{handler}")).start();
    let mut stays_open = server.connect_to("stays");
    stays_open.send("ed");
    assert_eq!(stays_open.receive(1), "e");
    let mut drains = server.connect_to("goes");
    drains.send("d");
    let port = server.port_of("goes");
    reload(&server, &folder, 1, &format!("{stays}{handler}"));
    assert_eq!(drains.rest().unwrap(), b"d");
    wait_until("nobody listens", || TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(stays_open.hears_nothing());
}

#[test]
fn limits_of_a_handler_change_for_new_connections() {
    let folder = Folder::new();
    let module = folder.guest("tells_facts");
    let listener = listener("l", "tcp://127.0.0.1:0", "");
    let config = |memory| format!("{listener}{}", handler(&module, memory));
    let server = Server::serve(&folder, &config("memory = \"1MiB\"")).start();
    let mut old = server.connect();
    assert_eq!(old.ask("limits.memory"), "1048576");
    reload(&server, &folder, 1, &config("memory = \"2MiB\""));
    assert_eq!(server.connect().ask("limits.memory"), "2097152");
    assert_eq!(old.ask("limits.memory"), "1048576");
}

#[test]
fn limits_of_a_listener_change_at_the_same_address() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts"), "");
    let path = folder.at("l.sock").display().to_string();
    let bind = format!("bind = [\"tcp://127.0.0.1:0\", \"unix:{path}\"]");
    let config = |more: &str| listener("l", "", more).replace("bind = \"\"", &bind) + &handler;
    let server = Server::serve(&folder, &config("")).start();
    let mut old = server.connect();
    assert_eq!(old.ask("limits.idle_timeout"), "60000");
    for (count, (change, millis)) in [
        ("idle_timeout = \"5s\"", "5000"),
        ("idle_timeout = \"6s\"\nbacklog = 5", "6000"),
        ("idle_timeout = \"7s\"\nnodelay = false", "7000"),
    ]
    .into_iter()
    .enumerate()
    {
        reload(&server, &folder, count + 1, &config(change));
        assert_eq!(server.connect().ask("limits.idle_timeout"), millis, "{change}");
        let mut client = Client::connect_unix(Path::new(&path));
        assert_eq!(client.ask("limits.idle_timeout"), millis, "{change}");
    }
    assert_eq!(old.ask("limits.idle_timeout"), "60000");
}

/// A server whose only listener has a configuration that ends so, and the next ones.
fn echo_with(folder: &Folder, more: &str) -> (Server, impl Fn(&str) -> String) {
    let handler = handler(&plugin("echo"), "");
    let config = move |more: &str| listener("l", "tcp://127.0.0.1:0", more) + &handler;
    (Server::serve(folder, &config(more)).start(), config)
}

/// A client that is served.
fn served(server: &Server) -> Client {
    let mut client = server.connect();
    client.is_echoed();
    client
}

/// A client that has sent a byte and waits for a place.
fn waits(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("x");
    assert!(client.hears_nothing(), "one more than there may be is served");
    client
}

fn ends(mut client: Client) {
    client.end();
    client.ends_in_good_order();
}

#[test]
fn connections_from_before_a_change_count_against_the_limit() {
    let folder = Folder::new();
    let (server, config) = echo_with(&folder, "max_connections = 2");
    let (first, mut second) = (served(&server), served(&server));
    reload(&server, &folder, 1, &config("max_connections = 2\nidle_timeout = \"50s\""));
    let mut third = waits(&server);
    ends(first);
    assert_eq!(third.receive(1), "x");
    reload(&server, &folder, 2, &config("max_connections = 2\nidle_timeout = \"40s\""));
    let mut fourth = waits(&server);
    ends(third);
    assert_eq!(fourth.receive(1), "x");
    second.is_echoed();
}

#[test]
fn a_larger_limit_lets_those_in_who_wait() {
    let folder = Folder::new();
    let (server, config) = echo_with(&folder, "max_connections = 1");
    let mut first = served(&server);
    let mut second = waits(&server);
    reload(&server, &folder, 1, &config("max_connections = 2"));
    assert_eq!(second.receive(1), "x");
    let mut third = waits(&server);
    reload(&server, &folder, 2, &config(""));
    assert_eq!(third.receive(1), "x");
    first.is_echoed();
}

#[test]
fn a_smaller_limit_lets_nobody_in_until_there_are_fewer() {
    let folder = Folder::new();
    let (server, config) = echo_with(&folder, "max_connections = 2");
    let (first, mut second) = (served(&server), served(&server));
    reload(&server, &folder, 1, &config("max_connections = 1"));
    let mut third = waits(&server);
    ends(first);
    assert!(third.hears_nothing(), "one is open, and there may be one");
    second.is_echoed();
    ends(second);
    assert_eq!(third.receive(1), "x");
}

#[test]
fn a_bad_configuration_keeps_the_old_one_in_force() {
    let folder = Folder::new();
    let module = folder.guest("tells_facts");
    let good = format!("{}{}", listener("l", "tcp://127.0.0.1:0", ""), handler(&module, ""));
    let server = Server::serve(&folder, &good).start();
    let mut old = server.connect();
    let taken = server.port();
    let kept = "the old configuration stays in force: ";
    for (count, (bad, said)) in [
        (format!("{good}cpu = 1\n"), "portcell.toml:8: "),
        (good.replace("tells_facts.wasm", "nowhere.wasm"), "there is no such file"),
        (
            format!("{good}{}", listener("m", "tcp://192.0.2.1:1", "")),
            "this machine does not have that address",
        ),
        (format!("server.max_handshakes = 7\n{good}"), "server.max_handshakes cannot change"),
        (
            format!("{good}{}", listener("m", "udp://127.0.0.1:0", "")),
            "this server was started without room for UDP flows",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        folder.write("portcell.toml", bad);
        server.signal(Signal::HUP);
        let lines = server.find_lines(count + 1, kept);
        assert!(lines[count].contains(said), "no `{said}` in {}", lines[count]);
        assert_eq!(old.ask("listener"), "l");
        assert_eq!(Client::connect(("127.0.0.1", taken)).ask("listener"), "l");
    }
    reload(&server, &folder, 1, &good);
    assert_eq!(old.ask("listener"), "l");
}

#[test]
fn a_module_that_was_replaced_is_a_new_version_for_new_connections() {
    let folder = Folder::new();
    // What it answers to anything is in its code, and the version in its facts.
    let source = |answer: char| {
        format!(
            "(module
               (import \"portcell_v1\" \"read\" (func $read (param i32 i32 i32) (result i32)))
               (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
               (import \"portcell_v1\" \"info\" (func $info (param i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1)
               (data (i32.const 8) \"{answer}\")
               (data (i32.const 16) \"handler.version\")
               (func (export \"handle\")
                 (loop $next
                   (if (i32.gt_s (call $read (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0))
                     (then
                       (drop (call $info
                         (i32.const 16) (i32.const 15) (i32.const 9) (i32.const 1)))
                       (drop (call $write (i32.const 0) (i32.const 8) (i32.const 2)))
                       (br $next))))))"
        )
    };
    let answer = |client: &mut Client| {
        client.send("x");
        client.receive(2)
    };
    let module = folder.wat("module", &source('a'));
    let config = format!("{}{}", listener("l", "tcp://127.0.0.1:0", ""), handler(&module, ""));
    let server = Server::serve(&folder, &format!("server.receipts = \"stderr\"\n{config}")).start();
    let config = format!("server.receipts = \"stderr\"\n{config}");
    let mut first = server.connect();
    assert_eq!(answer(&mut first), "a1");

    folder.wat("module", &source('b'));
    reload(&server, &folder, 1, &config);
    let mut second = server.connect();
    assert_eq!(answer(&mut second), "b2");
    assert_eq!(answer(&mut first), "a1", "an old connection goes on with its own");

    // The same file again is no new version.
    reload(&server, &folder, 2, &config);
    assert_eq!(answer(&mut server.connect()), "b2");

    // A file that became bad changes nothing.
    folder.write("module.wasm", "");
    server.signal(Signal::HUP);
    server.find_line("is empty");
    assert_eq!(answer(&mut server.connect()), "b2");
    assert_eq!(answer(&mut first), "a1");

    first.end();
    first.ends_in_good_order();
    let receipts = server.receipts(3);
    let of_first = receipts.iter().find(|receipt| receipt["version"] == 1).unwrap();
    let of_second = receipts.iter().find(|receipt| receipt["version"] == 2).unwrap();
    assert_ne!(of_first["digest"], of_second["digest"]);
}

#[test]
fn without_a_configuration_the_signal_changes_nothing() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("tells_facts")).start();
    server.signal(Signal::HUP);
    server.find_line("there is no configuration to read again");
    assert_eq!(server.connect().ask("handler.version"), "1");
}

#[test]
fn the_places_of_the_server_change_up_to_what_it_started_with() {
    let folder = Folder::new();
    let (server, config) = echo_with(&folder, "");
    let places = |most: &str| format!("server.max_connections = {most}\n{}", config(""));
    let mut first = served(&server);
    reload(&server, &folder, 1, &places("1"));
    let mut second = waits(&server);
    first.is_echoed();
    reload(&server, &folder, 2, &places("2"));
    assert_eq!(second.receive(1), "x");
    folder.write("portcell.toml", places("4000000000"));
    server.signal(Signal::HUP);
    let refused = server.find_line("the old configuration stays in force: ");
    assert!(refused.contains("restart"), "{refused}");
    let mut third = waits(&server);
    reload(&server, &folder, 3, &config(""));
    assert_eq!(third.receive(1), "x");
}

#[test]
fn an_address_that_another_listener_takes_over_turns_nobody_away() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts"), "");
    let first = listener("first", "tcp://127.0.0.1:0", "");
    let server = Server::serve(&folder, &format!("{first}{handler}")).start();
    let port = server.port_of("first");
    let mut old = server.connect();
    assert_eq!(old.ask("listener"), "first");
    let second = |more: &str| listener("second", &format!("tcp://127.0.0.1:{port}"), more);
    let connect = || Client::connect(("127.0.0.1", port));

    reload(&server, &folder, 1, &format!("{}{handler}", second("")));
    assert_eq!(connect().ask("listener"), "second");
    reload(&server, &folder, 2, &format!("{}{handler}", second("backlog = 7")));
    let mut of_second = connect();
    assert_eq!(of_second.ask("listener"), "second");
    drop(old);

    // What is fixed while a socket is bound is refused, and everything goes on.
    folder.write("portcell.toml", format!("{}{handler}", second("reuse_port = true")));
    server.signal(Signal::HUP);
    let refused = server.find_line("the old configuration stays in force: ");
    assert!(refused.contains("was made with other options"), "{refused}");
    assert_eq!(connect().ask("listener"), "second");
    assert_eq!(of_second.ask("listener"), "second");
}

#[test]
fn addresses_that_move_between_listeners_that_both_stay_turn_nobody_away() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts"), "");
    let with = |name: &str, binds: &[&str]| {
        let bind = format!("bind = {binds:?}");
        listener(name, "", "").replace("bind = \"\"", &bind)
    };
    let at = |name: &str| format!("unix:{}", folder.at(name).display());
    let [x, y, z] = ["x", "y", "z"].map(at);
    let config = |a: &[&str], b: &[&str]| format!("{}{}{handler}", with("a", a), with("b", b));
    let server = Server::serve(&folder, &config(&[&x, &y, "tcp://127.0.0.1:0"], &[&z])).start();
    let port = server.addresses("a", 3)[2].rsplit_once(':').unwrap().1.to_owned();
    let tcp = format!("tcp://127.0.0.1:{port}");
    let connect = || Client::connect(("127.0.0.1", port.parse().unwrap()));
    let mut old = connect();
    assert_eq!(old.ask("listener"), "a");
    for (count, moved) in ["b", "a", "b"].into_iter().enumerate() {
        let moves = if moved == "b" {
            config(&[&x], &[&z, &y, &tcp])
        } else {
            config(&[&x, &y, &tcp], &[&z])
        };
        reload(&server, &folder, count + 1, &moves);
        assert_eq!(connect().ask("listener"), moved);
        assert_eq!(Client::connect_unix(&folder.at("y")).ask("listener"), moved);
        assert_eq!(Client::connect_unix(&folder.at("x")).ask("listener"), "a");
        assert_eq!(Client::connect_unix(&folder.at("z")).ask("listener"), "b");
    }
    assert_eq!(old.ask("listener"), "a");
}

#[test]
fn a_configuration_that_is_refused_joins_no_group() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("tells_facts_by_datagram"), "");
    let good = |more: &str| {
        format!(
            "{}{handler}",
            listener("l", "udp://0.0.0.0:0", &format!("device = \"lo\"\n{more}"))
        )
    };
    let server = Server::serve(&folder, &good("")).start();
    // 239.77.1.213, as /proc/net/igmp has it.
    let (group, joined) = ("multicast = [\"239.77.1.213\"]", "D5014DEF");
    let is_joined = || std::fs::read_to_string("/proc/net/igmp").unwrap().contains(joined);
    let bad = format!("{}{}", good(group), listener("m", "tcp://192.0.2.1:1", ""));
    folder.write("portcell.toml", bad);
    server.signal(Signal::HUP);
    server.find_line("the old configuration stays in force: ");
    assert!(!is_joined());
    reload(&server, &folder, 1, &good(group));
    assert!(is_joined());
}

#[test]
fn many_signals_while_a_configuration_is_read_are_one_more_reload() {
    let folder = Folder::new();
    let config = format!(
        "server.receipts = \"receipts.json\"\n{}{}",
        listener("l", "tcp://127.0.0.1:0", ""),
        handler(&plugin("echo"), "")
    );
    let server = Server::serve(&folder, &config).start();
    let path = folder.at("portcell.toml");
    // The first reload waits for somebody to write the configuration.
    std::fs::remove_file(&path).unwrap();
    mkfifoat(CWD, &path, Mode::RWXU).unwrap();
    let receipts = folder.at("receipts.json");
    let mut written = None;
    for turn in 0..6 {
        std::fs::rename(&receipts, folder.at("old")).unwrap();
        server.signal(Signal::HUP);
        wait_until("the signal was heard", || receipts.exists());
        if turn == 0 {
            written = Some(std::fs::OpenOptions::new().write(true).open(&path).unwrap());
        }
    }
    // Others find a file.
    std::fs::remove_file(&path).unwrap();
    folder.write("portcell.toml", &config);
    written.unwrap().write_all(config.as_bytes()).unwrap();
    server.find_lines(2, "the configuration was applied");
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!((code, log.matches("the configuration was applied").count()), (0, 2), "{log}");
}

#[test]
fn a_configuration_that_takes_for_ever_to_be_read_holds_up_nobody() {
    let folder = Folder::new();
    let (server, config) = echo_with(&folder, "");
    let path = folder.at("portcell.toml");
    std::fs::remove_file(&path).unwrap();
    mkfifoat(CWD, &path, Mode::RWXU).unwrap();
    server.signal(Signal::HUP);
    // Whoever opens it for writing waits for somebody who reads.
    let mut writes = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    writes.write_all(config("").as_bytes()).unwrap();
    served(&server);
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("the configuration was applied"), "{log}");
}

#[test]
fn flows_go_on_through_a_reload_and_end_when_their_listener_goes() {
    let folder = Folder::new();
    let handler = handler(&folder.guest("echoes_datagrams"), "");
    let stays = listener("stays", "tcp://127.0.0.1:0", "");
    let udp = |more: &str| listener("udp", "udp://127.0.0.1:0", more);
    let head = "[server]\nreceipts = \"stderr\"\ndrain_idle = \"1500ms\"\n";
    let config = |more: &str| format!("{head}{stays}{}{handler}", udp(more));
    let server = Server::serve(&folder, &config("")).start();
    let port = server.port_of("udp");
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.connect(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let echoes = |text: &[u8]| {
        peer.send(text).unwrap();
        let mut answer = [0; 100];
        let length = peer.recv(&mut answer).unwrap();
        assert_eq!(&answer[..length], text);
    };
    echoes(b"one");
    reload(&server, &folder, 1, &config("flow_queue = 7"));
    echoes(b"two");
    folder.write("portcell.toml", format!("{head}{stays}{handler}"));
    server.signal(Signal::HUP);
    server.find_lines(2, "the configuration was applied");
    // Its flow may finish: it is known, and goes on until it is silent or ends itself.
    echoes(b"three");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(("127.0.0.1", port)).unwrap();
    stranger.send(b"hello").unwrap();
    echoes(b"four");
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 9]).is_err(), "newcomers are not served any more");
    let receipts = server.stop();
    assert_eq!(receipts.len(), 1, "one flow from the beginning to the end: {receipts:?}");
    assert_eq!(receipts[0]["transport"], "udp");
    assert_eq!(receipts[0]["exit"]["kind"], "drained");
    assert_eq!(receipts[0]["bytes_in"], 15);
}
