//! Unpacks many images with real tools.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::builder::write_index;
use crate::support::engines::Podman;
use crate::support::layout::decompressed;
use crate::support::tree::Tree;
use crate::support::{Layout, tool};

/// The architecture of an image in an index. It serves as the image's name.
pub fn name_of(manifest: &Value) -> String {
    manifest["platform"]["architecture"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A layout with some of the images of another one, with their names as tags. The blobs are hardlinks.
pub fn tagged(layout: &Layout, manifests: &[Value], directory: &Path) -> PathBuf {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in fs::read_dir(layout.0.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        fs::hard_link(blob.path(), blobs.join(blob.file_name())).unwrap();
    }
    fs::copy(layout.0.join("oci-layout"), directory.join("oci-layout")).unwrap();
    let tagged = manifests.iter().map(|manifest| {
        let mut tagged = manifest.clone();
        tagged["annotations"] = json!({"org.opencontainers.image.ref.name": name_of(manifest)});
        tagged
    });
    write_index(directory, tagged.collect());
    directory.to_owned()
}

/// The tree that umoci unpacks from an image of such a layout. `None` if it refuses the image.
pub fn by_umoci(layout: &Path, name: &str, scratch: &Path) -> Option<Tree> {
    let image = format!("{}:{name}", layout.display());
    let rootfs = scratch.join(format!("rootfs-{name}"));
    let unpack = ["raw", "unpack", "--image", &image];
    let done = tool(
        "umoci",
        unpack.iter().copied().chain([rootfs.to_str().unwrap()]),
    );
    let tree = (done.code == Some(0)).then(|| Tree::of(&rootfs));
    fs::remove_dir_all(&rootfs).ok();
    tree
}

/// The trees that podman mounts for the images of some layouts. The key is the layout's tag and the image's name.
pub fn by_podman(layouts: &[(&str, &Layout)], scratch: &Path) -> BTreeMap<(String, String), Tree> {
    let archive = scratch.join("images.tar");
    write_docker_archive(layouts, &archive);
    let podman = Podman::new();
    podman
        .podman(&["load", "--quiet", "--input", archive.to_str().unwrap()])
        .success();
    podman.podman(&["image", "mount", "--all"]).success();
    let mounted = podman
        .podman(&["image", "mount", "--format", "json"])
        .success();
    let mounted: Value = serde_json::from_slice(&mounted.stdout).unwrap();
    let mut trees = BTreeMap::new();
    for image in mounted.as_array().unwrap() {
        let place = image["mountpoint"].as_str().unwrap();
        let tree = Tree::of(Path::new(place));
        for reference in image["Repositories"].as_array().unwrap() {
            let reference = reference.as_str().unwrap().trim_start_matches("localhost/");
            let (tag, name) = reference.split_once(':').unwrap();
            trees.insert((tag.to_owned(), name.to_owned()), tree.clone());
        }
    }
    podman.podman(&["image", "unmount", "--all"]).success();
    trees
}

/// Writes all images in the form of `docker save`.
fn write_docker_archive(layouts: &[(&str, &Layout)], path: &Path) {
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    let mut written = BTreeMap::new();
    let mut add = |name: String, bytes: &[u8]| {
        if written.insert(name.clone(), ()).is_none() {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append_data(&mut header, &name, bytes).unwrap();
        }
        name
    };
    let mut list = Vec::new();
    for (tag, layout) in layouts {
        for manifest in layout.images() {
            let document = layout.document(&manifest);
            let hex = |descriptor: &Value| descriptor["digest"].as_str().unwrap()[7..].to_owned();
            let config = &document["config"];
            let config_name = add(format!("{}.json", hex(config)), &layout.blob(config));
            let layers = document["layers"].as_array().unwrap().iter();
            let layers: Vec<String> = layers
                .map(|layer| {
                    add(
                        format!("{}.tar", hex(layer)),
                        &decompressed(&layout.blob(layer)),
                    )
                })
                .collect();
            let name = name_of(&manifest);
            list.push(json!({
                "Config": config_name,
                "RepoTags": [format!("localhost/{tag}:{name}")],
                "Layers": layers,
            }));
        }
    }
    add(
        "manifest.json".to_owned(),
        json!(list).to_string().as_bytes(),
    );
    archive.finish().unwrap();
}
