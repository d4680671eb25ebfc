//! Listeners at Unix sockets.

use std::io::ErrorKind;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::process::{Signal, getgid, getuid};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::{Client, Folder, Program, Server, plugin, portcell, wait_until};

#[test]
fn a_socket_file_is_there_while_the_server_is() {
    let folder = Folder::new();
    let path = folder.at("echo.sock");
    let server = Server::run(plugin("echo")).listen(&format!("unix:{}", path.display())).start();
    assert_eq!(server.addresses("echo", 1), [format!("unix:{}", path.display())]);
    let mut client = Client::connect_unix(&path);
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn the_peer_is_told_by_process_and_user() {
    let folder = Folder::new();
    let path = folder.at("facts.sock");
    let address = format!("unix:{}", path.display());
    let server = Server::run(folder.guest("tells_facts")).listen(&address).start();
    let mut client = Client::connect_unix(&path);
    let (pid, uid) = (std::process::id(), getuid().as_raw());
    assert_eq!(client.ask("peer.pid"), pid.to_string());
    assert_eq!(client.ask("peer.uid"), uid.to_string());
    assert_eq!(client.ask("peer.gid"), getgid().as_raw().to_string());
    assert_eq!(client.ask("peer.address"), format!("unix:pid={pid},uid={uid}"));
    assert_eq!(client.ask("local.address"), address);
    assert_eq!(client.ask("transport"), "unix");
    drop(client);
    let receipt = server.receipt();
    assert_eq!(receipt["local"], address);
    assert_eq!(receipt["transport"], "unix");
}

#[test]
fn a_socket_file_that_nobody_listens_at_is_replaced() {
    let folder = Folder::new();
    let path = folder.at("stale.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Server::run(plugin("echo")).listen(&format!("unix:{}", path.display())).start();
    Client::connect_unix(&path).is_echoed();
    drop(server);
}

#[test]
fn what_a_server_that_was_killed_has_left_is_replaced() {
    let folder = Folder::new();
    let path = folder.at("echo.sock");
    let address = format!("unix:{}", path.display());
    let killed = Server::run(plugin("echo")).listen(&address).start();
    let mut lost = Client::connect_unix(&path);
    lost.is_echoed();
    killed.signal(Signal::KILL);
    assert!(lost.rest().is_ok_and(|rest| rest.is_empty()));
    wait_until("nobody listens", || UnixStream::connect(&path).is_err());
    assert!(path.exists());
    let server = Server::run(plugin("echo")).listen(&address).start();
    Client::connect_unix(&path).is_echoed();
    drop(server);
}

#[test]
fn the_file_has_the_rights_that_are_configured() {
    let folder = Folder::new();
    let path = folder.at("echo.sock");
    let text = path.display().to_string();
    let stat = || Program::new("stat").arguments(&["-c", "%F %a %u %g", &text]).text();
    let config = |more: &str| {
        format!(
            "[[listener]]\nname = \"e\"\nbind = \"unix:{text}\"\nhandler = \"e\"\n{more}\n\
             [handler.e]\nmodule = \"{}\"\n",
            plugin("echo").display()
        )
    };
    // Only root can give files away.
    let me = (getuid().as_raw(), getgid().as_raw());
    let (user, group) = if getuid().is_root() { (1, 2) } else { me };
    let rights =
        |mode: &str| format!("unix_mode = \"{mode}\"\nunix_owner = {user}\nunix_group = {group}");
    let server = Server::serve(&folder, &config(&rights("0620"))).start();
    assert_eq!(stat(), format!("socket 620 {user} {group}\n"));
    Client::connect_unix(&path).is_echoed();

    // They change while it listens.
    folder.write("portcell.toml", config(&rights("0666")));
    server.signal(Signal::HUP);
    server.find_line("the configuration was applied");
    assert_eq!(stat(), format!("socket 666 {user} {group}\n"));
    server.stop();
    assert!(!path.exists());

    // By name, and as a flag.
    let by_name = |flag: &str| Program::new("id").arguments(&[flag]).text().trim().to_owned();
    let server = Server::run(plugin("echo"))
        .arguments(&["--unix-owner", &by_name("-un"), "--unix-group", &by_name("-gn")])
        .arguments(&["--unix-mode", "0600"])
        .listen(&format!("unix:{text}"))
        .start();
    assert_eq!(stat(), format!("socket 600 {} {}\n", me.0, me.1));
    drop(server);
}

#[test]
fn a_user_whom_nobody_knows_is_named_and_nothing_is_left() {
    let folder = Folder::new();
    let path = folder.at("echo.sock");
    for (flag, name) in [("--unix-owner", "no-such-user"), ("--unix-group", "no-such-group")] {
        let (code, log) = Server::run(plugin("echo"))
            .arguments(&[flag, name])
            .listen(&format!("unix:{}", path.display()))
            .fail_by(portcell());
        assert_eq!(code, 1, "{log}");
        assert!(log.lines().count() == 1 && log.contains(name), "{log}");
        assert!(!path.exists());
    }
}

#[test]
fn a_socket_that_somebody_listens_at_is_left_to_them() {
    let folder = Folder::new();
    let path = folder.at("live.sock");
    let address = format!("unix:{}", path.display());
    let server = Server::run(plugin("echo")).listen(&address).start();
    refused(&address, "it is taken by another program");
    Client::connect_unix(&path).is_echoed();
    drop(server);
}

#[test]
fn a_socket_of_another_kind_is_left_to_its_program() {
    let folder = Folder::new();
    let path = folder.at("datagrams.sock");
    let theirs = UnixDatagram::bind(&path).unwrap();
    refused(&format!("unix:{}", path.display()), "it is taken by another program");
    UnixDatagram::unbound().unwrap().send_to(b"x", &path).unwrap();
    assert_eq!(theirs.recv(&mut [0; 2]).unwrap(), 1);
}

#[test]
fn a_socket_whose_backlog_is_full_is_left_to_its_program() {
    let folder = Folder::new();
    let path = folder.at("busy.sock");
    let address = SockAddr::unix(&path).unwrap();
    let theirs = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    theirs.bind(&address).unwrap();
    theirs.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    refused(&format!("unix:{}", path.display()), "it is taken by another program");
    for _ in &waiting {
        theirs.accept().unwrap();
    }
    Client::connect_unix(&path);
}

#[test]
fn a_socket_file_that_somebody_else_has_put_there_is_left_to_them() {
    let folder = Folder::new();
    let path = folder.at("echo.sock");
    let address = format!("unix:{}", path.display());
    let old = Server::run(plugin("echo")).listen(&address).start();
    std::fs::remove_file(&path).unwrap();
    let new = Server::run(plugin("echo")).listen(&address).start();
    old.stop();
    Client::connect_unix(&path).is_echoed();
    new.stop();
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let path = folder.write("notes.txt", "notes");
    refused(&format!("unix:{}", path.display()), "there is a file that is no socket");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "notes");
}

#[test]
fn an_abstract_socket_has_no_file() {
    let name = format!("portcell-test-{}", std::process::id());
    let server = Server::run(plugin("echo")).listen(&format!("unix:@{name}")).start();
    assert_eq!(server.addresses("echo", 1), [format!("unix:@{name}")]);
    let nc = Program::new("nc").arguments(&["-N", "-U", &format!("@{name}")]);
    assert_eq!(nc.input("hello").text(), "hello");
}

fn refused(address: &str, why: &str) {
    let output = Program::portcell()
        .argument("run")
        .argument(plugin("echo"))
        .arguments(&["--listen", address])
        .run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains(&format!("cannot listen on {address}")), "{}", output.stderr);
    assert!(output.stderr.contains(why), "{}", output.stderr);
}
