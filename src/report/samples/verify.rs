use crate::report::model::*;

pub(in crate::report) fn verify_same() -> VerifyReport {
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
                missing: None,
            },
            differences: Vec::new(),
        }],
        unmatched: Vec::new(),
    }
}

pub(in crate::report) fn verify_different() -> VerifyReport {
    let difference = |part: Part, path: &str, what: &str| VerifyDifference {
        part,
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let mut report = verify_same();
    report.profile = None;
    report.images[0].verdict = Verdict::Different;
    report.images[0].differences = vec![
        difference(
            Part::Rootfs,
            "usr/lib/x86_64-linux-gnu/libssl.so.3",
            "content differs",
        ),
        difference(Part::Rootfs, "", "mode was 0755, is 0700"),
        difference(
            Part::Rootfs,
            "usr/lib/python3.11/__pycache__/argparse.cpython-311.pyc",
            "was fresh, but is stale: source mtime 1600000000, cache says 1600000001",
        ),
        difference(
            Part::Config,
            "/config/Env/0",
            "was \"A=1\", is \"A=\u{1b}[2J\"",
        ),
    ];
    report.unmatched = vec!["linux/arm64/v8".to_owned()];
    report
}
