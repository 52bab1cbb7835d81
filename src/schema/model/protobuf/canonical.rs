//! The canonical text of a schema: the same descriptor is the same text, which compiles to it again.
//!
//! Dropped: comments, formatting, how names, numbers and strings are spelled, labels and JSON names
//! that say what would be so anyway, the order of imports, fields, oneofs, enum values after the
//! first, options, reservations, extensions, services and methods, and how reservations are cut.
//!
//! Kept is the order of messages, since Confluent's payloads name their type by its place, and an
//! enum's first value, which is its default in proto2. An imported file is in the text by its path:
//! whoever hashes it adds the references.

use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind,
    MessageDescriptor, ServiceDescriptor, Syntax, prost_types,
};

use super::{
    ProtoSchema, field, kinds,
    text_format::{option_list, quoted, sort_by_name},
};

/// The canonical text.
#[must_use]
pub fn canonical(schema: &ProtoSchema) -> String {
    let file = &schema.file;
    let mut text = Text { text: String::new(), depth: 0, syntax: file.syntax() };
    text.line(match file.syntax() {
        Syntax::Proto2 => "syntax = \"proto2\";",
        Syntax::Proto3 => "syntax = \"proto3\";",
    });
    if !file.package_name().is_empty() {
        text.line(&format!("package {};", file.package_name()));
    }
    let proto = file.file_descriptor_proto();
    let marked = |marks: &[i32], index: usize| {
        i32::try_from(index).is_ok_and(|index| marks.contains(&index))
    };
    let imports = proto.dependency.iter().enumerate().map(|(index, path)| {
        let public = if marked(&proto.public_dependency, index) { "public " } else { "" };
        let weak = if marked(&proto.weak_dependency, index) { "weak " } else { "" };
        format!("import {public}{weak}{};", quoted(path.as_bytes()))
    });
    text.sorted(imports.collect());
    text.options(&file.options());
    file.messages().for_each(|message| text.message(&message));
    file.enums().for_each(|of| text.enumeration(&of));
    text.extensions(file.extensions().collect());
    let mut services: Vec<_> = file.services().collect();
    services.sort_by_key(|service| service.name().to_owned());
    services.iter().for_each(|service| text.service(service));
    text.text
}

struct Text {
    text: String,
    depth: usize,
    syntax: Syntax,
}

impl Text {
    fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn sorted(&mut self, mut lines: Vec<String>) {
        lines.sort_unstable();
        lines.iter().for_each(|line| self.line(line));
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }

    fn options(&mut self, options: &DynamicMessage) {
        option_list(options, &[]).iter().for_each(|set| self.line(&format!("option {set};")));
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.block(&format!("message {}", message.name()), |text| text.message_body(message));
    }

    fn message_body(&mut self, message: &MessageDescriptor) {
        self.options(&message.options());
        let proto = message.descriptor_proto();
        let ranges = proto.reserved_range.iter();
        let ranges = ranges.map(|range| (i64::from(range.start()), i64::from(range.end()) - 1));
        self.reserved(ranges.collect(), MAX_FIELD, &proto.reserved_name);
        let mut ranges: Vec<_> = proto.extension_range.iter().collect();
        ranges.sort_by_key(|range| range.start());
        for range in ranges {
            let (start, end) = (range.start(), i64::from(range.end()) - 1);
            self.line(&format!("extensions {start} to {};", last(end, MAX_FIELD)));
        }
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        let real = |field: &FieldDescriptor| {
            field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
        };
        for field in fields.iter().filter(|field| real(field).is_none()) {
            self.field(&Shown::from(field));
        }
        let mut oneofs: Vec<_> = message.oneofs().filter(|oneof| !oneof.is_synthetic()).collect();
        oneofs.sort_by_key(|oneof| oneof.fields().map(|field| field.number()).min());
        for oneof in oneofs {
            self.block(&format!("oneof {}", oneof.name()), |text| {
                text.options(&oneof.options());
                for field in fields.iter().filter(|field| real(field).as_ref() == Some(&oneof)) {
                    text.field(&Shown { label: "", ..Shown::from(field) });
                }
            });
        }
        let groups = groups(message);
        for nested in message.child_messages() {
            if !nested.is_map_entry() && !groups.contains(&nested.full_name().to_owned()) {
                self.message(&nested);
            }
        }
        message.child_enums().for_each(|of| self.enumeration(&of));
        self.extensions(message.child_extensions().collect());
    }

    /// Ranges with both ends, in order and joined.
    fn reserved(&mut self, mut ranges: Vec<(i64, i64)>, max: i64, names: &[String]) {
        ranges.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (start, end) in ranges {
            match joined.last_mut() {
                Some((_, last)) if start <= *last + 1 => *last = end.max(*last),
                _ => joined.push((start, end)),
            }
        }
        for (start, end) in joined {
            self.line(&format!("reserved {start} to {};", last(end, max)));
        }
        let names = names.iter().map(|name| format!("reserved {};", quoted(name.as_bytes())));
        self.sorted(names.collect());
    }

    fn field(&mut self, field: &Shown) {
        let Shown { label, name, number, kind, options, .. } = field;
        let space = if label.is_empty() { "" } else { " " };
        let options =
            if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
        match kind {
            Kind::Message(group) if field.group => {
                let head = format!("{label}{space}group {} = {number}{options}", group.name());
                let group = group.clone();
                self.block(&head, |text| text.message_body(&group));
            }
            Kind::Message(entry) if field.map => {
                let part = |number| {
                    entry
                        .get_field(number)
                        .map(|field| type_name(&field.kind()))
                        .unwrap_or_default()
                };
                self.line(&format!("map<{}, {}> {name} = {number}{options};", part(1), part(2)));
            }
            kind => {
                self.line(&format!(
                    "{label}{space}{} {name} = {number}{options};",
                    type_name(kind)
                ));
            }
        }
    }

    fn enumeration(&mut self, of: &EnumDescriptor) {
        self.block(&format!("enum {}", of.name()), |text| {
            text.options(&of.options());
            let proto = of.enum_descriptor_proto();
            let ranges = proto.reserved_range.iter();
            let ranges = ranges.map(|range| (i64::from(range.start()), i64::from(range.end())));
            text.reserved(ranges.collect(), i64::from(i32::MAX), &proto.reserved_name);
            // As they were written, which the descriptors are not.
            let named =
                |value: &prost_types::EnumValueDescriptorProto| of.get_value_by_name(value.name());
            let mut values: Vec<_> = proto.value.iter().filter_map(named).collect();
            // Of aliases the first is the one that is written, so they stay in order.
            if let Some((_, rest)) = values.split_first_mut() {
                rest.sort_by_key(|value| value.number());
            }
            for value in values {
                let options = option_list(&value.options(), &[]);
                let options = if options.is_empty() {
                    String::new()
                } else {
                    format!(" [{}]", options.join(", "))
                };
                text.line(&format!("{} = {}{options};", value.name(), value.number()));
            }
        });
    }

    fn extensions(&mut self, mut extensions: Vec<ExtensionDescriptor>) {
        let key = |field: &ExtensionDescriptor| {
            (field.containing_message().full_name().to_owned(), field.number())
        };
        extensions.sort_by_key(key);
        for field in extensions {
            let head = format!("extend .{}", field.containing_message().full_name());
            self.block(&head, |text| text.field(&Shown::from((&field, text.syntax))));
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.block(&format!("service {}", service.name()), |text| {
            text.options(&service.options());
            let mut methods: Vec<_> = service.methods().collect();
            methods.sort_by_key(|method| method.name().to_owned());
            for method in methods {
                let stream = |streams| if streams { "stream " } else { "" };
                let head = format!(
                    "rpc {}({}.{}) returns ({}.{})",
                    method.name(),
                    stream(method.is_client_streaming()),
                    method.input().full_name(),
                    stream(method.is_server_streaming()),
                    method.output().full_name(),
                );
                text.block(&head, |text| text.options(&method.options()));
            }
        });
    }
}

/// The largest number of a field, but in message sets, where only `max` says the larger one.
const MAX_FIELD: i64 = 536_870_911;

fn last(end: i64, max: i64) -> String {
    if end >= max { "max".into() } else { end.to_string() }
}

/// The messages that are written where their fields are.
fn groups(message: &MessageDescriptor) -> Vec<String> {
    let of = |kind: Kind| kind.as_message().map(|group| group.full_name().to_owned());
    let fields = message.fields().filter(FieldDescriptor::is_group);
    let extensions = message.child_extensions().filter(ExtensionDescriptor::is_group);
    let fields = fields.filter_map(|field| of(field.kind()));
    fields.chain(extensions.filter_map(|field| of(field.kind()))).collect()
}

/// What is written of a field or an extension.
struct Shown {
    label: &'static str,
    name: String,
    number: u32,
    kind: Kind,
    map: bool,
    group: bool,
    options: Vec<String>,
}

/// Two of a field's options are in its descriptor.
fn pseudo_options(proto: &prost_types::FieldDescriptorProto, kind: &Kind) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(default) = &proto.default_value {
        let default = match kind {
            Kind::String => quoted(default.as_bytes()),
            // It is escaped already.
            Kind::Bytes => format!("\"{default}\""),
            _ => default.clone(),
        };
        options.push(format!("default = {default}"));
    }
    let json_name = proto.json_name.as_ref().filter(|given| **given != json_name(proto.name()));
    options.extend(json_name.map(|name| format!("json_name = {}", quoted(name.as_bytes()))));
    options
}

impl From<&FieldDescriptor> for Shown {
    fn from(field: &FieldDescriptor) -> Self {
        let (proto, kind) = (field.field_descriptor_proto(), field.kind());
        let label = match field.cardinality() {
            Cardinality::Required => "required",
            Cardinality::Repeated => "repeated",
            Cardinality::Optional if proto.proto3_optional() => "optional",
            Cardinality::Optional if field.parent_file().syntax() == Syntax::Proto2 => "optional",
            Cardinality::Optional => "",
        };
        // Whether it is packed is said only where it could be otherwise.
        let proto3 = field.parent_file().syntax() == Syntax::Proto3;
        let could = field.is_list() && kinds::is_packable(&kind);
        let mut options = option_list(&field.options(), &["packed"]);
        let syntax = field.parent_file().syntax();
        let packed = field::is_packed(|| field.options(), syntax, field.is_list(), &kind);
        if could && packed != proto3 {
            options.push(format!("packed = {packed}"));
        }
        options.extend(pseudo_options(proto, &kind));
        sort_by_name(&mut options);
        let (map, group) = (field.is_map(), field.is_group());
        Self {
            label,
            name: field.name().to_owned(),
            number: field.number(),
            kind,
            map,
            group,
            options,
        }
    }
}

impl From<(&ExtensionDescriptor, Syntax)> for Shown {
    fn from((field, syntax): (&ExtensionDescriptor, Syntax)) -> Self {
        let (proto, kind) = (field.field_descriptor_proto(), field.kind());
        let label = match field.cardinality() {
            Cardinality::Required => "required",
            Cardinality::Repeated => "repeated",
            Cardinality::Optional if syntax == Syntax::Proto2 || proto.proto3_optional() => {
                "optional"
            }
            Cardinality::Optional => "",
        };
        let could = field.is_list() && kinds::is_packable(&kind);
        let mut options = option_list(&field.options(), &["packed"]);
        let packed = field::is_packed(|| field.options(), syntax, field.is_list(), &kind);
        if could && packed != (syntax == Syntax::Proto3) {
            options.push(format!("packed = {packed}"));
        }
        // An extension's name in JSON is not chosen.
        let proto = prost_types::FieldDescriptorProto { json_name: None, ..proto.clone() };
        options.extend(pseudo_options(&proto, &kind));
        sort_by_name(&mut options);
        let (map, group) = (field.is_map(), field.is_group());
        Self {
            label,
            name: field.name().to_owned(),
            number: field.number(),
            kind,
            map,
            group,
            options,
        }
    }
}

fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!(".{}", message.full_name()),
        Kind::Enum(of) => format!(".{}", of.full_name()),
        kind => kinds::name(kind).to_owned(),
    }
}

/// The name in JSON that a field has unless it says otherwise.
fn json_name(name: &str) -> String {
    let mut json = String::new();
    let mut upper = false;
    for char in name.chars() {
        match char {
            '_' => upper = true,
            char if upper => {
                json.push(char.to_ascii_uppercase());
                upper = false;
            }
            char => json.push(char),
        }
    }
    json
}
