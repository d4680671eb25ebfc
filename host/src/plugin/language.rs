//! What a plugin is written in: what it says of itself, else what is found in it. A module that was
//! stripped of everything says nothing, and the signs that are looked for then can be wrong.

use std::ops::Range;

use super::anatomy::Producer;

/// What a plugin is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    /// Its name: `Rust`, `C++`, `AssemblyScript`.
    pub name: String,
    /// Its version, or that of its compiler, if the module says it.
    pub version: Option<String>,
    /// What it is told by, if the module does not say it itself.
    pub told_by: Option<&'static str>,
}

/// What is found in a module beside what it says of itself.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// It imports `env.abort`.
    pub(super) abort: bool,
    /// It has a section of Go's linker.
    pub(super) go: bool,
    /// Where its data is in the file.
    pub(super) data: Range<usize>,
    /// Where the strings of its debug sections are.
    pub(super) debug_strings: Range<usize>,
    /// Whose names its functions have.
    names: Option<Names>,
}

/// Languages whose functions have names like no others.
#[derive(Debug, PartialEq, Eq)]
enum Names {
    /// Names with parameters, or for the constructors of a file.
    Cpp,
    /// Paths in its library.
    AssemblyScript,
}

impl Signs {
    /// Looks at the name of a function.
    pub(super) fn function(&mut self, name: &str) {
        if name.starts_with("~lib/") {
            self.names = Some(Names::AssemblyScript);
        } else if name.contains('(')
            || name.starts_with("_Z")
            || name.starts_with("_GLOBAL__sub_I_")
        {
            self.names.get_or_insert(Names::Cpp);
        }
    }
}

/// Errors of Zig's readers and writers, whose names are in every program that tells its errors.
const ERRORS_OF_ZIG: [&[u8]; 5] = [
    b"\0WriteFailed\0",
    b"\0ReadFailed\0",
    b"\0EndOfStream\0",
    b"\0StreamTooLong\0",
    b"\0Unexpected\0",
];

/// Data beyond this is not searched for signs, in bytes.
const SEARCHED: usize = 16 << 20;

/// `~lib/`, as the strings of AssemblyScript are.
const LIBRARY_OF_ASSEMBLYSCRIPT: &[u8] = b"~\0l\0i\0b\0/\0";

impl Language {
    /// What a module of these `bytes` is written in.
    pub(super) fn of(producers: &[Producer], signs: &Signs, bytes: &[u8]) -> Option<Self> {
        let data = bytes.get(signs.data.clone()).unwrap_or_default();
        let debug_strings = bytes.get(signs.debug_strings.clone()).unwrap_or_default();
        said(producers)
            .or_else(|| zig(debug_strings))
            .or_else(|| Some(Self::told("Go", "a section of its linker")).filter(|_| signs.go))
            .or_else(|| {
                let named = signs.names == Some(Names::AssemblyScript)
                    || contains(data, LIBRARY_OF_ASSEMBLYSCRIPT);
                named.then(|| Self::told("AssemblyScript", "names of its library"))
            })
            .or_else(|| {
                let path = contains(data, b"/rustc/") || contains(data, b"library/std/src/");
                path.then(|| Self::told("Rust", "paths of its library"))
            })
            .or_else(|| c(producers, signs))
            .or_else(|| {
                let found = ERRORS_OF_ZIG.iter().filter(|name| contains(data, name)).count();
                (found > 1).then(|| Self::told("Zig", "names of its library's errors"))
            })
            .or_else(|| signs.abort.then(|| Self::told("AssemblyScript", "its import env.abort")))
    }

    /// Whether programs in it keep no stack of their own in memory that a linker has given a size.
    pub(super) fn has_no_stack_in_memory(&self) -> bool {
        self.name == "AssemblyScript" || self.name == "Go"
    }

    fn told(name: &str, by: &'static str) -> Self {
        Self { name: name.into(), version: None, told_by: Some(by) }
    }
}

/// What the module says, unless that is C or C++: their compilers are behind other languages, too.
fn said(producers: &[Producer]) -> Option<Language> {
    let by = |program: &str| {
        producers.iter().find(|p| p.field == "processed-by" && p.name.starts_with(program))
    };
    let language = |name: &str, version: &str| {
        let version = Some(version.to_owned()).filter(|version| !version.is_empty());
        Some(Language { name: name.into(), version, told_by: None })
    };
    if let Some(rustc) = by("rustc") {
        // What is in brackets is its commit and its builder.
        let version = rustc.version.split(" (").next().unwrap_or_default();
        return language("Rust", version);
    }
    let said =
        producers.iter().find(|p| p.field == "language" && !is_c(&p.name) && !is_cpp(&p.name));
    if let Some(Producer { name, version, .. }) = said {
        // `go1.27.3`, of Go.
        let prefix = name.to_lowercase();
        return language(name, version.strip_prefix(&prefix).unwrap_or(version));
    }
    by("TinyGo").and_then(|tinygo| language("Go", &format!("TinyGo {}", tinygo.version)))
}

/// Zig says who it is where C compilers do: among the strings of its debug sections.
fn zig(debug_strings: &[u8]) -> Option<Language> {
    let mut strings = debug_strings.split(|byte| *byte == 0);
    let version = strings.find_map(|string| {
        let version = str::from_utf8(string.strip_prefix(b"zig ")?).ok()?;
        let is_version = version.len() < 40
            && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
        is_version.then(|| version.to_owned())
    })?;
    Some(Language { name: "Zig".into(), version: Some(version), told_by: None })
}

/// C, unless there is C++ in it, whose standard comes after the name: `C_plus_plus_14`, `C99`.
fn c(producers: &[Producer], signs: &Signs) -> Option<Language> {
    let languages = || producers.iter().filter(|p| p.field == "language").map(|p| &*p.name);
    if let Some(name) = languages().find(|name| is_cpp(name)) {
        let year = name.rsplit('_').next().filter(|year| year.parse::<u8>().is_ok());
        return Some(Language {
            name: "C++".into(),
            version: year.map(|year| format!("C++{year}")),
            told_by: None,
        });
    }
    let standard = languages().find(|name| is_c(name))?;
    Some(if signs.names == Some(Names::Cpp) {
        Language::told("C++", "names of its functions")
    } else {
        Language { name: "C".into(), version: Some(standard.to_owned()), told_by: None }
    })
}

fn is_cpp(language: &str) -> bool {
    language.starts_with("C_plus_plus") || language.starts_with("C++")
}

fn is_c(language: &str) -> bool {
    language.strip_prefix('C').is_some_and(|year| year.chars().all(|c| c.is_ascii_digit()))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.get(..SEARCHED).unwrap_or(bytes).windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::Plugin;

    /// What a module of these parts is written in, and what tells.
    fn language(parts: &str) -> String {
        let wasm = wat::parse_str(format!("(module {parts})")).unwrap();
        match Plugin::parse(wasm).unwrap().anatomy().language {
            Some(found) => {
                let said =
                    [Some(found.name), found.version, found.told_by.map(|by| format!("by {by}"))];
                said.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            None => "none".into(),
        }
    }

    #[test]
    fn what_a_module_says_counts() {
        let clang = "(language \"C99\" \"\") (processed-by \"clang\" \"22.1\")";
        for (said, is) in [
            ("(processed-by \"rustc\" \"1.96.0 (ac68faa20 2026-05-25)\")", "Rust 1.96.0"),
            ("(language \"Go\" \"go1.27.3\")", "Go 1.27.3"),
            ("(processed-by \"TinyGo\" \"0.40.0\")", "Go TinyGo 0.40.0"),
            ("(language \"C11\" \"\")", "C C11"),
            ("(language \"C_plus_plus_14\" \"\")", "C++ C++14"),
            ("(language \"C_plus_plus\" \"\")", "C++"),
            ("(language \"Swift\" \"6.2\")", "Swift 6.2"),
        ] {
            assert_eq!(language(&format!("(@producers {said})")), is);
            // C's library is in all of them.
            if !is.starts_with("C C11") {
                assert_eq!(language(&format!("(@producers {clang} {said})")), is);
            }
        }
        assert_eq!(language(""), "none");
    }

    #[test]
    fn what_says_nothing_is_told_by_what_is_in_it() {
        let data = |text: &str| format!("(memory 1) (data (i32.const 0) \"{text}\")");
        let clang = "(@producers (language \"C99\" \"\"))";
        let method = "(func $\"portcell::connection::read(void*, unsigned long)\")";
        for (parts, is) in [
            (data("~\\00l\\00i\\00b\\00/\\00r\\00t\\00"), "AssemblyScript by names of its library"),
            ("(func $~lib/rt/itcms/__new)".into(), "AssemblyScript by names of its library"),
            (
                "(import \"env\" \"abort\" (func (param i32 i32 i32 i32)))".into(),
                "AssemblyScript by its import env.abort",
            ),
            (
                data("/rustc/ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96/"),
                "Rust by paths of its library",
            ),
            (
                data("\\00WriteFailed\\00\\00EndOfStream\\00"),
                "Zig by names of its library's errors",
            ),
            (data("\\00WriteFailed\\00"), "none"),
            ("(@custom \".debug_str\" \"zig 0.17.1\\00\")".into(), "Zig 0.17.1"),
            ("(@custom \".debug_str\" \"a\\00zig is \\0a\\00\")".into(), "none"),
            ("(@custom \"go:buildid\" \"\")".into(), "Go by a section of its linker"),
            (format!("{clang} {method}"), "C++ by names of its functions"),
            (format!("{clang} (func $_GLOBAL__sub_I_b.cpp)"), "C++ by names of its functions"),
            (format!("{clang} (func $read)"), "C C99"),
        ] {
            assert_eq!(language(&parts), is, "{parts}");
        }
    }
}
