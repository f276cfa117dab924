//! More than thirty kinds of damage that `verify` refuses. The image without the damage is accepted.

use pycull::pyc::{Magic, source_hash};
use serde_json::{Value, json};
use tar::EntryType;

use super::image::{CHUNKED, Entry, Image, SOURCE, cache, library_cache, verified};
use crate::support::builder::SOURCE_MTIME;
use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_of, hash_cache_39};
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// A kind of damage: its name, the change, and the difference that `verify` must report.
struct Damage {
    name: &'static str,
    act: fn(&mut Image),
    /// The profile to verify with.
    profile: &'static [&'static str],
    path: String,
    what: &'static str,
}

fn damage(name: &'static str, path: &str, what: &'static str, act: fn(&mut Image)) -> Damage {
    Damage {
        name,
        act,
        profile: &[],
        path: path.to_owned(),
        what,
    }
}

impl Damage {
    fn against(self, profile: &'static [&'static str]) -> Self {
        Self { profile, ..self }
    }
}

fn to_files() -> Vec<Damage> {
    vec![
        damage(
            "a byte flipped",
            "usr/lib/libx.so",
            "content differs",
            |image| {
                image.entry("usr/lib/libx.so").data[50_000] ^= 1;
            },
        ),
        damage(
            "a mode bit",
            "usr/bin/ping",
            "mode was 0755, is 0754",
            |image| {
                image.entry("usr/bin/ping").mode = 0o754;
            },
        ),
        damage(
            "a set-id bit",
            "app/main.py",
            "mode was 0644, is 4644",
            |image| {
                image.entry("app/main.py").mode = 0o4644;
            },
        ),
        damage(
            "the mode of a directory",
            "var/lib/dir",
            "mode was 0755, is 0700",
            |image| {
                image.entry("var/lib/dir").mode = 0o700;
            },
        ),
        damage(
            "an owner",
            "etc/passwd",
            "owner was 0:0, is 1000:0",
            |image| {
                let entry = image.entry("etc/passwd");
                *entry = entry.clone().pax("uid", "1000");
            },
        ),
        damage("a group", "etc/passwd", "owner was 0:0, is 0:9", |image| {
            let entry = image.entry("etc/passwd");
            *entry = entry.clone().pax("gid", "9");
        }),
        damage(
            "an xattr lost",
            "usr/bin/ping",
            "xattr security.capability is gone",
            |image| {
                image.entry("usr/bin/ping").pax.remove(0);
            },
        ),
        damage(
            "an xattr changed",
            "usr/bin/ping",
            "xattr user.note has another value",
            |image| {
                let entry = image.entry("usr/bin/ping");
                *entry = entry.clone().pax("SCHILY.xattr.user.note", "b");
            },
        ),
        damage(
            "an xattr added",
            "app/main.py",
            "xattr user.new is new",
            |image| {
                let entry = image.entry("app/main.py");
                *entry = entry.clone().pax("SCHILY.xattr.user.new", "");
            },
        ),
        damage(
            "a hardlink split",
            "usr/lib/libx.so.1",
            "no longer a hardlink",
            |image| {
                let data = image.entry("usr/lib/libx.so").data.clone();
                *image.entry("usr/lib/libx.so.1") = Entry::file("usr/lib/libx.so.1", data);
            },
        ),
        damage(
            "two files linked",
            "usr/share/b.txt",
            "a hardlink of usr/share/a.txt",
            |image| {
                *image.entry("usr/share/b.txt") =
                    Entry::link("usr/share/b.txt", EntryType::Link, "usr/share/a.txt");
            },
        ),
        damage(
            "the header of a hardlink",
            "usr/lib/libx.so.1",
            "is 0600",
            |image| {
                image.entry("usr/lib/libx.so.1").mode = 0o600;
            },
        ),
        damage(
            "the time in a header that a hardlink's own hides",
            "usr/lib/libx.so",
            "in its own header: mtime was 1600000000.000000000, is 1500000000",
            |image| {
                let entry = image.entry("usr/lib/libx.so");
                *entry = entry.clone().pax("mtime", "1500000000");
            },
        ),
        damage(
            "a nanosecond",
            "etc/passwd",
            "is 1600000000.500000001",
            |image| {
                let entry = image.entry("etc/passwd");
                *entry = entry.clone().pax("mtime", "1600000000.500000001");
            },
        ),
        damage(
            "a second",
            "var/lib/dir",
            "is 1600000001.000000000",
            |image| {
                let entry = image.entry("var/lib/dir");
                *entry = entry.clone().pax("mtime", "1600000001");
            },
        ),
        damage(
            "the mtime of a cache directory",
            &format!("{STDLIB}/__pycache__"),
            "mtime",
            |image| {
                let entry = image.entry(&format!("{STDLIB}/__pycache__"));
                *entry = entry.clone().pax("mtime", "1600000001");
            },
        ),
        damage(
            "a symlink made absolute",
            "usr/lib/libz.so",
            "is /usr/lib/libx.so",
            |image| {
                image.entry("usr/lib/libz.so").link = "/usr/lib/libx.so".to_owned();
            },
        ),
        damage(
            "a symlink retargeted",
            "usr/lib/libz.so",
            "link target was",
            |image| {
                image.entry("usr/lib/libz.so").link = "../lib/liby.so".to_owned();
            },
        ),
        damage("a whiteout lost", "etc/gone", "is new", |image| {
            image.remove("etc/.wh.gone");
        }),
        damage(
            "an opaque whiteout lost",
            "opt/dir/old",
            "is new",
            |image| {
                image.remove("opt/dir/.wh..wh..opq");
            },
        ),
        damage("a whiteout too many", "etc/passwd", "is gone", |image| {
            image.add(Entry::file("etc/.wh.passwd", ""));
        }),
        damage("an extra file", "etc/extra", "is new", |image| {
            image.add(Entry::file("etc/extra", ""));
        }),
        damage("a missing file", "usr/share/a.txt", "is gone", |image| {
            image.remove("usr/share/a.txt");
        }),
        damage(
            "a missing source",
            &format!("{STDLIB}/one.py"),
            "is gone",
            |image| {
                image.remove(&format!("{STDLIB}/one.py"));
            },
        ),
        damage("a missing directory", "var/lib/dir", "is gone", |image| {
            image.remove("var/lib/dir");
        }),
        damage(
            "a directory without an entry",
            STDLIB,
            "its own entry is gone",
            |image| {
                image.remove(STDLIB);
            },
        ),
        damage(
            "an entry for an implied directory",
            "usr/share",
            "has an entry of its own, and had none before",
            |image| {
                let entry = Entry::directory("usr/share");
                image.add(entry.pax("uid", "5"));
            },
        ),
        damage(
            "a directory that ends as a cache directory",
            "opt/x__pycache__",
            "is gone",
            |image| {
                image.remove("opt/x__pycache__/one.cpython-39.pyc");
                image.remove("opt/x__pycache__");
            },
        ),
        damage(
            "bytecode in a directory that ends as a cache directory",
            "opt/x__pycache__/one.cpython-39.pyc",
            "is gone",
            |image| image.remove("opt/x__pycache__/one.cpython-39.pyc"),
        ),
        damage(
            "a file turned directory",
            "etc/empty",
            "was a file, is a directory",
            |image| {
                *image.entry("etc/empty") = Entry::directory("etc/empty");
            },
        ),
        damage(
            "a directory turned file",
            "var/lib/dir",
            "was a directory, is a file",
            |image| {
                *image.entry("var/lib/dir") = Entry::file("var/lib/dir", "");
            },
        ),
        damage("a fifo removed", "run/pipe", "is gone", |image| {
            image.remove("run/pipe")
        }),
        damage(
            "a device number",
            "dev/null",
            "device was 1:3, is 1:5",
            |image| {
                image.entry("dev/null").device = (1, 5);
            },
        ),
        damage(
            "a device turned block",
            "dev/null",
            "was a character device, is a block",
            |image| {
                image.entry("dev/null").kind = EntryType::Block;
            },
        ),
        damage(
            "an empty file filled",
            "etc/empty",
            "size was 0 bytes, is 1",
            |image| {
                image.entry("etc/empty").data = b"x".to_vec();
            },
        ),
        damage(
            "a file truncated",
            "usr/lib/libx.so",
            "size was 100000 bytes, is 99999",
            |image| {
                image.entry("usr/lib/libx.so").data.pop();
            },
        ),
    ]
}

const DEFAULT: &[&str] = &["--profile", "default"];

fn to_caches() -> Vec<Damage> {
    let one = library_cache("one", 0);
    let in_directory = |name: &str| format!("{STDLIB}/__pycache__/{name}");
    vec![
        damage(
            "a cache of a kept level missing",
            &one,
            "the profile keeps level 0",
            |image| {
                image.remove(&library_cache("one", 0));
            },
        )
        .against(DEFAULT),
        damage(
            "a level that is not kept",
            &library_cache("one", 1),
            "is still there",
            |image| {
                image.add(Entry::file(&library_cache("one", 1), cache("one 1")));
            },
        )
        .against(DEFAULT),
        damage(
            "a cache that nobody asked for",
            &library_cache("os", 0),
            "does not ask for it",
            |image| {
                image.add(Entry::file(&library_cache("os", 0), cache("os")));
            },
        )
        .against(DEFAULT),
        damage(
            "a cache out of scope removed",
            &library_cache("two", 1),
            "outside the scope",
            |_| {},
        )
        .against(&["--profile", "default", "--set", "exclude=[\"**/two.*\"]"]),
        damage("a header changed", &one, "has another header", |image| {
            let hash = source_hash(Magic(MAGIC_39), SOURCE.as_bytes());
            image.entry(&library_cache("one", 0)).data = hash_cache_39(3, hash, b"one 0");
        })
        .against(DEFAULT),
        damage(
            "a fresh cache made stale",
            &one,
            "was fresh, but is stale",
            |image| {
                image.entry(&library_cache("one", 0)).data[8] ^= 1;
            },
        ),
        damage(
            "a cache with a broken body",
            &one,
            "but is malformed",
            |image| {
                image.entry(&library_cache("one", 0)).data.truncate(40);
            },
        ),
        damage(
            "a cache that is another module's",
            &one,
            "has other code",
            |image| {
                image.entry(&library_cache("one", 0)).data = cache("two 0");
            },
        ),
        damage(
            "another module's, linked",
            &library_cache("two", 0),
            "has become a hardlink",
            |image| {
                let path = library_cache("two", 0);
                *image.entry(&path) = Entry::link(&path, EntryType::Link, &library_cache("one", 0));
            },
        ),
        damage(
            "a cache of another interpreter",
            &one,
            "is for another interpreter",
            |image| {
                let cache = cache_of(MAGIC_39 - 1, 1_600_000_000, 9, b"one 0");
                image.entry(&library_cache("one", 0)).data = cache;
            },
        ),
        damage(
            "a cache that nobody may read",
            &one,
            "mode was 0644, is 0000",
            |image| {
                image.entry(&library_cache("one", 0)).mode = 0;
            },
        ),
        damage(
            "a new cache that is stale",
            &library_cache("os", 0),
            "is new, but is stale",
            |image| {
                let cache = cache_39(1, SOURCE.len() as u32, b"os");
                image.add(Entry::file(&library_cache("os", 0), cache));
            },
        ),
        damage(
            "a new cache without a source",
            &library_cache("none", 0),
            "has no source",
            |image| {
                image.add(Entry::file(&library_cache("none", 0), cache("none")));
            },
        ),
        damage(
            "no cache by its content",
            &library_cache("os", 0),
            "is malformed",
            |image| {
                image.add(Entry::file(
                    &library_cache("os", 0),
                    "#!/bin/sh\nexec evil\n",
                ));
            },
        ),
        damage(
            "no cache by its name",
            &in_directory("evil.sh"),
            "is new",
            |image| {
                image.add(Entry::file(
                    &format!("{STDLIB}/__pycache__/evil.sh"),
                    "evil",
                ));
            },
        ),
        damage(
            "no cache of CPython's",
            &in_directory("one.pypy39.pyc"),
            "is new",
            |image| {
                image.add(Entry::file(
                    &format!("{STDLIB}/__pycache__/one.pypy39.pyc"),
                    "x",
                ));
            },
        ),
        damage(
            "a cache that is a symlink",
            &one,
            "was a file, is a symlink",
            |image| {
                let path = library_cache("one", 0);
                *image.entry(&path) = Entry::link(&path, EntryType::Symlink, "../os.py");
            },
        ),
        damage(
            "a cache directory for nothing",
            "app/__pycache__",
            "is new",
            |image| {
                image.add(Entry::directory("app/__pycache__"));
            },
        ),
    ]
}

fn to_documents() -> Vec<Damage> {
    vec![
        damage("a history entry lost", "/history/2", "is gone", |image| {
            image.history.as_array_mut().unwrap().pop();
        }),
        damage(
            "a history reordered",
            "/history/0",
            "differs from the entry",
            |image| {
                image.history.as_array_mut().unwrap().swap(0, 2);
            },
        ),
        damage(
            "a history entry too many",
            "/history",
            "3 entries for layers",
            |image| {
                let history = image.history.as_array_mut().unwrap();
                history.push(json!({"created_by": "nothing"}));
            },
        ),
        damage(
            "a new entry about no layer",
            "/history/3",
            "is new, but belongs to no layer",
            |image| {
                let history = image.history.as_array_mut().unwrap();
                history.push(json!({"created_by": "nothing", "empty_layer": true}));
            },
        ),
        damage(
            "no history",
            "/history",
            "only one of the images",
            |image| {
                image.history = Value::Null;
            },
        ),
        damage(
            "an env changed",
            "/config/Env/1",
            "was \"LANG=C.UTF-8\", is \"LANG=C\"",
            |image| {
                image.config["Env"][1] = json!("LANG=C");
            },
        ),
        damage(
            "an env lost",
            "/config/Env",
            "is [\"PATH=/usr/bin\"]",
            |image| {
                image.config["Env"].as_array_mut().unwrap().pop();
            },
        ),
        damage(
            "an entrypoint changed",
            "/config/Entrypoint/0",
            "is \"/bin/sh\"",
            |image| {
                image.config["Entrypoint"][0] = json!("/bin/sh");
            },
        ),
        damage(
            "a label lost",
            "/config/Labels/org.example.a~1b",
            "is gone",
            |image| {
                image.config["Labels"] = json!({});
            },
        ),
        damage(
            "a user changed",
            "/config/User",
            "was \"1000\", is \"0\"",
            |image| {
                image.config["User"] = json!("0");
            },
        ),
        damage("a setting added", "/config/Volumes", "is new", |image| {
            image.config["Volumes"] = json!({"/data": {}});
        }),
        damage(
            "an annotation changed",
            "/annotations/org.example.note",
            "was \"kept\"",
            |image| {
                image.annotations = json!({"org.example.note": "lost"});
            },
        ),
        damage(
            "a layer's annotation lost",
            "/layers/0/annotations",
            "is gone",
            |image| {
                image.layer_annotations = json!({});
            },
        ),
        damage(
            "a layer's annotation about other bytes",
            "/layers/0/annotations/io.github.containers.zstd-chunked.manifest-checksum",
            "describes bytes that were replaced",
            |image| image.layer_annotations[CHUNKED] = json!(format!("sha256:{}", "0".repeat(64))),
        ),
    ]
}

fn named(report: &Value, damage: &Damage) -> bool {
    let images = report["images"].as_array().unwrap();
    let image = images
        .iter()
        .find(|image| image["platform"] == "linux/amd64")
        .unwrap();
    let differences = image["differences"].as_array().unwrap();
    image["verdict"] == "different"
        && differences.iter().any(|difference| {
            let what = difference["what"].as_str().unwrap();
            difference["path"] == damage.path && what.contains(damage.what)
        })
}

#[track_caller]
fn refuses(all: Vec<Damage>) {
    let before = Image::sound();
    let mut wrong = Vec::new();
    for damage in all {
        let mut after = Image::without_level_1();
        (damage.act)(&mut after);
        let arguments = [damage.profile, &["--format", "json"]].concat();
        let output = verified(&before, &after, &arguments);
        if output.code != Some(1) || !named(&output.json(), &damage) {
            let said = output.text() + &output.stderr;
            wrong.push(format!(
                "{}: exit code {:?}, {said}",
                damage.name, output.code
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_image_without_damage_is_accepted() {
    for arguments in [&[][..], DEFAULT] {
        let output = verified(&Image::sound(), &Image::without_level_1(), arguments);
        assert_eq!(output.code, Some(0), "{}{}", output.text(), output.stderr);
        let text = output.text();
        assert!(
            text.contains("caches: 2 removed, 0 added, 0 changed"),
            "{text}"
        );
        assert!(
            text.contains("same: nothing but bytecode differs"),
            "{text}"
        );
    }
}

#[test]
fn every_damage_to_a_file_is_named() {
    refuses(to_files());
}

#[test]
fn every_damage_to_a_cache_is_named() {
    refuses(to_caches());
}

#[test]
fn every_damage_to_a_document_is_named() {
    refuses(to_documents());
}

/// The existing cache is fresh. The difference is that the profile did not ask for it.
#[test]
fn a_stale_cache_that_a_fresh_one_replaced_is_not_called_stale() {
    let mut before = Image::sound();
    before.entry(&library_cache("two", 0)).data = cache_39(1, SOURCE.len() as u32, b"old");
    let output = verified(
        &before,
        &Image::without_level_1(),
        &["--profile", "default", "--format", "json"],
    );
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let differences = output.json()["images"][0]["differences"].clone();
    let what = "was replaced by a fresh cache, although the profile does not compile";
    let expected = json!([{"part": "rootfs", "path": library_cache("two", 0), "what": what}]);
    assert_eq!(differences, expected);
}

#[test]
fn a_platform_that_is_lost_is_a_difference() {
    let mut after = Image::without_level_1();
    after.platforms.pop();
    let output = verified(&Image::sound(), &after, &["--format", "json"]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert_eq!(output.json()["unmatched"], json!(["linux/arm64"]));
    let text = verified(&Image::sound(), &after, &[]).text();
    assert!(
        text.contains("only one of the images has linux/arm64"),
        "{text}"
    );
}

/// Engines do not extract such an image, so there is no merged file system to compare.
#[test]
fn a_wrong_diff_id_is_an_error_that_names_the_image() {
    let mut after = Image::without_level_1();
    after.wrong_diff_id = true;
    let output = verified(&Image::sound(), &after, &[]).refused("diff_id");
    assert!(
        output
            .stderr
            .contains("/new`: image linux/amd64: cannot process layer 1 (sha256:"),
        "{}",
        output.stderr
    );
}

/// Trap 4: docker refuses to push such a layer.
#[test]
fn a_hardlink_that_has_a_size_is_a_difference() {
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    let layer = LayerBuilder::new().file("a", "x");
    ImageBuilder::of([layer.clone().hardlink("b", "a")]).write(&old);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(EntryType::Link);
    header.set_path("b").unwrap();
    header.set_link_name("a").unwrap();
    header.set_mode(0o644);
    header.set_mtime(SOURCE_MTIME);
    header.set_size(1);
    header.set_cksum();
    ImageBuilder::of([layer.raw_member(header.as_bytes())]).write(&new);
    let output = pycull(["verify", old.to_str().unwrap(), new.to_str().unwrap()]);
    assert_eq!(output.code, Some(1), "{}{}", output.text(), output.stderr);
    let what = "the size field of hardlink `b` is 1";
    assert!(output.text().contains(what), "{}", output.text());
}

#[test]
fn settings_need_a_profile_and_one_image_may_be_on_standard_input() {
    let image = Image::sound();
    assert_eq!(
        verified(&image, &image, &["--set", "levels=[0]"]).code,
        Some(2)
    );
    pycull(["verify", "-", "-"]).refused("standard input");
    pycull(["verify", "-", "-", "--profile", "defualt"]).refused("standard input");
    verified(&image, &image, &["--profile", "defualt"]).refused("defualt");
}

/// The differences between the files of the first platform, each as its path and the text.
fn differences(before: &Image, after: &Image) -> Vec<(String, String)> {
    let report = verified(before, after, &["--format", "json"]).json();
    let images = report["images"].as_array().unwrap();
    let mut found = images
        .iter()
        .filter(|image| image["platform"] == "linux/amd64");
    let found = found.next().unwrap()["differences"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = found.as_array().unwrap().iter();
    found
        .filter(|it| it["part"] == "rootfs")
        .map(|it| (text(&it["path"]), text(&it["what"])))
        .collect()
}

fn difference(path: &str, what: &str) -> (String, String) {
    (path.to_owned(), what.to_owned())
}

#[test]
fn content_that_differs_at_the_same_place_of_a_layer_is_found() {
    let before = Image::sound();
    let mut after = before.clone();
    after.entry("usr/lib/libx.so").data[50_000] ^= 1;
    let names = ["usr/lib/libx.so", "usr/lib/libx.so.1"];
    let expected = names.map(|name| difference(name, "content differs"));
    assert_eq!(differences(&before, &after), expected);
}

#[test]
fn of_two_names_the_one_that_is_lost_is_the_only_difference() {
    let before = Image::sound();
    let mut after = before.clone();
    after.remove("usr/lib/libx.so.1");
    let expected = [difference("usr/lib/libx.so.1", "is gone")];
    assert_eq!(differences(&before, &after), expected);
}

/// umoci and GNU tar apply only the header of the first name.
#[test]
fn an_attribute_that_the_header_of_another_name_hides_is_compared() {
    let noted = |first: &str| {
        let mut image = Image::sound();
        for (path, value) in [("usr/lib/libx.so", first), ("usr/lib/libx.so.1", "last")] {
            let entry = image.entry(path);
            *entry = entry.clone().pax("SCHILY.xattr.user.note", value);
        }
        image
    };
    let what = "in its own header: xattr user.note has another value";
    let expected = [difference("usr/lib/libx.so", what)];
    assert_eq!(differences(&noted("a"), &noted("b")), expected);
    assert_eq!(differences(&noted("a"), &noted("a")), []);
}

/// Some archivers write extended attributes only at the name that has the data.
#[test]
fn attributes_may_move_to_another_name_together_with_the_data() {
    let mut before = Image::sound();
    let entry = before.entry("usr/lib/libx.so");
    *entry = entry.clone().pax("SCHILY.xattr.user.note", "a");
    let mut after = before.clone();
    let [file, link] = ["usr/lib/libx.so", "usr/lib/libx.so.1"];
    after.entry(link).link = link.to_owned();
    after.entry(link).path = "moved".to_owned();
    after.entry(file).path = link.to_owned();
    after.entry("moved").path = file.to_owned();
    assert_eq!(differences(&before, &after), []);
}

/// Python imports the source instead of the bytecode only under a name that an import can have.
#[test]
fn bytecode_beside_its_source_may_go_only_if_python_imports_the_source() {
    for (name, is_lost) in [("tool", false), ("tool.v1", true)] {
        let mut after = Image::sound();
        after.add(Entry::file(&format!("app/{name}.py"), SOURCE));
        let mut before = after.clone();
        let bytecode = format!("app/{name}.pyc");
        before.add(Entry::file(&bytecode, cache("tool")));
        let lost = difference(&bytecode, "is gone");
        let expected = Vec::from_iter(is_lost.then_some(lost));
        assert_eq!(differences(&before, &after), expected);
    }
}

#[test]
fn a_stale_cache_that_the_profile_compiles_again_may_not_stay() {
    let path = library_cache("two", 0);
    let mut image = Image::without_level_1();
    image.entry(&path).data = cache_39(1, SOURCE.len() as u32, b"old");
    let profile = ["--profile", "default", "--set", "stale=compile"];
    let output = verified(&image, &image, &profile);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let text = output.text();
    assert!(text.contains("is unchanged, although"), "{text}");
    let keeps = ["--profile", "default", "--set", "stale=keep"];
    verified(&image, &image, &keeps).success();
}
