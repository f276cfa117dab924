use super::{count, digest, levels};
use crate::report::model::*;

pub(in crate::report) fn compare() -> CompareReport {
    let layer = |index, compressed_bytes| ComparedLayer {
        index,
        digest: digest('1'),
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        compressed_bytes,
        uncompressed_bytes: Some(compressed_bytes * 3),
        levels: Some(levels([count(1, 10), count(0, 0), count(0, 0)])),
    };
    CompareReport {
        schema: "pycull.compare/1",
        before: "app.tar".to_owned(),
        after: "app-small.tar".to_owned(),
        images: vec![CompareImage {
            platform: "linux/amd64".to_owned(),
            after: "app-small.tar".to_owned(),
            manifests: CompareManifests {
                before: digest('a'),
                after: digest('b'),
            },
            layers: vec![
                CompareLayer {
                    before: Some(layer(1, 90_300_000)),
                    after: Some(layer(1, 60_300_000)),
                    compressed_difference: -30_000_000,
                    uncompressed_difference: Some(-90_000_000),
                },
                CompareLayer {
                    before: None,
                    after: Some(layer(2, 512)),
                    compressed_difference: 512,
                    uncompressed_difference: Some(1536),
                },
            ],
            totals: CompareTotals {
                compressed_before: 90_300_000,
                compressed_after: 60_300_512,
                compressed_difference: -29_999_488,
                uncompressed_before: Some(270_900_000),
                uncompressed_after: Some(180_901_536),
                uncompressed_difference: Some(-89_998_464),
            },
            levels: Some(CompareLevels {
                before: levels([count(600, 9_000_000), count(600, 8_000_000), count(0, 0)]),
                after: levels([count(600, 9_000_000), count(0, 0), count(0, 0)]),
            }),
            trees: Some(compared_trees()),
            modules: Some(changed_modules()),
            pull: Pull {
                cold_bytes: 60_303_000,
                warm_bytes: 2_512,
            },
        }],
        unmatched: vec![UnmatchedPlatform {
            platform: "linux/arm64/v8".to_owned(),
            present_in: "app-small.tar".to_owned(),
            absent_from: "app.tar".to_owned(),
            side: CompareSide::After,
        }],
    }
}

fn compared_trees() -> Vec<CompareTree> {
    let side = |sources, counts| ComparedTree {
        sources,
        levels: levels(counts),
        sourceless: count(0, 0),
    };
    let tree = |path: &str, sources, before: [u64; 3], after: [u64; 3]| {
        let counts = |bytes: [u64; 3]| bytes.map(|bytes| count(bytes.min(300), bytes));
        let sum = |bytes: [u64; 3]| bytes.iter().sum::<u64>().cast_signed();
        CompareTree {
            path: Some(path.to_owned()),
            python: Some("3.11".to_owned()),
            before: side(sources, counts(before)),
            after: side(sources, counts(after)),
            difference_bytes: sum(after) - sum(before),
        }
    };
    let (stdlib, packages) = ("usr/lib/python3.11", "usr/lib/python3/dist-packages");
    let hidden = CompareTree {
        path: None,
        python: None,
        before: side(count(0, 0), [count(1, 900), count(0, 0), count(0, 0)]),
        after: side(count(0, 0), [count(0, 0); 3]),
        difference_bytes: -900,
    };
    vec![
        hidden,
        tree(
            stdlib,
            count(600, 12_000_000),
            [8_000_000, 7_500_000, 0],
            [8_000_000, 0, 0],
        ),
        tree(
            packages,
            count(40, 1_500_000),
            [1_000_000, 500_000, 0],
            [1_000_000, 0, 0],
        ),
    ]
}

fn changed_modules() -> Vec<CompareModule> {
    let module = |number: u64| {
        let (before_bytes, after_bytes) = (400_000 - number * 10_000, 90_000);
        CompareModule {
            path: format!("usr/lib/python3.11/email/_header_value_parser_{number}.py"),
            before_bytes,
            after_bytes,
            difference_bytes: after_bytes.cast_signed() - before_bytes.cast_signed(),
        }
    };
    (0..12).map(module).collect()
}

/// The same report without what only the layers tell, as `--sizes` makes it.
pub(in crate::report) fn compare_sizes() -> CompareReport {
    without_content(compare())
}

fn without_content(mut report: CompareReport) -> CompareReport {
    for image in &mut report.images {
        (image.levels, image.trees, image.modules) = (None, None, None);
        let totals = &mut image.totals;
        (totals.uncompressed_before, totals.uncompressed_after) = (None, None);
        totals.uncompressed_difference = None;
        for pair in &mut image.layers {
            pair.uncompressed_difference = None;
            for layer in [&mut pair.before, &mut pair.after].into_iter().flatten() {
                (layer.uncompressed_bytes, layer.levels) = (None, None);
            }
        }
    }
    report
}

/// A report of one image compared with five others.
pub(in crate::report) fn compare_several() -> CompareReport {
    let mut report = compare();
    report.unmatched.clear();
    let image = report.images.remove(0);
    let references = [
        "app-small.tar",
        "oci:build/app:levels-0-1",
        "b.tar",
        "c.tar",
        "d.tar",
    ];
    report.images = references
        .iter()
        .map(|reference| CompareImage {
            after: (*reference).to_owned(),
            ..image.clone()
        })
        .collect();
    report
}

/// The same report, as `--sizes` makes it.
pub(in crate::report) fn compare_several_sizes() -> CompareReport {
    without_content(compare_several())
}
