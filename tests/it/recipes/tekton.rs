//! The Tekton task, with its step run as a cluster runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::workplace::Workplace;
use super::{document, text};
use crate::support::tools::Output;

/// Imitates Tekton: variables and results.
struct Cluster {
    place: Workplace,
    variables: BTreeMap<String, String>,
}

impl Cluster {
    /// A cluster with the parameters of a run.
    fn new(parameters: &[(&str, &str)]) -> Self {
        let (task, place) = (document("tekton-task.yaml"), Workplace::new());
        let mut variables = BTreeMap::new();
        for parameter in task["spec"]["params"].as_array().unwrap() {
            let name = text(&parameter["name"]);
            let given = parameters
                .iter()
                .find(|(it, _)| *it == name)
                .map(|(_, value)| *value);
            let value = given
                .unwrap_or_else(|| text(&parameter["default"]))
                .to_owned();
            let is_image = ["image", "output", "baseline"].contains(&name) && !value.is_empty();
            let value = if is_image { place.name(&value) } else { value };
            variables.insert(format!("params.{name}"), value);
        }
        for result in task["spec"]["results"].as_array().unwrap() {
            let name = text(&result["name"]);
            variables.insert(
                format!("results.{name}.path"),
                place.path().join(name).display().to_string(),
            );
        }
        for workspace in task["spec"]["workspaces"].as_array().unwrap() {
            let name = text(&workspace["name"]);
            variables.insert(
                format!("workspaces.{name}.path"),
                place.make(name).display().to_string(),
            );
        }
        // Tekton puts the secrets of the service account there.
        place.log_in(&place.path().join("home/.docker/config.json"));
        Self { place, variables }
    }

    fn expand(&self, value: &str) -> String {
        let expanded = self
            .variables
            .iter()
            .fold(value.to_owned(), |value, (name, with)| {
                value.replace(&format!("$({name})"), with)
            });
        for kind in ["params", "results", "workspaces"] {
            assert!(
                !expanded.contains(&format!("$({kind}.")),
                "no such variable here: {expanded}"
            );
        }
        expanded
    }

    /// Runs the only step. Its results are kept for any exit code.
    fn run(&self) -> Output {
        let task = document("tekton-task.yaml");
        let steps = task["spec"]["steps"].as_array().unwrap();
        let [step] = &steps[..] else {
            panic!("one step: {steps:?}");
        };
        let mut environment = BTreeMap::new();
        for variable in step["env"].as_array().unwrap() {
            environment.insert(
                text(&variable["name"]).to_owned(),
                self.expand(text(&variable["value"])),
            );
        }
        // The working directory is the volume.
        assert_eq!(step["workingDir"], step["volumeMounts"][0]["mountPath"]);
        let directory = self.place.make("images");
        let script = text(&step["script"]);
        assert!(!script.contains("$(params."), "{script}");
        assert!(script.starts_with("#!/usr/bin/env bash\n"), "{script}");
        self.place
            .script(&["bash"], &self.expand(script), &directory, &environment)
    }

    fn result(&self, name: &str) -> String {
        fs::read_to_string(&self.variables[&format!("results.{name}.path")]).unwrap()
    }

    fn reports(&self) -> PathBuf {
        PathBuf::from(&self.variables["workspaces.reports.path"])
    }
}

#[test]
fn an_image_is_made_smaller_and_pushed_under_its_new_name() {
    let cluster = Cluster::new(&[
        ("image", "app:1"),
        ("output", "app:small"),
        ("baseline", "app:main"),
    ]);
    cluster.place.push("fedora-shaped.tar", "app:1", None);
    cluster
        .place
        .push("fedora-shaped.tar", "app:main", Some("default"));
    cluster.run().success();
    assert_eq!(cluster.result("verdict"), "yes");
    assert_eq!(
        cluster.place.digest("app:small").unwrap(),
        cluster.result("digest")
    );
    let small = cluster.place.path().join("images/app-small.tar");
    assert_eq!(cluster.result("digest"), cluster.place.digest_in(&small));
    let answers = cluster.result("answers");
    assert!(
        answers.contains("is it smaller? | yes") && answers.contains("may it be merged? | **yes**"),
        "{answers}"
    );
    // All results of a task share 4 KiB.
    assert!(answers.len() < 1000, "{answers}");
    for report in ["report.md", "report.html"] {
        assert!(cluster.reports().join(report).is_file());
    }
}

#[test]
fn a_gate_that_says_no_fails_the_task_after_its_results() {
    let parameters = [
        ("image", "app:1"),
        ("output", "app:small"),
        ("min-shrink", "90%"),
    ];
    let cluster = Cluster::new(&parameters);
    cluster.place.push("fedora-shaped.tar", "app:1", None);
    let output = cluster.run();
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(
        (
            cluster.result("verdict").as_str(),
            cluster.result("digest").as_str()
        ),
        ("no", "")
    );
    assert!(
        cluster
            .result("answers")
            .contains("is it smaller? | **no**")
    );
    assert!(cluster.reports().join("report.html").is_file());
    assert_eq!(cluster.place.digest("app:small"), None);
}

#[test]
fn an_image_that_is_not_there_leaves_the_verdict_unknown() {
    let cluster = Cluster::new(&[("image", "app:none"), ("output", "app:small")]);
    let output = cluster.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert_eq!(cluster.result("verdict"), "unknown");
    assert_eq!(cluster.place.digest("app:small"), None);
}

#[test]
fn a_profile_that_is_not_there_leaves_the_verdict_unknown() {
    let cluster = Cluster::new(&[
        ("image", "app:1"),
        ("output", "app:small"),
        ("profile", "nope"),
    ]);
    cluster.place.push("fedora-shaped.tar", "app:1", None);
    let output = cluster.run();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert_eq!(cluster.result("verdict"), "unknown");
    assert!(cluster.result("answers").contains("unknown"));
}
