//! From the graph to the stream: first counts how often each value comes, then writes.

use std::slice;

use super::super::walk::MAX_DEPTH;
use super::super::{MarshalError, MarshalErrorKind};
use super::graph::{Content, Graph, Node};

/// What is known of a value while writing.
#[derive(Clone, Copy, Default)]
struct State {
    /// It has come once, or more often.
    is_seen: bool,
    is_repeated: bool,
    /// The number in the reference list, once it is written with the flag.
    reference: Option<u32>,
}

/// Writes this value and all that it holds. `size` is about the bytes that this takes.
///
/// # Errors
/// It is nested deeper than Python reads.
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

/// The value's bytes up to its first element.
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
                    // The length was read from 32 bits.
                    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
                }
                _ => bytes.push(node.kind | flag),
            }
        }
    }
}

/// Hands out the value and what it holds, in the stream's order; what a value holds only if the
/// visitor says so.
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
