//! To the day.

use drr::{audit::archive::Retained, config::Retention};

use super::{Story, instant};
use crate::{
    app::settings,
    cluster::run,
    door::world::{script, state, strings},
};

// D37
#[test]
fn a_month_goes_when_its_last_event_is_365_days_old_and_is_archived_then() {
    run(async {
        let mut story = Story::begin(14).await;
        let partition = story.partition();
        let (expected, later) = (story.events(&partition).await, story.events("audit_event").await);
        assert_eq!((expected.len(), later.len()), (5, 6));
        // Late for a month from before the program was installed: it goes with the first month.
        script(
            &mut story.admin,
            format!(
                "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                 VALUES ('globex', '{}'::date - 40, gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS', 'late')",
                story.month
            ),
        )
        .await;
        story.settled().await;
        let retention = settings().retention;
        let archivist = story.app.archivist().clone();
        for early in [story.day(364), story.day(365) - chrono::TimeDelta::microseconds(1)] {
            let none = archivist.retain(retention, early, false).await.unwrap();
            assert_eq!(none, Retained::default());
        }
        assert_eq!(story.events(&partition).await, expected);

        let said = archivist.retain(retention, story.day(365), true).await.unwrap();
        assert_eq!(said.dropped, [partition.as_str()]);
        assert!(story.is_there(&partition).await && story.archived().await.is_empty(), "only said");

        story.stand_at(story.day(365));
        let done = archivist.retain(retention, story.day(365), false).await.unwrap();
        assert_eq!(done, said);
        assert!(!story.is_there(&partition).await);
        let mut archived = story.archived().await;
        archived.retain(|event| expected.contains(event));
        assert_eq!(archived, expected, "as they were, in order");
        assert_eq!(story.archived().await.len(), 6, "the late one too");
        story.settled().await;
        story.is_what_the_ledger_says("acme").await;
        assert_eq!(
            archivist.retain(retention, story.day(366), false).await.unwrap(),
            Retained::default()
        );

        // What is left: the call after the month, and what tells of the archives, of each tenant its own,
        // and of the month.
        let left = "SELECT tenant_id || ' ' || action FROM audit_event ORDER BY tenant_id COLLATE \"C\", 1";
        assert_eq!(
            strings(&mut story.admin, left).await,
            [
                "- audit_archive.create",
                "- audit_month.drop",
                "acme audit_archive.create",
                "acme dataset.read",
                "globex audit_archive.create"
            ]
        );
        // The next late one finds a place, and goes with the next month.
        let late = format!(
            "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
             VALUES ('globex', '{}', gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS', 'late')",
            story.month
        );
        script(&mut story.admin, late).await;
        story.settled().await;
        let next = instant(story.following() + chrono::Months::new(1)) + chrono::Days::new(365);
        let done = archivist.retain(retention, next, false).await.unwrap();
        assert_eq!(done.dropped.len(), 1);
        assert_eq!(story.archived().await.len(), 8);
        story.app.stop().await;
    });
}

// S13
#[test]
fn what_was_done_to_schemas_is_kept_for_36_months_and_archives_for_7_years() {
    run(async {
        let mut story = Story::begin(38).await;
        let insert = format!(
            "INSERT INTO audit_event (tenant_id, class, occurred_at, event_id, actor_id, action, result, correlation_id)
             SELECT 'acme', 'SCHEMA', '{}'::date + n, gen_random_uuid(), 'somebody', 'schema.approve', 'SUCCESS', 'c'
               FROM generate_series(0, 27) AS n",
            story.month
        );
        script(&mut story.admin, insert).await;
        story.settled().await;
        let archivist = story.app.archivist().clone();
        let kept = Retention { audit_days: 36_500, ..settings().retention };
        let none = archivist.retain(kept, story.day(1_095), false).await.unwrap();
        assert_eq!(none, Retained::default());
        let done = archivist.retain(kept, story.day(1_096), false).await.unwrap();
        let schema = format!("audit_event_schema_{}", story.month.format("%Y%m"));
        assert_eq!(done.dropped, [schema.as_str()]);
        assert!(!story.is_there(&schema).await);
        assert!(story.is_there(&story.partition()).await, "the other class has a time of its own");
        assert_eq!(story.archived().await.len(), 28);

        let kept = Retention { schema_audit_days: 36_500, ..kept };
        let none = archivist.retain(kept, story.day(2_556), false).await.unwrap();
        assert_eq!(none, Retained::default());
        let name = format!(
            "audit/tenant-acme/schema/{}/000001.ndjson.gz.enc",
            story.month.format("%Y-%m")
        );
        let said = archivist.retain(kept, story.day(2_557), true).await.unwrap();
        assert_eq!((said.deleted, story.archived().await.len()), (vec![name.clone()], 28));
        let done = archivist.retain(kept, story.day(2_557), false).await.unwrap();
        assert_eq!((done.deleted, story.archived().await.len()), (vec![name], 0));
        let none = archivist.retain(kept, story.day(2_558), false).await.unwrap();
        assert_eq!(none, Retained::default(), "once");
        let told = "SELECT action FROM audit_event WHERE actor_id = 'drr:keeper' ORDER BY sequence";
        let told = strings(&mut story.admin, told).await;
        assert_eq!(told, ["audit_archive.create", "audit_month.drop", "audit_archive.delete"]);
        story.app.stop().await;
    });
}

// D36
#[test]
fn the_database_believes_nobody_that_a_month_is_archived() {
    run(async {
        let mut story = Story::begin(14).await;
        story.settled().await;
        let partition = story.partition();
        let mut raw = story.app.admin().await;
        script(&mut raw, "SET ROLE drr_operator").await;
        let drop = |month: String| format!("SELECT drop_audit_month('API', {month}, false)");
        let this = format!("'{}'", story.month);
        assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"]);
        let following = format!("'{}'", story.following());
        for (month, class) in [
            (following.as_str(), "'API'"),
            ("date_trunc('month', now())::date", "'API'"),
            ("NULL", "'API'"),
            ("'infinity'", "'API'"),
            (&format!("'{}'::date + 1", story.month), "'API'"),
            (&this, "'OTHER'"),
            (&this, "NULL"),
        ] {
            let sql = format!("SELECT drop_audit_month({class}, {month}, false)");
            assert_eq!(state(&mut raw, &sql).await.as_deref(), Some("22023"), "{sql}");
        }
        // Archives that say so of other counts, months and tenants.
        let month = story.month;
        let archive = |tenant: &str, events: u32| {
            format!(
                "INSERT INTO audit_archive SELECT '{tenant}', 'API', '{month}', count(*) + 1, 'x', {events}, now(), now(), '1', 1,
                   sha256(''), sha256(''), 1, now() FROM audit_archive WHERE tenant_id = '{tenant}'"
            )
        };
        let of_acme = archive("acme", 2);
        for sql in [archive("globex", 1), archive("-", 1), of_acme, archive("acme", 2)] {
            assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"]);
            script(&mut story.admin, sql).await;
        }
        // All are counted now, and one too many.
        assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"]);
        assert!(story.is_there(&partition).await);
        let more = |tenant: &str| {
            format!(
                "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                 VALUES ('{tenant}', '{month}', gen_random_uuid(), 'somebody', 'x', 'SUCCESS', 'c')"
            )
        };
        script(&mut story.admin, more("acme")).await;
        assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"], "not in the ledger");
        story.settled().await;
        script(&mut story.admin, more("unlisted")).await;
        assert_eq!(
            state(&mut raw, &drop(this.clone())).await.as_deref(),
            Some("55000"),
            "unlisted"
        );
        let forced = "SELECT relforcerowsecurity::text FROM pg_class WHERE oid = ".to_owned();
        let forced = strings(&mut story.admin, &format!("{forced}'{partition}'::regclass")).await;
        assert_eq!(forced, ["true"]);
        script(&mut story.admin, "INSERT INTO tenant_directory VALUES ('unlisted')").await;
        assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"]);
        script(&mut story.admin, archive("unlisted", 1)).await;
        assert_eq!(strings(&mut raw, &drop(this.clone())).await, ["MISSING"], "not in the ledger");
        story.settled().await;
        assert_eq!(strings(&mut raw, &drop(this)).await, ["DROPPED"]);
        assert!(!story.is_there(&partition).await);
        story.app.stop().await;
    });
}
