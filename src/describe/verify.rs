//! Turns a verification into the report of `verify`.

use crate::oci::Image;
use crate::path;
use crate::report::model::{
    self, Verdict, VerifyCaches, VerifyChecked, VerifyDifference, VerifyImage,
};
use crate::verify::{Part, Verification};

/// Makes the report for one platform. `image` is the image after.
pub(crate) fn verify(image: &Image, verification: Verification) -> VerifyImage {
    let caches = verification.caches;
    let differences = verification.differences.iter();
    VerifyImage {
        platform: image.platform.to_string(),
        verdict: match verification.differences.is_empty() {
            true => Verdict::Same,
            false => Verdict::Different,
        },
        checked: VerifyChecked {
            paths: verification.paths,
            bytes: verification.bytes,
        },
        caches: VerifyCaches {
            removed: caches.removed,
            added: caches.added,
            changed: caches.changed,
            missing: caches.missing,
        },
        differences: differences
            .map(|difference| VerifyDifference {
                part: part(difference.part),
                path: path::text(&difference.path),
                what: difference.what.clone(),
            })
            .collect(),
    }
}

fn part(part: Part) -> model::Part {
    match part {
        Part::Rootfs => model::Part::Rootfs,
        Part::Config => model::Part::Config,
        Part::Manifest => model::Part::Manifest,
        Part::Index => model::Part::Index,
    }
}
