//! Replaces one image of an archive that holds several. The other images keep their names and bytes, as the other
//! images of a layout do.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::archive::{self, Archive, Content};
use super::error::TransportError;
use super::file_names::{INDEX_JSON, MANIFEST_JSON, REPOSITORIES, blob_name};
use super::image_name::normalized;
use super::index_json::{images, put, roots};
use super::medium::Medium;
use super::place::OutputBlob;
use crate::oci::blob::VerifyingReader;
use crate::oci::image::parse_object;
use crate::oci::{Blob, BlobStore, Descriptor, blob};

/// The archive that an output replaces, if the image was read from it.
#[derive(Debug, Clone)]
pub(super) struct InPlace {
    pub(super) archive: Arc<Archive>,
    /// The entry in `manifest.json` that the image was read from; null if there is none.
    pub(super) entry: Value,
}

/// An archive without some of its images.
pub(super) struct Remainder<'a> {
    archive: &'a Archive,
    /// Names of the files that the remaining images need.
    needed: HashSet<String>,
    /// Names of the files that only the removed images need.
    dropped: HashSet<String>,
    /// Whether any image remains.
    pub(super) has_images: bool,
}

/// Images of an archive, as listed in its two tables.
#[derive(Default)]
pub(super) struct Images<'a> {
    /// Descriptors of `index.json`.
    pub(super) roots: Vec<&'a Value>,
    /// Entries of `manifest.json`.
    pub(super) entries: Vec<&'a Value>,
}

impl Images<'_> {
    fn names(&self, archive: &Archive) -> HashSet<String> {
        let mut names = HashSet::new();
        for root in &self.roots {
            reach(archive, root, &mut names);
        }
        for entry in &self.entries {
            let layers = entry["Layers"].as_array();
            let files = layers.into_iter().flatten().chain([&entry["Config"]]);
            for file in files.filter_map(Value::as_str) {
                names.extend(archive.names_behind(file));
                // Docker before 1.10 writes two more files beside each layer.
                if let Some(directory) = file.strip_suffix("/layer.tar") {
                    names.extend(["", "/json", "/VERSION"].map(|it| format!("{directory}{it}")));
                }
            }
        }
        names
    }
}

impl<'a> Remainder<'a> {
    pub(super) fn new(archive: &'a Archive, stays: &Images<'_>, goes: &Images<'_>) -> Self {
        let mut needed = stays.names(archive);
        let mut dropped = goes.names(archive);
        dropped.retain(|name| !needed.contains(name));
        // Any other member of the archive may be a link to one of these files.
        for name in archive.names().filter(|name| !dropped.contains(*name)) {
            needed.extend(archive.names_behind(name).into_iter().skip(1));
        }
        dropped.retain(|name| !needed.contains(name));
        Self {
            archive,
            needed,
            dropped,
            has_images: !(stays.roots.is_empty() && stays.entries.is_empty()),
        }
    }

    /// Finds a kept file that has the same bytes as `blob`, and that is not a link. Returns its name.
    pub(super) fn name_of(&self, blob: &Blob) -> Option<&str> {
        let is_same = |name: &&str| {
            self.archive
                .find(name)
                .is_some_and(|found| found.is_same(blob))
        };
        let is_link = |name: &&str| self.archive.names_behind(name).len() > 1;
        let names = self.needed.iter().map(String::as_str);
        names.filter(is_same).filter(|name| !is_link(name)).min()
    }

    /// Writes the members that stay, then `files`.
    pub(super) fn write(
        &self,
        to: impl Write,
        path: &Path,
        mut files: BTreeMap<String, Content<'_>>,
    ) -> Result<(), TransportError> {
        let mut there = Vec::new();
        for (name, content) in &files {
            if let Content::Blob(blob) = content
                && self.needed.contains(name)
                && let Some(found) = self.archive.find(name)
            {
                check_same(blob, &found)?;
                there.push(name.clone());
            }
        }
        for name in there {
            files.remove(&name);
        }
        let keeps = |name: &str| !self.dropped.contains(name);
        archive::write_after(to, path, self.archive, keeps, &files)
    }
}

/// Fails if the archive has another file under the blob's name: other images need that file, so it cannot be replaced.
fn check_same(blob: &OutputBlob, there: &Blob) -> Result<(), TransportError> {
    let digest = blob.digest.clone();
    let mut verified = VerifyingReader::new(there.reader(), digest.clone(), blob.bytes.size())?;
    io::copy(&mut verified, &mut io::sink())
        .map(drop)
        .map_err(|error| blob::into_blob_error(error, &digest).into())
}

/// Adds the names of all blobs that a descriptor leads to. Skips blobs that the archive does not have.
fn reach(archive: &Archive, descriptor: &Value, names: &mut HashSet<String>) {
    let mut pending = vec![descriptor.clone()];
    while let Some(descriptor) = pending.pop() {
        let Ok(typed) = serde_json::from_value::<Descriptor>(descriptor) else {
            continue;
        };
        let name = blob_name(typed.digest());
        if archive.open(typed.digest()).is_err() || !names.insert(name.clone()) {
            continue;
        }
        let media_type = typed.media_type().to_string();
        let is_document = media_type.ends_with("json");
        let read = || parse_object(&archive.read(&name).ok()?, "document", &name).ok();
        let Some(document) = is_document.then(read).flatten() else {
            continue;
        };
        for key in ["manifests", "layers", "blobs"] {
            pending.extend(document[key].as_array().into_iter().flatten().cloned());
        }
        pending.push(document["config"].clone());
    }
}

/// Returns `index.json` with the descriptors `new` in it, and the descriptors that they replaced. `origin` is the
/// digest of the root that the new image was made from.
pub(super) fn index_with(
    archive: &Archive,
    new: &[Value],
    origin: &str,
) -> Result<(Value, Vec<Value>), TransportError> {
    let old = archive.read_json(INDEX_JSON)?;
    let mut index = old.clone();
    for root in new {
        if !put(&mut index, root.clone(), origin) {
            return Err(TransportError::Malformed {
                path: archive.path.clone(),
                document: INDEX_JSON.to_owned(),
                reason: "it has no array `manifests`".to_owned(),
            });
        }
    }
    let stay: HashSet<String> = roots(&index).iter().map(Value::to_string).collect();
    let left = |root: &&Value| !stay.contains(&root.to_string());
    let gone = roots(&old).iter().filter(left).cloned().collect();
    Ok((index, gone))
}

/// Returns the entries of `manifest.json` with `new` added, and the entries that it replaced.
///
/// `new` takes over `names` from the entries that have them. An entry without a name left is removed, and `new` takes
/// the place of the first such entry. If `names` is empty, `new` replaces `origin`. A name that `origin` has is taken
/// from `origin` only, because another entry with that name is of another platform.
pub(super) fn entries_with(
    entries: &[Value],
    new: Value,
    names: &[String],
    origin: &Value,
) -> (Vec<Value>, Vec<Value>) {
    let names: HashSet<String> = names.iter().map(|name| normalized(name)).collect();
    let tags_of =
        |entry: &Value| -> Vec<Value> { entry["RepoTags"].as_array().cloned().unwrap_or_default() };
    let normal = |tag: &Value| tag.as_str().map(normalized);
    let own: HashSet<String> = tags_of(origin).iter().filter_map(normal).collect();
    let mut kept = Vec::new();
    let mut gone = Vec::new();
    let mut place = None;
    for entry in entries {
        let tags = tags_of(entry);
        let is_taken = |tag: &Value| {
            let is_others = |tag: &String| entry != origin && own.contains(tag);
            normal(tag).is_some_and(|tag| names.contains(&tag) && !is_others(&tag))
        };
        let left: Vec<Value> = tags.iter().filter(|tag| !is_taken(tag)).cloned().collect();
        let goes = match tags.is_empty() {
            true => names.is_empty() && entry == origin,
            false => left.is_empty(),
        };
        if goes {
            place.get_or_insert(kept.len());
            gone.push(entry.clone());
            continue;
        }
        let mut entry = entry.clone();
        if left.len() < tags.len() {
            entry["RepoTags"] = left.into();
        }
        kept.push(entry);
    }
    if !kept.contains(&new) {
        kept.insert(place.unwrap_or(kept.len()), new);
    }
    (kept, gone)
}

/// Docker's old table `repositories` without `names`, if the archive has that table.
pub(super) fn repositories_without(archive: &Archive, names: &[String]) -> Option<String> {
    let mut table = archive.read_json(REPOSITORIES).ok()?;
    let repositories = table.as_object_mut()?;
    let names: HashSet<String> = names.iter().map(|name| normalized(name)).collect();
    for (repository, tags) in repositories.iter_mut() {
        if let Some(tags) = tags.as_object_mut() {
            tags.retain(|tag, _| !names.contains(&normalized(&format!("{repository}:{tag}"))));
        }
    }
    repositories.retain(|_, tags| tags.as_object().is_none_or(|tags| !tags.is_empty()));
    Some(table.to_string())
}

pub(super) fn count_images(archive: &Archive, medium: Medium) -> usize {
    match medium {
        Medium::DockerArchive(_) => {
            let entries = archive.read_json(MANIFEST_JSON);
            entries.map_or(0, |it| it.as_array().map_or(0, Vec::len))
        }
        _ => {
            let index = archive.read_json(INDEX_JSON).unwrap_or_default();
            let digests = images(roots(&index)).into_iter().map(|it| &it["digest"]);
            digests.collect::<HashSet<_>>().len()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transport::reference::Reference;
    use crate::transport::spool;
    use crate::transport::testing::header;

    fn archive(members: &[(&str, tar::EntryType, &str)]) -> Archive {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, text) in members {
            match kind.is_file() {
                true => {
                    let mut header = header(*kind, text.len());
                    builder.append_data(&mut header, name, text.as_bytes())
                }
                false => builder.append_link(&mut header(*kind, 0), name, text),
            }
            .unwrap();
        }
        Archive::open(&Reference::Stream, &builder.into_inner().unwrap()[..]).unwrap()
    }

    #[test]
    fn a_new_layer_takes_the_name_of_an_equal_file_that_is_not_a_link() {
        use tar::EntryType::{Regular, Symlink};
        let archive = archive(&[
            ("b.tar", Regular, "the layer"),
            ("a/layer.tar", Symlink, "../b.tar"),
            ("c.tar", Regular, "another"),
            ("config.json", Regular, "{}"),
        ]);
        let entry = |layers: &[&str]| json!({"Config": "config.json", "Layers": layers});
        let [stays, goes] = [entry(&["a/layer.tar"]), entry(&["c.tar"])];
        let of = |entry| Images {
            entries: vec![entry],
            ..Images::default()
        };
        let remainder = Remainder::new(&archive, &of(&stays), &of(&goes));
        let layer = archive.find("b.tar").unwrap();
        assert_eq!(remainder.name_of(&layer), Some("b.tar"));
        let removed = archive.find("c.tar").unwrap();
        assert_eq!(remainder.name_of(&removed), None);
        let new = spool::blob_of(b"new").unwrap();
        assert_eq!(remainder.name_of(&new), None);
    }

    #[test]
    fn a_name_moves_to_the_new_entry_and_other_entries_stay_as_they_are() {
        let unnamed = json!({"Config": "a", "RepoTags": null, "Layers": []});
        let named = |tags: &[&str]| json!({"Config": "b", "RepoTags": tags, "Layers": []});
        let new = json!({"Config": "new", "RepoTags": ["app:1"], "Layers": []});
        let names = ["app:1".to_owned()];
        for (old, kept, place) in [
            (named(&["app:1"]), None, 1),
            (named(&["app:1", "app:2"]), Some(named(&["app:2"])), 2),
            (named(&["other:1"]), Some(named(&["other:1"])), 2),
        ] {
            let entries = [unnamed.clone(), old.clone()];
            let (found, gone) = entries_with(&entries, new.clone(), &names, &old);
            let mut expected = vec![unnamed.clone()];
            expected.extend(kept.clone());
            expected.insert(place, new.clone());
            assert_eq!(found, expected, "{old}");
            assert_eq!(gone.is_empty(), kept.is_some(), "{old}");
        }
    }
}
