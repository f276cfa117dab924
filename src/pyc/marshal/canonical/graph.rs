//! The values of a body, each once, with the values that they contain.
//!
//! This module settles three things that the values leave open:
//!
//! * Text is interned or not. The whole process shares characters up to U+00FF, so interning one anywhere changes
//!   later dumps. Here text is interned if the constructor of code objects would intern it anyway. That constructor
//!   also interns names with other characters.
//! * The order in a set comes from the hashes of its elements. Those of text, bytes, None and the ellipsis differ
//!   between processes. From 3.11 on `marshal` sorts sets, but by bytes that include the flags. So elements are
//!   sorted here. Up to 3.10, sets of numbers alone keep their order: it is always the same, and a loop over the set
//!   can observe it.
//! * NaNs are not equal to themselves, but containers find them by identity. So each NaN stays separate.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use sha2::{Digest, Sha256};

/// Bytes of a reference.
const REFERENCE_SIZE: usize = 5;
/// Payloads longer than this are compared by digest, because a set can refer to one long value often.
const LONG: usize = 64;
/// Maximum number of values to reserve memory for in advance.
const MOST_EXPECTED: usize = 100_000;
/// The kind of a node that is not an object but bytes of the object around it.
const PIECE: u8 = 0;

/// A value: an object, or bytes between the objects inside another one.
pub(super) struct Node<'a> {
    /// The type byte without the flag. Tuples always have the byte of the long form.
    pub(super) kind: u8,
    pub(super) content: Content<'a>,
    /// Whether later occurrences are written as references.
    pub(super) is_shareable: bool,
    /// Bytes of the written value, capped at one more than [`REFERENCE_SIZE`].
    size: usize,
    /// Whether the hash is the same in every process.
    has_fixed_hash: bool,
}

#[derive(Clone)]
pub(super) enum Content<'a> {
    /// The bytes after the type byte.
    Leaf(&'a [u8]),
    /// The numbers of the contained values.
    Tree(Rc<[usize]>),
}

impl Node<'_> {
    /// Whether this is bytes without a type byte.
    pub(super) fn is_piece(&self) -> bool {
        self.kind == PIECE
    }
}

/// The sort key of an element in a set.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    Short(u8, &'a [u8]),
    Long([u8; 32]),
}

/// The values, indexed by their numbers.
pub(super) struct Graph<'a> {
    minor: u8,
    nodes: Vec<Node<'a>>,
    leaves: HashMap<(u8, &'a [u8]), usize>,
    tuples: HashMap<Rc<[usize]>, usize>,
    frozensets: HashMap<Rc<[usize]>, usize>,
    slices: HashMap<Rc<[usize]>, usize>,
    /// Digests of values in sets, except short leaves.
    digests: HashMap<usize, [u8; 32]>,
}

impl<'a> Graph<'a> {
    /// An empty graph for a body of `size` bytes.
    pub(super) fn new(minor: u8, size: usize) -> Graph<'a> {
        // About as many values as in the bodies of a standard library.
        let expected = (size / 32).min(MOST_EXPECTED);
        Graph {
            minor,
            nodes: Vec::with_capacity(expected),
            leaves: HashMap::with_capacity(expected),
            tuples: HashMap::new(),
            frozensets: HashMap::new(),
            slices: HashMap::new(),
            digests: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, number: usize) -> Option<&Node<'a>> {
        self.nodes.get(number)
    }

    /// The number of a piece: bytes between objects.
    pub(super) fn piece(&mut self, bytes: &'a [u8]) -> usize {
        self.push(Node {
            kind: PIECE,
            content: Content::Leaf(bytes),
            is_shareable: false,
            size: bytes.len(),
            has_fixed_hash: true,
        })
    }

    /// The number of an object without elements. `payload` is the bytes after the type byte.
    pub(super) fn leaf(&mut self, kind: u8, payload: &'a [u8]) -> usize {
        let kind = text_kind(kind, payload);
        let is_nan = is_nan(kind, payload);
        if !is_nan {
            match self.leaves.entry((kind, payload)) {
                Entry::Occupied(known) => return *known.get(),
                Entry::Vacant(place) => place.insert(self.nodes.len()),
            };
        }
        let size = (1 + payload.len()).min(REFERENCE_SIZE + 1);
        let is_number = matches!(
            kind,
            b'T' | b'F' | b'i' | b'I' | b'l' | b'f' | b'g' | b'x' | b'y'
        );
        self.push(Node {
            kind,
            content: Content::Leaf(payload),
            is_shareable: is_nan || size > REFERENCE_SIZE,
            size: if is_nan { REFERENCE_SIZE + 1 } else { size },
            has_fixed_hash: is_number && !is_nan,
        })
    }

    /// The number of an object that contains others.
    pub(super) fn tree(&mut self, kind: u8, children: &mut [usize]) -> usize {
        if matches!(kind, b'<' | b'>') {
            self.sort_elements(children);
        }
        let known = self.known_trees(kind);
        let is_value = known.is_some();
        if let Some(&number) = known.and_then(|known| known.get(&*children)) {
            return number;
        }
        let size = match is_value {
            true => self.tree_size(kind, children),
            false => REFERENCE_SIZE + 1,
        };
        let children: Rc<[usize]> = Rc::from(&*children);
        let number = self.push(Node {
            kind,
            content: Content::Tree(Rc::clone(&children)),
            is_shareable: size > REFERENCE_SIZE,
            size,
            has_fixed_hash: is_value && self.have_fixed_hashes(&children),
        });
        if let Some(known) = self.known_trees(kind) {
            known.insert(children, number);
        }
        number
    }

    /// The known containers of a kind whose equality depends only on their elements.
    fn known_trees(&mut self, kind: u8) -> Option<&mut HashMap<Rc<[usize]>, usize>> {
        match kind {
            b'(' => Some(&mut self.tuples),
            b'>' => Some(&mut self.frozensets),
            b':' => Some(&mut self.slices),
            _ => None,
        }
    }

    fn tree_size(&self, kind: u8, children: &[usize]) -> usize {
        let head = match kind {
            b'(' => 2,
            b'>' => 5,
            _ => 1,
        };
        let mut size: usize = head;
        for &child in children {
            size += self.node(child).map_or(0, |node| node.size);
            if size > REFERENCE_SIZE {
                return REFERENCE_SIZE + 1;
            }
        }
        size
    }

    fn push(&mut self, node: Node<'a>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn have_fixed_hashes(&self, numbers: &[usize]) -> bool {
        numbers
            .iter()
            .all(|&number| self.node(number).is_some_and(|node| node.has_fixed_hash))
    }

    fn sort_elements(&mut self, elements: &mut [usize]) {
        if self.minor < 11 && self.have_fixed_hashes(elements) {
            return;
        }
        let mut sorted: Vec<(SortKey<'a>, usize)> = elements
            .iter()
            .map(|&element| (self.sort_key(element), element))
            .collect();
        sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (element, (_, number)) in elements.iter_mut().zip(sorted) {
            *element = number;
        }
    }

    fn sort_key(&mut self, number: usize) -> SortKey<'a> {
        match self.node(number).map(|node| (node.kind, &node.content)) {
            Some((kind, &Content::Leaf(payload))) if payload.len() <= LONG => {
                SortKey::Short(kind, payload)
            }
            _ => SortKey::Long(self.digest(number)),
        }
    }

    /// A digest of the value that does not depend on the numbers.
    fn digest(&mut self, number: usize) -> [u8; 32] {
        let mut pending = vec![number];
        while let Some(&next) = pending.last() {
            let waiting = pending.len();
            if !self.digests.contains_key(&next)
                && let Some(node) = self.nodes.get(next)
            {
                if let Content::Tree(children) = &node.content {
                    let is_missing = |child: &usize| !self.digests.contains_key(child);
                    pending.extend(children.iter().copied().filter(is_missing));
                }
                if pending.len() > waiting {
                    continue;
                }
                let digest = self.digest_of(node);
                self.digests.insert(next, digest);
            }
            pending.pop();
        }
        self.digests.get(&number).copied().unwrap_or_default()
    }

    /// The digest of a value whose elements have known digests.
    fn digest_of(&self, node: &Node<'_>) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update([node.kind]);
        match &node.content {
            Content::Leaf(payload) => hasher.update(payload),
            Content::Tree(children) => {
                for child in children.iter() {
                    hasher.update(self.digests.get(child).copied().unwrap_or_default());
                }
            }
        }
        hasher.finalize().into()
    }
}

/// The type byte of text. Text is interned if `all_name_chars` in Objects/codeobject.c accepts it, because each code
/// object that has it as a constant or name interns it. Other type bytes stay.
fn text_kind(kind: u8, payload: &[u8]) -> u8 {
    let text = match kind {
        b'z' | b'Z' => payload.get(1..),
        b'a' | b'A' => payload.get(4..),
        b't' => return b'u',
        _ => return kind,
    };
    let is_name_char = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if text.unwrap_or_default().iter().all(is_name_char) {
        kind.to_ascii_uppercase()
    } else {
        kind.to_ascii_lowercase()
    }
}

/// Whether this is a number that is not equal to itself. In the text of floats, only `nan` contains an `a`.
fn is_nan(kind: u8, payload: &[u8]) -> bool {
    match kind {
        b'g' | b'y' => payload
            .as_chunks()
            .0
            .iter()
            .any(|&bytes| f64::from_le_bytes(bytes).is_nan()),
        b'f' | b'x' => payload.iter().any(|byte| matches!(byte, b'a' | b'A')),
        _ => false,
    }
}
