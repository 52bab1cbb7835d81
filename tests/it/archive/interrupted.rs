//! Cut off anywhere, and tampered with: nothing is dropped that was not found whole in an archive.

use std::time::Duration;

use drr::audit::{
    archive::Retained,
    hold::{self, Order},
};
use tokio::time::timeout;

use super::{
    Story,
    program::{answer, complaint, drr, object},
    read,
    verified::{checked, good},
};
use crate::{
    app::settings,
    cluster::run,
    door::world::{script, strings},
};

#[test]
fn killed_between_archive_and_drop_it_goes_on_and_what_was_altered_meanwhile_is_found() {
    run(async {
        let mut story = Story::begin(13).await;
        let partition = story.partition();
        let expected = story.events(&partition).await;
        story.settled().await;
        // Somebody reads for long: the month cannot be dropped.
        let mut reader = story.app.admin().await;
        script(&mut reader, "BEGIN; SELECT FROM audit_event LIMIT 1").await;
        let mut killed = drr(&story, &["audit", "retain"]).spawn().unwrap();
        let archived = "SELECT count(*)::text FROM audit_archive";
        let waiting = "SELECT count(*)::text FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let all = async {
            while strings(&mut story.admin, archived).await != ["3"]
                || strings(&mut story.admin, waiting).await != ["1"]
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), all).await.unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        // The server would go on with what it was asked for; it dies too.
        let end = "SELECT pg_terminate_backend(pid, 10000)::text FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        assert_eq!(strings(&mut story.admin, end).await, ["true"]);
        script(&mut reader, "ROLLBACK").await;
        story.settled().await;
        assert_eq!(story.events(&partition).await, expected);

        // One bit of one object.
        let month = story.month.format("%Y-%m");
        let name = format!("audit/tenant-acme/api/{month}/000001.ndjson.gz.enc");
        let path = object(&story, &name);
        let whole = std::fs::read(&path).unwrap();
        for (content, said) in [
            (
                Some({
                    let mut altered = whole.clone();
                    altered[whole.len() / 2] ^= 1;
                    altered
                }),
                "is not what was archived",
            ),
            (Some(whole[..whole.len() - 1].to_vec()), "is not what was archived"),
            (None, "is gone"),
        ] {
            match content {
                Some(content) => std::fs::write(&path, content).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let complaint = complaint(&story, &["audit", "retain"]).await;
            assert!(complaint.contains(&format!("the archive {name} {said}")), "{complaint}");
            assert_eq!(story.events(&partition).await, expected, "nothing was dropped");
        }
        std::fs::write(&path, &whole).unwrap();

        let said = answer(&story, &["audit", "retain"]).await;
        assert_eq!(said, format!("archived and dropped {partition}\n"));
        assert_eq!(std::fs::read(&path).unwrap(), whole, "not made twice");
        assert!(!story.is_there(&partition).await);
        assert_eq!(story.archived().await, expected);

        let shown = answer(&story, &["audit", "archive", "show"]).await;
        assert!(
            shown.lines().count() == 3 && shown.contains(&format!("{name} 3 events")),
            "{shown}"
        );
        let fetched = answer(&story, &["audit", "archive", "fetch", &name]).await;
        let of_acme: Vec<_> =
            expected.iter().filter(|event| event.starts_with("acme ")).cloned().collect();
        assert_eq!(read(fetched.as_bytes()), of_acme);
        let stored = String::from_utf8_lossy(&whole).into_owned();
        assert!(!stored.contains("acme") && !stored.contains("dataset.read"), "encrypted");
        story.app.stop().await;
    });
}

// An object that was put and not recorded is the part, if it says what the trail says.
#[test]
fn killed_between_object_and_record_it_takes_what_is_there_and_never_writes_over_it() {
    run(async {
        let mut story = Story::begin(13).await;
        let (partition, retention) = (story.partition(), settings().retention);
        let expected = story.events(&partition).await;
        story.settled().await;
        // The record cannot be written.
        script(&mut story.admin, "ALTER TABLE audit_archive ADD CONSTRAINT later CHECK (part < 1)")
            .await;
        let archivist = story.app.archivist().clone();
        archivist.retain(retention, story.day(365), false).await.unwrap_err();
        script(&mut story.admin, "ALTER TABLE audit_archive DROP CONSTRAINT later").await;
        let month = story.month.format("%Y-%m").to_string();
        let path = object(&story, &format!("audit/tenant--/api/{month}/000001.ndjson.gz.enc"));
        let first = std::fs::read(&path).unwrap();
        // Meanwhile something comes late: what is there is the first of what is to be archived now.
        story.stand_at(super::instant(story.month));
        story.app.http.get(story.app.public("/graphql?query={me{tenant}}")).send().await.unwrap();
        story.stand_at(story.day(1));
        story.settled().await;
        let done = archivist.retain(retention, story.day(365), false).await.unwrap();
        assert_eq!(done, Retained { dropped: vec![partition], ..Retained::default() });
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(story.archived().await.len(), expected.len() + 1);
        let parts =
            "SELECT part || ' ' || events FROM audit_archive WHERE tenant_id = '-' ORDER BY part";
        assert_eq!(strings(&mut story.admin, parts).await, ["1 1", "2 1"]);
        // Both parts are read, beside what tells of them and of the month.
        story.settled().await;
        assert_eq!(checked(&story, "-").await, good(5, 2, 0));
        story.app.stop().await;
    });
}

// D36
#[test]
fn an_event_that_is_not_what_was_recorded_is_found_and_stays() {
    run(async {
        let mut story = Story::begin(13).await;
        let partition = story.partition();
        story.settled().await;
        let rewrite = "UPDATE audit_event SET actor_id = 'somebody else'
            WHERE event_id = (SELECT event_id FROM audit_event WHERE tenant_id = 'globex' LIMIT 1)
            RETURNING event_id::text";
        let rewritten = strings(&mut story.admin, rewrite).await;
        let retention = settings().retention;
        let error =
            story.app.archivist().retain(retention, story.day(365), false).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        let said =
            format!("the event {} does not have the hash that it was recorded with", rewritten[0]);
        assert_eq!(cause, said);
        assert!(story.is_there(&partition).await);
        story.app.stop().await;
    });
}

#[test]
fn people_place_and_release_holds_by_the_program() {
    run(async {
        let story = Story::begin(13).await;
        let placed = answer(
            &story,
            &[
                "audit",
                "hold",
                "place",
                "--tenant",
                "acme",
                "--from",
                "2020-01-01",
                "--reason",
                "a case",
                "--by",
                "counsel-7",
            ],
        )
        .await;
        let hold = placed.trim();
        let held = answer(&story, &["audit", "retain", "--dry-run"]).await;
        assert_eq!(held, format!("{} is kept by a legal hold\n", story.partition()));
        let listed = answer(&story, &["audit", "hold", "list"]).await;
        assert!(
            listed.starts_with(&format!("{hold} acme from 2020-01-01 until 9999-01-01, placed ")),
            "{listed}"
        );
        let release = [
            "audit",
            "hold",
            "release",
            hold,
            "--tenant",
            "acme",
            "--reason",
            "over",
            "--by",
            "counsel-8",
        ];
        answer(&story, &release).await;
        assert!(complaint(&story, &release).await.contains("released already"));
        let listed = answer(&story, &["audit", "hold", "list"]).await;
        assert!(listed.contains("by counsel-8: over"), "{listed}");
        let nobody = ["audit", "hold", "place", "--tenant", "nobody", "--reason", "x", "--by", "y"];
        assert!(complaint(&story, &nobody).await.contains("there is no tenant nobody"));
        assert!(
            complaint(&story, &["audit", "hold", "place", "--reason", "x", "--by", "y"])
                .await
                .contains("--tenant")
        );
        let address = ["audit", "hold", "place", "--all", "--reason", "x", "--by", "a@b.c"];
        assert!(complaint(&story, &address).await.contains("no address"));
        let db = story.db();
        let acme = story.tenant("acme").await;
        let order = Order::new("none", "counsel-7").unwrap();
        let backwards = (story.day(1), story.day(1));
        assert!(hold::place(&db, &acme, backwards, &order, story.clock.as_ref()).await.is_err());
        db.close().await;
        story.app.stop().await;
    });
}
