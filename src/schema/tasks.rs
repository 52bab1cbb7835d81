//! What the program does about schemas of itself, on the instance that leads.

use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{delivery::SchemaSink, drift::DriftFinder, expiry::Expirer};
use crate::{clock::SharedClock, db::Db, keys::Sealed, lease, streaming::Streamer};

/// How often it is looked for drift: that is a question about every dataset that is bound to a schema, and takes
/// about 0.1 s for 10,000.
const DRIFT_EVERY: Duration = Duration::from_secs(30);

/// All of it.
#[derive(Debug, Clone)]
pub struct SchemaTasks {
    /// Tells what happened.
    pub events: Streamer<SchemaSink>,
    /// Ends requests that nobody decided about.
    pub expirer: Expirer,
    /// Compares what runs report with schemas.
    pub drift: DriftFinder,
}

impl SchemaTasks {
    /// Those of this database, with the contents that are kept there, which tell these.
    #[must_use]
    pub fn new(db: &Db, clock: &SharedClock, sealed: Sealed, sinks: Vec<SchemaSink>) -> Self {
        let events = Streamer::new(db.clone(), clock.clone(), sinks);
        let expirer = Expirer::new(db.clone(), clock.clone());
        Self { events, expirer, drift: DriftFinder::new(db.clone(), clock.clone(), sealed) }
    }

    /// A pass of each every `every`, and over drift every 30 s, until `stop`; none waits for another.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let Self { events, expirer, drift } = self;
        let expire = move || {
            let own = expirer.clone();
            async move { own.pass().await }.boxed()
        };
        let expiry = lease::repeat(every, stop.clone(), "no requests ended", expire);
        let compare = move || {
            let own = drift.clone();
            async move { own.pass().await }.boxed()
        };
        let drift = lease::repeat(DRIFT_EVERY, stop.clone(), "no schemas compared", compare);
        tokio::join!(events.run(every, stop), expiry, drift);
    }
}
