//! Images in the stores of podman and docker.

use super::{Shop, image, manifest, pycull_at};
use crate::support::engines::Podman;
use crate::support::tools::{Output, pycull_command, run, testdata, tool, tool_command};

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
fn temporary_files_of_podman_go_with_an_interrupted_run() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("temporary");
    std::fs::create_dir(&place).unwrap();
    let script = "#!/bin/sh\ncase $1 in\n\
        info) echo \"$TMPDIR\";;\n\
        image) echo application/vnd.oci.image.manifest.v1+json;;\n\
        save) echo layers > \"$TMPDIR/podman-file\"; kill -INT $PPID; exec sleep 30 > /dev/null;;\n\
        esac\n";
    std::fs::write(home.path().join("script"), script).unwrap();
    // Another process writes the program, so that no child of another test holds it open for writing.
    let mut install = tool_command("install");
    run(install
        .current_dir(&home)
        .args(["-m", "755", "script", "podman"]))
    .success();
    let mut command = pycull_command();
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    command.env("PATH", path).env("TMPDIR", &place);
    let ended = run(command.args(["inspect", "containers-storage:app"]));
    assert_eq!(ended.code, None, "{}", ended.stderr);
    let left: Vec<_> = place.read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
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

/// Engines save an image without compression. podman saves one in Docker's format, with a health check, as an old
/// docker archive.
#[test]
fn a_registry_gets_the_image_of_an_engine_compressed_and_in_its_own_format() {
    let shop = Shop::open();
    let podman = Podman::new();
    podman.take(&shop.path("put/app-v1"), "localhost/base");
    let file = shop.path("Containerfile");
    std::fs::write(&file, "FROM localhost/base\nHEALTHCHECK CMD true\n").unwrap();
    let build = [
        "build",
        "--quiet",
        "--format",
        "docker",
        "--isolation",
        "chroot",
        "--tag",
        "localhost/healthy",
        "--file",
    ];
    podman_says(
        &podman,
        &[
            &build[..],
            &[file.to_str().unwrap(), shop.path("").to_str().unwrap()],
        ]
        .concat(),
    );
    let to = shop.registry.image("healthy:small");
    pycull(
        &podman,
        &[
            "minimize",
            "containers-storage:localhost/healthy",
            "--output",
            &to,
        ],
    )
    .success();
    let manifest = manifest(&to);
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    let mut types = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["mediaType"]);
    assert!(
        types.all(|it| it == "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        "{manifest}"
    );
    let config = tool(
        "skopeo",
        ["inspect", "--tls-verify=false", "--config", "--raw", &to],
    )
    .success();
    assert!(config.text().contains("Healthcheck"), "{}", config.text());
    pycull(
        &podman,
        &["verify", "containers-storage:localhost/healthy", &to],
    )
    .success();
}

#[test]
fn an_archive_without_compression_goes_to_a_registry_compressed() {
    let shop = Shop::open();
    for name in ["docker-old.tar", "docker-new.tar"] {
        let from = testdata(name);
        let to = shop
            .registry
            .image(&format!("{}:small", name.replace(".tar", "")));
        pycull_at(
            &shop.path(""),
            &["minimize", from.to_str().unwrap(), "--output", &to],
        )
        .success();
        let manifest = manifest(&to);
        let mut types = manifest["layers"].as_array().unwrap().iter();
        assert!(
            types.all(|it| it["mediaType"].as_str().unwrap().ends_with("gzip")),
            "{manifest}"
        );
        pycull_at(
            &shop.path(""),
            &[
                "verify",
                from.to_str().unwrap(),
                &to,
                "--profile",
                "default",
            ],
        )
        .success();
    }
}

/// Sizes are those that podman would push.
#[test]
fn an_image_of_podman_is_compared_with_one_of_a_registry() {
    let shop = Shop::open();
    let podman = Podman::new();
    podman.take(&shop.path("put/app-v1"), "localhost/app");
    let (before, after) = (
        shop.registry.image("app:v1"),
        "containers-storage:localhost/app",
    );
    let compared = pycull(&podman, &["compare", &before, after]).success();
    assert!(
        !compared.text().contains("cannot compare"),
        "{}",
        compared.text()
    );
    let report = pycull(&podman, &["compare", &before, after, "--format", "json"]);
    let totals = &report.success().json()["images"][0]["totals"];
    let bytes = |name: &str| totals[name].as_u64().unwrap();
    assert!(
        bytes("compressed_after") < bytes("uncompressed_after"),
        "{totals}"
    );
}

#[test]
fn an_image_of_podman_is_verified_against_a_file() {
    let shop = Shop::open();
    let podman = Podman::new();
    let layout = shop.path("put/app-v1");
    podman.take(&layout, "localhost/app");
    let before = layout.to_str().unwrap();
    let verify = ["verify", before, "containers-storage:localhost/app"];
    pycull(&podman, &verify).success();
}

/// The report has the sizes that the registry has.
#[test]
fn layers_that_are_compressed_on_the_way_are_counted_as_compressed() {
    let shop = Shop::open();
    let plain = crate::support::LayerBuilder::new().file("usr/share/text", vec![b'x'; 500_000]);
    let image = crate::support::ImageBuilder::new().layer_as(plain, crate::support::Layered::Plain);
    let layout = shop.path("plain");
    image.write(&layout);
    let to = shop.registry.image("plain:v1");
    let minimize = [
        "minimize",
        layout.to_str().unwrap(),
        "--output",
        &to,
        "--format",
        "json",
    ];
    let report = super::pycull_at(&shop.path(""), &minimize).success().json();
    let layer = &report["images"][0]["layers"][0];
    assert_eq!(layer["action"], "rewritten");
    let stored = &manifest(&to)["layers"][0];
    assert_eq!(layer["after"]["compressed_bytes"], stored["size"]);
    assert_eq!(
        report["images"][0]["after"]["compressed_bytes"],
        stored["size"]
    );
}
