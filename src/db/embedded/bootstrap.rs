//! The database and the two roles that log in to it. Everything within is made by the migrations.

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};

use super::EmbeddedPostgres;
use super::error::EmbeddedError;

/// The database.
pub const DATABASE: &str = "drr";
/// Owns the database and all in it; only migrations log in as it.
pub const OWNER: &str = "drr_owner";
/// Owns nothing and inherits nothing; the service logs in as it and takes on a role per
/// transaction.
pub const APPLICATION: &str = "drr_app";

/// How to log in to the database, in its two capacities.
#[derive(Debug, Clone)]
pub struct EmbeddedConnections {
    /// As [`OWNER`]: for migrations.
    pub owner: PgConnectOptions,
    /// As [`APPLICATION`]: for the service.
    pub application: PgConnectOptions,
}

impl EmbeddedPostgres {
    /// Makes sure that the database and its roles are there, as they should be; nothing is granted
    /// to everybody.
    ///
    /// # Errors
    /// The server refuses, or a password cannot be kept.
    pub async fn bootstrap(&self) -> Result<EmbeddedConnections, EmbeddedError> {
        let owner = self.credentials.load_or_create(OWNER)?;
        let application = self.credentials.load_or_create(APPLICATION)?;
        let mut admin = PgConnection::connect_with(&self.superuser_options("postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(roles(&owner, &application))).execute(&mut admin).await?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(DATABASE)
                .fetch_one(&mut admin)
                .await?;
        if !exists {
            let create = format!("CREATE DATABASE {DATABASE} OWNER {OWNER}");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await?;
        }
        sqlx::raw_sql(AssertSqlSafe(format!(
            "REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;
             GRANT CONNECT ON DATABASE {DATABASE} TO {APPLICATION}"
        )))
        .execute(&mut admin)
        .await?;
        admin.close().await?;
        let mut admin = PgConnection::connect_with(&self.superuser_options(DATABASE)).await?;
        sqlx::raw_sql("REVOKE ALL ON SCHEMA public FROM PUBLIC").execute(&mut admin).await?;
        admin.close().await?;
        Ok(EmbeddedConnections {
            owner: self.options(OWNER, &owner, DATABASE),
            application: self.options(APPLICATION, &application, DATABASE),
        })
    }
}

/// The roles with all their attributes, whatever they were before. The passwords are hexadecimal
/// digits, and this session keeps its statements out of the server's log.
fn roles(owner: &SecretString, application: &SecretString) -> String {
    let mut sql =
        String::from("SET log_statement = 'none'; SET log_min_error_statement = 'panic';");
    for (role, attributes, password) in
        [(OWNER, "CREATEROLE INHERIT", owner), (APPLICATION, "NOCREATEROLE NOINHERIT", application)]
    {
        let password = password.expose_secret();
        sql += &format!(
            "DO $$ BEGIN
               IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                 CREATE ROLE {role};
               END IF;
             END $$;
             ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS
               {attributes} PASSWORD '{password}';"
        );
    }
    sql
}
