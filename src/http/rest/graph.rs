//! What the graph says of itself: types, arguments, descriptions, read from its own SDL.

use std::collections::HashMap;

use async_graphql::parser::{
    parse_schema,
    types::{
        BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
        TypeSystemDefinition,
    },
};

use super::resource::BrokenResource;
use crate::graphql::{Subgraph, sdl};

/// The types of the graph by name.
#[derive(Debug)]
pub(super) struct Graph(HashMap<String, TypeDefinition>);

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Any text.
    Text,
    /// An instant.
    Instant,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits, as a text.
    BigInteger,
    /// One value of an enum.
    OneOf {
        /// The enum.
        name: String,
        /// Its values.
        values: Vec<String>,
    },
    /// Some values of an enum, each given by itself.
    SomeOf {
        /// The enum.
        name: String,
        /// Its values.
        values: Vec<String>,
    },
}

impl Graph {
    /// Reads the SDL.
    pub fn of(subgraph: &Subgraph) -> Result<Self, BrokenResource> {
        let document = parse_schema(sdl::sdl(subgraph));
        let document = document.map_err(|error| BrokenResource(error.to_string()))?;
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            _ => None,
        });
        Ok(Self(types.map(|of| (of.name.node.to_string(), of)).collect()))
    }

    /// The type by this name; none for what GraphQL has by itself.
    pub fn definition(&self, name: &str) -> Option<&TypeDefinition> {
        self.0.get(name)
    }

    /// A field of an object.
    pub fn field(&self, of: &str, name: &str) -> Result<&FieldDefinition, BrokenResource> {
        let fields = match self.definition(of).map(|definition| &definition.kind) {
            Some(TypeKind::Object(object)) => object.fields.as_slice(),
            _ => &[],
        };
        let found = fields.iter().map(|field| &field.node).find(|field| field.name.node == name);
        found.ok_or_else(|| BrokenResource(format!("{of}.{name} is no field")))
    }

    /// An argument of a field.
    pub fn argument(
        &self,
        (of, field): (&str, &str),
        name: &str,
    ) -> Result<&InputValueDefinition, BrokenResource> {
        let arguments = &self.field(of, field)?.arguments;
        let mut found = arguments.iter().map(|argument| &argument.node);
        found
            .find(|argument| argument.name.node == name)
            .ok_or_else(|| BrokenResource(format!("{of}.{field}({name}) is no argument")))
    }

    /// A field of an input object.
    pub fn input_field(
        &self,
        of: &str,
        name: &str,
    ) -> Result<&InputValueDefinition, BrokenResource> {
        let fields = match self.definition(of).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(object)) => object.fields.as_slice(),
            _ => &[],
        };
        let found = fields.iter().map(|field| &field.node).find(|field| field.name.node == name);
        found.ok_or_else(|| BrokenResource(format!("{of}.{name} is no input")))
    }

    /// The values of an enum, with their descriptions.
    pub fn values(&self, name: &str) -> Option<Vec<(String, String)>> {
        match &self.definition(name)?.kind {
            TypeKind::Enum(of) => {
                let value = |value: &async_graphql::Positioned<_>| {
                    let value: &async_graphql::parser::types::EnumValueDefinition = &value.node;
                    let text = value.description.as_ref().map(|text| text.node.clone());
                    (value.value.node.to_string(), text.unwrap_or_default())
                };
                Some(of.values.iter().map(value).collect())
            }
            _ => None,
        }
    }

    /// What a value of an input type may be, as a parameter.
    pub fn shape(&self, of: &Type) -> Result<Shape, BrokenResource> {
        let names = |name: &str| {
            let values = self.values(name)?;
            Some(values.into_iter().map(|(value, _)| value).collect())
        };
        let shape = match &of.base {
            BaseType::Named(name) => match name.as_str() {
                "String" | "ID" => Some(Shape::Text),
                "DateTime" => Some(Shape::Instant),
                "Int" => Some(Shape::Integer),
                "BigInt" => Some(Shape::BigInteger),
                name => names(name).map(|values| Shape::OneOf { name: name.to_owned(), values }),
            },
            BaseType::List(item) => match &item.base {
                BaseType::Named(name) => {
                    names(name).map(|values| Shape::SomeOf { name: name.to_string(), values })
                }
                BaseType::List(_) => None,
            },
        };
        shape.ok_or_else(|| BrokenResource(format!("no parameter can be {of}")))
    }
}
