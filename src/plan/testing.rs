//! Images for the tests of this module: layers as lists of members, without bytes.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Action, CompileOutcome, Plan, plan};
use crate::deflate::BlockIndex;
use crate::entrypoint::Reading;
use crate::inventory::{ChosenVersions, Inventory, Known, build};
use crate::layers::{Bytecode, Contents, LayerScan};
use crate::limits::Limits;
use crate::oci::Compression;
use crate::oci::digest::sha256_digest;
use crate::oci::image::Layer;
use crate::profile::{Levels, Policy, Profile};
use crate::pyc::{Header, Magic, Runtime};
use crate::rootfs::squash;
use crate::tar::{Kind, Member, Xattr};

/// The directory of the modules.
pub(super) const LIBRARY: &str = "lib/python3.9";

pub(super) fn cache_path(module: &str, level: u8) -> String {
    let suffix = ["", ".opt-1", ".opt-2"][usize::from(level)];
    format!("{LIBRARY}/__pycache__/{module}.cpython-39{suffix}.pyc")
}

/// The members of one layer.
#[derive(Default)]
pub(super) struct LayerMembers {
    members: Vec<Member>,
    bytecode: HashMap<usize, Bytecode>,
}

impl LayerMembers {
    /// A layer with the source of a module.
    pub(super) fn source(module: &str) -> Self {
        Self::default().file(&format!("{LIBRARY}/{module}.py"))
    }

    pub(super) fn member(mut self, kind: Kind, path: &str, link: &str) -> Self {
        self.members.push(Member::empty(kind, path, link));
        self
    }

    pub(super) fn file(self, path: &str) -> Self {
        self.member(Kind::File, path, "")
    }

    pub(super) fn hardlink(self, path: &str, target: &str) -> Self {
        self.member(Kind::Hardlink, path, target)
    }

    /// A cache that is fresh for an empty source with modification time 0.
    pub(super) fn cache(self, module: &str, level: u8, code: &str) -> Self {
        self.bytecode(&cache_path(module, level), (0, 0), code)
    }

    /// A cache for an empty source with another modification time.
    pub(super) fn stale_cache(self, module: &str, level: u8) -> Self {
        self.bytecode(&cache_path(module, level), (5, 0), "stale")
    }

    pub(super) fn bytecode(self, path: &str, source_mtime: (i64, u32), code: &str) -> Self {
        let mut layer = self.file(path).but(|member| member.size = 100);
        let header = Header::by_time(
            Magic::final_for(Runtime::cpython(3, 9)).unwrap(),
            source_mtime,
            0,
        );
        let contents = Contents {
            header: header.to_bytes().into(),
            body_sha256: Sha256::digest(code).into(),
        };
        let bytecode = Bytecode {
            header: Ok(header),
            body: Ok(()),
            contents,
        };
        layer.bytecode.insert(layer.members.len() - 1, bytecode);
        layer
    }

    /// Changes the last member.
    pub(super) fn but(mut self, edit: impl FnOnce(&mut Member)) -> Self {
        edit(self.members.last_mut().unwrap());
        self
    }

    pub(super) fn scan(self) -> LayerScan {
        let digest = sha256_digest(b"");
        let descriptor = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest.as_ref(), "size": 0,
        });
        LayerScan {
            layer: Layer {
                descriptor: serde_json::from_value(descriptor).unwrap(),
                diff_id: digest,
            },
            compression: Compression::None,
            blocks: BlockIndex::default(),
            uncompressed_bytes: 0,
            members: self.members,
            raw_headers: HashMap::new(),
            bytecode: self.bytecode,
        }
    }
}

pub(super) fn xattr(name: &str, value: &str) -> Xattr {
    Xattr {
        name: name.as_bytes().into(),
        value: value.as_bytes().into(),
    }
}

pub(super) fn inventory(layers: impl IntoIterator<Item = LayerMembers>) -> Inventory {
    let scans: Vec<Arc<LayerScan>> = layers
        .into_iter()
        .map(LayerMembers::scan)
        .map(Arc::new)
        .collect();
    let rootfs = squash(
        scans.iter().map(|scan| &*scan.members),
        &Limits::default().of_layers(0),
    )
    .unwrap();
    let chosen = ChosenVersions {
        of_tree: &|_| None,
        otherwise: None,
    };
    let known = Known {
        layers: scans,
        rootfs,
        hashes: HashMap::new(),
        named: Vec::new(),
        launch: Reading::default(),
    };
    build(known, chosen)
}

/// The plan for these layers. The profile must list its levels.
pub(super) fn planned(layers: impl IntoIterator<Item = LayerMembers>, profile: &Profile) -> Plan {
    let Levels::Listed(levels) = &profile.levels else {
        panic!("the levels of `auto` are known for an image alone")
    };
    let policy = Policy { profile, levels };
    plan(&inventory(layers), &policy, &CompileOutcome::default())
}

/// The paths that the plan drops from a layer, in the order of the archive.
pub(super) fn dropped(plan: &Plan, layer: usize) -> Vec<String> {
    steps(plan, layer, |action| *action == Action::Drop)
}

/// The paths that become hardlinks in a layer, in the order of the archive.
pub(super) fn linked(plan: &Plan, layer: usize) -> Vec<String> {
    steps(plan, layer, |action| matches!(action, Action::Link { .. }))
}

fn steps(plan: &Plan, layer: usize, is_wanted: fn(&Action) -> bool) -> Vec<String> {
    let steps = plan.layers[layer].steps.values();
    let wanted = steps.filter(|step| is_wanted(&step.action));
    wanted
        .map(|step| String::from_utf8(step.path.clone()).unwrap())
        .collect()
}
