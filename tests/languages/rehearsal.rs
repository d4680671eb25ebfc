//! Handlers go through the conversations in plugins/conversations, as they are written and in every
//! way that a network could make of them.

use std::path::Path;

use crate::harness::{Program, repository};

/// The handler goes through the conversations of this name.
pub(crate) fn goes_through_torture(module: &Path, name: &str) {
    let script = repository().join(format!("plugins/conversations/{name}.txt"));
    let program = Program::portcell().argument("test").argument(module).argument("--torture");
    let output = program.argument("--script").argument(script).run();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.code, 0, "{text}{}", output.stderr);
    assert!(text.contains("  torture: "), "{text}");
}
