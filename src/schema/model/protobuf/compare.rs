//! Whether one schema reads what another wrote, by the rules of Protobuf's wire format.
//!
//! INCOMPATIBLE is what cannot be read or is read as something else, UNKNOWN what depends on the
//! values or on who calls. What only changes names, JSON or generated code is a note. Messages and
//! enums are paired by their full names (without the packages, where the schemas' packages differ)
//! and by the fields that have them as types; each pair is compared once.
//!
//! | rule | verdict | |
//! |---|---|---|
//! | `FIELD_KIND_CHANGED` | INCOMPATIBLE | the types differ in their form on the wire |
//! | `FIELD_LABEL_CHANGED` | INCOMPATIBLE | only the last of many is read; one read as many is a note |
//! | `REQUIRED_FIELD_ADDED` | INCOMPATIBLE | the writer need not write it |
//! | `ONEOF_FIELD_REMOVED` | INCOMPATIBLE | the oneof, of which the reader has other fields, is read as not set |
//! | `FIELDS_MOVED_INTO_ONEOF` | INCOMPATIBLE | of fields that were set together, one is read |
//! | `ENUM_VALUE_REMOVED` | INCOMPATIBLE | where the reader's enum is closed (proto2); else a note |
//! | `ENUM_VALUE_NUMBER_CHANGED` | INCOMPATIBLE | it is read as another, or as none |
//! | `MESSAGE_REMOVED` | INCOMPATIBLE | one at the top of the schema itself; others are notes |
//! | `METHOD_TYPE_CHANGED`, `METHOD_STREAMING_CHANGED` | INCOMPATIBLE | |
//! | `FIELD_KIND_NARROWED` | UNKNOWN | the form is the same, some values do not fit |
//! | `MAP_CHANGED` | UNKNOWN | a map is a list of entries on the wire, where keys may repeat |
//! | `RESERVED_NUMBER_USED` | UNKNOWN | older data may have it with another meaning |
//! | `SERVICE_REMOVED`, `METHOD_REMOVED` | UNKNOWN | whether anybody calls it |
//! | `TOO_MUCH_WORK` | UNKNOWN | the comparison was not finished |
//! | `TOO_MANY_DIFFERENCES` | theirs | there are more of a verdict than are told |
//! | `FIELD_REMOVED`, `FIELD_REMOVED_WITHOUT_RESERVING`, `FIELD_ADDED`, `FIELD_RENAMED`, `FIELD_JSON_NAME_CHANGED`, `FIELD_KIND_WIDENED`, `FIELD_TYPE_RENAMED`, `FIELD_PRESENCE_CHANGED`, `REQUIRED_FIELD_REMOVED`, `FIELD_PACKED_CHANGED`, `FIELD_DEFAULT_CHANGED`, `FIELD_MOVED_INTO_ONEOF`, `FIELD_MOVED_OUT_OF_ONEOF`, `ONEOF_RENAMED`, `RESERVED_NAME_USED`, `RESERVED_REMOVED`, `MESSAGE_ADDED`, `ENUM_ADDED`, `ENUM_REMOVED`, `ENUM_VALUE_ADDED`, `ENUM_VALUE_RENAMED`, `SERVICE_ADDED`, `METHOD_ADDED`, `PACKAGE_CHANGED`, `SYNTAX_CHANGED` | COMPATIBLE | notes |
//!
//! Against Confluent: a required field that became optional is a note here (it is read), a narrowed
//! number UNKNOWN and not compatible, a renamed message as a field's type is compared by what is in
//! it. Against Buf's `WIRE`: a field removed without reserving its number is a note, because the
//! transitive modes find the number when it is used again.

use std::collections::{HashMap, HashSet, VecDeque};

use prost_reflect::{EnumDescriptor, Kind, MessageDescriptor};

use super::{
    super::{
        differences::Differences,
        verdict::{Budget, Comparison, Exhausted, Verdict},
    },
    ProtoSchema, enums,
    field::{self, Field, Label},
    is_well_known, kinds, oneofs, services,
};

/// What keeps `reader` from reading what `writer` wrote, and what differs besides.
#[must_use]
pub fn compare(reader: &ProtoSchema, writer: &ProtoSchema, budget: &mut Budget) -> Comparison {
    let mut walk = Walk {
        reader,
        writer,
        budget,
        found: Differences::default(),
        seen: HashSet::new(),
        todo: VecDeque::new(),
    };
    if walk.all().is_err() {
        walk.found.too_much_work();
    }
    walk.found.into()
}

pub(super) struct Walk<'a> {
    reader: &'a ProtoSchema,
    writer: &'a ProtoSchema,
    budget: &'a mut Budget,
    pub(super) found: Differences,
    seen: HashSet<(String, String)>,
    todo: VecDeque<Pair>,
}

enum Pair {
    Messages(MessageDescriptor, MessageDescriptor),
    Enums(EnumDescriptor, EnumDescriptor),
}

impl Walk<'_> {
    pub(super) fn step(&mut self) -> Result<(), Exhausted> {
        self.budget.step()
    }

    pub(super) fn later(&mut self, reader: MessageDescriptor, writer: MessageDescriptor) {
        let names = (reader.full_name().to_owned(), writer.full_name().to_owned());
        if self.seen.insert(names) {
            self.todo.push_back(Pair::Messages(reader, writer));
        }
    }

    fn later_enums(&mut self, reader: EnumDescriptor, writer: EnumDescriptor) {
        let names = (reader.full_name().to_owned(), writer.full_name().to_owned());
        if self.seen.insert(names) {
            self.todo.push_back(Pair::Enums(reader, writer));
        }
    }

    fn all(&mut self) -> Result<(), Exhausted> {
        let (reader, writer) = (&self.reader.file, &self.writer.file);
        let (package, before) = (reader.package_name(), writer.package_name());
        if package != before {
            let message = format!("the package is {package:?}, and was {before:?}");
            self.found.note(package, "PACKAGE_CHANGED", message);
        }
        if reader.syntax() != writer.syntax() {
            let message =
                format!("the syntax is {:?}, and was {:?}", reader.syntax(), writer.syntax());
            self.found.note(package, "SYNTAX_CHANGED", message);
        }
        self.types()?;
        services::compare(self, reader, writer)?;
        while let Some(pair) = self.todo.pop_front() {
            self.step()?;
            match pair {
                Pair::Messages(reader, writer) => self.messages(&reader, &writer)?,
                Pair::Enums(reader, writer) => enums::compare(self, &reader, &writer)?,
            }
        }
        Ok(())
    }

    /// Pairs all messages and enums by name. What is in other files counts as well, since it is in
    /// the payloads; what comes with Protobuf is the same on both sides.
    fn types(&mut self) -> Result<(), Exhausted> {
        let (reader, writer) = (self.reader, self.writer);
        let package = |schema: &ProtoSchema| schema.file.package_name().to_owned();
        let (package, before) = (package(reader), package(writer));
        let mut unread = HashMap::new();
        for message in reader.pool.all_messages() {
            self.step()?;
            if !is_well_known(&message.parent_file()) && !message.is_map_entry() {
                unread.insert(within(message.full_name(), &package).to_owned(), message);
            }
        }
        for message in writer.pool.all_messages() {
            self.step()?;
            if is_well_known(&message.parent_file()) || message.is_map_entry() {
                continue;
            }
            match unread.remove(within(message.full_name(), &before)) {
                Some(read) => self.later(read, message),
                None => {
                    // A payload may be of it.
                    let own = message.parent_file() == writer.file;
                    let payload = own && message.parent_message().is_none();
                    let verdict = if payload { Verdict::Incompatible } else { Verdict::Compatible };
                    let text = "the reader has no such message".to_owned();
                    self.found.tell(message.full_name(), "MESSAGE_REMOVED", verdict, text);
                }
            }
        }
        for message in unread.into_values() {
            self.found.note(
                message.full_name(),
                "MESSAGE_ADDED",
                "the writer has no such message".into(),
            );
        }
        let mut unread = HashMap::new();
        for of in reader.pool.all_enums().filter(|of| !is_well_known(&of.parent_file())) {
            self.step()?;
            unread.insert(within(of.full_name(), &package).to_owned(), of);
        }
        for of in writer.pool.all_enums().filter(|of| !is_well_known(&of.parent_file())) {
            self.step()?;
            match unread.remove(within(of.full_name(), &before)) {
                Some(read) => self.later_enums(read, of),
                None => {
                    self.found.note(
                        of.full_name(),
                        "ENUM_REMOVED",
                        "the reader has no such enum".into(),
                    );
                }
            }
        }
        for of in unread.into_values() {
            self.found.note(of.full_name(), "ENUM_ADDED", "the writer has no such enum".into());
        }
        Ok(())
    }

    fn messages(
        &mut self,
        reader: &MessageDescriptor,
        writer: &MessageDescriptor,
    ) -> Result<(), Exhausted> {
        let (reads, writes) = (field::of(reader), field::of(writer));
        let by_number: HashMap<u32, &Field> =
            writes.iter().map(|field| (field.number, field)).collect();
        let mut read = HashSet::new();
        for field in &reads {
            self.step()?;
            match by_number.get(&field.number) {
                Some(written) => {
                    read.insert(field.number);
                    self.field(field, written);
                }
                None => self.added(field, writer)?,
            }
        }
        // The writer's oneofs that the reader still asks which of their fields is set.
        let in_oneof: HashSet<u32> =
            reads.iter().filter(|field| field.oneof.is_some()).map(|field| field.number).collect();
        let asked = writes.iter().filter(|field| in_oneof.contains(&field.number));
        let asked: HashSet<&str> = asked.filter_map(|field| field.oneof.as_deref()).collect();
        let reserved: Vec<_> = reader.reserved_ranges().collect();
        for field in writes.iter().filter(|field| !read.contains(&field.number)) {
            self.step()?;
            for _ in &reserved {
                self.step()?;
            }
            let oneof = field.oneof.as_deref().filter(|oneof| asked.contains(oneof));
            let reserved = reserved.iter().any(|range| range.contains(&field.number));
            self.removed(field, oneof, reserved);
        }
        oneofs::compare(self, &reads, &by_number)?;
        oneofs::compare_reserved(self, reader, writer, &by_number)
    }

    fn added(&mut self, field: &Field, writer: &MessageDescriptor) -> Result<(), Exhausted> {
        let Field { path, name, number, .. } = field;
        if field.label == Label::Required {
            let message = format!("{name} is required, and the writer has no such field");
            self.found.tell(path, "REQUIRED_FIELD_ADDED", Verdict::Incompatible, message);
        } else {
            let message = format!("{}, which the writer has not", field.type_text());
            self.found.note(path, "FIELD_ADDED", message);
        }
        for range in writer.reserved_ranges() {
            self.step()?;
            if range.contains(number) {
                let message = format!("the writer reserved {number}: older data may have it");
                self.found.tell(path, "RESERVED_NUMBER_USED", Verdict::Unknown, message);
                break;
            }
        }
        for reserved in writer.reserved_names() {
            self.step()?;
            if reserved == name {
                let message = format!("the writer reserved the name {name}");
                self.found.note(path, "RESERVED_NAME_USED", message);
            }
        }
        Ok(())
    }

    fn removed(&mut self, field: &Field, oneof: Option<&str>, reserved: bool) {
        let Field { path, name, number, .. } = field;
        if let Some(oneof) = oneof {
            let message =
                format!("where the writer set {name} of {oneof}, the reader finds none set");
            self.found.tell(path, "ONEOF_FIELD_REMOVED", Verdict::Incompatible, message);
        } else if reserved {
            self.found.note(
                path,
                "FIELD_REMOVED",
                format!("the reader has no {name}, and reserves {number}"),
            );
        } else {
            let message = format!("the reader has no {name}, and does not reserve {number}");
            self.found.note(path, "FIELD_REMOVED_WITHOUT_RESERVING", message);
        }
    }

    fn field(&mut self, read: &Field, written: &Field) {
        let path = &read.path;
        if read.name != written.name {
            let message = format!("{} reads the writer's {}", read.name, written.name);
            self.found.note(path, "FIELD_RENAMED", message);
        }
        if read.json_name != written.json_name {
            let message =
                format!("the name in JSON is {}, and was {}", read.json_name, written.json_name);
            self.found.note(path, "FIELD_JSON_NAME_CHANGED", message);
        }
        if read.default != written.default {
            let shown = |default: &Option<String>| default.clone().unwrap_or("none".into());
            let (now, before) = (shown(&read.default), shown(&written.default));
            let message = format!("the default is {now}, and was {before}");
            self.found.note(path, "FIELD_DEFAULT_CHANGED", message);
        }
        self.label(read, written);
        if read.map != written.map {
            let (now, before) = (read.type_text(), written.type_text());
            let message =
                format!("{now} reads {before}: entries of the same key become one, or not");
            self.found.tell(path, "MAP_CHANGED", Verdict::Unknown, message);
        }
        match (&read.kind, &written.kind) {
            (Kind::Message(message), Kind::Message(before)) if read.group == written.group => {
                if !read.map
                    && !written.map
                    && self.renamed(message.full_name(), before.full_name())
                {
                    let (now, before) = (message.full_name(), before.full_name());
                    self.found.note(path, "FIELD_TYPE_RENAMED", format!("{now} reads {before}"));
                }
                self.later(message.clone(), before.clone());
            }
            (Kind::Message(_), Kind::Message(_)) => {
                let message =
                    format!("{} cannot be read from {}", read.type_text(), written.type_text());
                self.found.tell(path, "FIELD_KIND_CHANGED", Verdict::Incompatible, message);
            }
            (Kind::Enum(of), Kind::Enum(before)) => {
                if self.renamed(of.full_name(), before.full_name()) {
                    let (now, before) = (of.full_name(), before.full_name());
                    self.found.note(path, "FIELD_TYPE_RENAMED", format!("{now} reads {before}"));
                }
                self.later_enums(of.clone(), before.clone());
            }
            (to, from) => {
                if let Some(reading) = kinds::reading(to, from) {
                    let (to, from) = (kinds::text(to), kinds::text(from));
                    let message = format!("{to} reads {from}: {}", reading.why);
                    self.found.tell(path, reading.rule, reading.verdict, message);
                }
            }
        }
    }

    /// Whether a type has another name, its schema's package aside.
    fn renamed(&self, name: &str, before: &str) -> bool {
        let (package, was) = (self.reader.file.package_name(), self.writer.file.package_name());
        within(name, package) != within(before, was)
    }

    fn label(&mut self, read: &Field, written: &Field) {
        let path = &read.path;
        let (now, before) = (read.label.as_str(), written.label.as_str());
        let message = format!("is {now}, and was {before}");
        match (read.label, written.label) {
            (now, before) if now == before => {
                if read.packed != written.packed {
                    let message = format!("packed is {}, and was {}", read.packed, written.packed);
                    self.found.note(path, "FIELD_PACKED_CHANGED", message);
                }
            }
            (Label::Repeated, _) => self.found.note(path, "FIELD_LABEL_CHANGED", message),
            (_, Label::Repeated) => {
                let packed = if written.packed { "none" } else { "only the last" };
                let message = format!("{message}: of several values {packed} is read");
                self.found.tell(path, "FIELD_LABEL_CHANGED", Verdict::Incompatible, message);
            }
            (Label::Required, _) => {
                let message = format!("{message}: the writer need not write it");
                self.found.tell(path, "REQUIRED_FIELD_ADDED", Verdict::Incompatible, message);
            }
            (_, Label::Required) => self.found.note(path, "REQUIRED_FIELD_REMOVED", message),
            _ => self.found.note(path, "FIELD_PRESENCE_CHANGED", message),
        }
    }
}

/// A full name without its schema's package.
fn within<'a>(full_name: &'a str, package: &str) -> &'a str {
    let rest = full_name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.'));
    rest.filter(|_| !package.is_empty()).unwrap_or(full_name)
}
