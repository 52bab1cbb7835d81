//! Scalars beyond GraphQL's own, identifiers, and texts to look for.

use async_graphql::{ID, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A whole number of up to 64 bits, as a string in answers (JSON numbers lose precision beyond 53
/// bits in many clients); a string or a number in input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt(pub i64);

/// A whole number of up to 64 bits: a string in answers, a string or a number in input.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        let parsed = match &value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| InputValueError::custom("is not a whole number of 64 bits"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Reads an identifier of a `kind` of thing at `field`.
///
/// # Errors
/// [`Error::BadUserInput`] for what no thing has as its identifier.
pub fn uuid(id: &ID, field: &'static str) -> Result<Uuid> {
    Uuid::try_parse(id.as_str()).map_err(|_| Error::bad_input(field, "is not an identifier"))
}

/// The longest text that is looked for, in characters: longer ones are not stored.
const LONGEST_SEARCHED: usize = 256;

/// Refuses texts to look for, each with the name of its field, that nothing stored can hold.
///
/// # Errors
/// [`Error::BadUserInput`] at the field.
pub fn searched(texts: &[(&'static str, &Option<String>)]) -> Result<()> {
    for (field, text) in texts {
        let text = text.as_deref().unwrap_or_default();
        if text.chars().count() > LONGEST_SEARCHED {
            return Err(Error::bad_input(*field, "must not exceed 256 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::bad_input(*field, "must not contain control characters"));
        }
    }
    Ok(())
}
