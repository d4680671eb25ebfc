//! What the fuzz targets share. A target panics when something is wrong; what it must not do, and
//! the time that it may take, is the fuzzer's to watch.

mod cell;
mod conversation;

pub use cell::Cells;
pub use conversation::{converse, datagrams};

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Runs `future` on a runtime of this thread. Its clock jumps to the next deadline whenever
/// nothing else is to be done, so that nothing in it takes time by waiting.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime"),
        );
    }
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}

/// An empty folder, in memory where there is a place for that. It is left there if the fuzzer
/// stops in the middle.
pub fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("portcell-fuzz-").tempdir_in(parent).expect("a folder")
}

/// The folder of the repository at this path.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
