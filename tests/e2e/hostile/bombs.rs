//! Modules that are hard on whoever compiles them, made byte by byte: as text they would be far
//! larger. (WebAssembly core specification, "Binary Format".)

const BLOCK: [u8; 2] = [0x02, EMPTY];
const LOOP: [u8; 2] = [0x03, EMPTY];
const EMPTY: u8 = 0x40;
const END: u8 = 0x0b;
const I32: u8 = 0x7f;

/// As many functions, all of them empty; the first is the entry.
pub(super) fn of_functions(count: u32) -> Vec<u8> {
    module(count, &with_length(&[0, END]).repeat(count as usize))
}

/// One function of so many blocks, each within the one before; every other is a loop.
pub(super) fn of_nested_blocks(depth: usize) -> Vec<u8> {
    let mut body = vec![0];
    for level in 0..depth {
        body.extend(if level % 2 == 0 { BLOCK } else { LOOP });
    }
    body.extend(vec![END; depth + 1]);
    module(1, &with_length(&body))
}

/// So many functions with 50,000 locals each, the most that there may be.
pub(super) fn of_locals(functions: u32) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(number(50_000));
    body.extend([I32, END]);
    module(functions, &with_length(&body).repeat(functions as usize))
}

/// A module that is small but for a section that nobody reads, of so many bytes.
pub(super) fn of_bytes(count: usize) -> Vec<u8> {
    let mut module = of_functions(1);
    let mut padding = vec![1, b'x'];
    padding.resize(count, 0);
    module.extend(section(0, &padding));
    module
}

/// A module of functions without parameters and results, whose bodies are these, with a memory.
fn module(functions: u32, bodies: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, &[1, 0x60, 0, 0]));
    module.extend(section(3, &[number(functions), vec![0; functions as usize]].concat()));
    module.extend(section(5, &[1, 0, 1]));
    module.extend(section(7, b"\x02\x06memory\x02\0\x06handle\0\0"));
    module.extend(section(10, &[&number(functions), bodies].concat()));
    module
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &*with_length(content)].concat()
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&number(u32::try_from(bytes.len()).unwrap()), bytes].concat()
}

/// LEB128.
fn number(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}
