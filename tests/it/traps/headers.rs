//! Trap 23, and the hand-made part of trap 22: bytes around members.

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::stream::{assert_untouched, cut};
use crate::support::{ImageBuilder, LayerBuilder, Layered, inspected, minimized, pycull};

fn python() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
}

const JUNK: &[u8] = b"bytes after the end that belong to the diff_id";

/// Trap 23: bytes after the end of the tar stream belong to the diff_id.
#[test]
fn a_layer_is_read_to_its_last_byte_before_its_diff_id_is_trusted() {
    for compression in [Layered::Plain, Layered::Gzip, Layered::Zstd] {
        let image = ImageBuilder::new().layer_as(python().trailing(JUNK), compression);
        inspected(&image);
    }
    let wrong = ImageBuilder::new()
        .layer(python().trailing(JUNK))
        .edit_config(|config| {
            let digest = pycull::oci::digest::sha256_digest(&python().build());
            config["rootfs"]["diff_ids"][0] = digest.to_string().into();
        });
    let directory = tempfile::tempdir().unwrap();
    wrong.write(directory.path());
    pycull(["inspect", directory.path().to_str().unwrap()]).refused("diff_id");
}

/// Trap 23: the new layer also has the bytes after the end.
#[test]
fn bytes_after_the_end_survive_a_rewrite() {
    let layer = python().trailing(&[&[0; 8192][..], JUNK].concat());
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert!(after.ends_with(JUNK));
    let gone = [1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&gone[0], &gone[1]], &[]);
}

/// Trap 23: an archive may end without its end marker.
#[test]
fn an_archive_without_an_end_marker_keeps_having_none() {
    let tar = python().build();
    let tar = tar[..tar.len() - 1024].to_vec();
    let done = minimized(&ImageBuilder::new().layer_tar(tar, Layered::Gzip), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_eq!(cut(&after).1, b"");
    let gone = [1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&gone[0], &gone[1]], &[]);
}

/// Trap 22: a pax global header is a member, and keeps its place.
#[test]
fn a_pax_global_header_stays_before_what_follows_it() {
    let record = b"31 comment=made by a global hea\n";
    assert_eq!(record.len(), 32);
    let record = [&b"32"[..], &record[2..]].concat();
    let layer = python()
        .member(
            "pax_global_header",
            tar::EntryType::XGlobalHeader,
            0o644,
            "",
            &record,
        )
        .cache(STDLIB, "m", 2, "# m\n", "again")
        .file("etc/after", "a");
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    let gone = [1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&gone[0], &gone[1]], &[]);
    let flags: Vec<u8> = cut(&after).0.iter().map(|(_, slice)| slice.flag).collect();
    assert_eq!(flags.iter().filter(|flag| **flag == b'g').count(), 1);
}

/// Trap 22: padding is copied, whatever it contains.
#[test]
fn padding_that_is_not_zero_is_copied() {
    let mut tar = python().file("etc/last", "l").build();
    let end = tar.len() - 1024;
    tar[end - 500..end].fill(b'#');
    let done = minimized(&ImageBuilder::new().layer_tar(tar, Layered::Gzip), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert!(after[..after.len() - 1024].ends_with(&[b'#'; 500]));
    let gone = [1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&gone[0], &gone[1]], &[]);
}

/// Trap 22: a member of an unknown type passes through.
#[test]
fn a_member_of_unknown_type_passes_through() {
    let layer = python().member(
        "etc/odd",
        tar::EntryType::new(b'Z'),
        0o644,
        "",
        b"what is it",
    );
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    ImageBuilder::of([layer]).write(&input);
    // No engine extracts this member, so only the stream can be checked.
    crate::support::scene::minimize(&input, &output, &[]);
    let tar = |layout: &std::path::Path| crate::support::Layout::new(layout).layer_tar(0);
    let gone = [1, 2].map(|level| cache_path(STDLIB, "m", level));
    let (before, after) = (tar(&input), tar(&output));
    assert_eq!(before.len() - after.len(), 2 * 1024);
    assert!(after.windows(10).any(|window| window == b"what is it"));
    let names: Vec<String> = crate::support::Layout::new(&output).names(0);
    assert!(names.contains(&"etc/odd".to_owned()) && !names.contains(&gone[0]));
}
