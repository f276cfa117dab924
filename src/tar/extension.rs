//! Extension headers: pax records and GNU long names, and how they change a member.

use super::member::{Timestamp, Xattr};

/// The pax records and GNU long names that precede one member.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: Vec<Xattr>,
    /// `GNU.sparse.realsize` (format 1.0) or `GNU.sparse.size` (0.0 and 0.1).
    pub(super) sparse_size: Option<u64>,
    /// `GNU.sparse.name`: the real name. `path` then holds a generated one.
    pub(super) sparse_name: Option<Vec<u8>>,
    /// A GNU long name. Go's reader prefers it to a pax record in any order.
    pub(super) gnu_path: Option<Vec<u8>>,
    /// A GNU long link target, with the same precedence.
    pub(super) gnu_link: Option<Vec<u8>>,
}

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

impl Extensions {
    /// Applies the payload of a pax extended header. Later records win.
    pub(super) fn apply_pax(&mut self, payload: &[u8]) -> Result<(), String> {
        for record in records(payload) {
            let (key, value) = record?;
            self.apply_record(key, value)?;
        }
        Ok(())
    }

    fn apply_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match key {
            // An empty value cancels an earlier record of the same name.
            b"path" => self.path = text(value),
            b"linkpath" => self.link = text(value),
            b"size" => self.size = number(key, value)?,
            b"uid" => self.uid = number(key, value)?,
            b"gid" => self.gid = number(key, value)?,
            b"mtime" => self.mtime = time(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse_size = number(key, value)?,
            b"GNU.sparse.name" => self.sparse_name = text(value),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.xattrs.retain(|xattr| *xattr.name != *name);
                    self.xattrs.push(Xattr {
                        name: name.into(),
                        value: value.into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Applies a GNU long name (`L`) or long link (`K`). The value ends at its first NUL.
    pub(super) fn apply_gnu(&mut self, flag: u8, payload: &[u8]) {
        let end = payload
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(payload.len());
        let value = text(&payload[..end]);
        match flag {
            b'L' => self.gnu_path = value,
            _ => self.gnu_link = value,
        }
    }

    /// Lets GNU long names replace pax records, after all extension headers are read.
    pub(super) fn settle(&mut self) {
        self.path = self.gnu_path.take().or(self.path.take());
        self.link = self.gnu_link.take().or(self.link.take());
    }
}

fn text(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn number(key: &[u8], value: &[u8]) -> Result<Option<u64>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| malformed_value(key, value))
}

/// Parses decimal seconds with an optional sign and fraction. Digits beyond nanoseconds are cut off.
fn time(value: &[u8]) -> Result<Option<Timestamp>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    parse_time(value)
        .map(Some)
        .ok_or_else(|| malformed_value(b"mtime", value))
}

fn parse_time(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    if text.starts_with('-') && nanoseconds > 0 {
        return Some(Timestamp {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}

fn malformed_value(key: &[u8], value: &[u8]) -> String {
    format!(
        "pax record `{}` has the value `{}`",
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(value)
    )
}

/// A record's key and value, or what is wrong with it.
type Record<'a> = Result<KeyAndValue<'a>, String>;

type KeyAndValue<'a> = (&'a [u8], &'a [u8]);

/// The records `length key=value\n` of a pax extended header (POSIX.1-2017, pax, "pax Header Block").
pub(super) fn records(payload: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        // Some writers pad the payload with NULs inside its size.
        if rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        match split_record(rest) {
            Some((record, after)) => {
                rest = after;
                Some(Ok(record))
            }
            None => {
                rest = &[];
                Some(Err("a pax record is malformed".to_owned()))
            }
        }
    })
}

/// The first record, and the bytes after it.
fn split_record(rest: &[u8]) -> Option<(KeyAndValue<'_>, &[u8])> {
    let space = rest.iter().take(21).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), &rest[length..]))
}

/// Writes one record. The length at its start includes the length's own digits.
pub(super) fn write_record(payload: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    payload.extend_from_slice(length.to_string().as_bytes());
    payload.push(b' ');
    payload.extend_from_slice(key);
    payload.push(b'=');
    payload.extend_from_slice(value);
    payload.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(payload: &[u8]) -> Result<Extensions, String> {
        let mut extensions = Extensions::default();
        extensions.apply_pax(payload).map(|()| extensions)
    }

    #[test]
    fn times_keep_nanoseconds_and_negative_ones_round_down() {
        let cases: [(&[u8], i64, u32); 5] = [
            (b"1600000000", 1_600_000_000, 0),
            (b"1600000000.5", 1_600_000_000, 500_000_000),
            (b"1.9999999999", 1, 999_999_999),
            (b"-1.5", -2, 500_000_000),
            (b"-0.25", -1, 750_000_000),
        ];
        for (value, seconds, nanoseconds) in cases {
            assert_eq!(
                time(value).unwrap(),
                Some(Timestamp {
                    seconds,
                    nanoseconds
                })
            );
        }
        assert!(time(b"1.x").is_err() && time(b"soon").is_err());
    }

    #[test]
    fn records_of_every_length_read_back() {
        for size in [0, 1, 80, 89, 90, 91, 980, 989, 990, 991, 5000] {
            let mut payload = Vec::new();
            write_record(&mut payload, b"path", &vec![b'x'; size]);
            write_record(&mut payload, b"SCHILY.xattr.user.a=b", b"1");
            let all: Vec<_> = records(&payload).collect::<Result<_, _>>().unwrap();
            assert_eq!(all[0].1.len(), size);
            // A key ends at its first `=`.
            assert_eq!(all[1], (&b"SCHILY.xattr.user.a"[..], &b"b=1"[..]));
        }
    }

    #[test]
    fn malformed_records_are_errors() {
        for payload in [
            &b"5 a=b"[..],
            b"x a=b\n",
            b"99 a=b\n",
            b"7 path\n\n",
            b"3\n",
            b"18446744073709551616 a=b\n",
        ] {
            assert!(
                applied(payload).is_err(),
                "{}",
                String::from_utf8_lossy(payload)
            );
        }
        assert!(applied(b"10 size=-1\n").is_err());
    }

    #[test]
    fn an_empty_value_takes_a_record_back() {
        let mut payload = Vec::new();
        write_record(&mut payload, b"path", b"a");
        write_record(&mut payload, b"path", b"");
        assert_eq!(applied(&payload).unwrap().path, None);
    }
}
