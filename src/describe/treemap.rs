//! The distribution of an image's bytes by layer, tree, package and file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::inventory::{Inventory, innermost_tree};
use crate::path;
use crate::pyc::Level;
use crate::report::model::{Area, AreaClass};
use crate::rootfs::MemberId;

/// Number of directory levels, counted from the root, that group files outside of Python trees.
const DEPTH_OF_OTHERS: usize = 3;
/// Names of areas for files that lie beside directories or packages. The slash prevents a clash with the name of a
/// directory or package.
const LOOSE_FILES: &str = "files in ./";
const LOOSE_MODULES: &str = "modules in ./";

/// Returns the bytes that an image's layers store, as nested areas. Layers contain trees or directories, these contain
/// packages, and packages contain files.
pub(super) fn treemap(inventory: &Inventory) -> Area {
    let classes = classes(inventory);
    let trees: BTreeSet<&[u8]> = inventory.trees.iter().map(|tree| &*tree.path).collect();
    let mut root = Node::default();
    for (id, member) in inventory.members() {
        if member.stored_bytes() == 0 {
            continue;
        }
        let file = inventory.path_of(id);
        let class = classes.get(&id).copied();
        let class = class.unwrap_or_else(|| class_by_name(&file, &trees));
        let mut place = vec![format!("layer {}", id.layer + 1)];
        place.extend(place_of(&file, &trees, class));
        root.add(&place, member.stored_bytes(), class);
    }
    root.area("image".to_owned())
}

/// The classes of caches and sourceless modules, by the member that has their data.
fn classes(inventory: &Inventory) -> HashMap<MemberId, AreaClass> {
    let mut classes = HashMap::new();
    for cache in &inventory.caches {
        let class = match cache.level {
            Some(level) if cache.status.is_useful() => class_of(level),
            _ => AreaClass::Ignored,
        };
        classes.insert(inventory.rootfs.inode(cache.inode).data(), class);
    }
    for module in &inventory.sourceless {
        let is_useful = !module.shadowed && module.malformed.is_none();
        let class = if is_useful {
            AreaClass::Sourceless
        } else {
            AreaClass::Ignored
        };
        classes.insert(module.member, class);
    }
    for hidden in &inventory.hidden {
        classes.entry(hidden.member).or_insert(AreaClass::Ignored);
    }
    classes
}

fn class_of(level: Level) -> AreaClass {
    match level {
        Level::Zero => AreaClass::LevelZero,
        Level::One => AreaClass::LevelOne,
        Level::Two => AreaClass::LevelTwo,
    }
}

fn class_by_name(file: &[u8], trees: &BTreeSet<&[u8]>) -> AreaClass {
    match file.ends_with(b".py") && innermost_tree(file, trees).is_some() {
        true => AreaClass::Source,
        false => AreaClass::Other,
    }
}

/// The names of all areas that contain a file. The innermost comes last.
fn place_of(file: &[u8], trees: &BTreeSet<&[u8]>, class: AreaClass) -> Vec<String> {
    let Some(tree) = innermost_tree(file, trees) else {
        let parts = path::components(file);
        let directories = parts.len().saturating_sub(1).min(DEPTH_OF_OTHERS);
        let mut place: Vec<String> = parts[..directories]
            .iter()
            .map(|part| path::text(part))
            .collect();
        place.push(LOOSE_FILES.to_owned());
        return place;
    };
    let beneath = path::components(&file[tree.len()..]);
    let mut place = vec![path::or_root(&path::text(tree)).to_owned()];
    if beneath.len() > 1 && beneath[0] != b"__pycache__" {
        place.push(path::text(beneath[0]));
    } else {
        place.push(LOOSE_MODULES.to_owned());
    }
    place.push(class.title().to_owned());
    place.push(path::text(&beneath.join(&b'/')));
    place
}

/// An area under construction.
#[derive(Default)]
struct Node {
    bytes: u64,
    files: u64,
    class: Option<AreaClass>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn add(&mut self, place: &[String], bytes: u64, class: AreaClass) {
        self.bytes += bytes;
        self.files += 1;
        // An area with files of several classes has no class.
        self.class = match self.files {
            1 => Some(class),
            _ => self.class.filter(|it| *it == class),
        };
        if let Some((first, rest)) = place.split_first() {
            let child = self.children.entry(first.clone()).or_default();
            child.add(rest, bytes, class);
        }
    }

    fn area(self, name: String) -> Area {
        let children = self.children.into_iter();
        let mut children: Vec<Area> = children.map(|(name, node)| node.area(name)).collect();
        children.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
        Area {
            name,
            bytes: self.bytes,
            files: self.files,
            class: self.class,
            children,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_in_trees_or_else_in_directories() {
        let trees: BTreeSet<&[u8]> = [&b"usr/lib/python3.11"[..]].into();
        let place = |file: &str| {
            let class = class_by_name(file.as_bytes(), &trees);
            place_of(file.as_bytes(), &trees, class).join(" > ")
        };
        for (file, expected) in [
            (
                "usr/lib/python3.11/json/tool.py",
                "usr/lib/python3.11 > json > sources > json/tool.py",
            ),
            (
                "usr/lib/python3.11/os.py",
                "usr/lib/python3.11 > modules in ./ > sources > os.py",
            ),
            (
                "usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
                "usr/lib/python3.11 > modules in ./ > other files > __pycache__/os.cpython-311.pyc",
            ),
            (
                "usr/share/doc/python3/changelog",
                "usr > share > doc > files in ./",
            ),
            ("bin", "files in ./"),
        ] {
            assert_eq!(place(file), expected, "{file}");
        }
    }

    #[test]
    fn loose_files_and_modules_lie_apart_from_directories_and_packages_of_any_name() {
        let trees: BTreeSet<&[u8]> = [&b"lib"[..]].into();
        for (loose, word, beneath) in [("", "files", "x"), ("lib/", "modules", "x.py")] {
            let mut root = Node::default();
            let beside = [format!("{loose}{word}/{beneath}"), format!("{loose}a.py")];
            for (file, bytes) in beside.iter().zip([2, 1]) {
                let class = class_by_name(file.as_bytes(), &trees);
                root.add(&place_of(file.as_bytes(), &trees, class), bytes, class);
            }
            let mut area = root.area("image".to_owned());
            if !loose.is_empty() {
                area = area.children.remove(0);
            }
            let parts: Vec<_> = area
                .children
                .iter()
                .map(|part| (&*part.name, part.bytes))
                .collect();
            assert_eq!(parts, [(word, 2), (&*format!("{word} in ./"), 1)]);
        }
    }

    #[test]
    fn an_area_has_the_bytes_of_its_parts_and_the_class_that_all_have() {
        let mut root = Node::default();
        let add = |root: &mut Node, place: &[&str], bytes, class| {
            let place: Vec<String> = place.iter().map(|part| (*part).to_owned()).collect();
            root.add(&place, bytes, class);
        };
        add(&mut root, &["a", "x"], 1, AreaClass::Source);
        add(&mut root, &["a", "y"], 2, AreaClass::Source);
        add(&mut root, &["b"], 9, AreaClass::Other);
        let area = root.area("image".to_owned());
        assert_eq!((area.bytes, area.files, area.class), (12, 3, None));
        let parts: Vec<_> = area
            .children
            .iter()
            .map(|it| (&*it.name, it.bytes, it.class))
            .collect();
        let expected = [
            ("b", 9, Some(AreaClass::Other)),
            ("a", 3, Some(AreaClass::Source)),
        ];
        assert_eq!(parts, expected);
        assert_eq!(area.children[1].children[0].name, "y");
    }
}
