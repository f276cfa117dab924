//! The objects without elements: numbers and text.

use super::reader::Reader;
use super::{MarshalError, MarshalErrorKind};

/// An integer of any size: the number of 15-bit digits, negative with the integer, then the
/// digits, lowest first, the last one not zero.
pub(super) fn integer(reader: &mut Reader<'_>) -> Result<(), MarshalError> {
    let at = reader.position();
    let size = reader.long()?;
    if size == i32::MIN {
        return Err(MarshalError {
            offset: at,
            kind: MarshalErrorKind::BadSize(size),
        });
    }
    let digits = size.unsigned_abs();
    let mut last = None;
    for _ in 0..digits {
        let at = reader.position();
        let digit = reader.short()?;
        if digit > 0x7fff {
            return Err(MarshalError {
                offset: at,
                kind: MarshalErrorKind::BadInteger,
            });
        }
        last = Some((at, digit));
    }
    match last {
        Some((offset, 0)) => Err(MarshalError {
            offset,
            kind: MarshalErrorKind::BadInteger,
        }),
        _ => Ok(()),
    }
}

/// A float as text after its length in one byte. Python reads it as a C string, up to the first
/// zero byte, and takes what `float` takes without blanks and underscores.
pub(super) fn float_text(reader: &mut Reader<'_>) -> Result<(), MarshalError> {
    let offset = reader.position();
    let length = usize::from(reader.byte()?);
    let text = reader.take(length)?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    // Rust's grammar of floats is the one of PyOS_string_to_double: sign, digits with a point
    // anywhere among or beside them, exponent; or inf, infinity and nan in any case.
    match std::str::from_utf8(text).map(str::parse::<f64>) {
        Ok(Ok(_)) => Ok(()),
        _ => Err(MarshalError {
            offset,
            kind: MarshalErrorKind::BadFloat,
        }),
    }
}

/// Text as Python decodes it with the error handler "surrogatepass": UTF-8 in which surrogates,
/// encoded as three bytes each, are allowed.
pub(super) fn is_text(mut bytes: &[u8]) -> bool {
    loop {
        let Err(error) = std::str::from_utf8(bytes) else {
            return true;
        };
        match bytes.get(error.valid_up_to()..) {
            Some([0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..]) => bytes = rest,
            _ => return false,
        }
    }
}
