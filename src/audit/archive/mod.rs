//! What becomes of the trail's months: archived, then dropped; at last the archives go too. // D37, S13
//!
//! A month of a class goes when all of it is older than the class is kept. First, for each tenant, its
//! events are put outside of the database (`audit/tenant-<code>/<class>/<yyyy-mm>/<part>.ndjson.gz.enc`):
//! a line each, with the event as it is in the evidence ledger and its place in it, compressed,
//! encrypted with the tenant's key, and never over what is there. Every part is read back and checked
//! before it is recorded, and all parts again before the database drops the month, which counts for
//! itself (`drop_audit_month`).
//!
//! Invariants: an event is in the database, or in an archive that was read and found whole; a pass that is
//! cut off anywhere is continued by the next one; what is under a legal hold is neither dropped nor
//! deleted. What came late for a month that is gone goes with the month that is the first one then.

use chrono::{DateTime, NaiveDate, Utc};

use self::lines::{Lines, PART};
pub use self::{
    error::ArchiveError,
    reading::{ArchivedEvent, ArchivedTrail},
    store::Archive,
};
use super::{
    Class, Event, hold,
    repository::{Deed, OwnEntry, OwnTask, append_own},
};
use crate::{
    auth::TenantId,
    clock::SharedClock,
    config::Retention,
    db::{
        Db,
        maintenance::{self, AuditMonth, Dropped},
        operator::{self, DueTenant},
    },
    error::Result,
    keys::Keys,
    objects::{Created, Objects},
};

mod error;
mod lines;
mod reading;
mod store;
#[cfg(test)]
mod tests;

/// Below this are the archives.
const FOLDER: &str = "audit";

/// Archives months of the trail, and reads archives; cheap to clone.
#[derive(Debug, Clone)]
pub struct Archivist {
    db: Db,
    objects: Objects,
    keys: Keys,
    clock: SharedClock,
}

/// The archives of a tenant that are recorded.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Those that are there, in order.
    pub there: Vec<Archive>,
    /// Those of which the object is in the store no more, in order.
    pub gone: Vec<Archive>,
}

/// Which archive an event tells the end of, as [`Archive::resource`] names it.
#[must_use]
pub fn told_deleted(event: &Event) -> Option<&str> {
    event.resource.as_deref().filter(|_| event.action == Deed::ArchiveDelete.as_str())
}

/// What a pass did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retained {
    /// The months that went, by the names of their tables.
    pub dropped: Vec<String>,
    /// Those that would have gone, but for a legal hold.
    pub held: Vec<String>,
    /// The archives that were deleted, by their names.
    pub deleted: Vec<String>,
}

impl Archivist {
    /// One that puts archives among `objects`, encrypted with `keys`.
    #[must_use]
    pub const fn new(db: Db, objects: Objects, keys: Keys, clock: SharedClock) -> Self {
        Self { db, objects, keys, clock }
    }

    /// Archives and drops the months that are kept no longer, and deletes the archives that are not; or
    /// only says which these are.
    ///
    /// # Errors
    /// [`ArchiveError`], or what the database or the store answer; the next pass goes on.
    pub async fn retain(
        &self,
        retention: Retention,
        now: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<Retained> {
        let mut retained = Retained::default();
        for class in Class::ALL {
            let horizon = retention.audit_horizon(class, now);
            for month in maintenance::audit_months(&self.db, class.as_str()).await? {
                if instant(month.following()) > horizon {
                    break;
                }
                // The first one always, so that what is held keeps those after it.
                if self.go(class, &month, dry_run).await? == Dropped::Held {
                    tracing::info!(partition = month.partition, "kept by a legal hold");
                    retained.held.push(month.partition);
                    break;
                }
                if !dry_run {
                    tracing::info!(partition = month.partition, "archived and dropped");
                    metrics::counter!("drr_audit_months_dropped_total").increment(1);
                }
                retained.dropped.push(month.partition);
            }
        }
        retained.deleted = self.delete(retention.evidence_horizon(now), dry_run).await?;
        Ok(retained)
    }

    /// Archives one month for every tenant, and drops it.
    async fn go(&self, class: Class, month: &AuditMonth, dry_run: bool) -> Result<Dropped> {
        let drop =
            |dry_run| maintenance::drop_audit_month(&self.db, class.as_str(), month, dry_run);
        if dry_run {
            // The months after the first one cannot be asked about before it is gone.
            return Ok(drop(true).await?.unwrap_or(Dropped::Ready));
        }
        if drop(true).await? == Some(Dropped::Held) {
            return Ok(Dropped::Held);
        }
        let before = instant(month.following());
        for tenant in operator::tenants_with_audit_events(&self.db, class.as_str(), before).await? {
            self.archive(&tenant, class, month).await?;
        }
        match drop(true).await? {
            Some(Dropped::Ready) => self.tell_of_drop(month).await?,
            Some(Dropped::Held) => return Ok(Dropped::Held),
            _ => return Err(ArchiveError::Incomplete(month.partition.clone()).into()),
        }
        match drop(false).await? {
            Some(dropped @ (Dropped::Dropped | Dropped::Held)) => Ok(dropped),
            _ => Err(ArchiveError::Incomplete(month.partition.clone()).into()),
        }
    }

    /// Told first: whoever is cut off in between tells it again. It is everybody's month, so it is told
    /// where nobody's events are; of its own archives every tenant has been told.
    async fn tell_of_drop(&self, month: &AuditMonth) -> Result<()> {
        let resource = Some(format!("month:{}", month.partition));
        self.tell(&DueTenant::none(), Deed::MonthDrop, resource).await
    }

    async fn tell(&self, tenant: &DueTenant, deed: Deed, resource: Option<String>) -> Result<()> {
        let tx = self.db.of_due(tenant).write().await?;
        let task = OwnTask::keeper(self.clock.as_ref(), self.clock.now());
        append_own(&tx, &task, &[OwnEntry { deed, dataset_id: None, resource }]).await?;
        tx.commit().await
    }

    /// Archives what of the tenant's events is not archived yet, after what is was found whole.
    async fn archive(&self, tenant: &DueTenant, class: Class, month: &AuditMonth) -> Result<()> {
        let db = self.db.of_due(tenant);
        let mut last = None;
        for archive in store::of_month(&db.read_trail().await?, class, month.month).await? {
            self.lines(tenant.tenant(), &archive).await?;
            last = Some(archive);
        }
        loop {
            let before = instant(month.following());
            let events =
                store::next(&db.read_trail().await?, class, before, last.as_ref(), PART).await?;
            let Some(lines) = Lines::write(events).await? else { return Ok(()) };
            let part = last.as_ref().map_or(1, |archive| archive.part + 1);
            let archive = self.put(tenant.tenant(), (class, month.month, part), lines).await?;
            self.lines(tenant.tenant(), &archive).await?;
            let tx = db.write().await?;
            store::record(&tx, &archive, self.clock.now()).await?;
            let task = OwnTask::keeper(self.clock.as_ref(), self.clock.now());
            let entry = OwnEntry {
                deed: Deed::AuditArchive,
                dataset_id: None,
                resource: Some(archive.resource()),
            };
            append_own(&tx, &task, &[entry]).await?;
            tx.commit().await?;
            metrics::counter!("drr_audit_archived_events_total")
                .increment(archive.events.try_into().unwrap_or_default());
            last = Some(archive);
        }
    }

    /// Puts lines where there are none; what a pass that was cut off has put there stays, and is the
    /// part, if it says the same.
    async fn put(
        &self,
        tenant: &TenantId,
        (class, month, part): (Class, NaiveDate, i32),
        lines: Lines,
    ) -> Result<Archive> {
        let name = object_name(tenant, class, month, part);
        let sealed = self.keys.seal(tenant, &name, lines.compressed().await?).await?;
        let (lines, object) = match self.objects.create(&name, sealed.clone()).await? {
            Created::New => (lines, sealed),
            Created::WasThere => {
                let there = self.object(&name).await?;
                let content = self.keys.open(tenant, &name, &there).await?;
                let kept = lines.kept(&lines::expanded(content).await?);
                (kept.ok_or_else(|| ArchiveError::Another(name.clone()))?, there)
            }
        };
        Ok(Archive::new((class, month, part), name, &lines, &object))
    }

    async fn object(&self, name: &str) -> Result<bytes::Bytes> {
        let object = self.objects.get(name).await?;
        Ok(object.ok_or_else(|| ArchiveError::Gone(name.to_owned()))?)
    }

    /// The lines of an archive, if they are what was archived.
    ///
    /// # Errors
    /// [`ArchiveError`], or what the store answers.
    pub async fn lines(&self, tenant: &TenantId, archive: &Archive) -> Result<Vec<u8>> {
        let object = self.object(&archive.object).await?;
        if !archive.is_of(&object) {
            return Err(ArchiveError::Altered(archive.object.clone()).into());
        }
        let unreadable = |error| ArchiveError::unreadable(&archive.object, error);
        let content = self.keys.open(tenant, &archive.object, &object).await;
        let lines = lines::expanded(content.map_err(unreadable)?).await.map_err(unreadable)?;
        if lines::are_whole(&lines, archive).await? {
            Ok(lines)
        } else {
            Err(ArchiveError::Altered(archive.object.clone()).into())
        }
    }

    /// Deletes the archives of months that ended before the horizon, unless they are held; or only says
    /// which these are.
    async fn delete(&self, horizon: DateTime<Utc>, dry_run: bool) -> Result<Vec<String>> {
        let mut deleted = Vec::new();
        for (tenant, archives) in self.archives().await? {
            let held = hold::in_force(&self.db, &tenant).await?;
            let old = archives.into_iter().filter(|archive| {
                instant(archive.following()) <= horizon
                    && !held.iter().any(|hold| hold.covers(archive.first_at, archive.last_at))
            });
            for archive in old {
                if !dry_run {
                    self.delete_one(&tenant, &archive).await?;
                }
                deleted.push(archive.object);
            }
        }
        Ok(deleted)
    }

    async fn delete_one(&self, tenant: &DueTenant, archive: &Archive) -> Result<()> {
        // Told first: whoever is cut off in between tells it again.
        self.tell(tenant, Deed::ArchiveDelete, Some(archive.resource())).await?;
        self.objects.delete(&archive.object).await?;
        metrics::counter!("drr_audit_archives_deleted_total").increment(1);
        Ok(())
    }

    /// Every archive that is there, tenant by tenant.
    ///
    /// # Errors
    /// What the database or the store answer.
    pub async fn archives(&self) -> Result<Vec<(DueTenant, Vec<Archive>)>> {
        let mut found = Vec::new();
        for tenant in operator::tenants_with_audit_archives(&self.db).await? {
            let recorded = self.recorded(&tenant).await?;
            found.push((tenant, recorded.there));
        }
        Ok(found)
    }

    /// Every archive of a tenant.
    ///
    /// # Errors
    /// What the database or the store answer.
    pub async fn recorded(&self, tenant: &DueTenant) -> Result<Recorded> {
        let all = store::all(&self.db.of_due(tenant).read_trail().await?).await?;
        // After the rows: what is recorded was put before.
        let objects = self.objects.list(&format!("{FOLDER}/tenant-{}", tenant.tenant())).await?;
        let is_there = |archive: &Archive| objects.binary_search(&archive.object).is_ok();
        let (there, gone) = all.into_iter().partition(is_there);
        Ok(Recorded { there, gone })
    }
}

fn object_name(tenant: &TenantId, class: Class, month: NaiveDate, part: i32) -> String {
    let (class, month) = (class.as_str().to_lowercase(), month.format("%Y-%m"));
    format!("{FOLDER}/tenant-{tenant}/{class}/{month}/{part:06}.ndjson.gz.enc")
}

/// The first instant of a day.
fn instant(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}
