//! Cuts a tar stream into its members, with a reader that shares no code with pycull. Tests can then compare members
//! byte for byte.

/// A member's bytes: its extension headers, header, data and padding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice<'a> {
    pub flag: u8,
    pub bytes: &'a [u8],
}

/// Cuts a stream into members by name, and the rest after the last one.
pub fn cut(tar: &[u8]) -> (Vec<(String, Slice<'_>)>, &[u8]) {
    let mut members = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut name = None;
    let mut size = None;
    while let Some(header) = tar
        .get(at..at + 512)
        .filter(|header| header.iter().any(|byte| *byte != 0))
    {
        let flag = header[156];
        let field = number(&header[124..136]);
        at += 512;
        if matches!(flag, b'x' | b'L' | b'K') {
            let payload = &tar[at..at + field];
            if flag == b'L' {
                name = Some(until_nul(payload));
            } else if flag == b'x' {
                for (key, value) in pax_records(payload) {
                    match &*key {
                        "GNU.sparse.name" => name = Some(value),
                        "path" if name.is_none() => name = Some(value),
                        "size" => size = Some(value.parse().unwrap()),
                        _ => {}
                    }
                }
            }
            at += field.next_multiple_of(512);
            continue;
        }
        let mut more_sparse = flag == b'S' && header[482] != 0;
        while more_sparse {
            more_sparse = tar[at + 504] != 0;
            at += 512;
        }
        if matches!(flag, 0 | b'0' | b'7' | b'S' | b'g') {
            at += size.unwrap_or(field).next_multiple_of(512);
        }
        let name_of = name.take().unwrap_or_else(|| header_name(header));
        members.push((
            name_of,
            Slice {
                flag,
                bytes: &tar[start..at],
            },
        ));
        start = at;
        size = None;
    }
    (members, &tar[start..])
}

/// The stream without some of its members. Everything else is unchanged.
pub fn without(tar: &[u8], goes: impl Fn(&str) -> bool) -> Vec<u8> {
    let (members, end) = cut(tar);
    let kept = members.iter().filter(|(name, _)| !goes(name));
    let mut bytes: Vec<u8> = kept.flat_map(|(_, slice)| slice.bytes).copied().collect();
    bytes.extend_from_slice(end);
    bytes
}

/// Checks that `after` has every member of `before` in the same order and with the same bytes, except for the `gone`
/// and the `changed` ones. The end must be the same, and nothing may be added.
#[track_caller]
pub fn assert_untouched(before: &[u8], after: &[u8], gone: &[&str], changed: &[&str]) {
    for name in changed {
        let has = |tar| cut(tar).0.iter().any(|(other, _)| other == name);
        assert!(has(before) && has(after), "{name} is not in both");
        let slice = |tar| find(tar, name).bytes.to_vec();
        assert_ne!(slice(before), slice(after), "{name} did not change");
    }
    for name in gone {
        assert!(
            cut(before).0.iter().any(|(other, _)| other == name),
            "{name} never was"
        );
    }
    let kept = without(before, |name| {
        gone.contains(&name) || changed.contains(&name)
    });
    let left = without(after, |name| changed.contains(&name));
    if kept != left {
        let names = |tar| cut(tar).0.into_iter().map(|(name, _)| name).collect();
        let (expected, found): (Vec<String>, Vec<String>) = (names(&kept), names(&left));
        assert_eq!(expected, found, "members differ");
        let place = kept.iter().zip(&left).position(|(a, b)| a != b);
        panic!("members are the same, bytes differ from {place:?} on");
    }
}

/// The only member of that name.
#[track_caller]
pub fn find<'a>(tar: &'a [u8], name: &str) -> Slice<'a> {
    let mut found = cut(tar).0.into_iter().filter(|(other, _)| other == name);
    match (found.next(), found.next()) {
        (Some((_, slice)), None) => slice,
        (None, _) => panic!("no member {name}"),
        _ => panic!("more than one member {name}"),
    }
}

fn number(field: &[u8]) -> usize {
    let text = until_nul(field);
    let text = text.trim();
    usize::from_str_radix(if text.is_empty() { "0" } else { text }, 8).unwrap()
}

fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

fn header_name(header: &[u8]) -> String {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // In GNU's form these bytes hold times instead of a prefix.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

fn pax_records(mut payload: &[u8]) -> Vec<(String, String)> {
    let mut records = Vec::new();
    while let Some(space) = payload.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&payload[..space])
            .unwrap()
            .parse()
            .unwrap();
        let record = &payload[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        records.push((text(&record[..equals]), text(&record[equals + 1..])));
        payload = &payload[length..];
    }
    records
}
