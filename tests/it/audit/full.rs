//! A spool on a disk that is full: a small file system of memory, which only root can make.

use std::{fs, path::Path, process::Command, time::Duration};

use drr::auth::policy::Role;
use serde_json::json;

use super::{
    awaited,
    chaos::{Round, trail},
    count, events, let_in, lock_out, name,
    spool::{ask, written},
};
use crate::{
    app::TestApp,
    cluster::run,
    evidence::{settle, tampering::checked},
};

/// A file system of its own, which goes with this.
struct Disk(tempfile::TempDir);

impl Disk {
    /// One of so many bytes; without the right to make one a test says so and does nothing.
    fn mount(bytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder.path());
        match mount.output() {
            Ok(done) if done.status.success() => Some(Self(folder)),
            done => {
                eprintln!("SKIPPED: a small file system cannot be mounted: {done:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let full = fs::write(self.path().join("filler"), vec![0; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_space(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Calls until one is refused, and a few times more; those that were answered go to `answered`.
async fn until_refused(app: &TestApp, answered: &mut Vec<String>) -> Vec<String> {
    let mut refused = Vec::new();
    while refused.len() < 5 {
        assert!(answered.len() < 5_000, "the disk is never full");
        let call = name();
        let (status, answer) = ask(app, &call).await;
        if status == 200 {
            answered.push(call);
        } else {
            assert_eq!((status, &answer["code"]), (503, &json!("UNAVAILABLE")), "{answer:#}");
            assert!(answer.get("data").is_none(), "{answer:#}");
            refused.push(call);
        }
    }
    refused
}

// D34
#[test]
fn on_a_full_disk_calls_are_refused_and_nothing_that_was_answered_is_missing() {
    let Some(disk) = Disk::mount(256 << 10) else { return };
    run(async {
        let folder = disk.path().join("spool");
        let app = TestApp::with(|assembly| assembly.audit.spool_dir = folder).await;
        lock_out(&app).await;
        let (mut answered, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let call = name();
            assert_eq!(ask(&app, &call).await.0, 200);
            answered.push(call);
        }
        disk.fill();
        refused.extend(until_refused(&app, &mut answered).await);
        let before = answered.len();
        // Space, and the database still away: calls are answered until the disk is full of events alone.
        disk.make_space();
        refused.extend(until_refused(&app, &mut answered).await);
        assert!(answered.len() > before + 50, "{} after {before}", answered.len());
        let_in(&app).await;
        let mut admin = app.admin().await;
        awaited(&mut admin, answered.last().unwrap(), 1).await;
        assert_eq!(written(&mut admin).await, answered);
        for call in &refused {
            assert!(events(&mut admin, call).await.is_empty(), "{call}");
        }
        // And all is well again.
        let call = name();
        assert_eq!(ask(&app, &call).await.0, 200);
        assert_eq!(events(&mut admin, &call).await.len(), 1);
        let token = app.token("acme", Role::Reader);
        app.data(&token, "{ datasets { nodes { id } } }", json!({})).await;
        app.stop().await;
    });
}

// D34, D36: whatever comes together, the calls that were answered are the events, to one.
#[test]
fn sixteen_callers_on_a_disk_that_fills_up_have_one_event_for_every_answer() {
    let Some(disk) = Disk::mount(256 << 10) else { return };
    run(async {
        let folder = disk.path().join("spool");
        let app = TestApp::with(|assembly| {
            assembly.audit.spool_dir = folder.clone();
            // Whoever needs the database is told soon that it is away.
            assembly.database.acquire_timeout = Duration::from_millis(500);
        });
        let app = app.await;
        let round = Round::default();
        let events = async {
            round.more(100, 0).await;
            lock_out(&app).await;
            round.more(100, 0).await;
            disk.fill();
            round.more(100, 100).await;
            disk.make_space();
            round.more(100, 0).await;
            let_in(&app).await;
            round.more(100, 0).await;
            round.end();
        };
        let (sent, ()) = tokio::join!(round.calls(app.public_address()), events);
        // All that waits on the disk is delivered before the end, or at the next start.
        let (database, clock) = (app.database.reopened(), app.clock.clone());
        app.stop().await;
        let again = TestApp::launch(database.reopened(), clock.clone(), |assembly| {
            assembly.audit.spool_dir = folder;
        });
        again.await.unwrap().stop().await;
        let app = TestApp::launch(database, clock, |_| ()).await.unwrap();
        let mut admin = app.admin().await;
        let trail = trail(&mut admin).await;
        let mut refused = 0;
        for (call, answer) in &sent {
            let (all, own) = trail.get(call).copied().unwrap_or_default();
            // Of one that was refused, and of one that was not answered, there may be none.
            let may_lack = matches!(answer, None | Some(503));
            assert!(own == 1 || (may_lack && all == 0), "{call}: {own} of {all}, {answer:?}");
            refused += usize::from(answer.is_some() && all == 0);
        }
        assert!(refused >= 50, "{refused} of {}", sent.len());
        for call in trail.keys() {
            assert!(sent.contains_key(call), "{call} was never made");
        }
        settle(app.sequencer(), &mut admin).await;
        let leaves = checked(&app, &mut admin).await.unwrap().leaves;
        let sql = "SELECT count(*) FROM audit_event WHERE tenant_id = 'acme'";
        let there = count(&mut admin, sql).await;
        assert_eq!(leaves, u64::try_from(there).unwrap());
        app.stop().await;
    });
}
