use std::{io::Write, path::PathBuf};

use super::*;

const PASSWORD: &str = "correct-horse-battery-staple-32-bytes";

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        environment: pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        default_data_dir: "/var/lib/drr".into(),
        ..Sources::default()
    }
}

fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let sources = Sources { file: Some(file.path().into()), ..environment(&[]) };
    (file, sources)
}

/// The whole chain of messages, as the program prints it.
fn refused(sources: &Sources) -> String {
    let error = Settings::load(sources).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error} {source} {error:?}")
}

#[test]
fn defaults_are_valid_and_embedded() {
    let settings = Settings::load(&environment(&[])).unwrap();
    assert_eq!(settings.environment.schema(), "storage_drr");
    assert_eq!(settings.listen.public, "127.0.0.1:8080".parse().unwrap());
    assert!(settings.database.url.is_none() && settings.auth.is_none());
    assert_eq!(settings.limits.graphql_body_bytes, 256 * 1024);
    assert_eq!(settings.limits.idle_timeout, Duration::from_secs(75));
    assert!(settings.require_auth().unwrap_err().to_string().contains("auth.jwks_file"));
}

#[test]
fn later_sources_win() {
    let (_file, mut sources) =
        file("[listen]\npublic = '127.0.0.1:1'\n[database]\nmax_connections = 3\n");
    assert_eq!(Settings::load(&sources).unwrap().listen.public.port(), 1);
    sources.environment.insert("DRR_LISTEN__PUBLIC".into(), "127.0.0.1:2".into());
    assert_eq!(Settings::load(&sources).unwrap().listen.public.port(), 2);
    sources.flags.push(("listen.public".into(), "127.0.0.1:3".into()));
    let settings = Settings::load(&sources).unwrap();
    assert_eq!((settings.listen.public.port(), settings.database.max_connections), (3, 3));
}

// D23 D24 D25
#[test]
fn each_environment_has_its_schema() {
    for (name, schema) in
        [("prod", "storage_drr"), ("staging", "storage_drr_staging"), ("dev", "storage_drr_dev")]
    {
        let settings = Settings::load(&environment(&[("DRR_ENVIRONMENT", name)])).unwrap();
        assert_eq!(settings.environment.schema(), schema);
    }
}

#[test]
fn short_names_and_numbers_that_look_like_texts() {
    let settings = Settings::load(&environment(&[
        ("DRR_PG_BIN", "/usr/lib/postgresql/17/bin"),
        ("DRR_DATA_DIR", "/srv/drr"),
        ("DRR_AUTH__ISSUER", "12345"),
        ("DRR_AUTH__AUDIENCE", "true"),
        ("DRR_AUTH__JWKS_URL", "https://id.example/jwks"),
        ("DRR_CONFIG_UNRELATED", ""),
    ]));
    assert!(settings.unwrap_err().to_string().contains("config_unrelated"));
    let settings = Settings::load(&environment(&[
        ("DRR_PG_BIN", "/usr/lib/postgresql/17/bin"),
        ("DRR_DATA_DIR", "/srv/drr"),
        ("DRR_AUTH__ISSUER", "12345"),
        ("DRR_AUTH__AUDIENCE", "true"),
        ("DRR_AUTH__JWKS_URL", "https://id.example/jwks"),
        ("PATH", "/bin"),
    ]))
    .unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("/srv/drr"));
    let auth = settings.require_auth().unwrap();
    assert_eq!((auth.issuer.as_str(), auth.audience.as_str()), ("12345", "true"));
    assert!(settings.postgres_bin.is_some());
}

#[test]
fn unknown_names_are_refused_by_name_and_place() {
    for (sources, name, place) in [
        (environment(&[("DRR_LIMITS__BODY", "1")]), "limits.body", "DRR_LIMITS__BODY"),
        (environment(&[("DRR_LISTEN", "x")]), "listen", "DRR_LISTEN"),
    ] {
        let message = refused(&sources);
        assert!(message.contains(name) && message.contains(place), "{message}");
    }
    let (path, sources) = file("[limits]\nheader_bites = 1\n");
    let message = refused(&sources);
    assert!(message.contains("`limits.header_bites`"), "{message}");
    assert!(message.contains(path.path().to_str().unwrap()), "{message}");
    let mut sources = environment(&[]);
    sources.flags.push(("listen.publik".into(), "x".into()));
    assert!(refused(&sources).contains("listen.publik"));
}

#[test]
fn values_out_of_bounds_are_refused_with_what_is_allowed() {
    for (variable, text, allowed) in [
        ("DRR_ENVIRONMENT", "production", "one of prod, staging, dev"),
        ("DRR_LISTEN__PUBLIC", "8080", "an address and port"),
        ("DRR_DATABASE__MAX_CONNECTIONS", "0", "from 1 to 1000"),
        ("DRR_DATABASE__MAX_CONNECTIONS", "many", "from 1 to 1000"),
        ("DRR_DATABASE_URL", "mysql://h/d", "a PostgreSQL address"),
        ("DRR_DATA_DIR", " ", "a path"),
        ("DRR_AUTH__LEEWAY_SECONDS", "31", "from 0 to 30"),
        ("DRR_AUTH__JWKS_URL", "http://id.example/jwks", "https://"),
        ("DRR_AUTH__PSEUDONYM_KEY", "short", "at least 32 bytes"),
        ("DRR_LIMITS__HEADER_BYTES", "-1", "from 8192"),
        ("DRR_LOG__FORMAT", "xml", "one of json, text"),
        ("DRR_LOG__FILTER", "drr=loud", "tracing directives"),
    ] {
        let message = refused(&environment(&[(variable, text)]));
        assert!(message.contains(allowed) && message.contains(variable), "{message}");
    }
    for text in ["[database]\nmax_connections = 1.5", "[listen]\npublic = ['127.0.0.1:1']"] {
        assert!(refused(&file(text).1).contains("must be"), "{text}");
    }
}

#[test]
fn identity_settings_come_whole() {
    let issuer = ("DRR_AUTH__ISSUER", "i");
    let audience = ("DRR_AUTH__AUDIENCE", "a");
    let key_file = ("DRR_AUTH__JWKS_FILE", "/k");
    let url = ("DRR_AUTH__JWKS_URL", "https://h/k");
    assert!(refused(&environment(&[issuer, audience])).contains("auth.jwks_file"));
    assert!(refused(&environment(&[issuer, key_file])).contains("auth.audience"));
    assert!(refused(&environment(&[audience, key_file])).contains("auth.issuer"));
    let both = refused(&environment(&[issuer, audience, key_file, url]));
    assert!(both.contains("DRR_AUTH__JWKS_FILE") && both.contains("DRR_AUTH__JWKS_URL"), "{both}");
}

#[test]
fn settings_that_exclude_each_other() {
    let twice = [("DRR_LISTEN__PUBLIC", "127.0.0.1:9"), ("DRR_LISTEN__INTERNAL", "127.0.0.1:9")];
    assert!(refused(&environment(&twice)).contains("exclude each other"));
    let chosen = [("DRR_LISTEN__PUBLIC", "127.0.0.1:0"), ("DRR_LISTEN__INTERNAL", "127.0.0.1:0")];
    assert!(Settings::load(&environment(&chosen)).is_ok());
    let urls = [("DRR_DATABASE_URL", "postgres://u@h/d"), ("DRR_DATABASE_URL_FILE", "/x")];
    assert!(refused(&environment(&urls)).contains("exclude each other"));
    let orphan = [("DRR_DATABASE_MIGRATION_URL", "postgres://u@localhost/d")];
    assert!(refused(&environment(&orphan)).contains("database.url"));
}

// S8 D26
#[test]
fn a_secret_in_the_wrong_place_is_refused_and_not_shown() {
    let url = format!("postgres://u:{PASSWORD}@h/d");
    for text in [
        format!("[database]\nurl = '{url}'"),
        format!("[database]\nmigration_url = 'postgres://u@h/d?password={PASSWORD}'"),
        format!("[auth]\npseudonym_key = '{PASSWORD}'"),
    ] {
        let (path, sources) = file(&text);
        let message = refused(&sources);
        assert!(message.contains("holds a secret"), "{message}");
        assert!(message.contains(path.path().to_str().unwrap()), "{message}");
        assert!(!message.contains(PASSWORD), "{message}");
    }
    let mut sources = environment(&[]);
    sources.flags.push(("database.url".into(), url));
    let message = refused(&sources);
    assert!(message.contains("a flag") && !message.contains(PASSWORD), "{message}");
    let (_file, sources) = file("[database]\nurl = 'postgres://u@h/d?sslmode=verify-full'");
    assert!(Settings::load(&sources).unwrap().database.url.is_some());
}

// D29
#[test]
fn a_broken_file_is_not_quoted() {
    let (_file, sources) = file(&format!("[database]\nurl = 'postgres://u:{PASSWORD}@h/d"));
    let message = refused(&sources);
    assert!(message.contains("not valid TOML") && !message.contains(PASSWORD), "{message}");
}

#[test]
fn secrets_are_read_from_files_of_their_own() {
    let (secret, _) = file(&format!("postgres://u:{PASSWORD}@h:7/d?sslmode=verify-full\n"));
    let path = secret.path().to_str().unwrap();
    let settings = Settings::load(&environment(&[("DRR_DATABASE_URL_FILE", path)])).unwrap();
    let options = settings.database.url.unwrap().connect_options().unwrap();
    assert_eq!((options.get_port(), options.get_host()), (7, "h"));
    let (key, _) = file(&format!("{PASSWORD}\r\n"));
    let path = key.path().to_str().unwrap();
    let settings = Settings::load(&environment(&[("DRR_AUTH__PSEUDONYM_KEY_FILE", path)])).unwrap();
    assert_eq!(settings.pseudonym_key.unwrap().expose(), PASSWORD);
    let (short, _) = file("short\n");
    let path = short.path().to_str().unwrap();
    let message = refused(&environment(&[("DRR_AUTH__PSEUDONYM_KEY_FILE", path)]));
    assert!(message.contains("32 bytes") && !message.contains("short\n"), "{message}");
    let missing = refused(&environment(&[("DRR_DATABASE_URL_FILE", "/does/not/exist")]));
    assert!(
        missing.contains("database.url_file") && missing.contains("/does/not/exist"),
        "{missing}"
    );
    let (_file, mut sources) = file("");
    sources.file = Some("/does/not/exist.toml".into());
    assert!(refused(&sources).contains("/does/not/exist.toml"));
}

// D29
#[test]
fn no_way_of_printing_shows_a_secret() {
    let url = format!("postgres://u:{PASSWORD}@h/d?sslmode=verify-full");
    let sources = environment(&[("DRR_DATABASE_URL", &url), ("DRR_AUTH__PSEUDONYM_KEY", PASSWORD)]);
    let settings = Settings::load(&sources).unwrap();
    let check = Settings::check(&sources).unwrap();
    for shown in [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        serde_json::to_string(&settings).unwrap(),
        check.clone(),
    ] {
        assert!(shown.contains(MASK) && !shown.contains(PASSWORD), "{shown}");
    }
    assert!(
        check.contains(
            "database.url = postgres://u:****@h/d?sslmode=verify-full  (DRR_DATABASE_URL)"
        ),
        "{check}"
    );
    assert!(check.contains("auth.pseudonym_key = ****  (DRR_AUTH__PSEUDONYM_KEY)"), "{check}");
    assert!(check.contains("listen.public = 127.0.0.1:8080  (default)"), "{check}");
    assert!(check.contains("auth.issuer is not set"), "{check}");
}
