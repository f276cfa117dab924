//! The files of an image's interpreter from arbitrary bytes: ELF files, and the configuration of the glibc and musl
//! loaders. pycull finds what the interpreter needs in a limited number of rounds, and finds only files of the image.
//!
//! An input is a list of files. Each has one byte for its path, two for its length, and then its content. Files that
//! are not in the input have valid content.

use std::collections::{BTreeSet, HashMap};

use pycull::compile::interpreter::{
    Candidate, Closure, Extension, ImageFiles, StandardLibrary, candidates,
};
use pycull::layers::LayerError;
use pycull::limits::Limits;
use pycull::pyc::Runtime;
use pycull::rootfs::{MemberId, Rootfs, squash};
use pycull::tar::{Kind, Member, Reader};

use super::choices::Choices;
use crate::support::LayerBuilder;

/// Maximum number of rounds of reading, and of files that they read.
const MOST_ROUNDS: usize = 41;
const MOST_FILES: usize = 1000;

/// Paths of files. The first byte of a file in an input is an index into this list. The last ones are configuration
/// files.
const PATHS: [&str; 12] = [
    "usr/bin/python3.11",
    "lib64/ld-linux-x86-64.so.2",
    "lib/ld-musl-x86_64.so.1",
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "opt/a/libpython3.11.so.1.0",
    "opt/b/libz.so.1",
    "usr/lib/python3.11/lib-dynload/_codecs_jp.so",
    "usr/lib/python3.11/lib-dynload/_ssl.so",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d/a.conf",
    "etc/ld.so.conf.d/b.conf",
    "etc/ld-musl-x86_64.path",
];
const EXTENSION: &str = PATHS[7];
const FIRST_CONFIGURATION: usize = 8;

/// Runs the target. Returns whether an interpreter could start, according to its files.
pub fn run(input: &[u8]) -> bool {
    let mut files: Vec<Vec<u8>> = (0..PATHS.len()).map(sound).collect();
    let mut choices = Choices::new(input);
    while !choices.is_empty() {
        let file = choices.below(PATHS.len());
        let length = choices.number();
        files[file] = choices.take(length).to_vec();
    }
    let archive = archive(&files);
    let (members, contents) = read(&archive);
    let allowances = Limits::NONE.of_layers(0);
    let rootfs = squash([&*members], &allowances).unwrap();
    let version = Runtime::cpython(3, 11);
    let library = StandardLibrary::at(version, b"usr/lib/python3.11").unwrap();
    let found = candidates(&rootfs, &library)
        .into_iter()
        .map(|candidate| assert_found(&rootfs, &members, &contents, &library, &candidate));
    found.fold(false, |any, one| any | one)
}

/// An image with these files and the files of a standard library.
fn archive(files: &[Vec<u8>]) -> Vec<u8> {
    let named = PATHS.iter().zip(files);
    let image = named.fold(LayerBuilder::new(), |image, (path, file)| {
        image.file(path, file)
    });
    image
        .stdlib("usr/lib/python3.11")
        .symlink("usr/bin/python3", "python3.11")
        .symlink("usr/lib64", "lib/x86_64-linux-gnu")
        .symlink("etc/ld.so.conf.d/c.conf", "../ld.so.conf")
        .symlink("etc/ld.so.conf.d/d.conf", "d.conf")
        .build()
}

fn read(archive: &[u8]) -> (Vec<Member>, Vec<Vec<u8>>) {
    let mut reader = Reader::new(archive);
    let (mut members, mut contents) = (Vec::new(), Vec::new());
    while let Some(member) = reader.next_member().unwrap() {
        let start = member.data_offset() as usize;
        contents.push(archive[start..][..member.stored_bytes() as usize].to_vec());
        members.push(member);
    }
    (members, contents)
}

fn assert_found(
    rootfs: &Rootfs,
    members: &[Member],
    contents: &[Vec<u8>],
    library: &StandardLibrary,
    candidate: &Candidate,
) -> bool {
    let (mut rounds, mut count) = (0, 0);
    let mut read = |wanted: &BTreeSet<MemberId>| -> Result<HashMap<MemberId, Vec<u8>>, LayerError> {
        rounds += 1;
        count += wanted.len();
        assert!(wanted.iter().all(|id| members[id.index].kind == Kind::File));
        Ok(wanted
            .iter()
            .map(|id| (*id, contents[id.index].clone()))
            .collect())
    };
    let mut files =
        ImageFiles::new(rootfs, [members], &mut read).with_library_path(Some("/opt/b:$LIB"));
    let extension = Extension {
        path: EXTENSION.into(),
        inode: rootfs.file_at(EXTENSION.as_bytes()).unwrap(),
    };
    let closure = Closure::of(&mut files, library, candidate, &[extension], true);
    if let Ok(closure) = &closure {
        assert_eq!(closure.path, candidate.path);
        closure.architecture.to_string();
    }
    assert!(
        rounds <= MOST_ROUNDS && count <= MOST_FILES,
        "{rounds} rounds, {count} files"
    );
    closure.is_ok()
}

/// The valid content of the file at an index of [`PATHS`].
fn sound(file: usize) -> Vec<u8> {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    match file {
        0 => elf(
            Some(loader),
            &["libpython3.11.so.1.0", "libc.so.6"],
            "$ORIGIN/../../opt/a:/usr/$LIB",
        ),
        4 | 6 | 7 => elf(None, &["libz.so.1", "libc.so.6"], ""),
        8 => b"# first\n/opt/a\ninclude ld.so.conf.d/*.conf\n".to_vec(),
        9 => b"/opt/b\ninclude /etc/ld.so.conf\n".to_vec(),
        10 => b"/opt/../opt/c=libc6\n".to_vec(),
        11 => b"/lib:/opt/a\n/opt/b\n".to_vec(),
        _ => elf(None, &[], ""),
    }
}

/// A 64-bit little-endian ELF file with a loader, needed libraries and a DT_RUNPATH.
fn elf(loader: Option<&str>, needed: &[&str], runpath: &str) -> Vec<u8> {
    const DT_NEEDED: u64 = 1;
    const DT_STRTAB: u64 = 5;
    const DT_STRSZ: u64 = 10;
    const DT_RUNPATH: u64 = 29;
    const ENTRIES: usize = 232;
    const STRINGS: usize = 400;
    const ADDRESS: u64 = 0x1000;
    let mut strings = b"\0".to_vec();
    let mut add = |text: &str| {
        let start = strings.len() as u64;
        strings.extend([text.as_bytes(), b"\0"].concat());
        start
    };
    let interpreter = add(loader.unwrap_or_default());
    let mut entries: Vec<(u64, u64)> = needed.iter().map(|name| (DT_NEEDED, add(name))).collect();
    if !runpath.is_empty() {
        entries.push((DT_RUNPATH, add(runpath)));
    }
    entries.push((DT_STRTAB, ADDRESS + STRINGS as u64));
    entries.push((DT_STRSZ, strings.len() as u64));
    entries.push((0, 0));
    let mut segments = vec![
        (1, 0, ADDRESS, 1000),
        (
            2,
            ENTRIES as u64,
            ADDRESS + ENTRIES as u64,
            16 * entries.len() as u64,
        ),
    ];
    if let Some(loader) = loader {
        segments.push((3, STRINGS as u64 + interpreter, 0, loader.len() as u64 + 1));
    }
    let mut bytes = vec![0; STRINGS];
    bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    (bytes[16], bytes[18], bytes[32]) = (3, 62, 64);
    bytes[52..58].copy_from_slice(&[64, 0, 56, 0, segments.len() as u8, 0]);
    for (number, (kind, offset, address, size)) in segments.into_iter().enumerate() {
        let segment = &mut bytes[64 + 56 * number..][..56];
        segment[0] = kind;
        for (place, value) in [(8, offset), (16, address), (32, size), (40, size)] {
            segment[place..place + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    for (number, (tag, value)) in entries.into_iter().enumerate() {
        let entry = &mut bytes[ENTRIES + 16 * number..][..16];
        entry[..8].copy_from_slice(&tag.to_le_bytes());
        entry[8..].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(strings);
    bytes.resize(1000, 0);
    bytes
}

/// Each file alone. Also configuration files that include themselves, name directories, or have patterns.
pub fn seeds() -> Vec<Vec<u8>> {
    let file = |file: usize, content: &[u8]| {
        let length = (content.len() as u16).to_le_bytes();
        [&[file as u8][..], &length, content].concat()
    };
    let mut seeds: Vec<Vec<u8>> = (0..PATHS.len()).map(|it| file(it, &sound(it))).collect();
    let musl = elf(
        Some("/lib/ld-musl-x86_64.so.1"),
        &["libc.so", "libz.so.1"],
        "",
    );
    seeds.push([file(0, &musl), file(11, b"/opt/b:/lib\n")].concat());
    let configurations: [&[u8]; 5] = [
        b"include *.conf /etc/*/[ab]*.conf\n/opt/[x]\n",
        b"include ld.so.conf.d/{a,b}.conf ../etc/../etc/ld.so.conf.d/?.conf\n",
        b"\tinclude\t/*/*/*\nhwcap 0 nosegneg\n/opt/a # why\n",
        b"include **/*.conf [!a]* [a-\xff] [\n",
        b"/opt/a=libc5\n/opt//b/./../b\nrelative\ninclude\n",
    ];
    for (number, text) in configurations.iter().enumerate() {
        seeds.push(file(FIRST_CONFIGURATION + number % 3, text));
    }
    seeds
}
