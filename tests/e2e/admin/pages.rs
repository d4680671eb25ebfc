//! docs/admin.md says what is so.

use std::fs;

use serde_json::Value;

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
fn every_command_to_a_server_is_on_the_page() {
    let page = fs::read_to_string(repository().join("docs/admin.md")).unwrap();
    let help = |arguments: &[&str]| Program::portcell().arguments(arguments).text();
    let all = help(&["--help"]);
    let (_, commands) = all.split_once("Commands:\n").unwrap();
    let mut seen = 0;
    for line in commands.lines().take_while(|line| !line.trim_start().starts_with("help ")) {
        let name = line.split_whitespace().next().unwrap();
        let help = help(&[name, "--help"]);
        if !help.contains("PORTCELL_ADMIN]") {
            continue;
        }
        seen += 1;
        let is_of_it = |line: &&str| {
            let typed = line.strip_prefix("portcell ").and_then(|rest| rest.split("  ").next());
            typed.unwrap_or_default().split(' ').any(|word| word == name)
        };
        assert!(page.lines().any(|line| is_of_it(&line)), "docs/admin.md lacks {name}");
        // What a file of receipts is asked is told elsewhere.
        let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        for flag in flags.filter(|_| name != "receipts") {
            let flag = flag.split([' ', '=']).next().unwrap();
            let is_there =
                page.contains(&format!("--{flag}")) || ["log", "log-format"].contains(&flag);
            assert!(is_there, "docs/admin.md lacks --{flag} of {name}");
        }
    }
    assert!(seen > 10, "the commands were not found: {all}");
}

#[test]
fn every_field_of_an_answer_is_on_the_page() {
    let page = fs::read_to_string(repository().join("docs/admin.md")).unwrap();
    let steered = Steered::start();
    let _client = steered.echoed();
    steered.refused(&["reload", "nobody"]);
    let mut left = vec![steered.json(&["status", "--json"]), steered.connections().into()];
    let mut seen = 0;
    while let Some(value) = left.pop() {
        match value {
            Value::Array(all) => left.extend(all),
            Value::Object(fields) => {
                for (name, field) in fields {
                    let is_there = [format!("`{name}`"), format!("\"{name}\":")];
                    assert!(is_there.iter().any(|it| page.contains(it)), "the page lacks {name}");
                    left.push(field);
                    seen += 1;
                }
            }
            _ => {}
        }
    }
    assert!(seen > 60, "{seen} fields");
}
