//! Starting: the ready line, and addresses that cannot be listened on.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::TestResult;
use crate::harness::{Folder, Output, Program, Server, plugin, repository};

/// `portcell run` at this address, by `program` and its arguments.
fn run_by(mut program: Program, address: &str) -> Output {
    program = program.argument("run").argument(plugin("echo"));
    program.arguments(&["--listen", address]).run()
}

/// Checks that a start failed in one line with all of `parts` in it.
fn failed(output: &Output, code: i32, parts: &[&str]) {
    let said = &output.stderr;
    assert_eq!(output.code, code, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}

#[test]
fn the_ready_line_names_the_address_and_the_listener() {
    let server = Server::run(plugin("echo")).start();
    let line = server.find_line("listening on");
    assert_eq!(line, format!("listening on tcp://127.0.0.1:{} (echo)", server.port()));
    let capacity = server.find_line("room for ");
    assert!(capacity.contains(" connections; "), "{capacity}");
}

#[test]
fn a_server_may_be_signalled_as_soon_as_it_is_ready() {
    for _ in 0..5 {
        Server::run(plugin("echo")).start().stop();
    }
}

#[test]
fn json_logs_are_json_on_every_line() -> TestResult {
    let folder = Folder::new();
    let server =
        Server::run(folder.guest("does_as_told")).arguments(&["--log-format", "json"]).start();
    let address = server.find_line("listening on tcp://");
    let address: Value = serde_json::from_str(&address)?;
    let address = address["message"].as_str().unwrap().split_whitespace().nth(2).unwrap();
    let mut client = crate::harness::Client::connect(address.trim_start_matches("tcp://"));
    client.send("lt");
    client.is_reset();
    server.receipt();
    let guest: Value = serde_json::from_str(&server.find_line("this is the guest"))?;
    assert_eq!(guest["handler"], "does_as_told");
    assert_eq!(guest["level"], "INFO");
    server.signal(rustix::process::Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    for line in log.lines() {
        let line: Value = serde_json::from_str(line)?;
        assert!(line["message"].is_string() || line["exit"].is_object(), "{line}");
    }
    Ok(())
}

#[test]
fn errors_are_json_too_where_logs_are() -> TestResult {
    for arguments in [["check", "/no/such.toml"], ["run", "/no/such.wasm"]] {
        let output =
            Program::portcell().arguments(&["--log-format", "json"]).arguments(&arguments).run();
        assert_eq!(output.code, 64, "{}", output.stderr);
        let line: Value = serde_json::from_str(&output.stderr)?;
        assert_eq!(line["level"], "ERROR");
        assert!(line["message"].as_str().unwrap().contains("/no/such"), "{line}");
    }
    Ok(())
}

#[test]
fn the_ready_line_is_there_however_little_is_logged() {
    for format in ["text", "json"] {
        let server = Server::run(plugin("echo"))
            .arguments(&["--log", "off", "--log-format", format])
            .start();
        server.find_line("listening on tcp://127.0.0.1:");
    }
}

#[test]
fn the_configuration_of_the_demo_is_good() {
    let output = Program::portcell().directory(&repository()).argument("check").text();
    assert_eq!(output, "portcell.toml: good: 6 listeners, 6 handlers\n");
}

#[test]
fn a_bad_address_is_bad_usage() {
    let output = run_by(Program::portcell(), "tcp://127.0.0.1");
    failed(&output, 64, &["--listen: bad address `tcp://127.0.0.1`: there is no port"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    let said = format!("cannot listen on {address}: it is taken by another program");
    failed(&run_by(Program::portcell(), &address), 1, &[&said]);
}

#[test]
fn an_address_of_another_machine_is_named() {
    // RFC 5737: an address that no machine has.
    let said = "cannot listen on tcp://192.0.2.1:7000: this machine does not have that address";
    failed(&run_by(Program::portcell(), "192.0.2.1:7000"), 1, &[said]);
}

#[test]
fn a_missing_right_is_said() {
    // Root without capabilities has no more rights than others.
    let portcell = || {
        let root = rustix::process::getuid().is_root();
        let dropped = ["--inh-caps=-all", "--bounding-set=-all"];
        let powerless = || {
            let program = Program::new("setpriv").arguments(&dropped);
            program.argument(env!("CARGO_BIN_EXE_portcell"))
        };
        if root { powerless() } else { Program::portcell() }
    };
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim().parse().is_ok_and(|first: u16| first > 7)) {
        let output = run_by(portcell(), "127.0.0.1:7");
        failed(&output, 1, &["cannot listen on tcp://127.0.0.1:7: permission denied; ports below"]);
    }
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o555)).unwrap();
    let address = format!("unix:{}", folder.at("x.sock").display());
    let output = run_by(portcell(), &address);
    failed(&output, 1, &[&format!("cannot listen on {address}: permission denied")]);
}

#[test]
fn a_socket_in_a_folder_that_is_not_there_is_said() {
    let output = run_by(Program::portcell(), "unix:/no/such/folder/x.sock");
    failed(
        &output,
        1,
        &["cannot listen on unix:/no/such/folder/x.sock: the folder does not exist"],
    );
}

#[test]
fn nothing_is_listened_on_when_one_address_cannot_be() {
    let folder = Folder::new();
    let path = folder.at("good.sock");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let output = Program::portcell()
        .argument("run")
        .argument(plugin("echo"))
        .arguments(&["--listen", &format!("unix:{}", path.display()), "--listen", &taken])
        .run();
    failed(&output, 1, &[&taken]);
    assert!(!path.exists());
}

#[test]
fn errors_of_a_configuration_have_file_and_line() {
    let module = plugin("echo").display().to_string();
    let good = format!(
        "[[listener]]\nname = \"e\"\nbind = \"127.0.0.1:0\"\nhandler = \"e\"\n\
         [handler.e]\nmodule = \"{module}\"\n"
    );
    let folder = Folder::new();
    let path = folder.write("notes.wasm", "notes");
    for (text, said) in [
        ("listen = 1\n".to_owned(), "portcell.toml:1: "),
        (format!("{good}memry = \"1MiB\"\n"), "portcell.toml:7: "),
        (format!("{good}cpu = 1\n"), "portcell.toml:7: "),
        (good.replace("handler = \"e\"", "handler = \"f\""), "portcell.toml:4: "),
        (good.replace(&module, "nowhere.wasm"), "portcell.toml:"),
        (good.replace(&module, &path.display().to_string()), "portcell.toml:"),
        (good.replace("[handler.e]", "[handler.e"), "portcell.toml:5: "),
    ] {
        let config = folder.write("portcell.toml", &text);
        for command in ["check", "serve"] {
            let output = Program::portcell().argument(command).argument(&config).run();
            assert_eq!(output.code, 64, "{command} {text}: {}", output.stderr);
            let begin = format!("portcell: {}", config.parent().unwrap().join(said).display());
            assert!(output.stderr.starts_with(&begin), "{command} {text}: {}", output.stderr);
        }
    }
}

#[test]
fn all_plugins_that_cannot_be_loaded_are_named() {
    let handler = |name: &str, module: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nhandler = \"{name}\"\n\
             [handler.{name}]\nmodule = \"{module}\"\n"
        )
    };
    let folder = Folder::new();
    folder.write("empty.wasm", "");
    let good = plugin("echo").display().to_string();
    let config = folder.write(
        "portcell.toml",
        [handler("a", "empty.wasm"), handler("b", &good), handler("c", "nowhere.wasm")].concat(),
    );
    for command in ["check", "serve"] {
        let output = Program::portcell().argument(command).argument(&config).run();
        assert_eq!(output.code, 64, "{command}: {}", output.stderr);
        let lines: Vec<_> = output.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{command}: {}", output.stderr);
        for (line, (number, name, said)) in lines.iter().zip([
            (6, "empty.wasm", "is empty; was the build interrupted?"),
            (18, "nowhere.wasm", "there is no such file"),
        ]) {
            let path = folder.at(name);
            let whole = format!("{}:{number}: {}: {said}", config.display(), path.display());
            assert_eq!(line.trim_start_matches("portcell: "), whole, "{command}");
        }
    }
}
