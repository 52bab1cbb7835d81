//! A secret value, which shows itself as `****` in every way of printing it.

use std::{fmt, fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path};

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What stands in place of a secret wherever one is printed.
pub const MASK: &str = "****";

/// A text that never shows itself; its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The secret kept in the file at `path`, whose folder exists; a new random one of 32 bytes, in
    /// hexadecimal, if there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        use io::Write as _;

        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(mut file) => {
                let mut secret = [0_u8; 32];
                aws_lc_rs::rand::fill(&mut secret).map_err(io::Error::other)?;
                file.write_all(hex::encode(secret).as_bytes())?;
                file.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self::new(std::fs::read_to_string(path)?.trim().to_owned()))
    }

    /// The text itself. A caller hands it to what needs it and keeps no copy.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// The address of a PostgreSQL server, password included: `postgres://user@host/name?sslmode=…`.
/// sqlx's own options print the password in their `Debug`, so they are made only when needed.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct DatabaseUrl(Secret);

impl DatabaseUrl {
    /// Accepts an address that sqlx understands; `None` else, for its message could quote the text.
    #[must_use]
    pub fn parse(text: String) -> Option<Self> {
        let scheme = url::Url::parse(&text).ok()?.scheme().to_owned();
        let understood = matches!(scheme.as_str(), "postgres" | "postgresql")
            && text.parse::<PgConnectOptions>().is_ok();
        understood.then(|| Self(Secret::new(text)))
    }

    /// Whether nobody on the way can read or answer for the server: it is on this machine, or its
    /// certificate is verified, name included. // D30
    pub(super) fn is_protected(&self) -> bool {
        self.connect_options().is_ok_and(|options| {
            let host = options.get_host();
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            let here = options.get_socket().is_some()
                || host.starts_with('/')
                || host == "localhost"
                || address.is_ok_and(|address| address.is_loopback());
            here || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
        })
    }

    /// The options to connect with.
    ///
    /// # Errors
    /// None in practice: the text was parsed once before.
    pub fn connect_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        self.0.expose().parse()
    }
}

/// Whether the text of an address carries a password, in either place where sqlx reads one.
/// A text that is no address counts as one that does: nobody can tell what is in it.
pub(super) fn carries_password(text: &str) -> bool {
    url::Url::parse(text).map_or(true, |url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
    })
}

/// The text of an address with its password masked, for people.
pub(super) fn masked_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut query = url.query_pairs_mut();
        query.clear();
        for (name, value) in &pairs {
            query.append_pair(name, if name == "password" { MASK } else { value });
        }
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    // D30
    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        let protected = |text: &str| DatabaseUrl::parse(text.into()).unwrap().is_protected();
        for good in [
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.1:5433/d?sslmode=disable",
            "postgres://u@[::1]/d",
            "postgres:///d?host=/run/postgresql&user=u",
            "postgres://u@db.example/d?sslmode=verify-full",
        ] {
            assert!(protected(good), "{good}");
        }
        for bad in ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"] {
            let elsewhere = format!("postgres://u@db.example/d{bad}");
            assert!(!protected(&elsewhere), "{elsewhere}");
        }
    }

    // D29
    #[test]
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new("hunter2".into());
        let url = DatabaseUrl::parse("postgres://u:hunter2@h/d".into()).unwrap();
        for shown in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{url:?}"),
            serde_json::to_string(&secret).unwrap(),
            serde_json::to_string(&url).unwrap(),
        ] {
            assert!(shown.contains(MASK) && !shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = Secret::load_or_create(&path).unwrap();
        assert_eq!(hex::decode(made.expose()).unwrap().len(), 32);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secret::load_or_create(&path).unwrap().expose(), made.expose());
        let another = Secret::load_or_create(&folder.path().join("another")).unwrap();
        assert_ne!(another.expose(), made.expose());
    }

    #[test]
    fn an_address_is_masked_in_both_places_of_a_password() {
        let masked = masked_url("postgres://u:hunter2@h:5/d?sslmode=verify-full&password=hunter2");
        assert_eq!(masked, "postgres://u:****@h:5/d?sslmode=verify-full&password=****");
        assert_eq!(masked_url("hunter2"), MASK);
        assert!(carries_password("postgres://u@h/d?password=x"));
        assert!(carries_password("not an address"));
        assert!(!carries_password("postgres://u@h/d?sslmode=require"));
    }

    #[test]
    fn only_postgresql_addresses_are_taken() {
        for bad in ["", "mysql://u@h/d", "postgres://u@h/d?sslmode=maybe", "host=h user=u"] {
            assert!(DatabaseUrl::parse(bad.into()).is_none(), "{bad}");
        }
    }
}
