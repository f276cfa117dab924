//! Reports for the renderers' tests.

use super::model::*;

fn count(files: u64, bytes: u64) -> Count {
    Count { files, bytes }
}

fn levels(counts: [Count; 3]) -> Levels {
    (0..3).map(|level| level.to_string()).zip(counts).collect()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn situations(status_quo: u64, others: [u64; 6]) -> Vec<SituationRow> {
    let names = [
        "level-0",
        "no-cache",
        "levels-0-1",
        "levels-0-1-unlinked",
        "all-unlinked",
        "sourceless",
    ];
    let row = |(name, bytes): (&str, u64)| {
        let difference_bytes = bytes.cast_signed() - status_quo.cast_signed();
        let percent = difference_bytes as f64 * 100.0 / status_quo as f64;
        SituationRow {
            name: name.to_owned(),
            bytes,
            difference_bytes,
            difference_percent: (percent * 100.0).round() / 100.0,
        }
    };
    let all = std::iter::once(("status-quo", status_quo)).chain(names.into_iter().zip(others));
    all.map(row).collect()
}

fn tree(path: &str, kind: &str, sources: Count, counts: [Count; 3]) -> InspectTree {
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
        kind: kind.to_owned(),
        sources,
        levels: levels(counts),
        sourceless: count(0, 0),
        situations: situations(total.max(1), table),
    }
}

pub(super) fn finding(kind: FindingKind, path: &str, bytes: u64) -> Finding {
    Finding {
        kind,
        path: path.to_owned(),
        layer: 1,
        bytes,
        detail: "source is 3 s newer".to_owned(),
    }
}

pub(super) fn inspect() -> InspectReport {
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
                tree("srv/tiny", "packages", count(3, 900), none),
                tree(
                    "usr/lib/python3.11",
                    "stdlib",
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
            advice: None,
            map: None,
        }],
    }
}

pub(super) fn inspect_advised() -> InspectReport {
    let mut report = inspect();
    report.images[0].advice = Some(advice());
    report
}

fn advice() -> Advice {
    let choice = |profile: &str, recommended, compiled_at_start| AdviceChoice {
        profile: profile.to_owned(),
        compiles: recommended,
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

pub(super) fn inspect_without_python() -> InspectReport {
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

fn layer_size(digit: char, compressed_bytes: u64) -> LayerSize {
    LayerSize {
        digest: Some(digest(digit)),
        compressed_bytes: Some(compressed_bytes),
        uncompressed_bytes: compressed_bytes * 3,
    }
}

pub(super) fn minimize() -> MinimizeReport {
    let image_size = |digit, bytes| ImageSize {
        manifest_digest: Some(digest(digit)),
        compressed_bytes: Some(bytes),
        uncompressed_bytes: bytes * 3,
    };
    MinimizeReport {
        schema: "pycull.minimize/1",
        reference: "app.tar".to_owned(),
        output: Some("app-small.tar".to_owned()),
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
        }],
        left_out: vec![LeftOut {
            manifest_digest: digest('e'),
            subject: Some(digest('a')),
            kind: "attestation".to_owned(),
        }],
    }
}

pub(super) fn minimize_dry_run() -> MinimizeReport {
    let mut report = minimize();
    report.dry_run = true;
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
        action: "drop",
        reason: "the profile does not list level 1".to_owned(),
    }]);
    report
}

pub(super) fn minimize_unchanged() -> MinimizeReport {
    let mut report = minimize();
    let image = &mut report.images[0];
    image.after = image.before.clone();
    image.layers.truncate(1);
    image.reasons.clear();
    image.removed = count(0, 0);
    image.relinked = count(0, 0);
    report
}

pub(super) fn compare() -> CompareReport {
    let layer = |index, compressed_bytes| ComparedLayer {
        index,
        digest: digest('1'),
        compressed_bytes,
        uncompressed_bytes: compressed_bytes * 3,
        levels: levels([count(1, 10), count(0, 0), count(0, 0)]),
    };
    CompareReport {
        schema: "pycull.compare/1",
        before: "app.tar".to_owned(),
        after: "app-small.tar".to_owned(),
        images: vec![CompareImage {
            platform: "linux/amd64".to_owned(),
            after: "app-small.tar".to_owned(),
            layers: vec![
                CompareLayer {
                    before: Some(layer(1, 90_300_000)),
                    after: Some(layer(1, 60_300_000)),
                    compressed_difference: -30_000_000,
                    uncompressed_difference: -90_000_000,
                },
                CompareLayer {
                    before: None,
                    after: Some(layer(2, 512)),
                    compressed_difference: 512,
                    uncompressed_difference: 1536,
                },
            ],
            totals: CompareTotals {
                compressed_before: 90_300_000,
                compressed_after: 60_300_512,
                compressed_difference: -29_999_488,
                uncompressed_before: 270_900_000,
                uncompressed_after: 180_901_536,
                uncompressed_difference: -89_998_464,
            },
            levels: CompareLevels {
                before: levels([count(600, 9_000_000), count(600, 8_000_000), count(0, 0)]),
                after: levels([count(600, 9_000_000), count(0, 0), count(0, 0)]),
            },
            trees: compared_trees(),
            modules: changed_modules(),
            pull: Pull {
                cold_bytes: 60_303_000,
                warm_bytes: 2_512,
            },
        }],
        unmatched: vec!["linux/arm64/v8".to_owned()],
    }
}

pub(super) fn verify_same() -> VerifyReport {
    VerifyReport {
        schema: "pycull.verify/1",
        before: "app.tar".to_owned(),
        after: "app-small.tar".to_owned(),
        profile: Some("default".to_owned()),
        images: vec![VerifyImage {
            platform: "linux/amd64".to_owned(),
            verdict: Verdict::Same,
            checked: VerifyChecked {
                paths: 12_345,
                bytes: 180_900_000,
            },
            caches: VerifyCaches {
                removed: 600,
                added: 0,
                changed: 12,
            },
            differences: Vec::new(),
        }],
        unmatched: Vec::new(),
    }
}

pub(super) fn verify_different() -> VerifyReport {
    let difference = |part: &str, path: &str, what: &str| VerifyDifference {
        part: part.to_owned(),
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let mut report = verify_same();
    report.profile = None;
    report.images[0].verdict = Verdict::Different;
    report.images[0].differences = vec![
        difference(
            "rootfs",
            "usr/lib/x86_64-linux-gnu/libssl.so.3",
            "content differs",
        ),
        difference("rootfs", "", "mode was 0755, is 0700"),
        difference(
            "rootfs",
            "usr/lib/python3.11/__pycache__/argparse.cpython-311.pyc",
            "was fresh, but is stale: source mtime 1600000000, cache says 1600000001",
        ),
        difference("config", "/config/Env/0", "was \"A=1\", is \"A=\u{1b}[2J\""),
    ];
    report.unmatched = vec!["linux/arm64/v8".to_owned()];
    report
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

/// One image compared with five.
pub(super) fn compare_several() -> CompareReport {
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

fn bench_rows(cached: f64, bare: f64) -> Vec<BenchRow> {
    let row = |level: u8, cached, real: f64| BenchRow {
        level,
        cached,
        real_seconds: real,
        user_seconds: real * 0.75,
        sys_seconds: real * 0.125,
        lowest_real_seconds: real * 0.875,
        highest_real_seconds: real * 1.5,
    };
    let with = (0..3).map(|level| row(level, true, cached));
    with.chain((0..3).map(|level| row(level, false, bare)))
        .collect()
}

pub(super) fn bench() -> BenchReport {
    let image = |platform: &str, trees, imports, warnings| BenchImage {
        platform: platform.to_owned(),
        trees,
        imports,
        warnings,
    };
    let tree = BenchTree {
        path: "usr/lib/python3.9".to_owned(),
        python: "3.9".to_owned(),
        interpreter: "usr/bin/python3.9".to_owned(),
        sandbox: "Landlock (ABI 7), seccomp".to_owned(),
        module: "_pydecimal".to_owned(),
        repeats: 20,
        rounds: 5,
        rows: bench_rows(0.0288, 0.536),
        ratio: 18.61,
    };
    let imports = BenchImports {
        path: tree.path.clone(),
        python: tree.python.clone(),
        modules: vec!["asyncio".to_owned(), "ssl".to_owned()],
        rounds: 5,
        rows: bench_rows(0.25, 1.25),
        ratio: 5.0,
    };
    let warning = "did not measure usr/lib/python3.9: <it> does not start";
    BenchReport {
        schema: "pycull.bench/1",
        reference: "app<&>.tar".to_owned(),
        images: vec![
            image("linux/amd64", vec![tree], vec![imports], vec![]),
            image("linux/arm64", vec![], vec![], vec![warning.to_owned()]),
        ],
    }
}
