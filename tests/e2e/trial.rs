//! Guests are tried before they serve.

use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Folder, Program, Server, plugin, portcell};

const TRAPS: &str = r#"(module (memory (export "memory") 1) (func (export "handle") unreachable))"#;

fn config(module: &Path) -> String {
    format!(
        "[[listener]]\nname = \"l\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"h\"\n\
         [handler.h]\nmodule = \"{}\"\n",
        module.display()
    )
}

#[test]
fn a_guest_that_ends_before_it_looks_at_its_connection_does_not_start() {
    let folder = Folder::new();
    let module = folder.wat("traps", TRAPS);
    let said = "the trial of v1 failed: an instance ended before it had looked at its connection: \
                trap: wasm trap: wasm `unreachable` instruction executed in `#0`";
    let (code, log) = Server::run(&module).fail_by(portcell());
    assert_eq!(code, 64, "{log}");
    assert!(log.contains(&format!("traps.wasm: {said}")), "{log}");
    let file = folder.write("portcell.toml", config(&module));
    let checked = Program::portcell().argument("check").argument(file).run();
    assert_eq!(checked.code, 64, "{}", checked.stderr);
    assert!(checked.stderr.contains(said), "{}", checked.stderr);
}

#[test]
fn a_guest_that_spins_at_its_start_is_not_put_into_service() {
    let folder = Folder::new();
    let module = folder.version("module", "first-");
    let server = Server::serve(&folder, &config(&module)).start();
    let mut old = server.connect();
    assert_eq!(old.ask(""), "first- 1");
    let spins = folder.guest("spins_at_start");
    std::fs::rename(spins, &module).unwrap();
    server.signal(Signal::HUP);
    let said = server.find_line("the old configuration stays in force: ");
    assert!(
        said.contains("the trial of v2 failed: ") && said.ends_with("cpu_limit: handler.cpu"),
        "{said}"
    );
    assert_eq!(server.connect().ask(""), "first- 1");
    assert_eq!(old.ask(""), "first- 1");
}

#[test]
fn our_plugins_pass_their_trial() {
    let folder = Folder::new();
    for name in ["echo", "shout", "daytime", "hello-inetd", "http", "dns", "smtp"] {
        let file = folder.write("portcell.toml", config(&plugin(name)));
        let checked = Program::portcell().argument("check").argument(file).run();
        assert_eq!(checked.code, 0, "{name}: {}", checked.stderr);
    }
}
