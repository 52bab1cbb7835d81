//! Where the key set comes from: a file, a URL, or a text at hand.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Client, Url, header::CACHE_CONTROL};
use tokio::io::AsyncReadExt;

use super::{JwksError, JwksSettingsError};
use crate::outbound::{self, OutboundError};

/// Largest key set that is read, in bytes.
const MAXIMUM_DOCUMENT_BYTES: u64 = 256 * 1024;

/// Where the platform's public keys are published.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// A file, for instance a mounted secret. Read again at every interval.
    File(PathBuf),
    /// An `https` URL; `http` only on this machine's loopback address.
    Url(String),
    /// A text that never changes: a development key.
    Document(Arc<str>),
}

pub(super) enum Fetcher {
    File(PathBuf),
    Url { client: Client, url: Url },
    Document(Arc<str>),
}

pub(super) struct Fetched {
    pub(super) document: Vec<u8>,
    /// For how long the publisher says that it holds.
    pub(super) max_age: Option<Duration>,
}

impl Fetcher {
    pub(super) fn new(source: &JwksSource, timeout: Duration) -> Result<Self, JwksSettingsError> {
        match source {
            JwksSource::File(path) => Ok(Self::File(path.clone())),
            JwksSource::Document(text) => Ok(Self::Document(text.clone())),
            JwksSource::Url(text) => {
                // No redirect: it would let whoever answers choose another source of trust.
                let (client, url) =
                    outbound::client(text, timeout).map_err(|error| match error {
                        OutboundError::Address => JwksSettingsError::Url,
                        OutboundError::Client(error) => JwksSettingsError::Client(error),
                    })?;
                Ok(Self::Url { client, url })
            }
        }
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, JwksError> {
        match self {
            Self::Document(text) => {
                Ok(Fetched { document: text.as_bytes().to_vec(), max_age: None })
            }
            Self::File(path) => {
                let mut document = Vec::new();
                let file = tokio::fs::File::open(path).await?;
                file.take(MAXIMUM_DOCUMENT_BYTES + 1).read_to_end(&mut document).await?;
                within_limit(document.len())?;
                Ok(Fetched { document, max_age: None })
            }
            Self::Url { client, url } => get(client, url.clone()).await,
        }
    }
}

async fn get(client: &Client, url: Url) -> Result<Fetched, JwksError> {
    let mut response = client.get(url).send().await?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(JwksError::Status(response.status().as_u16()));
    }
    let cache_control = response.headers().get(CACHE_CONTROL);
    let max_age = cache_control.and_then(|value| value.to_str().ok()).and_then(max_age);
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        within_limit(document.len().saturating_add(chunk.len()))?;
        document.extend_from_slice(&chunk);
    }
    Ok(Fetched { document, max_age })
}

fn within_limit(bytes: usize) -> Result<(), JwksError> {
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= MAXIMUM_DOCUMENT_BYTES) {
        Ok(())
    } else {
        Err(JwksError::TooLarge { maximum_bytes: MAXIMUM_DOCUMENT_BYTES })
    }
}

/// The `max-age` of a `Cache-Control` header (RFC 9111 §5.2.2.1).
fn max_age(header: &str) -> Option<Duration> {
    let directives = header.split(',').filter_map(|directive| directive.trim().split_once('='));
    let mut ages = directives.filter(|(name, _)| name.eq_ignore_ascii_case("max-age"));
    ages.next()?.1.trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_read_among_other_directives() {
        let seconds = |header| max_age(header).map(|age| age.as_secs());
        assert_eq!(seconds("max-age=60"), Some(60));
        assert_eq!(seconds("public, Max-Age=\"7\", must-revalidate"), Some(7));
        for none in ["", "no-store", "max-age", "max-age=x", "max-age=-1", "s-maxage=9"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }

    // D30
    #[test]
    fn keys_come_over_tls_or_from_this_machine_only() {
        let fetcher = |url: &str| Fetcher::new(&JwksSource::Url(url.into()), Duration::MAX);
        for good in [
            "https://identity.example/keys",
            "http://127.0.0.1:1/keys",
            "http://[::1]/keys",
            "http://localhost/keys",
        ] {
            assert!(fetcher(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "keys",
            "http://identity.example/keys",
            "http://127.0.0.1.example/",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "file:///keys",
            "https://user:secret@identity.example/",
        ] {
            assert!(fetcher(bad).is_err(), "{bad}");
        }
    }
}
