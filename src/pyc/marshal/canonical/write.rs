//! Writes the stream from the graph: first counts each value, then writes.

use std::slice;

use super::super::walk::MAX_DEPTH;
use super::super::{MarshalError, MarshalErrorKind};
use super::graph::{Content, Graph, Node};

/// The writer's state of a value.
#[derive(Clone, Copy, Default)]
struct State {
    is_seen: bool,
    is_repeated: bool,
    /// The number in the reference list, after the value was written with the flag.
    reference: Option<u32>,
}

/// Writes a value and everything inside it. `size` is the expected number of bytes.
///
/// # Errors
/// [`MarshalErrorKind::TooDeep`] if the value is nested deeper than Python reads.
pub(super) fn write(graph: &Graph<'_>, root: usize, size: usize) -> Result<Vec<u8>, MarshalError> {
    let mut states = vec![State::default(); graph.len()];
    traverse(graph, root, |number, node| {
        let Some(state) = states.get_mut(number) else {
            return false;
        };
        state.is_repeated |= state.is_seen && node.is_shareable;
        state.is_seen = true;
        !state.is_repeated
    })?;
    let mut bytes = Vec::with_capacity(size);
    let mut references = 0;
    traverse(graph, root, |number, node| {
        let Some(state) = states.get_mut(number) else {
            return false;
        };
        if let Some(reference) = state.reference {
            bytes.push(b'r');
            bytes.extend(reference.to_le_bytes());
            return false;
        }
        if state.is_repeated {
            state.reference = Some(references);
            references += 1;
        }
        write_head(node, state.is_repeated, &mut bytes);
        true
    })?;
    Ok(bytes)
}

/// Writes the bytes of the value before its first element.
fn write_head(node: &Node<'_>, is_flagged: bool, bytes: &mut Vec<u8>) {
    let flag = u8::from(is_flagged) << 7;
    match &node.content {
        Content::Leaf(payload) => {
            if !node.is_piece() {
                bytes.push(node.kind | flag);
            }
            bytes.extend_from_slice(payload);
        }
        Content::Tree(children) => {
            let length = children.len();
            match (node.kind, u8::try_from(length)) {
                (b'(', Ok(length)) => bytes.extend([b')' | flag, length]),
                (b'(' | b'[' | b'<' | b'>', _) => {
                    bytes.push(node.kind | flag);
                    // The length came from 32 bits.
                    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
                }
                _ => bytes.push(node.kind | flag),
            }
        }
    }
}

/// Visits a value and its contents in the order of the stream. Descends into a value only if the visitor returns
/// true.
fn traverse<'g, 'a>(
    graph: &'g Graph<'a>,
    root: usize,
    mut visit: impl FnMut(usize, &'g Node<'a>) -> bool,
) -> Result<(), MarshalError> {
    let mut open: Vec<slice::Iter<'g, usize>> = Vec::new();
    let mut next = Some(root);
    while let Some(number) = next {
        if open.len() >= MAX_DEPTH {
            let kind = MarshalErrorKind::TooDeep;
            return Err(MarshalError { offset: 0, kind });
        }
        if let Some(node) = graph.node(number)
            && visit(number, node)
            && let Content::Tree(children) = &node.content
        {
            open.push(children.iter());
        }
        next = loop {
            let Some(elements) = open.last_mut() else {
                break None;
            };
            match elements.next() {
                Some(&number) => break Some(number),
                None => open.pop(),
            };
        };
    }
    Ok(())
}
