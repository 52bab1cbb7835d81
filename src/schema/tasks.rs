//! What the program does about schemas of itself, on the instance that leads.

use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{delivery::SchemaSink, expiry::Expirer};
use crate::{clock::SharedClock, db::Db, lease, streaming::Streamer};

/// All of it.
#[derive(Debug, Clone)]
pub struct SchemaTasks {
    /// Tells what happened.
    pub events: Streamer<SchemaSink>,
    /// Ends requests that nobody decided about.
    pub expirer: Expirer,
}

impl SchemaTasks {
    /// Those of this database, which tell these.
    #[must_use]
    pub fn new(db: &Db, clock: &SharedClock, sinks: Vec<SchemaSink>) -> Self {
        let events = Streamer::new(db.clone(), clock.clone(), sinks);
        Self { events, expirer: Expirer::new(db.clone(), clock.clone()) }
    }

    /// A pass of each every `every`, until `stop`; none waits for another.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let Self { events, expirer } = self;
        let expire = move || {
            let own = expirer.clone();
            async move { own.pass().await }.boxed()
        };
        let expiry = lease::repeat(every, stop.clone(), "no requests ended", expire);
        tokio::join!(events.run(every, stop), expiry);
    }
}
