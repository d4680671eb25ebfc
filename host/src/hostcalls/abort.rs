//! `env.abort`, which AssemblyScript imports as soon as anything can throw: a trap with its
//! message. (AssemblyScript's runtime, "Object layout": a string is UTF-16, and the four bytes
//! before it hold its length in bytes.)

use wasmtime::{Caller, Linker};

use crate::guest::{Guest, Stop, split};

pub(super) const MODULE: &str = "env";
pub(super) const NAME: &str = "abort";

/// A longer message is cut, in bytes.
const MESSAGE: usize = 512;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        NAME,
        |mut caller: Caller<'_, Guest>, message: u32, file: u32, line: u32, column: u32| {
            let (memory, _) = split(&mut caller)?;
            let message = string(memory, message).unwrap_or_else(|| "abort".into());
            let file = string(memory, file).unwrap_or_else(|| "?".into());
            let said = format!("abort: {message} at {file}:{line}:{column}");
            Err::<(), _>(wasmtime::Error::new(Stop::Abort(said)))
        },
    )?;
    Ok(())
}

/// The string at `pointer`; `None` for null and for what cannot be one.
fn string(memory: &[u8], pointer: u32) -> Option<String> {
    let at = pointer as usize;
    let length = memory.get(at.checked_sub(4)?..at)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let bytes = memory.get(at..)?.get(..length.min(MESSAGE))?;
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some(String::from_utf16_lossy(&units).escape_debug().to_string())
}
