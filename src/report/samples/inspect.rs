use super::{count, digest, levels};
use crate::report::model::*;

fn situations(status_quo: u64, others: [u64; 6]) -> Vec<SituationRow> {
    let names = [
        SituationName::LevelZero,
        SituationName::NoCache,
        SituationName::LevelsZeroOne,
        SituationName::LevelsZeroOneUnlinked,
        SituationName::AllUnlinked,
        SituationName::Sourceless,
    ];
    let row = |(name, bytes): (SituationName, u64)| {
        let difference_bytes = bytes.cast_signed() - status_quo.cast_signed();
        let percent = difference_bytes as f64 * 100.0 / status_quo as f64;
        SituationRow {
            name,
            bytes,
            difference_bytes,
            difference_percent: (percent * 100.0).round() / 100.0,
        }
    };
    let all = std::iter::once((SituationName::StatusQuo, status_quo))
        .chain(names.into_iter().zip(others));
    all.map(row).collect()
}

fn tree(path: &str, kind: TreeKind, sources: Count, counts: [Count; 3]) -> InspectTree {
    let total = sources.bytes + counts.iter().map(|count| count.bytes).sum::<u64>();
    let level = counts.map(|count| count.bytes);
    let none = sources.bytes;
    let table = [
        none + level[0],
        none,
        none + level[0],
        total,
        total,
        level[0],
    ];
    InspectTree {
        path: path.to_owned(),
        python: Some("3.11".to_owned()),
        cache_tag: Some("cpython-311".to_owned()),
        magic: Some(3495),
        kind,
        sources,
        levels: levels(counts),
        sourceless: count(0, 0),
        situations: situations(total.max(1), table),
    }
}

pub(in crate::report) fn finding(kind: FindingKind, path: &str, bytes: u64) -> Finding {
    Finding {
        kind,
        path: path.to_owned(),
        layer: 1,
        bytes,
        detail: "source is 3 s newer".to_owned(),
    }
}

pub(in crate::report) fn inspect() -> InspectReport {
    let layer = |index, digit, created_by: &str| InspectLayer {
        index,
        digest: digest(digit),
        diff_id: digest('d'),
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        compressed_bytes: 45_150_000,
        uncompressed_bytes: 170_600_000,
        levels: levels([count(600, 25_400_000), count(0, 0), count(2, 900)]),
        created_by: Some(created_by.to_owned()),
    };
    let none = [count(0, 0); 3];
    let stdlib = [count(600, 9_000_000), count(600, 8_000_000), count(0, 0)];
    InspectReport {
        schema: "pycull.inspect/1",
        reference: "app.tar".to_owned(),
        images: vec![InspectImage {
            platform: "linux/amd64".to_owned(),
            manifest_digest: digest('a'),
            compressed_bytes: 90_300_000,
            uncompressed_bytes: 341_200_000,
            layers: vec![
                layer(1, '1', "/bin/sh -c #(nop) ADD file:abc in / "),
                layer(
                    2,
                    '2',
                    "RUN /bin/sh -c pip install flask gunicorn # buildkit",
                ),
            ],
            trees: vec![
                tree("srv/tiny", TreeKind::Packages, count(3, 900), none),
                tree(
                    "usr/lib/python3.11",
                    TreeKind::Stdlib,
                    count(600, 12_000_000),
                    stdlib,
                ),
            ],
            situations: situations(
                341_200_000,
                [
                    333_200_000,
                    324_200_000,
                    335_000_000,
                    341_200_000,
                    350_000_000,
                    321_000_000,
                ],
            ),
            findings: vec![
                finding(
                    FindingKind::Hidden,
                    "opt/a\x1b[2J|b/__pycache__/x.cpython-311.pyc",
                    1900,
                ),
                finding(
                    FindingKind::Stale,
                    "usr/lib/python3.11/__pycache__/re.cpython-311.pyc",
                    31_000,
                ),
            ],
            notes: Vec::new(),
            advice: None,
            map: None,
        }],
    }
}

pub(in crate::report) fn inspect_advised() -> InspectReport {
    let mut report = inspect();
    report.images[0].advice = Some(advice());
    report
}

fn advice() -> Advice {
    let choice = |profile: &str, recommended, compiled_at_start| AdviceChoice {
        profile: profile.to_owned(),
        compiles: recommended,
        recompiles: false,
        recommended,
        removed_bytes: 8_000_000,
        saved_compressed_bytes: 2_100_000,
        compiled_at_start,
    };
    Advice {
        reasons: vec!["Python runs at level 0".to_owned()],
        choices: vec![choice("default", true, 0), choice("minimal", false, 640)],
        unknown: vec!["what the entrypoint starts".to_owned()],
    }
}

pub(in crate::report) fn inspect_without_python() -> InspectReport {
    let mut report = inspect();
    let image = &mut report.images[0];
    image.trees.clear();
    image.findings.clear();
    image.situations = situations(1000, [1000; 6]);
    image.layers.truncate(1);
    image.layers[0].levels = levels([count(0, 0); 3]);
    image.layers[0].created_by = None;
    report
}
