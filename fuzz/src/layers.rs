//! Random valid layers through `minimize` and `verify`. The output is valid, and `verify` finds only differences in
//! bytecode. A second run changes nothing.
//!
//! The first byte of an input chooses the profile, and the second one the form. The others are the numbers that the
//! generator of random layers draws.

use pycull::layers::check_image;
use pycull::profile::{Profile, load};
use pycull::tar::{Member, Reader};

use super::image::{assert_verified, minimized, open};
use super::merged_view::assert_merges;
use crate::random_layers::generator::{Form, drawn};
use crate::support::random::Random;
use crate::support::{ImageBuilder, Layered};

const PROFILES: [(&str, &[&str]); 7] = [
    ("default", &[]),
    ("minimal", &[]),
    ("levels-0-1", &[]),
    ("all", &["missing=\"leave\""]),
    ("default", &["levels=[1]", "dead=\"keep\""]),
    (
        "default",
        &["levels=[0, 2]", "stale=\"keep\"", "hardlink=false"],
    ),
    ("default", &["invalidation=\"unchecked-hash\""]),
];

const COMPRESSIONS: [Layered; 3] = [Layered::Plain, Layered::Gzip, Layered::Zstd];

pub fn run(input: &[u8]) {
    let Some((&[profile, form], numbers)) = input.split_first_chunk() else {
        return;
    };
    let profile = profile_of(profile);
    let compression = COMPRESSIONS[usize::from(form >> 1) % COMPRESSIONS.len()];
    let form = match form & 1 {
        0 => Form::OneUponTheOther,
        _ => Form::EachAlone,
    };
    let layers = drawn(Random::of_bytes(numbers), form);
    let members: Vec<Vec<Member>> = layers.iter().map(|it| members(&it.build())).collect();
    assert_merges(&members);
    let image = layers
        .into_iter()
        .fold(ImageBuilder::new(), |image, layer| {
            image.layer_as(layer, compression)
        });
    let directory = tempfile::tempdir().unwrap();
    image.write(directory.path());
    let before = open(&format!("oci:{}", directory.path().display()), &[]).unwrap();
    check_image(&*before.store, &before.root).unwrap();
    let first = minimized(&before, &profile).unwrap();
    let after = open("oci-archive:-", &first).unwrap();
    check_image(&*after.store, &after.root).unwrap();
    assert_verified(&before, &after);
    let second = minimized(&after, &profile).unwrap();
    assert!(second == first, "a second run changes something");
}

fn profile_of(number: u8) -> Profile {
    let (name, settings) = PROFILES[usize::from(number) % PROFILES.len()];
    let settings: Vec<String> = settings.iter().map(|it| (*it).to_owned()).collect();
    load(name, &settings).unwrap()
}

fn members(archive: &[u8]) -> Vec<Member> {
    let mut reader = Reader::new(archive);
    std::iter::from_fn(|| reader.next_member().unwrap()).collect()
}

/// Random numbers for each profile and form.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut random = Random::new("layers");
    let seed = |number: u8| {
        let numbers = random.bytes(150);
        [&[number % 7, number / 7][..], &numbers].concat()
    };
    (0..42).map(seed).collect()
}
