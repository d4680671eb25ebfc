//! SDKs, and handlers, on this machine: their own tests, with its compilers.

use std::process::{Command, Stdio};

use crate::harness::{Folder, Program, repository};

/// How long the tests of a language may take, in seconds: Go compiles its library the first time.
const PATIENCE: &str = "600";

#[test]
fn the_header_for_c_passes_its_tests_on_this_machine() {
    passes("cc", "-std=c99", "c/test.c");
}

#[test]
fn the_header_for_cpp_passes_its_tests_on_this_machine() {
    passes("c++", "-std=c++17", "cpp/test.cpp");
}

#[test]
fn the_handlers_in_assemblyscript_pass_their_tests_in_node() {
    passes_its_own("assemblyscript");
}

#[test]
fn the_sdk_and_the_handlers_in_go_pass_their_tests_on_this_machine() {
    passes_its_own("go");
}

#[test]
fn the_sdk_and_the_handlers_in_zig_pass_their_tests_on_this_machine() {
    passes_its_own("zig");
}

/// Runs the tests that the script of a language knows, where its compiler is.
fn passes_its_own(language: &str) {
    if crate::language::module((language, "echo")).is_some() {
        let script = repository().join("scripts/languages").join(language);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", PATIENCE]).arg(script).arg("test");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{language}: {}", String::from_utf8_lossy(&said));
    }
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
