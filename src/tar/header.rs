//! Header blocks and their fields, as bytes.

use tar::Header;

use super::BLOCK;
use super::extension::write_record;
use super::member::Kind;

/// What is wrong with a header block.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The checksum field does not match the block.
    #[error("its checksum is wrong")]
    Checksum,
    /// A numeric field does not hold a number.
    #[error("its {name} field is malformed")]
    Field {
        /// The field's name in POSIX.
        name: &'static str,
    },
    /// One block of zeros without a second one. An archive ends with two.
    #[error("a single zero block does not end an archive")]
    LoneZeroBlock,
    /// The header bytes to change are not whole headers.
    #[error("its extension headers are malformed")]
    Extensions,
    /// pycull keeps the header bytes of bytecode and hardlinks only.
    #[error("pycull did not keep its headers")]
    NotKept,
    /// The data is stored as the pieces of a sparse file.
    #[error("it is a sparse file, whose size cannot be changed")]
    Sparse,
}

/// Whether a block's checksum field is right. Accepts sums of unsigned bytes, and of signed bytes as some old writers
/// computed them.
pub fn has_valid_checksum(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<512>() else {
        return false;
    };
    let Ok(stored) = Header::from_byte_slice(block).cksum() else {
        return false;
    };
    let byte_at = |index: usize| {
        if (148..156).contains(&index) {
            b' '
        } else {
            block[index]
        }
    };
    let unsigned: u32 = (0..512).map(|index| u32::from(byte_at(index))).sum();
    let signed: i32 = (0..512).map(|index| i32::from(byte_at(index) as i8)).sum();
    stored == unsigned || i64::from(stored) == i64::from(signed)
}

pub(super) fn parse(block: &[u8; 512]) -> Result<&Header, HeaderError> {
    if !has_valid_checksum(block) {
        return Err(HeaderError::Checksum);
    }
    Ok(Header::from_byte_slice(block))
}

/// The size field itself, for any type of header. An empty field is 0.
pub(super) fn raw_size(header: &Header) -> Result<u64, HeaderError> {
    let is_empty = header.as_bytes()[SIZE_FIELD]
        .iter()
        .all(|byte| matches!(byte, 0 | b' '));
    if is_empty {
        return Ok(0);
    }
    header
        .entry_size()
        .map_err(|_| HeaderError::Field { name: "size" })
}

/// The type of a member named `path`. In the old format, a file whose name ends in a slash is a directory.
pub(super) fn kind(header: &Header, path: &[u8]) -> Kind {
    match header.entry_type().as_byte() {
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharacterDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'g' => Kind::PaxGlobal,
        other => Kind::Other(other),
    }
}

/// Whether data follows a member of this kind. For the other kinds, readers take the size as zero.
pub(super) fn has_data(kind: Kind) -> bool {
    matches!(kind, Kind::File | Kind::PaxGlobal | Kind::Other(_))
}

pub(super) struct Fields {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    pub(super) sparse_size: Option<u64>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
}

impl Fields {
    pub(super) fn read(header: &Header) -> Result<Self, HeaderError> {
        let wrong = |name| HeaderError::Field { name };
        let block = header.as_bytes();
        // An empty field counts as 0, as in Go's reader.
        let or_zero = |field: std::ops::Range<usize>, value: std::io::Result<u64>| {
            let is_empty = block[field].iter().all(|byte| matches!(byte, 0 | b' '));
            if is_empty { Ok(0) } else { value }
        };
        let device = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
        Ok(Self {
            path: header.path_bytes().into_owned(),
            link: header.link_name_bytes().unwrap_or_default().into_owned(),
            size: raw_size(header)?,
            sparse_size: header.as_gnu().and_then(|gnu| gnu.real_size().ok()),
            mode: or_zero(100..108, header.mode().map(u64::from)).map_err(|_| wrong("mode"))?
                as u32
                & 0o7777,
            uid: or_zero(108..116, header.uid()).map_err(|_| wrong("uid"))?,
            gid: or_zero(116..124, header.gid()).map_err(|_| wrong("gid"))?,
            // Base-256 times before 1970 are two's complement.
            mtime: or_zero(136..148, header.mtime())
                .map_err(|_| wrong("mtime"))?
                .cast_signed(),
            device: (device(header.device_major()), device(header.device_minor())),
        })
    }
}

/// The size field in a member's raw headers, even if its type means that no data follows. 0 if `raw` is not whole
/// headers.
pub fn size_field(raw: &[u8]) -> u64 {
    let main = split_headers(raw)
        .ok()
        .and_then(|(_, main)| main.first_chunk());
    main.and_then(|block: &[u8; 512]| raw_size(Header::from_byte_slice(block)).ok())
        .unwrap_or(0)
}

/// Header bytes of a name and of a link target.
pub(super) const NAME_FIELD: std::ops::Range<usize> = 0..100;
pub(super) const LINK_FIELD: std::ops::Range<usize> = 157..257;
pub(super) const PREFIX_FIELD: std::ops::Range<usize> = 345..500;
pub(super) const SIZE_FIELD: std::ops::Range<usize> = 124..136;
pub(super) const TYPE_FIELD: usize = 156;
/// The largest number in a field for sizes and times: eleven octal digits.
pub(super) const LARGEST_SIZE_OR_TIME: u64 = 0o77_777_777_777;

/// Extension headers with their payloads (without padding), and the member's own header.
pub(super) type Headers<'a> = (Vec<(&'a [u8; 512], &'a [u8])>, &'a [u8]);

pub(super) fn split_headers(raw: &[u8]) -> Result<Headers<'_>, HeaderError> {
    let mut extensions = Vec::new();
    let mut rest = raw;
    loop {
        let (block, after) = rest
            .split_first_chunk::<512>()
            .ok_or(HeaderError::Extensions)?;
        if !matches!(block[TYPE_FIELD], b'x' | b'L' | b'K') {
            return Ok((extensions, rest));
        }
        let size =
            usize::try_from(raw_size(parse(block)?)?).map_err(|_| HeaderError::Extensions)?;
        let payload = after.get(..size).ok_or(HeaderError::Extensions)?;
        extensions.push((block, payload));
        rest = after
            .get(size.next_multiple_of(BLOCK as usize)..)
            .ok_or(HeaderError::Extensions)?;
    }
}

/// Puts a name into its field, and into a pax record if it is too long or not ASCII. The field then holds the part
/// that fits, for readers without pax support.
pub(super) fn set_name(
    block: &mut [u8; 512],
    field: std::ops::Range<usize>,
    name: &[u8],
    key: &[u8],
    pax: &mut Vec<u8>,
) {
    let width = field.len();
    if name.len() > width || !name.is_ascii() {
        write_record(pax, key, name);
    }
    let fits = &name[..name.len().min(width)];
    block[field.clone()].fill(0);
    block[field.start..field.start + fits.len()].copy_from_slice(fits);
}

pub(super) fn push_pax(output: &mut Vec<u8>, template: &[u8; 512], payload: &[u8]) {
    let mut block = *template;
    block[TYPE_FIELD] = b'x';
    block[SIZE_FIELD].copy_from_slice(format!("{:011o}\0", payload.len()).as_bytes());
    output.extend_from_slice(&sealed(block));
    output.extend_from_slice(payload);
    output.resize(output.len().next_multiple_of(BLOCK as usize), 0);
}

pub(super) fn sealed(block: [u8; 512]) -> [u8; 512] {
    let mut header = Header::from_byte_slice(&block).clone();
    header.set_cksum();
    *header.as_bytes()
}
