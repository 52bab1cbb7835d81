//! The parameters of a query string: those that the graph's arguments are, and no others.

use chrono::DateTime;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    super::Problem,
    graph::{Graph, Shape},
    resource::BrokenResource,
};
use crate::error::{Error, ErrorCode, Result};

/// A parameter of a resource.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name: that of the argument.
    pub name: &'static str,
    /// What it is an argument of.
    pub place: Place,
}

/// What a parameter is an argument of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The field itself.
    Argument,
    /// The field's argument `filter`, of this type.
    Filter(&'static str),
}

/// A parameter with what the graph says of it.
#[derive(Debug)]
pub(super) struct Expected {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub shape: Shape,
    /// What it is for.
    pub description: String,
    /// Whether nothing comes of the resource without it.
    pub is_required: bool,
    place: Place,
}

impl Expected {
    /// What the graph says of a parameter of `field`.
    pub fn of(
        parameter: &Parameter,
        field: (&str, &str),
        graph: &Graph,
    ) -> Result<Self, BrokenResource> {
        let Parameter { name, place } = *parameter;
        let value = match place {
            Place::Argument => graph.argument(field, name)?,
            Place::Filter(of) => graph.input_field(of, name)?,
        };
        let description = value.description.as_ref().map_or("", |text| text.node.as_str());
        let shape = graph.shape(&value.ty.node)?;
        let is_required = !value.ty.node.nullable;
        Ok(Self { name, shape, description: description.to_owned(), is_required, place })
    }

    fn read(&self, text: &str) -> Result<Value> {
        let refuse = |message: String| Error::bad_input(self.name, message);
        match &self.shape {
            Shape::Text => Ok(text.into()),
            Shape::Instant => match DateTime::parse_from_rfc3339(text) {
                Ok(_) => Ok(text.into()),
                Err(_) => Err(refuse("is not an instant as RFC 3339 writes it".to_owned())),
            },
            Shape::Integer => match text.parse::<i32>() {
                Ok(number) => Ok(number.into()),
                Err(_) => Err(refuse("is not a whole number of 32 bits".to_owned())),
            },
            Shape::BigInteger => match text.parse::<i64>() {
                Ok(number) => Ok(number.into()),
                Err(_) => Err(refuse("is not a whole number of 64 bits".to_owned())),
            },
            Shape::OneOf { values, .. } | Shape::SomeOf { values, .. } => {
                if values.iter().any(|value| value == text) {
                    return Ok(text.into());
                }
                Err(refuse(format!("must be one of {}", values.join(", "))))
            }
        }
    }
}

/// What a query string says.
#[derive(Debug, Default)]
pub(super) struct Given {
    arguments: Map<String, Value>,
    filter: Map<String, Value>,
    pairs: Vec<(String, String)>,
}

impl Given {
    /// The variables of the document.
    pub fn variables(&self) -> Map<String, Value> {
        let mut variables = self.arguments.clone();
        if !self.filter.is_empty() {
            variables.insert("filter".to_owned(), Value::Object(self.filter.clone()));
        }
        variables
    }

    /// The query of the page after `cursor`: a reference relative to this one, whatever stands in
    /// front of this service.
    pub fn next(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs.iter().filter(|(name, _)| name != "after"));
        query.append_pair("after", cursor);
        format!("?{}", query.finish())
    }
}

/// Reads a query string.
///
/// # Errors
/// [`Error::BadUserInput`] at the parameter that is unknown, repeated, or not what it may be.
pub(super) fn parse(query: &str, expected: &[Expected]) -> Result<Given> {
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Error::bad_input("query", "is not UTF-8"));
    }
    let mut given = Given::default();
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(expected) = expected.iter().find(|expected| expected.name == name) else {
            // The name is the caller's own, of any length.
            let name: String = name.chars().take(64).collect();
            return Err(Error::bad_input(name, "is not a parameter of this resource"));
        };
        let value = expected.read(&text)?;
        let place = match expected.place {
            Place::Argument => &mut given.arguments,
            Place::Filter(_) => &mut given.filter,
        };
        match (&expected.shape, place.get_mut(expected.name)) {
            (Shape::SomeOf { .. }, Some(Value::Array(values))) => values.push(value),
            (Shape::SomeOf { .. }, _) => {
                place.insert(expected.name.to_owned(), Value::Array(vec![value]));
            }
            (_, Some(_)) => return Err(Error::bad_input(expected.name, "is given twice")),
            (_, None) => {
                place.insert(expected.name.to_owned(), value);
            }
        }
        given.pairs.push((name.into_owned(), text.into_owned()));
    }
    let is_given = |expected: &Expected| given.pairs.iter().any(|(name, _)| name == expected.name);
    match expected.iter().find(|expected| expected.is_required && !is_given(expected)) {
        Some(missing) => Err(Error::bad_input(missing.name, "is missing")),
        None => Ok(given),
    }
}

/// An error as a problem document, the parameter that it is about under its name here.
pub(super) fn problem(error: Error) -> Problem {
    match error {
        Error::BadUserInput { field, message } => {
            let field = match field.as_ref() {
                "urn" => "id".to_owned(),
                field => field.strip_prefix("filter.").unwrap_or(field).to_owned(),
            };
            Error::bad_input(field, message).into()
        }
        // The size of a page is a value like any other here, not of the request.
        Error::LimitExceeded { limit: "first", maximum } => Problem::new(
            axum::http::StatusCode::BAD_REQUEST,
            ErrorCode::LimitExceeded,
            format!("first: must not exceed {maximum}"),
        )
        .with_field("first"),
        other => other.into(),
    }
}
