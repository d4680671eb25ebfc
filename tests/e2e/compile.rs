//! Modules that are made to hold up or fill the compiler: each is refused, and a server that runs
//! does not notice.

use std::path::PathBuf;

use portcell::{Compiler, Server as Library};
use rustix::process::{Signal, kill_process};

use crate::TestResult;
use crate::harness::{
    Client, Folder, Output, Passed, Process, Program, Server, config, plugin, portcell,
    portcell_with, wait_until,
};

/// A module with one function that takes the compiler more than a minute.
fn slow(folder: &Folder) -> PathBuf {
    let loops = 100_000;
    let mut body = vec![1];
    leb(&mut body, LOCALS);
    body.push(0x7f);
    // `loop`, then `local.get`, `local.get`, `i32.add`, `local.set`: what each computes depends on
    // what the others do.
    for number in 0..loops {
        body.extend([0x03, 0x40]);
        for (factor, opcodes) in [(7, &[0x20][..]), (11, &[0x20]), (13, &[0x6a, 0x21])] {
            body.extend(opcodes);
            leb(&mut body, number * factor % LOCALS);
        }
    }
    // `local.get`, `br_if 0`, `end`.
    for number in 0..loops {
        body.push(0x20);
        leb(&mut body, number * 17 % LOCALS);
        body.extend([0x0d, 0, 0x0b]);
    }
    body.push(0x0b);
    folder.write("slow.wasm", module(&[&body]))
}

const LOCALS: usize = 100;

/// A module with `handle` and so many functions that do nothing.
fn functions(folder: &Folder, count: usize) -> PathBuf {
    let bodies: Vec<&[u8]> = vec![&[0, 0x0b]; count];
    folder.write("functions.wasm", module(&bodies))
}

/// A module with `handle`, a memory, and functions with these bodies.
fn module(bodies: &[&[u8]]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |number: u8, count: usize, content: &[u8]| {
        let mut counted = Vec::new();
        leb(&mut counted, count);
        counted.extend(content);
        module.push(number);
        leb(&mut module, counted.len());
        module.extend(counted);
    };
    section(1, 1, b"\x60\0\0");
    section(3, bodies.len() + 1, &vec![0; bodies.len() + 1]);
    section(5, 1, b"\0\x01");
    section(7, 2, b"\x06memory\x02\0\x06handle\0\0");
    let mut code = vec![2, 0, 0x0b];
    for body in bodies {
        leb(&mut code, body.len());
        code.extend(*body);
    }
    section(10, bodies.len() + 1, &code);
    module
}

/// A number as wasm writes it.
fn leb(to: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        to.push(u8::try_from(number % 128 + 128).unwrap());
        number /= 128;
    }
    to.push(u8::try_from(number).unwrap());
}

/// Runs `portcell run` or another command with what must not be served.
fn refused(arguments: &[&str], path: &PathBuf) -> String {
    let Output { code, stderr, .. } = Program::portcell().arguments(arguments).argument(path).run();
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains(path.to_str().unwrap()), "{stderr}");
    stderr
}

#[test]
fn a_module_that_takes_too_long_is_refused() {
    let folder = Folder::new();
    let run = ["run", "--listen", "127.0.0.1:0", "--compile-timeout", "1s"];
    let said = refused(&run, &slow(&folder));
    assert!(said.contains("takes longer than 1s to compile; make it smaller, or"), "{said}");
    assert!(said.contains("raise server.compile_timeout"), "{said}");
}

#[test]
fn a_module_that_takes_too_much_memory_is_refused() {
    let folder = Folder::new();
    let run = ["run", "--listen", "127.0.0.1:0", "--compile-memory", "256MiB"];
    let said = refused(&run, &functions(&folder, 990_000));
    assert!(said.contains("needs more than 256MiB of memory to compile; make it"), "{said}");
    assert!(said.contains("raise server.compile_memory"), "{said}");
    // The least that can be configured is enough for what handlers usually are.
    let run = Server::run(plugin("echo")).arguments(&["--cache", "off"]);
    run.arguments(&["--compile-memory", "256MiB"]).start().connect().is_echoed();
}

#[test]
fn a_check_has_the_same_bounds() {
    let folder = Folder::new();
    slow(&folder);
    let config = "[server]\ncompile_timeout = \"500ms\"\n\
        [[listener]]\nname = \"a\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"h\"\n\
        [handler.h]\nmodule = \"slow.wasm\"\n";
    let path = folder.write("portcell.toml", config);
    let said = refused(&["check"], &path);
    assert!(said.contains("slow.wasm: takes longer than 500ms to compile"), "{said}");
}

#[test]
fn a_long_compilation_is_told_of() {
    let folder = Folder::new();
    let run = ["run", "--listen", "127.0.0.1:0", "--compile-timeout", "4s"];
    let said = refused(&run, &slow(&folder));
    assert!(said.contains("slow.wasm ("), "{said}");
    assert!(said.contains(") takes a while; it may take 4s"), "{said}");
}

/// A configuration with one handler, and 2 s for its module.
fn serving(module: &str) -> String {
    format!(
        "[server]\ncompile_timeout = \"2s\"\n\
         [[listener]]\nname = \"a\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"h\"\n\
         [handler.h]\nmodule = \"{module}\"\n"
    )
}

#[test]
fn a_server_goes_on_serving_while_a_module_is_refused() {
    let folder = Folder::new();
    slow(&folder);
    let echo = plugin("echo");
    let server = Server::serve(&folder, &serving(echo.to_str().unwrap())).start();
    let mut early = server.connect_to("a");
    early.is_echoed();
    let process = Process::of(&server);
    let (descriptors, memory) = (process.descriptors(), process.memory());

    folder.write("portcell.toml", serving("slow.wasm"));
    server.signal(Signal::HUP);
    let compiler = process.child();
    server.connect_to("a").is_echoed();
    early.is_echoed();
    assert!(compiler.runs(), "nobody was served while it was compiled");

    let said = server.find_line("the old configuration stays in force: ");
    assert!(said.contains("slow.wasm: takes longer than 2s to compile"), "{said}");
    early.is_echoed();
    server.connect_to("a").is_echoed();
    assert_eq!(process.children(), [], "somebody was not waited for");
    wait_until("the descriptors are what they were", || process.descriptors() == descriptors);
    let grown = process.memory().saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} bytes are left of it");
}

#[test]
fn a_compiler_is_bounded_and_has_nothing_of_the_server() {
    let folder = Folder::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let run = Server::run(slow(&folder)).arguments(&["--compile-memory", "1GiB"]);
    let server = run.begin_by(portcell_with(&[Passed::new("web", &socket)]));
    let compiler = Process::of(&server).child();
    let limits = || compiler.read("limits");
    // It bounds itself when it has begun.
    let limited = |name: &str, limit: &str| {
        limits().lines().any(|line| {
            let fields = line.strip_prefix(name).map(str::split_whitespace);
            fields.is_some_and(|mut fields| fields.all(|field| field == limit || is_unit(field)))
        })
    };
    wait_until("it has few descriptors", || limited("Max open files", "16"));
    for (name, limit) in [("Max core file size", "0"), ("Max file size", "0")] {
        assert!(limited(name, limit), "{name}: {}", limits());
    }
    assert!(!limited("Max cpu time", "unlimited"), "{}", limits());
    let seconds = limits().lines().find_map(|line| {
        let fields = line.strip_prefix("Max cpu time")?.split_whitespace();
        fields.take(2).map(|field| field.parse::<u64>().ok()).collect::<Option<Vec<_>>>()
    });
    // At the first it gets a SIGXCPU, which says why it ends; a SIGKILL does not.
    assert!(seconds.is_some_and(|both| both[1] == both[0] + 1), "{}", limits());
    let addresses = limits().lines().find_map(|line| {
        line.strip_prefix("Max address space")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    // The program itself comes on top.
    assert!(addresses.is_some_and(|bytes| (1 << 30..3 << 29).contains(&bytes)), "{}", limits());
    wait_until("it has three descriptors", || compiler.descriptors() == ["0", "1", "2"]);
    let environment = compiler.read("environ");
    let names = environment.split_terminator('\0').map(|variable| variable.split('=').next());
    let names: Vec<_> = names.flatten().collect();
    assert_eq!(names, ["MIMALLOC_ARENA_RESERVE", "RAYON_NUM_THREADS"]);
    assert_eq!(compiler.group(), Some(compiler), "a terminal's signals would reach it");
}

fn is_unit(field: &str) -> bool {
    matches!(field, "bytes" | "files" | "seconds")
}

#[test]
fn a_server_that_is_killed_leaves_no_compiler() {
    let folder = Folder::new();
    let server = Server::run(slow(&folder)).begin_by(portcell());
    let compiler = Process::of(&server).child();
    // It has the whole module by then, and reads no more.
    server.find_line("takes a while");
    server.signal(Signal::KILL);
    wait_until("it has ended", || !compiler.runs());
}

#[test]
fn a_server_that_is_asked_to_end_while_it_compiles_ends_at_once_and_says_nothing() {
    let folder = Folder::new();
    let server = Server::run(slow(&folder)).begin_by(portcell());
    let compiler = Process::of(&server).child();
    wait_until("it is bounded", || compiler.read("limits").contains(" 16 "));
    // As a service manager does: to all of its processes; or `pkill`, by name.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR2] {
        kill_process(compiler.pid(), signal).unwrap();
    }
    server.find_line("takes a while");
    assert!(compiler.runs(), "it is the server that has to end it");
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!((code, log.lines().count()), (0, 1), "{log}");
    wait_until("it has ended", || !compiler.runs());
}

#[test]
fn a_server_that_drains_ends_its_compiler_first() {
    let folder = Folder::new();
    slow(&folder);
    let echo = plugin("echo");
    let config = serving(echo.to_str().unwrap()).replace("2s", "1h");
    let server = Server::serve(&folder, &config).start();
    let mut client = server.connect_to("a");
    client.is_echoed();
    folder.write("portcell.toml", config.replace(echo.to_str().unwrap(), "slow.wasm"));
    server.signal(Signal::HUP);
    let compiler = Process::of(&server).child();
    server.signal(Signal::TERM);
    wait_until("it has ended", || !compiler.runs());
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("the old configuration"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_uses_the_library_chooses_who_compiles() -> TestResult {
    let folder = Folder::new();
    let mut config = config(&plugin("echo"), &["a"]);
    config.server.cache = portcell::config::CacheConfig::Off;
    let by = |program: &str| Library::load_with(config.clone(), Compiler::Program(program.into()));
    let mut server = by(env!("CARGO_BIN_EXE_portcell")).await?;
    server.bind().await?;
    assert_eq!(server.status().compiled, 1);
    let server = crate::harness::Local::run(server);
    server.connect("a").is_echoed();
    server.drain().await;

    let said = by("/bin/true").await.unwrap_err().to_string();
    assert!(said.contains("/bin/true is no compiler for this server, but another"), "{said}");
    let missing = folder.at("missing");
    let said = by(missing.to_str().unwrap()).await.unwrap_err().to_string();
    assert!(said.contains("missing cannot be started: No such file"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_nobody_waits_for_leaves_no_compiler() {
    let folder = Folder::new();
    let mut config = config(&slow(&folder), &["a"]);
    config.server.cache = portcell::config::CacheConfig::Off;
    let program = Compiler::Program(env!("CARGO_BIN_EXE_portcell").into());
    let loading = tokio::spawn(Library::load_with(config, program));
    let this = Process::of_this_test();
    let mut compiler = None;
    wait_until("it compiles", || {
        let asked = |child: &Process| child.read("cmdline").contains("compile-for-parent");
        compiler = this.children().into_iter().find(asked);
        compiler.is_some()
    });
    loading.abort();
    wait_until("it is gone", || !this.children().contains(&compiler.unwrap()));
}

#[test]
fn a_large_module_that_is_allowed_is_served() {
    let folder = Folder::new();
    let mut large = std::fs::read(plugin("echo")).unwrap();
    // A custom section of 32 MiB.
    let mut section = vec![0; 32 << 20];
    section[..2].copy_from_slice(b"\x01x");
    large.push(0);
    leb(&mut large, section.len());
    large.extend(section);
    let path = folder.write("large.wasm", large);
    let said = refused(&["run", "--listen", "127.0.0.1:0"], &path);
    assert!(said.contains("more than the 16777216 that server.max_module_size allows"), "{said}");
    let server = Server::run(path).arguments(&["--max-module-size", "64MiB"]).start();
    let mut client: Client = server.connect();
    client.is_echoed();
}
