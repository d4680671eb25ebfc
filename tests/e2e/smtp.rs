//! The smtp plugin, with clients that people use.

use std::fs;
use std::path::Path;

use crate::harness::{Folder, Program, Server, plugin};

/// A server that stores into `folder`, and these arguments.
fn smtp(folder: &Folder, arguments: &[&str]) -> Server {
    let grant = format!("{}::/mail::rw", folder.path().display());
    Server::run(plugin("smtp"))
        .arguments(&["--dir", &grant, "--env", "SERVER_NAME=mail.example"])
        .arguments(arguments)
        .start()
}

/// What a Python script prints that has `port`, and smtplib.
fn python(script: &str, server: &Server) -> String {
    let script = format!("import smtplib, socket, ssl, sys\nport = int(sys.argv[1])\n{script}");
    Program::new("python3").arguments(&["-c", &script]).argument(server.port().to_string()).text()
}

/// The only message in `folder`.
fn message(folder: &Path) -> String {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0].extension().unwrap() == "eml", "{files:?}");
    fs::read_to_string(&files[0]).unwrap()
}

#[test]
fn smtplib_delivers_a_message() {
    let folder = Folder::new();
    let server = smtp(&folder, &[]);
    let script = r#"
with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=30) as client:
    client.sendmail("ada@a.example", ["bob@b.example", "eve@b.example"],
                    "Subject: hello\r\n\r\n.\r\n..\r\n" + "a line\r\n" * 50000)
    print(client.noop())
"#;
    assert_eq!(python(script, &server), "(250, b'OK')\n");
    let message = message(folder.path());
    let expected = "Return-Path: <ada@a.example>\r\nX-Envelope-To: <bob@b.example>\r\n\
        X-Envelope-To: <eve@b.example>\r\nReceived: from client.example ([127.0.0.1])\r\n";
    assert!(message.starts_with(expected), "{}", &message[..500]);
    let text = format!("\r\nSubject: hello\r\n\r\n.\r\n..\r\n{}", "a line\r\n".repeat(50_000));
    assert!(message.ends_with(&text), "the text is another");
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn smtplib_upgrades_to_tls_where_mail_needs_it() {
    let folder = Folder::new();
    let server =
        smtp(&folder, &["--tls-self-signed", "--tls-start", "request", "--env", "REQUIRE_TLS=1"]);
    let script = r#"
with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
    client.ehlo()
    print(client.mail("ada@a.example")[0], client.has_extn("starttls"))
    client.starttls(context=ssl._create_unverified_context())
    print(client.mail("ada@a.example")[0])
    client.sendmail("ada@a.example", "bob@b.example", "over TLS")
    print(client.has_extn("starttls"))
"#;
    assert_eq!(python(script, &server), "530 True\n503\nFalse\n");
    let message = message(folder.path());
    assert!(message.contains("(using TLS 1.3 with TLS_") && message.contains("with ESMTPS id"));
    assert_eq!(server.receipt()["tls"]["version"], "1.3");
}

#[test]
fn commands_that_come_before_tls_are_not_obeyed() {
    let folder = Folder::new();
    let server = smtp(&folder, &["--tls-self-signed", "--tls-start", "request"]);
    let script = r#"
def lines(conn, count):
    source = conn.makefile("rb")
    return [source.readline()[:3].decode() for _ in range(count)]

conn = socket.create_connection(("127.0.0.1", port), timeout=30)
lines(conn, 1)
conn.sendall(b"STARTTLS\r\nEHLO eve\r\nMAIL FROM:<eve@b.example>\r\n")
print(lines(conn, 1))
conn = ssl._create_unverified_context().wrap_socket(conn)
conn.sendall(b"RCPT TO:<bob@b.example>\r\nQUIT\r\n")
print(lines(conn, 3))
"#;
    assert_eq!(python(script, &server), "['220']\n['503', '221', '']\n");
}

#[test]
fn a_drain_is_told_to_a_client_that_waits() {
    let folder = Folder::new();
    let server = smtp(&folder, &[]);
    let mut client = server.connect();
    assert_eq!(client.line(), "220 mail.example ESMTP portcell\r");
    server.drain();
    assert_eq!(client.line(), "421 mail.example The server stops, come again\r");
    client.ends_in_good_order();
}

#[test]
fn tls_is_listed_only_where_it_can_be_had() {
    let script = r#"
with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
    client.ehlo()
    print(client.has_extn("starttls"), client.docmd("STARTTLS")[0])
"#;
    let folder = Folder::new();
    let server = smtp(&folder, &["--env", "REQUIRE_TLS=1"]);
    assert_eq!(python(script, &server), "False 454\n");
    server.find_line("REQUIRE_TLS is 1 and the listener has no TLS");
}
