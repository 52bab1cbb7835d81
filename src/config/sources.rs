//! Where settings come from: defaults ← file ← environment ← flags, the later one winning.
//!
//! Every layer is checked on its own, so that a message names the very file or variable to mend.

use std::{collections::BTreeMap, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    util::nest,
    value::{Dict, Map, Value},
};

use super::{
    ConfigError,
    keys::{self, KEYS, Kind},
    secret,
};

const PREFIX: &str = "DRR_";
/// Names the file itself, so it is no setting.
const FILE_VARIABLE: &str = "DRR_CONFIG";

/// Everything that a configuration is made of. A test fills it in by hand; the program calls
/// [`Sources::from_process`].
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `DRR_` are ignored.
    pub environment: BTreeMap<String, String>,
    /// Settings from the command line, as dotted name and text.
    pub flags: Vec<(String, String)>,
    /// The folder for data when none is set.
    pub default_data_dir: PathBuf,
}

impl Sources {
    /// The process's own environment; `file` from `--config`, else from `DRR_CONFIG`.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = file.or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
        let default_data_dir = default_data_dir(rustix::process::geteuid().is_root(), &environment);
        Self { file, environment, flags, default_data_dir }
    }

    /// Lays the sources over each other.
    pub(super) fn resolve(&self) -> Result<Resolved, ConfigError> {
        let mut figment = Figment::new();
        for key in KEYS {
            if let Some(text) = key.default {
                figment = figment.merge(Layer::new("default", key.name, text));
            }
        }
        let data_dir = self.default_data_dir.to_string_lossy();
        figment = figment.merge(Layer::new("default", "data_dir", &data_dir));
        for layer in self.file_layers()?.into_iter().chain(self.environment_layers()?) {
            figment = figment.merge(layer);
        }
        for (name, text) in &self.flags {
            figment = figment.merge(checked("a flag", name, text, Trust::Visible)?);
        }
        Ok(Resolved(figment))
    }

    fn file_layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let Some(path) = &self.file else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            key: "the configuration file".into(),
            path: path.clone(),
            source,
        })?;
        // The parser's own message quotes the line, and a secret may stand in it.
        let parsed: Dict = Figment::from(Toml::string(&text)).extract().map_err(|error| {
            let message = error.to_string();
            let position = message.lines().next().unwrap_or_default().to_owned();
            ConfigError::Malformed { path: path.clone(), position }
        })?;
        let mut leaves = Vec::new();
        flatten("", &parsed, &mut leaves);
        let origin = path.display().to_string();
        leaves
            .into_iter()
            .map(|(name, text)| match text {
                Some(text) => checked(&origin, &name, &text, Trust::Visible),
                None => Err(invalid_or_unknown(&origin, &name)),
            })
            .collect()
    }

    fn environment_layers(&self) -> Result<Vec<Layer>, ConfigError> {
        self.environment
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX) && *name != FILE_VARIABLE)
            .map(|(variable, text)| {
                let short = KEYS.iter().find(|key| key.short == Some(variable.as_str()));
                let name = short.map_or_else(|| dotted(variable), |key| key.name.to_owned());
                checked(variable, &name, text, Trust::Private)
            })
            .collect()
    }
}

/// The settings after all sources, as texts, each with its origin.
#[derive(Debug)]
pub(super) struct Resolved(Figment);

impl Resolved {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.find_value(name).ok()?.into_string()
    }

    pub(super) fn origin(&self, name: &str) -> String {
        self.0
            .find_metadata(name)
            .map_or_else(|| "default".to_owned(), |metadata| metadata.name.clone().into_owned())
    }
}

/// Who else can read a source.
#[derive(Clone, Copy, PartialEq)]
enum Trust {
    /// A file in a repository, a command line in the process list.
    Visible,
    /// The environment of the process.
    Private,
}

fn checked(origin: &str, name: &str, text: &str, trust: Trust) -> Result<Layer, ConfigError> {
    let Some(key) = keys::find(name) else { return Err(invalid_or_unknown(origin, name)) };
    let secret = match key.kind {
        Kind::Secret(_) => true,
        Kind::DatabaseUrl | Kind::RedisUrl => secret::carries_password(text),
        _ => false,
    };
    if secret && trust == Trust::Visible {
        return Err(ConfigError::MisplacedSecret { key: name.into(), origin: origin.into() });
    }
    if !key.accepts(text) {
        return Err(invalid_or_unknown(origin, name));
    }
    Ok(Layer::new(origin, name, text))
}

/// The message about a value that does not fit, or about a name that is not in the table.
pub(super) fn invalid_or_unknown(origin: &str, name: &str) -> ConfigError {
    match keys::find(name) {
        Some(key) => {
            ConfigError::Invalid { key: name.into(), origin: origin.into(), allowed: key.allowed() }
        }
        None => ConfigError::UnknownKey { key: name.into(), origin: origin.into() },
    }
}

/// `DRR_DATABASE__MAX_CONNECTIONS` → `database.max_connections`.
fn dotted(variable: &str) -> String {
    variable.trim_start_matches(PREFIX).to_lowercase().replace("__", ".")
}

/// The leaves of a file, a value that cannot be a setting's as `None`.
fn flatten(prefix: &str, dict: &Dict, leaves: &mut Vec<(String, Option<String>)>) {
    for (name, value) in dict {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) => flatten(&path, inner, leaves),
            Value::String(_, text) => leaves.push((path, Some(text.clone()))),
            number => {
                let whole = number.to_i128().map(|number| number.to_string());
                leaves.push((
                    path,
                    whole.or_else(|| number.to_u128().map(|number| number.to_string())),
                ));
            }
        }
    }
}

fn default_data_dir(root: bool, environment: &BTreeMap<String, String>) -> PathBuf {
    if root {
        return PathBuf::from("/var/lib/drr");
    }
    let folder =
        |name: &str| environment.get(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("drr")
}

/// One setting from one place.
#[derive(Debug)]
struct Layer {
    origin: String,
    name: String,
    text: String,
}

impl Layer {
    fn new(origin: &str, name: &str, text: &str) -> Self {
        Self { origin: origin.into(), name: name.into(), text: text.into() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = nest(&self.name, Value::from(self.text.clone()));
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_where_the_user_may_write() {
        let environment = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
        };
        let home = environment(&[("HOME", "/home/u")]);
        let both = environment(&[("HOME", "/home/u"), ("XDG_DATA_HOME", "/data")]);
        assert_eq!(default_data_dir(true, &home), PathBuf::from("/var/lib/drr"));
        assert_eq!(default_data_dir(false, &home), PathBuf::from("/home/u/.local/share/drr"));
        assert_eq!(default_data_dir(false, &both), PathBuf::from("/data/drr"));
    }
}
