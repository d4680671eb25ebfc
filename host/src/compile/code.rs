//! Machine code that a compiler of ours made: the only thing that is ever run.

use wasmtime::{Engine as WasmEngine, Module};

/// The code of one module. Only what a compiler of this program made, in this process, in a child
/// of it or in an earlier run, becomes one.
pub(crate) struct Code(Vec<u8>);

impl Code {
    /// `bytes` must be, unchanged, what `Engine::precompile_module` gave, here or in a process that
    /// is trusted as this one is.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The module, ready to be instantiated by `engine`; an error if it was made for another.
    #[expect(unsafe_code, reason = "whose code it is, wasmtime cannot know")]
    pub(crate) fn module(&self, engine: &WasmEngine) -> wasmtime::Result<Module> {
        // SAFETY: it is what a compiler of ours made, whole and unchanged: from a process of ours
        // that said it was done, or from a file with its checksum that only this user can write.
        unsafe { Module::deserialize(engine, &self.0) }
    }
}
