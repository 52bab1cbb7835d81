//! Oneofs, and numbers and names that are reserved.

use std::collections::{HashMap, HashSet};

use prost_reflect::MessageDescriptor;

use super::{
    super::verdict::{Exhausted, Verdict},
    compare::Walk,
    field::Field,
};

/// A oneof keeps the last of its fields that it reads.
pub(super) fn compare(
    walk: &mut Walk<'_>,
    reads: &[Field],
    writes: &HashMap<u32, &Field>,
) -> Result<(), Exhausted> {
    let mut of_oneof: HashMap<&str, Vec<(&Field, &Field)>> = HashMap::new();
    for read in reads {
        walk.step()?;
        let Some(written) = writes.get(&read.number) else { continue };
        match (&read.oneof, &written.oneof) {
            (Some(oneof), _) => of_oneof.entry(oneof).or_default().push((read, written)),
            (None, Some(before)) => {
                let message = format!("is in no oneof, and was in {before}");
                walk.found.note(&read.path, "FIELD_MOVED_OUT_OF_ONEOF", message);
            }
            (None, None) => {}
        }
    }
    for (oneof, fields) in of_oneof {
        let Some((_, first)) = fields.first() else { continue };
        let together = fields
            .iter()
            .skip(1)
            .any(|(_, written)| written.oneof.is_none() || written.oneof != first.oneof);
        for (read, written) in fields {
            match &written.oneof {
                Some(before) if before == oneof && !together => {}
                Some(before) if !together => {
                    let message = format!("the oneof is {oneof}, and was {before}");
                    walk.found.note(&read.path, "ONEOF_RENAMED", message);
                }
                _ if together => {
                    let message =
                        format!("is in {oneof} with fields that the writer sets together with it");
                    walk.found.tell(
                        &read.path,
                        "FIELDS_MOVED_INTO_ONEOF",
                        Verdict::Incompatible,
                        message,
                    );
                }
                _ => {
                    let message = format!("is in {oneof}, and was in no oneof");
                    walk.found.note(&read.path, "FIELD_MOVED_INTO_ONEOF", message);
                }
            }
        }
    }
    Ok(())
}

/// Reservations that the reader gave up.
pub(super) fn compare_reserved(
    walk: &mut Walk<'_>,
    reader: &MessageDescriptor,
    writer: &MessageDescriptor,
    writes: &HashMap<u32, &Field>,
) -> Result<(), Exhausted> {
    let mut kept: Vec<_> = reader.reserved_ranges().collect();
    kept.sort_by_key(|range| range.start);
    for range in writer.reserved_ranges() {
        walk.step()?;
        // Adjacent ranges count as one.
        let mut from = range.start;
        for other in &kept {
            walk.step()?;
            if (other.start..=other.end).contains(&from) {
                from = from.max(other.end);
            }
        }
        if from < range.end && !writes.contains_key(&from) {
            let last = range.end.saturating_sub(1);
            let message = format!("{} to {last} were reserved, and {from} is not", range.start);
            walk.found.note(reader.full_name(), "RESERVED_REMOVED", message);
        }
    }
    let names: HashSet<&str> = reader.reserved_names().collect();
    for name in writer.reserved_names().filter(|name| !names.contains(name)) {
        walk.step()?;
        let message = format!("the name {name} was reserved, and is not");
        walk.found.note(reader.full_name(), "RESERVED_REMOVED", message);
    }
    Ok(())
}
