//! Memory does not grow with the size of a layer.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use pycull::oci::DigestHasher;
use serde_json::json;

use super::support::pyc::cache_39;
use super::support::{ImageBuilder, Layout, builder, cost};

const LIMIT: u64 = 200 << 20;
const GIB: u64 = 1 << 30;
const SOURCE: &[u8] = b"# a module\n";
const MTIME: u32 = 1_600_000_000;

#[test]
fn a_layer_of_one_gib_is_inspected_and_minimized_in_200_mib_of_memory() {
    let directory = tempfile::tempdir().unwrap();
    let (before, after) = (
        directory.path().join("before"),
        directory.path().join("after"),
    );
    write_image(&before);
    let place = |path: &Path| path.to_str().unwrap().to_owned();

    let (report, peak) = measured(&["inspect", &place(&before), "--format", "json"]);
    let layer = &report["images"][0]["layers"][0];
    assert!(layer["uncompressed_bytes"].as_u64().unwrap() > GIB);
    assert_eq!(layer["levels"]["0"]["files"], 100);
    assert!(peak < LIMIT, "inspect took {peak} bytes");

    let output = place(&after);
    let (report, peak) = measured(&[
        "minimize",
        &place(&before),
        "--output",
        &output,
        "--compression",
        "gzip:1",
        "--format",
        "json",
    ]);
    assert_eq!(report["images"][0]["layers"][0]["action"], "rewritten");
    assert_eq!(report["images"][0]["removed"]["files"], 100);
    assert!(peak < LIMIT, "minimize took {peak} bytes");
    // The measured run did write the layer.
    let layer = &Layout::new(&after).manifest()["layers"][0];
    assert!(layer["size"].as_u64().unwrap() > GIB / 2);
}

/// Runs pycull. Returns its report and its peak memory in bytes.
fn measured(arguments: &[&str]) -> (serde_json::Value, u64) {
    // Four jobs, on any machine: each job has its own buffers.
    let measured = cost::measured(arguments.iter().chain(&["--jobs", "4"]));
    (measured.output.success().json(), measured.memory)
}

/// Writes a layout with one layer of 1 GiB. Half of it does not compress, and a hundred of its modules have a level 0
/// that is a link to level 1. The layer is written directly to disk.
fn write_image(layout: &Path) {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let blob = layout.join("blobs/layer");
    let file = BufWriter::new(File::create(&blob).unwrap());
    let compressed = Hashing {
        inner: file,
        hasher: DigestHasher::sha256(),
        bytes: 0,
    };
    let plain = Hashing {
        inner: GzEncoder::new(compressed, Compression::new(1)),
        hasher: DigestHasher::sha256(),
        bytes: 0,
    };
    let mut tar = tar::Builder::new(plain);
    append(&mut tar, "var/noise-1", GIB / 4, Noise::new(1));
    modules(&mut tar);
    append(&mut tar, "var/words", GIB / 2, io::repeat(b'w'));
    append(&mut tar, "var/noise-2", GIB / 4, Noise::new(2));
    let plain = tar.into_inner().unwrap();
    let diff_id = plain.hasher.finish();
    let mut compressed = plain.inner.finish().unwrap();
    compressed.flush().unwrap();
    let digest = compressed.hasher.finish();
    fs::rename(&blob, layout.join("blobs/sha256").join(digest.digest())).unwrap();

    let mut image = ImageBuilder::new();
    image.config["rootfs"]["diff_ids"] = json!([diff_id.to_string()]);
    image.config["history"] = json!([{"created_by": "a large layer"}]);
    image.write(layout);
    // The builder keeps its layers in memory, so this layer is added to the manifest afterwards.
    let mut manifest = Layout::new(layout).manifest();
    manifest["layers"] = json!([{
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": digest.to_string(),
        "size": compressed.bytes,
    }]);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let mut root = builder::write_document(layout, media_type, &manifest);
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    builder::write_index(layout, vec![root]);
}

fn modules<W: Write>(tar: &mut tar::Builder<W>) {
    let stdlib = "usr/lib/python3.9";
    for name in ["os.py", "site.py", "encodings/__init__.py"] {
        append(
            tar,
            &format!("{stdlib}/{name}"),
            SOURCE.len() as u64,
            SOURCE,
        );
    }
    for number in 0..100 {
        let cache = cache_39(
            MTIME,
            SOURCE.len() as u32,
            format!("module {number}").as_bytes(),
        );
        append(
            tar,
            &format!("{stdlib}/m{number}.py"),
            SOURCE.len() as u64,
            SOURCE,
        );
        let name = |suffix: &str| {
            PathBuf::from(format!(
                "{stdlib}/__pycache__/m{number}.cpython-39{suffix}.pyc"
            ))
        };
        append(
            tar,
            name(".opt-1").to_str().unwrap(),
            cache.len() as u64,
            &cache[..],
        );
        let mut header = header(0);
        header.set_entry_type(tar::EntryType::Link);
        tar.append_link(&mut header, name(""), name(".opt-1"))
            .unwrap();
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_mtime(MTIME.into());
    header.set_size(size);
    header
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, size: u64, data: impl Read) {
    tar.append_data(&mut header(size), path, data.take(size))
        .unwrap();
}

/// Bytes that do not compress, the same in every run.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            // xorshift64
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}

/// Hashes and counts the bytes that pass through.
struct Hashing<W> {
    inner: W,
    hasher: DigestHasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
