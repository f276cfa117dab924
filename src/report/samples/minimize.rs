use super::{count, digest, levels};
use crate::report::model::*;

fn layer_size(digit: char, compressed_bytes: u64) -> LayerSize {
    LayerSize {
        digest: Some(digest(digit)),
        compressed_bytes: Some(compressed_bytes),
        uncompressed_bytes: compressed_bytes * 3,
        levels: levels([count(1, compressed_bytes), count(0, 0), count(0, 0)]),
    }
}

pub(in crate::report) fn minimize() -> MinimizeReport {
    let image_size = |digit, bytes| ImageSize {
        manifest_digest: Some(digest(digit)),
        compressed_bytes: Some(bytes),
        uncompressed_bytes: bytes * 3,
    };
    MinimizeReport {
        schema: "pycull.minimize/1",
        reference: "app.tar".to_owned(),
        output: Some("app-small.tar".to_owned()),
        output_form: Some("docker archive".to_owned()),
        output_digest: None,
        dry_run: false,
        images: vec![MinimizeImage {
            platform: "linux/amd64".to_owned(),
            profile: "default".to_owned(),
            levels: vec![0],
            before: image_size('a', 130_900_000),
            after: image_size('b', 98_100_000),
            layers: vec![
                MinimizeLayer {
                    before: Some(layer_size('1', 97_100_000)),
                    after: Some(layer_size('1', 97_100_000)),
                    action: LayerAction::Kept,
                },
                MinimizeLayer {
                    before: Some(layer_size('2', 33_700_000)),
                    after: Some(layer_size('3', 1_000_000)),
                    action: LayerAction::Rewritten,
                },
                MinimizeLayer {
                    before: Some(layer_size('4', 100_000)),
                    after: None,
                    action: LayerAction::Dropped,
                },
            ],
            removed: count(74, 31_000_000),
            compiled: Compiled::default(),
            relinked: count(5, 120_000),
            reasons: [("level 1".to_owned(), 70), ("stale".to_owned(), 4)].into(),
            steps: None,
            warnings: (1..=7).map(|n| format!("left x{n}.pyc alone")).collect(),
            kept: 0,
        }],
        replaced: None,
        left_out: vec![LeftOut {
            manifest_digest: digest('e'),
            subject: Some(digest('a')),
            kind: LeftOutKind::Attestation,
        }],
    }
}

pub(in crate::report) fn minimize_dry_run() -> MinimizeReport {
    let mut report = minimize();
    report.dry_run = true;
    report.output_form = None;
    report.output = None;
    report.left_out.clear();
    let image = &mut report.images[0];
    image.warnings.clear();
    image.after.manifest_digest = None;
    image.after.compressed_bytes = None;
    if let Some(after) = &mut image.layers[1].after {
        after.digest = None;
        after.compressed_bytes = None;
    }
    image.steps = Some(vec![StepRow {
        layer: 2,
        path: "usr/lib/python3.11/__pycache__/re.cpython-311.opt-1.pyc".to_owned(),
        action: StepAction::Drop,
        reason: "the profile does not list level 1".to_owned(),
    }]);
    report
}

pub(in crate::report) fn minimize_unchanged() -> MinimizeReport {
    let mut report = minimize();
    let image = &mut report.images[0];
    image.after = image.before.clone();
    image.layers.truncate(1);
    image.reasons.clear();
    image.removed = count(0, 0);
    image.relinked = count(0, 0);
    report
}
