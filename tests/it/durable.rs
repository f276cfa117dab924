//! An output survives a loss of power: its bytes are on the disk before it gets its name, and its name is on the disk
//! before pycull ends. A model of the disk replays the system calls of a run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::pyc::STDLIB;
use super::support::tools::{run, tool_command};
use super::support::{ImageBuilder, LayerBuilder, pycull};

/// The system calls that change a file system.
const CALLS: &str = "trace=openat,write,pwrite64,copy_file_range,sendfile,ftruncate,ioctl,fsync,fdatasync,\
                     rename,renameat,renameat2,link,linkat,mkdir,mkdirat";

/// What one system call did.
#[derive(Debug)]
enum Event {
    /// A file was opened for writing, or made as a link to another one.
    Opened(PathBuf),
    /// Bytes were written to a file.
    Written(PathBuf),
    /// A directory was made.
    Made(PathBuf),
    Renamed(PathBuf, PathBuf),
    Flushed(PathBuf),
}

/// The disk, and what a loss of power would take away.
struct Disk {
    /// Files whose bytes, and directories whose entries, may not be on the disk.
    unflushed: BTreeSet<PathBuf>,
    output: PathBuf,
    /// The name that pycull gives last. With this name the image is complete.
    last_name: PathBuf,
    /// Whether pycull gave the last name.
    is_there: bool,
}

fn is_staging(path: &Path) -> bool {
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    parts.any(|part| part.starts_with(".pycull-staging-"))
}

impl Disk {
    fn new(output: &Path, last_name: &str) -> Self {
        Self {
            unflushed: BTreeSet::new(),
            output: output.to_owned(),
            last_name: output.join(last_name).components().collect(),
            is_there: false,
        }
    }

    #[track_caller]
    fn apply(&mut self, event: Event) {
        match event {
            Event::Opened(path) => {
                self.assert_apart(&path);
                self.unflushed.insert(parent(&path));
                self.unflushed.insert(path);
            }
            Event::Written(path) => {
                self.assert_apart(&path);
                self.unflushed.insert(path);
            }
            Event::Made(path) => {
                self.unflushed.insert(parent(&path));
                self.unflushed.insert(path);
            }
            Event::Flushed(path) => drop(self.unflushed.remove(&path)),
            Event::Renamed(from, to) => self.rename(&from, &to),
        }
    }

    /// No file is written in its final place.
    #[track_caller]
    fn assert_apart(&self, path: &Path) {
        let is_apart = !path.starts_with(&self.output) || is_staging(path);
        assert!(is_apart, "{} is written in place", path.display());
    }

    #[track_caller]
    fn rename(&mut self, from: &Path, to: &Path) {
        if to == self.last_name {
            // pycull flushes the directory that gets the name afterwards.
            let lost: Vec<&PathBuf> = self.lost(from).chain(self.lost(&self.output)).collect();
            let lost: Vec<_> = lost.into_iter().filter(|it| **it != self.output).collect();
            assert!(
                lost.is_empty(),
                "not flushed before the last name: {lost:?}"
            );
            self.is_there = true;
        }
        let moved: Vec<PathBuf> = self.below(from).cloned().collect();
        for path in moved {
            self.unflushed.remove(&path);
            let rest = path.strip_prefix(from).unwrap();
            self.unflushed.insert(to.join(rest).components().collect());
        }
        self.unflushed.insert(parent(to));
    }

    fn below(&self, path: &Path) -> impl Iterator<Item = &PathBuf> {
        let unflushed = self.unflushed.iter();
        unflushed.filter(move |it| it.starts_with(path))
    }

    /// What is not flushed below a path. Staging directories count only if the path is in one.
    fn lost(&self, path: &Path) -> impl Iterator<Item = &PathBuf> {
        let is_staged = is_staging(path);
        self.below(path)
            .filter(move |it| is_staged || !is_staging(it))
    }

    /// The whole output is on the disk, and so is its name.
    #[track_caller]
    fn assert_flushed(&self, what: &str) {
        assert!(self.is_there, "{what}: no last name was given");
        let mut lost: Vec<&PathBuf> = self.lost(&self.output).collect();
        let is_new = self.last_name == self.output;
        let directory = parent(&self.output);
        lost.extend(self.unflushed.get(&directory).filter(|_| is_new));
        assert!(lost.is_empty(), "{what}: not flushed at the end: {lost:?}");
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

/// What a run of pycull did, in order.
fn events(arguments: &[&str]) -> Vec<Event> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = tool_command("strace");
    strace.args(["-f", "-qq", "-y", "-s", "0", "-e", CALLS, "-o"]);
    strace.arg(trace.path()).arg(env!("CARGO_BIN_EXE_pycull"));
    run(strace.args(arguments)).success();
    let text = fs::read_to_string(trace.path()).unwrap();
    let calls = completed(&text);
    calls.iter().filter_map(|call| event(call)).collect()
}

/// The calls in the order in which they ended. strace splits a call into two lines if another thread interrupts it.
fn completed(trace: &str) -> Vec<String> {
    let mut begun: Vec<(&str, &str)> = Vec::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.push((thread, start));
        } else if let Some(resumed) = call.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").unwrap().1;
            let at = begun.iter().position(|(it, _)| *it == thread).unwrap();
            calls.push(format!("{}{end}", begun.remove(at).1));
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

fn event(call: &str) -> Option<Event> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let text = |number: usize| {
        let text = arguments.split('"').nth(2 * number + 1)?;
        Some(PathBuf::from(text))
    };
    // As in `write(7</tmp/x>, …`.
    let descriptor = |number: usize| {
        let path = arguments.split('<').nth(number + 1)?.split('>').next()?;
        Some(PathBuf::from(path))
    };
    let is_writing = ["O_WRONLY", "O_RDWR"].map(|flag| arguments.contains(flag));
    Some(match name {
        "openat" if arguments.contains("O_TMPFILE") || !is_writing.contains(&true) => return None,
        "openat" => Event::Opened(text(0)?),
        "link" | "linkat" => Event::Opened(text(1)?),
        "mkdir" | "mkdirat" => Event::Made(text(0)?),
        "rename" | "renameat" | "renameat2" => Event::Renamed(text(0)?, text(1)?),
        "fsync" | "fdatasync" => Event::Flushed(descriptor(0)?),
        "copy_file_range" => Event::Written(descriptor(1)?),
        "ioctl" if !arguments.contains("CLONE") => return None,
        _ => Event::Written(descriptor(0)?),
    })
}

/// Two layers that pycull keeps, and one that it rewrites.
fn image() -> ImageBuilder {
    ImageBuilder::of([
        LayerBuilder::new().stdlib(STDLIB),
        LayerBuilder::new().file("etc/kept", "as it is"),
        LayerBuilder::new().module_of_three(STDLIB, "m"),
    ])
}

/// Writes an image from a layout and from an archive to an output that `prepare` may have made before.
#[track_caller]
fn is_flushed(transport: &str, name: &str, last_name: &str, prepare: impl Fn(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(directory.path()).unwrap();
    image().write(&place.join("layout"));
    let layout = format!("oci:{}", place.join("layout").display());
    let archive = format!("oci-archive:{}", place.join("source.tar").display());
    pycull([
        "minimize",
        &layout,
        "--output",
        &archive,
        "--profile",
        "levels-0-1",
    ])
    .success();
    for (number, source) in [layout, archive].iter().enumerate() {
        let below = place.join(number.to_string());
        fs::create_dir(&below).unwrap();
        let output = below.join(name);
        prepare(&output);
        let to = format!("{transport}:{}:new", output.display());
        let mut disk = Disk::new(&output, last_name);
        for event in events(&["minimize", source, "--output", &to, "--profile", "minimal"]) {
            disk.apply(event);
        }
        disk.assert_flushed(&format!("{source} to {to}"));
        pycull(["inspect", &to]).success();
    }
}

#[test]
fn a_new_layout_is_on_the_disk_before_it_has_its_name() {
    is_flushed("oci", "new", "", |_| {});
}

#[test]
fn an_image_is_on_the_disk_before_the_index_of_a_layout_names_it() {
    is_flushed("oci", "old", "index.json", |output| {
        let other = LayerBuilder::new().file("etc/other", "");
        ImageBuilder::of([other]).tag("old").write(output);
    });
}

#[test]
fn an_empty_directory_is_on_the_disk_as_a_layout_before_it_is_marked_as_one() {
    is_flushed("oci", "empty", "oci-layout", |output| {
        fs::create_dir(output).unwrap();
    });
}

#[test]
fn an_archive_is_on_the_disk_before_it_has_its_name() {
    is_flushed("oci-archive", "new.tar", "", |_| {});
    is_flushed("docker-archive", "new.tar", "", |_| {});
    is_flushed("oci-archive", "new.tar.gz", "", |_| {});
    is_flushed("oci-archive", "new.tar.zst", "", |_| {});
}
