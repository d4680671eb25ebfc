//! The anatomy of a plugin: who made it, what its bytes are for, where its stack is. All of it is
//! what the file says of itself, or what its form gives away, for people to read; nothing that runs
//! depends on it. What cannot be read is left out.

use super::Plugin;
use super::language::Language;
use super::look::{Code, Look};

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
        let look = Look::at(bytes);
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

#[cfg(test)]
mod tests {
    use super::super::look::{LONGEST, MOST_TOLD};
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
        let computed = "(global (mut i32) (i32.add (i32.const 2048) (i32.const 16)))";
        assert_eq!(stack(computed, ""), None);
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
