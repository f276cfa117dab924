//! What is to be done to each member of each layer, and why: plain data, made from the inventory
//! and a profile by a pure function. Nothing goes without a step that gives its reason.

mod compile;
mod convert;
mod drops;
mod emptied;
mod implied;
mod kept;
mod links;
mod needed;
mod reason;
mod shadowed;
pub(crate) mod situations;
#[cfg(test)]
mod testing;
mod verdict;
mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(crate) use compile::is_full;
pub(crate) use reason::Reason;
pub(crate) use verdict::verdict;
pub(crate) use warning::Warning;

use crate::inventory::Inventory;
use crate::path;
use crate::profile::Policy;
use crate::pyc::Level;
use crate::rootfs::MemberId;
use drops::Drops;

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
    /// Directories that come in the place of a member that goes, by its index: without it they would be gone too.
    pub implied: BTreeMap<usize, Vec<Vec<u8>>>,
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

/// A stretch of a member's data that becomes other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The bytes that go, counted from the start of the data.
    pub range: Range<u64>,
    /// The bytes that come instead, as many or not.
    pub bytes: Vec<u8>,
}

impl Patch {
    /// Bytecode with another header, as long as the old one.
    fn of_header(header: Vec<u8>) -> Self {
        Self {
            range: 0..header.len() as u64,
            bytes: header,
        }
    }

    /// The size of data of `size` bytes after these patches.
    pub(crate) fn size_after(patches: &[Self], size: u64) -> u64 {
        let length = |patch: &Self| patch.range.end - patch.range.start;
        let gone: u64 = patches.iter().map(length).sum();
        let new: u64 = patches.iter().map(|patch| patch.bytes.len() as u64).sum();
        size - gone + new
    }
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
    /// Parts of its data, or all of it, become other bytes. In order, and none overlaps another.
    Patch(Vec<Patch>),
    /// It becomes, or stays, a hardlink, to this target.
    Link {
        /// The target's name as its member writes it.
        target: Vec<u8>,
    },
}

/// Makes the plan that brings an image to what `policy` says. Where that compiles, it is a plan of what
/// to try at first; with the `outcome` of that, it is one of what to write.
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
    let mut changes = links::resolve(inventory, policy, &drops, &headers);
    for (member, header) in headers {
        // Where the data moves to another name, or is shared with another level, that is done already.
        if !drops.contains_key(&member) {
            changes.entry(member).or_insert((
                Action::Patch(vec![Patch::of_header(header.bytes)]),
                header.reason,
            ));
        }
    }
    let receiving = compilations.iter().map(|cache| path::parent(&cache.path));
    emptied::extend(inventory, &receiving.collect(), &mut drops);
    let places = compile::place(inventory, policy, &drops, &compilations);
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
        layer.becomes_empty = dropped > 0
            && dropped == scan.members.len()
            && layer.compiled.is_empty()
            && layer.implied.is_empty();
    }
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
        let path = inventory.rootfs.member_path(id, &inventory.member(id).path);
        let step = Step {
            path,
            action,
            reason,
        };
        layers[id.layer].steps.insert(id.index, step);
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::testing::{LIBRARY, LayerMembers, cache_path, dropped, planned};
    use super::*;
    use crate::profile::{Profile, Stale};
    use crate::tar::Kind;

    fn no_levels() -> Profile {
        Profile::keeping(&[])
    }

    /// Whether the only layer is left without members.
    fn becomes_empty(layer: LayerMembers) -> bool {
        let source = LayerMembers::source("m");
        planned([source, layer], &no_levels()).layers[1].becomes_empty
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
            source: 0,
            level: Level::Zero,
            path: b"a".to_vec(),
            stale: None,
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
        let promoted = |header| step(Action::Promote { data: 0, header });
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
        // The cache alone implies the directory that it lies in.
        let other = LayerMembers::default().file("opt/__pycache__/m.cpython-39.pyc");
        let plan = planned([LayerMembers::source("m"), other], &no_levels());
        assert_eq!(dropped(&plan, 1).len(), 1);
        assert!(!plan.layers[1].becomes_empty);

        // The topmost layer of an image that can have no more gets what is compiled.
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
