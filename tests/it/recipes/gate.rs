//! pycull-gate, which the recipes share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::recipe;
use super::workplace::Workplace;
use crate::support::builder::{ImageBuilder, LayerBuilder};
use crate::support::fault_proxy::FaultProxy;
use crate::support::registry::Registry;
use crate::support::scene::minimize;
use crate::support::tools::{Output, run, testdata, tool};

fn gate(place: &Workplace, arguments: &[&Path], environment: &[(&str, &str)]) -> Output {
    let mut command = place.command("bash");
    command.arg(recipe("pycull-gate")).args(arguments);
    run(command.envs(environment.iter().copied()))
}

#[test]
fn the_three_answers_come_first() {
    let place = Workplace::new();
    let (small, reports) = (place.path().join("small.tar"), place.path().join("reports"));
    let image = testdata("fedora-shaped.tar");
    let output = gate(&place, &[&image, &small, &reports, &image], &[]).success();
    let report = fs::read_to_string(reports.join("report.md")).unwrap();
    let answers: Vec<&str> = report.lines().take(6).collect();
    let expected = [
        "| question | answer |",
        "| --- | --- |",
        "| is it smaller? | yes |",
        "| is everything else unchanged? | yes |",
        "| is its growth within the limit? | yes |",
        "| may it be merged? | **yes** |",
    ];
    assert_eq!(answers, expected);
    for part in ["same: nothing but bytecode differs", "206.9 kB → 172.5 kB"] {
        assert!(report.contains(part), "{report}");
    }
    // The log says what was done.
    assert!(
        output.text().contains("removed: 113 caches"),
        "{}",
        output.text()
    );
    assert_eq!(output.stderr, "");
}

/// The output is written before anything is asked.
#[test]
fn an_output_that_others_see_at_once_is_refused() {
    let place = Workplace::new();
    let reports = place.path().join("reports");
    let image = testdata("fedora-shaped.tar");
    for output in [
        "docker://localhost/app",
        "containers-storage:app",
        "docker-daemon:app",
    ] {
        let refused = gate(&place, &[&image, Path::new(output), &reports], &[]);
        assert_eq!(refused.code, Some(2));
        assert!(
            refused.stderr.contains("must be a file or a layout"),
            "{}",
            refused.stderr
        );
    }
    assert!(!reports.exists());
}

#[test]
fn a_difference_that_is_none_of_bytecode_refuses() {
    let place = Workplace::new();
    let reports = place.path().join("reports");
    // A pycull that removes too much: its output is a different image.
    let other = place.path().join("other.tar");
    fs::copy(testdata("docker-old.tar"), &other).unwrap();
    let bin = place.make("bin");
    let wrapper = format!(
        "#!/bin/sh\ncase $1 in minimize) cp {} \"$4\" ;; *) exec {} \"$@\" ;; esac\n",
        other.display(),
        env!("CARGO_BIN_EXE_pycull")
    );
    fs::write(bin.join("pycull"), wrapper).unwrap();
    fs::set_permissions(bin.join("pycull"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = gate(
        &place,
        &[
            &testdata("fedora-shaped.tar"),
            &place.path().join("small.tar"),
            &reports,
        ],
        &[("PATH", &path), ("PYCULL_MIN_SHRINK", "")],
    );
    let report = fs::read_to_string(reports.join("report.md")).unwrap();
    assert_eq!(output.code, Some(1), "{} {report}", output.stderr);
    assert!(
        report.contains("is everything else unchanged? | **no**"),
        "{report}"
    );
    assert!(report.contains("may it be merged? | **no**"), "{report}");
    assert!(!report.contains("is it smaller?"), "{report}");
}

#[test]
fn every_gate_is_heard() {
    let place = Workplace::new();
    let (image, small) = (
        testdata("fedora-shaped.tar"),
        place.path().join("small.tar"),
    );
    let minimal = place.path().join("minimal.tar");
    minimize(&image, &minimal, &["--profile", "minimal"]);
    let reports = place.path().join("reports");
    let output = gate(
        &place,
        &[&image, &small, &reports, &minimal],
        &[("PYCULL_MIN_SHRINK", "50%")],
    );
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let report = fs::read_to_string(reports.join("report.md")).unwrap();
    for line in [
        "is it smaller? | **no**",
        "is its growth within the limit? | **no**",
    ] {
        assert!(report.contains(line), "{report}");
    }
    for gate in ["--require-shrink 50 %", "--max-growth 2 %"] {
        assert!(output.stderr.contains(gate), "{}", output.stderr);
        assert!(report.contains(gate), "{report}");
    }
    // An image passes if it may grow by this much.
    let environment = [("PYCULL_MAX_GROWTH", "1MB"), ("PYCULL_MIN_SHRINK", "10%")];
    gate(&place, &[&image, &small, &reports, &minimal], &environment).success();
}

#[test]
fn what_a_gate_says_is_code_in_the_report() {
    let place = Workplace::new();
    let image = place.path().join("image");
    let layer = LayerBuilder::new().file("usr/lib/python3.11/os.py", "x = 1\n");
    ImageBuilder::of([layer]).write(&image);
    let reports = place.path().join("reports");
    // There is nothing to remove. The gate says so, and names from the image do not act as markup.
    let output = gate(
        &place,
        &[&image, &place.path().join("small"), &reports],
        &[],
    );
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let report = fs::read_to_string(reports.join("report.md")).unwrap();
    let said = report
        .lines()
        .find(|line| line.contains("--require-shrink"))
        .unwrap();
    assert!(said.starts_with("    error: "), "{said}");
}

/// Puts an archive into a registry. Returns the digests of its layers.
fn put(registry: &Registry, archive: &Path, name: &str) -> Vec<String> {
    let to = registry.image(name);
    let from = format!("oci-archive:{}", archive.display());
    tool(
        "skopeo",
        ["copy", "--quiet", "--dest-tls-verify=false", &from, &to],
    )
    .success();
    let manifest = tool("skopeo", ["inspect", "--tls-verify=false", "--raw", &to]);
    let manifest = manifest.success().json();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn layers_come_down_as_often_as_the_readme_says() {
    let place = Workplace::new();
    let registry = Registry::start(&place.make("open"));
    let proxy = FaultProxy::counting(&registry.address);
    let (small, reports) = (place.path().join("small.tar"), place.path().join("reports"));
    let default = place.path().join("default.tar");
    minimize(&testdata("fedora-shaped.tar"), &default, &[]);
    let app = put(&registry, &testdata("fedora-shaped.tar"), "app:1");
    let main = put(&registry, &default, "main:1");
    let through = |name: &str| format!("docker://{}/{name}", proxy.address);
    let (image, baseline) = (through("app:1"), through("main:1"));
    let [image, baseline] = [&image, &baseline].map(Path::new);
    let counts = |repository: &str, layers: &[String]| -> Vec<usize> {
        let count = |layer| proxy.count("GET", &format!("/v2/{repository}/blobs/{layer}"));
        layers.iter().map(count).collect()
    };
    gate(&place, &[image, &small, &reports, baseline], &[]).success();
    assert_eq!(counts("app", &app), [2, 2]);
    // The first layer has sources whose hash decides about caches, so `compare` reads it again.
    assert_eq!(counts("main", &main), [2, 1]);
    proxy.forget();
    gate(&place, &[image, &small, &reports], &[]).success();
    assert_eq!(counts("app", &app), [4, 3]);
}

#[test]
fn a_baseline_that_cannot_be_read_is_no_gate() {
    let place = Workplace::new();
    let (baseline, reports) = (place.path().join("main.tar"), place.path().join("reports"));
    fs::write(&baseline, "no archive").unwrap();
    let image = testdata("fedora-shaped.tar");
    let output = gate(
        &place,
        &[&image, &place.path().join("small.tar"), &reports, &baseline],
        &[],
    );
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    let report = fs::read_to_string(reports.join("report.md")).unwrap();
    assert!(
        report.contains("may it be merged? | **unknown: pycull compare failed**"),
        "{report}"
    );
    assert!(report.contains("is it smaller? | yes"), "{report}");
}

#[test]
fn wrong_arguments_are_no_gate() {
    let place = Workplace::new();
    assert_eq!(gate(&place, &[Path::new("only-one")], &[]).code, Some(2));
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let image = testdata("fedora-shaped.tar");
    let output = gate(
        &place,
        &[
            &image,
            &place.path().join("small.tar"),
            &file.join("reports"),
        ],
        &[],
    );
    assert_eq!(output.code, Some(2), "{}", output.stderr);
}
