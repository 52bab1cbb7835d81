//! Payloads as bytes: whether they are one message, field by field.
//!
//! It is our own walk, which keeps nothing and has a place for what it finds; `prost` builds the
//! message, of which an empty one takes a hundred times its bytes.

use std::{collections::HashMap, rc::Rc};

use prost_reflect::{Cardinality, Kind, MessageDescriptor};

use super::{
    super::verdict::{Budget, Violation},
    MAX_VIOLATIONS, ProtoSchema, kinds,
};

/// How deep messages may be, which is what Protobuf's own libraries take.
pub const MAX_MESSAGE_DEPTH: usize = 100;

/// What keeps bytes from being a message of a schema: of a full name, or the first. Fields that the
/// schema does not know are none of it, as Protobuf has it. What comes after a place where the bytes
/// cannot be read on has no meaning.
#[must_use]
pub fn validate_bytes(
    schema: &ProtoSchema,
    message: Option<&str>,
    bytes: &[u8],
    budget: &mut Budget,
) -> Vec<Violation> {
    let message = match schema.message(message) {
        Ok(message) => message,
        Err(violation) => return vec![violation],
    };
    let required = HashMap::new();
    let mut input = Input { budget, path: Vec::new(), required, violations: Vec::new() };
    let mut bytes = bytes;
    if let Err(reason) = input.message(&message, &mut bytes, None) {
        input.violations.truncate(MAX_VIOLATIONS - 1);
        input.tell(reason);
    }
    input.violations
}

struct Input<'a> {
    budget: &'a mut Budget,
    /// It stays where the reading failed.
    path: Vec<String>,
    /// The required fields of each message that was met: a payload can have very many of one.
    required: HashMap<String, Rc<[(u32, String)]>>,
    violations: Vec<Violation>,
}

type Read<T> = Result<T, String>;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const SIZED: u32 = 2;
const GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;

fn wire_type(kind: &Kind, group: bool) -> u32 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED32,
        Kind::Message(_) if group => GROUP,
        Kind::String | Kind::Bytes | Kind::Message(_) => SIZED,
        _ => VARINT,
    }
}

fn take<'b>(bytes: &mut &'b [u8], count: u64) -> Read<&'b [u8]> {
    let split = usize::try_from(count).ok().and_then(|count| bytes.split_at_checked(count));
    let (taken, rest) =
        split.ok_or(format!("needs {count} bytes, and {} are left", bytes.len()))?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut read: u64 = 0;
    for index in 0..10_u32 {
        let byte = u64::from(take(bytes, 1)?.first().copied().unwrap_or_default());
        if index == 9 && byte > 1 {
            break;
        }
        read |= (byte & 0x7f) << (index * 7);
        if byte & 0x80 == 0 {
            return Ok(read);
        }
    }
    Err("a number is longer than 64 bits".into())
}

/// A field's number and its form.
fn tag(bytes: &mut &[u8]) -> Read<(u32, u32)> {
    let tag = u32::try_from(varint(bytes)?).map_err(|_| "a field's number is too large")?;
    let (number, form) = (tag >> 3, tag & 7);
    if number == 0 || form > FIXED32 {
        return Err(format!("{tag} is no field's number and form"));
    }
    Ok((number, form))
}

impl Input<'_> {
    fn step(&mut self) -> Read<()> {
        self.budget.step().map_err(|_| "takes more work to read than may be done".to_owned())
    }

    fn tell(&mut self, message: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            let path = self.path.iter().map(|segment| format!("/{segment}")).collect();
            self.violations.push(Violation { path, message: message.into() });
        }
    }

    /// A message to the bytes' end, or a group to its own.
    fn message(
        &mut self,
        of: &MessageDescriptor,
        bytes: &mut &[u8],
        group: Option<u32>,
    ) -> Read<()> {
        if self.path.len() > MAX_MESSAGE_DEPTH {
            return Err(format!("is nested deeper than {MAX_MESSAGE_DEPTH}"));
        }
        let mut counts: HashMap<u32, u64> = HashMap::new();
        loop {
            if bytes.is_empty() {
                match group {
                    Some(_) => return Err("the group does not end".into()),
                    None => break,
                }
            }
            self.step()?;
            let (number, form) = tag(bytes)?;
            if form == END_GROUP {
                if group == Some(number) {
                    break;
                }
                return Err(format!("the end of a group {number} that did not begin"));
            }
            let (name, kind, many, group) = if let Some(field) = of.get_field(number) {
                let many = field.cardinality() == Cardinality::Repeated;
                (field.name().to_owned(), field.kind(), many, field.is_group())
            } else if let Some(field) = of.get_extension(number) {
                let many = field.cardinality() == Cardinality::Repeated;
                (format!("[{}]", field.full_name()), field.kind(), many, field.is_group())
            } else {
                let depth = MAX_MESSAGE_DEPTH.saturating_sub(self.path.len());
                self.skip(number, form, bytes, depth)?;
                counts.insert(number, 1);
                continue;
            };
            let count = counts.entry(number).or_default();
            let index = many.then_some(*count);
            *count = count.saturating_add(1);
            self.path.push(index.map_or(name.clone(), |index| format!("{name}/{index}")));
            self.field(&kind, many, group, (number, form), bytes)?;
            self.path.pop();
        }
        for (number, name) in self.required_of(of).iter() {
            self.step()?;
            if !counts.contains_key(number) {
                self.tell(format!("has no {name}, which is required"));
            }
        }
        Ok(())
    }

    fn required_of(&mut self, of: &MessageDescriptor) -> Rc<[(u32, String)]> {
        if let Some(required) = self.required.get(of.full_name()) {
            return Rc::clone(required);
        }
        let fields = of.fields().filter(|field| field.cardinality() == Cardinality::Required);
        let required: Rc<[_]> =
            fields.map(|field| (field.number(), field.name().to_owned())).collect();
        self.required.insert(of.full_name().to_owned(), Rc::clone(&required));
        required
    }

    fn field(
        &mut self,
        kind: &Kind,
        many: bool,
        group: bool,
        (number, form): (u32, u32),
        bytes: &mut &[u8],
    ) -> Read<()> {
        let expected = wire_type(kind, group);
        if form == expected {
            return self.value(kind, group.then_some(number), bytes);
        }
        if many && form == SIZED && kinds::is_packable(kind) {
            let length = varint(bytes)?;
            let mut packed = take(bytes, length)?;
            while !packed.is_empty() {
                self.step()?;
                self.value(kind, None, &mut packed)?;
            }
            return Ok(());
        }
        // Readers skip it as if they did not know the field, so that its value is lost.
        let name = kinds::name(kind);
        self.tell(format!("is written in the form {form}, and {name} has the form {expected}"));
        let depth = MAX_MESSAGE_DEPTH.saturating_sub(self.path.len());
        self.skip(number, form, bytes, depth)
    }

    fn value(&mut self, kind: &Kind, group: Option<u32>, bytes: &mut &[u8]) -> Read<()> {
        match (kind, wire_type(kind, group.is_some())) {
            (Kind::Message(of), GROUP) => self.message(of, bytes, group)?,
            (_, VARINT) => drop(varint(bytes)?),
            (_, FIXED64) => drop(take(bytes, 8)?),
            (_, FIXED32) => drop(take(bytes, 4)?),
            (kind, _) => {
                let length = varint(bytes)?;
                let mut inside = take(bytes, length)?;
                match kind {
                    Kind::Message(of) => self.message(of, &mut inside, None)?,
                    Kind::String if std::str::from_utf8(inside).is_err() => {
                        self.tell("is no UTF-8");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, number: u32, form: u32, bytes: &mut &[u8], depth: usize) -> Read<()> {
        match form {
            VARINT => drop(varint(bytes)?),
            FIXED64 => drop(take(bytes, 8)?),
            FIXED32 => drop(take(bytes, 4)?),
            SIZED => {
                let length = varint(bytes)?;
                take(bytes, length)?;
            }
            _ => {
                let below = depth.checked_sub(1).ok_or("a group is nested too deep".to_owned())?;
                loop {
                    self.step()?;
                    match tag(bytes)? {
                        (end, END_GROUP) if end == number => break,
                        (end, END_GROUP) => {
                            return Err(format!("the end of a group {end} that did not begin"));
                        }
                        (number, form) => self.skip(number, form, bytes, below)?,
                    }
                }
            }
        }
        Ok(())
    }
}
