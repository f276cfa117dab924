//! What is to be done to each member of each layer, and why: plain data, made from the inventory
//! and a profile by a pure function. Nothing goes without a step that gives its reason.

mod compile;
mod convert;
mod emptied;
mod links;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

pub use verdict::{Policy, verdict};

use crate::inventory::Inventory;
use crate::profile::InvalidationMode;
use crate::pyc::{CpythonVersion, Level, StaleReason};
use crate::rootfs::{Fate, MemberId, path};

/// What is to be done to an image's layers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One for each layer, lowest first.
    pub layers: Vec<LayerPlan>,
    /// Caches that are to be compiled into a new layer above all others, by source and level.
    pub appended: Vec<Compilation>,
    /// What was left alone though the profile might have meant it.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(LayerPlan::is_empty) && self.appended.is_empty()
    }

    /// All caches that are to be compiled.
    pub fn compilations(&self) -> impl Iterator<Item = &Compilation> {
        let layers = self.layers.iter().flat_map(|layer| &layer.compiled);
        layers.chain(&self.appended)
    }
}

/// What is to be done to one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerPlan {
    /// Steps by the index of the member that they change. All other members stay as they are.
    pub steps: BTreeMap<usize, Step>,
    /// Caches that are to be compiled into this layer, by source and level.
    pub compiled: Vec<Compilation>,
    /// Whether no member is left.
    pub becomes_empty: bool,
}

impl LayerPlan {
    /// Whether the layer stays as it is.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.compiled.is_empty()
    }
}

/// A cache that is to be compiled: the image has none there, or one that goes by a step of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compilation {
    /// Index of its source in the inventory.
    pub source: usize,
    /// Its level.
    pub level: Level,
    /// Its path.
    pub path: Vec<u8>,
    /// The member with the data of the stale cache in its place: if that turns out to hold the same
    /// code, it can stay with another header.
    pub stale: Option<MemberId>,
}

/// What compiling showed, and nothing else could.
#[derive(Debug, Clone, Default)]
pub struct CompileOutcome {
    /// Sources that do not compile, by index in the inventory, with the level.
    pub failed: BTreeSet<(usize, Level)>,
    /// Members with the data of stale caches that hold the very code that their source compiles to.
    pub current: BTreeSet<MemberId>,
}

/// What is to be done to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where the member lies in the merged view.
    pub path: Vec<u8>,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

impl Step {
    /// All reasons: data that moves to another name may get another bytecode header as well.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let also = match &self.action {
            Action::Promote { header, .. } => header.as_ref().map(|header| &header.reason),
            _ => None,
        };
        std::iter::once(&self.reason).chain(also)
    }
}

/// What bytecode begins with instead of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHeader {
    /// As many bytes as the old one has.
    pub bytes: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// What is done to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes.
    Drop,
    /// A hardlink becomes the file, with the metadata and data of a member that goes.
    Promote {
        /// Index of that member, in the same layer and before this one.
        data: usize,
        /// What the data begins with instead, where that is changed.
        header: Option<NewHeader>,
    },
    /// It is bytecode and gets another header, as long as the old one.
    Header(Vec<u8>),
    /// It becomes, or stays, a hardlink, to this target.
    Link {
        /// The target's name as its member writes it.
        target: Vec<u8>,
    },
}

/// Why a step is in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The profile does not list the level.
    Level(Level),
    /// The source changed.
    Stale(StaleReason),
    /// The source's hash is another.
    HashMismatch,
    /// There is no source.
    Orphan,
    /// No interpreter of the image reads it.
    Foreign(String),
    /// It is no bytecode.
    Malformed(String),
    /// A later member overwrites or deletes it.
    Hidden {
        /// The layer of that member, counted from 1.
        layer: usize,
    },
    /// The cache that hides it goes, and it would come back.
    Uncovered,
    /// All caches in the directory went.
    EmptiedDirectory,
    /// All that the whiteout deleted from the layers below went.
    UselessWhiteout,
    /// The file that it links to went.
    TargetDropped,
    /// It is the same as another level of its module, at this path.
    Identical(Vec<u8>),
    /// It is to be tied to its source in this way.
    Invalidation(InvalidationMode),
}

impl Reason {
    /// A word for the kind of reason, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Level(Level::Zero) => "level 0",
            Self::Level(Level::One) => "level 1",
            Self::Level(Level::Two) => "level 2",
            Self::Stale(_) => "stale",
            Self::HashMismatch => "hash-mismatch",
            Self::Orphan => "orphan",
            Self::Foreign(_) => "foreign",
            Self::Malformed(_) => "malformed",
            Self::Hidden { .. } | Self::Uncovered => "hidden",
            Self::EmptiedDirectory => "emptied directory",
            Self::UselessWhiteout => "useless whiteout",
            Self::TargetDropped => "link target dropped",
            Self::Identical(_) => "identical level",
            Self::Invalidation(_) => "invalidation",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "the profile does not list level {level}"),
            Self::Stale(reason) => write!(f, "stale: {reason}"),
            Self::HashMismatch => f.write_str("its source has another hash"),
            Self::Orphan => f.write_str("it has no source"),
            Self::Foreign(reason) => write!(f, "foreign: {reason}"),
            Self::Malformed(reason) => write!(f, "malformed: {reason}"),
            Self::Hidden { layer } => write!(f, "overwritten or deleted in layer {layer}"),
            Self::Uncovered => f.write_str("the cache that hides it goes"),
            Self::EmptiedDirectory => f.write_str("all caches in it went"),
            Self::UselessWhiteout => f.write_str("what it deletes from the layers below went"),
            Self::TargetDropped => f.write_str("the file that it links to went"),
            Self::Identical(path) => write!(f, "identical to {}", String::from_utf8_lossy(path)),
            Self::Invalidation(mode) => write!(f, "the profile ties caches to sources by {mode}"),
        }
    }
}

/// What was left alone though the profile might have meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A hardlink in an upper layer needs the file.
    NeededAbove {
        /// The file.
        path: Vec<u8>,
        /// The layer of the link, counted from 1.
        layer: usize,
    },
    /// Something else than a file lies below it and would come back.
    WouldUncover {
        /// The cache.
        path: Vec<u8>,
    },
    /// What it is could not be told.
    Unexamined {
        /// The cache.
        path: Vec<u8>,
        /// Why.
        reason: String,
    },
    /// An optimization beyond level 2.
    OtherOptimization {
        /// The cache.
        path: Vec<u8>,
    },
    /// A source that is too large or sparse, or whose caches have no directory to lie in.
    CannotCompile {
        /// The source.
        path: Vec<u8>,
    },
    /// Sources for a Python that pycull cannot compile for, or does not know.
    NoVersion {
        /// Their tree.
        path: Vec<u8>,
        /// The Python, where it is known.
        version: Option<CpythonVersion>,
        /// Their number.
        sources: usize,
    },
    /// A cache whose header cannot be written anew.
    CannotConvert {
        /// The cache.
        path: Vec<u8>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        match self {
            Self::NeededAbove { path, layer } => write!(
                f,
                "kept {}: a hardlink in layer {layer} points at it",
                text(path)
            ),
            Self::WouldUncover { path } => write!(
                f,
                "kept {}: it covers something in a lower layer that is no cache",
                text(path)
            ),
            Self::Unexamined { path, reason } => write!(f, "kept {}: {reason}", text(path)),
            Self::OtherOptimization { path } => write!(
                f,
                "kept {}: its optimization is none of the levels 0, 1 and 2",
                text(path)
            ),
            Self::CannotCompile { path } => write!(
                f,
                "did not compile {}: it is sparse or larger than 16 MiB, or its __pycache__ is no directory",
                text(path)
            ),
            Self::NoVersion {
                path,
                version,
                sources,
            } => match version {
                Some(version) => write!(
                    f,
                    "did not compile {sources} sources in /{}: they are for Python {version}; 3.6 to 3.15 can be compiled",
                    text(path)
                ),
                None => write!(
                    f,
                    "did not compile {sources} sources in /{}: nothing says for which Python they are",
                    text(path)
                ),
            },
            Self::CannotConvert { path } => write!(
                f,
                "kept the invalidation of {}: its header has no place for a hash, or other files share its data",
                text(path)
            ),
        }
    }
}

/// What goes, and why.
type Drops = BTreeMap<MemberId, Reason>;

/// Makes the plan that brings an image to what `policy` says. Where that compiles, it is a plan of what
/// to try at first; with the `outcome` of that, it is one of what to write.
pub fn plan(inventory: &Inventory, policy: &Policy<'_>, outcome: &CompileOutcome) -> Plan {
    let mut warnings = Vec::new();
    let mended = compile::mended(inventory, policy, outcome);
    let mut drops = choose_drops(inventory, policy, &mended, &mut warnings);
    keep_what_upper_layers_need(inventory, &mut drops, &mut warnings);
    let compilations = compile::choose(inventory, policy, &drops, outcome, &mut warnings);
    let headers = convert::headers(inventory, policy, &drops, &mended, &mut warnings);
    let mut changes = links::resolve(inventory, policy, &drops, &headers);
    for (member, header) in headers {
        // Where the data moves to another name, or is shared with another level, that is done already.
        if !drops.contains_key(&member) {
            changes
                .entry(member)
                .or_insert((Action::Header(header.bytes), header.reason));
        }
    }
    let receiving = compilations.iter().map(|cache| path::parent(&cache.path));
    emptied::extend(inventory, &receiving.collect(), &mut drops);
    let places = compile::place(inventory, policy, &drops, &compilations);
    for (member, reason) in drops {
        changes.insert(member, (Action::Drop, reason));
    }
    let mut layers: Vec<LayerPlan> = inventory
        .layers
        .iter()
        .map(|_| LayerPlan::default())
        .collect();
    for (id, (action, reason)) in changes {
        let path = inventory.rootfs.member_path(id, &inventory.member(id).path);
        layers[id.layer].steps.insert(
            id.index,
            Step {
                path,
                action,
                reason,
            },
        );
    }
    let mut appended = Vec::new();
    for (compilation, place) in compilations.into_iter().zip(places) {
        match place {
            Some(layer) => layers[layer].compiled.push(compilation),
            None => appended.push(compilation),
        }
    }
    for (layer, scan) in layers.iter_mut().zip(&inventory.layers) {
        let dropped = layer
            .steps
            .values()
            .filter(|step| step.action == Action::Drop)
            .count();
        layer.becomes_empty =
            dropped > 0 && dropped == scan.members.len() && layer.compiled.is_empty();
    }
    Plan {
        layers,
        appended,
        warnings,
    }
}

fn choose_drops(
    inventory: &Inventory,
    policy: &Policy<'_>,
    mended: &BTreeSet<MemberId>,
    warnings: &mut Vec<Warning>,
) -> Drops {
    let mut drops = Drops::new();
    let mut below: HashMap<&[u8], Vec<MemberId>> = HashMap::new();
    for hidden in &inventory.hidden {
        below.entry(&hidden.path).or_default().push(hidden.member);
        if policy.drops_hidden(&hidden.path) {
            drops.insert(
                hidden.member,
                Reason::Hidden {
                    layer: hidden.by.layer + 1,
                },
            );
        }
    }
    let not_caches = covered_paths(inventory);
    for cache in &inventory.caches {
        warnings.extend(verdict::reservation(cache, policy));
        let Some(reason) = verdict(cache, policy).filter(|_| !mended.contains(&cache.member))
        else {
            continue;
        };
        if not_caches.contains(&cache.path) {
            warnings.push(Warning::WouldUncover {
                path: cache.path.clone(),
            });
            continue;
        }
        drops.insert(cache.member, reason);
        for member in below.get(&*cache.path).into_iter().flatten() {
            drops.entry(*member).or_insert(Reason::Uncovered);
        }
    }
    drops
}

/// Paths in `__pycache__` where something lies hidden that is not a cache which would go too.
fn covered_paths(inventory: &Inventory) -> BTreeSet<Vec<u8>> {
    let caches: BTreeSet<MemberId> = inventory
        .hidden
        .iter()
        .map(|hidden| hidden.member)
        .collect();
    let mut paths = BTreeSet::new();
    for (layer, scan) in inventory.layers.iter().enumerate() {
        for (index, member) in scan.members.iter().enumerate() {
            let id = MemberId { layer, index };
            if matches!(inventory.rootfs.fate(id), Fate::Hidden { .. }) && !caches.contains(&id) {
                let path = inventory.rootfs.member_path(id, &member.path);
                paths.extend(entry_of_cache_directory(&path));
            }
        }
    }
    paths
}

/// The path of what lies in a `__pycache__`, for it and for all below it.
fn entry_of_cache_directory(path: &[u8]) -> Option<Vec<u8>> {
    let parts = path::components(path);
    let directory = parts.iter().position(|part| *part == b"__pycache__")?;
    parts.get(..directory + 2).map(|parts| parts.join(&b'/'))
}

/// A hardlink whose target lies in a lower layer keeps that target: not every engine could
/// extract it otherwise, and its content is nowhere else. What covers the target then stays too,
/// for else the target would come back.
fn keep_what_upper_layers_need(
    inventory: &Inventory,
    drops: &mut Drops,
    warnings: &mut Vec<Warning>,
) {
    let mut links: Vec<MemberId> = inventory.rootfs.links().map(|(link, _)| link).collect();
    // From the top down: a target that stays may be a link that needs one further down.
    links.sort_unstable_by(|a, b| b.cmp(a));
    let visible: HashMap<&[u8], MemberId> = inventory
        .caches
        .iter()
        .map(|cache| (&*cache.path, cache.member))
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for link in &links {
            let Some(target) = needed_below(inventory, drops, *link) else {
                continue;
            };
            drops.remove(&target);
            changed = true;
            let path = inventory
                .rootfs
                .member_path(target, &inventory.member(target).path);
            if let Some(cover) = visible.get(&*path) {
                drops.remove(cover);
            }
            warnings.push(Warning::NeededAbove {
                path,
                layer: link.layer + 1,
            });
        }
    }
}

/// The member in a lower layer that a link which stays would lose.
fn needed_below(inventory: &Inventory, drops: &Drops, link: MemberId) -> Option<MemberId> {
    if drops.contains_key(&link) {
        return None;
    }
    let mut target = inventory.rootfs.link_target(link)?;
    while target.layer == link.layer {
        if !drops.contains_key(&target) {
            return None;
        }
        target = inventory.rootfs.link_target(target)?;
    }
    drops.contains_key(&target).then_some(target)
}
