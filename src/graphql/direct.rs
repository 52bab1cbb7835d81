//! Objects that are resolved without a detour.
//!
//! The library puts a future on the heap for every field, and drives them side by side: for a board of
//! fifty datasets some 2,500 of them, nearly all of which have their answer at once. [`Direct`] asks the
//! fields of an object one after the other in one and the same piece of memory, and sets aside only what
//! has to wait: what waits goes on side by side as before, so that its reads meet in one batch.
//!
//! What is rare is left to the library: directives on a field, a field that is asked for twice, a trace.

use std::{borrow::Cow, future::poll_fn, task::Poll};

use async_graphql::{
    Context, ContextSelectionSet, Name, ObjectType, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexMap,
    parser::types::{Field, Selection, SelectionSet},
    registry::Registry,
    resolver_utils::{ContainerType, resolve_container},
};
use futures::future::try_join_all;
use tokio_util::sync::ReusableBoxFuture;

use super::errors::{Nullable, nullable};
use crate::error::Result;

/// The fields of one selection beyond which it is left to the library.
const FIELDS: usize = 48;

/// Says that fields are traced as they are resolved, in the data of a request: that is the library's part.
#[derive(Debug, Clone, Copy)]
pub struct Traced;

/// An object as it is, resolved as the [module](self) says.
#[derive(Debug, Clone, Copy)]
pub struct Direct<T>(pub T);

/// As [`nullable`], of an object that is resolved directly.
pub fn direct<T>(result: Result<Option<T>>) -> Nullable<Direct<T>> {
    nullable(result.map(|found| found.map(Direct)))
}

impl<T: ObjectType> OutputType for Direct<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match selected::<T>(context) {
            Some(fields) => resolve(context, &self.0, &fields).await,
            None => resolve_container(context, &self.0).await,
        }
    }
}

impl<T: ObjectType> ObjectType for Direct<T> {}

impl<T: ObjectType> ContainerType for Direct<T> {
    async fn resolve_field(&self, context: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(context).await
    }
}

/// The fields that are selected of a `T`, if there is nothing rare about them.
fn selected<'a, T: OutputType>(
    context: &ContextSelectionSet<'a>,
) -> Option<Vec<&'a Positioned<Field>>> {
    if context.data_opt::<Traced>().is_some() {
        return None;
    }
    let mut fields = Vec::with_capacity(context.item.node.items.len());
    let name = T::type_name();
    collect(context, &name, &context.item.node, &mut fields)?;
    let name = |field: &'a Positioned<Field>| &field.node.response_key().node;
    let once = fields
        .iter()
        .enumerate()
        .all(|(at, field)| fields.iter().take(at).all(|earlier| name(earlier) != name(field)));
    once.then_some(fields)
}

fn collect<'a>(
    context: &ContextSelectionSet<'a>,
    type_name: &str,
    set: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> Option<()> {
    for selection in &set.items {
        let (condition, set) = match &selection.node {
            Selection::Field(field) => {
                if !field.node.directives.is_empty() || fields.len() == FIELDS {
                    return None;
                }
                fields.push(field);
                continue;
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = &context.query_env.fragments.get(name)?.node;
                (Some(&fragment.type_condition), &fragment.selection_set)
            }
            Selection::InlineFragment(inline) => {
                (inline.node.type_condition.as_ref(), &inline.node.selection_set)
            }
        };
        // Of an interface it may be as well: the library knows which.
        if condition.is_some_and(|condition| condition.node.on.node != type_name) {
            return None;
        }
        collect(context, type_name, &set.node, fields)?;
    }
    Some(())
}

async fn resolve<T: ObjectType>(
    context: &ContextSelectionSet<'_>,
    object: &T,
    fields: &[&Positioned<Field>],
) -> ServerResult<Value> {
    let mut values = Vec::with_capacity(fields.len());
    let mut waiting = Vec::new();
    let mut spare: Option<ReusableBoxFuture<'_, ServerResult<Value>>> = None;
    for (at, field) in fields.iter().enumerate() {
        let value = if field.node.name.node == "__typename" {
            Value::String(object.introspection_type_name().into_owned())
        } else {
            let future = one(context, object, field);
            let mut future = match spare.take() {
                Some(mut spare) => {
                    spare.set(future);
                    spare
                }
                None => ReusableBoxFuture::new(future),
            };
            match poll_fn(|task| Poll::Ready(future.poll(task))).await {
                Poll::Ready(value) => {
                    spare = Some(future);
                    value?
                }
                Poll::Pending => {
                    waiting.push(async move { future.await.map(|value| (at, value)) });
                    Value::Null
                }
            }
        };
        values.push(value);
    }
    drop(spare);
    if !waiting.is_empty() {
        for (at, value) in try_join_all(waiting).await? {
            if let Some(place) = values.get_mut(at) {
                *place = value;
            }
        }
    }
    let names = fields.iter().map(|field| field.node.response_key().node.clone());
    Ok(Value::Object(names.zip(values).collect::<IndexMap<Name, Value>>()))
}

async fn one<T: ObjectType>(
    context: &ContextSelectionSet<'_>,
    object: &T,
    field: &Positioned<Field>,
) -> ServerResult<Value> {
    let context = context.with_field(field);
    object.resolve_field(&context).await.map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
