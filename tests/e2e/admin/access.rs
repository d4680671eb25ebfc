//! Who may steer a server, and where.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use super::{Ask as _, Steered, command, config, open};
use crate::harness::{Folder, Program, Server, portcell};

const TOKEN: &str = "0123456789abcdef0123";

#[test]
fn the_socket_is_beside_the_configuration_and_its_owners_alone() {
    let steered = Steered::start();
    let mode = std::fs::metadata(steered.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_dead_socket_is_replaced_and_one_that_somebody_has_is_not() {
    let folder = Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    drop(UnixListener::bind(folder.at("portcell.sock")).unwrap());
    let first = Steered { server: Server::serve(&folder, &config("", "")).start(), folder };
    first.said(&["status"]);
    let second = Server::serve(&first.folder, &config("", "")).fail_by(portcell());
    assert_eq!(second.0, 1, "{}", second.1);
    assert!(
        second.1.contains("the admin socket: ") && second.1.contains("it is taken"),
        "{}",
        second.1
    );
    assert!(!second.1.contains("listening on"), "{}", second.1);
    first.said(&["status"]);
}

#[test]
fn where_the_default_cannot_be_the_server_warns_and_serves_and_what_was_written_must_be() {
    let folder = Folder::new();
    let module = folder.guest("echo").display().to_string();
    // A folder in which nobody makes a file, with whatever is stdin in it.
    let serve = |of_server: &str| {
        let config = format!(
            "[server]\n{of_server}\n\
             [[listener]]\nname = \"echo\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n\
             [handler.echo]\nmodule = \"{module}\"\n"
        );
        let config = File::open(folder.write("other.toml", config)).unwrap();
        let mut command = portcell();
        command.stdin(config);
        (Server::serve_at("/proc/self/fd/0".as_ref()), command)
    };
    let (server, command) = serve("");
    let server = server.start_by(command);
    let said = server.find_line("no command can steer this server: the admin socket: ");
    assert!(said.contains("WARN") && said.contains("`admin = \"unix:/run/portcell/"), "{said}");
    server.connect().is_echoed();
    let (server, command) = serve("admin = \"unix:portcell.sock\"");
    let (code, log) = server.fail_by(command);
    assert_eq!(code, 1, "{log}");
    let said = "portcell: the admin socket: cannot listen on unix:/proc/self/fd/portcell.sock: ";
    assert!(log.contains(said), "{log}");
    let admin = format!("unix:{}", folder.at("x.sock").display());
    let (server, command) = serve(&format!("admin = \"{admin}\""));
    let _server = server.start_by(command);
    let status = Program::portcell().arguments(&["status", "--admin", &admin]).run();
    assert_eq!(status.code, 0, "{}", status.stderr);
}

#[test]
fn run_has_none_unless_it_is_asked_for() {
    let folder = Folder::new();
    let plugin = folder.guest("echo");
    let socket = folder.at("x.sock");
    let address = format!("unix:{}", socket.display());
    let server = Server::run(&plugin).start();
    assert_eq!(command(&folder, &["status"]).code, 1);
    drop(server);
    let _server = Server::run(&plugin).arguments(&["--admin", &address]).start();
    let status = command(&folder, &["status", "--admin", &address]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    let said = command(&folder, &["reload", "--admin", &address]);
    assert!(said.stderr.contains("the server was started with flags"), "{}", said.stderr);
}

#[test]
fn it_can_be_off() {
    let steered = Steered::with("admin = \"off\"", "");
    steered.echoed();
    assert!(!steered.socket().exists());
}

#[test]
fn over_tcp_the_token_is_asked_for() {
    let folder = Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    folder.write("admin.token", format!("{TOKEN}\n"));
    folder.write("wrong.token", "fedcba9876543210");
    let of_server = "admin = \"tcp://127.0.0.1:0\"\nadmin_token = \"admin.token\"";
    let server = Server::serve(&folder, &config(of_server, "")).start();
    let line = server.find_line("admin at tcp://127.0.0.1:");
    let address = line.split_whitespace().last().unwrap();
    let socket = || TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
    for header in [
        "",
        "authorization: Bearer\r\n",
        "authorization: Bearer fedcba9876543210\r\n",
        "authorization: Basic 0123456789abcdef0123\r\n",
    ] {
        for path in ["/v1/status", "/metrics", "/nothing"] {
            let (status, body) = socket().ask("GET", path, header, "");
            assert_eq!(status, 401, "{header}: {body}");
            assert!(!body.contains(TOKEN) && body.contains("\"error\""), "{body}");
        }
    }
    let header = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(socket().ask("GET", "/v1/status", &header, "").0, 200);
    let status =
        |more: &[&str]| command(&folder, &[&["status", "--admin", address], more].concat());
    assert_eq!(status(&["--admin-token", "admin.token"]).code, 0);
    let without = status(&[]);
    assert!(without.code == 1 && without.stderr.contains("--admin-token"), "{}", without.stderr);
    let wrong = status(&["--admin-token", "wrong.token"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("not that of the server"), "{}", wrong.stderr);
    let missing = status(&["--admin-token", "no.token"]);
    assert!(missing.code == 64 && missing.stderr.contains("no such file"), "{}", missing.stderr);
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn what_would_be_open_to_everybody_is_refused() {
    let folder = Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    folder.write("short.token", "short");
    for (of_server, said) in [
        ("admin = \"tcp://127.0.0.1:0\"", "every program that reaches this port could steer"),
        ("admin = \"unix:@portcell\"", "a name that is no file has no owner"),
        ("admin = \"udp://127.0.0.1:0\"", "it is a Unix socket or a TCP address"),
        ("admin = \"fd://admin\"", "it is a Unix socket or a TCP address"),
        ("admin = 5", "`admin` takes \"off\" or an address like \"unix:portcell.sock\""),
        ("admin_token = \"short.token\"", "a token is for an `admin` at a TCP address"),
        ("admin = \"tcp://127.0.0.1:0\"\nadmin_token = \"short.token\"", "16 to 256 letters"),
        ("admin = \"tcp://127.0.0.1:0\"\nadmin_token = \"no.token\"", "no such file"),
        ("metrics = \"unix:m.sock\"", "it is a TCP address; at a Unix socket they are with"),
    ] {
        let path = folder.write("portcell.toml", config(of_server, ""));
        let check = Program::portcell().argument("check").argument(&path).run();
        assert_eq!(check.code, 64, "{of_server}: {}", check.stderr);
        assert!(check.stderr.contains(said), "{of_server}: {}", check.stderr);
        let (code, log) = Server::serve(&folder, &config(of_server, "")).fail_by(portcell());
        assert!(code == 64 && log.contains(said), "{of_server}: {log}");
    }
}

#[test]
fn metrics_have_an_address_of_their_own_that_gives_nothing_else() {
    let steered = Steered::with("metrics = \"tcp://127.0.0.1:0\"", "");
    let line = steered.server.find_line("metrics at tcp://127.0.0.1:");
    let address = line.rsplit_once("tcp://").unwrap().1.to_owned();
    let ask = |method, path| TcpStream::connect(&address).unwrap().ask(method, path, "", "");
    let (status, text) = ask("GET", "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("portcell_listener_state{"), "{text}");
    for (method, path, refused) in [
        ("GET", "/v1/status", 404),
        ("POST", "/v1/drain", 404),
        ("DELETE", "/v1/connections/1", 404),
        ("POST", "/metrics", 405),
    ] {
        assert_eq!(ask(method, path).0, refused, "{method} {path}");
    }
    assert_eq!(open(&steered).ask("GET", "/metrics", "", "").0, 200);
}
