//! What instances tell each other of writes, over the database (`LISTEN`/`NOTIFY`).
//!
//! Whoever has written tells all others, at once and for many tenants together, outside of the writer's
//! transaction: a notification in it would make all writers wait for each other when they commit. So
//! another instance knows of a write some milliseconds after its caller was answered. What an instance
//! that was killed did not tell any more, and what is written by hand, is noticed when answers reach their
//! greatest age (`cache.seconds`). An instance that hears nothing, because its connection is broken,
//! keeps no answer for longer than it takes to find that out.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{remote::Remote, stamps::Stamps};
use crate::{
    auth::TenantId,
    db::{Db, Heard, Observer},
    error::Result,
};

/// The end of the channel's name.
const CHANNEL: &str = "_written";
/// How long writes are gathered.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// How long to wait after a failure; until then nothing is heard.
const AGAIN: Duration = Duration::from_millis(250);

/// See the [module](self).
#[derive(Debug)]
pub struct News {
    instance: Uuid,
    stamps: Arc<Stamps>,
    remote: Option<Remote>,
    /// Whose rows were written to, and whether Redis knows it.
    untold: Mutex<HashMap<TenantId, bool>>,
    more: Notify,
}

impl News {
    /// That of one instance.
    #[must_use]
    pub fn new(instance: Uuid, stamps: Arc<Stamps>) -> Self {
        let (untold, more) = Default::default();
        Self { instance, stamps, remote: None, untold, more }
    }

    /// The same, for instances that share stamps.
    #[must_use]
    pub fn shared(self, remote: Remote) -> Self {
        Self { remote: Some(remote), ..self }
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<TenantId, bool>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells and listens, until `stop`.
    pub async fn run(self: Arc<Self>, db: Db, stop: CancellationToken) {
        let listening = async {
            loop {
                if let Err(error) = self.listen(&db).await {
                    tracing::warn!(?error, "not listening for the writes of others");
                }
                self.stamps.all_written();
                sleep(AGAIN).await;
            }
        };
        let both = async { tokio::join!(listening, self.tell(&db)) };
        stop.run_until_cancelled(both.boxed()).await;
    }

    async fn tell(&self, db: &Db) {
        loop {
            self.more.notified().await;
            sleep(GATHERED_FOR).await;
            let tenants = mem::take(&mut *self.untold());
            let note = |(tenant, known): (&TenantId, &bool)| {
                let known = if *known { KNOWN } else { UNKNOWN };
                format!("{} {known} {tenant}", self.instance)
            };
            let notes: Vec<_> = tenants.iter().map(note).collect();
            if let Err(error) = db.notify(CHANNEL, &notes).await {
                tracing::warn!(?error, "others are not told of writes yet");
                for (tenant, known) in tenants {
                    self.add(&tenant, known);
                }
                self.more.notify_one();
                sleep(AGAIN).await;
            }
        }
    }

    async fn listen(&self, db: &Db) -> Result<()> {
        let mut listener = db.listen(CHANNEL).await?;
        self.stamps.all_written();
        loop {
            match listener.next().await? {
                Heard::Gap => self.stamps.all_written(),
                Heard::Note(note) => match read_note(&note) {
                    Some((instance, ..)) if instance == self.instance => {}
                    Some((_, known, tenant)) => {
                        self.stamps.written(&tenant);
                        if let Some(remote) = self.remote.as_ref().filter(|_| !known) {
                            // Who cannot reach it either does not use it.
                            let _ = remote.written(&tenant).await;
                        }
                    }
                    None => tracing::warn!("a notification that nobody understands"),
                },
            }
        }
    }
}

impl News {
    fn add(&self, tenant: &TenantId, known: bool) {
        let mut untold = self.untold();
        let before = untold.get(tenant).copied().unwrap_or(true);
        untold.insert(tenant.clone(), before && known);
        drop(untold);
        self.more.notify_one();
    }
}

impl Observer for News {
    fn written<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, ()> {
        let told = async {
            let known = match &self.remote {
                Some(remote) => remote.written(tenant).await.is_ok(),
                None => true,
            };
            self.stamps.written(tenant);
            self.add(tenant, known);
        };
        told.boxed()
    }

    fn perhaps_written(&self, tenant: &TenantId) {
        self.stamps.written(tenant);
        // Whoever hears of it removes the shared stamp.
        self.add(tenant, false);
        if let Some(remote) = self.remote.clone() {
            let tenant = tenant.clone();
            tokio::spawn(async move { remote.written(&tenant).await });
        }
    }
}

/// Whether the shared stamp was removed.
const KNOWN: &str = "+";
const UNKNOWN: &str = "-";

fn read_note(note: &str) -> Option<(Uuid, bool, TenantId)> {
    let mut words = note.split(' ');
    let (instance, known, tenant) = (words.next()?, words.next()?, words.next()?);
    let known = match known {
        KNOWN => true,
        UNKNOWN => false,
        _ => return None,
    };
    Some((instance.parse().ok()?, known, TenantId::parse(tenant).ok()?))
        .filter(|_| words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_an_instance_and_a_tenant() {
        let acme = TenantId::parse("acme").unwrap();
        let one = Uuid::from_u128(1);
        assert_eq!(read_note(&format!("{one} + acme")), Some((one, true, acme.clone())));
        assert_eq!(read_note(&format!("{one} - acme")), Some((one, false, acme)));
        for bad in ["", "acme", "1 + acme", &format!("{one} acme"), &format!("{one} + ACME")] {
            assert_eq!(read_note(bad), None, "{bad:?}");
        }
    }
}
