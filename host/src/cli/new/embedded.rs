//! What projects are made of, in this binary: the templates, and the sources of the SDKs, so that a
//! project builds without a network and without a checkout of portcell.

use super::language::Language;

/// A text, and where it is in a project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
}

/// Files of this repository at `$from`, each at its own path behind `$to` in a project, or where an
/// arrow points.
macro_rules! texts {
    ($from:literal to $to:literal: $($file:literal $(=> $path:literal)?),+ $(,)?) => {
        &[$(Text {
            path: concat!($to, texts!(@ $file $($path)?)),
            text: include_str!(concat!($from, $file)),
        }),+]
    };
    (@ $file:literal) => { $file };
    (@ $file:literal $path:literal) => { $path };
}

/// Those of every project.
const COMMON: &[Text] = texts!("templates/common/" to "":
    "README.md",
    "conversation.txt" => "tests/conversation.txt",
    "portcell.toml",
);

const LICENSES: &[Text] = texts!("../../../../" to "sdk/": "LICENSE-APACHE", "LICENSE-MIT");

/// What is in a project besides the SDK: with placeholders.
pub(super) fn templates(language: Language, inetd: bool) -> impl Iterator<Item = Text> {
    let (both, handler, program) = of_language(language);
    let own = if inetd { program } else { handler };
    COMMON.iter().chain(both).chain(own).copied()
}

/// The templates for both kinds of projects, for handlers, and for plain programs.
const fn of_language(language: Language) -> (&'static [Text], &'static [Text], &'static [Text]) {
    match language {
        Language::Rust => (
            texts!("templates/rust/" to "": "gitignore" => ".gitignore"),
            texts!("templates/rust/handler/" to "": "Cargo.toml", "src/lib.rs"),
            texts!("templates/rust/inetd/" to "": "Cargo.toml", "src/main.rs"),
        ),
        Language::C => (
            texts!("templates/c/" to "": "gitignore" => ".gitignore"),
            texts!("templates/c/handler/" to "": "Makefile", "handler.c"),
            texts!("templates/c/inetd/" to "": "Makefile", "main.c"),
        ),
        Language::Cpp => (
            texts!("templates/cpp/" to "": "gitignore" => ".gitignore"),
            texts!("templates/cpp/handler/" to "": "Makefile", "handler.cpp"),
            texts!("templates/cpp/inetd/" to "": "Makefile", "main.cpp"),
        ),
        Language::Go => (
            texts!("templates/go/" to "": "gitignore" => ".gitignore"),
            texts!("templates/go/handler/" to "": "Makefile", "go.mod", "main.go", "main_test.go"),
            texts!("templates/go/inetd/" to "": "Makefile", "go.mod", "main.go", "main_test.go"),
        ),
        Language::AssemblyScript => (
            texts!("templates/assemblyscript/" to "":
                "gitignore" => ".gitignore",
                "tsconfig.json" => "assembly/tsconfig.json",
            ),
            texts!("templates/assemblyscript/handler/" to "":
                "assembly/index.ts",
                "package-lock.json",
                "package.json",
                "tests/greeting.test.js",
            ),
            texts!("templates/assemblyscript/inetd/" to "":
                "assembly/index.ts",
                "package-lock.json",
                "package.json",
            ),
        ),
        Language::Zig => (
            texts!("templates/zig/" to "": "gitignore" => ".gitignore"),
            texts!("templates/zig/handler/" to "": "build.zig", "src/main.zig"),
            texts!("templates/zig/inetd/" to "": "build.zig", "src/main.zig"),
        ),
    }
}

/// The SDK, as it is.
pub(super) fn sdk(language: Language) -> impl Iterator<Item = Text> {
    let parts: &[&[Text]] = match language {
        Language::Rust => &[RUST, RUST_MANIFESTS, RUST_FORMAT],
        Language::C => &[C],
        Language::Cpp => &[C, CPP],
        Language::Go => &[GO],
        Language::AssemblyScript => &[ASSEMBLYSCRIPT],
        Language::Zig => &[ZIG],
    };
    parts.iter().copied().chain([LICENSES]).flatten().copied()
}

const RUST: &[Text] = texts!("../../../../guest-sdk/" to "sdk/":
    "abi/ABI.md",
    "abi/src/lib.rs",
    "macros/src/lib.rs",
    "src/address.rs",
    "src/buffer.rs",
    "src/connection.rs",
    "src/error.rs",
    "src/lib.rs",
    "src/line.rs",
    "src/log.rs",
    "src/pipe.rs",
    "src/pipe/state.rs",
    "src/pipe/tls.rs",
    "src/poll.rs",
    "src/run.rs",
    "src/start_tls.rs",
    "src/std_io.rs",
    "src/sys.rs",
    "src/testing.rs",
    "src/transport.rs",
);

/// Those of the SDK take what they say from the workspace that it is in.
const RUST_MANIFESTS: &[Text] = texts!("templates/rust/" to "": "sdk/Cargo.toml", "sdk/abi/Cargo.toml", "sdk/macros/Cargo.toml");

/// `cargo fmt` in a project looks at the SDK, too.
const RUST_FORMAT: &[Text] = texts!("../../../../" to "sdk/": "rustfmt.toml");

const C: &[Text] = texts!("../../../../guest-sdk/c/" to "sdk/": "portcell.h");

const CPP: &[Text] = texts!("../../../../guest-sdk/cpp/" to "sdk/": "portcell.hpp");

const GO: &[Text] = texts!("../../../../guest-sdk/go/" to "sdk/":
    "abi.go",
    "address.go",
    "connection.go",
    "errno.go",
    "go.mod",
    "imports_other.go",
    "imports_wasip1.go",
    "log.go",
    "socket.go",
);

const ASSEMBLYSCRIPT: &[Text] = texts!("../../../../guest-sdk/assemblyscript/" to "sdk/":
    "assembly/abi.ts",
    "assembly/connection.ts",
    "assembly/errno.ts",
    "assembly/index.ts",
    "assembly/log.ts",
    "index.ts",
    "package.json",
    "testing.js",
);

const ZIG: &[Text] = texts!("../../../../guest-sdk/zig/" to "sdk/": "abi.zig", "portcell.zig");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn read(path: &str) -> String {
        fs::read_to_string(repository().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The files in a folder of the repository and its folders.
    fn files(folder: &str) -> BTreeSet<String> {
        let folder = repository().join(folder);
        let mut found = BTreeSet::new();
        let mut left = vec![folder.clone()];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.insert(path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned());
            }
        }
        found
    }

    #[test]
    fn the_whole_sdk_of_a_language_is_in_its_projects() {
        // Its own tests, what it says of itself as a part of this repository, and what is not needed
        // where it is a folder of a project.
        let left_out =
            ["README.md", "Cargo.toml", "test.c", "test.cpp", "build.zig", "build.zig.zon"];
        for (folder, parts) in [
            ("src", RUST),
            ("abi/src", RUST),
            ("macros/src", RUST),
            ("c", C),
            ("cpp", CPP),
            ("go", GO),
            ("assemblyscript", ASSEMBLYSCRIPT),
            ("zig", ZIG),
        ] {
            let prefix =
                if parts.len() == RUST.len() { format!("sdk/{folder}/") } else { "sdk/".into() };
            for file in files(&format!("guest-sdk/{folder}")) {
                let is_left_out = left_out.contains(&file.as_str()) || file.ends_with("_test.go");
                let path = format!("{prefix}{file}");
                let is_there = parts.iter().any(|text| text.path == path);
                assert!(is_there != is_left_out, "{folder}: {file}");
            }
        }
    }

    #[test]
    fn every_template_is_used() {
        let of_language = |language| {
            let (both, handler, program) = of_language(language);
            [both, handler, program].map(<[Text]>::len).iter().sum::<usize>()
        };
        let used = COMMON.len()
            + RUST_MANIFESTS.len()
            + Language::ALL.into_iter().map(of_language).sum::<usize>();
        assert_eq!(files("host/src/cli/new/templates").len(), used);
    }

    /// A manifest of this workspace as one that stands alone.
    fn alone(manifest: &str) -> String {
        let workspace = read("Cargo.toml");
        let value = |key: &str| {
            let line =
                workspace.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            line.split(" #").next().unwrap().trim_end().to_owned()
        };
        let mut section = "";
        let mut lines = Vec::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            match line.split_once(".workspace = true") {
                _ if ["[lints]", "[dev-dependencies]"].contains(&section) => {}
                _ if line.starts_with("readme") => {}
                Some((key, _)) if section == "[package]" => lines.push(value(key)),
                Some((key, _)) => {
                    let folder = key.strip_prefix("portcell-").unwrap();
                    lines.push(format!("{key} = {{ path = \"{folder}\" }}"));
                }
                None => lines.push(line.to_owned()),
            }
        }
        lines.join("\n").trim_end().to_owned() + "\n"
    }

    #[test]
    fn the_manifests_of_the_sdk_for_rust_say_what_those_of_this_workspace_do() {
        for manifest in RUST_MANIFESTS {
            let original = manifest.path.replace("sdk/", "guest-sdk/");
            assert_eq!(manifest.text, alone(&read(&original)), "{original}");
        }
    }

    #[test]
    fn projects_have_the_compiler_for_assemblyscript_that_our_own_handlers_have() {
        let version = |line: &&str| {
            ["\"assemblyscript\": \"", "\"@assemblyscript/wasi-shim\": \""]
                .iter()
                .any(|key| line.trim_start().starts_with(key))
        };
        let versions = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().filter(version);
            lines.map(|line| line.trim().trim_end_matches(',').to_owned()).collect()
        };
        let ours = versions(&read("plugins/assemblyscript/package.json"));
        assert_eq!(ours.len(), 2);
        for inetd in [false, true] {
            let mut templates = templates(Language::AssemblyScript, inetd);
            let package = templates.find(|text| text.path == "package.json").unwrap();
            let of_project = versions(package.text);
            assert!(!of_project.is_empty() && of_project.is_subset(&ours), "{of_project:?}");
        }
    }
}
