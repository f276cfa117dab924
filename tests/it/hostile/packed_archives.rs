//! Compressed archives that unpack to much more than their size.

use std::fs;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::bounds::Becomes::Refused;
use super::bounds::is_bounded;
use crate::support::disk::{Disk, snapshot};
use crate::support::pyc::STDLIB;
use crate::support::tools::{pycull_command, run, tool_command};
use crate::support::{ImageBuilder, LayerBuilder, Output, pycull, tool};

/// An archive may unpack to this many times its size plus this many bytes.
const RATIO: u64 = 64;
const ANY: u64 = 256 << 20;

/// Size of TMPDIR in KiB. It is smaller than the unpacked archives.
const ROOM: u64 = 300 << 10;

/// Writes an OCI archive of a small image, with an additional file of `zeros` MiB of zeros.
fn archive(directory: &Path, zeros: u32) {
    let image = ImageBuilder::of([LayerBuilder::new().stdlib(STDLIB)]);
    image.write(&directory.join("layout"));
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let to = format!("oci-archive:{}", path("a.tar"));
    pycull(["minimize", &path("layout"), "--output", &to]).success();
    let size = format!("{zeros}M");
    tool("truncate", ["-s", &size, &path("zeros")]).success();
    let directory = directory.to_str().unwrap();
    tool("tar", ["-rf", &path("a.tar"), "-C", directory, "zeros"]).success();
}

/// Writes the same archive, compressed.
fn packed(directory: &Path, zeros: u32, pack: &[&str]) {
    archive(directory, zeros);
    let path = directory.join("a.tar");
    run(tool_command(pack[0]).args(&pack[1..]).arg(&path)).success();
    // Both programs remove their input.
    assert!(!path.exists());
}

/// The command that compresses the archive, the archive's name, and the program that unpacks it.
const KINDS: [(&[&str], &str, &str); 2] = [
    (&["gzip", "-9"], "a.tar.gz", "gzip"),
    (&["zstd", "-q", "--rm"], "a.tar.zst", "zstd"),
];

/// Inspects the archive with a small TMPDIR, by name or from a pipe. pycull must leave nothing in TMPDIR.
fn inspected(archive: &Path, from_pipe: bool) -> Output {
    let disk = Disk::of(ROOM);
    let mut command = match from_pipe {
        true => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "cat \"$0\" | \"$1\" inspect -"]);
            shell.arg(archive).arg(env!("CARGO_BIN_EXE_pycull"));
            shell
        }
        false => {
            let mut command = pycull_command();
            command.arg("inspect").arg(archive);
            command
        }
    };
    let output = run(command.env("TMPDIR", disk.path()));
    assert_eq!(snapshot(disk.path()).len(), 1);
    output
}

/// The command in a hint.
fn hinted(output: &Output) -> &str {
    let hint = output.stderr.split("hint: ").nth(1).unwrap();
    hint.split('`').nth(1).unwrap()
}

#[test]
fn an_archive_that_unpacks_to_more_than_its_size_allows_is_refused() {
    for (pack, name, tool) in KINDS {
        let directory = tempfile::tempdir().unwrap();
        packed(directory.path(), 400, pack);
        let path = directory.path().join(name);
        let bytes = path.metadata().unwrap().len();
        let limit = RATIO * bytes + ANY;
        let message = format!(
            "unpacks to more than {limit} bytes, which is the limit for a file of {bytes} bytes"
        );
        let from_pipe = inspected(&path, true).refused(&message);
        assert!(from_pipe.stderr.contains("`-` unpacks"));
        assert_eq!(hinted(&from_pipe), format!("{tool} -dc |"));
        let by_name = inspected(&path, false).refused(&message);
        // The hint works: pycull can read the unpacked archive in place.
        run(Command::new("sh").args(["-c", hinted(&by_name)])).success();
        inspected(&path.with_extension(""), false).success();
    }
}

#[test]
fn an_archive_of_zeros_is_read_where_they_are_not_too_many() {
    for (pack, name, _) in KINDS {
        let directory = tempfile::tempdir().unwrap();
        packed(directory.path(), 200, pack);
        let path = directory.path().join(name);
        assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
        inspected(&path, false).success();
        inspected(&path, true).success();
    }
}

#[test]
fn an_archive_of_many_members_is_refused() {
    let long = "n".repeat(3_990);
    for (count, directory, said) in [
        (52_000, &*long, "more than 33554432 bytes of names"),
        (100_001, "n", "more than 100000 members"),
    ] {
        let name = format!("{count} members");
        is_bounded(&name, Refused(said), |path| {
            let file = fs::File::create(path).unwrap();
            let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::best()));
            for number in 0..count {
                let mut header = tar::Header::new_gnu();
                header.set_size(0);
                let name = format!("{directory}/{number}");
                tar.append_data(&mut header, name, &[][..]).unwrap();
            }
            tar.into_inner().unwrap().finish().unwrap();
        });
    }
}
