//! A coredump of a guest that trapped: its memory and where it was, in the standard form
//! (WebAssembly/tool-conventions, Coredump.md). Globals and locals are not in it.

use std::io::{self, Write};

use wasm_encoder::{
    CoreDumpInstancesSection, CoreDumpModulesSection, CoreDumpSection, CoreDumpStackSection,
    Encode as _, MemorySection, MemoryType, Module, Section, SectionId,
};
use wasmtime::{Error, Store, WasmBacktrace};

use crate::guest::{Guest, memory};

/// What is copied at once, in bytes; others get the worker in between.
const STEP: usize = 1 << 20;

/// A run of zeroes at the beginning or the end of so many bytes is left out.
const CHUNK: usize = 4096;

/// A guest's state, copied: the instance is not needed any more.
#[derive(Debug)]
pub(crate) struct Coredump {
    /// The module, as the file names it.
    module: String,
    /// Functions by their numbers, with the place in each, from the innermost.
    frames: Vec<(u32, u32)>,
    /// In wasm pages.
    pages: u64,
    /// Of the memory what is not zero.
    segments: Segments,
}

/// Encoded segments of data, in pieces: as one they would be copied as they grow.
#[derive(Debug, Default)]
struct Segments {
    count: u32,
    pieces: Vec<Vec<u8>>,
}

impl Coredump {
    /// Copies the state of the instance in `store`, which trapped with `error`. Gives way to others
    /// after each mebibyte.
    pub(crate) async fn take(store: &mut Store<Guest>, error: &Error, module: String) -> Self {
        let frames = error.downcast_ref().map_or(&[][..], WasmBacktrace::frames);
        let place = |offset: Option<usize>| offset.and_then(|offset| u32::try_from(offset).ok());
        let frames = frames
            .iter()
            .map(|frame| (frame.func_index(), place(frame.func_offset()).unwrap_or(0)))
            .collect();
        let size = memory(store).len();
        let mut segments = Segments::default();
        for at in (0..size).step_by(STEP) {
            segments.add(at, memory(store).get(at..size.min(at + STEP)).unwrap_or_default());
            tokio::task::yield_now().await;
        }
        let pages = size as u64 / crate::config::WASM_PAGE;
        Self { module, frames, pages, segments }
    }

    /// Writes it as a file.
    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: self.pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        output.write_all(&Module::HEADER)?;
        put(output, &CoreDumpSection::new(&*self.module))?;
        put(output, &memories)?;
        self.segments.write(output)?;
        put(output, CoreDumpModulesSection::new().module(&self.module))?;
        put(output, CoreDumpInstancesSection::new().instance(0, [0], []))?;
        let mut stack = CoreDumpStackSection::new("main");
        for (function, offset) in &self.frames {
            stack.frame(0, *function, *offset, [], []);
        }
        put(output, &stack)
    }
}

impl Segments {
    /// Adds what is at `at` in the memory.
    fn add(&mut self, at: usize, bytes: &[u8]) {
        let mut piece = Vec::new();
        for (number, chunk) in bytes.chunks(CHUNK).enumerate() {
            let Some(first) = chunk.iter().position(|byte| *byte != 0) else { continue };
            let last = chunk.iter().rposition(|byte| *byte != 0).unwrap_or(first);
            // An address is a number of 32 bits, which the encoding takes as signed.
            let address = u32::try_from(at + number * CHUNK + first).unwrap_or(u32::MAX);
            // In memory 0, at a constant.
            piece.extend_from_slice(&[0x00, 0x41]);
            address.cast_signed().encode(&mut piece);
            piece.push(0x0b);
            chunk.get(first..=last).unwrap_or_default().encode(&mut piece);
            self.count += 1;
        }
        self.pieces.push(piece);
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut count = Vec::new();
        self.count.encode(&mut count);
        let size = count.len() + self.pieces.iter().map(Vec::len).sum::<usize>();
        let mut head = vec![SectionId::Data as u8];
        size.encode(&mut head);
        output.write_all(&head)?;
        output.write_all(&count)?;
        self.pieces.iter().try_for_each(|piece| output.write_all(piece))
    }
}

fn put(output: &mut impl Write, section: &impl Section) -> io::Result<()> {
    let mut bytes = Vec::new();
    section.append_to(&mut bytes);
    output.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use wasmparser::{DataKind, Operator, Parser, Payload};

    use super::*;

    #[test]
    fn memory_is_written_without_its_zeroes_and_at_its_place() {
        let mut memory = vec![0_u8; 3 * STEP];
        memory[CHUNK - 1] = 1;
        memory[CHUNK] = 2;
        memory[2 * STEP + 10..2 * STEP + 20].fill(3);
        let mut segments = Segments::default();
        for (step, bytes) in memory.chunks(STEP).enumerate() {
            segments.add(step * STEP, bytes);
        }
        let core = Coredump {
            module: "m".into(),
            frames: vec![(7, 8)],
            pages: (memory.len() / (64 << 10)) as u64,
            segments,
        };
        let mut file = Vec::new();
        core.write(&mut file).unwrap();
        assert!(file.len() < 200, "{} bytes", file.len());
        let mut found = vec![0_u8; memory.len()];
        for payload in Parser::new(0).parse_all(&file) {
            let Payload::DataSection(segments) = payload.unwrap() else { continue };
            for segment in segments {
                let segment = segment.unwrap();
                let DataKind::Active { memory_index: 0, offset_expr } = segment.kind else {
                    panic!("{:?}", segment.kind)
                };
                let operator = offset_expr.get_operators_reader().read().unwrap();
                let Operator::I32Const { value } = operator else { panic!("{operator:?}") };
                let at = usize::try_from(value).unwrap();
                found[at..at + segment.data.len()].copy_from_slice(segment.data);
            }
        }
        assert!(found == memory);
    }
}
