//! docs/admin.md says what is so.

use std::fs;

use super::Steered;
use crate::harness::{Program, repository};

#[test]
fn the_examples_of_the_page_work_in_their_order() {
    let page = fs::read_to_string(repository().join("docs/admin.md")).unwrap();
    let steered = Steered::start();
    let open: Vec<_> = (0..3).map(|_| steered.echoed()).collect();
    let id = steered.connections()[0]["id"].to_string();
    let examples = page.lines().filter(|line| line.starts_with("curl "));
    let examples: Vec<_> = examples.map(|line| line.replace("/17", &format!("/{id}"))).collect();
    assert!(examples.len() > 15, "the examples were not found");
    for example in examples {
        // What goes on until it is ended is looked at for a moment.
        let endless = example.contains("/v1/receipts");
        let example = example.replacen("curl ", "curl --fail-with-body --silent --show-error ", 1);
        let example =
            if endless { example.replacen("curl ", "curl --max-time 1 ", 1) } else { example };
        let run =
            Program::new("sh").arguments(&["-c", &example]).directory(steered.folder.path()).run();
        let expected = if endless { 28 } else { 0 };
        let said = String::from_utf8_lossy(&run.stdout);
        assert_eq!(run.code, expected, "{example}: {said} {}", run.stderr);
    }
    drop(open);
    assert_eq!(steered.server.wait().0, 0);
}

#[test]
fn every_metric_is_on_the_page() {
    let page = fs::read_to_string(repository().join("docs/admin.md")).unwrap();
    let steered = Steered::start();
    steered.echoed().leaves();
    let socket = steered.socket();
    let text = Program::new("curl")
        .arguments(&["-sf", "--unix-socket"])
        .argument(socket)
        .argument("http://x/metrics")
        .text();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/admin.md does not have {name}");
    }
}
