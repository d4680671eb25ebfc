//! Holds the host's linker to `portcell-abi` and to WASI preview 1.

use portcell_abi::{IMPORTS, MODULE};

use crate::harness::{Guest, loader};

const WASI: &str = "wasi_snapshot_preview1";

/// Every function of `wasi_snapshot_preview1.witx`.
const WASI_FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// A guest that has these imports.
fn importing(imports: &str) -> Guest {
    Guest::text(&format!(
        "(module {imports} (memory (export \"memory\") 1) (func (export \"handle\")))"
    ))
}

/// The names that the host offers in a module, sorted.
fn offered(module: &str) -> Vec<&str> {
    let of_module = loader().offered().iter().filter(|import| import.module == module);
    let mut names: Vec<&str> = of_module.map(|import| import.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_import_of_the_abi_links_with_its_type() {
    for import in IMPORTS {
        let params = "i32 ".repeat(import.params.len());
        let text = |params: &str, result: &str| {
            format!(
                "(import \"{MODULE}\" \"{}\" (func (param {params}) (result {result})))",
                import.name
            )
        };
        importing(&text(&params, "i32")).load().unwrap();
        for wrong in [
            text(&format!("{params} i32"), "i32"),
            text(&params[4..], "i32"),
            text(&params, ""),
            text(&params, "i64"),
            text(&params.replacen("i32", "i64", 1), "i32"),
        ] {
            let error = importing(&wrong).refused();
            let name = format!("`{MODULE}.{}` (as (", import.name);
            assert!(error.contains(&name), "{error}");
        }
    }
}

#[test]
fn the_host_offers_nothing_else_in_the_module_of_the_abi() {
    let mut names: Vec<&str> = IMPORTS.iter().map(|import| import.name).collect();
    names.sort_unstable();
    assert_eq!(offered(MODULE), names);
    let error = importing(&format!("(import \"{MODULE}\" \"open\" (func))")).refused();
    assert!(
        error.starts_with("imports what portcell does not offer: `portcell_v1.open`"),
        "{error}"
    );
}

#[test]
fn every_function_of_wasi_preview_1_links() {
    assert_eq!(offered(WASI), WASI_FUNCTIONS);
    let all = loader().offered().iter().filter(|import| import.module == WASI);
    let all: Vec<String> = all.map(crate::harness::import_text).collect();
    importing(&all.join("\n")).load().unwrap();
}

#[test]
fn the_only_other_import_is_abort() {
    let others =
        loader().offered().iter().filter(|import| ![MODULE, WASI].contains(&&*import.module));
    let others: Vec<String> = others
        .map(|import| format!("{}.{} {}", import.module, import.name, import.signature))
        .collect();
    assert_eq!(others, ["env.abort (i32, i32, i32, i32) -> ()"]);
}
