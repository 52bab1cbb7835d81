//! Values in Avro's binary encoding: whether the bytes are one value of a schema, and nothing more.
//!
//! It is our own walk, which keeps nothing. A library that builds the value gives out memory by the
//! lengths that the bytes declare: a few bytes are a million `null`s.

use super::{
    super::{
        place::{Segment, pointer},
        verdict::{Budget, Violation},
    },
    AvroSchema, Kind, NodeId, tell,
};

/// How deep a value may be. It protects the stack: a record that holds itself takes a byte for a
/// level.
pub const MAX_VALUE_DEPTH: usize = 200;

/// What keeps bytes from being one value of a schema: nothing, or the first place where they cannot
/// be read on, as a JSON pointer into the value. What comes after it has no meaning.
#[must_use]
pub fn decode_check(schema: &AvroSchema, bytes: &[u8], budget: &mut Budget) -> Vec<Violation> {
    let mut input = Input { schema, bytes, budget, path: Vec::new() };
    let read = input.value(schema.root).and_then(|()| match input.bytes.len() {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left over")),
    });
    let mut violations = Vec::new();
    if let Err(message) = read {
        tell(&mut violations, &pointer(&input.path), message);
    }
    violations
}

struct Input<'a> {
    schema: &'a AvroSchema,
    bytes: &'a [u8],
    budget: &'a mut Budget,
    /// It stays where the reading failed.
    path: Vec<Segment<'a>>,
}

type Read<T> = Result<T, String>;

impl<'a> Input<'a> {
    fn step(&mut self) -> Read<()> {
        self.budget.step().map_err(|_| "takes more work to read than may be done".to_owned())
    }

    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let left = self.bytes.len();
        let split =
            usize::try_from(count).ok().and_then(|count| self.bytes.split_at_checked(count));
        let (taken, rest) = split.ok_or(format!("needs {count} bytes, and {left} are left"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Read<i64> {
        let mut read: u64 = 0;
        for index in 0..10_u32 {
            let byte = u64::from(self.take(1)?.first().copied().unwrap_or_default());
            if index == 9 && byte > 1 {
                break;
            }
            read |= (byte & 0x7f) << (index * 7);
            if byte & 0x80 == 0 {
                return Ok((read >> 1).cast_signed() ^ -(read & 1).cast_signed());
            }
        }
        Err("a number is longer than 64 bits".into())
    }

    fn sized(&mut self) -> Read<&'a [u8]> {
        let length = self.long()?;
        let length = u64::try_from(length).map_err(|_| format!("its length is {length}"))?;
        self.take(length)
    }

    fn text(&mut self) -> Read<&'a [u8]> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| "is no UTF-8".to_owned())?;
        Ok(bytes)
    }

    fn below(&mut self, segment: Segment<'a>, id: NodeId) -> Read<()> {
        self.path.push(segment);
        self.value(id)?;
        self.path.pop();
        Ok(())
    }

    fn value(&mut self, id: NodeId) -> Read<()> {
        self.step()?;
        if self.path.len() > MAX_VALUE_DEPTH {
            return Err(format!("is nested deeper than {MAX_VALUE_DEPTH}"));
        }
        // Through the reference, so that the names live as long as the schema.
        let schema: &'a AvroSchema = self.schema;
        match &schema.node(id).kind {
            Kind::Null => {}
            Kind::Boolean => {
                if let Some(byte) = self.take(1)?.first().filter(|byte| **byte > 1) {
                    return Err(format!("a boolean is 0 or 1, not {byte}"));
                }
            }
            Kind::Int => {
                let number = self.long()?;
                i32::try_from(number).map_err(|_| format!("{number} is no int"))?;
            }
            Kind::Long => drop(self.long()?),
            Kind::Float => drop(self.take(4)?),
            Kind::Double => drop(self.take(8)?),
            Kind::Bytes => drop(self.sized()?),
            Kind::String => drop(self.text()?),
            Kind::Fixed(size) => drop(self.take(*size)?),
            Kind::Enum { symbols, .. } => {
                let index = self.long()?;
                if usize::try_from(index).map_or(true, |index| index >= symbols.len()) {
                    return Err(format!("{index} is the number of no symbol"));
                }
            }
            // Each of a union's types is no union, so this goes down once.
            Kind::Union(branches) => {
                let index = self.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                self.value(
                    *branch.ok_or(format!("{index} is the number of no type of the union"))?,
                )?;
            }
            Kind::Record(fields) => {
                for field in fields {
                    self.below(Segment::Name(&field.name), field.schema)?;
                }
            }
            Kind::Array(items) => {
                let mut index = 0;
                self.blocks(|input| {
                    index += 1;
                    input.below(Segment::Item(index - 1), *items)
                })?;
            }
            Kind::Map(values) => self.blocks(|input| {
                let key = input.text()?;
                input.below(Segment::Key(key), *values)
            })?,
        }
        Ok(())
    }

    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        loop {
            self.step()?;
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count comes with the block's size, for those that skip it.
            let sized = if count < 0 { Some(self.long()?) } else { None };
            count = count.checked_abs().ok_or(format!("a block of {count} items"))?;
            let before = self.bytes.len();
            for _ in 0..count {
                item(self)?;
            }
            let read = before.saturating_sub(self.bytes.len());
            if let Some(size) = sized.filter(|size| usize::try_from(*size) != Ok(read)) {
                return Err(format!("a block says that it has {size} bytes, and has {read}"));
            }
        }
    }
}
