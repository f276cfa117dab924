//! Mutations of inputs, like those of a fuzzer without coverage.

use crate::support::random::Random;

/// Maximum size of an input in bytes, unless its seed is larger.
const LONGEST: usize = 64 << 10;

/// Bytes and numbers at the limits of what fields hold.
const EDGES: [&[u8]; 8] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\0\0\0\0\0\0\0\0",
];

/// A random seed with a few changes.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..*random.pick(&[1, 1, 1, 2, 4]) {
        let other = &seeds[random.below(seeds.len())];
        change(&mut input, other, random);
    }
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let place = random.below(input.len() + 1);
    let stretch = place..(place + length(random)).min(input.len());
    match random.below(9) {
        0 | 1 if place < input.len() => input[place] ^= 1 << random.below(8),
        2 if place < input.len() => input[place] = random.bytes(1)[0],
        3 => overwrite(input, place, EDGES[random.below(EDGES.len())]),
        4 => drop(input.drain(stretch)),
        5 => input.truncate(place),
        _ if input.len() > LONGEST => {}
        6 => {
            let noise = random.below(8);
            drop(input.splice(place..place, random.bytes(noise)));
        }
        7 => {
            let again = input[stretch].to_vec();
            let to = random.below(input.len() + 1);
            drop(input.splice(to..to, again));
        }
        _ => {
            // Replaces a range by one of another seed, often from the same place.
            let from = match random.one_in(2) {
                true => random.below(other.len() + 1),
                false => place.min(other.len()),
            };
            let end = (from + length(random)).min(other.len());
            drop(input.splice(stretch, other[from..end].iter().copied()));
        }
    }
}

fn overwrite(input: &mut [u8], place: usize, bytes: &[u8]) {
    for (old, new) in input[place..].iter_mut().zip(bytes) {
        *old = *new;
    }
}

/// A random length. Short ones are more likely.
fn length(random: &mut Random) -> usize {
    let most = *random.pick(&[4, 16, 64, 512, 4096]);
    1 + random.below(most)
}
