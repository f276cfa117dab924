//! The GitHub workflow, with its steps run as a runner runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::workplace::Workplace;
use super::{document, text};
use crate::support::engines::Podman;
use crate::support::registry::LOGIN;
use crate::support::tools::{Output, testdata};

/// Imitates GitHub: jobs in order, artifacts, and the few expressions in the recipe.
struct Runner {
    workflow: Value,
    place: Workplace,
    event: &'static str,
    baseline: Option<&'static str>,
}

/// The result of a job.
#[derive(Default)]
struct Job {
    /// Exit code of the step that failed.
    failed: Option<i32>,
    summary: String,
    log: String,
}

impl Runner {
    fn new(event: &'static str) -> Self {
        let (workflow, place) = (document("github-actions.yml"), Workplace::new());
        place.make("artifacts");
        Self {
            workflow,
            place,
            event,
            baseline: None,
        }
    }

    fn expression(&self, value: &str) -> String {
        match value {
            "${{ github.token }}" => LOGIN.split_once(':').unwrap().1.to_owned(),
            "ghcr.io/OWNER/app:main" => self.place.name("app:main"),
            _ => {
                assert!(!value.contains("${{"), "no such expression here: {value}");
                value.to_owned()
            }
        }
    }

    fn is_wanted(&self, condition: &Value, failed: bool) -> bool {
        match condition.as_str() {
            None => !failed,
            Some("${{ !cancelled() }}") => true,
            Some("${{ github.event_name == 'push' }}") => !failed && self.event == "push",
            Some(other) => panic!("no such condition here: {other}"),
        }
    }

    /// Runs a job in a new workspace that contains `files`.
    fn job(&self, name: &str, files: &[(&str, &Path)]) -> Job {
        let definition = &self.workflow["jobs"][name];
        assert!(definition.is_object(), "no job {name}");
        let mut job = Job::default();
        if !self.is_wanted(&definition["if"], false) {
            return job;
        }
        let workspace = self.place.make(name);
        for (name, from) in files {
            fs::copy(from, workspace.join(name)).unwrap();
        }
        let summary = self.place.path().join(format!("{name}.summary"));
        for step in definition["steps"].as_array().unwrap() {
            if !self.is_wanted(&step["if"], job.failed.is_some()) {
                continue;
            }
            if step["uses"].is_string() {
                self.action(step, &workspace);
                continue;
            }
            let output = self.run(step, &workspace, &summary);
            job.log += &output.stderr;
            if output.code != Some(0) {
                job.failed = output.code;
            }
        }
        job.summary = fs::read_to_string(summary).unwrap_or_default();
        job
    }

    fn run(&self, step: &Value, workspace: &Path, summary: &Path) -> Output {
        let mut environment = BTreeMap::new();
        for variables in [&self.workflow["env"], &step["env"]] {
            for (name, value) in variables.as_object().into_iter().flatten() {
                environment.insert(name.clone(), self.expression(text(value)));
            }
        }
        let baseline = self.baseline.map(|name| self.place.name(name));
        environment.insert("BASELINE".to_owned(), baseline.unwrap_or_default());
        let actor = LOGIN.split_once(':').unwrap().0;
        environment.insert("GITHUB_ACTOR".to_owned(), actor.to_owned());
        environment.insert(
            "GITHUB_STEP_SUMMARY".to_owned(),
            summary.display().to_string(),
        );
        // The meaning of `shell: bash`. In a container the default would be `sh`.
        assert!(step["shell"] == "bash", "{step}");
        let bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
        self.place
            .script(&bash, text(&step["run"]), workspace, &environment)
    }

    fn action(&self, step: &Value, workspace: &Path) {
        let (action, commit) = text(&step["uses"]).split_once('@').unwrap();
        assert!(
            commit.len() == 40,
            "an action is pinned by its commit: {commit}"
        );
        let artifact = |()| self.artifact(text(&step["with"]["name"]));
        match action {
            "actions/checkout" => {}
            "actions/download-artifact" => copy(&artifact(()), workspace),
            "actions/upload-artifact" => {
                let path = workspace.join(text(&step["with"]["path"]));
                fs::create_dir(artifact(())).unwrap();
                if path.is_dir() {
                    copy(&path, &artifact(()));
                } else if path.is_file() {
                    fs::copy(&path, artifact(()).join(path.file_name().unwrap())).unwrap();
                }
            }
            other => panic!("no such action here: {other}"),
        }
    }

    fn artifact(&self, name: &str) -> PathBuf {
        self.place.path().join("artifacts").join(name)
    }

    /// Makes the artifact of the previous job from an image.
    fn built(&self, image: &Path) {
        let artifact = self.artifact("image");
        fs::create_dir(&artifact).unwrap();
        fs::copy(image, artifact.join("app.tar")).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_push_builds_an_image_makes_it_smaller_and_pushes_it() {
    let runner = Runner::new("push");
    let podman = Podman::new();
    podman.take(&testdata("fedora-shaped.tar"), "localhost/base:1");
    // The job `build` is the user's own. The test runs it unchanged with a Containerfile.
    let step = &runner.workflow["jobs"]["build"]["steps"][1];
    let directory = runner.place.make("checkout");
    fs::write(
        directory.join("Containerfile"),
        "FROM localhost/base:1\nENV NEW=1\n",
    )
    .unwrap();
    let script = format!(
        "cd {}\nexport BUILDAH_ISOLATION=chroot\n{}",
        directory.display(),
        text(&step["run"])
    );
    podman.pipeline(&script).success();
    runner.built(&directory.join("app.tar"));

    let small = runner.job("small", &[]);
    assert_eq!(small.failed, None, "{}", small.log);
    for answer in [
        "is it smaller? | yes",
        "is everything else unchanged? | yes",
        "may it be merged? | **yes**",
    ] {
        assert!(small.summary.contains(answer), "{}", small.summary);
    }
    assert!(!small.summary.contains("no larger"), "{}", small.summary);
    let page = fs::read_to_string(runner.artifact("pycull").join("report.html")).unwrap();
    assert!(page.starts_with("<!"), "{page:.100}");

    let publish = runner.job("publish", &[]);
    assert_eq!(publish.failed, None, "{}", publish.log);
    // What was pushed is what was verified.
    let small = runner.artifact("small").join("app-small.tar");
    let digest = runner.place.digest("app:main");
    assert_eq!(digest, Some(runner.place.digest_in(&small)));
}

#[test]
fn a_pull_request_that_grows_the_image_is_refused_after_its_report() {
    let mut runner = Runner::new("pull_request");
    runner
        .place
        .push("fedora-shaped.tar", "app:main", Some("minimal"));
    runner.baseline = Some("app:main");
    runner.built(&testdata("fedora-shaped.tar"));
    let before = runner.place.digest("app:main");
    let small = runner.job("small", &[]);
    assert_eq!(small.failed, Some(1), "{}", small.log);
    for line in [
        "is its growth within the limit? | **no**",
        "may it be merged? | **no**",
        "more than --max-growth 2 %",
    ] {
        assert!(small.summary.contains(line), "{}", small.summary);
    }
    assert!(runner.artifact("pycull").join("report.html").is_file());
    assert!(!runner.artifact("small").exists());
    // GitHub would skip this job because the job that it needs failed. Its own condition prevents it too.
    assert_eq!(runner.job("publish", &[]).failed, None);
    assert_eq!(runner.place.digest("app:main"), before);
}

#[test]
fn an_image_that_did_not_grow_since_main_passes() {
    let mut runner = Runner::new("pull_request");
    runner
        .place
        .push("fedora-shaped.tar", "app:main", Some("default"));
    runner.baseline = Some("app:main");
    runner.built(&testdata("fedora-shaped.tar"));
    let small = runner.job("small", &[]);
    assert_eq!(small.failed, None, "{}", small.log);
    assert!(
        small
            .summary
            .contains("is its growth within the limit? | yes"),
        "{}",
        small.summary
    );
    assert!(runner.artifact("small").join("app-small.tar").is_file());
}

#[test]
fn what_cannot_be_read_is_no_gate() {
    let runner = Runner::new("push");
    let broken = runner.place.path().join("broken.tar");
    fs::write(&broken, "no archive").unwrap();
    runner.built(&broken);
    let small = runner.job("small", &[]);
    assert_eq!(small.failed, Some(2), "{}", small.log);
    assert!(
        small.summary.contains("may it be merged? | **unknown"),
        "{}",
        small.summary
    );
    assert!(runner.artifact("pycull").join("report.md").is_file());
    assert!(!runner.artifact("small").exists());
}

#[test]
fn a_baseline_that_is_not_there_is_no_gate() {
    let mut runner = Runner::new("pull_request");
    runner.baseline = Some("app:main");
    runner.built(&testdata("fedora-shaped.tar"));
    let small = runner.job("small", &[]);
    assert_eq!(small.failed, Some(2), "{}", small.log);
    assert!(small.log.contains("manifest unknown"), "{}", small.log);
}

#[test]
fn no_expression_is_part_of_a_script_and_permissions_are_few() {
    let workflow = document("github-actions.yml");
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    let jobs = workflow["jobs"].as_object().unwrap();
    for (name, job) in jobs {
        let may_write = job["permissions"]
            .as_object()
            .unwrap()
            .values()
            .any(|it| it == "write");
        assert_eq!(may_write, name == "publish", "{name}");
        for step in job["steps"].as_array().unwrap() {
            assert!(
                !step["run"].as_str().unwrap_or_default().contains("${{"),
                "{step}"
            );
        }
    }
}
