//! Handlers in every language do the same: the same conversations over real sockets, with the real
//! binary, for each row of the table below.
//!
//! `language` knows where modules are and says what is left out; `conversation` is a client for much
//! data; `native` is about SDKs off wasm; `inspect` about the command of its name; `project` about what
//! `portcell new` makes; `rehearsal` plays conversations in memory; every other module is about the
//! handler of its name. What is tested is plugins/LANGUAGE/*.wasm, which `make languages` builds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../e2e/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the end-to-end tests use the rest of it")]
mod harness;

mod conversation;
mod language;
mod native;
mod project;
mod rehearsal;

/// Tests of a handler in one language, each a function of the handler's module that is given what
/// was compiled.
macro_rules! tests {
    ($language:ident $handler:ident: $($test:ident)+) => {
        mod $handler {
            $(
                #[test]
                fn $test() {
                    let names = (stringify!($language), stringify!($handler));
                    if let Some(module) = crate::language::module(names) {
                        crate::$handler::$test(&module);
                    }
                }
            )+
        }
    };
}

#[macro_use]
mod calc;
#[macro_use]
mod chargen;
#[macro_use]
mod duplex;
#[macro_use]
mod echo;
#[macro_use]
mod hello_inetd;
#[macro_use]
mod http;
#[macro_use]
mod inspect;
#[macro_use]
mod netstring;
#[macro_use]
mod probe;
#[macro_use]
mod rpn;
#[macro_use]
mod shout;

macro_rules! table {
    ($($language:ident: $($handler:ident)+;)+) => {
        $(
            mod $language {
                $($handler!($language);)+
            }
        )+
    };
}

table! {
    assemblyscript: echo shout hello_inetd probe calc inspect;
    c: echo shout hello_inetd probe chargen inspect;
    cpp: echo shout hello_inetd probe rpn inspect;
    go: echo shout hello_inetd probe http duplex inspect;
    // Its other handlers are those of the end-to-end tests; its `shout` is about text, in Unicode.
    rust: echo hello_inetd probe inspect;
    zig: echo shout hello_inetd probe netstring inspect;
}
