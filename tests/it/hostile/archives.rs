//! Layers that are bad tar archives, and members that cannot become files.

use super::bounds::Becomes::{Read, Refused};
use super::bounds::layer_is_bounded;
use crate::support::LayerBuilder;

fn header(name: &str, kind: u8, size: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    let bytes = header.as_mut_bytes();
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[124..136].fill(0);
    bytes[124..124 + size.len()].copy_from_slice(size);
    bytes[156] = kind;
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn edited(offset: usize, by: &[u8]) -> Vec<u8> {
    let mut bytes = header("a", b'0', b"00000000000");
    bytes[offset..offset + by.len()].copy_from_slice(by);
    let mut header = tar::Header::from_byte_slice(&bytes).clone();
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A member after a pax header with these bytes.
fn pax(records: &[u8]) -> LayerBuilder {
    let size = format!("{:011o}", records.len());
    let file = header("a", b'0', b"00000000000");
    LayerBuilder::new()
        .raw_member(&header("x", b'x', size.as_bytes()))
        .raw_member(records)
        .raw_member(&file)
}

fn raw(bytes: &[u8]) -> LayerBuilder {
    LayerBuilder::new().file("first", "1").raw_member(bytes)
}

#[test]
fn headers_that_lie_are_refused() {
    let mut wrong = header("a", b'0', b"00000000000");
    wrong[0] = b'b';
    let at = |offset, by: &[u8]| raw(&edited(offset, by));
    let cases: [(&str, LayerBuilder); 14] = [
        ("a wrong checksum", raw(&wrong)),
        ("noise", raw(&[0xa5; 512])),
        ("a size of letters", at(124, b"abcdefghijk")),
        ("a negative size", at(124, &[0xff; 12])),
        (
            "a size beyond 2^63",
            at(
                124,
                &[
                    0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                ],
            ),
        ),
        ("a size beyond the archive", at(124, b"00000077777")),
        ("a size of terabytes", at(124, b"77777777777")),
        ("a mode of letters", at(100, b"zzzzzzz")),
        ("an owner of letters", at(108, b"zzzzzzz")),
        ("a time of letters", at(136, b"zzzzzzzzzzz")),
        (
            "a lone block of zeros",
            LayerBuilder::new().raw_member(&[0; 512]).file("a", ""),
        ),
        ("a header alone", raw(&header("x", b'x', b"00000000777"))),
        ("a long name alone", raw(&header("x", b'L', b"00000000777"))),
        ("a sparse map without end", raw(&sparse())),
    ];
    for (name, layer) in cases {
        layer_is_bounded(name, Refused("layer 1"), layer);
    }
}

/// An old GNU sparse member with an endless map.
fn sparse() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let offset_of_is_extended = 482;
    header.as_mut_bytes()[offset_of_is_extended] = 1;
    header.set_cksum();
    let mut continued = [b'0'; 512];
    continued[504] = 1;
    [header.as_bytes().to_vec(), continued.repeat(5_000)].concat()
}

#[test]
fn records_that_lie_are_refused() {
    let long = |key: &str, bytes: usize| {
        let value = "x".repeat(bytes);
        let length = key.len() + value.len() + 3;
        let digits = (length + length.to_string().len()).to_string().len();
        format!("{} {key}={value}\n", length + digits).into_bytes()
    };
    let cases: [(&str, Vec<u8>); 16] = [
        ("no length", b" path=b\n".to_vec()),
        ("a length of letters", b"xx path=b\n".to_vec()),
        ("a length of zero", b"0 path=b\n".to_vec()),
        ("too short", b"5 path=b\n".to_vec()),
        ("too long", b"99 path=b\n".to_vec()),
        (
            "a length beyond 64 bits",
            b"99999999999999999999999 path=b\n".to_vec(),
        ),
        ("a negative length", b"-9 path=b\n".to_vec()),
        ("no end of line", b"9 path=bc".to_vec()),
        ("no equals sign", b"8 pathb\n".to_vec()),
        ("a size of letters", b"11 size=ab\n".to_vec()),
        (
            "a size beyond 64 bits",
            b"30 size=99999999999999999999\n\n".to_vec(),
        ),
        ("an owner of letters", b"9 uid=ab\n".to_vec()),
        ("a time of letters", b"13 mtime=abc\n".to_vec()),
        ("a name of 5000 bytes", long("path", 5000)),
        ("a target of 5000 bytes", long("linkpath", 5000)),
        ("a record of two megabytes", long("comment", 2 << 20)),
    ];
    for (name, records) in cases {
        layer_is_bounded(name, Refused("layer 1"), pax(&records));
    }
}

#[test]
fn members_that_no_engine_extracts_are_refused() {
    let file = |name: &str| LayerBuilder::new().file(name, "");
    let cases: [(&str, LayerBuilder); 9] = [
        ("no name", file("")),
        ("a whiteout of nothing", file("d/.wh.")),
        ("a file for the root", file("/")),
        ("a file for a dot", file("./.")),
        ("a link to nothing", LayerBuilder::new().hardlink("a", "b")),
        ("a link to itself", LayerBuilder::new().hardlink("a", "a")),
        (
            "a link to a directory",
            LayerBuilder::new().directory("d").hardlink("a", "d"),
        ),
        (
            "a link to what comes later",
            LayerBuilder::new().hardlink("a", "b").file("b", ""),
        ),
        (
            "a link without a target",
            LayerBuilder::new().hardlink("a", ""),
        ),
    ];
    for (name, layer) in cases {
        layer_is_bounded(name, Refused("layer 1"), layer);
    }
}

#[test]
fn odd_members_are_read() {
    let file = |name: &str| LayerBuilder::new().file(name, "");
    let of_kind = |kind: u8| raw(&header("odd", kind, b"00000000000"));
    let device = |kind| {
        LayerBuilder::new()
            .device(1, 5)
            .member("dev/x", kind, 0o666, "", b"")
    };
    let cases: [(&str, LayerBuilder); 17] = [
        ("above the root", file("../../../../etc/passwd")),
        ("absolute", file("/etc/passwd")),
        ("dots", file("./a/./b/.././c")),
        ("a name of a space", file(" ")),
        ("a name of a newline", file("a\nb")),
        ("a name that is no UTF-8", raw(&edited(0, b"\xff\xfe"))),
        ("a type that nobody knows", of_kind(b'Z')),
        ("a type of zero", of_kind(0)),
        ("a contiguous file", of_kind(b'7')),
        (
            "a pipe",
            LayerBuilder::new().member("p", tar::EntryType::Fifo, 0o644, "", b""),
        ),
        ("a character device", device(tar::EntryType::Char)),
        ("a block device", device(tar::EntryType::Block)),
        ("bookkeeping of AUFS", file(".wh..wh.plnk/1")),
        (
            "a symlink out of the image",
            LayerBuilder::new()
                .symlink("s", "../../../../etc")
                .file("s/passwd", ""),
        ),
        ("a symlink to itself", LayerBuilder::new().symlink("s", "s")),
        ("no member at all", LayerBuilder::new()),
        (
            "bytes after the end",
            LayerBuilder::new().trailing(&[7; 5000]),
        ),
    ];
    for (name, layer) in cases {
        layer_is_bounded(name, Read, layer);
    }
}
