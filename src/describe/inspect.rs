//! Turns an inventory into the report of `inspect`.

use super::notes;
use super::summary;
use super::treemap::treemap;
use crate::advice::Advice;
use crate::inventory::{Inventory, MissingCache, Reader, Status, Tree, TreeKind, layer_levels};
use crate::oci::Image;
use crate::path;
use crate::plan::situations::{self, Situation, SituationKind};
use crate::pyc::Runtime;
use crate::report::model::{
    self, AdviceChoice, Finding, FindingKind, InspectImage, InspectLayer, InspectTree,
    SituationName, SituationRow,
};
use crate::rootfs::InodeId;
use crate::size;

/// An image, its inventory and the further results for its report.
pub(crate) struct Inspected<'a> {
    /// The image.
    pub image: &'a Image,
    /// The contents of the image.
    pub inventory: &'a Inventory,
    /// Modules without a cache.
    pub missing: &'a [MissingCache<'a>],
    /// The recommended profile, if the user asked for advice.
    pub advice: Option<Advice>,
    /// Whether the report includes a map of the bytes.
    pub map: bool,
}

/// Makes the report on an image.
pub(crate) fn inspect(inspected: Inspected<'_>) -> InspectImage {
    let Inspected {
        image,
        inventory,
        missing,
        advice,
        map,
    } = inspected;
    InspectImage {
        platform: image.platform.to_string(),
        manifest_digest: image.manifest_digest().to_owned(),
        compressed_bytes: summary::compressed_bytes(image),
        uncompressed_bytes: summary::uncompressed_bytes(inventory),
        layers: layers(image, inventory),
        trees: inventory
            .trees
            .iter()
            .zip(situations::of_trees(inventory))
            .map(|(tree, situations)| describe_tree(tree, &situations))
            .collect(),
        situations: rows(&situations::of_image(inventory)),
        findings: findings(inventory, missing),
        notes: shared_caches(inventory)
            .into_iter()
            .chain(notes::notes(inventory))
            .collect(),
        advice: advice.map(described_advice),
        map: map.then(|| treemap(inventory)),
    }
}

fn described_advice(advice: Advice) -> model::Advice {
    let choices = advice.choices.into_iter();
    model::Advice {
        reasons: advice.reasons,
        choices: choices
            .map(|choice| AdviceChoice {
                profile: choice.profile,
                compiles: choice.compiles,
                recompiles: choice.recompiles,
                recommended: choice.recommended,
                removed_bytes: choice.removed_bytes,
                saved_compressed_bytes: choice.saved_compressed_bytes,
                compiled_at_start: choice.compiled_at_start,
            })
            .collect(),
        unknown: advice.unknown,
    }
}

fn layers(image: &Image, inventory: &Inventory) -> Vec<InspectLayer> {
    let levels = layer_levels(inventory);
    let commands = summary::created_by(image);
    let parts = inventory.layers.iter().zip(levels).zip(commands);
    parts
        .enumerate()
        .map(|(index, ((scan, levels), created_by))| InspectLayer {
            index: index + 1,
            digest: scan.layer.descriptor.digest().to_string(),
            diff_id: scan.layer.diff_id.to_string(),
            media_type: scan.layer.descriptor.media_type().to_string(),
            compressed_bytes: scan.layer.descriptor.size(),
            uncompressed_bytes: scan.uncompressed_bytes,
            levels: summary::levels(levels),
            created_by,
        })
        .collect()
}

fn describe_tree(tree: &Tree, situations: &[Situation]) -> InspectTree {
    InspectTree {
        path: path::text(&tree.path),
        python: tree.version.map(|version| version.to_string()),
        cache_tag: tree.version.map(Runtime::cache_tag),
        magic: tree.magic.map(|magic| magic.0),
        kind: match tree.kind {
            TreeKind::Stdlib => model::TreeKind::Stdlib,
            TreeKind::Packages => model::TreeKind::Packages,
        },
        sources: summary::count(tree.sources),
        levels: summary::levels(tree.levels),
        sourceless: summary::count(tree.sourceless),
        situations: rows(situations),
    }
}

fn rows(situations: &[Situation]) -> Vec<SituationRow> {
    let status_quo = situations.first().map_or(0, |situation| situation.bytes);
    situations
        .iter()
        .map(|situation| {
            let percent = size::percent_more(status_quo, situation.bytes);
            SituationRow {
                name: situation_name(situation.kind),
                bytes: situation.bytes,
                difference_bytes: size::bytes_more(status_quo, situation.bytes),
                difference_percent: (percent * 100.0).round() / 100.0,
            }
        })
        .collect()
}

fn situation_name(kind: SituationKind) -> SituationName {
    match kind {
        SituationKind::StatusQuo => SituationName::StatusQuo,
        SituationKind::LevelZero => SituationName::LevelZero,
        SituationKind::NoCache => SituationName::NoCache,
        SituationKind::LevelsZeroOne => SituationName::LevelsZeroOne,
        SituationKind::LevelsZeroOneUnlinked => SituationName::LevelsZeroOneUnlinked,
        SituationKind::AllUnlinked => SituationName::AllUnlinked,
        SituationKind::Sourceless => SituationName::Sourceless,
    }
}

/// Notes about caches that something reads by path, and about caches whose files also have other names.
fn shared_caches(inventory: &Inventory) -> Vec<String> {
    let mut notes = Vec::new();
    let caches = || inventory.caches.iter();
    let mut read_by_path = caches().filter(|cache| cache.reader.is_some());
    if let Some(first) = read_by_path.next() {
        let by = match &first.reader {
            Some(Reader::Symlink(link)) => format!("the symlink {} leads", path::text(link)),
            _ => "the config points".to_owned(),
        };
        let path = path::text(&first.path);
        notes.push(match read_by_path.count() {
            0 => format!("{by} to the cache {path}: `minimize` keeps it"),
            more => format!("{by} to the cache {path}, and something reads {more} more caches by path: `minimize` keeps them"),
        });
    }
    let shared = inventory.other_names();
    if let Some((inode, _)) = shared.first_key_value() {
        let other = other_name(inventory, *inode).unwrap_or_default();
        let files = shared.len();
        notes.push(format!(
            "{files} {} also a name outside `__pycache__` (for example {}): removing the cache frees nothing while that name stays",
            if files == 1 { "cache has" } else { "caches have" },
            path::text(&other)
        ));
    }
    notes
}

/// Finds a name of a cache's file that is not the name of a cache.
fn other_name(inventory: &Inventory, inode: InodeId) -> Option<Vec<u8>> {
    let caches: Vec<&[u8]> = inventory.caches.iter().map(|it| &*it.path).collect();
    let names = inventory.rootfs.walk();
    let mut names = names.filter(|(_, node)| inventory.rootfs.leaf(*node) == Some(inode));
    names.find_map(|(path, _)| (!caches.contains(&&*path)).then_some(path))
}

/// All findings, sorted by path.
fn findings(inventory: &Inventory, missing: &[MissingCache<'_>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = cache_findings(inventory)
        .chain(sourceless_findings(inventory))
        .chain(hidden_findings(inventory))
        .chain(missing.iter().map(|it| missing_finding(inventory, it)))
        .collect();
    findings.sort_by(|a, b| (&a.path, a.layer, a.kind).cmp(&(&b.path, b.layer, b.kind)));
    findings
}

fn cache_findings(inventory: &Inventory) -> impl Iterator<Item = Finding> + '_ {
    inventory.caches.iter().filter_map(|cache| {
        let (kind, detail) = match &cache.status {
            Status::Fresh | Status::Unknown(_) => return None,
            Status::Stale(reason) => (FindingKind::Stale, reason.to_string()),
            Status::HashMismatch => (
                FindingKind::HashMismatch,
                "checked hash: Python ignores the cache and compiles the source".to_owned(),
            ),
            Status::UncheckedMismatch => (
                FindingKind::HashMismatch,
                "unchecked hash: Python runs this old code instead of the current source"
                    .to_owned(),
            ),
            // Whatever reads the cache by path does not need a source.
            Status::Orphan if cache.reader.is_some() => return None,
            Status::Orphan => (
                FindingKind::Orphan,
                format!("there is no {}", path::text(&cache.source)),
            ),
            Status::Foreign(reason) => (FindingKind::Foreign, reason.clone()),
            Status::Malformed(reason) => (FindingKind::Malformed, reason.clone()),
        };
        Some(Finding {
            kind,
            path: path::text(&cache.path),
            layer: cache.member.layer + 1,
            bytes: cache.bytes,
            detail,
        })
    })
}

fn sourceless_findings(inventory: &Inventory) -> impl Iterator<Item = Finding> + '_ {
    inventory.sourceless.iter().flat_map(|module| {
        let finding = |kind, detail| Finding {
            kind,
            path: path::text(&module.path),
            layer: module.member.layer + 1,
            bytes: module.bytes,
            detail,
        };
        let malformed = module
            .malformed
            .clone()
            .map(|reason| finding(FindingKind::Malformed, reason));
        let shadowed = module.shadowed.then(|| {
            finding(
                FindingKind::Shadowed,
                "Python imports the source beside it instead".to_owned(),
            )
        });
        malformed.into_iter().chain(shadowed)
    })
}

fn missing_finding(inventory: &Inventory, missing: &MissingCache<'_>) -> Finding {
    let source = missing.source;
    let inode = inventory.rootfs.inode(source.inode);
    let origin = inventory.rootfs.origin(source.node);
    Finding {
        kind: FindingKind::Missing,
        path: path::text(&inventory.source_path(source)),
        layer: origin.unwrap_or(inode.data()).layer + 1,
        bytes: inode.size,
        detail: format!("there is no {}", path::text(&missing.path)),
    }
}

fn hidden_findings(inventory: &Inventory) -> impl Iterator<Item = Finding> + '_ {
    inventory.hidden.iter().map(|cache| {
        let by = inventory.member(cache.by);
        Finding {
            kind: FindingKind::Hidden,
            path: path::text(&cache.path),
            layer: cache.member.layer + 1,
            bytes: cache.bytes,
            detail: format!(
                "by {} in layer {}",
                path::text(&by.path),
                cache.by.layer + 1
            ),
        }
    })
}
