//! The database of a command: the one that the settings name, or a private one.

use super::Failure;
use crate::{
    config::Settings,
    db::{
        DbSettings, PgConnectOptions,
        embedded::{EmbeddedConnections, EmbeddedOptions, EmbeddedPostgres},
        maintenance::{self, Direction},
    },
};

/// A database, and how to log in to it.
#[derive(Debug)]
pub(super) enum Database {
    /// The program's own, which is migrated before anything else happens.
    Private(Box<EmbeddedPostgres>, EmbeddedConnections),
    /// Somebody else's.
    Named { application: PgConnectOptions, owner: Option<PgConnectOptions> },
}

impl Database {
    /// Opens the database of `settings`; starts the private one if they name none.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let Some(url) = &settings.database.url else {
            let options = EmbeddedOptions {
                data_dir: settings.data_dir.clone(),
                bin_dir: settings.postgres_bin.clone(),
            };
            let server = EmbeddedPostgres::start(options).await?;
            let connections = server.bootstrap().await?;
            return Ok(Self::Private(Box::new(server), connections));
        };
        let migration_url = settings.database.migration_url.as_ref();
        let owner = migration_url.map(|url| url.connect_options()).transpose()?;
        Ok(Self::Named { application: url.connect_options()?, owner })
    }

    /// How the owner of the schema logs in.
    pub(super) fn owner(&self) -> Result<&PgConnectOptions, Failure> {
        match self {
            Self::Private(_, connections) => Ok(&connections.owner),
            Self::Named { owner: Some(owner), .. } => Ok(owner),
            Self::Named { owner: None, .. } => {
                Err("database.migration_url is not set: migrations \
                 run as the owner of the schema (set DRR_DATABASE_MIGRATION_URL)"
                    .into())
            }
        }
    }

    fn application(&self) -> &PgConnectOptions {
        match self {
            Self::Private(_, connections) => &connections.application,
            Self::Named { application, .. } => application,
        }
    }

    /// Migrates the schema, and lets the application's login take on its roles.
    pub(super) async fn migrate(
        &self,
        settings: &Settings,
        direction: Direction,
    ) -> Result<(), Failure> {
        let (schema, login) = (settings.environment.schema(), self.application().get_username());
        Ok(maintenance::migrate(self.owner()?, schema, login, direction).await?)
    }

    /// Brings a private database up to this program; another one is its owner's business.
    pub(super) async fn prepare(&self, settings: &Settings) -> Result<(), Failure> {
        match self {
            Self::Private(..) => self.migrate(settings, Direction::Up).await,
            Self::Named { .. } => Ok(()),
        }
    }

    /// The database for the application.
    pub(super) fn settings(&self, settings: &Settings) -> DbSettings {
        DbSettings {
            connect: self.application().clone(),
            schema: settings.environment.schema().to_owned(),
            max_connections: settings.database.max_connections,
            acquire_timeout: settings.database.acquire_timeout,
            statement_timeout: settings.database.statement_timeout,
        }
    }

    /// Resolves if the private server ends by itself, which it should not.
    pub(super) async fn failed(&self) -> Failure {
        match self {
            Self::Private(server, _) => server.failed().await.into(),
            Self::Named { .. } => std::future::pending().await,
        }
    }

    /// Ends the private server, and waits for it.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Private(server, _) => Ok(server.stop().await?),
            Self::Named { .. } => Ok(()),
        }
    }
}
