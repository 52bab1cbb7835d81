//! `drr demo`: the whole service on a private database, with data that a real client once reported.
//!
//! It is `drr serve` with four differences: the database is always a private one, in a folder that
//! `serve` does not use; tokens are signed with a development key that is kept there; once it
//! answers, the data is sent to its own listeners over HTTP, with such tokens, as a client would; and
//! it has GraphiQL.
//! What is sent is in [`story`] and [`schemas`], what is told to whoever started it in [`ready`].

mod ready;
mod recording;
mod schemas;
mod story;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use url::Url;

use super::{
    Common, Failure,
    database::Database,
    development::Development,
    serve::{self, ToldToEnd},
};
use crate::{
    app::{App, StartError},
    auth::signing::DevelopmentKey,
    clock::{SharedClock, SystemClock},
    config::Settings,
    telemetry,
};
use ready::ReadyFile;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The public listener's port on 127.0.0.1; the internal listener has the next one, the
    /// operations listener the one after. 0 lets the system choose three free ones.
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(..=65_533))]
    port: u16,
    /// Keeps the database and the development key; `drr-demo` beside the usual data folder unless
    /// said otherwise.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Written once the service answers, removed when it ends: one JSON object with the URLs, the
    /// process and the tokens.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) async fn run(common: &Common, arguments: Arguments) -> Result<(), Failure> {
    let settings = settings(common, &arguments)?;
    telemetry::init_log(&settings.log)?;
    let ready_file = arguments.ready_file.map(ReadyFile::at).transpose()?;
    let mut told = ToldToEnd::new()?;
    let database = Database::open(&settings).await?;
    let result = demonstrate(&settings, &database, ready_file, &mut told).await;
    database.close().await?;
    result
}

/// The settings of the process, but for where it listens and where the data is.
fn settings(common: &Common, arguments: &Arguments) -> Result<Settings, Failure> {
    let ports = ["listen.public", "listen.internal", "listen.operations"].into_iter().zip(0..);
    let listen = ports.map(|(name, offset)| {
        let port = if arguments.port == 0 { 0 } else { arguments.port.saturating_add(offset) };
        (name, format!("127.0.0.1:{port}"))
    });
    let mut settings = Settings::load(&common.sources(listen))?;
    settings.graphiql = true;
    // Never somebody else's database, whatever the environment of the process says.
    settings.database.url = None;
    settings.database.migration_url = None;
    settings.data_dir = match &arguments.data_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            let mut name = settings.data_dir.file_name().unwrap_or_default().to_owned();
            name.push("-demo");
            settings.data_dir.with_file_name(name)
        }
    };
    settings.audit.spool_dir = settings.data_dir.join("spool");
    let objects = Url::from_file_path(settings.data_dir.join("objects"));
    settings.objects_url = objects.map_err(|()| "the data folder has no address")?.into();
    Ok(settings)
}

async fn demonstrate(
    settings: &Settings,
    database: &Database,
    ready_file: Option<ReadyFile>,
    told: &mut ToldToEnd,
) -> Result<(), Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    let key_file = settings.data_dir.join("credentials/development-key.pem");
    let key = DevelopmentKey::load_or_create(&key_file)?;
    let development = Development::new(key, clock.clone());
    let verifier = Development::verifier_settings();
    let app = serve::start(settings, database, development.keys(), verifier).await;
    let app = app.map_err(|error| match error.downcast_ref() {
        Some(StartError::Listen { .. }) => format!("{error}; --port 0 picks free ports").into(),
        _ => error,
    })?;
    let shown = async {
        show(settings, &app, &development, &clock, ready_file.as_ref()).await?;
        std::future::pending().await
    };
    let ended = told.or(database, shown).await;
    tracing::info!("ending");
    drop(ready_file);
    app.stop().await;
    ended
}

/// Loads the data, then says that all is there.
async fn show(
    settings: &Settings,
    app: &App,
    development: &Development,
    clock: &SharedClock,
    ready_file: Option<&ReadyFile>,
) -> Result<(), Failure> {
    let anchor = story::first_start(&settings.data_dir, clock.now())?;
    let times = story::Times { first_start: anchor, now: clock.now() };
    let client = story::Client::of(app)?;
    for story in story::STORIES {
        client.tell(story, development, times).await?;
        client.agree(story, development).await?;
    }
    let ready = ready::Ready::new(app, development)?;
    if let Some(file) = ready_file {
        file.write(&ready)?;
    }
    ready.print(&settings.data_dir);
    Ok(())
}
