//! The languages, and in what their projects differ for whoever reads and types.

use anyhow::{Error, bail};

use super::name::Name;

/// What a project can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    C,
    Cpp,
    Go,
    AssemblyScript,
    Zig,
}

/// How a project is built and tested. The texts have the placeholders of the templates in them.
#[derive(Clone, Copy)]
pub(super) struct Recipe {
    /// Where the handler's code is.
    pub(super) source: &'static str,
    /// The command that builds it.
    pub(super) build: &'static str,
    /// What it builds.
    pub(super) module: &'static str,
    /// The commands that test it.
    pub(super) tests: &'static str,
}

/// What cargo and rustc want for themselves, with `_` for `-`.
const OF_RUST: [&str; 9] = [
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "portcell_abi",
    "portcell_macros",
    "portcell_sdk",
    "std",
];

impl Language {
    /// All of them, in the order in which they are offered.
    pub(super) const ALL: [Self; 6] =
        [Self::Rust, Self::C, Self::Cpp, Self::Go, Self::AssemblyScript, Self::Zig];

    /// As `--lang` takes it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Go => "go",
            Self::AssemblyScript => "assemblyscript",
            Self::Zig => "zig",
        }
    }

    /// As people write it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Go => "Go",
            Self::AssemblyScript => "AssemblyScript",
            Self::Zig => "Zig",
        }
    }

    /// The language of this word or title, in large or small letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        let is_name = |language: &Self| {
            [language.word(), language.title()].iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        Self::ALL.into_iter().find(is_name)
    }

    /// What has to be installed.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            Self::Rust => "Rust with `rustup target add wasm32-wasip1`",
            Self::C => {
                "make, clang and wasi-libc (on Debian `apt-get install --no-install-recommends \
                 make clang lld wasi-libc libclang-rt-dev-wasm32`), or a wasi-sdk in WASI_SDK_PATH"
            }
            Self::Cpp => {
                "make, clang, wasi-libc and libc++ for wasm (on Debian `apt-get install \
                 --no-install-recommends make clang lld wasi-libc libclang-rt-dev-wasm32 \
                 libc++-dev-wasm32`), or a wasi-sdk in WASI_SDK_PATH"
            }
            Self::Go => "make, and Go 1.24 or newer",
            Self::AssemblyScript => {
                "node 20 or newer, with npm, which fetches the compiler for the first build"
            }
            Self::Zig => "Zig 0.17 (`make toolchains ONLY=zig` in portcell's sources, for one)",
        }
    }

    /// Whether a project in this language can have this name.
    pub(super) fn takes(self, name: &Name) -> Result<(), Error> {
        if self == Self::Rust && OF_RUST.contains(&name.with_underscores().as_str()) {
            bail!("{}: cargo has another use for this name: take another one", name.as_str());
        }
        Ok(())
    }

    /// How a handler, or with `inetd` a program, is built and tested.
    pub(super) fn recipe(self, inetd: bool) -> Recipe {
        const CARGO: &str = "cargo build --release --target wasm32-wasip1";
        const CARGO_TESTS: &str =
            "cargo test\nportcell test {{module}} --script tests/conversation.txt";
        let with_make =
            |source| Recipe { source, build: "make", module: "{{name}}.wasm", tests: "make test" };
        match self {
            Self::Rust if inetd => Recipe {
                source: "src/main.rs",
                build: CARGO,
                module: "target/wasm32-wasip1/release/{{name}}.wasm",
                tests: CARGO_TESTS,
            },
            // The file of a library has no dash.
            Self::Rust => Recipe {
                source: "src/lib.rs",
                module: "target/wasm32-wasip1/release/{{crate}}.wasm",
                ..Self::Rust.recipe(true)
            },
            Self::C => with_make(if inetd { "main.c" } else { "handler.c" }),
            Self::Cpp => with_make(if inetd { "main.cpp" } else { "handler.cpp" }),
            Self::Go => with_make("main.go"),
            Self::AssemblyScript => Recipe {
                source: "assembly/index.ts",
                // Installs the compiler, once. `npm install` would write the lock file each time, which
                // `portcell dev` would take for a change.
                build: "npm run build",
                module: "build/{{name}}.wasm",
                tests: "npm test",
            },
            Self::Zig => Recipe {
                source: "src/main.zig",
                build: "zig build",
                module: "zig-out/bin/{{name}}.wasm",
                tests: "zig build test\nportcell test {{module}} --script tests/conversation.txt",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_that_cargo_has_another_use_for_are_refused_for_rust_only() {
        for name in ["build", "core", "portcell-sdk", "portcell_sdk"] {
            let name = Name::of(Path::new(name)).unwrap();
            let error = Language::Rust.takes(&name).unwrap_err();
            assert!(error.to_string().ends_with("take another one"), "{error}");
            Language::Go.takes(&name).unwrap();
        }
        Language::Rust.takes(&Name::of(Path::new("test")).unwrap()).unwrap();
    }
}
