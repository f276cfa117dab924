use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::check_body;
use super::super::tests::{Fields, bodies};
use super::*;

fn canonical(minor: u8, body: &[u8]) -> Result<Vec<u8>, MarshalErrorKind> {
    canonical_body(Runtime::cpython(3, minor), body).map_err(|error| error.kind)
}

/// A code object with these constants, given as the stream of one tuple.
fn with_consts(consts: &[u8]) -> Vec<u8> {
    let fields = Fields {
        consts: Some(consts),
        ..Fields::default()
    };
    fields.body()
}

/// The canonical form of a tuple of constants, which comes first in the code object.
fn canonical_consts(minor: u8, consts: &[u8]) -> Result<Vec<u8>, MarshalErrorKind> {
    let empty = canonical(minor, &with_consts(b")\0"))?;
    let (head, tail) = empty.split_at(28);
    let body = canonical(minor, &with_consts(consts))?;
    let tail = &tail[2..];
    assert!(body.starts_with(head) && body.ends_with(tail), "{body:?}");
    Ok(body[head.len()..body.len() - tail.len()].to_vec())
}

/// The canonical form of a tuple of these constants.
fn canonical_of(minor: u8, objects: &[&[u8]]) -> Result<Vec<u8>, MarshalErrorKind> {
    let count = u8::try_from(objects.len()).unwrap();
    let head = [b')', count];
    let consts = canonical_consts(minor, &[&head[..], &objects.concat()].concat())?;
    assert_eq!(consts[..2], head);
    Ok(consts[2..].to_vec())
}

#[track_caller]
fn assert_form(minor: u8, objects: &[&[u8]], expected: &[&[u8]]) {
    let expected = expected.concat();
    let form = canonical_of(minor, objects).unwrap();
    assert_eq!(form, expected, "{}", form.escape_ascii());
}

#[test]
fn equal_values_become_one_wherever_they_are() {
    let float: &[u8] = b"g01234567";
    let flagged: &[u8] = b"\xe701234567";
    let reference: &[u8] = b"r\0\0\0\0";
    for objects in [
        [float, float],
        [flagged, float],
        [flagged, flagged],
        [flagged, reference],
    ] {
        assert_form(13, &objects, &[flagged, reference]);
    }
    assert_form(13, &[flagged], &[float]);
    let within = [b"(\x01\0\0\0", float].concat();
    assert_form(13, &[&within, float], &[b")\x01", flagged, reference]);
}

#[test]
fn containers_are_numbered_before_what_they_hold() {
    let pair: &[u8] = b")\x02g01234567g76543210";
    let flagged: &[u8] = b"\xa9\x02\xe701234567g76543210";
    let objects = [pair, pair, b"g01234567"];
    assert_form(13, &objects, &[flagged, b"r\0\0\0\0r\x01\0\0\0"]);
    let set: &[u8] = b">\x02\0\0\0g01234567g76543210";
    let flagged: &[u8] = b"\xbe\x02\0\0\0\xe701234567g76543210";
    let objects = [set, set, b"g01234567"];
    assert_form(13, &objects, &[flagged, b"r\0\0\0\0r\x01\0\0\0"]);
    let slice: &[u8] = b":i1234NN";
    assert_form(14, &[slice, slice], &[b"\xbai1234NN", b"r\0\0\0\0"]);
}

#[test]
fn what_is_no_longer_than_a_reference_is_written_again() {
    let number: [&[u8]; 2] = [b"\xe91234", b"r\0\0\0\0"];
    assert_form(13, &number, &[b"i1234", b"i1234"]);
    let empty: [&[u8]; 2] = [b"\xa9\0", b"r\0\0\0\0"];
    assert_form(13, &empty, &[b")\0", b")\0"]);
    let nested: [&[u8]; 3] = [b"\xa9\x01\xda\x01a", b"r\0\0\0\0", b"r\x01\0\0\0"];
    assert_form(13, &nested, &[b")\x01Z\x01a", b")\x01Z\x01a", b"Z\x01a"]);
    let singletons: [&[u8]; 5] = [b"\xce", b"\xd4", b"\xc6", b"\xd3", b"\xae"];
    assert_form(13, &singletons, &[b"NTFS."]);
}

#[test]
fn what_is_no_value_is_the_same_only_by_reference() {
    let nan = [b"g", &f64::NAN.to_le_bytes()[..]].concat();
    let objects: [&[u8]; 6] = [
        b"[\0\0\0\0",
        b"<\0\0\0\0",
        b"{NN0",
        b"f\x03nan",
        b"f\x03NaN",
        &nan,
    ];
    for object in objects {
        let flagged = [&[object[0] | 0x80], &object[1..]].concat();
        assert_form(13, &[&flagged, b"r\0\0\0\0"], &[&flagged, b"r\0\0\0\0"]);
        assert_form(13, &[&flagged], &[object]);
        assert_form(13, &[object, object], &[object, object]);
    }
    // A tuple that contains one is not shared either.
    let holder: &[u8] = b")\x01[\0\0\0\0";
    assert_form(13, &[holder, holder], &[holder, holder]);
    let infinity: &[u8] = b"f\x08infinity";
    assert_form(13, &[infinity, infinity], &[b"\xe6\x08infinityr\0\0\0\0"]);
}

#[test]
fn code_objects_are_the_same_only_by_reference() {
    let code = with_consts(b")\0");
    let flagged = [b"\xe3", &code[1..]].concat();
    let count = |first: &[u8], second: &[u8]| {
        let body = with_consts(&[b")\x02", first, second].concat());
        let form = canonical(13, &body).unwrap();
        let heads = form
            .windows(13)
            .filter(|bytes| bytes[0] & 0x7f == b'c' && bytes[1..] == *b"\0\0\0\0\0\0\0\0\0\0\0\0");
        heads.count()
    };
    assert_eq!(count(&code, &code), 3);
    assert_eq!(count(&flagged, b"r\0\0\0\0"), 2);
}

#[test]
fn text_is_interned_if_it_could_be_a_name_in_ascii() {
    for (text, expected) in [
        (&b"z\x03a_1"[..], &b"Z\x03a_1"[..]),
        (b"Z\x03a.1", b"z\x03a.1"),
        (b"Z\x03a\xe91", b"z\x03a\xe91"),
        (b"z\0", b"Z\0"),
        (b"a\x02\0\0\0ab", b"A\x02\0\0\0ab"),
        (b"A\x02\0\0\0 b", b"a\x02\0\0\0 b"),
        (b"t\x02\0\0\0\xc3\xa9", b"u\x02\0\0\0\xc3\xa9"),
        (b"s\x02\0\0\0ab", b"s\x02\0\0\0ab"),
    ] {
        assert_form(13, &[text], &[expected]);
    }
    let both: [&[u8]; 2] = [b"Z\x05a b c", b"z\x05a b c"];
    assert_form(13, &both, &[b"\xfa\x05a b cr\0\0\0\0"]);
}

#[test]
fn sets_are_sorted_but_old_ones_of_numbers_only() {
    let text: &[u8] = b">\x03\0\0\0z\x01-z\x01+z\x01*";
    let sorted: &[u8] = b">\x03\0\0\0z\x01*z\x01+z\x01-";
    let numbers: &[u8] = b">\x03\0\0\0i8000)\x01i0000T";
    for minor in [11, 13, 14] {
        assert_form(minor, &[text], &[sorted]);
        assert_form(minor, &[numbers], &[b">\x03\0\0\0Ti8000)\x01i0000"]);
    }
    let old = |set: &[u8]| {
        // In code objects of 3.8 to 3.10 the constants follow the bytecode. The set becomes the first constant.
        let (_, body) = bodies()
            .into_iter()
            .find(|(minor, _)| *minor == 10)
            .unwrap();
        let code = canonical(10, &body).unwrap();
        let at = code
            .windows(4)
            .position(|bytes| bytes == b")\x05Ng")
            .unwrap();
        let changed = [&code[..at + 1], &[6], set, &code[at + 2..]].concat();
        let form = canonical(10, &changed).unwrap();
        form[at + 2..at + 2 + set.len()].to_vec()
    };
    assert_eq!(old(text), sorted);
    assert_eq!(old(numbers), numbers);
    assert_eq!(old(b">\x02\0\0\0i8000N"), b">\x02\0\0\0Ni8000");
}

#[test]
fn sets_of_containers_are_sorted_whatever_their_numbers() {
    let elements: [&[u8]; 5] = [
        b")\x02NT",
        b")\x01z\x03abc",
        b">\x01\0\0\0T",
        b")\x01T",
        &[b"z\x41", &[b'a'; 65][..]].concat(),
    ];
    let form = |order: [usize; 5]| {
        let set = [&b">\x05\0\0\0"[..], &order.map(|at| elements[at]).concat()].concat();
        canonical_of(13, &[&set]).unwrap()
    };
    let first = form([0, 1, 2, 3, 4]);
    for order in [[4, 3, 2, 1, 0], [1, 0, 3, 2, 4], [3, 2, 4, 0, 1]] {
        assert_eq!(form(order), first);
    }
}

#[test]
fn what_holds_itself_has_no_canonical_form() {
    for object in [
        &b"\xa9\x01r\0\0\0\0"[..],
        b"\xdb\x01\0\0\0r\0\0\0\0",
        b"\xfbNr\0\0\0\x000",
    ] {
        let within = [b")\x01", object].concat();
        let body = with_consts(&within);
        assert_eq!(check_body(Runtime::cpython(3, 13), &body), Ok(()));
        assert_eq!(
            canonical_consts(13, &within),
            Err(MarshalErrorKind::BadReference(0))
        );
    }
    // An object that ends at an end marker has no canonical form either.
    assert_eq!(
        canonical_of(14, &[b"{N:N0"]),
        Err(MarshalErrorKind::NullObject)
    );
    assert_form(14, &[b"{NT0", b"{N0"], &[b"{NT0{N0"]);
}

#[test]
fn bytes_after_the_code_object_are_dropped() {
    for (minor, body) in bodies() {
        let form = canonical(minor, &body).unwrap();
        assert_eq!(check_body(Runtime::cpython(3, minor), &form), Ok(()));
        assert_eq!(canonical(minor, &[&body, &b"rest"[..]].concat()), Ok(form));
    }
}

#[test]
fn versions_before_3_6_have_no_canonical_form() {
    for version in [
        Runtime::cpython(3, 5),
        Runtime::cpython(3, 16),
        Runtime::cpython(2, 7),
    ] {
        let error = canonical_body(version, b"").unwrap_err();
        assert_eq!(error.kind, MarshalErrorKind::UnknownVersion(version));
    }
}

#[test]
fn nested_references_are_not_expanded() {
    // Written out, these would be 2 to the power of 20 000 floats.
    let started = Instant::now();
    let levels = 20_000_u32;
    let mut consts = b"(".to_vec();
    consts.extend((levels + 1).to_le_bytes());
    consts.extend(b"\xe701234567");
    for level in 0..levels {
        // The last one does not repeat.
        consts.extend(if level + 1 < levels {
            b"\xa9\x02"
        } else {
            b")\x02"
        });
        for _ in 0..2 {
            consts.push(b'r');
            consts.extend(level.to_le_bytes());
        }
    }
    assert!(canonical_consts(13, &consts) == Ok(consts));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn long_elements_of_sets_are_read_once() {
    let started = Instant::now();
    let (long, count) = (1_usize << 20, 1_usize << 18);
    let mut consts = b")\x03".to_vec();
    for last in [b'1', b'2'] {
        consts.push(0xe1);
        consts.extend(u32::try_from(long).unwrap().to_le_bytes());
        consts.extend(vec![b'-'; long - 1]);
        consts.push(last);
    }
    consts.push(b'>');
    consts.extend(u32::try_from(count).unwrap().to_le_bytes());
    consts.extend(b"r\0\0\0\0r\x01\0\0\0".repeat(count / 2));
    assert!(canonical_consts(13, &consts).is_ok());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_form_that_would_be_nested_too_deep_is_refused() {
    // In stream order, the tuples around the reference are not deep. Sorting puts them first, so they contain the
    // whole referenced value.
    let inner = [b"\xa9\x01".repeat(1000), b"\xfa\x05a b c".to_vec()].concat();
    let is_refused = |around: usize| {
        let outer = [b")\x01".repeat(around), b"r\0\0\0\0".to_vec()].concat();
        let set = [&b">\x02\0\0\0"[..], &inner, &outer].concat();
        match canonical_of(13, &[&set]) {
            Ok(form) => {
                assert!(form.len() <= set.len());
                false
            }
            Err(kind) => {
                assert_eq!(kind, MarshalErrorKind::TooDeep);
                true
            }
        }
    };
    assert!((900..920).all(|around| !is_refused(around)));
    assert!((1200..1220).any(is_refused));
    assert!(!(1200..1220).all(is_refused));
}

/// A value that the tests write in many ways.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Leaf(Vec<u8>),
    Tuple(Vec<Model>),
    FrozenSet(Vec<Model>),
}

fn model() -> impl Strategy<Value = Model> {
    let leaves: [&[u8]; 8] = [
        b"N",
        b"T",
        b"i1234",
        b"g01234567",
        b"z\x01a",
        b"z\x06a b c ",
        b"s\x04\0\0\0abcd",
        b"u\x02\0\0\0\xc3\xa9",
    ];
    let leaf = prop::sample::select(leaves.map(<[u8]>::to_vec).to_vec()).prop_map(Model::Leaf);
    leaf.prop_recursive(4, 40, 5, |inner| {
        let elements = prop::collection::vec(inner, 0..5);
        (any::<bool>(), elements).prop_map(|(is_set, elements)| {
            if is_set {
                Model::FrozenSet(elements)
            } else {
                Model::Tuple(elements)
            }
        })
    })
}

/// Writes models with flags, references and set orders from a list of choices.
struct Writer<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, bool>>,
    references: Vec<Option<Model>>,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    fn choose(&mut self) -> bool {
        self.choices.next().copied().unwrap_or_default()
    }

    fn write(&mut self, model: &Model) {
        let known = self
            .references
            .iter()
            .position(|known| known.as_ref() == Some(model));
        if let Some(known) = known
            && self.choose()
        {
            self.bytes.push(b'r');
            self.bytes
                .extend(u32::try_from(known).unwrap().to_le_bytes());
            return;
        }
        let is_flagged = self.choose();
        let flag = u8::from(is_flagged) << 7;
        let place = self.references.len();
        let is_singleton = matches!(model, Model::Leaf(bytes) if bytes.len() == 1);
        let is_referable = is_flagged && !is_singleton;
        if is_referable {
            self.references.push(None);
        }
        match model {
            Model::Leaf(bytes) => {
                self.bytes.push(bytes[0] | flag);
                self.bytes.extend(&bytes[1..]);
            }
            Model::Tuple(elements) | Model::FrozenSet(elements) => {
                let is_set = matches!(model, Model::FrozenSet(_));
                self.bytes.push(if is_set { b'>' } else { b'(' } | flag);
                self.bytes
                    .extend(u32::try_from(elements.len()).unwrap().to_le_bytes());
                let mut elements: Vec<&Model> = elements.iter().collect();
                if is_set && self.choose() {
                    elements.reverse();
                }
                for element in elements {
                    self.write(element);
                }
            }
        }
        // Otherwise the index belongs to something inside it.
        if is_referable {
            self.references[place] = Some(model.clone());
        }
    }
}

fn written(model: &Model, choices: &[bool]) -> Vec<u8> {
    let mut writer = Writer {
        choices: choices.iter().cycle(),
        references: Vec::new(),
        bytes: Vec::new(),
    };
    writer.write(&Model::Tuple(vec![model.clone()]));
    with_consts(&writer.bytes)
}

proptest! {
    #[test]
    fn one_value_has_one_form(
        model in model(),
        left in prop::collection::vec(any::<bool>(), 1..20),
        right in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let form = canonical(13, &written(&model, &left)).unwrap();
        prop_assert_eq!(canonical(13, &written(&model, &right)), Ok(form.clone()));
        prop_assert_eq!(check_body(Runtime::cpython(3, 13), &form), Ok(()));
        prop_assert_eq!(canonical(13, &form), Ok(form));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(minor in 0u8..20, body: Vec<u8>) {
        let _ = canonical(minor, &body);
    }

    #[test]
    fn any_change_to_a_real_body_is_read_without_a_panic(
        which in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (minor, mut body) = bodies().swap_remove(which);
        for (index, byte) in changes {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if let Ok(form) = canonical(minor, &body) {
            prop_assert!(form.len() <= body.len());
            prop_assert_eq!(check_body(Runtime::cpython(3, minor), &form), Ok(()));
            prop_assert_eq!(canonical(minor, &form), Ok(form));
        }
    }
}
