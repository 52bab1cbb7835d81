//! Ends, in the server, what nobody waits for any more.
//!
//! A statement whose future is dropped (its caller has gone, or its time is over) would run on. Its
//! connection is held back until the server was told to stop it, so that the word can never reach
//! whoever borrows the connection next, and so that callers who come and go cannot have more
//! statements under way than the pool has connections.

use std::time::Duration;

use sqlx::{
    Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::pool::SessionName;

/// For how long an abandoned statement may still end by itself. Most have by then, and are not worth
/// a message.
const GRACE: Duration = Duration::from_millis(20);
/// How long the word may take. Beyond it, the statement's own timeout ends it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection of its own, so that the word gets through when all others are busy; opened when it is
/// first needed, closed when it has not been for a while. A login may cancel what itself began.
#[derive(Debug, Clone)]
pub(super) struct Canceller(PgPool);

impl Canceller {
    pub(super) fn new(connect: PgConnectOptions) -> Self {
        let options = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .idle_timeout(Duration::from_secs(60));
        Self(options.connect_lazy_with(connect))
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }

    /// Gives a connection back to its pool on which a statement is under way: stopped first, unless
    /// it ends at once. The rollback is queued already.
    pub(super) fn give_back(&self, mut connection: PoolConnection<Postgres>, name: SessionName) {
        let pool = self.0.clone();
        // Without a runtime the process is about to end.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if tokio::time::timeout(GRACE, connection.ping()).await.is_ok() {
                return;
            }
            // Whoever has ended its transaction meanwhile is not called so any more.
            let cancel = sqlx::query(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                  WHERE application_name = $1 AND usename = current_user",
            );
            match cancel.bind(name.to_string()).execute(&pool).await {
                Ok(_) => metrics::counter!("drr_db_cancelled_statements_total").increment(1),
                Err(error) => tracing::warn!(%error, "an abandoned statement was not cancelled"),
            }
        });
    }
}
