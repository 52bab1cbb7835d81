//! What is wrong with archives.

use uuid::Uuid;

use crate::error::Error;

/// What is wrong with an archive, or with what was to become one. Nothing is dropped then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Somebody took it away.
    #[error("the archive {0} is gone")]
    Gone(String),
    /// It is not what it was when it was recorded.
    #[error("the archive {0} is not what was archived")]
    Altered(String),
    /// It is what was recorded, and cannot be read.
    #[error("the archive {0} cannot be opened: {1}")]
    Unreadable(String, String),
    /// The object that is in its place says something else than the trail.
    #[error("{0} is there already and has other events")]
    Another(String),
    /// The event in the database is not the one that was recorded.
    #[error("the event {0} does not have the hash that it was recorded with")]
    Rewritten(Uuid),
    /// The database counts more events than were archived.
    #[error("not all events of {0} are archived yet")]
    Incomplete(String),
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        Self::internal(error)
    }
}

impl ArchiveError {
    /// The one that an error was made of.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Internal(why) => why.downcast_ref(),
            _ => None,
        }
    }

    /// Why an object was not opened; that the store does not answer says nothing of it.
    pub(super) fn unreadable(name: &str, error: Error) -> Error {
        match error {
            Error::Internal(why) => Self::Unreadable(name.to_owned(), why.to_string()).into(),
            other => other,
        }
    }
}
