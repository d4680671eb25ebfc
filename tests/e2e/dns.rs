//! The dns plugin, with dig.

use std::net::{TcpListener, UdpSocket};

use crate::harness::{Passed, Peer, Program, Server, plugin, portcell_with, repository};

/// The folder of the example's zone, as a grant.
fn zones() -> String {
    format!("{}::/zones", repository().join("plugins/dns/zones").display())
}

/// A server of both transports at one port, which nobody else can take in between: the sockets
/// are made here.
fn start() -> (Server, u16) {
    let (tcp, udp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (tcp, udp);
        }
    };
    let passed = [Passed::new("dns", &tcp), Passed::new("dns", &udp)];
    let server = Server::run(plugin("dns"))
        .arguments(&["--dir", &zones(), "--drain-timeout", "1ms"])
        .listen("fd://dns")
        .start_by(portcell_with(&passed));
    (server, udp.local_addr().unwrap().port())
}

/// What dig says when it is asked so.
fn dig(port: u16, question: &[&str]) -> String {
    let port = port.to_string();
    let server = ["@127.0.0.1", "-p", &port, "+tries=1", "+timeout=30", "+nocookie"];
    Program::new("dig").arguments(&server).arguments(question).text()
}

/// The same without anything but the data of the answer, a line each.
fn short(port: u16, question: &[&str]) -> Vec<String> {
    let said = dig(port, &[question, &["+short"]].concat());
    said.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn dig_is_answered_over_udp_and_tcp_at_one_port() {
    let (server, port) = start();
    assert_eq!(server.addresses("dns", 2).len(), 2);
    for over in ["+notcp", "+tcp"] {
        let ask = |name: &str, kind: &str| short(port, &[over, name, kind]);
        assert_eq!(ask("example.org", "A"), ["192.0.2.1"]);
        assert_eq!(ask("v6.example.org", "AAAA"), ["2001:db8::6"]);
        assert_eq!(ask("example.org", "TXT"), ["\"v=spf1 mx -all\""]);
        assert_eq!(ask("example.org", "MX"), ["10 mail.example.org."]);
        assert_eq!(ask("www.example.org", "A"), ["example.org.", "192.0.2.1"]);
        assert_eq!(ask("blog.example.org", "CNAME"), ["pages.example.net."]);
        assert_eq!(ask("whatever.any.example.org", "A"), ["192.0.2.9"]);
        let mut both = ask("two.example.org", "A");
        both.sort();
        assert_eq!(both, ["192.0.2.2", "192.0.2.3"]);
    }
    // Peers of UDP can have had the same port, one after another.
    let receipts = server.stop();
    let of = |transport| receipts.iter().filter(move |it| it["transport"] == transport).count();
    assert!(of("tcp") == 8 && (1..=8).contains(&of("udp")), "{receipts:?}");
}

#[test]
fn what_is_not_there_is_said_as_the_protocol_has_it() {
    let (_server, port) = start();
    for over in ["+notcp", "+tcp"] {
        for (name, kind, status, answers) in [
            ("nothing.example.org", "A", "NXDOMAIN", 0),
            ("v6.example.org", "A", "NOERROR", 0),
            ("example.org", "A", "NOERROR", 1),
            ("example.net", "A", "REFUSED", 0),
        ] {
            let said = dig(port, &[over, name, kind]);
            assert!(said.contains(&format!("status: {status},")), "{name} {kind}: {said}");
            assert!(said.contains(&format!("ANSWER: {answers},")), "{name} {kind}: {said}");
        }
        // With the record that says for how long that can be believed (RFC 2308).
        let said = dig(port, &[over, "nothing.example.org", "A"]);
        assert!(said.contains("AUTHORITY: 1,") && said.contains("SOA\tns1.example.org."), "{said}");
        assert!(said.contains("flags: qr aa"), "{said}");
    }
}

#[test]
fn what_does_not_fit_into_a_datagram_is_asked_for_again_over_tcp() {
    let (server, port) = start();
    let question = ["large.example.org", "TXT"];
    let cut = dig(port, &["+ignore", "+notcp", question[0], question[1]]);
    assert!(cut.contains("flags: qr aa tc"), "{cut}");
    assert!(cut.contains("ANSWER: 0,"), "{cut}");
    let whole = dig(port, &question);
    assert!(whole.contains("Truncated, retrying in TCP mode"), "{whole}");
    assert!(whole.contains("ANSWER: 18,") && !whole.contains("flags: qr aa tc"), "{whole}");
    assert!(whole.contains("(TCP)"), "{whole}");
    let receipts = server.stop();
    let over_tcp = receipts.iter().filter(|receipt| receipt["transport"] == "tcp");
    assert_eq!(over_tcp.count(), 1, "{receipts:?}");
}

#[test]
fn edns_is_answered_with_edns() {
    let (_server, port) = start();
    let said = dig(port, &["+edns=0", "+bufsize=4096", "example.org", "A"]);
    assert!(said.contains("EDNS: version: 0, flags:; udp: 1232"), "{said}");
    let said = dig(port, &["+noedns", "example.org", "A"]);
    assert!(said.contains("status: NOERROR") && !said.contains("EDNS"), "{said}");
    // Of a version that nobody knows (RFC 6891, section 6.1.3).
    let said = dig(port, &["+edns=7", "+noednsnegotiation", "example.org", "A"]);
    assert!(said.contains("status: BADVERS"), "{said}");
}

#[test]
fn garbage_is_a_format_error_and_harms_nobody() {
    let (_server, port) = start();
    let peer = Peer::of(("127.0.0.1", port));
    // A header that promises one question, and what is none.
    let mut garbage = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    garbage.extend([0xff; 30]);
    peer.send(&garbage);
    let answer = peer.receive();
    assert_eq!(answer[..2], [0xab, 0xcd]);
    assert_eq!((answer[2] & 0x80, answer[3] & 0x0f), (0x80, 1), "a response, FORMERR: {answer:?}");
    // Less than a header is not answered, and what follows is.
    peer.send("garbage");
    peer.send("");
    peer.send(&garbage);
    assert_eq!(peer.receive(), answer);
    assert!(peer.hears_nothing());
    assert_eq!(short(port, &["example.org", "A"]), ["192.0.2.1"]);
}

#[test]
fn one_connection_answers_many_questions() {
    let (server, port) = start();
    let questions = ["+keepopen", "+tcp", "+short", "example.org", "A", "v6.example.org", "AAAA"];
    assert_eq!(dig(port, &questions), "192.0.2.1\n2001:db8::6\n");
    let receipt = server.receipt();
    assert_eq!((&receipt["transport"], &receipt["exit"]["kind"]), (&"tcp".into(), &"ok".into()));
    assert_eq!(server.stop().len(), 1);
}

#[test]
fn an_instance_for_each_datagram_answers_dig() {
    let server = Server::run(plugin("dns"))
        .arguments(&["--dir", &zones(), "--mode", "datagram"])
        .listen("udp://127.0.0.1:0")
        .start();
    let port = server.udp_port();
    assert_eq!(short(port, &["example.org", "A"]), ["192.0.2.1"]);
    assert!(dig(port, &["nothing.example.org", "A"]).contains("status: NXDOMAIN"));
    let cut = dig(port, &["+ignore", "large.example.org", "TXT"]);
    assert!(cut.contains("flags: qr aa tc"), "{cut}");
    for receipt in server.receipts(3) {
        assert_eq!(receipt["transport"], "udp");
        assert_eq!(receipt["exit"]["kind"], "ok");
    }
}
