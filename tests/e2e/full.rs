//! Clients for whom there is no place: turned away, or in a queue.

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::harness::{Client, Folder, Program, Server, plugin};

const FAREWELL: &str = "421 too many connections\r\n";

/// A server of echo with one place.
fn start(when_full: &str) -> Server {
    let arguments = ["--spawn", "1", "--when-full", when_full, "--farewell"];
    // As it is written in a shell.
    let farewell = FAREWELL.replace("\r\n", "\\r\\n");
    Server::run(plugin("echo")).arguments(&arguments).arguments(&[&farewell]).start()
}

fn served(server: &Server) -> Client {
    let mut client = server.connect();
    client.is_echoed();
    client
}

fn ends(mut client: Client) {
    client.end();
    client.ends_in_good_order();
}

/// Checks that somebody is sent the farewell and nothing else.
fn is_turned_away(mut client: Client) {
    assert_eq!(String::from_utf8(client.rest().unwrap()).unwrap(), FAREWELL);
}

/// Lines of the log with `text` in them.
fn lines(server: &Server, text: &str) -> usize {
    server.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn who_is_turned_away_reads_the_whole_farewell() {
    let server = start("refuse");
    let place = served(&server);
    // What it has sent is never read, and must not cost it what it is sent.
    let script = r#"
import socket, sys

for size in (0, 1, 10_000):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as conn:
        conn.sendall(b"x" * size)
        text = b""
        while piece := conn.recv(65536):
            text += piece
        print(text)
"#;
    let python = Program::new("python3").arguments(&["-c", script]);
    let said = python.argument(server.port().to_string()).text();
    assert_eq!(said, "b'421 too many connections\\r\\n'\n".repeat(3));
    ends(place);
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
    ends(served(&server));
    assert_eq!(server.stop().len(), 2, "who is turned away is no connection");
}

#[test]
fn that_clients_are_turned_away_is_logged_when_it_begins_and_when_it_is_over() {
    let server = start("refuse");
    let _place = served(&server);
    for _ in 0..20 {
        is_turned_away(server.connect());
    }
    let address = format!("tcp://127.0.0.1:{}", server.port());
    let begins = format!("echo: clients at {address} are turned away: it is full");
    server.find_line(&format!("echo: clients at {address} were turned away 20 times"));
    assert_eq!(lines(&server, &begins), 1, "{}", server.log());
    is_turned_away(server.connect());
    server.find_lines(2, &begins);
}

#[test]
fn without_a_farewell_nothing_is_said() {
    let server =
        Server::run(plugin("echo")).arguments(&["--spawn", "1", "--when-full", "refuse"]).start();
    let _place = served(&server);
    for _ in 0..3 {
        server.connect().ends_in_good_order();
    }
}

#[test]
fn a_wait_in_the_queue_is_no_silence() {
    let arguments = ["--spawn", "1", "--when-full", "queue:6:30s", "--idle-timeout", "2s"];
    let server = Server::run(plugin("echo")).arguments(&arguments).start();
    let mut place = served(&server);
    let mut queued = server.connect();
    // For longer than the timeout.
    for _ in 0..15 {
        assert!(place.hears_nothing());
        place.is_echoed();
    }
    ends(place);
    assert!(queued.hears_nothing(), "it was ended for what was before its turn");
    queued.is_echoed();
}

#[test]
fn a_queue_is_served_in_its_order() {
    let server = start("queue:6:30s");
    let mut place = served(&server);
    // All at once, from the server's side.
    server.halt();
    let mut queue: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut queue {
        client.send("x");
    }
    server.signal(Signal::CONT);
    is_turned_away(server.connect());
    while !queue.is_empty() {
        assert!(queue[0].hears_nothing());
        ends(place);
        place = queue.remove(0);
        assert_eq!(place.receive(1), "x");
    }
    ends(place);
    assert_eq!(server.stop().len(), 7);
}

#[test]
fn who_has_waited_for_too_long_is_turned_away() {
    let server = start("queue:2:100ms");
    let mut place = served(&server);
    let waiting: Vec<_> = (0..2).map(|_| server.connect()).collect();
    waiting.into_iter().for_each(is_turned_away);
    place.is_echoed();
    ends(place);
    assert_eq!(server.stop().len(), 1);
}

#[test]
fn a_client_that_leaves_the_queue_leaves_its_place_to_others() {
    let server = start("queue:2:30s");
    let place = served(&server);
    let (gives_up, mut waits) = (server.connect(), server.connect());
    gives_up.reset();
    waits.send("x");
    ends(place);
    assert_eq!(waits.receive(1), "x");
}

/// Listeners `a` and `b` of one pool; the second one refuses.
fn pooled(size: usize) -> (Folder, Server) {
    let folder = Folder::new();
    let listener = |name: &str, more: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n\
             spawn = {{ pool = \"small\" }}\n{more}\n"
        )
    };
    let config = format!(
        "{}{}[pool.small]\nsize = {size}\n[handler.echo]\nmodule = \"{}\"\n",
        listener("a", ""),
        listener("b", "when_full = \"refuse\"\nfarewell = \"421 too many connections\\r\\n\""),
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    (folder, server)
}

#[test]
fn listeners_share_the_places_of_a_pool_and_each_does_as_it_likes_without_one() {
    let (_folder, server) = pooled(2);
    let (mut a, mut b) = (server.connect_to("a"), server.connect_to("b"));
    a.is_echoed();
    b.is_echoed();
    is_turned_away(server.connect_to("b"));
    let mut waits = server.connect_to("a");
    waits.send("x");
    assert!(waits.hears_nothing());
    ends(b);
    assert_eq!(waits.receive(1), "x");
    is_turned_away(server.connect_to("b"));
    ends(a);
    ends(waits);
}

#[test]
fn for_want_of_descriptors_clients_are_turned_away_instead_of_left_hanging() {
    let server = Server::run(plugin("echo"))
        .arguments(&["--when-full", "refuse", "--farewell", "421 too many connections\\r\\n"])
        .start();
    let mut open = served(&server);
    let used = std::fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero()));
    let most = Some(used.unwrap().count() as u64 + 5);
    prlimit(Some(server.pid()), Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let (mut inside, mut turned_away) = (Vec::new(), 0);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("x");
        if client.receive(1) == "x" {
            inside.push(client);
        } else {
            turned_away += 1;
        }
    }
    assert!(!inside.is_empty() && turned_away > 0, "{inside:?}, {turned_away}");
    let said = server.find_line("are turned away: Too many open files");
    assert!(said.contains("WARN"), "{said}");
    assert_eq!(lines(&server, "are turned away"), 1, "{}", server.log());
    open.is_echoed();
    // With descriptors there are places again.
    inside.drain(..).for_each(ends);
    ends(served(&server));
    server.find_line("were turned away ");
}
