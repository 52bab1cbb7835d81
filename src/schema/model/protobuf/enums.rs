//! The values of enums. On the wire a value is its number.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost_reflect::{EnumDescriptor, Syntax};

use super::{
    super::verdict::{Exhausted, Verdict},
    compare::Walk,
};

pub(super) fn compare(
    walk: &mut Walk<'_>,
    reader: &EnumDescriptor,
    writer: &EnumDescriptor,
) -> Result<(), Exhausted> {
    // A closed enum takes a number that it does not know for no value at all.
    let closed = reader.parent_file().syntax() == Syntax::Proto2;
    let (reads, writes) = (by_number(walk, reader)?, by_number(walk, writer)?);
    let numbers: HashMap<&String, i32> =
        reads.iter().flat_map(|(number, names)| names.iter().map(|name| (name, *number))).collect();
    for (number, names) in &writes {
        walk.step()?;
        // An alias is enough.
        let elsewhere = names.iter().all(|name| numbers.get(name).is_some_and(|at| at != number));
        let shown = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let read = reads.get(number);
        if elsewhere {
            let path = path(reader, names, *number);
            let as_what = read.map_or("none".into(), |names| {
                names.iter().cloned().collect::<Vec<_>>().join(", ")
            });
            let message = format!("{shown} has another number: {number} is read as {as_what}");
            walk.found.tell(&path, "ENUM_VALUE_NUMBER_CHANGED", Verdict::Incompatible, message);
        } else if let Some(read) = read {
            if read.is_disjoint(names) {
                let path = path(reader, read, *number);
                walk.found.note(&path, "ENUM_VALUE_RENAMED", format!("reads the writer's {shown}"));
            }
        } else {
            let (verdict, what) = if closed {
                (Verdict::Incompatible, "it is read as not set")
            } else {
                (Verdict::Compatible, "its number is kept")
            };
            let message = format!("the reader has no {shown}: {what}");
            walk.found.tell(&path(writer, names, *number), "ENUM_VALUE_REMOVED", verdict, message);
        }
    }
    for (number, names) in reads.iter().filter(|(number, _)| !writes.contains_key(number)) {
        walk.step()?;
        let path = path(reader, names, *number);
        walk.found.note(&path, "ENUM_VALUE_ADDED", "the writer has no such value".into());
        for range in writer.reserved_ranges() {
            walk.step()?;
            if range.contains(number) {
                let message = format!("the writer reserved {number}: older data may have it");
                walk.found.tell(&path, "RESERVED_NUMBER_USED", Verdict::Unknown, message);
                break;
            }
        }
    }
    Ok(())
}

type Values = BTreeMap<i32, BTreeSet<String>>;

fn by_number(walk: &mut Walk<'_>, of: &EnumDescriptor) -> Result<Values, Exhausted> {
    let mut values = Values::new();
    for value in of.values() {
        walk.step()?;
        values.entry(value.number()).or_default().insert(value.name().to_owned());
    }
    Ok(values)
}

fn path(of: &EnumDescriptor, names: &BTreeSet<String>, number: i32) -> String {
    let name = names.first().map(String::as_str).unwrap_or_default();
    format!("{}.{name}({number})", of.full_name())
}
