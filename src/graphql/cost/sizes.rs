//! What the SDL says of costs, read once: `@cost` and `@listSize` of each field.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value,
    parser::{
        parse_schema,
        types::{
            BaseType, ConstDirective, FieldDefinition, Type, TypeDefinition, TypeKind,
            TypeSystemDefinition,
        },
    },
};

/// What the library adds to the roots, with sizes like those of this graph. Without them, introspection
/// nested into itself would count as nothing and answer with millions of objects.
const LIBRARY: &str = "
type __Root {
  __schema: __Schema!
  __type(name: String!): __Type
  _service: _Service!
}
type _Service { sdl: String }
type __Schema {
  types: [__Type!]! @listSize(assumedSize: 150)
  queryType: __Type!
  mutationType: __Type
  subscriptionType: __Type
  directives: [__Directive!]! @listSize(assumedSize: 5)
}
type __Type {
  fields: [__Field!] @listSize(assumedSize: 10)
  interfaces: [__Type!] @listSize(assumedSize: 1)
  possibleTypes: [__Type!] @listSize(assumedSize: 1)
  enumValues: [__EnumValue!] @listSize(assumedSize: 2)
  inputFields: [__InputValue!] @listSize(assumedSize: 2)
  ofType: __Type @cost(weight: 0)
}
type __Field {
  args: [__InputValue!]! @listSize(assumedSize: 1)
  type: __Type! @cost(weight: 0)
}
type __InputValue { type: __Type! @cost(weight: 0) }
type __EnumValue { name: String! }
type __Directive { args: [__InputValue!]! @listSize(assumedSize: 2) }
";

/// A field, as far as its cost goes.
#[derive(Debug)]
pub(super) struct Field {
    /// The type that it answers with, without lists and non-nulls.
    pub(super) of: Name,
    /// What one of it costs.
    pub(super) weight: u64,
    /// Whether it is a list.
    pub(super) is_list: bool,
    /// Whether it is a list whose length a field above it tells.
    pub(super) is_sized_above: bool,
    /// What it says of lengths.
    pub(super) size: Option<Size>,
}

/// `@listSize`.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) assumed: Option<u64>,
    /// The arguments that tell the length, with their defaults.
    pub(super) slicing: Vec<(String, Option<u64>)>,
    /// Whether exactly one of them must be there.
    pub(super) requires_one: bool,
    /// Whether it is about fields below, and not about the field itself.
    pub(super) is_below: bool,
}

/// Every field of every type.
#[derive(Debug, Default)]
pub(super) struct Sizes(HashMap<Name, HashMap<Name, Field>>);

impl Sizes {
    /// Reads an SDL. What cannot be read has no costs; tests hold that nothing is.
    pub(super) fn read(sdl: &str) -> Self {
        let (own, library) = (definitions(sdl), definitions(LIBRARY));
        let all: Vec<_> = own.iter().chain(&library).collect();
        let weights: HashMap<_, _> =
            all.iter().map(|definition| (&definition.name.node, weight(definition))).collect();
        let mut sizes = Self::default();
        let mut below = Vec::new();
        for definition in &all {
            let mut fields = HashMap::new();
            for field in fields_of(definition) {
                let (of, is_list) = named(&field.node.ty.node);
                let own = directive(&field.node.directives, "listSize");
                below.extend(
                    own.iter()
                        .flat_map(|size| strings(size, "sizedFields"))
                        .map(|field| (of.clone(), Name::new(field))),
                );
                let weight = directive(&field.node.directives, "cost").and_then(cost);
                let weight = weight.or_else(|| weights.get(of).copied()).unwrap_or(0);
                let size = own.map(|own| Size::read(own, &field.node));
                let of = of.clone();
                let field_name = field.node.name.node.clone();
                let field = Field { of, weight, is_list, is_sized_above: false, size };
                fields.insert(field_name, field);
            }
            sizes.0.insert(definition.name.node.clone(), fields);
        }
        for (object, field) in below {
            if let Some(field) = sizes.0.get_mut(&object).and_then(|of| of.get_mut(&field)) {
                field.is_sized_above = true;
            }
        }
        sizes
    }

    /// The field of a type, if there is one.
    pub(super) fn field(&self, object: &str, field: &str) -> Option<&Field> {
        let of = |object: &str| self.0.get(object).and_then(|fields| fields.get(field));
        of(object).or_else(|| of("__Root").filter(|_| field.starts_with('_')))
    }
}

fn definitions(sdl: &str) -> Vec<TypeDefinition> {
    let document = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
    let types = document.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
}

fn fields_of(definition: &TypeDefinition) -> &[Positioned<FieldDefinition>] {
    match &definition.kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

/// What one object of a type costs: 1, unless it says otherwise; a scalar nothing.
fn weight(definition: &TypeDefinition) -> u64 {
    let own = directive(&definition.directives, "cost").and_then(cost);
    own.unwrap_or(match &definition.kind {
        TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_) => 1,
        TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => 0,
    })
}

fn directive<'a>(
    directives: &'a [Positioned<ConstDirective>],
    name: &str,
) -> Option<&'a ConstDirective> {
    directives.iter().map(|found| &found.node).find(|found| found.name.node == name)
}

fn argument<'a>(directive: &'a ConstDirective, name: &str) -> Option<&'a Value> {
    directive.get_argument(name).map(|value| &value.node)
}

fn cost(directive: &ConstDirective) -> Option<u64> {
    argument(directive, "weight").and_then(whole)
}

fn strings<'a>(
    directive: &'a ConstDirective,
    name: &str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let list = match argument(directive, name) {
        Some(Value::List(list)) => list.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|value| match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    })
}

/// A whole number, below zero taken as zero.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => {
            number.as_i64().map(|number| u64::try_from(number).unwrap_or(0)).or(number.as_u64())
        }
        _ => None,
    }
}

impl Size {
    fn read(directive: &ConstDirective, field: &FieldDefinition) -> Self {
        let default = |name: &str| {
            let given = field.arguments.iter().find(|given| given.node.name.node == name)?;
            given.node.default_value.as_ref().and_then(|value| whole(&value.node))
        };
        let slicing = strings(directive, "slicingArguments");
        let slicing = slicing.map(|name| (name.to_owned(), default(name))).collect();
        let requires_one = argument(directive, "requireOneSlicingArgument");
        Self {
            assumed: argument(directive, "assumedSize").and_then(whole),
            slicing,
            requires_one: requires_one != Some(&Value::Boolean(false)),
            is_below: strings(directive, "sizedFields").next().is_some(),
        }
    }
}

/// The name of a type within its lists, and whether there is one.
fn named(of: &Type) -> (&Name, bool) {
    match &of.base {
        BaseType::Named(name) => (name, false),
        BaseType::List(inner) => (named(inner).0, true),
    }
}
