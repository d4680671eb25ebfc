//! A look at the bytes of a plugin, once for all but code and once for that: what its
//! [`Anatomy`](super::anatomy::Anatomy) is told from. Nothing of it is checked; what cannot be read
//! is left out.

use std::ops::Range;

use wasmparser::{
    BinaryReader, ConstExpr, DataKind, ExternalKind, FunctionBody, KnownCustom, Name, NameMap,
    NameSectionReader, Operator, Parser, Payload, ProducersSectionReader, TypeRef, ValType,
};

use super::Plugin;
use super::anatomy::{Producer, Sections, Stack};
use super::language::Signs;
use crate::text::printable;

/// What is told of each kind: producers, target features.
pub(super) const MOST_TOLD: usize = 32;

/// A longer name of those is cut, in characters.
pub(super) const LONGEST: usize = 100;

/// Globals and pieces of data that are looked at; no compiler makes as many.
const MOST_KEPT: usize = 100_000;

/// Stacks begin at a multiple of this, whatever the language.
const STACK_ALIGNMENT: u64 = 16;

/// What is found in one pass, but for code.
#[derive(Default)]
pub(super) struct Look {
    pub(super) sections: Sections,
    pub(super) producers: Vec<Producer>,
    pub(super) target_features: Vec<String>,
    pub(super) start: Option<u32>,
    pub(super) is_object: bool,
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
    pub(super) data: Vec<Range<u64>>,
    pub(super) signs: Signs,
}

impl Look {
    /// All but the code.
    pub(super) fn at(bytes: &[u8]) -> Self {
        let mut look = Self::default();
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            look.take(&payload);
        }
        look
    }

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
    pub(super) fn stack(&self, plugin: &Plugin) -> Option<Stack> {
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
    pub(super) fn runs(&self, callers: &[u32]) -> bool {
        self.initialize.is_some()
            || self.start.is_some_and(|start| Some(start) == self.constructors)
            || callers.iter().any(|caller| Some(*caller) != self.command)
    }
}

/// What is found in code.
#[derive(Default)]
pub(super) struct Code {
    pub(super) grows: bool,
    /// Whether there are constructors that do something.
    pub(super) has_constructors: bool,
    /// Functions that call them; two are enough to know.
    pub(super) calls_constructors: Vec<u32>,
}

impl Code {
    pub(super) fn read(bytes: &[u8], look: &Look) -> Self {
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
    let mut operators = expression.get_operators_reader();
    match (operators.read(), operators.read()) {
        // As an address: no sign.
        (Ok(Operator::I32Const { value }), Ok(Operator::End)) => {
            Some(u64::from(value.cast_unsigned()))
        }
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
