//! What is wrong with a configuration.

use std::path::PathBuf;

/// Why there is no configuration. No message shows a value: it could be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such setting.
    #[error("{origin}: there is no setting `{key}` (`drr config check` lists them all)")]
    UnknownKey {
        /// The name that was given.
        key: String,
        /// The file, variable or flag it came from.
        origin: String,
    },
    /// A value that does not fit.
    #[error("{origin}: `{key}` must be {allowed}")]
    Invalid {
        /// The setting.
        key: String,
        /// The file, variable or flag it came from.
        origin: String,
        /// What it must be.
        allowed: String,
    },
    /// A secret where others can read it.
    #[error(
        "{origin}: `{key}` holds a secret, which may stand only in the environment or in a file \
         named by `{key}_file`"
    )]
    MisplacedSecret {
        /// The setting.
        key: String,
        /// The file or flag it came from.
        origin: String,
    },
    /// Two settings of which only one may be there.
    #[error("`{first}` ({first_origin}) and `{second}` ({second_origin}) exclude each other")]
    Conflict {
        /// One setting.
        first: String,
        /// Where it came from.
        first_origin: String,
        /// The other.
        second: String,
        /// Where that came from.
        second_origin: String,
    },
    /// A setting that is needed and not there.
    #[error("`{key}` is not set: {reason}")]
    Missing {
        /// The setting.
        key: String,
        /// Why it is needed.
        reason: &'static str,
    },
    /// The configuration file is not TOML.
    #[error("{}: not valid TOML: {position}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: String,
    },
    /// A file that cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    Unreadable {
        /// The setting that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
