//! How fast a bundle is made and checked, and that memory does not grow with it.
//!
//! `scripts/bench-evidence` runs it.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

use super::{Story, exported::place, program::drr};
use crate::{cluster::run, door::world::script, program};

/// How many events there are the first time, and how many more the second.
const EVENTS: [u32; 2] = [20_000, 80_000];
/// How much more memory the second may take: what an allocator does not give back.
const MORE_KIB: u64 = 16 * 1024;

/// The most memory that a process has had, as long as it runs.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs a command to its good end; answers how long it took and the most memory that it had.
async fn measured(mut command: Command) -> (Duration, u64) {
    let measured = move || {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut peak = 0;
        loop {
            peak = peak_kib(&child).unwrap_or_default().max(peak);
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                return (begun.elapsed(), peak);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    spawn_blocking(measured).await.unwrap()
}

#[test]
#[ignore = "a bench"]
fn bundles() {
    run(async {
        let mut story = Box::pin(Story::begin(13)).await;
        let mut peaks = Vec::new();
        let mut all = 0;
        for events in EVENTS {
            let sql = format!(
                "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                 SELECT 'acme', '{}'::date + n * interval '1 ms', gen_random_uuid(), 'somebody', 'x.read', 'SUCCESS', 'm' || n
                   FROM generate_series(1, {events}) AS n",
                story.month
            );
            script(&mut story.admin, sql).await;
            story.settled().await;
            all += events;
            let (_folder, path) = place();
            let file = path.to_str().unwrap();
            let made =
                measured(drr(&story, &["audit", "export", "--tenant", "acme", "--out", file]));
            let (made, making) = made.await;
            let checked = measured(program::drr(&["audit", "verify-export", file]));
            let (checked, checking) = checked.await;
            let rate = |taken: Duration| f64::from(all) / taken.as_secs_f64();
            println!(
                "{all} events in {} bytes: made in {made:.1?} ({:.0} a second, {making} KiB), checked in {checked:.1?} ({:.0} a second, {checking} KiB)",
                path.metadata().unwrap().len(),
                rate(made),
                rate(checked),
            );
            peaks.push((making, checking));
        }
        assert!(peaks[1].0 < peaks[0].0 + MORE_KIB && peaks[1].1 < peaks[0].1 + MORE_KIB);
        story.app.stop().await;
    });
}
