//! Decides which caches get a new header, to change their invalidation mode (PEP 552) or to match a changed source.

use std::collections::{BTreeMap, BTreeSet};

use super::cache_verdict::wish;
use super::warning::Cause;
use super::{Drops, NewHeader, Reason, Warning};
use crate::inventory::{Cache, Inventory, Status};
use crate::layers::Contents;
use crate::profile::{InvalidationMode, Policy};
use crate::pyc::{Header, Invalidation};
use crate::rootfs::{InodeId, MemberId};
use crate::tar::{Kind, Timestamp};

/// New headers, by the member with the cache's data.
pub(super) type Headers = BTreeMap<MemberId, NewHeader>;

/// Returns new headers for fresh caches that stay, if `policy` requires another invalidation mode.
///
/// The `mended` caches get new headers too: they are stale, but contain what their source compiles to. All other caches
/// keep their header: a new one would vouch for code from another source. So does a cache that stays although the policy
/// does not list it, because something other than `import` reads it.
pub(super) fn headers(
    inventory: &Inventory,
    policy: &Policy<'_>,
    drops: &Drops,
    mended: &BTreeSet<MemberId>,
    warnings: &mut Vec<Warning>,
) -> Headers {
    let mut headers = Headers::new();
    if policy.profile.invalidation == InvalidationMode::Keep && mended.is_empty() {
        return headers;
    }
    let is_meant = |cache: &Cache| {
        let is_listed = cache.status == Status::Fresh && wish(cache, policy).is_none();
        (is_listed || mended.contains(&cache.member))
            && policy.is_in_scope(&cache.path)
            && !drops.contains_key(&cache.member)
    };
    for (inode, names) in inventory.caches_by_file() {
        let Some(staying) = names.iter().find(|cache| is_meant(cache)) else {
            continue;
        };
        let data = inventory.rootfs.inode(inode).data();
        let Some((old, new)) = old_and_new(inventory, policy, staying, data) else {
            continue;
        };
        let is_level = |cache: &Cache| cache.source == staying.source && is_meant(cache);
        match new {
            Some(header) if header == old => {}
            Some(header)
                if is_plain_file(inventory, data)
                    && are_one_module(inventory, drops, inode, &names, &is_level) =>
            {
                let header = NewHeader {
                    bytes: header.to_bytes(),
                    reason: reason(staying, policy),
                };
                headers.insert(data, header);
            }
            _ => warnings.push(Warning::new(Cause::CannotConvert, &staying.path)),
        }
    }
    headers
}

fn reason(cache: &Cache, policy: &Policy<'_>) -> Reason {
    match &cache.status {
        Status::Stale(reason) => Reason::Stale(*reason),
        Status::HashMismatch | Status::UncheckedMismatch => Reason::HashMismatch,
        _ => Reason::Invalidation(policy.profile.invalidation),
    }
}

/// Returns the header of a cache and its new header. The new one is `None` if it cannot be determined. The result is
/// `None` if the header or the source is unknown.
fn old_and_new(
    inventory: &Inventory,
    policy: &Policy<'_>,
    cache: &Cache,
    data: MemberId,
) -> Option<(Header, Option<Header>)> {
    let bytecode = inventory.layers[data.layer].bytecode.get(&data.index)?;
    let old = *bytecode.header.as_ref().ok()?;
    let described_by = inventory.rootfs.described_by(cache.source_inode?);
    let source = inventory.rootfs.inode(cache.source_inode?);
    let hash = inventory
        .source_hashes
        .get(&(source.data(), old.magic))
        .copied();
    let mode = match (policy.profile.invalidation, &old.invalidation) {
        (InvalidationMode::Keep, Invalidation::Timestamp { .. }) => InvalidationMode::Timestamp,
        (InvalidationMode::Keep, Invalidation::CheckedHash(_)) => InvalidationMode::CheckedHash,
        (InvalidationMode::Keep, Invalidation::UncheckedHash(_)) if hash.is_some() => {
            InvalidationMode::UncheckedHash
        }
        (mode, _) => mode,
    };
    let Timestamp {
        seconds,
        nanoseconds,
    } = inventory.member(described_by).mtime();
    let new = match mode {
        InvalidationMode::Keep => Some(old),
        mode => mode.header(old.magic, (seconds, nanoseconds), source.size, hash),
    };
    Some((old, new))
}

pub(super) fn is_plain_file(inventory: &Inventory, data: MemberId) -> bool {
    let member = inventory.member(data);
    member.kind == Kind::File && !member.is_sparse()
}

/// Whether every remaining name of a file is a level of one module. Writing to the file changes all of its names.
fn are_one_module(
    inventory: &Inventory,
    drops: &Drops,
    inode: InodeId,
    names: &[&Cache],
    is_level: &dyn Fn(&Cache) -> bool,
) -> bool {
    names.len() == inventory.rootfs.inode(inode).names()
        && names
            .iter()
            .all(|cache| drops.contains_key(&cache.member) || is_level(cache))
}

/// The header of a cache after the changes in `headers`.
pub(super) fn header_after<'a>(
    contents: &'a Contents,
    data: MemberId,
    headers: &'a Headers,
) -> &'a [u8] {
    headers
        .get(&data)
        .map_or(&*contents.header, |header| &*header.bytes)
}
