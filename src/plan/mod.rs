//! The plan: what happens to each member of each layer, and why.
//!
//! A plan is plain data. A pure function makes it from the inventory and a profile. Every member that goes has a step
//! with a reason.

mod cache_verdict;
mod compile;
mod convert;
mod drops;
mod emptied;
mod identical;
mod implied;
mod kept_warnings;
mod links;
mod needed;
mod reason;
mod removed;
mod shadowed;
pub(crate) mod situations;
#[cfg(test)]
mod testing;
mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(crate) use cache_verdict::verdict;
pub(crate) use compile::{is_full, new_attributes};
pub(crate) use reason::Reason;
pub(crate) use removed::removed_caches;
pub(crate) use warning::Warning;

use crate::inventory::{Inventory, SourceId};
use crate::layers::{Contents, LayerScan};
use crate::path;
use crate::profile::{Policy, Profile};
use crate::pyc::Level;
use crate::rootfs::MemberId;
use drops::Drops;
use identical::Identical;
use links::Groups;

/// The changes to the layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The changes to each layer, lowest first.
    pub layers: Vec<LayerPlan>,
    /// Caches to compile into a new layer above all others, by source and level.
    pub appended: Vec<Compilation>,
    /// Files that the plan leaves alone although the profile may apply to them.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Whether the plan changes nothing.
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(LayerPlan::is_empty) && self.appended.is_empty()
    }

    /// All caches to compile.
    pub fn compilations(&self) -> impl Iterator<Item = &Compilation> {
        let layers = self.layers.iter().flat_map(|layer| &layer.compiled);
        layers.chain(&self.appended)
    }
}

/// Whether a plan may change this layer or needs its sources, as far as its members show. Any other layer need not wait
/// for the plan.
pub(crate) fn may_change(scan: &LayerScan, profile: &Profile) -> bool {
    let reads_sources = profile.compiles() || profile.invalidation.is_by_hash();
    scan.members.iter().any(|member| {
        let name = member.path.strip_suffix(b"/").unwrap_or(&member.path);
        let name = path::file_name(name);
        let is_cache = name.ends_with(b".pyc") || name == b"__pycache__";
        // A whiteout may hide nothing but caches.
        is_cache || name.starts_with(b".wh.") || reads_sources && name.ends_with(b".py")
    })
}

/// The changes to one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerPlan {
    /// Steps by the index of the member that they change. All other members stay as they are.
    pub steps: BTreeMap<usize, Step>,
    /// Directories to write in place of a member that goes, by the index of that member. Without it, nothing would
    /// create them.
    pub implied: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Caches to compile into this layer, by source and level.
    pub compiled: Vec<Compilation>,
    /// Whether the layer ends up without members.
    pub becomes_empty: bool,
}

impl LayerPlan {
    /// Whether the layer stays as it is.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.compiled.is_empty()
    }
}

/// A cache to compile. Either the image has nothing at its path, or a step drops what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compilation {
    /// Index of the source in the inventory.
    pub source: SourceId,
    pub level: Level,
    /// Path of the cache in the image.
    pub path: Vec<u8>,
    /// The member with the data of the stale cache at this path, if there is one. If it contains the code that the
    /// source compiles to, it can stay with a new header.
    pub stale: Option<MemberId>,
    /// The name of a file in the same layer that this cache becomes a hardlink to, byte for byte as the layer has it.
    pub link: Option<Vec<u8>>,
}

/// Facts that only compiling reveals.
#[derive(Debug, Clone, Default)]
pub struct CompileOutcome {
    /// Sources that do not compile, by index in the inventory and level.
    pub failed: BTreeSet<(SourceId, Level)>,
    /// Members with the data of stale caches that contain exactly the code that their source compiles to.
    pub current: BTreeSet<MemberId>,
    /// What the new caches contain.
    pub contents: BTreeMap<(SourceId, Level), Contents>,
}

/// The change to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Path of the member in the merged view.
    pub path: Vec<u8>,
    pub action: Action,
    pub reason: Reason,
}

impl Step {
    /// All reasons of the step. Data that moves to another name may also get a new bytecode header, which has its own
    /// reason.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let also = match &self.action {
            Action::Promote { header, .. } => header.as_ref().map(|header| &header.reason),
            _ => None,
        };
        std::iter::once(&self.reason).chain(also)
    }
}

/// A new header for a bytecode file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHeader {
    /// The header, as long as the old one.
    pub bytes: Vec<u8>,
    pub reason: Reason,
}

/// A range of a member's data and the bytes that replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The bytes to replace, counted from the start of the data.
    pub range: Range<u64>,
    /// The new bytes. Their number may differ from that of the old ones.
    pub bytes: Vec<u8>,
}

impl Patch {
    /// Replaces the header of a bytecode file by one of the same length.
    fn of_header(header: Vec<u8>) -> Self {
        Self {
            range: 0..header.len() as u64,
            bytes: header,
        }
    }

    /// The size of a member's data after `patches`, in bytes. `size` is the size before.
    pub(crate) fn size_after(patches: &[Self], size: u64) -> u64 {
        let length = |patch: &Self| patch.range.end - patch.range.start;
        let gone: u64 = patches.iter().map(length).sum();
        let new: u64 = patches.iter().map(|patch| patch.bytes.len() as u64).sum();
        size - gone + new
    }
}

/// What a step does to its member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Removes the member.
    Drop,
    /// Turns a hardlink into a file, with the metadata and data of a member that goes.
    Promote {
        /// Index of that member. It is in the same layer and before this one.
        data: usize,
        /// Indexes of the hardlinks to it between the two, which go as well, in order. Engines apply their headers to
        /// the file, so the file gets their extended attributes.
        between: Vec<usize>,
        /// The new header of the data, if the plan changes that.
        header: Option<NewHeader>,
    },
    /// Replaces parts of the data, or all of it. The patches are sorted and do not overlap.
    Patch(Vec<Patch>),
    /// Makes the member a hardlink to this target. It may be a hardlink already.
    Link {
        /// The target's name, byte for byte as a member of the same layer writes it.
        target: Vec<u8>,
    },
}

/// Makes the plan that changes an image as `policy` says.
///
/// If the policy compiles, pycull calls this twice. With an empty `outcome`, the plan says what to compile. With the
/// outcome of compiling, it says what to write.
pub(crate) fn plan(inventory: &Inventory, policy: &Policy<'_>, outcome: &CompileOutcome) -> Plan {
    let mut warnings = Vec::new();
    let mended = compile::mended(inventory, policy, outcome);
    let mut drops = drops::choose(inventory, policy, &mended, &mut warnings);
    loop {
        needed::keep_what_upper_layers_need(inventory, &mut drops, &mut warnings);
        if !needed::keep_what_describes_others(inventory, &mut drops, &mut warnings) {
            break;
        }
    }
    let compilations = compile::choose(inventory, policy, &drops, outcome, &mut warnings);
    let headers = convert::headers(inventory, policy, &drops, &mended, &mut warnings);
    let receiving = compilations.iter().map(|cache| path::parent(&cache.path));
    emptied::extend(inventory, &receiving.collect(), &mut drops);
    let mut new = compile::place(inventory, policy, &drops, compilations);
    let mut groups = Groups::new(inventory);
    if policy.profile.hardlink {
        let mut identical = Identical::new(inventory, policy, &drops, &headers);
        identical.join(&mut groups);
        identical.link_new(&groups, outcome, &mut new);
    }
    let mut changes = links::resolve(inventory, &drops, &headers, &groups);
    for (member, header) in headers {
        // If the data moves to another name, or another level shares it, the change exists already.
        if !drops.contains_key(&member) {
            changes.entry(member).or_insert((
                Action::Patch(vec![Patch::of_header(header.bytes)]),
                header.reason,
            ));
        }
    }
    let implied = implied::directories(inventory, &drops);
    for (member, reason) in drops {
        changes.insert(member, (Action::Drop, reason));
    }
    let mut layers = steps_by_layer(inventory, changes);
    for (member, directories) in implied {
        layers[member.layer]
            .implied
            .insert(member.index, directories);
    }
    let mut appended = Vec::new();
    for (layer, compilation) in new {
        match layer {
            Some(layer) => layers[layer].compiled.push(compilation),
            None => appended.push(compilation),
        }
    }
    mark_empty(inventory, &mut layers);
    Plan {
        layers,
        appended,
        warnings: Warning::merged(warnings),
    }
}

fn steps_by_layer(
    inventory: &Inventory,
    changes: BTreeMap<MemberId, (Action, Reason)>,
) -> Vec<LayerPlan> {
    let mut layers = vec![LayerPlan::default(); inventory.layers.len()];
    for (id, (action, reason)) in changes {
        let path = inventory.path_of(id);
        let step = Step {
            path,
            action,
            reason,
        };
        layers[id.layer].steps.insert(id.index, step);
    }
    layers
}

/// Finds the layers that end up without members.
fn mark_empty(inventory: &Inventory, layers: &mut [LayerPlan]) {
    for (layer, scan) in layers.iter_mut().zip(&inventory.layers) {
        let steps = layer.steps.values();
        let dropped = steps.filter(|step| step.action == Action::Drop).count();
        layer.becomes_empty = dropped > 0
            && dropped == scan.members.len()
            && layer.compiled.is_empty()
            && layer.implied.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{LIBRARY, LayerMembers, cache_path, dropped, planned};
    use super::*;
    use crate::profile::{InvalidationMode, Missing, Profile, Stale};
    use crate::tar::Kind;

    fn no_levels() -> Profile {
        Profile::keeping(&[])
    }

    /// Whether `layer` ends up without members.
    fn becomes_empty(layer: LayerMembers) -> bool {
        let source = LayerMembers::source("m");
        planned([source, layer], &no_levels()).layers[1].becomes_empty
    }

    #[test]
    fn only_layers_with_caches_whiteouts_or_sources_that_are_read_may_change() {
        let strips = no_levels();
        let mut compiles = no_levels();
        compiles.missing = Missing::Compile;
        let mut hashes = no_levels();
        hashes.invalidation = InvalidationMode::CheckedHash;
        let may_change = |layer: LayerMembers, profile| may_change(&layer.scan(), profile);
        let member = |kind, path| LayerMembers::default().member(kind, path, "a");
        for (kind, path) in [
            (Kind::Hardlink, "a/__pycache__/m.cpython-39.pyc"),
            (Kind::Directory, "a/__pycache__/"),
            (Kind::File, "a/.wh.b"),
            (Kind::File, "old.pyc"),
        ] {
            assert!(may_change(member(kind, path), &strips), "{path}");
        }
        for path in ["a/pycache", "a/m.pyc.txt", "m.py"] {
            assert!(!may_change(member(Kind::File, path), &strips), "{path}");
        }
        for profile in [&compiles, &hashes] {
            assert!(may_change(LayerMembers::source("m"), profile));
            assert!(!may_change(member(Kind::File, "data"), profile));
        }
    }

    fn step(action: Action) -> Step {
        Step {
            path: b"a".to_vec(),
            action,
            reason: Reason::TargetDropped,
        }
    }

    fn compilation() -> Compilation {
        Compilation {
            source: SourceId(0),
            level: Level::Zero,
            path: b"a".to_vec(),
            stale: None,
            link: None,
        }
    }

    #[test]
    fn a_plan_is_empty_until_a_layer_changes_or_one_is_added() {
        let of_layer = |layer: LayerPlan| Plan {
            layers: vec![LayerPlan::default(), layer],
            ..Plan::default()
        };
        assert!(of_layer(LayerPlan::default()).is_empty());
        let with_step = LayerPlan {
            steps: BTreeMap::from([(0, step(Action::Drop))]),
            ..LayerPlan::default()
        };
        let with_cache = LayerPlan {
            compiled: vec![compilation()],
            ..LayerPlan::default()
        };
        for layer in [with_step, with_cache] {
            assert!(!layer.is_empty());
            assert!(!of_layer(layer).is_empty());
        }
        let appended = Plan {
            appended: vec![compilation()],
            ..Plan::default()
        };
        assert!(!appended.is_empty());
    }

    #[test]
    fn data_that_moves_and_gets_another_header_has_two_reasons() {
        let header = |reason| NewHeader {
            bytes: Vec::new(),
            reason,
        };
        let promoted = |header| {
            step(Action::Promote {
                data: 0,
                between: Vec::new(),
                header,
            })
        };
        let reasons = |step: Step| step.reasons().cloned().collect::<Vec<_>>();
        assert_eq!(reasons(step(Action::Drop)), [Reason::TargetDropped]);
        assert_eq!(reasons(promoted(None)), [Reason::TargetDropped]);
        let both = promoted(Some(header(Reason::HashMismatch)));
        assert_eq!(reasons(both), [Reason::TargetDropped, Reason::HashMismatch]);
    }

    #[test]
    fn a_layer_goes_with_its_last_member_and_not_before() {
        let cache = || LayerMembers::default().cache("m", 0, "code");
        let directory = format!("{LIBRARY}/__pycache__");
        assert!(becomes_empty(cache()));
        assert!(becomes_empty(
            LayerMembers::default()
                .member(Kind::Directory, &directory, "")
                .cache("m", 0, "code")
        ));
        assert!(!becomes_empty(cache().file("etc/other")));
        assert!(!becomes_empty(cache().member(Kind::PaxGlobal, "", "")));
        assert!(!becomes_empty(cache().member(
            Kind::Other(b'V'),
            "volume",
            ""
        )));
        assert!(!becomes_empty(LayerMembers::default()));
    }

    #[test]
    fn a_layer_that_gets_something_in_place_of_its_members_stays() {
        // No other member implies the cache's directory.
        let other = LayerMembers::default().file("opt/__pycache__/m.cpython-39.pyc");
        let plan = planned([LayerMembers::source("m"), other], &no_levels());
        assert_eq!(dropped(&plan, 1).len(), 1);
        assert!(!plan.layers[1].becomes_empty);

        // If the image cannot have another layer, the topmost one receives the compiled caches.
        let policy = Profile {
            stale: Stale::Compile,
            ..Profile::keeping(&[Level::Zero])
        };
        let lower = [LayerMembers::source("m")].into_iter();
        let more = (0..123).map(|number| LayerMembers::default().file(&format!("etc/{number}")));
        let top = [LayerMembers::default().stale_cache("m", 0)];
        let plan = planned(lower.chain(more).chain(top), &policy);
        assert_eq!(dropped(&plan, 124), [cache_path("m", 0)]);
        assert_eq!(plan.layers[124].compiled.len(), 1);
        assert!(!plan.layers[124].becomes_empty);
    }
}
