//! The cells of a message straight from its protobuf wire form.
//!
//! A plan says for each field number which column it fills. It is made from the contract's
//! descriptors, in the order of [`super::columns::Column::all`]. No message is built: a cell is a
//! place in the bytes that arrived. That is what makes a pull cheap.

use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::columns::REPEATED;

/// Why bytes are not the message. It says nothing about their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the fields of a message go.
pub(super) struct Plan {
    top: Level,
    columns: usize,
}

/// One cell of a row. Texts are places in the message's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// The field is absent.
    Absent,
    /// From one byte to another.
    Text(usize, usize),
    /// A number, a code, or a flag as 1 or 0.
    Signed(i64),
    /// A number without a sign.
    Unsigned(u64),
}

/// The fields of one message type at one place of the tree.
struct Level {
    /// By field number; the contract numbers its fields densely.
    slots: Vec<Option<Slot>>,
    /// Columns of own numbers that can't be absent by themselves: 0 as soon as the message is there.
    numbers: Vec<usize>,
    /// How many of its fields are repeated messages.
    repeated: usize,
}

/// What happens to a field.
enum Slot {
    /// It is a cell.
    Leaf { column: usize, scalar: Scalar, zero: Cell },
    /// It is one message.
    Single(Level),
    /// It is several messages: element `n` has its columns `n * stride` further on.
    Repeated { level: Level, stride: usize, ordinal: usize },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scalar {
    Text,
    Flag,
    Signed32,
    Signed64,
    Unsigned32,
    Unsigned64,
}

// === impl Plan ===

impl Plan {
    /// The plan of a message.
    pub(super) fn new(message: &MessageDescriptor) -> Self {
        let mut columns = 0;
        let top = Level::new(message, true, &mut columns);
        Self { top, columns }
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Reads a message into one cell a column.
    ///
    /// # Errors
    /// [`Malformed`], exactly when a decoder of the message refuses it.
    pub(super) fn read(&self, message: &[u8], cells: &mut Vec<Cell>) -> Result<(), Malformed> {
        cells.clear();
        cells.resize(self.columns, Cell::Absent);
        let mut reader = Reader { input: message, position: 0 };
        self.top.read(&mut reader, message.len(), Some(0), cells)
    }
}

// === impl Level ===

impl Level {
    fn new(message: &MessageDescriptor, is_top: bool, next: &mut usize) -> Self {
        let mut level = Self { slots: Vec::new(), numbers: Vec::new(), repeated: 0 };
        for field in message.fields() {
            let Some(slot) = level.slot(&field, is_top, next) else { continue };
            let number = field.number() as usize;
            if level.slots.len() <= number {
                level.slots.resize_with(number + 1, || None);
            }
            level.slots[number] = Some(slot);
        }
        level
    }

    /// `None` for kinds that a table does not show: their columns stay empty.
    fn slot(&mut self, field: &FieldDescriptor, is_top: bool, next: &mut usize) -> Option<Slot> {
        let first = *next;
        if let Kind::Message(inner) = field.kind() {
            let level = Self::new(&inner, false, next);
            if !field.is_list() {
                return Some(Slot::Single(level));
            }
            let (stride, ordinal) = (*next - first, self.repeated);
            self.repeated += 1;
            *next = first + stride * REPEATED;
            return Some(Slot::Repeated { level, stride, ordinal });
        }
        if field.is_list() {
            *next += REPEATED;
            return None;
        }
        *next += 1;
        let scalar = scalar(&field.kind())?;
        if !is_top && scalar != Scalar::Text && !field.supports_presence() {
            self.numbers.push(first);
        }
        // At the top a 0 is a field that is absent, unless the contract gives the field presence.
        let zero = if is_top && !field.supports_presence() { Cell::Absent } else { Cell::Signed(0) };
        Some(Slot::Leaf { column: first, scalar, zero })
    }

    /// Reads the fields up to `end`. `shift` moves the columns; without it the fields are only checked.
    fn read(
        &self,
        reader: &mut Reader<'_>,
        end: usize,
        shift: Option<usize>,
        cells: &mut [Cell],
    ) -> Result<(), Malformed> {
        for column in shift.iter().flat_map(|shift| self.numbers.iter().map(move |column| column + shift)) {
            if cells[column] == Cell::Absent {
                cells[column] = Cell::Signed(0);
            }
        }
        let mut elements = vec![0; self.repeated];
        while reader.position < end {
            let (number, wire_type) = reader.tag(end)?;
            match self.slots.get(number as usize).and_then(Option::as_ref) {
                None => reader.skip(number, wire_type, end)?,
                Some(Slot::Single(level)) => {
                    let (_, inner_end) = reader.delimited(wire_type, end)?;
                    level.read(reader, inner_end, shift, cells)?;
                }
                Some(Slot::Repeated { level, stride, ordinal }) => {
                    let (_, inner_end) = reader.delimited(wire_type, end)?;
                    let element = elements[*ordinal];
                    elements[*ordinal] += 1;
                    let shift = shift.filter(|_| element < REPEATED).map(|shift| shift + element * stride);
                    level.read(reader, inner_end, shift, cells)?;
                }
                Some(Slot::Leaf { column, scalar, zero }) => {
                    let cell = reader.scalar(*scalar, wire_type, end)?;
                    if let Some(shift) = shift {
                        let is_zero = matches!(cell, Cell::Signed(0) | Cell::Unsigned(0));
                        cells[column + shift] = if is_zero { *zero } else { cell };
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where the content of a message's one field lies, if that is field `number`.
pub(super) fn only_field(message: &[u8], number: u32) -> Result<Option<(usize, usize)>, Malformed> {
    let mut reader = Reader { input: message, position: 0 };
    let (found, wire_type) = reader.tag(message.len())?;
    let place = reader.delimited(wire_type, message.len())?;
    Ok((found == number).then_some(place))
}

fn scalar(kind: &Kind) -> Option<Scalar> {
    Some(match kind {
        Kind::String => Scalar::Text,
        Kind::Bool => Scalar::Flag,
        Kind::Int32 | Kind::Enum(_) => Scalar::Signed32,
        Kind::Int64 => Scalar::Signed64,
        Kind::Uint32 => Scalar::Unsigned32,
        Kind::Uint64 => Scalar::Unsigned64,
        _ => return None,
    })
}

/// A place in a message.
struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

// === impl Reader ===

impl Reader<'_> {
    #[inline]
    fn varint(&mut self, end: usize) -> Result<u64, Malformed> {
        let rest = self.input.get(self.position..end).ok_or(Malformed)?;
        match rest.first() {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(byte.into())
            }
            _ => {
                let mut left = rest;
                let value = decode_varint(&mut left).map_err(|_| Malformed)?;
                self.position = end - left.len();
                Ok(value)
            }
        }
    }

    #[inline]
    fn tag(&mut self, end: usize) -> Result<(u32, WireType), Malformed> {
        let tag = u32::try_from(self.varint(end)?).map_err(|_| Malformed)?;
        let wire_type = WireType::try_from(u64::from(tag & 7)).map_err(|_| Malformed)?;
        if tag >> 3 == 0 { Err(Malformed) } else { Ok((tag >> 3, wire_type)) }
    }

    /// Where the content of a delimited field begins and ends. The reader stands at its beginning.
    #[inline]
    fn delimited(&mut self, wire_type: WireType, end: usize) -> Result<(usize, usize), Malformed> {
        if wire_type != WireType::LengthDelimited {
            return Err(Malformed);
        }
        let length = usize::try_from(self.varint(end)?).map_err(|_| Malformed)?;
        if length > end - self.position { Err(Malformed) } else { Ok((self.position, self.position + length)) }
    }

    #[inline]
    fn scalar(&mut self, scalar: Scalar, wire_type: WireType, end: usize) -> Result<Cell, Malformed> {
        if scalar == Scalar::Text {
            let (from, to) = self.delimited(wire_type, end)?;
            self.position = to;
            let text = self.input.get(from..to).ok_or(Malformed)?;
            return std::str::from_utf8(text).map(|_| Cell::Text(from, to)).map_err(|_| Malformed);
        }
        if wire_type != WireType::Varint {
            return Err(Malformed);
        }
        let value = self.varint(end)?;
        Ok(match scalar {
            Scalar::Text | Scalar::Unsigned64 => Cell::Unsigned(value),
            Scalar::Flag => Cell::Signed((value != 0).into()),
            // The contract's 32-bit numbers are the low half of the varint, as every decoder takes them.
            Scalar::Signed32 => Cell::Signed((value as i32).into()),
            Scalar::Signed64 => Cell::Signed(value as i64),
            Scalar::Unsigned32 => Cell::Unsigned((value as u32).into()),
        })
    }

    fn skip(&mut self, number: u32, wire_type: WireType, end: usize) -> Result<(), Malformed> {
        let mut left = self.input.get(self.position..end).ok_or(Malformed)?;
        skip_field(wire_type, number, &mut left, DecodeContext::default()).map_err(|_| Malformed)?;
        self.position = end - left.len();
        Ok(())
    }
}
