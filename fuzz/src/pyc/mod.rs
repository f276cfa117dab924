//! A bytecode file from arbitrary bytes. Its header reads back. The walk over its body ends where the code object ends.
//! For a naive reader, the canonical body is the same object.
//!
//! The first byte of an input may choose another Python version than that of the header. The rest is the file.

#[path = "../../../src/pyc/marshal/fixtures.rs"]
mod fixtures;
mod objects;

use pycull::pyc::{
    Header, Magic, Runtime, body_length, cache_file_name, canonical_body, check_body,
    level_one_is_level_zero, parse_cache_name,
};

use self::objects::loaded;

pub fn run(input: &[u8]) {
    let Some((&control, file)) = input.split_first() else {
        return;
    };
    assert_name(file);
    level_one_is_level_zero(file);
    let Ok(header) = Header::parse(file) else {
        assert_body(Runtime::cpython(3, control % 20), file);
        return;
    };
    let bytes = header.to_bytes();
    assert_eq!(bytes.len(), header.length);
    assert_eq!(Header::parse(&bytes), Ok(header));
    let body = &file[header.length..];
    match header.magic.version().filter(|_| control < 128) {
        Some(version) => assert_body(version, body),
        None => assert_body(Runtime::cpython(3, control % 20), body),
    }
}

/// Checks that the name of a cache can be made from its parts.
fn assert_name(name: &[u8]) {
    let Some(parts) = parse_cache_name(name) else {
        return;
    };
    if let Some(level) = parts.level() {
        assert_eq!(cache_file_name(parts.module, parts.cache_tag, level), name);
    }
}

fn assert_body(version: Runtime, body: &[u8]) {
    let Ok(length) = body_length(version, body) else {
        assert!(check_body(version, body).is_err());
        assert!(canonical_body(version, body).is_err());
        return;
    };
    let code = &body[..length];
    assert_eq!(body_length(version, code), Ok(length));
    let is_cut = check_body(version, &body[..length - 1]);
    assert!(is_cut.is_err(), "a body that is cut short is accepted");
    let Ok(canonical) = canonical_body(version, body) else {
        return;
    };
    assert!(canonical.len() <= length, "the canonical body is longer");
    assert_eq!(body_length(version, &canonical), Ok(canonical.len()));
    assert_eq!(
        canonical_body(version, &canonical).as_ref(),
        Ok(&canonical),
        "not its own canonical form"
    );
    if let Some(object) = loaded(version.minor, code) {
        assert_eq!(
            loaded(version.minor, &canonical),
            Some(object),
            "another object"
        );
    }
}

/// Bodies from real interpreters with every kind of header, and objects that these bodies lack.
pub fn seeds() -> Vec<Vec<u8>> {
    let real = [
        (3379, 6, fixtures::PYTHON_3_6),
        (3394, 7, fixtures::PYTHON_3_7),
        (3413, 8, fixtures::PYTHON_3_8),
        (3439, 10, fixtures::PYTHON_3_10),
        (3495, 11, fixtures::PYTHON_3_11),
        (3571, 13, fixtures::PYTHON_3_13),
        (3627, 14, fixtures::PYTHON_3_14),
    ];
    let mut seeds = vec![[&[0][..], b"m.cpython-39.opt-1.pyc"].concat()];
    for (magic, minor, digits) in real {
        let body = from_hex(digits);
        let length = Header::by_time(Magic(magic), (0, 0), 0).length;
        let header = [&Magic(magic).raw()[..], &[0; 12][..length - 4]].concat();
        seeds.push([&[0][..], &header, &body].concat());
        seeds.push([&[minor][..], &body].concat());
        for consts in CONSTS {
            seeds.push([&[minor][..], &with_consts(minor, consts)].concat());
        }
    }
    for flags in [1, 3] {
        let header = [&Magic(3495).raw()[..], &[flags, 0, 0, 0], b"12345678"].concat();
        seeds.push([&[0][..], &header, &from_hex(fixtures::PYTHON_3_11)].concat());
    }
    seeds
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Tuples of constants: objects that are shared, are equal, contain each other, or are not equal to themselves.
const CONSTS: [&[u8]; 5] = [
    b"\xa9\x04\xe7\0\0\0\0\0\0\xf8\x3fg\0\0\0\0\0\0\xf8\x3fr\x01\0\0\0r\x01\0\0\0",
    b")\x05\xbe\x03\0\0\0i\x01\0\0\0z\x01a\xe9\x02\0\0\0[\x02\0\0\0NT{z\x01aN0r\0\0\0\0<\0\0\0\0",
    b")\x03g\0\0\0\0\0\0\xf8\x7ff\x03nany\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\xf8\x3f",
    b")\x04l\xfe\xff\xff\xff\x01\0\x02\0u\x03\0\0\0\xed\xa0\x80t\x02\0\0\0\xc3\xa9a\x02\0\0\0\xe9.",
    b"(\x02\0\0\0\xa9\x02s\x03\0\0\0abcS.r\0\0\0\0",
];

/// A code object with these constants, for a Python version.
fn with_consts(minor: u8, consts: &[u8]) -> Vec<u8> {
    let (numbers, tuples) = match minor {
        ..=7 => (5, 4),
        8..=10 => (6, 4),
        _ => (5, 2),
    };
    let bytes: &[u8] = b"s\0\0\0\0";
    let names: &[u8] = if minor < 11 {
        b"z\x01mz\x01f"
    } else {
        b"z\x01mz\x01fz\x01q"
    };
    let kinds: &[u8] = if minor < 11 { b"" } else { bytes };
    let end: &[u8] = if minor < 11 { b"" } else { bytes };
    let tuples = b")\0".repeat(tuples);
    [
        b"c",
        &vec![0; 4 * numbers][..],
        b"s\x02\0\0\0d\0",
        consts,
        &tuples,
        kinds,
        names,
        &[0; 4],
        bytes,
        end,
    ]
    .concat()
}
