//! Images that several tests derive from a real image. Each is made once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::builder::{ImageBuilder, Layered};
use super::scene::{Unpacked, minimize};
use super::tools::{real_image, tool};

/// A real image without caches.
pub fn bare(name: &str) -> PathBuf {
    made(&format!("{name}-bare"), |to| {
        minimize(&real_image(name), to, &["--profile", "minimal"]);
    })
}

/// Python 3.11 of the real image and its packages, with the files that they need to start. It has one uncompressed
/// layer of a quarter of the image's size.
pub fn python_alone() -> PathBuf {
    made("python-alone", |to| {
        let unpacked = Unpacked::by_umoci(&real_image("py3.11"), "latest");
        let root = unpacked.path("");
        let kept = [
            "lib",
            "lib64",
            "usr/bin/python3",
            "usr/bin/python3.11",
            "usr/lib/python3",
            "usr/lib/python3.11",
            "usr/lib/x86_64-linux-gnu",
            "usr/lib64",
            "usr/local/lib/python3.11",
        ];
        let archive = to.with_extension("tar");
        let to_file = [
            "-cf",
            archive.to_str().unwrap(),
            "-C",
            root.to_str().unwrap(),
        ];
        tool("tar", to_file.iter().chain(&kept)).success();
        let image = ImageBuilder::new().layer_tar(fs::read(&archive).unwrap(), Layered::Plain);
        let environment = serde_json::json!({"Cmd": ["python3"], "Env": ["PATH=/usr/bin"]});
        image
            .edit_config(|config| config["config"] = environment)
            .write(to);
        fs::remove_file(archive).unwrap();
    })
}

type Places = Mutex<HashMap<String, Arc<OnceLock<PathBuf>>>>;

/// The path of what `make` makes, once in each run of the tests.
fn made(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static PLACES: OnceLock<Places> = OnceLock::new();
    let mut places = PLACES.get_or_init(Places::default).lock().unwrap();
    let place = Arc::clone(places.entry(name.to_owned()).or_default());
    drop(places);
    place
        .get_or_init(|| {
            let path = directory().join(name);
            make(&path);
            path
        })
        .clone()
}

/// A directory of this process. No test knows that it is the last, so the next run removes the directory.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("made");
        for old in fs::read_dir(&all).into_iter().flatten().flatten() {
            let is_running = Path::new("/proc").join(old.file_name()).exists();
            if !is_running {
                fs::remove_dir_all(old.path()).ok();
            }
        }
        let own = all.join(std::process::id().to_string());
        fs::create_dir_all(&own).unwrap();
        own
    })
}
