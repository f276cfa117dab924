//! Interpreters of images: finding them, unpacking them, and running them in the sandbox.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use pycull::compile::interpreter::{
    Closure, Emulator, ImageFiles, InterpreterError, Launch, StandardLibrary, candidates, host,
};
use pycull::compile::sandbox::{Limits, Mode, Sandbox};
use pycull::layers::{Access, LayerScan, read_members, scan_layers};
use pycull::limits;
use pycull::oci::{BlobStore, Image, load};
use pycull::progress::Unobserved;
use pycull::pyc::{Magic, Runtime};
use pycull::rootfs::{MemberId, Rootfs, squash};
use pycull::transport::{Reference, Source};
use serde_json::json;
use tempfile::TempDir;

use crate::support::tools::{real_image, run, tool, tool_command};
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// An image, and the number of times that its members were read again.
struct Opened {
    source: Source,
    layers: Vec<Arc<LayerScan>>,
    rootfs: Rootfs,
    library_path: Option<&'static str>,
}

impl Opened {
    fn new(layout: &Path) -> Self {
        let reference: Reference = format!("oci:{}", layout.display()).parse().unwrap();
        let source = Source::open(&reference, std::io::empty()).unwrap();
        let root = load(&*source.store, &source.root, None).unwrap();
        let image: Vec<&Image> = root.images();
        let allowances = limits::Limits::NONE.of_layers(0);
        let access = Access {
            store: &*source.store,
            jobs: 2,
            observer: &Unobserved,
        };
        let layers = scan_layers(access, &image[0].layers, &allowances).unwrap();
        let rootfs = squash(layers.iter().map(|scan| &*scan.members), &allowances).unwrap();
        Self {
            source,
            layers,
            rootfs,
            library_path: None,
        }
    }

    fn crafted(layer: LayerBuilder) -> (TempDir, Self) {
        let directory = tempfile::tempdir().unwrap();
        ImageBuilder::of([layer]).write(directory.path());
        let opened = Self::new(directory.path());
        (directory, opened)
    }

    /// The closures of all candidates, and the number of rounds of reading.
    fn closures(
        &self,
        library: &str,
        minor: u8,
        may_be_foreign: bool,
    ) -> (Vec<Result<Closure, InterpreterError>>, usize) {
        let library = StandardLibrary::at(Runtime::cpython(3, minor), library.as_bytes()).unwrap();
        let mut rounds = 0;
        let store: &dyn BlobStore = &*self.source.store;
        let mut read = |wanted: &BTreeSet<MemberId>| {
            rounds += 1;
            let mut found = HashMap::new();
            let _: ControlFlow<()> = read_members(store, &self.layers, wanted, &mut |id, data| {
                found.insert(id, data);
                ControlFlow::Continue(())
            })?;
            Ok(found)
        };
        let members = self.layers.iter().map(|scan| &*scan.members);
        let files = ImageFiles::new(&self.rootfs, members, &mut read);
        let mut files = files.with_library_path(self.library_path);
        let closures = candidates(&self.rootfs, &library)
            .iter()
            .map(|candidate| Closure::of(&mut files, &library, candidate, &[], may_be_foreign))
            .collect();
        (closures, rounds)
    }
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ended(launch: &Launch, mode: Mode, script: &str) -> Ended {
    let helper = Path::new(env!("CARGO_BIN_EXE_pycull"));
    let mut command = launch.command(Sandbox { helper, mode }, Limits::default(), false, script);
    command.stdin(Stdio::null());
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn answer(launch: &Launch, mode: Mode, script: &str) -> String {
    let ended = ended(launch, mode, script);
    assert_eq!(
        ended.code,
        Some(0),
        "{}\n{}\n{launch:?}",
        ended.stderr,
        ended.stdout
    );
    ended.stdout
}

/// Compiles sources that need more than the interpreter itself, then prints what it imported and mapped.
const SCRIPT: &str = r##"
import sys
from _frozen_importlib_external import MAGIC_NUMBER
import _warnings
_warnings.filters.insert(0, ("ignore", None, Warning, None, 0))
print("%d.%d" % sys.version_info[:2], int.from_bytes(MAGIC_NUMBER[:2], "little"))
print(sys.executable, sys.prefix, sys.exec_prefix)
print([entry for entry in sys.path if entry])
def show(source):
    try:
        print(ascii(compile(source, "f.py", "exec", dont_inherit=True, optimize=2).co_consts[0]))
    except SyntaxError as error:
        print(error.msg.split(":")[0])
show(b"# -*- coding: euc-jp -*-\nx='\xa4\xa2'\n")
show(b"# -*- coding: cp1252 -*-\nx='\x80'\n")
show(b"# coding: utf-7\nx='+AGE-'\n")
show(b"# coding: iso2022_kr\nx='b'\n")
show(b"x='\\N{EM DASH}'\n")
show("\u00e9\ufb01=1".encode())
show(b"x='\\d'\nx is 1\nassert (x, 1)\n")
show(b"# coding: nope\n")
print(sorted(name for name in sys.modules if name in ("re", "os", "warnings", "site", "traceback")))
"##;

fn expected(version: &str, magic: u16, root: &Path) -> String {
    let name = format!("python{version}");
    let zip = format!("python{}", version.replace('.', ""));
    let root = root.display();
    format!(
        "{version} {magic}\n\
         {root}/bin/python {root} {root}\n\
         ['{root}/lib/{zip}.zip', '{root}/lib/{name}', '{root}/lib/{name}/lib-dynload']\n\
         '\\u3042'\n'\\u20ac'\n'a'\n'b'\n'\\u2014'\n1\n'\\\\d'\nunknown encoding\n[]\n"
    )
}

fn works(image: &str, minor: u8) {
    let opened = Opened::new(&real_image(image));
    let version = format!("3.{minor}");
    let (mut closures, rounds) = opened.closures(&format!("usr/lib/python{version}"), minor, false);
    assert_eq!(closures.len(), 1);
    assert_eq!(rounds, 1, "the first round does not have all");
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().canonicalize().unwrap();
    let closure = closures.remove(0).unwrap();
    let launch = closure.unpack(&place, None).unwrap();
    let magic = Magic::final_for(Runtime::cpython(3, minor)).unwrap().0;
    for mode in [Mode::Required, Mode::Off] {
        let expected = expected(&version, magic, &place.join("root"));
        // The result does not depend on the sandbox.
        assert_eq!(answer(&launch, mode, SCRIPT), expected);
    }
    let mapped = "files = set(line.split(None, 5)[5].strip() for line in open('/proc/self/maps') if len(line.split(None, 5)) == 6)\n\
                  print('\\n'.join(sorted(file for file in files if file.startswith('/'))))";
    let mapped = answer(&launch, Mode::Off, mapped);
    assert!(mapped.lines().count() > 3, "{mapped}");
    for file in mapped.lines() {
        let is_locale = file.starts_with("/usr/lib/locale/") || file.contains("/gconv/");
        assert!(Path::new(file).starts_with(&place) || is_locale, "{file}");
    }
    let again = tempfile::tempdir().unwrap();
    let same = closure.unpack(again.path(), None).unwrap();
    assert_eq!(same.identity, launch.identity);
}

#[test]
fn debian_s_python_3_9_runs_in_the_sandbox() {
    works("py3.9", 9);
}

#[test]
fn debian_s_python_3_11_runs_in_the_sandbox() {
    works("py3.11", 11);
}

#[test]
fn debian_s_python_3_13_runs_in_the_sandbox() {
    works("py3.13", 13);
}

#[test]
fn debian_s_python_3_14_runs_in_the_sandbox() {
    works("py3.14", 14);
}

/// A layer with these files and the necessary parts of a 3.9 standard library.
fn layer(files: &[(&str, &Path)]) -> LayerBuilder {
    let base = LayerBuilder::new().stdlib("opt/x/lib/python3.9");
    files.iter().fold(base, |layer, (path, file)| {
        layer.file(path, fs::read(file).unwrap())
    })
}

/// Compiles C. `compiler` is `musl-gcc` for musl.
fn compile(
    compiler: &str,
    directory: &Path,
    output: &str,
    source: &str,
    options: &[&str],
) -> PathBuf {
    let (file, output) = (directory.join("source.c"), directory.join(output));
    fs::write(&file, source).unwrap();
    let mut command = tool_command(compiler);
    command.arg("-o").arg(&output).arg(&file).args(options);
    run(command.arg(format!("-L{}", directory.display()))).success();
    output
}

/// A program that prints its arguments by calling a library. `options` say how it finds the library.
fn program_with_library(compiler: &str, directory: &Path, options: &[&str]) -> (PathBuf, PathBuf) {
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libsay.so.1"];
    let source = "#include <stdio.h>\nvoid say(char *text) { puts(text); }";
    let library = compile(compiler, directory, "libsay.so", source, &shared);
    let source = "void say(char *); int main(int count, char **values) { while (count--) say(*values++); return 0; }";
    let options = [&["-lsay"][..], options].concat();
    let program = compile(compiler, directory, "program", source, &options);
    (program, library)
}

fn prints(opened: &Opened, rounds_at_most: usize) -> Launch {
    let (mut closures, rounds) = opened.closures("opt/x/lib/python3.9", 9, false);
    assert!(rounds <= rounds_at_most, "{rounds}");
    let directory = tempfile::tempdir().unwrap();
    let launch = closures
        .remove(0)
        .unwrap()
        .unpack(directory.path(), None)
        .unwrap();
    for mode in [Mode::Required, Mode::Off] {
        let said = answer(&launch, mode, "a script");
        let program = launch.arguments.last().unwrap().to_str().unwrap();
        let options = "-S\n-s\n-B\n-X\nno_debug_ranges\n-c\na script\n";
        assert_eq!(said, format!("{program}\n{options}"));
    }
    launch
}

#[test]
fn a_program_of_musl_is_started_by_its_loader() {
    let work = tempfile::tempdir().unwrap();
    let (program, library) =
        program_with_library("musl-gcc", work.path(), &["-Wl,-rpath,$ORIGIN/../private"]);
    let loader = Path::new("/lib/ld-musl-x86_64.so.1");
    let layer = layer(&[
        ("opt/x/bin/python3.9", &program),
        ("opt/x/private/libsay.so.1", &library),
        ("usr/lib/musl/libc.so", loader),
    ]);
    let layer = layer.symlink("lib/ld-musl-x86_64.so.1", "/usr/lib/musl/libc.so");
    let (_image, opened) = Opened::crafted(layer);
    prints(&opened, 3);
}

#[test]
fn an_rpath_does_not_lead_out_of_the_directory() {
    let work = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().display();
    let option = format!("-Wl,--disable-new-dtags,-rpath,{place}");
    let (program, library) = program_with_library("gcc", work.path(), &[&option]);
    let source = "#include <unistd.h>\nvoid say(char *text) { (void)text; _exit(3); }";
    compile(
        "gcc",
        outside.path(),
        "libsay.so.1",
        source,
        &["-shared", "-fPIC"],
    );
    let base = layer(&[
        ("opt/x/bin/python3.9", &program),
        (&format!("{place}/libsay.so.1"), &library),
        (
            "lib64/ld-linux-x86-64.so.2",
            Path::new("/lib64/ld-linux-x86-64.so.2"),
        ),
        (
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
        ),
    ]);
    let (_image, opened) = Opened::crafted(base);
    let launch = prints(&opened, 2);
    assert!(
        launch
            .arguments
            .contains(&OsString::from("--inhibit-rpath"))
    );
}

#[test]
fn libraries_are_where_the_configuration_says_and_of_the_right_kind() {
    let work = tempfile::tempdir().unwrap();
    let (program, library) = program_with_library("gcc", work.path(), &[]);
    let mut other = fs::read(&library).unwrap();
    // This file is for another machine, so the loader skips it.
    other[18] = 183;
    let base = layer(&[
        ("opt/x/bin/python3.9", &program),
        ("opt/second/libsay.so.1", &library),
        (
            "lib64/ld-linux-x86-64.so.2",
            Path::new("/lib64/ld-linux-x86-64.so.2"),
        ),
        (
            "opt/third/libc.so.6",
            Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
        ),
    ]);
    let layer = base
        .file("opt/first/libsay.so.1", other)
        .file("etc/ld.so.conf", "include /etc/more/*\n/opt/third\n")
        .file("etc/more/one", "/opt/first\n/opt/second\n");
    let (_image, opened) = Opened::crafted(layer.clone());
    prints(&opened, 5);
    let lacking = layer.file("etc/more/one", "/opt/first\n");
    let (_image, mut opened) = Opened::crafted(lacking);
    // Trap 61: `LD_LIBRARY_PATH` in the image's environment counts.
    opened.library_path = Some("/nowhere:/opt/first;/opt/second");
    prints(&opened, 5);
    opened.library_path = None;
    let error = opened.closures("opt/x/lib/python3.9", 9, false).0.remove(0);
    let error = error.unwrap_err();
    assert!(error.is_about_candidate());
    let error = error.to_string();
    assert!(
        error.contains("bin/python3.9` needs the library `libsay.so.1`"),
        "{error}"
    );
}

/// Trap 61: glibc's loader searches the environment's directories after `DT_RPATH` and before `DT_RUNPATH`.
#[test]
fn the_library_path_of_the_environment_comes_after_rpath_and_before_runpath() {
    for (kind, right, wrong) in [
        ("--disable-new-dtags", "opt/own", "opt/environment"),
        ("--enable-new-dtags", "opt/environment", "opt/own"),
    ] {
        let work = tempfile::tempdir().unwrap();
        let option = format!("-Wl,{kind},-rpath,/opt/own");
        let (program, library) = program_with_library("gcc", work.path(), &[&option]);
        let source = "#include <unistd.h>\nvoid say(char *text) { (void)text; _exit(3); }";
        let other = compile(
            "gcc",
            work.path(),
            "other.so",
            source,
            &["-shared", "-fPIC"],
        );
        let layer = layer(&[
            ("opt/x/bin/python3.9", &program),
            (&format!("{right}/libsay.so.1"), &library),
            (&format!("{wrong}/libsay.so.1"), &other),
            (
                "lib64/ld-linux-x86-64.so.2",
                Path::new("/lib64/ld-linux-x86-64.so.2"),
            ),
            (
                "usr/lib/x86_64-linux-gnu/libc.so.6",
                Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
        ]);
        let (_image, mut opened) = Opened::crafted(layer);
        opened.library_path = Some("/opt/environment");
        prints(&opened, 3);
    }
}

/// Trap 61: the environment in the config affects the search for libraries.
#[test]
fn an_interpreter_whose_libraries_the_config_names_is_tried() {
    let work = tempfile::tempdir().unwrap();
    let (program, library) = program_with_library("gcc", work.path(), &[]);
    let layer = layer(&[
        ("opt/x/bin/python3.9", &program),
        ("opt/own/libsay.so.1", &library),
        (
            "lib64/ld-linux-x86-64.so.2",
            Path::new("/lib64/ld-linux-x86-64.so.2"),
        ),
        (
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
        ),
    ]);
    for (directory, said) in [
        ("/opt/other", "needs the library `libsay.so.1`"),
        ("/opt/own", "does not speak the protocol of a worker"),
    ] {
        let layout = tempfile::tempdir().unwrap();
        ImageBuilder::of([layer.clone()])
            .edit_config(|config| {
                config["config"]["Env"] = json!([format!("LD_LIBRARY_PATH={directory}")]);
            })
            .write(layout.path());
        let path = layout.path().to_str().unwrap();
        let compile = [
            "minimize",
            path,
            "--set",
            "missing=compile",
            "--output",
            "-",
        ];
        pycull(compile).refused(said);
    }
}

#[test]
fn a_static_program_needs_no_loader() {
    let work = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\nint main(void) { puts(\"static\"); return 0; }";
    let program = compile("gcc", work.path(), "program", source, &["-static"]);
    let (_image, opened) = Opened::crafted(layer(&[("opt/x/bin/python3.9", &program)]));
    let directory = tempfile::tempdir().unwrap();
    let closure = opened.closures("opt/x/lib/python3.9", 9, false).0.remove(0);
    let launch = closure.unwrap().unpack(directory.path(), None).unwrap();
    assert_eq!(answer(&launch, Mode::Required, ""), "static\n");
}

#[test]
fn scripts_and_malformed_programs_are_no_interpreters() {
    let work = tempfile::tempdir().unwrap();
    let whole = fs::read("/bin/true").unwrap();
    fs::write(work.path().join("cut"), &whole[..100]).unwrap();
    fs::write(work.path().join("script"), "#!/bin/sh\n").unwrap();
    let layer = layer(&[
        ("opt/x/bin/python3.9", &work.path().join("script")),
        ("usr/bin/python3.9", &work.path().join("cut")),
        ("usr/bin/python3", Path::new("/bin/true")),
    ]);
    let (_image, opened) = Opened::crafted(layer);
    let (closures, rounds) = opened.closures("opt/x/lib/python3.9", 9, false);
    let errors: Vec<String> = closures
        .into_iter()
        .map(|closure| closure.unwrap_err())
        .inspect(|error| assert!(error.is_about_candidate() && error.hint().is_some()))
        .map(|error| error.to_string())
        .collect();
    assert_eq!(
        errors[0],
        "`opt/x/bin/python3.9` is not an ELF program (it may be a script)"
    );
    assert!(
        errors[1].starts_with("`usr/bin/python3.9` is a malformed ELF file: "),
        "{errors:?}"
    );
    assert!(
        errors[2].starts_with("`usr/bin/python3` needs the loader `/lib"),
        "{errors:?}"
    );
    assert_eq!(rounds, 3);
}

#[test]
fn a_program_for_another_machine_is_told() {
    let work = tempfile::tempdir().unwrap();
    let mut program = fs::read("/bin/true").unwrap();
    // e_machine: EM_AARCH64.
    program[18..20].copy_from_slice(&[183, 0]);
    let file = work.path().join("program");
    fs::write(&file, program).unwrap();
    let (_image, opened) = Opened::crafted(layer(&[("opt/x/bin/python3.9", &file)]));
    let error = opened.closures("opt/x/lib/python3.9", 9, false).0.remove(0);
    let error = error.unwrap_err();
    let host = std::env::consts::ARCH;
    assert_eq!(
        error.to_string(),
        format!("`opt/x/bin/python3.9` is a program for aarch64, but this machine is {host}")
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("--python") && hint.contains("qemu-aarch64-static"),
        "{hint}"
    );
}

/// The lines that an interpreter of this machine prints, without those that have paths.
fn host_answer(launch: &Launch, mode: Mode) -> Vec<String> {
    let said = answer(launch, mode, SCRIPT);
    said.lines().skip(3).map(str::to_owned).collect()
}

#[test]
fn interpreters_of_this_machine_run_in_the_sandbox() {
    let work = tempfile::tempdir().unwrap();
    tool(
        "python3",
        [
            "-m",
            "venv",
            "--without-pip",
            work.path().join("v").to_str().unwrap(),
        ],
    )
    .success();
    let copies = work.path().join("copies");
    tool(
        "python3",
        [
            "-m",
            "venv",
            "--without-pip",
            "--copies",
            copies.to_str().unwrap(),
        ],
    )
    .success();
    let mut identities = Vec::new();
    for path in [
        "/usr/bin/python3".into(),
        work.path().join("v/bin/python"),
        copies.join("bin/python3"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let launch = host(&path, directory.path()).unwrap();
        identities.push(launch.identity);
        for mode in [Mode::Required, Mode::Off] {
            let said = host_answer(&launch, mode);
            let expected = [
                "'\\u3042'",
                "'\\u20ac'",
                "'a'",
                "'b'",
                "'\\u2014'",
                "1",
                "'\\\\d'",
                "unknown encoding",
            ];
            assert_eq!(said[..8], expected, "{path:?}");
        }
    }
    assert_eq!(identities[1], identities[2]);
}

/// A program for aarch64 that prints `arm`: an ELF header, one segment, and code.
fn program_for_arm() -> Vec<u8> {
    let code: [u32; 8] = [
        0xd280_0020, // mov x0, #1
        0x1000_00e1, // adr x1, text
        0xd280_0082, // mov x2, #4
        0xd280_0808, // mov x8, #64 (write)
        0xd400_0001, // svc #0
        0xd280_0000, // mov x0, #0
        0xd280_0ba8, // mov x8, #93 (exit)
        0xd400_0001, // svc #0
    ];
    let (start, size) = (0x40_0000u64, 120 + 32 + 4u64);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    for word in [start + 120, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, start, start, size, size, 0x1_0000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(b"arm\n");
    bytes
}

#[test]
fn a_program_for_another_machine_runs_in_an_emulator() {
    tool("qemu-aarch64-static", ["--version"]).success();
    let emulator = Emulator::new(&["/usr/bin/qemu-aarch64-static".into()]).unwrap();
    let work = tempfile::tempdir().unwrap();
    let program = work.path().join("program");
    fs::write(&program, program_for_arm()).unwrap();
    let (_image, opened) = Opened::crafted(layer(&[("opt/x/bin/python3.9", &program)]));
    let closure = opened.closures("opt/x/lib/python3.9", 9, true).0.remove(0);
    let launch = closure
        .unwrap()
        .unpack(work.path(), Some(&emulator))
        .unwrap();
    for mode in [Mode::Required, Mode::Off] {
        assert_eq!(answer(&launch, mode, ""), "arm\n");
    }
}
