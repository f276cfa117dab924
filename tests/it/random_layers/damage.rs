//! Images with one error.

use crate::support::random::Random;
use crate::support::stream::cut;
use crate::support::tree::Tree;

use super::compared::is_cache_name;

/// Drops or changes a random member that is not a cache. Returns `None` if there is no such member.
pub fn damaged(layers: &[Vec<u8>], tree: &Tree, random: &mut Random) -> Option<Vec<Vec<u8>>> {
    let mut victims = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        for (place, (name, _)) in cut(layer).0.iter().enumerate() {
            if tree.0.contains_key(name) && !is_cache_name(name) {
                victims.push((number, place));
            }
        }
    }
    if victims.is_empty() {
        return None;
    }
    let (number, place) = *random.pick(&victims);
    let (members, end) = cut(&layers[number]);
    let mut new = Vec::new();
    for (index, (_, slice)) in members.iter().enumerate() {
        match index == place {
            true => new.extend(changed(slice.bytes, random)),
            false => new.extend_from_slice(slice.bytes),
        }
    }
    new.extend_from_slice(end);
    let mut all = layers.to_vec();
    all[number] = new;
    Some(all)
}

/// Changes the mode, time, owner, type or content of a member, or drops it.
fn changed(member: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = member.to_vec();
    let mut at = 0;
    while matches!(bytes[at + 156], b'x' | b'L' | b'K') {
        let size = std::str::from_utf8(&bytes[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).unwrap();
        at += 512 + size.next_multiple_of(512);
    }
    let mut header = tar::Header::from_byte_slice(&bytes[at..at + 512]).clone();
    match random.below(6) {
        0 => return Vec::new(),
        1 => header.set_mode(header.mode().unwrap() ^ 0o020),
        2 => header.set_mtime(header.mtime().unwrap() + 1),
        3 => header.set_uid(header.uid().unwrap() + 1),
        4 if bytes.len() > at + 512 => bytes[at + 512] ^= 1,
        4 | 5 if header.entry_type().is_symlink() => header.set_link_name("elsewhere").unwrap(),
        _ => header.set_gid(9),
    }
    header.set_cksum();
    bytes[at..at + 512].copy_from_slice(header.as_bytes());
    bytes
}
