//! `portcell dev`: what is saved is built and comes into service.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Folder, Program, Server};

/// A handler that is built by the script `compile`.
const CONFIG: &str = "\
[[listener]]
name = \"greet\"
bind = \"tcp://127.0.0.1:0\"
handler = \"greet\"
[handler.greet]
module = \"greet.wasm\"
build = \"sh ./compile\"
";

/// Compiles as a compiler does that has no errors.
const COPY: &str = "cp source.wasm greet.wasm";

/// A project that can be built.
fn project() -> Folder {
    let folder = Folder::new();
    folder.version("source", "first-");
    folder.write("compile", COPY);
    folder
}

/// How often `text` is in the log.
fn count(server: &Server, text: &str) -> usize {
    server.log().matches(text).count()
}

#[test]
fn what_is_saved_is_built_and_comes_into_service() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    assert!(server.log().starts_with("dev: building greet: sh ./compile\n"), "{}", server.log());
    server.find_line("dev: greet version 1 is in service (");
    server.find_line("dev: watching /");
    let mut old = server.connect();
    assert_eq!(old.ask(""), "first- 1");

    folder.version("source", "second");
    server.find_line("dev: source.wasm has changed");
    server.find_line("dev: greet version 2 is in service (");
    assert_eq!(server.connect().ask(""), "second 2");
    assert_eq!(old.ask(""), "first- 1");

    // Commands find the server as they find any other.
    let status = Program::portcell().arguments(&["status"]).directory(folder.path()).text();
    assert!(status.contains("greet"), "{status}");
}

#[test]
fn a_build_that_makes_the_same_module_swaps_nothing() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: watching /");
    folder.write("compile", format!("{COPY}\n# anew"));
    server.find_line("dev: greet: the module is the same; version 1 stays in service (");
    assert_eq!(server.connect().ask(""), "first- 1");
    assert_eq!(count(&server, "is in service"), 1, "{}", server.log());
}

#[test]
fn a_build_that_fails_is_shown_and_leaves_what_is_in_service() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: watching /");
    folder.write("compile", "echo 'error: line 7' >&2\necho 'and so on'\nexit 3");
    server.find_line("dev: greet: the build failed (exit status: 3), ");
    server.find_line("dev: greet: version 1 stays in service");
    for said in ["error: line 7", "and so on"] {
        server.find_line(said);
    }
    assert_eq!(server.connect().ask(""), "first- 1");
    // A module that is built and no use is no reason to end, either.
    folder.write("compile", "echo nonsense > greet.wasm");
    server.find_line("dev: greet: /");
    server.find_lines(2, "dev: greet: version 1 stays in service");
    assert_eq!(server.connect().ask(""), "first- 1");
    folder.version("source", "second");
    folder.write("compile", COPY);
    server.find_line("dev: greet version 2 is in service (");
    assert_eq!(server.connect().ask(""), "second 2");
}

#[test]
fn a_first_build_that_fails_is_tried_again_at_the_next_save() {
    let folder = project();
    folder.write("compile", "exit 1");
    let server = Server::dev(&folder, CONFIG).begin();
    server.find_line("dev: greet: the build failed (exit status: 1), ");
    server.find_line("dev: nothing is served yet; waiting for the next save");
    // This one is good, and what it makes is no plugin.
    folder.write("compile", "echo nonsense > greet.wasm");
    server.find_lines(2, "dev: nothing is served yet; waiting for the next save");
    // Nor can a configuration be served that is wrong.
    folder.write("portcell.toml", "nonsense");
    server.find_line("portcell.toml:1: ");
    folder.write("portcell.toml", CONFIG);
    folder.write("compile", COPY);
    server.find_line("listening on ");
    assert_eq!(server.connect().ask(""), "first- 1");
}

#[test]
fn a_compiler_that_is_not_installed_is_told() {
    let folder = project();
    folder.write("compile", "no-such-compiler -o greet.wasm");
    let server = Server::dev(&folder, CONFIG).begin();
    server.find_line("no-such-compiler: ");
    server.find_line(
        "dev: greet: the build failed (exit status: 127): a command in it is not installed, or \
         not in PATH, ",
    );
}

#[test]
fn a_module_that_was_never_built_is_told_with_the_command_that_does() {
    let folder = project();
    let config = folder.write("portcell.toml", CONFIG);
    let output = Program::portcell().argument("serve").argument(&config).run();
    let said =
        "greet.wasm: there is no such file; `portcell dev` runs the `build` that has to make it\n";
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(output.stderr.ends_with(said), "{}", output.stderr);
}

#[test]
fn a_long_build_is_ended_by_the_next_save() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: watching /");
    // One of its processes does not listen; all of them have the log's pipe.
    folder.write("compile", "(trap '' TERM; echo deaf; sleep 1000) & echo long; sleep 1000; wait");
    server.find_line("deaf");
    server.find_line("long");
    folder.version("source", "second");
    folder.write("compile", COPY);
    server.find_line("; the build is ended");
    server.find_line("dev: greet version 2 is in service (");
    assert_eq!(server.connect().ask(""), "second 2");
    server.signal(Signal::INT);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn the_end_ends_the_build_and_does_not_wait_for_connections() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    let _open = server.connect();
    server.find_line("dev: watching /");
    folder.write("compile", "echo long; sleep 1000 & sleep 1000");
    server.find_line("long");
    server.signal(Signal::INT);
    // The log ends when nobody has its pipe any more.
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn the_end_comes_during_the_first_build_too() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = project();
        folder.write("compile", "echo long; sleep 1000 & sleep 1000");
        let server = Server::dev(&folder, CONFIG).begin();
        server.find_line("long");
        server.signal(signal);
        let (code, log) = server.wait();
        assert_eq!(code, 0, "{log}");
    }
}

#[test]
fn what_a_build_makes_beside_the_module_starts_no_other() {
    let folder = project();
    folder.write("compile", format!("{COPY}; mktemp lock.XXXXXX"));
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: watching /");
    for (version, tag) in [(2, "second"), (3, "third-")] {
        folder.version("source", tag);
        // And nothing else has.
        server.find_lines(version - 1, "dev: source.wasm has changed");
        server.find_line(&format!("dev: greet version {version} is in service ("));
        assert_eq!(count(&server, "dev: building "), version, "{}", server.log());
    }
}

#[test]
fn builds_that_change_their_own_sources_are_told_so_and_go_on_slowly() {
    let folder = project();
    folder.write("compile", format!("echo more >> generated; {COPY}"));
    folder.write("generated", "");
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: generated has changed");
    server.find_line("name it in .gitignore");
    assert_eq!(server.connect().ask(""), "first- 1");
    folder.write(".gitignore", "generated\n");
    folder.version("source", "second");
    server.find_line("dev: greet version 2 is in service (");
}

#[test]
fn a_configuration_that_is_saved_is_applied() {
    let folder = project();
    let server = Server::dev(&folder, CONFIG).start();
    server.find_line("dev: watching /");
    folder.write("portcell.toml", format!("{CONFIG}\nlifetime = \"1h\"\n"));
    server.find_line("the configuration was applied: handler greet: lifetime none -> 1h");
    server.find_line("portcell.toml is in service");
    // Nothing is built for that.
    assert_eq!(count(&server, "dev: building "), 1, "{}", server.log());

    folder.write("portcell.toml", "nonsense");
    server.find_line("portcell.toml:1: ");
    server.find_line("dev: the old configuration stays");
    assert_eq!(server.connect().ask(""), "first- 1");

    // A handler that is new is built before it can serve.
    let second = "[[listener]]\nname = \"other\"\nbind = \"unix:other.sock\"\nhandler = \"other\"\n\
                  [handler.other]\nmodule = \"other.wasm\"\nbuild = \"exit 2\"\n";
    folder.write("portcell.toml", format!("{CONFIG}{second}"));
    server.find_line("dev: building other: exit 2");
    server.find_line("dev: other: the build failed (exit status: 2), ");
    server.find_line("dev: the old configuration stays until that is built");
    let second = second.replace("exit 2", "cp source.wasm other.wasm");
    folder.write("portcell.toml", format!("{CONFIG}{second}"));
    server.find_line("dev: other version 1 is in service");
    assert_eq!(count(&server, "dev: building greet"), 1, "{}", server.log());
    // Both are built from what is saved now.
    folder.version("source", "second");
    server.find_line("dev: greet version 2 is in service (");
    server.find_line("dev: other version 2 is in service (");
}

#[test]
fn a_build_that_never_ends_is_ended_by_another_configuration() {
    let folder = project();
    let hangs = CONFIG.replace("sh ./compile", "echo long; sleep 1000");
    let server = Server::dev(&folder, &hangs).begin();
    server.find_line("long");
    folder.write("portcell.toml", CONFIG);
    server.find_line("dev: the build is ended for another configuration");
    server.find_line("listening on ");
    assert_eq!(server.connect().ask(""), "first- 1");
    // Beside one that serves, too.
    folder.write("portcell.toml", hangs);
    server.find_lines(2, "long");
    folder.write("portcell.toml", format!("{CONFIG}lifetime = \"1h\"\n"));
    server.find_line("handler greet: lifetime none -> 1h");
    folder.version("source", "second");
    server.find_line("dev: greet version 2 is in service (");
}

#[test]
fn a_module_that_is_watched_comes_into_service_once() {
    let folder = project();
    let server = Server::dev(&folder, &format!("{CONFIG}watch = true\n")).start();
    server.find_line("dev: watching /");
    folder.version("source", "second");
    server.find_line("dev: greet version 2 is in service (");
    folder.version("source", "third-");
    server.find_line("dev: greet version 3 is in service (");
    for version in ["handler greet: v2 ", "handler greet: v3 "] {
        server.find_line(version);
        assert_eq!(count(&server, version), 1, "{}", server.log());
    }
}

#[test]
fn without_a_build_it_says_what_to_write_and_with_the_flag_it_needs_none() {
    let folder = project();
    let config = CONFIG.replace("build = \"sh ./compile\"\n", "");
    folder.write("portcell.toml", &config);
    let output = Program::portcell().argument("dev").directory(folder.path()).run();
    assert_eq!(output.code, 64);
    assert_eq!(
        output.stderr,
        "portcell: portcell.toml: no handler has a `build`; write the command that makes its \
         module into [handler.greet], like build = \"cargo build --release\", or give it with \
         --build\n"
    );
    assert!(!fs::exists(folder.at("greet.wasm")).unwrap());
    let server = Server::dev(&folder, &config).arguments(&["--build", COPY]).start();
    assert_eq!(server.connect().ask(""), "first- 1");
}
