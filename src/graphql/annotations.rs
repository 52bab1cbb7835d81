//! What a field says of its cost, in the SDL: `@cost` and `@listSize` of the federation, which a
//! gateway and [`cost`](super::cost) read alike.
//!
//! They stand at the field that they are about: `#[graphql(directive = ListSize::apply(page(10)))]`.

use async_graphql::{
    TypeDirective, Value,
    indexmap::IndexMap,
    registry::{MetaDirectiveInvocation, Registry, location_traits::Directive_At_FIELD_DEFINITION},
};

/// `@cost`: a field that takes more work than one row. Its weight counts in place of its type's 1.
#[derive(Debug)]
pub struct Cost;

/// The weight of a field that reads many rows of the log for each dataset.
pub const LOG: i32 = 5;
/// The weight of a field that goes from dataset to dataset, a statement for each step.
pub const WALK: i32 = 10;

impl Cost {
    /// The directive with this weight.
    #[must_use]
    pub fn apply(weight: i32) -> MetaDirectiveInvocation {
        invocation("cost", [("weight", Value::from(weight))])
    }
}

/// `@listSize`: how long a list may be.
#[derive(Debug)]
pub struct ListSize;

/// How long a list may be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The length unless an argument says it.
    assumed: u32,
    /// The argument that says it.
    argument: Option<&'static str>,
    /// The fields of the answer that are lists of that length; none if the answer is the list.
    fields: &'static [&'static str],
}

/// A connection whose page has so many nodes unless `first` says otherwise.
#[must_use]
pub const fn page(default: u32) -> Size {
    Size { assumed: default, argument: Some("first"), fields: &["edges", "nodes"] }
}

/// An object with a list in `field`, of so many unless `argument` says otherwise.
#[must_use]
pub const fn sliced(field: &'static [&'static str], argument: &'static str, default: u32) -> Size {
    Size { assumed: default, argument: Some(argument), fields: field }
}

/// An object with a list in `field` that usually has about so many.
#[must_use]
pub const fn holding(field: &'static [&'static str], usual: u32) -> Size {
    Size { assumed: usual, argument: None, fields: field }
}

/// A list that usually has about so many.
#[must_use]
pub const fn about(usual: u32) -> Size {
    Size { assumed: usual, argument: None, fields: &[] }
}

impl ListSize {
    /// The directive with this size.
    #[must_use]
    pub fn apply(size: Size) -> MetaDirectiveInvocation {
        let names = |names: &[&str]| Value::List(names.iter().copied().map(Value::from).collect());
        let mut arguments = vec![("assumedSize", Value::from(size.assumed))];
        if let Some(argument) = size.argument {
            arguments.push(("slicingArguments", names(&[argument])));
        }
        if !size.fields.is_empty() {
            arguments.push(("sizedFields", names(size.fields)));
        }
        if size.argument.is_some() {
            // Without the argument the assumed size is the page's own default.
            arguments.push(("requireOneSlicingArgument", Value::from(false)));
        }
        invocation("listSize", arguments)
    }
}

fn invocation(
    name: &str,
    arguments: impl IntoIterator<Item = (&'static str, Value)>,
) -> MetaDirectiveInvocation {
    let arguments = arguments.into_iter().map(|(name, value)| (name.to_owned(), value));
    MetaDirectiveInvocation { name: name.to_owned(), args: arguments.collect::<IndexMap<_, _>>() }
}

/// The directives are defined by the federation, not here: nothing is registered.
macro_rules! defined_elsewhere {
    ($directive:ty, $name:literal) => {
        impl TypeDirective for $directive {
            fn name(&self) -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn register(&self, _: &mut Registry) {}
        }

        impl Directive_At_FIELD_DEFINITION for $directive {}
    };
}

defined_elsewhere!(Cost, "cost");
defined_elsewhere!(ListSize, "listSize");
