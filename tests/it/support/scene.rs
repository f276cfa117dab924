//! An image, pycull's output for it, and the proof that an engine can extract the output.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pycull::layers::check_image;
use pycull::transport::Source;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::layout::decompressed;
use super::stream::{Slice, cut};
use super::tree::Tree;
use super::{ImageBuilder, Layout, pycull, tool};

/// An image before and after `minimize`, and the report.
pub struct Minimized {
    pub before: Layout,
    pub after: Layout,
    /// The report, as JSON.
    pub report: Value,
    _directory: TempDir,
}

impl Minimized {
    /// The report on the only image.
    pub fn image(&self) -> &Value {
        let images = self.report["images"].as_array().unwrap();
        assert_eq!(images.len(), 1, "{images:?}");
        &images[0]
    }

    /// The action on each layer.
    pub fn actions(&self) -> Vec<&str> {
        let layers = self.image()["layers"].as_array().unwrap();
        layers
            .iter()
            .map(|layer| layer["action"].as_str().unwrap())
            .collect()
    }

    pub fn warnings(&self) -> Vec<&str> {
        let warnings = self.image()["warnings"].as_array().unwrap();
        warnings
            .iter()
            .map(|warning| warning.as_str().unwrap())
            .collect()
    }

    /// Checks that `verify` with these arguments finds only differences in bytecode.
    #[track_caller]
    pub fn is_verified(&self, arguments: &[&str]) {
        let sides = [&self.before.0, &self.after.0].map(|path| path.to_str().unwrap());
        let output = pycull([&["verify", sides[0], sides[1]], arguments].concat());
        assert_eq!(output.code, Some(0), "{}{}", output.text(), output.stderr);
    }

    /// The root file system after, unpacked by an engine.
    pub fn unpacked(&self) -> Unpacked {
        extracts(&self.after)
    }
}

/// Writes the image and minimizes it into a new layout. Checks that every image of the output can be extracted.
#[track_caller]
pub fn minimized(image: &ImageBuilder, arguments: &[&str]) -> Minimized {
    minimized_layout(|layout| image.write(layout), arguments)
}

/// The same for a layout that `write` writes.
#[track_caller]
pub fn minimized_layout(write: impl FnOnce(&Path), arguments: &[&str]) -> Minimized {
    let directory = tempfile::tempdir().unwrap();
    let (before, after) = (
        directory.path().join("before"),
        directory.path().join("after"),
    );
    write(&before);
    let report = minimize(&before, &after, arguments);
    let done = Minimized {
        before: Layout(before),
        after: Layout(after),
        report,
        _directory: directory,
    };
    for manifest in done.after.images() {
        extracts_image(&done.after, &manifest);
    }
    assert_levels_are_as_inspected(&done.report, &done.after.0);
    done
}

/// Checks that the levels of each layer in the report of `minimize` are those that `inspect` finds.
#[track_caller]
pub fn assert_levels_are_as_inspected(report: &Value, after: &Path) {
    let inspected = pycull(["inspect", after.to_str().unwrap(), "--format", "json"]);
    let inspected = inspected.success().json();
    let layers = |image: &Value| image["layers"].as_array().unwrap().clone();
    let levels = |report: &Value, of: fn(&Value) -> &Value| -> Vec<Value> {
        let images = report["images"].as_array().unwrap();
        let layers = images.iter().flat_map(layers);
        let there = layers.filter(|layer| !of(layer).is_null());
        there.map(|layer| of(&layer)["levels"].clone()).collect()
    };
    assert_eq!(
        levels(report, |layer| &layer["after"]),
        levels(&inspected, |layer| layer)
    );
}

/// Runs `pycull minimize`. Returns its report.
#[track_caller]
pub fn minimize(input: &Path, output: &Path, arguments: &[&str]) -> Value {
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let fixed = ["minimize", input, "--output", output, "--format", "json"];
    pycull(fixed.iter().chain(arguments)).success().json()
}

/// The verdict of `pycull verify` on two layouts of one image.
#[track_caller]
pub fn verdict(before: &Path, after: &Path) -> String {
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let report = pycull(["verify", before, after, "--format", "json"]).json();
    report["images"][0]["verdict"].as_str().unwrap().to_owned()
}

/// The report of `pycull inspect` on the only image of a layout.
#[track_caller]
pub fn inspected_layout(layout: &Path) -> Value {
    let report = pycull(["inspect", layout.to_str().unwrap(), "--format", "json"]);
    let report = report.success().json();
    assert_eq!(report["schema"], "pycull.inspect/1");
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    images[0].clone()
}

/// The report of `pycull inspect` on an image.
#[track_caller]
pub fn inspected(image: &ImageBuilder) -> Value {
    let directory = tempfile::tempdir().unwrap();
    image.write(directory.path());
    inspected_layout(directory.path())
}

/// The findings about an image's bytecode: kind, path and layer. Missing caches are left out, because standard
/// libraries made by hand have none.
#[track_caller]
pub fn findings(image: &ImageBuilder) -> Vec<(String, String, u64)> {
    let image = inspected(image);
    let findings = image["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["kind"] != "missing")
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            (
                text("kind"),
                text("path"),
                finding["layer"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// A root file system that an engine unpacked. Dropping it removes the files.
pub struct Unpacked {
    directory: TempDir,
}

impl Unpacked {
    /// Unpacks `oci:LAYOUT:TAG` with umoci, with the original owners and devices.
    #[track_caller]
    pub fn by_umoci(layout: &Path, tag: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        umoci_unpack(
            &format!("{}:{tag}", layout.display()),
            &directory.path().join("bundle"),
        );
        Self { directory }
    }

    /// The whole tree.
    pub fn tree(&self) -> Tree {
        Tree::of(&self.path(""))
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("bundle/rootfs").join(path)
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        let full = self.path(path);
        fs::read(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether anything has that name, even a dangling symlink.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }
}

/// Unpacks the only image of a layout.
#[track_caller]
pub fn extracts(layout: &Layout) -> Unpacked {
    let images = layout.images();
    assert_eq!(images.len(), 1, "{images:?}");
    extracts_image(layout, &images[0])
}

/// Unpacks one image of a layout. `manifest` is its descriptor.
///
/// umoci unpacks it if it can. skopeo converts other forms first, and checks every digest and diff_id. GNU tar unpacks
/// members that umoci refuses.
#[track_caller]
pub fn extracts_image(layout: &Layout, manifest: &Value) -> Unpacked {
    validates(layout, manifest);
    let directory = tempfile::tempdir().unwrap();
    let document = layout.document(manifest);
    let by_tar = layers(layout, &document).any(|tar| has_odd_members(&tar));
    let image = if by_tar || !umoci_reads(manifest, &document) {
        converted(layout, manifest, directory.path())
    } else {
        alone(layout, manifest, directory.path())
    };
    let bundle = directory.path().join("bundle");
    if by_tar {
        unpack_with_tar(layers(layout, &document), &bundle);
    } else {
        umoci_unpack(&image, &bundle);
    }
    Unpacked { directory }
}

/// Checks what must be true of any valid image.
#[track_caller]
pub fn validates(layout: &Layout, manifest: &Value) {
    let reference = format!("oci:{}:@0", layout.0.display());
    let source = Source::open(&reference.parse().unwrap(), io::empty()).unwrap();
    if let Err(violation) = check_image(&*source.store, manifest) {
        panic!("{manifest}: {violation}");
    }
}

/// A layout that lists only this image. Its blobs are those of `layout`.
fn alone(layout: &Layout, manifest: &Value, directory: &Path) -> String {
    let alone = directory.join("alone");
    fs::create_dir(&alone).unwrap();
    let blobs = fs::canonicalize(layout.0.join("blobs")).unwrap();
    symlink(blobs, alone.join("blobs")).unwrap();
    fs::copy(layout.0.join("oci-layout"), alone.join("oci-layout")).unwrap();
    let mut root = manifest.clone();
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    super::builder::write_index(&alone, vec![root]);
    format!("{}:it", alone.display())
}

/// Converts the image with skopeo to OCI form with gzip layers. skopeo's `dir:` accepts any form.
fn converted(layout: &Layout, manifest: &Value, directory: &Path) -> String {
    let flat = directory.join("flat");
    fs::create_dir(&flat).unwrap();
    for blob in fs::read_dir(layout.0.join("blobs/sha256")).unwrap() {
        let blob = fs::canonicalize(blob.unwrap().path()).unwrap();
        symlink(&blob, flat.join(blob.file_name().unwrap())).unwrap();
    }
    fs::write(flat.join("manifest.json"), layout.blob(manifest)).unwrap();
    fs::write(flat.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let image = format!("{}:it", directory.join("converted").display());
    let (from, to) = (format!("dir:{}", flat.display()), format!("oci:{image}"));
    let flags = [
        "--insecure-policy",
        "copy",
        "--format",
        "oci",
        "--dest-compress-format",
        "gzip",
    ];
    tool("skopeo", flags.into_iter().chain([&*from, &*to])).success();
    image
}

#[track_caller]
fn umoci_unpack(image: &str, bundle: &Path) {
    let bundle = bundle.to_str().unwrap();
    tool("umoci", ["unpack", "--image", image, bundle]).success();
}

fn layers(layout: &Layout, manifest: &Value) -> impl Iterator<Item = Vec<u8>> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| decompressed(&layout.blob(layer)))
}

/// umoci 0.4 refuses pax global headers and sparse files.
fn has_odd_members(tar: &[u8]) -> bool {
    let sparse = tar.windows(11).any(|window| window == b"GNU.sparse.");
    let odd = |slice: &Slice<'_>| !matches!(slice.flag, 0 | b'0'..=b'7');
    sparse || cut(tar).0.iter().any(|(_, slice)| odd(slice))
}

fn unpack_with_tar(layers: impl Iterator<Item = Vec<u8>>, bundle: &Path) {
    let rootfs = bundle.join("rootfs");
    fs::create_dir_all(&rootfs).unwrap();
    for layer in layers {
        let names = cut(&layer).0;
        assert!(
            !names.iter().any(|(name, _)| name.contains("/.wh.")),
            "tar knows no whiteouts"
        );
        let file = bundle.join("layer.tar");
        fs::write(&file, layer).unwrap();
        let flags = [
            "--xattrs",
            "--xattrs-include=*",
            "--numeric-owner",
            "-C",
            rootfs.to_str().unwrap(),
        ];
        tool(
            "tar",
            flags.into_iter().chain(["-xpf", file.to_str().unwrap()]),
        )
        .success();
    }
}

/// umoci 0.4 reads OCI media types, and layers that are plain or gzip.
fn umoci_reads(descriptor: &Value, manifest: &Value) -> bool {
    let is_oci = |descriptor: &Value| {
        let media_type = descriptor["mediaType"].as_str().unwrap();
        media_type.starts_with("application/vnd.oci.") && !media_type.ends_with("zstd")
    };
    let layers = manifest["layers"].as_array().unwrap();
    is_oci(descriptor) && is_oci(&manifest["config"]) && layers.iter().all(is_oci)
}
