//! The types that a variable may have.

use std::collections::HashSet;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, ExecutableDocument, TypeKind, TypeSystemDefinition},
};

use super::{Subgraph, sdl::sdl};
use crate::error::{Error, Result};

/// What GraphQL and federation have by themselves.
const BUILT_IN: [&str; 6] = ["Boolean", "Float", "ID", "Int", "String", "_Any"];

/// See the [module](self).
#[derive(Debug)]
pub struct InputTypes(HashSet<String>);

impl InputTypes {
    /// Those of `subgraph`.
    #[must_use]
    pub fn of(subgraph: &Subgraph) -> Self {
        let definitions = parse_schema(sdl(subgraph)).map(|it| it.definitions).unwrap_or_default();
        let named = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(of) => match of.node.kind {
                TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => {
                    Some(of.node.name.node.to_string())
                }
                _ => None,
            },
            _ => None,
        });
        Self(named.chain(BUILT_IN.map(str::to_owned)).collect())
    }

    /// Refuses a list of an unknown type: the library's validation panics when it has a default.
    ///
    /// # Errors
    /// [`Error::BadUserInput`].
    pub fn check(&self, document: &ExecutableDocument) -> Result<()> {
        let operations = document.operations.iter();
        for variable in operations.flat_map(|(_, it)| &it.node.variable_definitions) {
            let mut base = &variable.node.var_type.node.base;
            let BaseType::List(_) = base else { continue };
            while let BaseType::List(item) = base {
                base = &item.base;
            }
            if let BaseType::Named(name) = base
                && !self.0.contains(name.as_str())
            {
                return Err(Error::bad_input("query", format!("unknown type \"{name}\"")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn a_list_of_an_unknown_type_is_refused() {
        let types = InputTypes::of(&super::super::subgraph());
        let check = |document: &str| types.check(&parse_query(document).unwrap()).is_ok();
        for of in ["[String!]!", "[[Int]]", "[_Any!]!", "[FreshnessStatus!]", "Nope"] {
            assert!(check(&format!("query($v: {of}) {{ me {{ role }} }}")), "{of}");
        }
        for of in ["[Nope] = [1]", "[[Nope!]!]", "[Dataset]"] {
            assert!(!check(&format!("query($v: {of}) {{ me {{ role }} }}")), "{of}");
        }
    }
}
