use proptest::prelude::*;

use super::*;

#[path = "fixtures.rs"]
mod fixtures;

/// Bodies and the minor versions whose releases read them. Several versions share a layout.
pub(super) fn bodies() -> Vec<(u8, Vec<u8>)> {
    [
        (6, fixtures::PYTHON_3_6),
        (7, fixtures::PYTHON_3_7),
        (8, fixtures::PYTHON_3_8),
        (10, fixtures::PYTHON_3_10),
        (11, fixtures::PYTHON_3_11),
        (13, fixtures::PYTHON_3_13),
        (14, fixtures::PYTHON_3_14),
    ]
    .map(|(minor, digits)| (minor, unhex(digits)))
    .to_vec()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn check(minor: u8, body: &[u8]) -> Result<(), MarshalErrorKind> {
    check_body(Runtime::cpython(3, minor), body).map_err(|error| error.kind)
}

/// The fields of a 3.13 code object; `None` means the usual value.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) numbers: Option<[i32; 5]>,
    pub(super) bytecode: Option<&'a [u8]>,
    pub(super) consts: Option<&'a [u8]>,
    pub(super) names: Option<&'a [u8]>,
    pub(super) variables: Option<&'a [u8]>,
    pub(super) kinds: Option<&'a [u8]>,
    pub(super) file_name: Option<&'a [u8]>,
}

impl Fields<'_> {
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = vec![b'c'];
        let numbers = self.numbers.unwrap_or([0, 0, 0, 1, 0]);
        body.extend(numbers.into_iter().flat_map(i32::to_le_bytes));
        body.extend(self.bytecode.unwrap_or(b"s\x02\0\0\0S\0"));
        body.extend(self.consts.unwrap_or(b")\0"));
        body.extend(self.names.unwrap_or(b")\0"));
        body.extend(self.variables.unwrap_or(b")\x01z\x01a"));
        body.extend(self.kinds.unwrap_or(b"s\x01\0\0\0\x20"));
        body.extend(self.file_name.unwrap_or(b"z\x01f"));
        // Name, qualified name, first line, line table, exception table.
        body.extend(b"z\x01nz\x01q\x01\0\0\0s\0\0\0\0s\0\0\0\0");
        body
    }
}

/// Checks a body whose constants field is this object.
fn check_consts(minor: u8, consts: &[u8]) -> Result<(), MarshalErrorKind> {
    check(
        minor,
        &Fields {
            consts: Some(consts),
            ..Fields::default()
        }
        .body(),
    )
}

/// Checks a body with this object among its constants.
fn check_const(minor: u8, object: &[u8]) -> Result<(), MarshalErrorKind> {
    check_consts(minor, &[b")\x01", object].concat())
}

#[test]
fn the_bodies_of_real_interpreters_are_accepted() {
    for (minor, body) in bodies() {
        assert_eq!(check(minor, &body), Ok(()), "3.{minor}");
    }
}

#[test]
fn versions_with_the_same_layout_read_the_same_body() {
    // 3.6 to 3.10 and 3.11 to 3.13 changed the instructions, not the stream.
    let layouts: [&[u8]; 3] = [&[4, 5, 6, 7], &[8, 9, 10], &[11, 12, 13, 14, 15]];
    for (made_by, body) in bodies() {
        for versions in layouts {
            for &minor in versions
                .iter()
                .filter(|&&minor| minor < 14 || made_by >= 11)
            {
                let is_accepted = check(minor, &body).is_ok();
                let is_same = versions.contains(&made_by) && (made_by < 14 || minor >= 14);
                assert_eq!(
                    is_accepted, is_same,
                    "made by 3.{made_by}, read by 3.{minor}"
                );
            }
        }
    }
}

#[test]
fn a_body_cut_at_any_place_is_refused() {
    for (minor, body) in bodies() {
        for cut in 0..body.len() {
            let error = check_body(Runtime::cpython(3, minor), &body[..cut]).unwrap_err();
            assert_eq!(
                error.kind,
                MarshalErrorKind::Truncated,
                "3.{minor} cut at {cut}"
            );
            assert!(error.offset <= cut, "3.{minor} cut at {cut}");
        }
    }
}

#[test]
fn bytes_after_the_code_object_are_accepted_and_counted() {
    for (minor, mut body) in bodies() {
        let length = body.len();
        body.extend(b"anything");
        assert_eq!(body_length(Runtime::cpython(3, minor), &body), Ok(length));
    }
}

#[test]
fn an_unknown_version_is_not_called_malformed() {
    for version in [
        Runtime::cpython(2, 7),
        Runtime::cpython(3, 2),
        Runtime::cpython(3, 16),
    ] {
        let error = check_body(version, &[]).unwrap_err();
        assert_eq!(error.kind, MarshalErrorKind::UnknownVersion(version));
    }
}

#[test]
fn the_top_object_must_be_a_code_object() {
    for object in [&b"N"[..], b")\0", b"{0", b"z\x01a", b"[\x01\0\0\0N"] {
        assert_eq!(check(13, object), Err(MarshalErrorKind::NotCode));
    }
    assert_eq!(check(13, b"0"), Err(MarshalErrorKind::NullObject));
    assert_eq!(check(13, b""), Err(MarshalErrorKind::Truncated));
}

#[test]
fn objects_are_accepted_and_refused_as_marshal_loads_does() {
    use MarshalErrorKind::*;
    // The verdicts are those of marshal.loads in 3.6 to 3.14. They differ only for the slice.
    let table: &[(&[u8], Result<(), MarshalErrorKind>)] = &[
        (b"l\x01\0\0\0\xff\x7f", Ok(())),
        (b"l\0\0\0\0", Ok(())),
        (b"l\xff\xff\xff\xff\x01\0", Ok(())),
        (b"l\x01\0\0\0\x00\x80", Err(BadInteger)),
        (b"l\x02\0\0\0\x01\0\0\0", Err(BadInteger)),
        (b"l\0\0\0\x80", Err(BadSize(i32::MIN))),
        (b"f\x03nan", Ok(())),
        (b"f\x08infinity", Ok(())),
        (b"f\x04-1.0", Ok(())),
        (b"f\x051e999", Ok(())),
        (b"f\x041\0xx", Ok(())),
        (b"f\x02 1", Err(BadFloat)),
        (b"f\x021 ", Err(BadFloat)),
        (b"f\x031_0", Err(BadFloat)),
        (b"f\0", Err(BadFloat)),
        (b"x\x011\x01a", Err(BadFloat)),
        (b"I12345678", Ok(())),
        (b"z\x01\xff", Ok(())),
        (b"a\x01\0\0\0\xff", Ok(())),
        (b"u\x03\0\0\0\xed\xa0\x80", Ok(())),
        (b"u\x08\0\0\0a\xed\xa0\xbd\xed\xb8\x80b", Ok(())),
        (b"u\x03\0\0\0\xed\xa0\x20", Err(BadText)),
        (b"u\x02\0\0\0\xed\xa0", Err(BadText)),
        (b"t\x01\0\0\0\xff", Err(BadText)),
        (b"u\x04\0\0\0\xf4\x90\x80\x80", Err(BadText)),
        (b"s\xff\xff\xff\xff", Err(BadSize(-1))),
        (b"[\xff\xff\xff\x7f", Err(Truncated)),
        (b"s\xff\xff\xff\x7f", Err(Truncated)),
        (b"?", Err(UnknownType(b'?'))),
        (b"\x01", Err(UnknownType(1))),
        // The end marker ends a dictionary in place of a key or a value. No other container accepts it.
        (b"{0", Ok(())),
        (b"{i\x01\0\0\x000", Ok(())),
        (b"{NTTN0", Ok(())),
        (b"0", Err(NullObject)),
        (b"[\x01\0\0\x000", Err(NullObject)),
        (b"<\x01\0\0\x000", Err(NullObject)),
        // References: the singletons do not count, and a frozenset only counts once it is complete.
        (b"\xa9\x01r\0\0\0\0", Ok(())),
        (b"\xdb\x01\0\0\0r\0\0\0\0", Ok(())),
        (b"[\x02\0\0\0\xdar", Err(Truncated)),
        (b"[\x02\0\0\0\xda\x01ar\0\0\0\0", Ok(())),
        (b"[\x02\0\0\0\xcer\0\0\0\0", Err(BadReference(0))),
        (b"[\x02\0\0\0Nr\xff\xff\xff\xff", Err(BadReference(-1))),
        (b"\xbe\x01\0\0\0r\0\0\0\0", Err(BadReference(0))),
        (b"[\x02\0\0\0\xbe\0\0\0\0r\0\0\0\0", Ok(())),
        (b"[\x02\0\0\0\xbe\x01\0\0\0Nr\0\0\0\0", Ok(())),
        // Hashing.
        (b"<\x01\0\0\0)\x01N", Ok(())),
        (b"<\x01\0\0\0[\0\0\0\0", Err(Unhashable)),
        (b"<\x01\0\0\0)\x01)\x01{0", Err(Unhashable)),
        (b"<\x02\0\0\0\xdb\x01\0\0\0Nr\0\0\0\0", Err(Unhashable)),
        (b">\x01\0\0\0<\0\0\0\0", Err(Unhashable)),
        (b">\x01\0\0\0>\0\0\0\0", Ok(())),
        (b"{[\0\0\0\0N0", Err(Unhashable)),
        (b"{[\0\0\0\x000", Ok(())),
    ];
    for (object, expected) in table {
        for minor in 11..=15 {
            assert_eq!(
                check_const(minor, object),
                *expected,
                "3.{minor}: {object:?}"
            );
        }
    }
}

#[test]
fn slices_came_with_3_14_and_frozendicts_with_3_15() {
    use MarshalErrorKind::*;
    assert_eq!(check_const(13, b":NNN"), Err(UnknownType(b':')));
    for (object, expected) in [
        (&b":NNN"[..], Ok(())),
        (b"<\x01\0\0\0:NNN", Ok(())),
        (b"<\x01\0\0\0:[\0\0\0\0NN", Err(Unhashable)),
        (b"[\x02\0\0\0\xbaNNNr\0\0\0\0", Ok(())),
        (b"\xbaNNr\0\0\0\0", Err(BadReference(0))),
        // A slice without an object is not an object itself, so it ends the dictionary.
        (b"{N:N0", Ok(())),
        (b":N0", Err(NullObject)),
    ] {
        assert_eq!(check_const(14, object), expected, "{object:?}");
    }
    assert_eq!(check_const(14, b"}NN0"), Err(UnknownType(b'}')));
    assert_eq!(check_const(15, b"}NN0"), Ok(()));
}

#[test]
fn references_and_short_forms_are_unknown_to_3_3() {
    let plain = b"c\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0s\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0\
        u\x01\0\0\0fu\x01\0\0\0n\x01\0\0\0s\0\0\0\0";
    assert_eq!(check(3, plain), Ok(()));
    assert_eq!(check(7, plain), Ok(()));
    let mut flagged = plain.to_vec();
    flagged[0] |= 0x80;
    assert_eq!(check(3, &flagged), Err(MarshalErrorKind::UnknownType(0xe3)));
    assert_eq!(check(4, &flagged), Ok(()));
}

#[test]
fn a_code_object_is_refused_where_its_constructor_refuses_it() {
    use MarshalErrorKind::BadCode;
    let usual = Fields::default();
    assert_eq!(check(13, &usual.body()), Ok(()));
    let table = [
        (
            Fields {
                bytecode: Some(b"z\x02ab"),
                ..Fields::default()
            },
            "bytecode",
        ),
        (
            Fields {
                bytecode: Some(b"s\x03\0\0\0abc"),
                ..Fields::default()
            },
            "bytecode",
        ),
        (
            Fields {
                consts: Some(b"[\0\0\0\0"),
                ..Fields::default()
            },
            "tuple of constants",
        ),
        (
            Fields {
                names: Some(b")\x01N"),
                ..Fields::default()
            },
            "tuple of names",
        ),
        (
            Fields {
                variables: Some(b")\x01N"),
                ..Fields::default()
            },
            "tuple of variables",
        ),
        (
            Fields {
                variables: Some(b")\0"),
                ..Fields::default()
            },
            "table of variable kinds",
        ),
        (
            Fields {
                kinds: Some(b"s\0\0\0\0"),
                ..Fields::default()
            },
            "table of variable kinds",
        ),
        (
            Fields {
                file_name: Some(b"s\0\0\0\0"),
                ..Fields::default()
            },
            "file name",
        ),
        (
            Fields {
                numbers: Some([-1, 0, 0, 1, 0]),
                ..Fields::default()
            },
            "argument count",
        ),
        (
            Fields {
                numbers: Some([2, 0, 0, 1, 0]),
                ..Fields::default()
            },
            "tuple of variables",
        ),
        (
            Fields {
                numbers: Some([1, 0, 0, 1, 4]),
                ..Fields::default()
            },
            "tuple of variables",
        ),
        (
            Fields {
                numbers: Some([0, 1, 0, 1, 0]),
                ..Fields::default()
            },
            "positional-only argument count",
        ),
        (
            Fields {
                numbers: Some([0, 0, 0, -1, 0]),
                ..Fields::default()
            },
            "stack size",
        ),
        (
            Fields {
                numbers: Some([0, 0, 0, 1, -1]),
                ..Fields::default()
            },
            "flags",
        ),
    ];
    for (fields, name) in table {
        assert_eq!(check(13, &fields.body()), Err(BadCode(name)));
    }
    // The sum of the counts wraps around in the interpreter, so the interpreter loads this.
    let huge = Fields {
        numbers: Some([i32::MAX, 0, i32::MAX, 1, 0]),
        ..Fields::default()
    };
    assert_eq!(check(13, &huge.body()), Ok(()));
    let null = Fields {
        file_name: Some(b"0"),
        ..Fields::default()
    };
    assert_eq!(check(13, &null.body()), Err(MarshalErrorKind::NullObject));
}

#[test]
fn nesting_ends_at_two_thousand_objects() {
    // The code object, its constants, 1997 tuples and None make 2000. marshal.loads of 3.6 to 3.14 accepts at most
    // 1999 tuples around None.
    for (depth, expected) in [(1997, Ok(())), (1998, Err(MarshalErrorKind::TooDeep))] {
        let object = [b")\x01".repeat(depth), b"N".to_vec()].concat();
        assert_eq!(check_const(13, &object), expected);
    }
    let endless = b"[\x01\0\0\0".repeat(1 << 18);
    assert_eq!(check_const(13, &endless), Err(MarshalErrorKind::TooDeep));
}

#[test]
fn shared_tables_of_kinds_are_counted_once() {
    // A large table that many code objects share. Counting it for each would take quadratic time.
    let size = 1 << 20;
    let size_field = u32::try_from(size).unwrap().to_le_bytes();
    let names = [&b"\xa8"[..], &size_field, &b"r\0\0\0\0".repeat(size)].concat();
    let kinds = [&b"\xf3"[..], &size_field, &vec![0x20; size]].concat();
    let shared = [&b")\x03\xda\x01a"[..], &names, &kinds].concat();
    let code = Fields {
        variables: Some(b"r\x01\0\0\0"),
        kinds: Some(b"r\x02\0\0\0"),
        ..Fields::default()
    };
    let codes = [&b"(\0\x40\0\0"[..], &code.body().repeat(1 << 14)].concat();
    assert_eq!(
        check_consts(13, &[&b")\x02"[..], &shared, &codes].concat()),
        Ok(())
    );
}

#[test]
fn an_error_says_where_and_what() {
    let error = check_body(Runtime::cpython(3, 13), b"c\0\0\0\0").unwrap_err();
    assert_eq!(
        error,
        MarshalError {
            offset: 5,
            kind: MarshalErrorKind::Truncated
        }
    );
    assert_eq!(error.to_string(), "at body byte 5: cut short");
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_a_panic(minor in 0u8..20, body: Vec<u8>) {
        let _ = check(minor, &body);
    }

    #[test]
    fn any_change_to_a_real_body_is_walked_without_a_panic(
        which in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        minor in 3u8..16,
    ) {
        let (made_by, mut body) = bodies().swap_remove(which);
        for (index, byte) in changes {
            let at = index.index(body.len());
            body[at] = byte;
        }
        let _ = check(minor, &body);
        if let Ok(length) = body_length(Runtime::cpython(3, made_by), &body) {
            prop_assert!(length <= body.len());
        }
    }
}
