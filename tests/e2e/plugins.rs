//! The plugins, each with a client that people use.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::TestResult;
use crate::harness::{Client, Program, Server, plugin};

fn nc(server: &Server) -> Program {
    // -N: the end of stdin is the end of this side.
    Program::new("nc").arguments(&["-N", "127.0.0.1", &server.port().to_string()])
}

fn python(script: &str, server: &Server) -> Program {
    Program::new("python3").arguments(&["-c", script]).argument(server.port().to_string())
}

#[test]
fn echo_gives_ten_megabytes_back_as_they_were() {
    let server = Server::run(plugin("echo")).start();
    let script = r#"
import hashlib, random, socket, sys, threading

data = random.Random(1).randbytes(10_000_000)
conn = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30)
def send():
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
sender = threading.Thread(target=send)
sender.start()
digest, count = hashlib.sha256(), 0
while piece := conn.recv(65536):
    digest.update(piece)
    count += len(piece)
sender.join()
print(count, digest.digest() == hashlib.sha256(data).digest())
"#;
    assert_eq!(python(script, &server).text(), "10000000 True\n");
    let receipt = server.receipt();
    assert_eq!(receipt["bytes_in"], 10_000_000);
    assert_eq!(receipt["bytes_out"], 10_000_000);
    assert_eq!(receipt["exit"]["kind"], "ok");
}

#[test]
fn echo_answers_netcat() {
    let server = Server::run(plugin("echo")).start();
    assert_eq!(nc(&server).input("hello\n").text(), "hello\n");
}

#[test]
fn shout_answers_netcat() {
    let server = Server::run(plugin("shout")).start();
    let lines = "hello\nwörld\nno line end";
    assert_eq!(nc(&server).input(lines).text(), "HELLO\nWÖRLD\nNO LINE END\n");
}

#[test]
fn shout_does_not_care_how_lines_are_split_into_writes() {
    let server = Server::run(plugin("shout")).start();
    let mut client = server.connect();
    for piece in ["he", "l", "lo\nhow are", " you\nsplit in a \u{e4}".trim_end_matches('\u{e4}')] {
        client.send(piece);
    }
    assert_eq!(client.line(), "HELLO");
    assert_eq!(client.line(), "HOW ARE YOU");
    // One character in two pieces, and then three lines in one.
    client.send([0xc3]);
    client.send([0xa4, b'\n', b'a', b'\n', b'\n', b'b', b'\n']);
    let lines = [client.line(), client.line(), client.line(), client.line()];
    assert_eq!(lines, ["SPLIT IN A Ä", "A", "", "B"]);
    client.end();
    client.ends_in_good_order();
}

#[test]
fn daytime_answers_without_a_question_and_closes() -> TestResult {
    let server = Server::run(plugin("daytime")).start();
    let line = nc(&server).text();
    let time = line.trim_end_matches("-UTC\r\n");
    // RFC 867: "Tuesday, February 22, 1982 17:37:43-PST". date(1) says which second that is.
    let date = ["-u", "+%s", "-d", &time.replacen(", ", " ", 2)];
    let said: u64 = Program::new("date").arguments(&date).text().trim().parse()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    assert!((now - 30..=now).contains(&said), "{line:?} is not now");
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
    Ok(())
}

#[test]
fn daytime_answers_whole_to_a_client_whose_input_nobody_reads() {
    let server = Server::run(plugin("daytime")).start();
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(vec![b'x'; 100_000]);
        let answer = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(answer.ends_with("-UTC\r\n"), "{answer:?}");
    }
}

#[test]
fn the_end_comes_at_once_to_a_client_that_does_not_end_its_side() {
    let server = Server::run(plugin("daytime")).start();
    let began = Instant::now();
    for _ in 0..10 {
        server.connect().rest().unwrap();
    }
    // The server lingers for 2 s: the end must not wait for that.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_plain_program_is_a_server() {
    let server = Server::run(plugin("hello-inetd")).start();
    let answer = nc(&server).input("Ada\nGrace").text();
    let mut lines = answer.lines();
    let greeting = lines.next().unwrap();
    let peer = server.receipt()["peer"].as_str().unwrap().to_owned();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    let address = greeting.trim_start_matches("Hello, ").trim_end_matches("! Who is there?");
    assert!(peer == address || peer.starts_with(&format!("{address}:")), "{greeting} to {peer}");
    assert_eq!(lines.collect::<Vec<_>>(), ["Hello, Ada!", "Hello, Grace!"]);
}

#[test]
fn a_plain_program_answers_at_the_newline() {
    let server = Server::run(plugin("hello-inetd")).start();
    let mut client = server.connect();
    assert!(client.line().starts_with("Hello, 127.0.0.1"));
    assert_eq!(client.ask("Ada"), "Hello, Ada!");
    assert_eq!(client.ask("Grace"), "Hello, Grace!");
    client.end();
    client.ends_in_good_order();
}

#[test]
fn several_clients_of_a_plain_program_take_turns() {
    let server = Server::run(plugin("hello-inetd")).start();
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.line(), "Hello, 127.0.0.1! Who is there?");
    }
    // Half a line of each, before the other half of any.
    for client in &mut clients {
        client.send("Client ");
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        assert_eq!(client.ask(&number.to_string()), format!("Hello, Client {number}!"));
    }
    // The end of one is the end of no other.
    for number in 0..10 {
        let mut leaves = clients.remove(0);
        leaves.end();
        leaves.ends_in_good_order();
        for client in &mut clients {
            assert_eq!(client.ask(&number.to_string()), format!("Hello, {number}!"));
        }
    }
    assert_eq!(server.stop().len(), 10);
}

#[test]
fn several_plugins_are_served_at_once() {
    let folder = crate::harness::Folder::new();
    let config = ["echo", "shout", "daytime", "hello-inetd"].map(|name| {
        let module = plugin(name);
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"{name}\"\n\
             [handler.{name}]\nmodule = \"{}\"\n",
            module.display()
        )
    });
    let server = Server::serve(&folder, &config.concat()).start();
    assert_eq!(server.connect_to("echo").ask("a"), "a");
    assert_eq!(server.connect_to("shout").ask("a"), "A");
    assert!(server.connect_to("daytime").line().ends_with("-UTC\r"));
    assert!(server.connect_to("hello-inetd").line().starts_with("Hello, "));
}

#[test]
fn a_client_that_says_nothing_is_no_failure() {
    for name in ["echo", "shout", "hello-inetd"] {
        let server = Server::run(plugin(name)).start();
        let mut client: Client = server.connect();
        client.end();
        client.rest().unwrap();
        assert_eq!(server.receipt()["exit"]["kind"], "ok", "{name}");
    }
}
