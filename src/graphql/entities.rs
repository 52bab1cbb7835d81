//! Entities that fail alone.
//!
//! The library answers `_entities` itself, and one representation that is of no entity or has a key of
//! the wrong kind takes all others with it; errors do not say whose they are. So each representation is
//! given its number before the execution ([`number`]), and [`Root`], which the library asks for
//! entities, takes it off again: it answers null for the one that failed, with the number in the path of
//! every error below.

use std::collections::BTreeSet;

use async_graphql::{
    Context, ContextSelectionSet, Name, ObjectType, OutputType, Positioned, Request, ServerError,
    ServerResult, Value as ConstValue,
    indexmap::IndexMap,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
    registry::Registry,
    resolver_utils::{ContainerType, resolve_container},
};
use async_graphql_value::Value;

use super::{document::operation, sdl};
use crate::error::Error;

const INDEX: &str = "index";
const REPRESENTATION: &str = "representation";

/// A query root whose entities fail alone.
#[derive(Debug, Default)]
pub struct Root<Q>(pub Q);

impl<Q: ObjectType> ContainerType for Root<Q> {
    async fn resolve_field(&self, context: &Context<'_>) -> ServerResult<Option<ConstValue>> {
        self.0.resolve_field(context).await
    }

    async fn find_entity(
        &self,
        context: &Context<'_>,
        numbered: &ConstValue,
    ) -> ServerResult<Option<ConstValue>> {
        let Some((index, representation)) = unnumbered(numbered) else {
            return self.0.find_entity(context, numbered).await;
        };
        let context = context.with_index(index);
        let error = match self.0.find_entity(&context, representation).await {
            Ok(Some(entity)) => return Ok(Some(entity)),
            Ok(None) => {
                let none = Error::bad_input("representations", "names no entity by a key of it");
                async_graphql::Error::from(none).into_server_error(context.item.pos)
            }
            Err(error) => error,
        };
        let has_path = !error.path.is_empty();
        context.add_error(if has_path { error } else { context.set_error_path(error) });
        Ok(Some(ConstValue::Null))
    }
}

impl<Q: ObjectType> OutputType for Root<Q> {
    fn type_name() -> std::borrow::Cow<'static, str> {
        Q::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Q::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> Result<ConstValue, ServerError> {
        resolve_container(context, self).await
    }
}

impl<Q: ObjectType> ObjectType for Root<Q> {}

fn unnumbered(numbered: &ConstValue) -> Option<(usize, &ConstValue)> {
    let ConstValue::Object(members) = numbered else { return None };
    let ConstValue::Number(index) = members.get(INDEX)? else { return None };
    Some((usize::try_from(index.as_u64()?).ok()?, members.get(REPRESENTATION)?))
}

/// Gives every representation of a request its number, in the document and in the variables.
pub fn number(request: &mut Request, document: &ExecutableDocument) {
    if !sdl::selects(document, &["_entities"]) {
        return;
    }
    let mut document = document.clone();
    let mut variables = BTreeSet::new();
    let operations = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    let operations = operations.into_iter().map(|operation| &mut operation.node.selection_set);
    let fragments = document.fragments.values_mut().map(|found| &mut found.node.selection_set);
    for set in operations.chain(fragments) {
        number_in(&mut set.node, &mut variables);
    }
    for name in variables {
        let defined = operation(&document, request.operation_name.as_deref());
        let default = || {
            let mut defined = defined?.variable_definitions.iter();
            let defined = defined.find(|defined| defined.node.name.node == name)?;
            defined.node.default_value.as_ref().map(|value| value.node.clone())
        };
        let list = match request.variables.get(&name).cloned().or_else(default) {
            None | Some(ConstValue::Null) => continue,
            Some(ConstValue::List(list)) => list,
            Some(one) => vec![one],
        };
        let list = list.into_iter().enumerate().map(|(index, representation)| {
            ConstValue::Object(members(ConstValue::from(index), representation))
        });
        request.variables.insert(name, ConstValue::List(list.collect()));
    }
    request.set_parsed_query(document);
}

/// Numbers what a selection set of the root says of representations; the variables that it leaves that
/// to are added to `variables`.
fn number_in(set: &mut SelectionSet, variables: &mut BTreeSet<Name>) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) if field.node.name.node == "_entities" => {
                for (_, value) in &mut field.node.arguments {
                    number_value(&mut value.node, variables);
                }
            }
            Selection::InlineFragment(inline) => {
                number_in(&mut inline.node.selection_set.node, variables);
            }
            Selection::Field(_) | Selection::FragmentSpread(_) => {}
        }
    }
}

fn number_value(value: &mut Value, variables: &mut BTreeSet<Name>) {
    let list = match std::mem::take(value) {
        Value::Variable(name) => {
            variables.insert(name.clone());
            return *value = Value::Variable(name);
        }
        Value::Null => return,
        Value::List(list) => list,
        one => vec![one],
    };
    let list = list.into_iter().enumerate().map(|(index, representation)| {
        Value::Object(members(Value::Number(index.into()), representation))
    });
    *value = Value::List(list.collect());
}

/// A representation with its number. Whatever it is: what is no object is told so in its place.
fn members<V>(index: V, representation: V) -> IndexMap<Name, V> {
    [(Name::new(INDEX), index), (Name::new(REPRESENTATION), representation)].into_iter().collect()
}
