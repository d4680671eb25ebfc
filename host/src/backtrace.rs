//! Where a guest was when it trapped: the names of its functions, demangled. A module's names can be
//! anything and as long as the module: what is shown is bounded, and cannot forge a line.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};
use wasmtime::{Error, FrameInfo, WasmBacktrace};

use crate::text::escape_into;

/// The longest name that is shown, in bytes; what is cut ends with `...`.
const NAME: usize = 256;

/// The longest name that is demangled, in bytes. What it says can be much longer than it is, and
/// take as long to make.
const MANGLED: usize = 1024;

/// How deep a name of C++ may be nested to be demangled. The parser tries several readings at each
/// level, so without this bound a name of sixty bytes could hold a worker for hours. What people
/// write needs 41 at most.
const NESTED: u32 = 48;

/// The functions that were running when `error` happened, from the innermost, each with its place
/// in the module's file: `core::panicking::panic at 0x1a4f`. As many as the engine captures.
pub(crate) fn of(error: &Error) -> Vec<String> {
    let shown = |frame: &FrameInfo| match frame.module_offset() {
        Some(offset) => format!("{} at {offset:#x}", name(frame)),
        None => name(frame),
    };
    frames(error).iter().map(shown).collect()
}

/// Whether a guest was running when `error` happened.
pub(crate) fn is_in(error: &Error) -> bool {
    !frames(error).is_empty()
}

/// The innermost of them, by its name or its number.
pub(crate) fn innermost(error: &Error) -> Option<String> {
    frames(error).first().map(name)
}

fn frames(error: &Error) -> &[FrameInfo] {
    error.downcast_ref().map_or(&[], WasmBacktrace::frames)
}

fn name(frame: &FrameInfo) -> String {
    frame.func_name().map_or_else(|| format!("#{}", frame.func_index()), demangled)
}

/// A function's name as it was written in Rust or C++, or as it is; escaped, so that it is fit for a
/// terminal, and cut after about 256 bytes.
pub fn demangled(name: &str) -> String {
    let mut shown = Shown::default();
    let parsing = ParseOptions::default().recursion_limit(NESTED);
    // What fails is a name that is cut, or is none of that language in the end.
    let _ = if name.len() > MANGLED {
        shown.write_str(name)
    } else if let Ok(name) = rustc_demangle::try_demangle(name) {
        write!(shown, "{name:#}")
    } else if let Ok(symbol) = Symbol::new_with_options(name, &parsing) {
        symbol.structured_demangle(&mut shown, &DemangleOptions::new().recursion_limit(NESTED))
    } else {
        shown.write_str(name)
    };
    if shown.0.is_empty() {
        // Writing fails when it is full, and that is said in it.
        let _ = shown.write_str(name);
    }
    shown.0
}

/// A name that is made fit for a terminal as it comes, and cut.
#[derive(Default)]
struct Shown(String);

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() >= NAME {
                self.0.push_str("...");
                return Err(fmt::Error);
            }
            escape_into(&mut self.0, character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rust_and_cpp_are_as_they_were_written() {
        for (mangled, written) in [
            ("_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"),
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("trap", "trap"),
            ("_Znonsense", "_Znonsense"),
            ("", ""),
        ] {
            assert_eq!(demangled(mangled), written);
        }
    }

    #[test]
    fn a_hostile_name_is_escaped_and_cut() {
        assert_eq!(demangled("a\n\u{1b}[2J\u{202e}"), "a\\n\\u{1b}[2J\\u{202e}");
        let cut = demangled(&"x\n".repeat(1 << 20));
        assert!(cut.len() <= NAME + "\\u{10ffff}...".len() && cut.ends_with("..."), "{cut}");
    }

    #[test]
    fn a_name_that_can_be_read_in_too_many_ways_holds_nobody_up() {
        for nested in ["S_I", "SaI", "St1aI"] {
            let name = format!("_Z1PI{}i", nested.repeat(100));
            // It would not end before this test is given up.
            assert!(demangled(&name).starts_with("_Z1PI"), "{nested}");
        }
        // Real names are nested, too.
        let shown = demangled(
            "_ZNSt3__113unordered_mapINS_12basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEENS_\
             6vectorINS_10shared_ptrI3FooEENS4_IS9_EEEENS_4hashIS6_EENS_8equal_toIS6_EENS4_INS_4\
             pairIKS6_SB_EEEEE6insertEv",
        );
        assert!(shown.starts_with("std::__1::unordered_map<std::__1::basic_string<"), "{shown}");
    }

    #[test]
    fn a_short_name_that_stands_for_a_long_one_is_cut() {
        // Each parameter is `a` of the one before it, twice.
        let mut name = "_Z1f1aIiiE".to_owned();
        for before in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXY".chars() {
            write!(name, "S_IS{before}_S{before}_E").unwrap();
        }
        let shown = demangled(&name);
        assert!(shown.starts_with("f(a<int, int>, a<a<int, int>, a<int, int> >"), "{shown}");
        assert!(shown.len() < 2 * NAME && shown.ends_with("..."), "{shown}");
    }
}
