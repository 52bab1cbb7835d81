//! The platform's public keys, as they rotate.
//!
//! A snapshot of the key set is read without a lock. It is renewed in the background at an interval
//! ([`KeySource::run`]), and at once when a token names a key that is not in it, at most once in
//! [`KeySettings::on_demand_gap`], for which such a token waits. While the publisher does not answer, the last snapshot holds for
//! [`KeySettings::maximum_staleness`]; after that no token can be verified at all.
//!
//! A key that has left the set verifies nothing from the moment the snapshot is renewed, tokens that
//! were verified before included (D40).

mod document;
mod fetch;
mod settings;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

pub(super) use self::document::VerificationKey;
use self::{fetch::Fetcher, settings::positive};
pub use self::{
    fetch::JwksSource,
    settings::{JwksError, JwksSettingsError, KeySettings},
};
use super::token_error::TokenError;
use crate::clock::SharedClock;

/// How soon a failed renewal is tried again, at the latest.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How many unknown key identifiers are remembered.
const UNKNOWN_KEYS_REMEMBERED: u64 = 1_000;

/// What is known at one moment.
#[derive(Default)]
struct Snapshot {
    keys: Vec<Arc<VerificationKey>>,
    document_hash: [u8; 32],
    /// When the publisher last said so; `None` before the first time.
    confirmed_at: Option<DateTime<Utc>>,
}

/// What only the one renewal in flight may touch.
#[derive(Default)]
struct Flight {
    failing: bool,
    /// When the last renewal on account of a token began.
    last_on_demand: Option<DateTime<Utc>>,
}

/// The platform's public keys.
pub struct KeySource {
    clock: SharedClock,
    fetcher: Fetcher,
    refresh_interval: Duration,
    on_demand_gap: TimeDelta,
    unknown_key_lifetime: TimeDelta,
    maximum_staleness: TimeDelta,
    snapshot: ArcSwap<Snapshot>,
    flight: Arc<Mutex<Flight>>,
    /// Whose turn it is to ask on account of a token. Apart from `flight`, so that whoever waits for
    /// the gap to pass does not hold up the renewals in the background.
    turn: Mutex<()>,
    /// Key identifiers that the publisher did not know, and when it was asked.
    unknown: Cache<String, DateTime<Utc>>,
}

impl KeySource {
    /// A source that knows no keys yet; see [`Self::refresh`] and [`Self::run`].
    ///
    /// # Errors
    /// [`JwksSettingsError`] for a URL or times that cannot be used.
    pub fn new(settings: &KeySettings, clock: SharedClock) -> Result<Arc<Self>, JwksSettingsError> {
        let interval = positive("the refresh interval", settings.refresh_interval)?;
        let maximum_staleness = positive("the maximum staleness", settings.maximum_staleness)?;
        if maximum_staleness < interval {
            return Err(JwksSettingsError::Duration("the maximum staleness"));
        }
        positive("the timeout", settings.timeout)?;
        Ok(Arc::new(Self {
            clock,
            fetcher: Fetcher::new(&settings.source, settings.timeout)?,
            refresh_interval: settings.refresh_interval,
            on_demand_gap: positive("the on-demand gap", settings.on_demand_gap)?,
            unknown_key_lifetime: positive(
                "the unknown key lifetime",
                settings.unknown_key_lifetime,
            )?,
            maximum_staleness,
            snapshot: ArcSwap::default(),
            flight: Arc::default(),
            turn: Mutex::default(),
            unknown: Cache::builder()
                .max_capacity(UNKNOWN_KEYS_REMEMBERED)
                .time_to_live(settings.unknown_key_lifetime)
                .build(),
        }))
    }

    /// Renews the key set now. At most one renewal is in flight.
    ///
    /// # Errors
    /// [`JwksError`]; the last key set still holds.
    pub async fn refresh(&self) -> Result<(), JwksError> {
        let mut flight = self.flight.lock().await;
        self.renew(&mut flight).await.map(drop)
    }

    /// Keeps the key set up to date until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let keep_up = async {
            loop {
                let outcome = self.renew(&mut *self.flight.lock().await).await;
                let wait = outcome.unwrap_or_else(|_| RETRY_INTERVAL.min(self.refresh_interval));
                tokio::time::sleep(wait).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep_up => {}
        }
    }

    /// Whether any token can be verified at present.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let snapshot = self.snapshot.load();
        self.holds(&snapshot) && !snapshot.keys.is_empty()
    }

    /// Whether exactly this key is still in the set.
    pub(super) fn still_publishes(&self, key: &VerificationKey) -> bool {
        self.known(Some(&*key.id)).is_some_and(|known| known.thumbprint == key.thumbprint)
    }

    /// The key of that identifier; without one, the only key there is.
    pub(super) async fn find(
        self: &Arc<Self>,
        key_id: Option<&str>,
    ) -> Result<Arc<VerificationKey>, TokenError> {
        if let Some(key) = self.known(key_id) {
            return Ok(key);
        }
        if self.holds(&self.snapshot.load()) && !self.worth_asking(key_id) {
            return Err(if key_id.is_some() { TokenError::UnknownKey } else { TokenError::KeyId });
        }
        let answer = self.refresh_on_demand().await;
        if let Some(key) = self.known(key_id) {
            return Ok(key);
        }
        if matches!(answer, OnDemand::Failing) || !self.holds(&self.snapshot.load()) {
            return Err(TokenError::KeysUnavailable);
        }
        let Some(key_id) = key_id else { return Err(TokenError::KeyId) };
        if matches!(answer, OnDemand::Renewed) {
            self.unknown.insert(key_id.to_owned(), self.clock.now());
        }
        Err(TokenError::UnknownKey)
    }

    fn known(&self, key_id: Option<&str>) -> Option<Arc<VerificationKey>> {
        let snapshot = self.snapshot.load();
        if !self.holds(&snapshot) {
            return None;
        }
        match (key_id, snapshot.keys.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| &*key.id == id).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    fn holds(&self, snapshot: &Snapshot) -> bool {
        let age = snapshot.confirmed_at.map(|confirmed| self.clock.now() - confirmed);
        age.is_some_and(|age| age < self.maximum_staleness)
    }

    fn worth_asking(&self, key_id: Option<&str>) -> bool {
        let Some(key_id) = key_id else { return false };
        let asked = self.unknown.get(key_id);
        asked.is_none_or(|asked| (self.clock.now() - asked).abs() >= self.unknown_key_lifetime)
    }

    /// Renews on account of a token. A renewal that began after the token came is answer enough,
    /// and all that wait share it; one that began just before is not: the key may have been published
    /// since, and refusing it would let anybody with a made-up key keep out a new one. Then the gap
    /// is waited for. A caller that goes away does not end a renewal.
    async fn refresh_on_demand(self: &Arc<Self>) -> OnDemand {
        let came = self.clock.now();
        let _turn = self.turn.lock().await;
        let mut flight = Arc::clone(&self.flight).lock_owned().await;
        if let Some(last) = flight.last_on_demand {
            let left = self.on_demand_gap - (self.clock.now() - last).abs();
            let answered = last >= came || left > TimeDelta::zero() && flight.failing;
            if answered {
                return if flight.failing { OnDemand::Failing } else { OnDemand::Answered };
            }
            if let Ok(left) = left.to_std() {
                drop(flight);
                tokio::time::sleep(left).await;
                flight = Arc::clone(&self.flight).lock_owned().await;
            }
        }
        let source = Arc::clone(self);
        let renewal = tokio::spawn(async move {
            let mut flight: OwnedMutexGuard<Flight> = flight;
            flight.last_on_demand = Some(source.clock.now());
            source.renew(&mut flight).await.is_ok()
        });
        if renewal.await.unwrap_or(false) { OnDemand::Renewed } else { OnDemand::Failing }
    }

    /// Fetches the key set, and gives the time until it should be fetched again.
    async fn renew(&self, flight: &mut Flight) -> Result<Duration, JwksError> {
        let outcome = self.fetch().await;
        let result = if outcome.is_ok() { "success" } else { "failure" };
        metrics::counter!("drr_jwks_refresh_total", "result" => result).increment(1);
        if let Err(error) = &outcome
            && !flight.failing
        {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the key set cannot be renewed; the last one holds");
        }
        flight.failing = outcome.is_err();
        outcome
    }

    async fn fetch(&self) -> Result<Duration, JwksError> {
        let fetched = self.fetcher.fetch().await?;
        let document_hash = Sha256::digest(&fetched.document).into();
        let last = self.snapshot.load();
        let keys = if last.confirmed_at.is_some() && last.document_hash == document_hash {
            last.keys.clone()
        } else {
            let keys = document::read(&fetched.document)?;
            let ids: Vec<_> = keys.iter().map(|key| &*key.id).collect();
            tracing::info!(keys = ?ids, "the key set has changed");
            keys
        };
        let confirmed_at = Some(self.clock.now());
        self.snapshot.store(Arc::new(Snapshot { keys, document_hash, confirmed_at }));
        let shortest = self.on_demand_gap.to_std().unwrap_or_default().min(self.refresh_interval);
        let wait = fetched.max_age.unwrap_or(self.refresh_interval);
        Ok(wait.clamp(shortest, self.refresh_interval))
    }
}

/// What came of a renewal on account of a token.
enum OnDemand {
    Renewed,
    Answered,
    Failing,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeySource").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
