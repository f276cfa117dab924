//! Headers of changed members, derived from the bytes of the old ones. What pycull does not change stays as written.

use tar::Header;

use super::BLOCK;
use super::extension::{records, write_record};
use super::header::{
    HeaderError, LARGEST_SIZE_OR_TIME, LINK_FIELD, NAME_FIELD, PREFIX_FIELD, SIZE_FIELD,
    TYPE_FIELD, push_pax, sealed, set_name, split_headers,
};

/// Derives the headers of a hardlink to `target` from `raw`, the headers that [`super::Reader::raw_headers`] returns.
/// The new size field is 0, because engines refuse to push a layer with another value.
///
/// # Errors
/// [`HeaderError`] if `raw` is not whole headers.
pub fn hardlink_to(raw: &[u8], target: &[u8]) -> Result<Vec<u8>, HeaderError> {
    derive(
        raw,
        &Change {
            link: Some(target),
            ..Change::default()
        },
    )
}

/// Derives the headers of a regular file at `path` with the data of `file` and the metadata of the hardlink `link`.
/// The metadata is mode, owner and times. The extended attributes are those of both, and those of `link` win. Go's
/// readers apply the header of a link to the file that it names, so the file keeps this metadata.
///
/// # Errors
/// [`HeaderError`] if either is not whole headers.
pub fn heir(file: &[u8], link: &[u8], path: &[u8]) -> Result<Vec<u8>, HeaderError> {
    let (extensions, main) = split_headers(link)?;
    let block = main.first_chunk().ok_or(HeaderError::Extensions)?;
    let mut own = Vec::new();
    for (header, payload) in extensions {
        if header[TYPE_FIELD] == b'x' {
            for record in records(payload) {
                own.push(record.map_err(|_| HeaderError::Extensions)?);
            }
        }
    }
    let metadata = Metadata {
        block,
        records: own,
    };
    derive(
        file,
        &Change {
            path: Some(path),
            metadata: Some(metadata),
            ..Change::default()
        },
    )
}

/// The headers of a regular file with `size` bytes of data, otherwise as `raw` says. The file must not be sparse.
///
/// # Errors
/// [`HeaderError`] if `raw` is not whole headers.
pub fn resized(raw: &[u8], size: u64) -> Result<Vec<u8>, HeaderError> {
    let change = Change {
        size: Some(size),
        ..Change::default()
    };
    derive(raw, &change)
}

#[derive(Default)]
struct Change<'a> {
    path: Option<&'a [u8]>,
    link: Option<&'a [u8]>,
    size: Option<u64>,
    metadata: Option<Metadata<'a>>,
}

/// The header and the pax records of another member.
struct Metadata<'a> {
    block: &'a [u8; 512],
    records: Vec<(&'a [u8], &'a [u8])>,
}

impl Metadata<'_> {
    /// Records that override header fields. Without a record the field counts.
    const OF_FIELDS: [&'static [u8]; 7] = [
        b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname",
    ];

    /// Header bytes with mode, owner and group; with the time; with the names of owner and group.
    const FIELDS: [std::ops::Range<usize>; 3] = [100..124, 136..148, 265..329];

    /// Whether a record describes the file rather than how an archive stores it.
    fn is_metadata(key: &[u8]) -> bool {
        let is_stored = matches!(key, b"path" | b"linkpath" | b"size" | b"hdrcharset");
        !is_stored && !key.starts_with(b"GNU.sparse.")
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let mut last_first = self.records.iter().rev();
        let found = last_first.find(|(own, _)| *own == key)?;
        Some(found.1)
    }

    /// The value that replaces a record of the changed member; `None` drops the record.
    fn instead_of<'a>(&'a self, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
        if !Self::is_metadata(key) {
            return Some(value);
        }
        let other = (!Self::OF_FIELDS.contains(&key)).then_some(value);
        self.get(key).or(other)
    }

    /// Adds the metadata records whose keys `pax` lacks.
    fn add_records(&self, pax: &mut Vec<u8>) -> Result<(), HeaderError> {
        let old = std::mem::take(pax);
        let mut keys = Vec::new();
        for record in records(&old) {
            keys.push(record.map_err(|_| HeaderError::Extensions)?.0);
        }
        pax.extend_from_slice(&old);
        for (key, _) in &self.records {
            if Self::is_metadata(key) && !keys.contains(key) {
                keys.push(key);
                write_record(pax, key, self.get(key).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn set_fields(&self, block: &mut [u8; 512]) {
        let has_names = |block: &[u8; 512]| block[257..].starts_with(b"ustar");
        let fields = match has_names(self.block) && has_names(block) {
            true => &Self::FIELDS[..],
            false => &Self::FIELDS[..2],
        };
        for field in fields {
            block[field.clone()].copy_from_slice(&self.block[field.clone()]);
        }
    }
}

fn derive(raw: &[u8], change: &Change<'_>) -> Result<Vec<u8>, HeaderError> {
    let (extensions, main) = split_headers(raw)?;
    let (main, map) = main
        .split_first_chunk::<512>()
        .ok_or(HeaderError::Extensions)?;
    let mut block = *main;
    let mut pax = Vec::new();
    let mut output = Vec::new();
    let mut pax_header = None;
    for (header, payload) in extensions {
        match header[TYPE_FIELD] {
            b'x' => {
                pax_header = pax_header.or(Some(header));
                copy_records(payload, change, &mut pax)?;
            }
            b'L' if change.path.is_some() => {}
            b'K' if change.link.is_some() => {}
            _ => {
                output.extend_from_slice(header);
                output.extend_from_slice(payload);
                output.resize(output.len().next_multiple_of(BLOCK as usize), 0);
            }
        }
    }
    if let Some(metadata) = &change.metadata {
        metadata.add_records(&mut pax)?;
        metadata.set_fields(&mut block);
    }
    if let Some(path) = change.path {
        set_name(&mut block, NAME_FIELD, path, b"path", &mut pax);
        // The prefix belongs to the old name. GNU headers hold times in the same bytes.
        if Header::from_byte_slice(&block).as_gnu().is_none() {
            block[PREFIX_FIELD].fill(0);
        }
    }
    if let Some(link) = change.link {
        set_name(&mut block, LINK_FIELD, link, b"linkpath", &mut pax);
        block[TYPE_FIELD] = b'1';
        block[SIZE_FIELD].copy_from_slice(b"00000000000\0");
    }
    if let Some(size) = change.size {
        if size > LARGEST_SIZE_OR_TIME {
            write_record(&mut pax, b"size", size.to_string().as_bytes());
        }
        let digits = format!("{:011o}\0", size.min(LARGEST_SIZE_OR_TIME));
        block[SIZE_FIELD].copy_from_slice(digits.as_bytes());
    }
    if !pax.is_empty() {
        push_pax(&mut output, pax_header.unwrap_or(main), &pax);
    }
    output.extend_from_slice(&sealed(block));
    if change.link.is_none() {
        // The map of an old GNU sparse file continues after its header.
        output.extend_from_slice(map);
    }
    Ok(output)
}

/// Copies the records that the change does not replace or remove.
fn copy_records(payload: &[u8], change: &Change<'_>, pax: &mut Vec<u8>) -> Result<(), HeaderError> {
    for record in records(payload) {
        let (key, value) = record.map_err(|_| HeaderError::Extensions)?;
        let gone = match key {
            b"path" | b"GNU.sparse.name" => change.path.is_some(),
            b"linkpath" => change.link.is_some(),
            b"size" => change.link.is_some() || change.size.is_some(),
            _ => false,
        };
        let value = match &change.metadata {
            Some(metadata) => metadata.instead_of(key, value),
            None => Some(value),
        };
        if let Some(value) = value.filter(|_| !gone) {
            write_record(pax, key, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
