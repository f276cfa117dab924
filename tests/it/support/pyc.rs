//! Bytecode files made by hand: a real header, and a body that CPython 3.9 would load.

/// Magic number of CPython 3.9.
pub const MAGIC_39: u16 = 3425;

/// Directory of the tests' standard library.
pub const STDLIB: &str = "usr/lib64/python3.9";

/// The path of a module's cache for CPython 3.9.
pub fn cache_path(directory: &str, module: &str, level: u8) -> String {
    let optimization = match level {
        0 => String::new(),
        level => format!(".opt-{level}"),
    };
    format!("{directory}/__pycache__/{module}.cpython-39{optimization}.pyc")
}

/// A timestamp cache for CPython 3.9, for a source with that mtime and size. `payload` is a constant in its code and
/// makes the file unique.
pub fn cache_39(mtime: u32, size: u32, payload: &[u8]) -> Vec<u8> {
    cache_of(MAGIC_39, mtime, size, payload)
}

/// The same with another magic number.
pub fn cache_of(magic: u16, mtime: u32, size: u32, payload: &[u8]) -> Vec<u8> {
    [
        &header(magic, 0)[..],
        &mtime.to_le_bytes(),
        &size.to_le_bytes(),
        &body_39(payload),
    ]
    .concat()
}

/// A hash-based cache; flags 1 is unchecked, 3 is checked (PEP 552).
pub fn hash_cache_39(flags: u32, hash: [u8; 8], payload: &[u8]) -> Vec<u8> {
    [&header(MAGIC_39, flags)[..], &hash, &body_39(payload)].concat()
}

fn header(magic: u16, flags: u32) -> Vec<u8> {
    [&magic.to_le_bytes()[..], b"\r\n", &flags.to_le_bytes()].concat()
}

/// The marshalled code of an empty module, with `payload` among its constants.
fn body_39(payload: &[u8]) -> Vec<u8> {
    let number = |value: i32| value.to_le_bytes().to_vec();
    let bytes =
        |tag: u8, value: &[u8]| [&[tag][..], &(value.len() as i32).to_le_bytes(), value].concat();
    let empty_tuple = vec![b')', 0];
    let mut body = vec![b'c'];
    // argcount, posonlyargcount, kwonlyargcount, nlocals, stacksize, flags
    for value in [0, 0, 0, 0, 1, 64] {
        body.extend(number(value));
    }
    body.extend(bytes(b's', b"d\x00S\x00"));
    body.extend([&[b')', 2, b'N'][..], &bytes(b's', payload)].concat());
    // names, varnames, freevars, cellvars
    for _ in 0..4 {
        body.extend(&empty_tuple);
    }
    body.extend([&[b'z', 3][..], b"m.py"].concat()[..5].to_vec());
    body.extend([&[b'z', 8][..], b"<module>"].concat());
    body.extend(number(1));
    body.extend(bytes(b's', b""));
    body
}
