//! Tables that nothing uses. LLVM's linker makes one of a single place also for modules without
//! function pointers; each instance would have a page for it, which is looked for and wiped when it
//! ends.

use std::borrow::Cow;
use std::ops::Range;

use wasmparser::{
    BinaryReaderError, ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef,
};

/// The module without its tables, if nothing could tell the difference; otherwise as it is. Modules
/// that are not valid are left to the compiler.
pub(super) fn drop_unused(module: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let Ok(Some(section)) = unused(&module) else { return module };
    let (Some(head), Some(tail)) = (module.get(..section.start), module.get(section.end..)) else {
        return module;
    };
    Cow::Owned([head, tail].concat())
}

/// Where the section of tables is, with its number and length, if nothing refers to a table.
fn unused(module: &[u8]) -> Result<Option<Range<usize>>, BinaryReaderError> {
    let (mut before, mut found) = (0, None);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::TableSection(section) => found = Some(before..section.range().end),
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    if matches!(import?.ty, TypeRef::Table(_)) {
                        return Ok(None);
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    if export?.kind == ExternalKind::Table {
                        return Ok(None);
                    }
                }
            }
            Payload::ElementSection(_) => return Ok(None),
            // Before the code is read: most modules have no table, or one that they use.
            Payload::CodeSectionStart { .. } if found.is_none() => return Ok(None),
            Payload::CodeSectionEntry(body) if uses_table(body)? => return Ok(None),
            _ => {}
        }
        // Where the next section begins, with its number and length.
        before = match payload {
            Payload::Version { range, .. } => range.end,
            other => other.as_section().map_or(before, |(_, range)| range.end),
        };
    }
    Ok(found)
}

fn uses_table(body: &FunctionBody<'_>) -> Result<bool, BinaryReaderError> {
    for operator in body.get_operators_reader()? {
        if matches!(
            operator?,
            Operator::CallIndirect { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::TableGet { .. }
                | Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableSize { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. }
                | Operator::ElemDrop { .. }
        ) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::drop_unused;

    fn dropped(fields: &str) -> bool {
        let head = "(type $f (func)) (memory (export \"memory\") 1)";
        let module = wat::parse_str(format!("(module {head} {fields})")).unwrap();
        let left = drop_unused(Cow::Borrowed(&module));
        wasmparser::validate(&left).unwrap();
        let has_table = |module: &[u8]| {
            let mut payloads = wasmparser::Parser::new(0).parse_all(module);
            payloads.any(|payload| matches!(payload, Ok(wasmparser::Payload::TableSection(_))))
        };
        assert_eq!(*left == module, has_table(&left) || !has_table(&module));
        *left != module
    }

    #[test]
    fn a_table_that_nothing_uses_is_left_out() {
        let handle = "(func (export \"handle\") (result i32) (i32.const 0))";
        assert!(dropped(&format!("(table 1 1 funcref) {handle}")));
        assert!(dropped(&format!("(table 1 funcref) (table 9 externref) {handle}")));
        assert!(!dropped(handle));
    }

    #[test]
    fn one_that_something_uses_stays() {
        for used in [
            "(func (call_indirect (type $f) (i32.const 0)))",
            "(func (return_call_indirect (type $f) (i32.const 0)))",
            "(func (drop (table.get 0 (i32.const 0))))",
            "(func (table.set 0 (i32.const 0) (ref.null func)))",
            "(func (drop (table.grow 0 (ref.null func) (i32.const 0))))",
            "(func (drop (table.size 0)))",
            "(func (table.fill 0 (i32.const 0) (ref.null func) (i32.const 0)))",
            "(func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
            "(func $g) (elem (i32.const 0) func $g)",
            "(export \"table\" (table 0))",
        ] {
            assert!(!dropped(&format!("(table 1 1 funcref) {used}")), "{used}");
        }
        let imported =
            "(module (import \"env\" \"t\" (table 1 funcref)) (table 1 1 funcref) (func))";
        let imported = wat::parse_str(imported).unwrap();
        assert_eq!(*drop_unused(Cow::Borrowed(&imported)), imported);
    }
}
