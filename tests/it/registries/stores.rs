//! Images in the stores of podman and docker.

use super::{Shop, image, pycull_at};
use crate::support::engines::Podman;
use crate::support::tools::{Output, pycull_command, run, tool_command};

fn pycull(podman: &Podman, arguments: &[&str]) -> Output {
    run(podman.environment(pycull_command().args(arguments)))
}

fn podman_says(podman: &Podman, arguments: &[&str]) -> String {
    let mut command = tool_command("podman");
    run(podman.environment(command.args(arguments)))
        .success()
        .text()
        .trim()
        .to_owned()
}

#[test]
fn an_image_of_podman_shrinks_where_it_is() {
    let shop = Shop::open();
    let podman = Podman::new();
    podman.take(&shop.path("put/app-v1"), "localhost/app");
    let old = podman_says(
        &podman,
        &["image", "inspect", "--format", "{{.Id}}", "localhost/app"],
    );
    let name = "containers-storage:localhost/app";
    pycull(
        &podman,
        &[
            "minimize",
            name,
            "--output",
            "containers-storage:localhost/app-small",
        ],
    )
    .success();
    let verify = [
        "verify",
        name,
        "containers-storage:localhost/app-small",
        "--profile",
        "default",
    ];
    pycull(&podman, &verify).success();
    let now = podman_says(
        &podman,
        &["image", "inspect", "--format", "{{.Id}}", "localhost/app"],
    );
    assert_eq!(now, old);
    let same = podman_says(
        &podman,
        &[
            "image",
            "inspect",
            "--format",
            "{{.Id}}",
            "localhost/app-small",
        ],
    );
    assert_ne!(same, old);
}

#[test]
fn podman_s_words_are_repeated() {
    let podman = Podman::new();
    let missing = pycull(
        &podman,
        &["inspect", "containers-storage:localhost/nothing"],
    );
    missing.refused("`podman image` failed: ");
}

#[test]
fn an_engine_that_is_not_installed_is_named() {
    let mut command = pycull_command();
    let missing = run(command
        .env("PATH", "/nonexistent")
        .args(["inspect", "docker-daemon:app"]));
    let missing = missing.refused("cannot start `docker`");
    assert!(
        missing.stderr.contains("hint: install `docker`"),
        "{}",
        missing.stderr
    );
}

#[test]
fn an_image_goes_from_a_registry_to_podman() {
    let shop = Shop::open();
    shop.put("other:v1", &image("other"));
    let podman = Podman::new();
    let from = shop.registry.image("other:v1");
    pycull(
        &podman,
        &[
            "minimize",
            &from,
            "--output",
            "containers-storage:localhost/mine:1",
        ],
    )
    .success();
    let names = podman_says(
        &podman,
        &["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
    );
    assert_eq!(names, "localhost/mine:1");
    let _ = pycull_at(&shop.path(""), &["inspect", &from]).success();
}
