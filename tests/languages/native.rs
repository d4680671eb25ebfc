//! The SDK for C on this machine: its own tests, with the compiler that everything else needs too.

use crate::harness::{Folder, Program, repository};

#[test]
fn the_header_for_c_passes_its_tests_on_this_machine() {
    let folder = Folder::new();
    let sdk = repository().join("guest-sdk/c");
    let program = folder.at("test");
    Program::new("cc")
        .arguments(&["-std=c99", "-Wall", "-Wextra", "-Werror", "-o"])
        .argument(&program)
        .argument(sdk.join("test.c"))
        .output();
    Program::new(program.to_str().unwrap()).output();
}
