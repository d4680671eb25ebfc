//! A plugin: what a `.wasm` file is and asks for, read from its bytes without compiling it.

mod anatomy;
mod language;
mod look;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::config::WASM_PAGE;
use crate::text::{hexadecimal, printable};
use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wasmtime::Engine;

pub use anatomy::{Anatomy, Producer, Sections, Stack};
pub use language::Language;

/// What an element of a table counts, in bytes.
pub const TABLE_ELEMENT: u64 = 8;

/// Imports that a module may have. The host offers far fewer; without a bound the text of their
/// types would fill the memory.
const MOST_IMPORTS: usize = 1000;

/// Exports that a module may have, for the same reason. The host needs four.
const MOST_EXPORTS: usize = 10_000;

/// Types and functions that a module may have: what wasmtime takes. Without these bounds a module of
/// a few mebibytes could make this process have hundreds, before there is a compiler to bound.
const MOST_TYPES: usize = 1_000_000;
const MOST_FUNCTIONS: usize = 1_000_000;

/// Parameters or results of a function that are told apart; no function of the host has as many.
const MOST_VALUES: usize = 32;

/// A core wasm module, read and found whole. Whether it can serve is [`Plugin::entry`]'s and the
/// handler's to say.
#[derive(Clone, Debug)]
pub struct Plugin {
    bytes: Vec<u8>,
    digest: String,
    imports: Vec<Import>,
    exports: Vec<Export>,
    memory: Option<Memory>,
    tables: Tables,
}

/// Something that a plugin wants from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module it is in.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type, as in the text format: `(i32, i32) -> i32`.
    pub signature: String,
}

/// Something that a plugin offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is; for functions its type.
    pub signature: String,
}

/// A linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What an instance begins with, in bytes.
    pub minimum: u64,
    /// What it can grow to, in bytes, if the module says so.
    pub maximum: Option<u64>,
}

/// All tables of a plugin, as an instance begins with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// How many there are.
    pub count: u64,
    /// Elements of all of them.
    pub elements: u64,
    /// Elements of the largest.
    pub largest: u64,
}

/// How the host calls a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `handle`, with this result.
    Handle {
        /// Whether it returns a code.
        returns_code: bool,
    },
    /// `_start`: a WASI command, inetd style.
    Command,
}

/// A file is not a plugin that can be used. The messages leave out its path, which whoever
/// reports them knows and puts before them.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not a file.
    #[error("is a directory; give the .wasm file in it")]
    Directory,
    /// It has no bytes.
    #[error("is empty; was the build interrupted?")]
    Empty,
    /// It is larger than allowed.
    #[error(
        "is {size} bytes, more than the {limit} that server.max_module_size allows; build it optimised and without debug sections, or raise the limit"
    )]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is something else: what it looks like, and what to do.
    #[error("is not a wasm module: {0}")]
    NotWasm(&'static str),
    /// It is a component.
    #[error(
        "is a WebAssembly component, which portcell does not run yet; build a core module (target wasm32-wasip1)"
    )]
    Component,
    /// It ends too early or is damaged: what is wrong, and where.
    #[error("is a damaged wasm module: {0}")]
    Damaged(String),
    /// It has more of something than any plugin needs: of what, and how many there may be.
    #[error("has more than {1} {0}; is it a plugin?")]
    TooMany(&'static str, usize),
    /// It has no memory for the host to read and write.
    #[error("exports no memory named `memory`, so the host cannot pass bytes to it")]
    NoMemory,
    /// It has no entry point.
    #[error(
        "has no entry point: export a function `handle` (the SDK's #[handler] does) or build a WASI command with `_start`"
    )]
    NoEntry,
    /// Its entry point has another type.
    #[error("exports `{name}` as {found}, but the host calls it as {wanted}")]
    EntryType {
        /// The entry point.
        name: &'static str,
        /// Its type.
        found: String,
        /// The type or types that it may have.
        wanted: &'static str,
    },
}

impl Plugin {
    /// Reads the file at `path`, of at most `limit` bytes.
    pub fn read(path: &Path, limit: u64) -> Result<Self, PluginError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => PluginError::Missing,
            io::ErrorKind::IsADirectory => PluginError::Directory,
            _ => PluginError::Unreadable(error),
        };
        // Looked at before it is opened: opening a pipe waits for its other end.
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(PluginError::Directory);
        }
        if !metadata.is_file() {
            return Err(PluginError::NotWasm("it is not a file but a device, a pipe or a socket"));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        // It may grow while it is read.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limit {
            let size = metadata.len().max(bytes.len() as u64);
            return Err(PluginError::TooLarge { size, limit });
        }
        Self::parse(bytes)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, PluginError> {
        if bytes.is_empty() {
            return Err(PluginError::Empty);
        }
        if let Some(what) = not_wasm(&bytes) {
            return Err(PluginError::NotWasm(what));
        }
        let digest = hexadecimal(&Sha256::digest(&bytes));
        let mut reading = Reading::default();
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload.and_then(|payload| reading.take(&payload)) {
                Ok(Kind::Core) => reading.check_counts()?,
                Ok(Kind::Component) => return Err(PluginError::Component),
                Err(error) if error.message().contains("unexpected end") => {
                    return Err(PluginError::Damaged(format!(
                        "it ends in the middle, after {} bytes; was it copied or downloaded whole?",
                        bytes.len()
                    )));
                }
                Err(error) => {
                    let (what, at) = (error.message(), error.offset());
                    return Err(PluginError::Damaged(format!("{what} (at byte {at:#x})")));
                }
            }
        }
        let Reading { imports, exports, memory, tables, .. } = reading;
        Ok(Self { bytes, digest, imports, exports, memory, tables })
    }

    /// The module.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The sha256 of the module, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it wants from the host, in its own order.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// What it offers, in its own order.
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// Its first memory, if it has one.
    pub const fn memory(&self) -> Option<Memory> {
        self.memory
    }

    /// What an instance begins with, in bytes: its memory and its tables.
    pub fn minimum(&self) -> u64 {
        let memory = self.memory.map_or(0, |memory| memory.minimum);
        memory.saturating_add(self.tables.elements.saturating_mul(TABLE_ELEMENT))
    }

    /// Its tables.
    pub const fn tables(&self) -> Tables {
        self.tables
    }

    /// How the host calls it.
    pub fn entry(&self) -> Result<Entry, PluginError> {
        if !self
            .exports
            .iter()
            .any(|export| export.name == "memory" && export.signature == "memory")
        {
            return Err(PluginError::NoMemory);
        }
        let wrong = |name, found: &str, wanted| {
            Err(PluginError::EntryType { name, found: found.into(), wanted })
        };
        match (self.export("handle"), self.export("_start")) {
            (Some("() -> i32"), _) => Ok(Entry::Handle { returns_code: true }),
            (Some("() -> ()"), _) => Ok(Entry::Handle { returns_code: false }),
            (Some(found), _) => wrong("handle", found, "() -> i32 or () -> ()"),
            (None, Some("() -> ()")) => Ok(Entry::Command),
            (None, Some(found)) => wrong("_start", found, "() -> ()"),
            (None, None) => Err(PluginError::NoEntry),
        }
    }

    /// The signature of the export of this name.
    pub fn export(&self, name: &str) -> Option<&str> {
        self.exports.iter().find(|export| export.name == name).map(|export| &*export.signature)
    }
}

/// What the bytes look like when they are not wasm.
fn not_wasm(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\0asm") {
        return None;
    }
    let text = bytes.trim_ascii_start();
    Some(if Engine::detect_precompiled(bytes).is_some() {
        "it is a compiled module (.cwasm), which is not taken because it could be any machine code; \
         give the .wasm file"
    } else if bytes.starts_with(b"\x7fELF") {
        "it is a native program; give the .wasm file"
    } else if text.starts_with(b"(") || text.starts_with(b";;") {
        "it looks like WebAssembly text; translate it first, with `wasm-tools parse` or `wat2wasm`"
    } else if b"\0asm".starts_with(bytes) {
        "it ends after a few bytes; was it copied or downloaded whole?"
    } else {
        "it does not begin with `\\0asm`"
    })
}

enum Kind {
    Core,
    Component,
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    imports: Vec<Import>,
    exports: Vec<Export>,
    /// The first.
    memory: Option<Memory>,
    tables: Tables,
}

impl Reading {
    fn take(&mut self, payload: &Payload<'_>) -> wasmparser::Result<Kind> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => return Ok(Kind::Component),
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(function) => Some(function),
                            _ => None,
                        });
                    }
                    if self.types.len() > MOST_TYPES {
                        break;
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports().take(MOST_IMPORTS + 1) {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.functions.push(ty),
                        TypeRef::Memory(ty) => self.memory = self.memory.or(Some(memory(ty))),
                        _ => {}
                    }
                    let signature = match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.signature(ty),
                        TypeRef::Memory(_) => "memory".into(),
                        TypeRef::Table(_) => "table".into(),
                        TypeRef::Global(_) => "global".into(),
                        TypeRef::Tag(_) => "tag".into(),
                    };
                    self.imports.push(Import {
                        module: printable(import.module),
                        name: printable(import.name),
                        signature,
                    });
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section.clone() {
                    self.functions.push(ty?);
                    if self.functions.len() > MOST_FUNCTIONS {
                        break;
                    }
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    let elements = table?.ty.initial;
                    let Tables { count, elements: all, largest } = &mut self.tables;
                    *count += 1;
                    *all = all.saturating_add(elements);
                    *largest = elements.max(*largest);
                }
            }
            Payload::MemorySection(section) => {
                for ty in section.clone() {
                    self.memory = self.memory.or(Some(memory(ty?)));
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone().into_iter().take(MOST_EXPORTS + 1) {
                    let export = export?;
                    let signature = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => self
                            .functions
                            .get(export.index as usize)
                            .map_or_else(|| "function".into(), |ty| self.signature(*ty)),
                        ExternalKind::Memory => "memory".into(),
                        ExternalKind::Table => "table".into(),
                        ExternalKind::Global => "global".into(),
                        ExternalKind::Tag => "tag".into(),
                    };
                    self.exports.push(Export { name: printable(export.name), signature });
                }
            }
            _ => {}
        }
        Ok(Kind::Core)
    }

    fn check_counts(&self) -> Result<(), PluginError> {
        if self.types.len() > MOST_TYPES {
            return Err(PluginError::TooMany("types", MOST_TYPES));
        }
        if self.functions.len() > MOST_FUNCTIONS {
            return Err(PluginError::TooMany("functions", MOST_FUNCTIONS));
        }
        if self.imports.len() > MOST_IMPORTS {
            return Err(PluginError::TooMany("imports", MOST_IMPORTS));
        }
        if self.exports.len() > MOST_EXPORTS {
            return Err(PluginError::TooMany("exports", MOST_EXPORTS));
        }
        Ok(())
    }

    fn signature(&self, ty: u32) -> String {
        let Some(Some(function)) = self.types.get(ty as usize) else { return "function".into() };
        let list = |types: &[ValType]| {
            let shown = types.iter().take(MOST_VALUES).map(ToString::to_string);
            let mut shown = shown.collect::<Vec<_>>().join(", ");
            if types.len() > MOST_VALUES {
                shown.push_str(", ...");
            }
            shown
        };
        let results = match function.results() {
            [one] => one.to_string(),
            several => format!("({})", list(several)),
        };
        format!("({}) -> {results}", list(function.params()))
    }
}

fn memory(ty: wasmparser::MemoryType) -> Memory {
    let bytes = |pages: u64| pages.saturating_mul(WASM_PAGE);
    Memory { minimum: bytes(ty.initial), maximum: ty.maximum.map(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(wat: &str) -> Result<Plugin, PluginError> {
        Plugin::parse(wat::parse_str(wat).unwrap())
    }

    #[test]
    fn the_entry_is_handle_before_start() {
        let with =
            |exports: &str| parse(&format!("(module (memory (export \"memory\") 1) {exports})"));
        let handle = "(func (export \"handle\") (result i32) i32.const 0)";
        let start = "(func (export \"_start\"))";
        let entry = |exports: &str| with(exports).unwrap().entry().unwrap();
        assert_eq!(entry(&format!("{start}{handle}")), Entry::Handle { returns_code: true });
        assert_eq!(entry("(func (export \"handle\"))"), Entry::Handle { returns_code: false });
        assert_eq!(entry(start), Entry::Command);
        let error = with("(func (export \"handle\") (param i32))").unwrap().entry().unwrap_err();
        assert!(error.to_string().contains("`handle` as (i32) -> ()"), "{error}");
        assert!(matches!(with("").unwrap().entry(), Err(PluginError::NoEntry)));
    }

    #[test]
    fn every_truncation_of_a_module_is_refused() {
        let wasm = wat::parse_str(
            "(module (import \"a\" \"b\" (func)) (memory (export \"memory\") 1)
             (func (export \"handle\") call 0) (data (i32.const 0) \"abc\"))",
        )
        .unwrap();
        let reads = |length: usize| Plugin::parse(wasm[..length].to_vec());
        let whole = (0..wasm.len()).filter(|length| reads(*length).is_ok()).count();
        // Between two sections a shorter module is whole: after the header, the types, the imports
        // and the code. In between, functions are declared whose code is missing.
        assert_eq!(whole, 4);
        assert!(matches!(reads(wasm.len() - 1), Err(PluginError::Damaged(_))));
    }

    #[test]
    fn a_module_cannot_fill_the_memory_with_what_is_small_in_its_file() {
        let leb = |number: usize| {
            let byte = |at: u32| u8::try_from(number >> (7 * at) & 0x7f).unwrap();
            [byte(0) | 0x80, byte(1) | 0x80, byte(2) | 0x80, byte(3)]
        };
        // A section of so many entries.
        let module = |id: u8, entry: &[u8]| {
            let (count, entries) = (leb(1_000_001), entry.repeat(1_000_001));
            let length = leb(count.len() + entries.len());
            [&b"\0asm\x01\0\0\0"[..], &[id], &length, &count, &entries].concat()
        };
        for (id, entry, what) in [(1, &b"\x60\0\0"[..], "types"), (3, &[0], "functions")] {
            let said = Plugin::parse(module(id, entry)).unwrap_err().to_string();
            assert_eq!(said, format!("has more than 1000000 {what}; is it a plugin?"));
        }
    }

    #[test]
    fn imports_and_memory_are_read() {
        let plugin = parse(
            "(module (import \"portcell_v1\" \"close\" (func (param i32) (result i32)))
             (memory (export \"memory\") 2 4))",
        )
        .unwrap();
        assert_eq!(plugin.imports()[0].signature, "(i32) -> i32");
        assert_eq!(
            plugin.memory(),
            Some(Memory { minimum: 2 * WASM_PAGE, maximum: Some(4 * WASM_PAGE) })
        );
    }
}
