//! The SDKs for C and C++ on this machine: their own tests, with its compilers.

use crate::harness::{Folder, Program, repository};

#[test]
fn the_header_for_c_passes_its_tests_on_this_machine() {
    passes("cc", "-std=c99", "c/test.c");
}

#[test]
fn the_header_for_cpp_passes_its_tests_on_this_machine() {
    passes("c++", "-std=c++17", "cpp/test.cpp");
}

/// Compiles a test of guest-sdk without a warning and runs it.
fn passes(compiler: &str, standard: &str, test: &str) {
    let folder = Folder::new();
    let sdk = repository().join("guest-sdk");
    let program = folder.at("test");
    Program::new(compiler)
        .arguments(&[standard, "-Wall", "-Wextra", "-Werror", "-I"])
        .argument(sdk.join("c"))
        .argument("-o")
        .argument(&program)
        .argument(sdk.join(test))
        .output();
    Program::new(program.to_str().unwrap()).output();
}
