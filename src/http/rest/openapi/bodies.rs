//! Bodies as schemas: the selection of a resource's document, with the types and the descriptions of
//! the graph. A fragment becomes a schema of its own, by its own name.

use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, Selection, SelectionSet, Type as GraphType, TypeKind,
};
use utoipa::openapi::{
    Components, KnownFormat, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat,
    schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
};

use super::{
    super::{
        graph::{Graph, Shape},
        resource::{BrokenResource, Prepared},
    },
    component,
};

/// The schema of a resource's body; its parts go among the components.
pub(super) fn body(
    prepared: &Prepared,
    graph: &Graph,
    components: &mut Components,
) -> Result<RefOr<Schema>, BrokenResource> {
    let mut reader = Reader { document: prepared.document(), graph, components };
    let root = reader.document.operations.iter().next();
    let root = root.ok_or_else(|| BrokenResource("a document without an operation".to_owned()))?;
    let (mut of, mut selected) = ("Query".to_owned(), &root.1.node.selection_set.node);
    for member in prepared.resource.body {
        let field = fields(selected).find(|field| field.response_key().node == *member);
        let field = field.ok_or_else(|| BrokenResource(format!("{member} is not selected")))?;
        of = named(&graph.field(&of, &field.name.node)?.ty.node).to_owned();
        selected = &field.selection_set.node;
    }
    reader.object(&of, selected)
}

/// A named component.
pub(super) fn fragment(
    name: &str,
    document: &ExecutableDocument,
    graph: &Graph,
    components: &mut Components,
) -> Result<RefOr<Schema>, BrokenResource> {
    Reader { document, graph, components }.fragment(name)
}

/// The enum that a parameter is of, among the components.
pub(super) fn values(shape: &Shape, graph: &Graph, components: &mut Components) {
    if let Shape::OneOf { name, .. } | Shape::SomeOf { name, .. } = shape {
        component(components, name, enumeration(graph, name));
    }
}

struct Reader<'a> {
    document: &'a ExecutableDocument,
    graph: &'a Graph,
    components: &'a mut Components,
}

fn fields(selected: &SelectionSet) -> impl Iterator<Item = &Field> {
    selected.items.iter().filter_map(|item| match &item.node {
        Selection::Field(field) => Some(&field.node),
        _ => None,
    })
}

/// The type within lists.
fn named(of: &GraphType) -> &str {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

impl Reader<'_> {
    /// What is selected of an object: a reference where it is one fragment and nothing else.
    fn object(
        &mut self,
        of: &str,
        selected: &SelectionSet,
    ) -> Result<RefOr<Schema>, BrokenResource> {
        if let [only] = selected.items.as_slice()
            && let Selection::FragmentSpread(spread) = &only.node
        {
            return self.fragment(&spread.node.fragment_name.node);
        }
        let mut object = ObjectBuilder::new().description(self.description(of));
        for field in fields(selected) {
            let definition = self.graph.field(of, &field.name.node)?;
            let text = definition.description.as_ref().map(|text| text.node.clone());
            let schema = self.value(&definition.ty.node, &field.selection_set.node, text)?;
            let key = field.response_key().node.as_str();
            object = object.property(key, schema).required(key);
        }
        Ok(object.build().into())
    }

    fn fragment(&mut self, name: &str) -> Result<RefOr<Schema>, BrokenResource> {
        if !self.components.schemas.contains_key(name) {
            let fragment = self.document.fragments.get(name);
            let fragment = fragment.ok_or_else(|| BrokenResource(format!("no fragment {name}")))?;
            let of = fragment.node.type_condition.node.on.node.to_string();
            let schema = self.object(&of, &fragment.node.selection_set.node)?;
            component(self.components, name, schema);
        }
        Ok(Ref::from_schema_name(name).into())
    }

    fn description(&self, of: &str) -> Option<String> {
        let text = self.graph.definition(of)?.description.as_ref()?;
        Some(text.node.clone())
    }

    fn value(
        &mut self,
        of: &GraphType,
        selected: &SelectionSet,
        text: Option<String>,
    ) -> Result<RefOr<Schema>, BrokenResource> {
        let name = match &of.base {
            BaseType::List(item) => {
                let items = self.value(item, selected, None)?;
                let array = ArrayBuilder::new().items(items).description(text);
                let array = array.schema_type(or_null(Type::Array, of.nullable));
                return Ok(array.build().into());
            }
            BaseType::Named(name) => name.as_str(),
        };
        if let Some(scalar) = scalar(name, of.nullable) {
            return Ok(scalar.description(text).build().into());
        }
        let reference = match self.graph.definition(name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(_)) => self.object(name, selected)?,
            Some(TypeKind::Enum(_)) => self.enumeration(name),
            _ => return Err(BrokenResource(format!("{name} has no schema"))),
        };
        Ok(described(reference, of.nullable, text))
    }

    fn enumeration(&mut self, name: &str) -> RefOr<Schema> {
        component(self.components, name, enumeration(self.graph, name));
        Ref::from_schema_name(name).into()
    }
}

/// An enum with what its values mean.
fn enumeration(graph: &Graph, name: &str) -> Schema {
    let values = graph.values(name).unwrap_or_default();
    let meanings: Vec<_> =
        values.iter().map(|(value, text)| format!("- `{value}`: {text}")).collect();
    let text = graph.definition(name).and_then(|of| of.description.as_ref());
    let text = text.map_or("", |text| text.node.as_str());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!("{text}\n\n{}", meanings.join("\n"))))
        .enum_values(Some(values.into_iter().map(|(value, _)| value)))
        .build()
        .into()
}

fn or_null(of: Type, nullable: bool) -> SchemaType {
    if nullable { SchemaType::from_iter([of, Type::Null]) } else { SchemaType::new(of) }
}

/// A reference with what it is for here.
fn described(mut schema: RefOr<Schema>, nullable: bool, text: Option<String>) -> RefOr<Schema> {
    if nullable {
        let null = ObjectBuilder::new().schema_type(Type::Null).build();
        let either = OneOfBuilder::new().item(null).item(schema).description(text).build();
        return Schema::OneOf(either).into();
    }
    if let (RefOr::Ref(reference), Some(text)) = (&mut schema, text) {
        reference.description = text;
    }
    schema
}

/// The scalars of the graph.
fn scalar(name: &str, nullable: bool) -> Option<ObjectBuilder> {
    let (of, format, pattern) = match name {
        "ID" | "String" => (Type::String, None, None),
        "Boolean" => (Type::Boolean, None, None),
        "Float" => (Type::Number, Some(KnownFormat::Double), None),
        "Int" => (Type::Integer, Some(KnownFormat::Int32), None),
        "NaiveDate" => (Type::String, Some(KnownFormat::Date), None),
        "DateTime" => (Type::String, Some(KnownFormat::DateTime), None),
        "BigInt" => (Type::String, None, Some("^-?[0-9]{1,19}$")),
        _ => return None,
    };
    let object = ObjectBuilder::new().schema_type(or_null(of, nullable));
    Some(object.format(format.map(SchemaFormat::KnownFormat)).pattern(pattern))
}
