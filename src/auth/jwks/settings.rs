//! How the key set is kept up to date, and what can go wrong with it.

use std::time::Duration;

use chrono::TimeDelta;

use super::JwksSource;

/// How often a file is read again: a key taken out of it must be refused within a second.
const FILE_REFRESH_INTERVAL: Duration = Duration::from_millis(500);
const URL_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// A file costs nothing to ask again, so a new key in it is found at once, whatever came before.
const FILE_ON_DEMAND_GAP: Duration = Duration::from_millis(20);
const FILE_UNKNOWN_KEY_LIFETIME: Duration = Duration::from_millis(1);
const URL_ON_DEMAND_GAP: Duration = Duration::from_secs(1);
const URL_UNKNOWN_KEY_LIFETIME: Duration = Duration::from_secs(10);
/// The longest of any of the times that can be set.
const LONGEST_TIME: TimeDelta = TimeDelta::days(365);

/// How the key set is kept up to date.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// Where it comes from.
    pub source: JwksSource,
    /// Longest time between two renewals in the background; a `max-age` can shorten it, down to
    /// [`Self::on_demand_gap`].
    pub refresh_interval: Duration,
    /// Shortest time between two renewals on account of an unknown key.
    pub on_demand_gap: Duration,
    /// How long an unknown key identifier is refused without asking again.
    pub unknown_key_lifetime: Duration,
    /// How long the last key set holds while the publisher does not answer.
    pub maximum_staleness: Duration,
    /// Time limit of one request to the publisher.
    pub timeout: Duration,
}

impl KeySettings {
    /// The settings that are right for the kind of source: a file is read every 500 ms, and again for
    /// an unknown key after 20 ms; a URL every 60 s, again for an unknown key after 1 s, for the same
    /// unknown key after 10 s. Keys hold for an hour without their publisher.
    #[must_use]
    pub const fn new(source: JwksSource) -> Self {
        let (refresh_interval, on_demand_gap, unknown_key_lifetime) = match source {
            JwksSource::File(_) => {
                (FILE_REFRESH_INTERVAL, FILE_ON_DEMAND_GAP, FILE_UNKNOWN_KEY_LIFETIME)
            }
            JwksSource::Url(_) | JwksSource::Document(_) => {
                (URL_REFRESH_INTERVAL, URL_ON_DEMAND_GAP, URL_UNKNOWN_KEY_LIFETIME)
            }
        };
        Self {
            source,
            refresh_interval,
            on_demand_gap,
            unknown_key_lifetime,
            maximum_staleness: Duration::from_secs(3_600),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Why settings for the key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksSettingsError {
    /// The URL is neither `https` nor on the loopback address, or it carries a password.
    #[error("the key set's URL must be https (http only on loopback), without user or password")]
    Url,
    /// The HTTP client cannot be made.
    #[error("the HTTP client for the key set cannot be made")]
    Client(#[source] reqwest::Error),
    /// A time is zero or too long, or the keys would be stale before they are renewed.
    #[error("{0} of the key set is out of range")]
    Duration(&'static str),
}

/// Why the key set could not be renewed.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read.
    #[error("the key set's file cannot be read")]
    File(#[from] std::io::Error),
    /// The publisher does not answer.
    #[error("the key set's publisher does not answer")]
    Http(#[source] reqwest::Error),
    /// The publisher answers something other than 200.
    #[error("the key set's publisher answered with status {0}")]
    Status(u16),
    /// The document is too large.
    #[error("the key set is larger than {maximum_bytes} bytes")]
    TooLarge {
        /// The limit.
        maximum_bytes: u64,
    },
    /// The document is not a JSON Web Key Set.
    #[error("the key set cannot be read")]
    Malformed(#[from] serde_json::Error),
}

impl From<reqwest::Error> for JwksError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// A length of time that can be set.
pub(super) fn positive(
    name: &'static str,
    duration: Duration,
) -> Result<TimeDelta, JwksSettingsError> {
    let delta = TimeDelta::from_std(duration).ok();
    let delta = delta.filter(|delta| *delta > TimeDelta::zero() && *delta <= LONGEST_TIME);
    delta.ok_or(JwksSettingsError::Duration(name))
}
