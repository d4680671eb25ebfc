//! Fewer pieces of data for the same memory. Go's linker leaves out every few zeros and begins
//! another piece behind them: 33 514 in a handler that echoes, of 26 bytes each. wasmtime keeps a
//! pointer and a length of each for every instance, and copies them one by one.

use std::borrow::Cow;

use wasm_encoder::{ConstExpr, DataSection, Section as _};
use wasmparser::{BinaryReaderError, DataKind, DataSectionReader, Operator, Parser, Payload};

/// A module with fewer is left as it is.
const MANY: u32 = 1000;

/// Zeros that are written out between two pieces, at most. They cost less than another piece, and
/// touch no page that would not be touched.
const GAP: u32 = 64;

/// A piece of data, and where it goes.
struct Piece<'a> {
    at: u32,
    bytes: Cow<'a, [u8]>,
}

impl Piece<'_> {
    fn end(&self) -> u64 {
        u64::from(self.at) + self.bytes.len() as u64
    }
}

/// The module with pieces joined that lie close to each other, if it has many; otherwise, and
/// where that could be noticed, as it is. Modules that are not valid are left to the compiler.
pub(super) fn join(module: &[u8]) -> Cow<'_, [u8]> {
    rewritten(module).ok().flatten().map_or(Cow::Borrowed(module), Cow::Owned)
}

fn rewritten(module: &[u8]) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let mut before = 0;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            // Instructions may name pieces by their number.
            Payload::DataCountSection { .. } => return Ok(None),
            Payload::DataSection(section) => {
                let after = section.range().end;
                let Some(joined) = joined(section)? else { return Ok(None) };
                let (Some(head), Some(tail)) = (module.get(..before), module.get(after..)) else {
                    return Ok(None);
                };
                let mut whole = head.to_vec();
                joined.append_to(&mut whole);
                whole.extend_from_slice(tail);
                return Ok(Some(whole));
            }
            // Where the next section begins, with its number and length.
            Payload::Version { range, .. } => before = range.end,
            other => before = other.as_section().map_or(before, |(_, range)| range.end),
        }
    }
    Ok(None)
}

/// `None` if there are few, or the order in which they are written can be seen.
fn joined(section: DataSectionReader<'_>) -> Result<Option<DataSection>, BinaryReaderError> {
    if section.count() < MANY {
        return Ok(None);
    }
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for data in section {
        let data = data?;
        let DataKind::Active { memory_index: 0, offset_expr } = data.kind else { return Ok(None) };
        let mut offset = offset_expr.get_operators_reader();
        let Operator::I32Const { value } = offset.read()? else { return Ok(None) };
        if !matches!(offset.read()?, Operator::End) {
            return Ok(None);
        }
        pieces.push(Piece { at: value.cast_unsigned(), bytes: Cow::Borrowed(data.data) });
    }
    pieces.sort_by_key(|piece| piece.at);
    if pieces.windows(2).any(|pair| pair[0].end() > u64::from(pair[1].at)) {
        return Ok(None);
    }
    let mut joined: Vec<Piece<'_>> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if u64::from(piece.at) - last.end() <= u64::from(GAP) => {
                let length = (piece.at - last.at) as usize;
                let bytes = last.bytes.to_mut();
                bytes.resize(length, 0);
                bytes.extend_from_slice(&piece.bytes);
            }
            _ => joined.push(piece),
        }
    }
    let mut section = DataSection::new();
    for Piece { at, bytes } in joined {
        section.active(0, &ConstExpr::i32_const(at.cast_signed()), bytes.iter().copied());
    }
    Ok(Some(section))
}

#[cfg(test)]
mod tests {
    use super::{MANY, join};

    /// A module with pieces of one byte, so many bytes from each other.
    fn module(pieces: u32, distance: u32, more: &str) -> Vec<u8> {
        let data = (0..pieces).map(|n| format!("(data (i32.const {}) \"x\")", n * distance));
        let data = data.collect::<String>();
        let head = "(memory (export \"memory\") 2) (func (export \"handle\") (result i32) \
                    (i32.load8_u (i32.const 9)))";
        wat::parse_str(format!("(module {head} {data} {more})")).unwrap()
    }

    /// What is in the memory of an instance at its start.
    fn memory(module: &[u8]) -> Vec<u8> {
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, module).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        instance.get_memory(&mut store, "memory").unwrap().data(&store).to_vec()
    }

    #[test]
    fn pieces_close_to_each_other_become_one_and_memory_begins_as_before() {
        for distance in [1, 9, 64, 65] {
            let module = module(MANY, distance, "(@custom \"last\" (after data) \"kept\")");
            let joined = join(&module);
            assert_ne!(*joined, module);
            assert_eq!(memory(&joined), memory(&module));
            assert!(joined.ends_with(b"\x04lastkept"));
            wasmparser::validate(&joined).unwrap();
        }
    }

    #[test]
    fn pieces_far_from_each_other_stay_apart() {
        let module = module(MANY, 66, "");
        assert_eq!(*join(&module), module);
    }

    #[test]
    fn in_any_order() {
        let module = module(MANY, 9, "(data (i32.const 5) \"between\")");
        assert_eq!(*join(&module), module, "it overlaps");
        let module =
            self::module(MANY, 9, "(data (i32.const 100000) \"far\") (data (i32.const 4) \"abc\")");
        assert_ne!(*join(&module), module);
        assert_eq!(memory(&join(&module)), memory(&module));
    }

    #[test]
    fn what_could_be_noticed_is_left_as_it_is() {
        let others = [
            "(func (data.drop 3))",
            "(data \"passive\")",
            "(global i32 (i32.const 5)) (data (offset (global.get 0)) \"by a global\")",
        ];
        for other in others {
            let module = module(MANY, 9, other);
            assert_eq!(*join(&module), module, "{other}");
        }
        let few = module(MANY - 1, 9, "");
        assert_eq!(*join(&few), few);
    }

    #[test]
    fn what_is_no_module_is_left_to_the_compiler() {
        let module = module(MANY, 9, "");
        for length in 0..module.len() {
            let cut = &module[..length];
            assert_eq!(*join(cut), *cut);
        }
        let mut wrong = module;
        wrong[4] = 9;
        assert_eq!(*join(&wrong), wrong);
    }
}
