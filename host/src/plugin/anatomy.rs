//! The anatomy of a plugin: who made it, what its bytes are for, where its stack is. All of it is
//! what the file says of itself, or what its form gives away, for people to read; nothing that runs
//! depends on it. What cannot be read is left out.

use std::ops::Range;

use wasmparser::{
    BinaryReader, ConstExpr, DataKind, ExternalKind, FunctionBody, KnownCustom, Name, NameMap,
    NameSectionReader, Operator, Parser, Payload, ProducersSectionReader, TypeRef, ValType,
};

use super::Plugin;
use super::language::{Language, Signs};
use crate::text::printable;

/// What is told of each kind: producers, target features.
const MOST_TOLD: usize = 32;

/// A longer name of those is cut, in characters.
const LONGEST: usize = 100;

/// Globals and pieces of data that are looked at; no compiler makes as many.
const MOST_KEPT: usize = 100_000;

/// Stacks begin at a multiple of this, whatever the language.
const STACK_ALIGNMENT: u64 = 16;

/// What a plugin is made of, and who has made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// What its bytes are for.
    pub sections: Sections,
    /// What it is written in, if that can be told.
    pub language: Option<Language>,
    /// Who has made it, as its `producers` section says: at most 32, in its order. (WebAssembly's
    /// tool conventions, "Producers Section".)
    pub producers: Vec<Producer>,
    /// What it was compiled for, as its `target_features` section says: `+bulk-memory`. At most 32.
    pub target_features: Vec<String>,
    /// The function that runs when an instance is made, before any other.
    pub start: Option<u32>,
    /// Its stack in linear memory, if it has one and it can be found.
    pub stack: Option<Stack>,
    /// Where the last of its stack and its statics that have a value ends, in bytes.
    pub used: u64,
    /// Whether some of its code makes its memory grow.
    pub grows: bool,
    /// Whether it has constructors that nobody calls, neither the entry `handle` nor `_initialize`
    /// nor what runs at the start. Only what has names tells.
    pub forgotten_constructors: bool,
    /// Whether it is what a compiler gives to a linker, and no program yet.
    pub is_object: bool,
}

/// What the bytes of a plugin are for. Together they are its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// The bodies of functions.
    pub code: u64,
    /// What is put into memory at first.
    pub data: u64,
    /// The names of functions, which backtraces of traps show.
    pub names: u64,
    /// What debuggers need, and nobody else.
    pub debug: u64,
    /// The rest: types, imports, exports, tables, what tools leave.
    pub other: u64,
}

/// An entry of the `producers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// The name of the language or the program.
    pub name: String,
    /// Its version, which can be empty.
    pub version: String,
}

/// A stack in linear memory, as compilers on LLVM keep one beside that of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Where it begins; it grows downwards from here.
    pub top: u64,
    /// The most that it can have, in bytes. Statics without a value that lie below it cannot be
    /// told from it, and are counted.
    pub at_most: u64,
    /// Whether it is the first in the memory, so that [`at_most`](Self::at_most) is what it has.
    pub is_first: bool,
}

impl Plugin {
    /// Reads the rest of the module. This takes as long as reading all of its code does.
    pub fn anatomy(&self) -> Anatomy {
        let bytes = self.bytes();
        let mut look = Look::default();
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            look.take(&payload);
        }
        let code = Code::read(bytes, &look);
        let Sections { code: bodies, data, names, debug, .. } = look.sections;
        let language = Language::of(&look.producers, &look.signs, bytes);
        let manages_its_own = language.as_ref().is_some_and(Language::has_no_stack_in_memory);
        let stack = if manages_its_own { None } else { look.stack(self) };
        let statics = look.data.iter().map(|data| data.end).max().unwrap_or(0);
        Anatomy {
            sections: Sections {
                other: (bytes.len() as u64).saturating_sub(bodies + data + names + debug),
                ..look.sections
            },
            stack,
            used: stack.map_or(0, |stack| stack.top).max(statics),
            language,
            start: look.start,
            grows: code.grows,
            forgotten_constructors: code.has_constructors && !look.runs(&code.calls_constructors),
            is_object: look.is_object,
            producers: look.producers,
            target_features: look.target_features,
        }
    }
}

/// What is found in one pass, but for code.
#[derive(Default)]
struct Look {
    sections: Sections,
    producers: Vec<Producer>,
    target_features: Vec<String>,
    start: Option<u32>,
    is_object: bool,
    imported_functions: u32,
    imported_globals: u32,
    /// What globals that are not imported begin with, where a stack could begin there.
    globals: Vec<Option<u64>>,
    /// The global that is called `__stack_pointer`.
    stack_pointer: Option<u32>,
    /// The function that is called `__wasm_call_ctors`.
    constructors: Option<u32>,
    initialize: Option<u32>,
    command: Option<u32>,
    /// Where data is put in memory.
    data: Vec<Range<u64>>,
    signs: Signs,
}

impl Look {
    fn take(&mut self, payload: &Payload<'_>) {
        let length = |range: &Range<usize>| range.len() as u64;
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports().map_while(Result::ok) {
                    match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => self.imported_functions += 1,
                        TypeRef::Global(_) => self.imported_globals += 1,
                        _ => {}
                    }
                    self.signs.abort |= (import.module, import.name) == ("env", "abort");
                }
            }
            Payload::GlobalSection(section) => {
                for global in section.clone().into_iter().map_while(Result::ok).take(MOST_KEPT) {
                    let is_i32 = global.ty.content_type == ValType::I32;
                    let value = constant(&global.init_expr);
                    self.globals.push(value.filter(|_| is_i32 && global.ty.mutable));
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone().into_iter().map_while(Result::ok) {
                    match (export.name, export.kind) {
                        ("__stack_pointer", ExternalKind::Global) => {
                            self.stack_pointer = Some(export.index);
                        }
                        (name, ExternalKind::Func) => self.function(name, export.index),
                        _ => {}
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(*func),
            Payload::CodeSectionStart { range, .. } => self.sections.code += length(range),
            Payload::DataSection(section) => {
                self.sections.data += length(&section.range());
                for data in section.clone().into_iter().map_while(Result::ok).take(MOST_KEPT) {
                    if let DataKind::Active { memory_index: 0, offset_expr } = data.kind
                        && let Some(offset) = constant(&offset_expr)
                    {
                        self.data.push(offset..offset.saturating_add(data.data.len() as u64));
                    }
                }
                self.signs.data = section.range();
            }
            Payload::CustomSection(section) => {
                let size = length(&section.range());
                match section.name() {
                    "name" => self.sections.names += size,
                    name if name.starts_with(".debug_") => self.sections.debug += size,
                    "linking" => self.is_object = true,
                    "go:buildid" => self.signs.go = true,
                    _ => {}
                }
                if section.name() == ".debug_str" {
                    self.signs.debug_strings = section.data_offset()..section.range().end;
                }
                match section.as_known() {
                    KnownCustom::Name(names) => self.names(names),
                    KnownCustom::Producers(producers) => self.producers(producers),
                    _ if section.name() == "target_features" => {
                        self.features(section.data());
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &str, index: u32) {
        match name {
            "__wasm_call_ctors" => self.constructors = Some(index),
            "_initialize" => self.initialize = Some(index),
            "_start" => self.command = Some(index),
            _ => {}
        }
    }

    fn names(&mut self, names: NameSectionReader<'_>) {
        let each = |map: NameMap<'_>, told: &mut dyn FnMut(&str, u32)| {
            for naming in map.into_iter().map_while(Result::ok) {
                told(naming.name, naming.index);
            }
        };
        for name in names.map_while(Result::ok) {
            match name {
                Name::Function(map) => each(map, &mut |name, index| {
                    self.signs.function(name);
                    if name == "__wasm_call_ctors" {
                        self.constructors = Some(index);
                    }
                }),
                Name::Global(map) => each(map, &mut |name, index| {
                    if name == "__stack_pointer" {
                        self.stack_pointer = Some(index);
                    }
                }),
                _ => {}
            }
        }
    }

    fn producers(&mut self, producers: ProducersSectionReader<'_>) {
        for field in producers.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                if self.producers.len() == MOST_TOLD {
                    return;
                }
                self.producers.push(Producer {
                    field: shown(field.name),
                    name: shown(value.name),
                    version: shown(value.version),
                });
            }
        }
    }

    /// The section `target_features`: a count, and for each a prefix of one byte and a name. (Tool
    /// conventions, "Target Features Section".)
    fn features(&mut self, data: &[u8]) {
        let mut reader = BinaryReader::new(data, 0);
        let Ok(count) = reader.read_var_u32() else { return };
        for _ in 0..count.min(u32::try_from(MOST_TOLD).unwrap_or(u32::MAX)) {
            let (Ok(prefix), Ok(name)) = (reader.read_u8(), reader.read_string()) else { return };
            self.target_features.push(shown(&format!("{}{name}", char::from(prefix))));
        }
    }

    /// The stack: where the global of that name begins, or else the first global, if that can be a
    /// stack pointer, as LLVM's linker makes it.
    fn stack(&self, plugin: &Plugin) -> Option<Stack> {
        let named = self.stack_pointer.and_then(|index| {
            let index = index.checked_sub(self.imported_globals)?;
            *self.globals.get(index as usize)?
        });
        let memory = plugin.memory()?.minimum;
        let can_be =
            |top: &u64| *top >= 1024 && *top <= memory && top.is_multiple_of(STACK_ALIGNMENT);
        let first = self.globals.first().copied().flatten();
        let guessed = first.filter(|_| self.imported_globals == 0);
        let top = named.or(guessed).filter(can_be)?;
        let below = self.data.iter().filter(|data| data.start < top);
        let bottom = below.clone().map(|data| data.end.min(top)).max().unwrap_or(0);
        // Without statics of any value there is nothing to tell by.
        let is_first = !self.data.is_empty() && below.count() == 0;
        Some(Stack { top, at_most: top - bottom, is_first })
    }

    /// Whether constructors run that are called by these functions: by some other than `_start`,
    /// which is not called when there is a `handle`.
    fn runs(&self, callers: &[u32]) -> bool {
        self.initialize.is_some()
            || self.start.is_some_and(|start| Some(start) == self.constructors)
            || callers.iter().any(|caller| Some(*caller) != self.command)
    }
}

/// What is found in code.
#[derive(Default)]
struct Code {
    grows: bool,
    /// Whether there are constructors that do something.
    has_constructors: bool,
    /// Functions that call them; two are enough to know.
    calls_constructors: Vec<u32>,
}

impl Code {
    fn read(bytes: &[u8], look: &Look) -> Self {
        let mut code = Self::default();
        let mut index = look.imported_functions;
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            if let Payload::CodeSectionEntry(body) = payload {
                code.function(index, &body, look.constructors);
                index = index.saturating_add(1);
            }
        }
        code
    }

    fn function(&mut self, index: u32, body: &FunctionBody<'_>, constructors: Option<u32>) {
        let Ok(operators) = body.get_operators_reader() else { return };
        let mut calls = false;
        for (at, operator) in operators.into_iter().map_while(Result::ok).enumerate() {
            match operator {
                Operator::MemoryGrow { .. } => self.grows = true,
                Operator::Call { function_index } => calls |= Some(function_index) == constructors,
                _ => {}
            }
            let is_empty = at == 0 && matches!(operator, Operator::End);
            self.has_constructors |= Some(index) == constructors && !is_empty;
        }
        if calls && self.calls_constructors.len() < 2 {
            self.calls_constructors.push(index);
        }
    }
}

/// The value of an expression that is one constant.
fn constant(expression: &ConstExpr<'_>) -> Option<u64> {
    match expression.get_operators_reader().read() {
        // As an address: no sign.
        Ok(Operator::I32Const { value }) => Some(u64::from(value.cast_unsigned())),
        _ => None,
    }
}

/// A name of the file's, fit to be shown.
fn shown(name: &str) -> String {
    let mut cut: String = name.chars().take(LONGEST).collect();
    if cut.len() < name.len() {
        cut.push_str("...");
    }
    printable(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(parts: &str) -> Plugin {
        Plugin::parse(wat::parse_str(format!("(module {parts})")).unwrap()).unwrap()
    }

    fn anatomy(parts: &str) -> Anatomy {
        plugin(parts).anatomy()
    }

    /// A module with everything that is looked at.
    const FULL: &str = "
        (@producers (language \"Rust\" \"\") (processed-by \"rustc\" \"1.96.0 (ac68faa20)\"))
        (@custom \"target_features\" \"\\02+\\04simd-\\07atomics\")
        (@custom \".debug_str\" \"zig 0.17.1\\00main.zig\\00\")
        (import \"env\" \"abort\" (func (param i32 i32 i32 i32)))
        (memory (export \"memory\") 18)
        (global $__stack_pointer (mut i32) (i32.const 1048576))
        (func $__wasm_call_ctors (drop (memory.grow (i32.const 1))))
        (func (export \"handle\"))
        (start $__wasm_call_ctors)
        (data (i32.const 1048576) \"some data\")";

    #[test]
    fn everything_that_a_module_says_is_read() {
        let plugin = plugin(FULL);
        let found = plugin.anatomy();
        let producer = |field: &str, name: &str, version: &str| Producer {
            field: field.into(),
            name: name.into(),
            version: version.into(),
        };
        let rustc = producer("processed-by", "rustc", "1.96.0 (ac68faa20)");
        assert_eq!(found.producers, [producer("language", "Rust", ""), rustc]);
        assert_eq!(found.target_features, ["+simd", "-atomics"]);
        assert_eq!(found.start, Some(1));
        assert!(found.grows && !found.is_object && !found.forgotten_constructors);
        let Sections { code, data, names, debug, other } = found.sections;
        assert_eq!(code + data + names + debug + other, plugin.bytes().len() as u64);
        assert!([code, data, names, debug, other].iter().all(|bytes| *bytes > 8), "{found:?}");
    }

    #[test]
    fn what_is_cut_off_or_changed_somewhere_is_read_as_far_as_it_goes() {
        let whole = plugin(FULL).bytes().to_vec();
        let look = |bytes: Vec<u8>| {
            let length = bytes.len() as u64;
            let Ok(plugin) = Plugin::parse(bytes) else { return false };
            let Sections { code, data, names, debug, other } = plugin.anatomy().sections;
            assert_eq!(code + data + names + debug + other, length);
            true
        };
        let cut = (0..whole.len()).filter(|length| look(whole[..*length].to_vec())).count();
        assert!(cut > 5, "{cut}");
        let mut changed = 0;
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                changed += usize::from(look(bytes));
            }
        }
        assert!(changed > whole.len(), "{changed}");
    }

    #[test]
    fn names_of_the_files_cannot_forge_lines_and_are_cut() {
        let long = "x".repeat(LONGEST + 1);
        let values = format!("(processed-by \"a\\nb\" \"{long}\")").repeat(MOST_TOLD + 1);
        let found = anatomy(&format!("(@producers {values})"));
        assert_eq!(found.producers.len(), MOST_TOLD);
        assert_eq!(found.producers[0].name, "a\\nb");
        assert_eq!(found.producers[0].version, format!("{}...", "x".repeat(LONGEST)));
    }

    #[test]
    fn counts_that_lie_cost_nothing() {
        for custom in ["producers", "target_features", "name"] {
            let lie = "\\ff\\ff\\ff\\ff\\0f\\01\\ff\\ff\\ff\\ff\\0f";
            let found = anatomy(&format!("(@custom \"{custom}\" \"{lie}\")"));
            assert_eq!((found.producers.len(), found.target_features.len()), (0, 0), "{custom}");
        }
    }

    #[test]
    fn the_stack_is_found_by_its_name_or_as_the_first_global() {
        let stack = |globals: &str, data: &str| {
            anatomy(&format!("{globals} (memory 300) (func) {data}")).stack
        };
        let of = |top, at_most, is_first| Some(Stack { top, at_most, is_first });
        let large = "(global (mut i32) (i32.const 16777216))";
        // Statics behind it: it is the first in memory.
        assert_eq!(
            stack(large, "(data (i32.const 16777216) \"x\")"),
            of(16_777_216, 16_777_216, true)
        );
        // Statics before it, as C has them.
        assert_eq!(
            stack(
                "(global (mut i32) (i32.const 66592))",
                "(data (i32.const 1024) \"0123456789abcdef\")"
            ),
            of(66_592, 65_552, false)
        );
        assert_eq!(stack(large, ""), of(16_777_216, 16_777_216, false));
        let named =
            "(global i32 (i32.const 5)) (global $__stack_pointer (mut i32) (i32.const 2048))";
        assert_eq!(stack(named, ""), of(2048, 2048, false));
        let exported = "(global i32 (i32.const 5))
            (global (export \"__stack_pointer\") (mut i32) (i32.const 2048))";
        assert_eq!(stack(exported, ""), of(2048, 2048, false));
        for none in [
            "",
            "(global (mut i32) (i32.const 0))",
            "(global (mut i32) (i32.const 2049))",
            "(global (mut i32) (i32.const -16))",
            "(global (mut i64) (i64.const 2048))",
            "(global i32 (i32.const 2048))",
            "(import \"a\" \"b\" (global (mut i32))) (global (mut i32) (i32.const 2048))",
        ] {
            assert_eq!(stack(none, ""), None, "{none}");
        }
    }

    #[test]
    fn constructors_are_forgotten_if_nobody_calls_them() {
        let forgotten = |parts: &str| anatomy(parts).forgotten_constructors;
        let constructors = "(func $__wasm_call_ctors (drop (i32.const 1)))";
        let start = "(func (export \"_start\") (call $__wasm_call_ctors))";
        assert!(forgotten(constructors));
        assert!(forgotten(&format!("{constructors} {start}")));
        assert!(forgotten("(func (export \"__wasm_call_ctors\") (drop (i32.const 1)))"));
        for fine in [
            "(func $__wasm_call_ctors)".to_owned(),
            "(func (drop (i32.const 1)))".to_owned(),
            format!("{constructors} (func (export \"handle\") (call $__wasm_call_ctors))"),
            format!("{constructors} {start} (func $wrapper (call $__wasm_call_ctors))"),
            format!("{constructors} (func (export \"_initialize\"))"),
            format!("{constructors} (start $__wasm_call_ctors)"),
        ] {
            assert!(!forgotten(&fine), "{fine}");
        }
    }

    #[test]
    fn an_object_file_is_known() {
        assert!(anatomy("(@custom \"linking\" \"\\02\")").is_object);
        assert!(!anatomy("").is_object);
    }
}
