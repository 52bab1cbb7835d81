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

use super::{TenantCache, remote::Remote, stamps::Stamps};
use crate::{
    auth::TenantId,
    db::{Db, Heard, Observer},
    error::Result,
};

/// The end of the channel's name.
pub(super) const CHANNEL: &str = "_written";
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

    /// Tells and listens, until `stop`; forgets of `cache` what an operator says.
    pub async fn run(self: Arc<Self>, db: Db, cache: Option<TenantCache>, stop: CancellationToken) {
        let listening = async {
            loop {
                if let Err(error) = self.listen(&db, cache.as_ref()).await {
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

    async fn listen(&self, db: &Db, cache: Option<&TenantCache>) -> Result<()> {
        let mut listener = db.listen(CHANNEL).await?;
        self.stamps.all_written();
        loop {
            match listener.next().await? {
                Heard::Gap => self.stamps.all_written(),
                Heard::Note(note) => match read_note(&note) {
                    Some((instance, _)) if instance == self.instance => {}
                    Some((_, Note::Written(tenant, known))) => {
                        self.stamps.written(&tenant);
                        if let Some(remote) = self.remote.as_ref().filter(|_| !known) {
                            // Who cannot reach it either does not use it.
                            let _ = remote.written(&tenant).await;
                        }
                    }
                    Some((_, Note::Forget(tenant))) => self.forget(tenant.as_ref(), cache),
                    None => tracing::warn!("a notification that nobody understands"),
                },
            }
        }
    }

    /// What is being made is of before too: it goes under another stamp than what is asked for after.
    fn forget(&self, tenant: Option<&TenantId>, cache: Option<&TenantCache>) {
        match tenant {
            Some(tenant) => self.stamps.written(tenant),
            None => self.stamps.all_written(),
        }
        if let Some(cache) = cache {
            let gone = cache.purge(tenant);
            let of = tenant.map_or("all", TenantId::as_str);
            tracing::info!(of, entries = gone.entries, bytes = gone.bytes, "forgotten as told");
        }
    }

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

/// Everything is to be forgotten, written or not.
const FORGET: &str = "!";
/// Of all tenants. No tenant is called so.
const ALL: &str = "*";

/// What is said.
#[derive(Debug, PartialEq, Eq)]
enum Note {
    /// Something was written to a tenant's rows, and whether Redis knows it.
    Written(TenantId, bool),
    /// What is kept is to be forgotten, of one tenant or of all.
    Forget(Option<TenantId>),
}

/// What an operator says.
pub(super) fn forget(from: Uuid, tenant: Option<&TenantId>) -> String {
    format!("{from} {FORGET} {}", tenant.map_or(ALL, TenantId::as_str))
}

fn read_note(note: &str) -> Option<(Uuid, Note)> {
    let mut words = note.split(' ');
    let (instance, what, whose) = (words.next()?, words.next()?, words.next()?);
    let tenant = || TenantId::parse(whose).ok();
    let note = match what {
        KNOWN => Note::Written(tenant()?, true),
        UNKNOWN => Note::Written(tenant()?, false),
        FORGET if whose == ALL => Note::Forget(None),
        FORGET => Note::Forget(Some(tenant()?)),
        _ => return None,
    };
    Some((instance.parse().ok()?, note)).filter(|_| words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_an_instance_and_a_tenant() {
        let acme = TenantId::parse("acme").unwrap();
        let one = Uuid::from_u128(1);
        let read = |text: &str| read_note(&format!("{one} {text}"));
        assert_eq!(read("+ acme"), Some((one, Note::Written(acme.clone(), true))));
        assert_eq!(read("- acme"), Some((one, Note::Written(acme.clone(), false))));
        for tenant in [None, Some(acme)] {
            let note = forget(one, tenant.as_ref());
            assert_eq!(read_note(&note), Some((one, Note::Forget(tenant))));
        }
        for bad in ["acme", "+ ACME", "+ *", "! ACME", "! acme *", "? acme"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        for bad in ["", "acme", "1 + acme"] {
            assert_eq!(read_note(bad), None, "{bad:?}");
        }
    }
}
