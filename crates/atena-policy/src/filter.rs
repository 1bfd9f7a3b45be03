//! The field filter: what a rule lets through, as a tree over field numbers.

use crate::wire::{Content, WireError, WireReader, put_delimited_head, short_delimited_head};

#[cfg(test)]
mod tests;

/// Copies allowed fields of a protobuf message and drops everything else (*deny-by-default*).
///
/// It works on the wire form and decodes no value: a field that nobody thought of can't leak, because it is not in the tree.
/// Made only by compiling a rule; an empty filter lets nothing through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldFilter {
    /// Sorted by field number.
    steps: Vec<(u32, Step)>,
}

/// What to do with a field whose number is in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A leaf: copy it.
    Keep,
    /// A message: copy what this allows of it.
    Descend(FieldFilter),
}

/// Numbers in the longest path: bounds how deep [`FieldFilter::apply`] descends.
const DEPTH_MAX: usize = 16;

// === impl FieldFilter ===

impl FieldFilter {
    /// A filter that allows these leaves. Of a path and a longer one that leads on from it, only the longer one is allowed.
    pub(crate) fn allowing<'a>(paths: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut filter = Self::default();
        for path in paths {
            if path.len() <= DEPTH_MAX {
                filter.allow(path);
            }
        }
        filter
    }

    /// Appends to `out` what is allowed of the message `input`.
    ///
    /// Unknown fields and groups are dropped. A sub-message of which nothing allowed is left is dropped whole, so that its
    /// presence tells nothing. Allowed leaves keep their bytes and order.
    ///
    /// # Errors
    ///
    /// Where `input` is not a well-formed message, as far as it had to be read; `out` is then as before (nothing is released).
    pub fn apply(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        let result = self.copy_allowed(input, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Whether the leaf with these field numbers is let through.
    #[must_use]
    pub fn allows(&self, numbers: &[u32]) -> bool {
        match numbers {
            [] => false,
            [number, rest @ ..] => match self.step(*number) {
                None => false,
                Some(Step::Keep) => rest.is_empty(),
                Some(Step::Descend(inner)) => inner.allows(rest),
            },
        }
    }

    /// Whether nothing is let through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn copy_allowed(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut reader = WireReader::new(input);
        while let Some(field) = reader.next_field()? {
            match (self.step(field.number), field.content) {
                (Some(Step::Keep), Content::Scalar | Content::Delimited(_)) => out.extend_from_slice(field.raw),
                (Some(Step::Descend(inner)), Content::Delimited(body)) => {
                    let start = out.len();
                    out.extend_from_slice(&HEAD_TO_COME);
                    inner.copy_allowed(body, out)?;
                    wrap(field.number, start, out);
                }
                // Not in the tree, a group, or a scalar where a message belongs.
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&self, number: u32) -> Option<&Step> {
        // A message has few fields: looking through them takes less than searching among them.
        self.steps.iter().find(|(known, _)| *known == number).map(|(_, step)| step)
    }

    fn allow(&mut self, path: &[u32]) {
        let Some((number, rest)) = path.split_first() else {
            return;
        };
        let position = match self.steps.binary_search_by_key(number, |(number, _)| *number) {
            Ok(position) => position,
            Err(position) => {
                self.steps.insert(position, (*number, Step::Keep));
                position
            }
        };
        let Some((_, step)) = self.steps.get_mut(position) else {
            return;
        };
        if rest.is_empty() {
            return;
        }
        match step {
            Step::Descend(inner) => inner.allow(rest),
            Step::Keep => {
                let mut inner = Self::default();
                inner.allow(rest);
                *step = Step::Descend(inner);
            }
        }
    }
}

/// Room for tag and length of a delimited field, one byte each as almost always, until its length is known.
const HEAD_TO_COME: [u8; 2] = [0; 2];

/// Turns what was appended since `start`, behind room for its head, into the body of a delimited field; an empty body leaves no trace.
fn wrap(number: u32, start: usize, out: &mut Vec<u8>) {
    let body = start + HEAD_TO_COME.len();
    let Some(length) = out.len().checked_sub(body).filter(|length| *length > 0) else {
        return out.truncate(start);
    };
    match (short_delimited_head(number, length), out.get_mut(start..body)) {
        (Some(head), Some(room)) => room.copy_from_slice(&head),
        _ => {
            let mut head = Vec::with_capacity(20);
            put_delimited_head(number, length, &mut head);
            out.splice(start..body, head);
        }
    }
}
