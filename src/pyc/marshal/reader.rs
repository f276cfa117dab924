//! A cursor over the body's bytes.

use super::{MarshalError, MarshalErrorKind};

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn error(&self, kind: MarshalErrorKind) -> MarshalError {
        MarshalError {
            offset: self.position,
            kind,
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], MarshalError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken = rest
            .get(..length)
            .ok_or(self.error(MarshalErrorKind::Truncated))?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, MarshalError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    pub(super) fn short(&mut self) -> Result<u16, MarshalError> {
        let bytes = self.take(2)?.first_chunk().copied().unwrap_or_default();
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn long(&mut self) -> Result<i32, MarshalError> {
        let bytes = self.take(4)?.first_chunk().copied().unwrap_or_default();
        Ok(i32::from_le_bytes(bytes))
    }

    /// A 32-bit size. Python refuses it if it is negative.
    pub(super) fn size(&mut self) -> Result<u32, MarshalError> {
        let offset = self.position;
        let size = self.long()?;
        let kind = MarshalErrorKind::BadSize(size);
        u32::try_from(size).map_err(|_| MarshalError { offset, kind })
    }

    /// The number of a container's elements. Each element takes at least one byte, so a larger number than the
    /// remaining bytes means that the body is cut short.
    pub(super) fn count(&mut self) -> Result<u32, MarshalError> {
        let size = self.size()?;
        self.expect(size)
    }

    /// The same as [`Reader::count`] for a number of one byte.
    pub(super) fn short_count(&mut self) -> Result<u32, MarshalError> {
        let size = u32::from(self.byte()?);
        self.expect(size)
    }

    fn expect(&self, elements: u32) -> Result<u32, MarshalError> {
        let left = self.bytes.len() - self.position;
        if elements as usize > left {
            return Err(self.error(MarshalErrorKind::Truncated));
        }
        Ok(elements)
    }

    /// The bytes object whose size field is at `place`, if `place` is inside the body.
    pub(super) fn bytes_at(&self, place: u32) -> Option<&'a [u8]> {
        let (size, rest) = self.bytes.get(place as usize..)?.split_first_chunk()?;
        rest.get(..u32::from_le_bytes(*size) as usize)
    }
}
