//! The client that people have, run against the running service. `DRR_TEST_CONFLUENT` names the Python that has
//! it (`scripts/test` sets it up).

use std::{path::Path, process::Stdio};

use drr::auth::policy::Role;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::process::Command;

use super::Registry;
use crate::cluster::run;

async fn phase(registry: &Registry, python: &Path, token: &str, phase: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/confluent.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(phase)
        .env_clear()
        .env("URL", registry.app.internal("/confluent"))
        .env("TOKEN", token)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{phase}\n{out}\n{err}");
}

// S16
#[test]
fn the_client_and_the_serializers_of_python_work_unchanged() {
    let Some(python) = std::env::var_os("DRR_TEST_CONFLUENT") else {
        eprintln!("SKIPPED: DRR_TEST_CONFLUENT is not set; scripts/test sets it");
        return;
    };
    let python = Path::new(&python);
    run(async {
        let registry = Registry::start().await;
        let author = registry.author("acme");
        phase(&registry, python, &author, "references").await;
        assert_eq!(registry.approve("acme").await, 3);
        phase(&registry, python, &author, "propose").await;
        assert_eq!(registry.approve_but("acme", "unapproved-value").await, 3);
        registry.stand_but("acme", "unapproved-value").await;
        phase(&registry, python, &author, "use").await;
        // One that has no right to any of it.
        let stranger = registry.app.token("acme", Role::Reader);
        let path = registry.app.public("/confluent/subjects");
        let refused = registry.app.http.get(path).bearer_auth(stranger).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error_code"], 403);
        registry.app.stop().await;
    });
}
