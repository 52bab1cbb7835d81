//! Everything that is stored of a tenant's schemas, checked: against its hash, against what was decided about it, and
//! against the trail. For after an incident, and for whoever wants to know. // S18
//!
//! A call sees what its token is for; this sees all of a tenant, and is for who operates the service.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    command,
    content::{self, Reader, Stored, Whole},
    model::{lifecycle::State, verdict::Verdict},
    repository::{Record, Transition, Version, hash_of, name_of, references_of},
    verdicts::{self, Subject, is_in_use},
};
use crate::{
    auth::TenantId,
    db::{FromRow, TenantDb, TenantTx},
    error::{Error, Result},
    keys::Sealed,
};

/// What is wrong with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which version.
    pub version: String,
    /// What is wrong.
    pub message: String,
}

/// What was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Versions.
    pub versions: u64,
    /// Approvals that the trail tells of.
    pub approvals: u64,
    /// Of these the ones that are in the evidence ledger already.
    pub sequenced: u64,
}

/// All schemas and versions of a tenant, and what was decided about these.
struct Shelf<'s> {
    stored: Stored<'s>,
    schemas: HashMap<Uuid, Record>,
    versions: BTreeMap<(Uuid, i32), Version>,
    /// The approvals by which versions came into use.
    approved: HashMap<(Uuid, i32), Vec<Transition>>,
}

const SCHEMAS: &str = "SELECT * FROM schema_registry";
const VERSIONS: &str = "SELECT * FROM schema_version ORDER BY schema_id, number";
const APPROVED: &str =
    "SELECT * FROM schema_transition WHERE status = 'APPROVED' AND kind = 'ACTIVATE'";

impl<'s> Shelf<'s> {
    async fn read(tx: &TenantTx, stored: Stored<'s>) -> Result<Self> {
        let schemas: Vec<Record> = tx.query_sql(SCHEMAS, []).await?;
        let versions: Vec<Version> = tx.query_sql(VERSIONS, []).await?;
        let mut approved: HashMap<_, Vec<Transition>> = HashMap::new();
        for asked in tx.query_sql::<Transition>(APPROVED, []).await? {
            approved.entry((asked.schema_id, asked.number)).or_default().push(asked);
        }
        Ok(Self {
            stored,
            schemas: schemas.into_iter().map(|record| (record.schema_id, record)).collect(),
            versions: versions.into_iter().map(|of| ((of.schema_id, of.number), of)).collect(),
            approved,
        })
    }

    fn subject(&self, version: &Version) -> Result<Subject> {
        let record = self.schemas.get(&version.schema_id);
        Subject::of(
            self.stored.tenant,
            record.ok_or_else(|| Error::internal("its schema is gone"))?,
        )
    }

    fn name(&self, version: &Version) -> String {
        let record = self.schemas.get(&version.schema_id);
        let name = record.and_then(|record| name_of(self.stored.tenant, record).ok());
        let name = name.map_or_else(|| version.schema_id.to_string(), |name| name.to_string());
        format!("{name}@{}", version.number)
    }

    /// What a version says, with all that it refers to, and the canonical hashes of that.
    async fn whole(&self, version: &Version) -> Result<(Whole, Vec<(String, Vec<u8>)>)> {
        let name = self.subject(version)?.name;
        let text = self.stored.text(&name, hash_of(&version.content_hash)?).await?;
        let resolved = content::resolve(&self.stored, references_of(version)).await?;
        Ok((Whole { text, references: resolved.texts }, resolved.canonical))
    }

    /// Checks what a version says against its hashes.
    async fn check(&self, version: &Version) -> Result<()> {
        let format = self.subject(version)?.format;
        let (whole, canonical) = self.whole(version).await?;
        let hash = version.canonical_hash.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let text = verdicts::parsed(format, &whole)?.canonical();
            let same = command::canonical_hash(text, &canonical).as_bytes() == hash.as_slice();
            if same { Ok(()) } else { Err(Error::internal("its canonical hash is another one")) }
        });
        checked.await.map_err(Error::internal)?
    }

    /// The approval by which a version came into use.
    fn approval(&self, version: &Version) -> Option<&Transition> {
        self.approved.get(&(version.schema_id, version.number))?.iter().find(|asked| {
            asked.content_hash == version.content_hash
                && asked.decided_by.as_ref().is_some_and(|by| *by != asked.requested_by)
        })
    }
}

#[derive(FromRow)]
struct Decided {
    resource: String,
    sequenced: bool,
}

// A decision that the trail does not tell of any more is in an archive: that is told by how old it is.
const DECIDED: &str = "
SELECT e.resource, coalesce((e.transaction_id, e.sequence) <= (h.last_transaction, h.last_sequence), false)
         AS sequenced
  FROM audit_event e LEFT JOIN evidence_head h USING (tenant_id)
 WHERE e.class = 'SCHEMA' AND e.result = 'SUCCESS' AND e.resource IS NOT NULL
   AND e.action IN ('schema_transition.decide', 'schema_transition.settle')";

/// Whether a version is or was in use.
fn was_in_use(version: &Version) -> bool {
    is_in_use(version) || version.state == State::Retired.as_str()
}

/// Checks every version of a tenant. `kept_since` is when the earliest events happened that the trail still has.
///
/// # Errors
/// When the database does not answer. What is wrong with versions is no error.
pub async fn verify(
    db: &TenantDb,
    tenant: &TenantId,
    sealed: &Sealed,
    kept_since: chrono::DateTime<chrono::Utc>,
) -> Result<(Checked, Vec<Fault>)> {
    let stored = Stored { db, sealed, tenant };
    let (shelf, decided) = {
        let tx = db.read_trail().await?;
        let decided: Vec<Decided> = tx.query_sql(DECIDED, []).await?;
        (Shelf::read(&tx, stored).await?, decided)
    };
    let decided: HashMap<_, _> =
        decided.into_iter().map(|event| (event.resource, event.sequenced)).collect();
    let (mut checked, mut faults) = (Checked::default(), Vec::new());
    for version in shelf.versions.values() {
        checked.versions += 1;
        let mut fault = |message: String| {
            faults.push(Fault { version: shelf.name(version), message });
        };
        if let Err(error) = shelf.check(version).await {
            fault(cause(&error));
        }
        if !was_in_use(version) {
            continue;
        }
        let Some(approval) = shelf.approval(version) else {
            fault("it is in use, and nobody else has approved this content".to_owned());
            continue;
        };
        let hash = hash_of(&version.content_hash)?;
        let resource = command::resource(&shelf.subject(version)?.name, version.number, &hash);
        match decided.get(&resource) {
            Some(sequenced) => {
                checked.approvals += 1;
                checked.sequenced += u64::from(*sequenced);
            }
            None if approval.decided_at.is_some_and(|at| at < kept_since) => {}
            None => fault("the trail tells of no approval of this content".to_owned()),
        }
    }
    Ok((checked, faults))
}

/// Reads every version of a tenant that is in use, and compares it again with those before it, by what its schema
/// promises now. What was approved although it is not COMPATIBLE is told as well: somebody gave a reason for it.
///
/// # Errors
/// When the database does not answer.
pub async fn revalidate(
    db: &TenantDb,
    tenant: &TenantId,
    sealed: &Sealed,
) -> Result<(u64, Vec<Fault>)> {
    let stored = Stored { db, sealed, tenant };
    let shelf = {
        let tx = db.read_trail().await?;
        Shelf::read(&tx, stored).await?
    };
    let (mut count, mut faults) = (0, Vec::new());
    for version in shelf.versions.values().filter(|version| version.state == "ACTIVE") {
        count += 1;
        match shelf.verdict(version).await {
            Ok(Verdict::Compatible) => {}
            Ok(verdict) => {
                let reason = shelf.approval(version).and_then(|asked| asked.decision.as_deref());
                let reason = reason.map_or_else(String::new, |why| format!("; approved: {why}"));
                let message = format!("is {verdict} with those before it{reason}");
                faults.push(Fault { version: shelf.name(version), message });
            }
            Err(error) => {
                faults.push(Fault { version: shelf.name(version), message: cause(&error) });
            }
        }
    }
    Ok((count, faults))
}

impl Shelf<'_> {
    /// How a version compares with those before it that are in use.
    async fn verdict(&self, version: &Version) -> Result<Verdict> {
        let subject = self.subject(version)?;
        let before =
            self.versions.range((version.schema_id, 0)..(version.schema_id, version.number));
        let before: Vec<_> = before.map(|(_, version)| version.clone()).collect();
        let (against, checks) = verdicts::plan(None, subject.compatibility, &before);
        let mut texts = Vec::new();
        for earlier in against {
            texts.push((earlier.number, self.whole(earlier).await?.0));
        }
        let own = self.whole(version).await?.0;
        let compared = tokio::task::spawn_blocking(move || {
            let found = verdicts::findings(subject.format, &own, &texts, &checks)?;
            Ok::<_, Error>(found.into_iter().map(|(verdict, _)| verdict).max())
        });
        let worst = compared.await.map_err(Error::internal)??;
        Ok(worst.unwrap_or(Verdict::Compatible))
    }
}

/// What an error is about, for who operates the service.
fn cause(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
