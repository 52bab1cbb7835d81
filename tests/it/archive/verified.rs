//! Events in archives are checked like those in the database; what was deleted is missing, and no more.

use chrono::{Days, Months};
use drr::{
    config::Retention,
    evidence::{
        publisher::published,
        verify::{Fault, Unverified, Verified, Verifier},
    },
};
use futures::{FutureExt, future::LocalBoxFuture};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor};

use super::{
    Story, instant,
    program::{object, output},
};
use crate::{
    app::{SIGNATORY, settings, vault},
    cluster::run,
    door::world::{script, strings},
};

/// A tenant's log as `drr audit verify` sees it.
pub async fn checked(story: &Story, tenant: &str) -> Result<Verified, Fault> {
    let (db, tenant) = (story.db(), story.tenant(tenant).await);
    let outside = published(&story.app.objects, tenant.tenant()).await.unwrap();
    let archivist = story.app.archivist().clone();
    let verifier = Verifier::new(db.clone(), SIGNATORY.clone(), archivist, settings().retention);
    let done = verifier.verify(&tenant, outside).await;
    db.close().await;
    match done {
        Ok(done) => Ok(Verified { published: 0, ..done }),
        Err(Unverified::Fault(fault)) => Err(fault),
        Err(Unverified::Failed(error)) => panic!("{error:?}"),
    }
}

pub const fn good(leaves: u64, archived: u64, gone: u64) -> Result<Verified, Fault> {
    Ok(Verified { leaves, archived, gone, published: 0 })
}

/// A story in which the month is archived and gone, and events of both classes come in turn.
pub fn archived() -> LocalBoxFuture<'static, Story> {
    async {
    let mut story = Story::begin(14).await;
    for n in 0..6 {
        let class = if n % 2 == 0 { "SCHEMA" } else { "API" };
        let sql = format!(
            "INSERT INTO audit_event (tenant_id, class, occurred_at, event_id, actor_id, action, result, correlation_id)
             VALUES ('acme', '{class}', '{}', gen_random_uuid(), 'somebody', 'x.read', 'SUCCESS', 'n{n}')",
            story.month
        );
        script(&mut story.admin, sql).await;
    }
    story.settled().await;
    let early = checked(&story, "acme").await;
    assert_eq!(early, good(10, 0, 0));
    story.stand_at(story.day(365));
    let retention = settings().retention;
    let done = story.app.archivist().retain(retention, story.day(365), false).await.unwrap();
    assert_eq!(done.dropped, [story.partition()]);
    story.settled().await;
    story
    }
    .boxed_local()
}

fn name(story: &Story, tenant: &str) -> String {
    let month = story.month.format("%Y-%m");
    format!("audit/tenant-{tenant}/api/{month}/000001.ndjson.gz.enc")
}

/// The archive as somebody makes it who has the master key, and who changes what the database says of
/// it: its lines are changed by `change`, and every hash fits.
async fn forge(story: &mut Story, change: impl Fn(&mut Vec<Value>)) {
    let acme = story.tenant("acme").await;
    let recorded = story.app.archivist().recorded(&acme).await.unwrap();
    let archive = recorded.there.iter().find(|archive| archive.class == "API").unwrap();
    let lines = story.app.archivist().lines(acme.tenant(), archive).await.unwrap();
    let mut events: Vec<Value> = lines
        .split_inclusive(|b| *b == b'\n')
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    change(&mut events);
    let mut text = String::new();
    for event in &mut events {
        let leaf = [&[0], event["event"].to_string().as_bytes()].concat();
        event["leaf_hash"] = hex::encode(Sha256::digest(&leaf)).into();
        text += &format!("{event}\n");
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gz, text.as_bytes()).unwrap();
    let content = gz.finish().unwrap();
    let keys = vault(&story.objects).keys;
    let sealed = keys.seal(acme.tenant(), &archive.object, content).await.unwrap();
    std::fs::write(object(story, &archive.object), &sealed).unwrap();
    let sql = format!(
        "SET session_replication_role = replica;
         UPDATE audit_archive SET events = {}, lines_hash = '\\x{}', object_hash = '\\x{}', object_bytes = {}
          WHERE object = '{}'; RESET session_replication_role",
        events.len(),
        hex::encode(Sha256::digest(&text)),
        hex::encode(Sha256::digest(&sealed)),
        sealed.len(),
        archive.object
    );
    script(&mut story.admin, sql).await;
}

// D36
#[test]
fn an_event_that_is_changed_in_an_archive_is_named_though_all_hashes_fit() {
    run(async {
        let mut story = archived().await;
        // Four calls, six of both classes, and what tells of the archive; six of them are archived.
        assert_eq!(checked(&story, "acme").await, good(11, 6, 0));
        assert_eq!(checked(&story, "globex").await, good(2, 1, 0));
        assert_eq!(checked(&story, "-").await, good(3, 1, 0));
        let (path, table) = (object(&story, &name(&story, "acme")), "audit_archive");
        let whole = std::fs::read(&path).unwrap();
        story
            .admin
            .execute(AssertSqlSafe(format!("CREATE TABLE kept AS SELECT * FROM {table}")))
            .await
            .unwrap();
        let id = |event: &Value| event["event"]["event_id"].as_str().unwrap().parse().unwrap();
        let acme = story.tenant("acme").await;
        let recorded = story.app.archivist().recorded(&acme).await.unwrap();
        let lines = story.app.archivist().lines(acme.tenant(), &recorded.there[0]).await.unwrap();
        let lines: Vec<Value> = String::from_utf8(lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // Three calls and three others, between which are those of the other class.
        let leaves = [0, 1, 2, 5, 7, 9];
        type Change<'c> = (&'c dyn Fn(&mut Vec<Value>), Fault);
        let changes: [Change<'_>; 4] = [
            (
                &|events| events[4]["event"]["actor_id"] = "somebodz".into(),
                Fault::Altered { leaf: leaves[4], event: id(&lines[4]) },
            ),
            (
                &|events| {
                    events.remove(3);
                },
                Fault::Missing { leaf: leaves[3] },
            ),
            (
                &|events| {
                    let mut more = events[1].clone();
                    more["event"]["event_id"] = uuid::Uuid::nil().to_string().into();
                    more["sequence"] = (more["sequence"].as_i64().unwrap() - 1).into();
                    events.insert(1, more);
                },
                Fault::Added { leaf: leaves[1], event: uuid::Uuid::nil() },
            ),
            (
                &|events| {
                    let (one, other) = (events[1]["event"].take(), events[2]["event"].take());
                    (events[1]["event"], events[2]["event"]) = (other, one);
                },
                Fault::Swapped { leaf: 1, first: id(&lines[2]), second: id(&lines[1]) },
            ),
        ];
        for (change, fault) in changes {
            forge(&mut story, change).await;
            assert_eq!(checked(&story, "acme").await, Err(fault));
            std::fs::write(&path, &whole).unwrap();
            let back = "SET session_replication_role = replica; DELETE FROM audit_archive;
                INSERT INTO audit_archive SELECT * FROM kept; RESET session_replication_role";
            script(&mut story.admin, back).await;
        }
        assert_eq!(checked(&story, "acme").await, good(11, 6, 0));
        story.app.stop().await;
    });
}

// D36
#[test]
fn months_that_overlap_in_the_ledger_are_read_in_its_order() {
    run(async {
        let mut story = archived().await;
        // Late for the month that is gone: it goes with the next one, which began before.
        let late = format!(
            "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
             VALUES ('acme', '{}', gen_random_uuid(), 'somebody', 'x.read', 'SUCCESS', 'late')",
            story.month
        );
        script(&mut story.admin, late).await;
        story.settled().await;
        let next = instant(story.following() + Months::new(1)) + Days::new(365);
        story.stand_at(next);
        let done = story.app.archivist().retain(settings().retention, next, false).await.unwrap();
        assert_eq!(done.dropped.len(), 1);
        story.settled().await;
        // Leaves 0–2, 5, 7 and 9 are of the first month, 3 and the late one of the second.
        assert_eq!(checked(&story, "acme").await, good(13, 8, 0));
        story.app.stop().await;
    });
}

// D36
#[test]
fn an_archive_that_is_altered_or_gone_untold_is_named() {
    run(async {
        let story = archived().await;
        let name = name(&story, "acme");
        let path = object(&story, &name);
        let whole = std::fs::read(&path).unwrap();
        let mut altered = whole.clone();
        altered[whole.len() / 2] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let said = format!("the archive {name} is not what was archived");
        assert_eq!(checked(&story, "acme").await, Err(Fault::Archive(said)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(checked(&story, "acme").await, Err(Fault::Untold(name.clone())));
        std::fs::write(&path, &whole).unwrap();
        // Without its key nobody reads it.
        let key = object(&story, "keys/tenant-acme/0000000001");
        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        let said = format!(
            "the archive {name} cannot be opened: the data key keys/tenant-acme/0000000001 is gone"
        );
        assert_eq!(checked(&story, "acme").await, Err(Fault::Archive(said)));
        std::fs::write(&key, kept).unwrap();
        assert_eq!(checked(&story, "acme").await, good(11, 6, 0));
        story.app.stop().await;
    });
}

// D37
#[test]
fn as_many_leaves_are_without_an_event_as_deleted_archives_had_and_no_more() {
    run(async {
        let mut story = archived().await;
        let kept =
            Retention { audit_days: 36_500, schema_audit_days: 36_500, ..settings().retention };
        let done = story.app.archivist().retain(kept, story.day(2_557), false).await.unwrap();
        assert_eq!(done.deleted.len(), 3);
        // What tells of it counts before it is in the ledger too.
        assert_eq!(checked(&story, "acme").await.map(|done| done.gone), Ok(6));
        story.settled().await;
        assert_eq!(checked(&story, "acme").await, good(12, 0, 6));
        // An event of the other class, which was between them, and the last call.
        for (correlation, leaf) in [("n2", 9), ("n4", 9)] {
            let sql = format!(
                "SET session_replication_role = replica;
                 CREATE TABLE {correlation} AS SELECT * FROM audit_event;
                 DELETE FROM audit_event WHERE correlation_id = '{correlation}'"
            );
            script(&mut story.admin, sql).await;
            assert_eq!(
                checked(&story, "acme").await,
                Err(Fault::Missing { leaf }),
                "{correlation}"
            );
            let back = format!(
                "DELETE FROM audit_event; INSERT INTO audit_event SELECT * FROM {correlation};
                 RESET session_replication_role"
            );
            script(&mut story.admin, back).await;
        }
        // After the last event of the archive not one may be missing.
        let last = "SET session_replication_role = replica;
            DELETE FROM audit_event WHERE action = 'audit_archive.create' AND tenant_id = 'acme'";
        script(&mut story.admin, last).await;
        assert_eq!(checked(&story, "acme").await, Err(Fault::Missing { leaf: 10 }));
        story.app.stop().await;
    });
}

// D36, D37
#[test]
fn the_program_says_what_is_good_and_what_is_not() {
    run(async {
        let mut story = archived().await;
        let done = output(&story, &["audit", "verify"]).await;
        let said = String::from_utf8(done.stdout).unwrap();
        let complaint = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(0), "{said}{complaint}");
        let line = "acme: good: 11 leaves, 6 of them of events in archives and 0 of events that are \
                    kept no longer, ";
        assert!(said.contains(line) && said.contains("globex: good: 2 leaves, 1 "), "{said}");

        forge(&mut story, |events| events[4]["event"]["result"] = "DENIED".into()).await;
        let altered = strings(
            &mut story.admin,
            "SELECT count(*)::text FROM audit_event WHERE tenant_id = 'acme' AND class = 'SCHEMA'",
        );
        assert_eq!(altered.await, ["3"]);
        let done = output(&story, &["audit", "verify"]).await;
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains("acme: BAD: leaf 7: the event "), "{said}");
        assert!(said.contains("globex: good: "), "the others are checked all the same: {said}");
        assert_eq!(String::from_utf8(done.stderr).unwrap(), "drr: 1 logs are not good\n");
        let only = output(&story, &["audit", "verify", "--tenant", "globex"]).await;
        assert_eq!(only.status.code(), Some(0));
        story.app.stop().await;
    });
}
