//! The program, run by people on what a story has come to.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use sqlx::ConnectOptions;
use tokio::task::spawn_blocking;

use super::Story;
use crate::{
    app::{MASTER_KEY, ORIGIN, SIGNING_KEY},
    program,
};

/// The program, on the story's database and objects.
pub fn drr(story: &Story, arguments: &[&str]) -> Command {
    let mut command = program::drr(arguments);
    command.env("DRR_DATABASE_URL", story.app.database.application().to_url_lossy().as_str());
    command.env("DRR_KEYS__MASTER_KEY", MASTER_KEY).env("DRR_OBJECTS__URL", &story.objects);
    command.env("DRR_EVIDENCE__SIGNING_KEY", SIGNING_KEY.as_str());
    command.env("DRR_EVIDENCE__ORIGIN", ORIGIN);
    command
}

pub async fn output(story: &Story, arguments: &[&str]) -> Output {
    let mut command = drr(story, arguments);
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub async fn answer(story: &Story, arguments: &[&str]) -> String {
    let output = output(story, arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it fails.
pub async fn complaint(story: &Story, arguments: &[&str]) -> String {
    let output = output(story, arguments).await;
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

pub fn object(story: &Story, name: &str) -> PathBuf {
    reqwest::Url::parse(&story.objects).unwrap().to_file_path().unwrap().join(name)
}
