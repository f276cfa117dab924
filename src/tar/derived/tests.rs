use super::*;
use crate::tar::testing::only_member;
use crate::tar::{Member, Reader};

fn sealed_header(mut header: Header) -> Vec<u8> {
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn file(name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn link() -> Vec<u8> {
    let mut header = file("b", 0);
    header.set_entry_type(tar::EntryType::Link);
    header.set_link_name("a").unwrap();
    sealed_header(header)
}

fn with_records(records: &[(&str, &str)], header: Vec<u8>) -> Vec<u8> {
    let mut payload = Vec::new();
    for (key, value) in records {
        write_record(&mut payload, key.as_bytes(), value.as_bytes());
    }
    let mut bytes = Vec::new();
    push_pax(&mut bytes, header[..512].first_chunk().unwrap(), &payload);
    [bytes, header].concat()
}

/// The only member of an archive that has these headers and three bytes of data.
fn read(headers: &[u8]) -> Member {
    only_member(headers, b"abc")
}

#[test]
fn an_heir_is_as_large_as_the_record_of_the_file_says() {
    let raw = with_records(&[("size", "3")], sealed_header(file("a", 0)));
    for link in [
        link(),
        with_records(&[("size", "0"), ("path", "c")], link()),
    ] {
        let heir = read(&heir(&raw, &link, b"b").unwrap());
        assert_eq!((heir.size, &*heir.path), (3, &b"b"[..]));
    }
}

#[test]
fn an_heir_has_nothing_of_the_long_name_of_the_file() {
    let long = format!("{}{}", "directory/".repeat(9), "n".repeat(60));
    let raw = sealed_header(file(&long, 3));
    assert_ne!(raw[PREFIX_FIELD], [0; 155]);
    assert_eq!(*read(&raw).path, *long.as_bytes());
    assert_eq!(*read(&heir(&raw, &link(), b"b").unwrap()).path, *b"b");
    // The heir's own long name arrives whole.
    let other = "o".repeat(150);
    let heir = heir(&raw, &link(), other.as_bytes()).unwrap();
    assert_eq!(*read(&heir).path, *other.as_bytes());
}

/// GNU headers hold times in the bytes of the prefix.
#[test]
fn an_heir_keeps_the_times_of_a_gnu_header() {
    let mut header = Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(3);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.as_gnu_mut().unwrap().set_atime(1_600_000_000);
    let raw = sealed_header(header);
    let heir = heir(&raw, &link(), b"b").unwrap();
    assert_eq!(heir[PREFIX_FIELD], raw[PREFIX_FIELD]);
    assert_ne!(heir[PREFIX_FIELD], [0; 155]);
}

#[test]
fn a_base_256_time_before_1970_is_negative() {
    for seconds in [-1_i64, -1_600_000_000, i64::MIN, 0o77_777_777_777 + 1] {
        let mut header = file("a", 3);
        let sign = if seconds < 0 { 0xff } else { 0 };
        let mut field = [sign; 12];
        field[4..].copy_from_slice(&seconds.to_be_bytes());
        field[0] = sign | 0x80;
        header.as_mut_bytes()[136..148].copy_from_slice(&field);
        let member = read(&sealed_header(header));
        assert_eq!(
            (member.mtime().seconds, member.mtime().nanoseconds),
            (seconds, 0)
        );
    }
}

#[test]
fn another_size_is_the_one_that_readers_find() {
    let plain = sealed_header(file("a", 7));
    let with_record = with_records(&[("size", "7"), ("mtime", "1.5")], plain.clone());
    for raw in [plain, with_record.clone()] {
        let resized = read(&resized(&raw, 3).unwrap());
        assert_eq!((resized.size, &*resized.path), (3, &b"a"[..]));
    }
    let resized = read(&resized(&with_record, 3).unwrap());
    assert_eq!(resized.mtime().nanoseconds, 500_000_000);
}

#[test]
fn a_file_with_a_long_name_keeps_it_with_another_size() {
    let long = format!("{}{}", "directory/".repeat(15), "n".repeat(60));
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut file("a", 7), &long, &b"1234567"[..])
        .unwrap();
    let bytes = archive.into_inner().unwrap();
    let mut reader = Reader::new(&bytes[..]);
    reader.next_member().unwrap().unwrap();
    let resized = read(&resized(reader.raw_headers(), 3).unwrap());
    assert_eq!((resized.size, &*resized.path), (3, long.as_bytes()));
}

#[test]
fn a_size_beyond_eleven_octal_digits_is_a_record() {
    let size = LARGEST_SIZE_OR_TIME + 1;
    let headers = resized(&sealed_header(file("a", 7)), size).unwrap();
    let mut reader = Reader::new(&headers[..]);
    // The data is not there, which the reader finds when it goes on.
    assert_eq!(reader.next_member().unwrap().unwrap().size, size);
    let record = format!(" size={size}\n").into_bytes();
    assert!(headers.windows(record.len()).any(|found| found == record));
}
