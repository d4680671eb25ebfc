//! Coredumps of guests that trap.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wasmparser::{CoreDumpStackSection, DataKind, KnownCustom, Operator, Parser, Payload};

use crate::harness::{Folder, Program, Server};

/// A server whose guest does as told and whose coredumps go to `dumps` in the folder.
fn server(folder: &Folder) -> Server {
    let dumps = folder.at("dumps").display().to_string();
    Server::run(folder.guest("does_as_told")).arguments(&["--coredumps", &dumps]).start()
}

/// The client of a guest that traps.
fn trap(server: &Server) {
    let mut client = server.connect();
    client.send("et");
    client.receive(1);
    client.is_reset();
}

/// The coredumps in a folder.
fn dumps(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_trap_leaves_a_coredump_with_the_stack_and_the_memory() {
    let folder = Folder::new();
    let server = server(&folder);
    trap(&server);
    let said = server.find_line("coredump ");
    let id = server.receipt()["id"].as_u64().unwrap();
    let [path] = &dumps(&folder.at("dumps"))[..] else { panic!("{said}") };
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("does_as_told-{id}-20")), "{name}");
    assert!(name.ends_with("Z.coredump") && said.contains(name), "{name} {said}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let core = fs::read(path).unwrap();
    let (mut memory, mut pages, mut sections) = (vec![0_u8; 2 << 16], 0, Vec::new());
    for payload in Parser::new(0).parse_all(&core) {
        match payload.unwrap() {
            Payload::MemorySection(memories) => {
                pages = memories.into_iter().map(|memory| memory.unwrap().initial).sum();
            }
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment.unwrap();
                    let DataKind::Active { offset_expr, .. } = segment.kind else { panic!() };
                    let Operator::I32Const { value } =
                        offset_expr.get_operators_reader().read().unwrap()
                    else {
                        panic!()
                    };
                    let at = usize::try_from(value).unwrap();
                    memory[at..at + segment.data.len()].copy_from_slice(segment.data);
                }
            }
            Payload::CustomSection(section) => {
                sections.push(section.name().to_owned());
                match section.as_known() {
                    KnownCustom::CoreDump(core) => {
                        assert!(core.name.starts_with("does_as_told@1 "), "{}", core.name);
                    }
                    KnownCustom::CoreDumpStack(stack) => frames_are_those_of_the_trap(&stack),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    assert_eq!(sections, ["core", "coremodules", "coreinstances", "corestack"]);
    assert_eq!(pages, 2);
    assert_eq!(&memory[..1], b"t", "what the client has sent");
    assert_eq!(&memory[32..49], b"this is the guest");
}

fn frames_are_those_of_the_trap(stack: &CoreDumpStackSection<'_>) {
    let functions: Vec<_> = stack.frames.iter().map(|frame| frame.funcidx).collect();
    // Six are imported; `handle` is the first of its own, `trap` the fourth.
    assert_eq!(functions, [9, 6]);
    assert!(stack.frames[1].codeoffset > 0);
}

#[test]
fn of_many_traps_one_has_a_coredump_and_none_waits_for_it() {
    let folder = Folder::new();
    let server = server(&folder);
    for _ in 0..20 {
        trap(&server);
    }
    server.find_line("coredump ");
    assert_eq!(server.stop().len(), 20);
    let dumps = dumps(&folder.at("dumps"));
    assert_eq!(dumps.len(), 1, "{dumps:?}");
}

#[test]
fn other_ends_leave_none() {
    let folder = Folder::new();
    let server = server(&folder);
    for told in ["o", "f", "c"] {
        let mut client = server.connect();
        client.send(told);
        client.rest().unwrap();
    }
    server.stop();
    assert_eq!(dumps(&folder.at("dumps")), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_cannot_be_had_is_refused_at_start() {
    let folder = Folder::new();
    let output = Program::portcell()
        .arguments(&["run", "--listen", "127.0.0.1:0", "--coredumps", "/dev/null/dumps"])
        .argument(folder.guest("echo"))
        .run();
    assert_eq!(output.code, 1);
    let said = "cannot write coredumps to /dev/null/dumps";
    assert!(output.stderr.contains(said), "{}", output.stderr);
}
