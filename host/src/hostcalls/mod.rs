//! What guests can call: `portcell_v1`, WASI preview 1, and `env.abort`.
//!
//! Thin faces on [`Connection`](crate::connection::Connection), and the only code that touches a
//! guest's memory. Every length is checked before it is used.

mod abort;
mod transfer;
mod v1;
mod wasi;

use portcell_abi as abi;
use wasmtime::{Engine, ExternType, Linker, Store};

use crate::guest::Guest;
use crate::plugin::Import;

/// A linker with everything that guests may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    v1::add(&mut linker)?;
    wasi::add(&mut linker)?;
    abort::add(&mut linker)?;
    Ok(linker)
}

/// The names and types of what [`linker`] defines.
pub(crate) fn offered(engine: &Engine) -> wasmtime::Result<Vec<Import>> {
    let ours = abi::IMPORTS.iter().map(|import| Import {
        module: abi::MODULE.into(),
        name: import.name.into(),
        signature: signature(&vec!["i32"; import.params.len()], &["i32"]),
    });
    let abort = Import {
        module: abort::MODULE.into(),
        name: abort::NAME.into(),
        signature: signature(&["i32"; 4], &[]),
    };
    // WASI's names and types are the library's: ask a linker that has nothing else.
    let mut wasi = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut wasi, |context| context)?;
    let mut store = Store::new(engine, wasmtime_wasi::WasiCtxBuilder::new().build_p1());
    let found: Vec<_> =
        wasi.iter(&mut store).map(|(m, n, item)| (m.to_owned(), n.to_owned(), item)).collect();
    let wasi = found.into_iter().filter_map(|(module, name, item)| match item.ty(&store) {
        ExternType::Func(ty) => {
            let names = |types: Vec<wasmtime::ValType>| {
                types.iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            let (params, results) = (names(ty.params().collect()), names(ty.results().collect()));
            let signature = signature(&strs(&params), &strs(&results));
            Some(Import { module, name, signature })
        }
        _ => None,
    });
    Ok(ours.chain([abort]).chain(wasi).collect())
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// A function type as the text format and [`Import::signature`] have it.
fn signature(params: &[&str], results: &[&str]) -> String {
    let results = match results {
        [one] => (*one).to_owned(),
        several => format!("({})", several.join(", ")),
    };
    format!("({}) -> {results}", params.join(", "))
}
