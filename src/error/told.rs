//! An error as a caller sees it, kept with the answer that it is part of and read again: its code, its
//! message, and the field of a [`Error::BadUserInput`]. What is behind it is not kept.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, ErrorCode};

#[derive(Serialize, Deserialize)]
struct Told<'a> {
    code: ErrorCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'a, str>>,
    message: Cow<'a, str>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = match self {
            Self::BadUserInput { field, message } => Told {
                code: self.code(),
                field: Some(Cow::Borrowed(field)),
                message: Cow::Borrowed(message),
            },
            other => Told { code: self.code(), field: None, message: other.to_string().into() },
        };
        told.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Told { code, field, message } = Told::deserialize(deserializer)?;
        let message = message.into_owned();
        Ok(match field {
            Some(field) => Self::bad_input(field.into_owned(), message),
            None => Self::Told { code, message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_again_is_what_was_told() {
        for error in [
            Error::Forbidden,
            Error::NotFound("dataset"),
            Error::bad_input("run.runId", "is no UUID"),
            Error::Conflict("the dataset is retired".into()),
            Error::LimitExceeded { limit: "events", maximum: 3 },
            Error::internal("the secret reason"),
        ] {
            let kept = serde_json::to_string(&error).unwrap();
            assert!(!kept.contains("secret"), "{kept}");
            let again: Error = serde_json::from_str(&kept).unwrap();
            assert_eq!((again.code(), again.to_string()), (error.code(), error.to_string()));
        }
    }
}
