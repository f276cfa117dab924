//! Reads what a dynamic loader needs from an ELF file: the architecture, and the names of libraries. The file may be
//! hostile, so every offset is checked and every list is limited.

use std::fmt;

use goblin::container::{Container, Ctx};
use goblin::elf::dynamic::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB};
use goblin::elf::header::{self, Header, machine_to_str};
use goblin::elf::program_header::{PT_INTERP, PT_LOAD};
use goblin::elf::{Dynamic, Elf, ProgramHeader};

/// Maximum number of dynamic entries that name something.
const MOST_NAMES: usize = 1000;
/// Maximum length of a name or search path, in bytes.
const LONGEST_NAME: usize = 64 << 10;

/// The kind of machine that an ELF file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Architecture {
    /// `e_machine`, such as `EM_X86_64` (the psABI supplement of each machine gives its number).
    pub machine: u16,
    /// Whether addresses have 64 bits instead of 32.
    pub is_64_bit: bool,
    /// Whether the lowest byte comes first.
    pub is_little_endian: bool,
}

impl Architecture {
    /// The architecture that pycull was built for. A 64-bit machine does not count as its 32-bit predecessor, because
    /// pycull's filter of system calls knows only one architecture.
    pub fn host() -> Self {
        let machine = match std::env::consts::ARCH {
            "x86_64" => header::EM_X86_64,
            "aarch64" => header::EM_AARCH64,
            "riscv64" => header::EM_RISCV,
            "powerpc64" => header::EM_PPC64,
            "s390x" => header::EM_S390,
            "loongarch64" => header::EM_LOONGARCH,
            "x86" => header::EM_386,
            "arm" => header::EM_ARM,
            _ => header::EM_NONE,
        };
        Self {
            machine,
            is_64_bit: cfg!(target_pointer_width = "64"),
            is_little_endian: cfg!(target_endian = "little"),
        }
    }
}

impl fmt::Display for Architecture {
    /// Writes the name that container engines and qemu use, if they have one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.machine, self.is_64_bit, self.is_little_endian) {
            (header::EM_X86_64, true, true) => "x86_64",
            (header::EM_X86_64, false, true) => "x32",
            (header::EM_AARCH64, true, true) => "aarch64",
            (header::EM_386, false, true) => "i386",
            (header::EM_ARM, false, true) => "arm",
            (header::EM_RISCV, true, true) => "riscv64",
            (header::EM_PPC64, true, true) => "ppc64le",
            (header::EM_S390, true, false) => "s390x",
            (header::EM_LOONGARCH, true, true) => "loongarch64",
            (header::EM_MIPS, true, true) => "mips64el",
            (machine, is_64_bit, is_little_endian) => {
                let bits = if is_64_bit { 64 } else { 32 };
                let order = if is_little_endian { "little" } else { "big" };
                let name = machine_to_str(machine);
                return write!(
                    f,
                    "{name} ({bits}-bit, {order}-endian, e_machine {machine})"
                );
            }
        };
        f.write_str(name)
    }
}

/// The data that a dynamic loader reads from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) architecture: Architecture,
    /// PT_INTERP: the loader's path. None for libraries and static programs.
    pub(super) loader: Option<Vec<u8>>,
    /// DT_NEEDED, in order.
    pub(super) libraries: Vec<Vec<u8>>,
    /// DT_RPATH, unexpanded. Not used if there is a DT_RUNPATH.
    pub(super) rpath: Option<Vec<u8>>,
    /// DT_RUNPATH, unexpanded.
    pub(super) runpath: Option<Vec<u8>>,
    /// DT_SONAME.
    pub(super) name: Option<Vec<u8>>,
}

/// Whether a file begins like an ELF file.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(header::ELFMAG)
}

/// Reads what the loader would read. The error says what is wrong with the file.
pub(super) fn parse(bytes: &[u8]) -> Result<Needs, String> {
    let header = Elf::parse_header(bytes).map_err(|error| error.to_string())?;
    let (architecture, context) = architecture(&header)?;
    let offset = usize::try_from(header.e_phoff).map_err(|_| "no program headers".to_owned())?;
    let segments = ProgramHeader::parse(bytes, offset, header.e_phnum.into(), context)
        .map_err(|error| error.to_string())?;
    let mut needs = Needs {
        architecture,
        loader: None,
        libraries: Vec::new(),
        rpath: None,
        runpath: None,
        name: None,
    };
    if let Some(segment) = segments.iter().find(|it| it.p_type == PT_INTERP) {
        let data = slice(bytes, segment.p_offset, segment.p_filesz)
            .ok_or("PT_INTERP lies outside the file")?;
        needs.loader = Some(string(data, 0).ok_or("PT_INTERP has no end")?);
    }
    let dynamic = Dynamic::parse(bytes, &segments, context).map_err(|error| error.to_string())?;
    if let Some(dynamic) = dynamic {
        read_dynamic(bytes, &segments, &dynamic, &mut needs)?;
    }
    Ok(needs)
}

fn architecture(header: &Header) -> Result<(Architecture, Ctx), String> {
    let container = header.container().map_err(|error| error.to_string())?;
    let endianness = header.endianness().map_err(|error| error.to_string())?;
    let architecture = Architecture {
        machine: header.e_machine,
        is_64_bit: container == Container::Big,
        is_little_endian: endianness.is_little(),
    };
    if !matches!(header.e_type, header::ET_EXEC | header::ET_DYN) {
        return Err("it is neither a program nor a library".to_owned());
    }
    Ok((architecture, Ctx::new(container, endianness)))
}

fn read_dynamic(
    bytes: &[u8],
    segments: &[ProgramHeader],
    dynamic: &Dynamic,
    needs: &mut Needs,
) -> Result<(), String> {
    let value = |tag| dynamic.dyns.iter().rfind(|it| it.d_tag == tag);
    let Some(address) = value(DT_STRTAB) else {
        return Ok(());
    };
    let size = value(DT_STRSZ).map_or(0, |entry| entry.d_val);
    let strings = file_offset(segments, address.d_val)
        .and_then(|offset| slice(bytes, offset, size))
        .ok_or("its dynamic string table lies outside the file")?;
    for entry in &dynamic.dyns {
        let name = || string(strings, entry.d_val).ok_or("a name lies outside its string table");
        match entry.d_tag {
            DT_NEEDED if needs.libraries.len() >= MOST_NAMES => {
                return Err(format!("it needs more than {MOST_NAMES} libraries"));
            }
            DT_NEEDED => needs.libraries.push(name()?),
            DT_RPATH => needs.rpath = Some(name()?),
            DT_RUNPATH => needs.runpath = Some(name()?),
            DT_SONAME => needs.name = Some(name()?),
            _ => {}
        }
    }
    Ok(())
}

/// The offset in the file of the data that is loaded at an address.
fn file_offset(segments: &[ProgramHeader], address: u64) -> Option<u64> {
    segments
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD)
        .find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr)?;
            (within < segment.p_filesz).then(|| segment.p_offset.checked_add(within))?
        })
}

fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    bytes.get(start..end)
}

/// Reads the bytes up to the next NUL.
fn string(table: &[u8], offset: u64) -> Option<Vec<u8>> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let rest = &rest[..rest.len().min(LONGEST_NAME)];
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(rest[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn this_program() -> Vec<u8> {
        fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_program_says_what_it_needs() {
        let needs = parse(&this_program()).unwrap();
        assert_eq!(needs.architecture, Architecture::host());
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        if let Some(loader) = &needs.loader {
            assert!(text(loader).starts_with('/'), "{loader:?}");
            assert!(needs.libraries.iter().any(|it| it.starts_with(b"libc.")));
        }
        assert_eq!(Architecture::host().to_string(), std::env::consts::ARCH);
    }

    #[test]
    fn no_truncation_is_a_panic() {
        let program = this_program();
        for whole in [&program[..4096], &small()] {
            for end in 0..whole.len() {
                let _ = parse(&whole[..end]);
            }
        }
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF"] {
            assert!(parse(bytes).is_err());
        }
        assert!(is_elf(&program) && !is_elf(b"#!/bin/sh\n"));
    }

    #[test]
    fn architectures_without_a_common_name_are_described() {
        let odd = Architecture {
            machine: 2,
            is_64_bit: false,
            is_little_endian: false,
        };
        assert_eq!(
            odd.to_string(),
            "SPARC (32-bit, big-endian, e_machine 2)".to_owned()
        );
    }

    /// A library so small that the random changes also hit its dynamic section.
    fn small() -> Vec<u8> {
        let strings = b"\0libc.so.6\0/lib/ld.so\0$ORIGIN\0";
        let entries = [
            (DT_NEEDED, 1u64),
            (DT_SONAME, 1),
            (DT_RPATH, 22),
            (DT_RUNPATH, 22),
            (DT_STRTAB, 0x1000 + 400),
            (DT_STRSZ, strings.len() as u64),
            (0, 0),
        ];
        let mut bytes = vec![0; 400];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        bytes[16] = 3;
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[52..58].copy_from_slice(&[64, 0, 56, 0, 3, 0]);
        let segments = [
            (PT_LOAD, 0, 0x1000u64, 1000),
            (PT_INTERP, 411, 0, 11),
            (2, 232, 0, 112),
        ];
        for (number, (kind, offset, address, size)) in segments.into_iter().enumerate() {
            let start = 64 + 56 * number;
            bytes[start..start + 4].copy_from_slice(&kind.to_le_bytes());
            for (place, value) in [(8, offset), (16, address), (32, size), (40, size)] {
                bytes[start + place..start + place + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        for (number, (tag, value)) in entries.into_iter().enumerate() {
            let start = 232 + 16 * number;
            bytes[start..start + 8].copy_from_slice(&tag.to_le_bytes());
            bytes[start + 8..start + 16].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend(strings);
        bytes.resize(1000, 0);
        bytes
    }

    #[test]
    fn what_a_library_asks_for_is_read() {
        let needs = parse(&small()).unwrap();
        assert_eq!(needs.architecture.to_string(), "x86_64");
        assert_eq!(needs.libraries, [b"libc.so.6"]);
        assert_eq!(needs.name.unwrap(), b"libc.so.6");
        assert_eq!(needs.loader.unwrap(), b"/lib/ld.so");
        assert_eq!(needs.rpath, needs.runpath);
        assert_eq!(needs.runpath.unwrap(), b"$ORIGIN");
    }

    proptest! {
        #[test]
        fn no_change_is_a_panic(changes in prop::collection::vec((0usize..500, any::<u8>()), 1..10)) {
            let mut bytes = small();
            for (place, value) in changes {
                bytes[place] = value;
            }
            let _ = parse(&bytes);
        }
    }
}
