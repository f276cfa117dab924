//! Objects without elements: numbers and text.

use super::reader::Reader;
use super::value::Value;
use super::{MarshalError, MarshalErrorKind};

/// Reads an object without elements; `None` if the type is unknown.
pub(super) fn leaf(kind: u8, reader: &mut Reader<'_>) -> Result<Option<Value>, MarshalError> {
    let place = reader.position();
    let value = match kind {
        b'i' => reader.take(4).map(|_| Value::Other)?,
        b'I' | b'g' => reader.take(8).map(|_| Value::Other)?,
        b'y' => reader.take(16).map(|_| Value::Other)?,
        b'l' => integer(reader).map(|()| Value::Other)?,
        b'f' => float_text(reader).map(|()| Value::Other)?,
        b'x' => {
            float_text(reader)?;
            float_text(reader).map(|()| Value::Other)?
        }
        b's' => {
            let size = reader.size()? as usize;
            reader.take(size)?;
            // A body above 4 GiB gets a place at which no bytes object can be found.
            Value::Bytes(u32::try_from(place).unwrap_or(u32::MAX))
        }
        b'a' | b'A' | b'u' | b't' => {
            let size = reader.size()? as usize;
            let text = reader.take(size)?;
            // Python decodes the ASCII kinds as Latin-1, in which every byte is valid.
            if matches!(kind, b'u' | b't') && !is_text(text) {
                return Err(MarshalError {
                    offset: place,
                    kind: MarshalErrorKind::BadText,
                });
            }
            Value::Text
        }
        b'z' | b'Z' => {
            let size = usize::from(reader.byte()?);
            reader.take(size).map(|_| Value::Text)?
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Reads an integer of any size. First comes the number of 15-bit digits, negative for a negative integer. The digits
/// follow, lowest first, and the last one is not zero.
fn integer(reader: &mut Reader<'_>) -> Result<(), MarshalError> {
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

/// Reads a float as text, after its length in one byte. Python reads a C string up to the first zero byte, and takes
/// what `float` takes without blanks and underscores.
fn float_text(reader: &mut Reader<'_>) -> Result<(), MarshalError> {
    let offset = reader.position();
    let length = usize::from(reader.byte()?);
    let text = reader.take(length)?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    // Rust parses the same floats as PyOS_string_to_double: sign, digits with a point before, between or after them,
    // and exponent. It also takes inf, infinity and nan in any case.
    match std::str::from_utf8(text).map(str::parse::<f64>) {
        Ok(Ok(_)) => Ok(()),
        _ => Err(MarshalError {
            offset,
            kind: MarshalErrorKind::BadFloat,
        }),
    }
}

/// Whether Python can decode the text with the error handler "surrogatepass". That is UTF-8 which may contain
/// surrogates, encoded as three bytes each.
fn is_text(mut bytes: &[u8]) -> bool {
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
