//! What about a plugin will hurt whoever serves it, each with what to do. Limits are those that a
//! handler has by default: inspecting knows no configuration.

use portcell::config::{Config, display_size};
use portcell::engine::MEMORY_SLOT;
use portcell::plugin::{Anatomy, Entry, Import, Plugin, PluginError, Stack};

use super::grants::Grant;

/// A stack that is larger is larger than any compiler for servers of this kind makes it, but Zig.
const LARGE_STACK: u64 = 1 << 20;

/// What is hardly room for anything, in bytes.
const LITTLE_ROOM: u64 = 1024;

/// What Go's heap grows to before anything is collected (its documentation of `GOGC`: 4 MiB).
const GO_HEAP: u64 = 4 << 20;

/// Something that will hurt.
pub(super) struct Warning {
    /// Its name, for programs.
    pub(super) kind: &'static str,
    /// What is so, and what comes of it.
    pub(super) message: String,
    /// What to do.
    pub(super) advice: String,
}

/// The limits that a plugin meets unless they are configured.
pub(super) struct Defaults {
    memory: u64,
    module: u64,
}

impl Defaults {
    /// Those of this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let memory = config.handlers.iter().map(|handler| handler.memory).min();
        Self { memory: memory.unwrap_or(MEMORY_SLOT), module: config.server.max_module_size }
    }
}

/// All that will hurt, what keeps it from being served first.
pub(super) fn warnings(
    plugin: &Plugin,
    anatomy: &Anatomy,
    imports: &[(&Import, Grant)],
    defaults: &Defaults,
) -> Vec<Warning> {
    let language = Wording::of(anatomy);
    [
        object(anatomy),
        near_entry(plugin, language),
        unknown_imports(imports, language).filter(|_| !anatomy.is_object),
        initialize(plugin, anatomy, language),
        module_size(plugin, anatomy, defaults, language),
        memory(plugin, anatomy, defaults),
        fixed_memory(plugin, anatomy, language),
        full_memory(plugin, anatomy, language),
        stack(anatomy, defaults, language),
        go_runtime(plugin, defaults, language),
        abort(imports),
        debug(anatomy, language),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The languages that there are other words for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wording {
    Rust,
    C,
    Cpp,
    Zig,
    Go,
    AssemblyScript,
    Any,
}

impl Wording {
    fn of(anatomy: &Anatomy) -> Self {
        match anatomy.language.as_ref().map(|language| &*language.name) {
            Some("Rust") => Self::Rust,
            Some("C") => Self::C,
            Some("C++") => Self::Cpp,
            Some("Zig") => Self::Zig,
            Some("Go") => Self::Go,
            Some("AssemblyScript") => Self::AssemblyScript,
            _ => Self::Any,
        }
    }
}

fn object(anatomy: &Anatomy) -> Option<Warning> {
    anatomy.is_object.then(|| Warning {
        kind: "object_file",
        message: "it is an object file, which was compiled and not linked".into(),
        advice: "link it: leave out -c, or give it to wasm-ld".into(),
    })
}

/// An export that is almost an entry, where there is none or the other.
fn near_entry(plugin: &Plugin, language: Wording) -> Option<Warning> {
    let is_near = |name: &str, wanted: &[&str]| {
        let plain = name.trim_matches('_').to_lowercase();
        wanted.contains(&&*plain)
    };
    let export = |wanted: &[&str]| {
        let mut functions = plugin.exports().iter().filter(|e| e.signature.starts_with('('));
        functions.find(|export| is_near(&export.name, wanted))
    };
    let handle = || export(&["handle", "handler", "handles", "z6handlev", "main.handle"]);
    let main = || export(&["main", "start", "main_void", "main_argc_argv", "original_main"]);
    let (found, wanted) = match plugin.entry() {
        Err(PluginError::NoEntry) => handle()
            .map(|found| (found, "handle"))
            .or_else(|| main().map(|found| (found, "_start"))),
        Ok(Entry::Command) => handle().map(|found| (found, "handle")),
        _ => None,
    }?;
    let advice = match (wanted, language) {
        ("handle", Wording::Rust) => "put #[portcell_sdk::handler] on the function",
        ("handle", Wording::C) => "__attribute__((export_name(\"handle\"))) on the function",
        ("handle", Wording::Cpp) => {
            "extern \"C\" and __attribute__((export_name(\"handle\"))) on the function"
        }
        ("handle", Wording::Zig) => "`export fn handle() i32`, and --export=handle",
        ("handle", Wording::Go) => "//go:wasmexport handle above the function",
        ("handle", Wording::AssemblyScript) => "`export function handle(): i32` in the entry file",
        ("handle", Wording::Any) => "export the function as `handle`, () -> i32 or () -> ()",
        (_, Wording::Rust) => "build it as a program (src/main.rs) for the target wasm32-wasip1",
        (_, Wording::C | Wording::Cpp) => {
            "link it as a program: target wasm32-wasi, without -mexec-model=reactor, --no-entry or -nostartfiles"
        }
        (_, Wording::Zig) => "build it for wasm32-wasi, without -fno-entry",
        (_, Wording::Go) => "GOOS=wasip1 GOARCH=wasm, without -buildmode=c-shared",
        (_, Wording::AssemblyScript) => {
            "--exportStart _start, as the configuration of wasi-shim has it"
        }
        (_, Wording::Any) => "build it as a WASI command, whose entry is `_start`",
    };
    Some(Warning {
        kind: "near_entry",
        message: format!("it exports `{}`, which is not called; is `{wanted}` meant?", found.name),
        advice: advice.into(),
    })
}

fn unknown_imports(imports: &[(&Import, Grant)], language: Wording) -> Option<Warning> {
    let unknown: Vec<_> =
        imports.iter().filter(|(_, grant)| *grant == Grant::NotOffered).map(|(i, _)| *i).collect();
    let first = unknown.first()?;
    let advice = unknown.iter().find_map(|import| advice_on(import, language));
    let others = match unknown.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(Warning {
        kind: "unknown_imports",
        message: format!(
            "it cannot be served: it imports `{}.{}`{others}, which portcell does not offer",
            first.module, first.name
        ),
        advice: advice
            .unwrap_or(
                "leave out what needs it; portcell_v1, wasi_snapshot_preview1 and env.abort are offered",
            )
            .into(),
    })
}

/// Who imports what, of those that are met most.
fn advice_on(import: &Import, language: Wording) -> Option<&'static str> {
    let Import { module, name, .. } = import;
    Some(match (&**module, &**name) {
        (_, "memory") => {
            "have the memory exported and not imported: without --import-memory (asc: --importMemory)"
        }
        ("gojs" | "go", _) => "it was built for browsers; build it with GOOS=wasip1 GOARCH=wasm",
        (module, _) if module.starts_with("__wbindgen") || module == "wbg" => {
            "it was built for browsers with wasm-bindgen; leave that out, target wasm32-wasip1"
        }
        ("wasi_unstable", _) => "it is of a WASI before preview 1; build it with a newer libc",
        (module, _) if module.starts_with("wasi:") => {
            "it is a part of a component; build a core module, for WASI preview 1 (wasm32-wasip1)"
        }
        (_, name) if name.contains("emscripten") || name.starts_with("__syscall") => {
            "it was built with Emscripten for JavaScript; build it with -sSTANDALONE_WASM, or with clang and wasi-libc"
        }
        (_, _) if language == Wording::AssemblyScript => {
            "what is JavaScript's (console, Date, Math.random) comes from @assemblyscript/wasi-shim"
        }
        ("env", _) => {
            "the linker was told to let symbols through that nobody defines; define it, or link without --allow-undefined to see who uses it"
        }
        _ => return None,
    })
}

/// Whether something has to run before `handle` and nothing does. Go's runtime has to. Of C, C++,
/// Rust and Zig it is the linker's `__wasm_call_ctors`, where that does something and nobody calls
/// it; it takes its name to find it.
fn initialize(plugin: &Plugin, anatomy: &Anatomy, language: Wording) -> Option<Warning> {
    let is_handle = matches!(plugin.entry(), Ok(Entry::Handle { .. }));
    if !is_handle || plugin.export("_initialize").is_some() {
        return None;
    }
    let (message, advice) = if language == Wording::Go {
        (
            "it exports no `_initialize`, so Go's runtime is not started before `handle`",
            "go build -buildmode=c-shared",
        )
    } else if anatomy.forgotten_constructors {
        (
            "it has constructors (`__wasm_call_ctors`) that nobody calls, and no `_initialize`: globals are not what they should be",
            "link it as a reactor (clang -mexec-model=reactor), or with --no-entry and without exporting __wasm_call_ctors",
        )
    } else {
        return None;
    };
    Some(Warning { kind: "missing_initialize", message: message.into(), advice: advice.into() })
}

fn module_size(
    plugin: &Plugin,
    anatomy: &Anatomy,
    defaults: &Defaults,
    language: Wording,
) -> Option<Warning> {
    let size = plugin.bytes().len() as u64;
    if size <= defaults.module {
        return None;
    }
    let sections = &anatomy.sections;
    let smaller = if sections.debug + sections.names > size - defaults.module {
        strip(language)
    } else {
        "build it optimised for size"
    };
    Some(Warning {
        kind: "large_module",
        message: format!(
            "it is {}, and is refused above {}",
            mebibytes(size),
            display_size(defaults.module)
        ),
        advice: format!("{smaller}; or `max_module_size` in [server] (--max-module-size)"),
    })
}

/// More memory at once than a handler may have by default, or most of that for another reason than
/// its stack, which has a warning of its own.
fn memory(plugin: &Plugin, anatomy: &Anatomy, defaults: &Defaults) -> Option<Warning> {
    let minimum = plugin.minimum();
    let stack = anatomy.stack.map_or(0, |stack| stack.at_most);
    let is_fine = |memory: u64| memory <= defaults.memory / 2;
    if is_fine(minimum) || minimum <= defaults.memory && is_fine(minimum.saturating_sub(stack)) {
        return None;
    }
    let has = format!(
        "each instance has {} at once, of the {} that it may have by default",
        mebibytes(minimum),
        display_size(defaults.memory)
    );
    let (message, advice) = if minimum > MEMORY_SLOT {
        let most = display_size(MEMORY_SLOT);
        (
            format!("it cannot be served: it begins with {}", mebibytes(minimum)),
            format!("an instance can have {most}; make its stack and its statics smaller"),
        )
    } else if minimum > defaults.memory {
        let pages = minimum.div_ceil(1 << 20);
        (
            format!("{has}, so it is refused"),
            format!(
                "make its stack and its statics smaller, or `memory = \"{pages}MiB\"` (--memory {pages}MiB)"
            ),
        )
    } else {
        (
            format!("{has}; little is left to grow"),
            "make its stack and its statics smaller, or raise `memory` (--memory)".into(),
        )
    };
    Some(Warning { kind: "large_memory", message, advice })
}

/// A memory that its own maximum keeps from growing, though code wants it to.
fn fixed_memory(plugin: &Plugin, anatomy: &Anatomy, language: Wording) -> Option<Warning> {
    let memory = plugin.memory()?;
    if !anatomy.grows || memory.maximum != Some(memory.minimum) {
        return None;
    }
    let option = match language {
        Wording::AssemblyScript => "--maximumMemory",
        _ => "--max-memory",
    };
    Some(Warning {
        kind: "fixed_memory",
        message: format!(
            "its memory can never grow beyond {}, but its code wants it to",
            display_size(memory.minimum)
        ),
        advice: format!("build it without {option}: `memory` of the handler bounds it anyway"),
    })
}

/// A memory that is full when it begins, so that whatever is allocated first makes it grow. That Go
/// does so in any case is said in [`go_runtime`].
fn full_memory(plugin: &Plugin, anatomy: &Anatomy, language: Wording) -> Option<Warning> {
    let memory = plugin.memory()?;
    let room = memory.minimum.checked_sub(anatomy.used)?;
    let can_grow = anatomy.grows && memory.maximum != Some(memory.minimum);
    if !can_grow || memory.minimum == 0 || room >= LITTLE_ROOM || language == Wording::Go {
        return None;
    }
    let advice = match language {
        Wording::AssemblyScript => "asc --initialMemory PAGES, for what each connection needs",
        _ => {
            "link it with --initial-memory=BYTES (clang: -Wl,--initial-memory=BYTES), for what each connection needs"
        }
    };
    Some(Warning {
        kind: "full_memory",
        message: format!(
            "its stack and statics leave {room} bytes of its memory: what it allocates first makes it grow at once, for each connection anew"
        ),
        advice: advice.into(),
    })
}

fn stack(anatomy: &Anatomy, defaults: &Defaults, language: Wording) -> Option<Warning> {
    let Stack { at_most, is_first, .. } = anatomy.stack?;
    if at_most <= LARGE_STACK {
        return None;
    }
    let what = if is_first { "its stack takes" } else { "its stack and empty statics take up to" };
    let advice = match language {
        Wording::Zig => "--stack 65536 (zig build-exe), or `exe.stack_size = 65536` in build.zig",
        Wording::Rust => "rustflags = [\"-Clink-arg=-zstack-size=65536\"] in .cargo/config.toml",
        _ => {
            "link it with -z stack-size=65536 (clang: -Wl,-z,stack-size=65536; zig: --stack 65536)"
        }
    };
    let default = if at_most == 16 << 20 { " (Zig's default)" } else { "" };
    Some(Warning {
        kind: "large_stack",
        message: format!(
            "{what} {}{default} of the {} that an instance may have by default",
            mebibytes(at_most),
            display_size(defaults.memory)
        ),
        advice: advice.into(),
    })
}

fn go_runtime(plugin: &Plugin, defaults: &Defaults, language: Wording) -> Option<Warning> {
    let minimum = plugin.memory().filter(|_| language == Wording::Go)?.minimum;
    let needs = minimum.saturating_add(GO_HEAP).div_ceil(1 << 20);
    Some(Warning {
        kind: "go_runtime",
        message: format!(
            "each connection has a runtime of Go: {} at once, {needs}MiB before anything is collected, of the {} that it may have by default",
            mebibytes(minimum),
            display_size(defaults.memory)
        ),
        advice: format!(
            "do not set `memory` below {needs}MiB, and count with that for each connection in `max_memory` of [server]"
        ),
    })
}

fn abort(imports: &[(&Import, Grant)]) -> Option<Warning> {
    imports.iter().any(|(_, grant)| *grant == Grant::Abort).then(|| Warning {
        kind: "abort",
        message: "it imports env.abort: an exception, or an index that is out of range, ends its connection with a reset; the receipt has its message".into(),
        advice: "nothing, if that is right; else look before you index, and return an error instead of `throw`".into(),
    })
}

fn debug(anatomy: &Anatomy, language: Wording) -> Option<Warning> {
    let debug = anatomy.sections.debug;
    (debug > 0).then(|| Warning {
        kind: "debug_sections",
        message: format!("{debug} of its bytes are debug sections, which nobody reads here"),
        advice: strip(language).into(),
    })
}

/// How to be rid of debug sections, and to keep the names of functions.
const fn strip(language: Wording) -> &'static str {
    match language {
        Wording::Rust => "strip = \"debuginfo\" in [profile.release]",
        Wording::C | Wording::Cpp => "llvm-strip --strip-debug, or link with -Wl,--strip-debug",
        Wording::Zig => "-fstrip",
        Wording::Go => "-ldflags='-s -w'",
        Wording::AssemblyScript => "leave out --debug",
        Wording::Any => {
            "llvm-strip --strip-debug, or wasm-tools strip: both keep the names of functions"
        }
    }
}

/// A size for people: exact where it is small or round.
fn mebibytes(bytes: u64) -> String {
    if bytes < 1 << 20 || bytes.is_multiple_of(1 << 20) {
        return display_size(bytes);
    }
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{}MiB", tenths / 10, tenths % 10)
}
