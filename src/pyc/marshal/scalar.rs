//! The objects without elements: numbers and text.

use super::reader::Reader;
use super::value::Value;
use super::{MarshalError, MarshalErrorKind};

/// An object without elements; none if the type is unknown.
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
            // In a body above 4 GiB: a place where no bytes object will be found.
            Value::Bytes(u32::try_from(place).unwrap_or(u32::MAX))
        }
        b'a' | b'A' | b'u' | b't' => {
            let size = reader.size()? as usize;
            let text = reader.take(size)?;
            // What is called ASCII is read as Latin-1, and there every byte will do.
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

/// An integer of any size: the number of 15-bit digits, negative with the integer, then the
/// digits, lowest first, the last one not zero.
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

/// A float as text after its length in one byte. Python reads it as a C string, up to the first
/// zero byte, and takes what `float` takes without blanks and underscores.
fn float_text(reader: &mut Reader<'_>) -> Result<(), MarshalError> {
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
