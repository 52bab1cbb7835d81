//! The house stands as its map says (`src/lib.rs`): reads the sources, and fails on an arrow that is
//! not on the map. Each rule brings an example that it must find, so that none of them sleeps.

use std::{collections::BTreeSet, path::Path};

const FEATURES: [&str; 10] = [
    "audit",
    "breach",
    "change",
    "dataset",
    "evidence",
    "freshness",
    "history",
    "lineage",
    "refresh",
    "schema",
];
const LONGEST: usize = 600;

/// Every file of Rust below these folders, by its path from the root of the repository.
fn files(folders: &[&str]) -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        walk(root, &root.join(folder), &mut found);
    }
    found
}

/// Every source of the program, without its tests.
pub fn sources() -> Vec<(String, String)> {
    let mut found = files(&["src", "entity/src", "migration/src"]);
    found.retain(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"));
    assert!(found.len() > 80, "the sources are somewhere else");
    found
}

/// What a rule looks at: one file without its comments, texts and tests.
struct Source {
    path: String,
    words: Vec<String>,
    /// Every path in it, `use` trees spread and `super` and `self` led back to `crate`.
    paths: BTreeSet<String>,
}

impl Source {
    fn read(path: &str, text: &str) -> Self {
        let words = words(text.split("#[cfg(test)]").next().unwrap());
        let paths = spread(&words).into_iter().map(|named| absolute(path, &named)).collect();
        Self { path: path.to_owned(), words, paths }
    }

    fn is(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    /// The feature that it belongs to.
    fn feature(&self) -> Option<&'static str> {
        let within = self.path.strip_prefix("src/")?.split('/').next()?;
        FEATURES.into_iter().find(|feature| *feature == within)
    }

    fn is_model(&self) -> bool {
        self.feature().is_some() && (self.file() == "model.rs" || self.path.contains("/model/"))
    }

    /// Where a feature meets the graph.
    fn is_graph(&self) -> bool {
        self.feature().is_some()
            && (self.file().ends_with("graphql.rs")
                || ["mutation.rs", "query.rs"].contains(&self.file()))
    }

    fn paths_to(&self, forbidden: &[&str]) -> Vec<String> {
        self.paths
            .iter()
            .filter(|path| forbidden.iter().any(|prefix| leads_to(path, prefix)))
            .cloned()
            .collect()
    }

    fn words_in(&self, forbidden: &[&str]) -> Vec<String> {
        self.words.iter().filter(|word| forbidden.contains(&word.as_str())).cloned().collect()
    }
}

fn leads_to(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The words and signs of a source, without comments, texts and characters.
fn words(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|char| {
                let ends = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest.find("\"'").unwrap() + 2
        } else if rest.starts_with("'\\\"'") {
            4
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let word = &rest[..length];
        if !first.is_whitespace()
            && first != '"'
            && !word.starts_with("//")
            && !word.starts_with("r#")
        {
            found.push(word.to_owned());
        }
        rest = &rest[length..];
    }
    found
}

/// Every path of two segments or more, and everything that is used.
fn spread(words: &[String]) -> Vec<Vec<String>> {
    let name = |word: &str| word.starts_with(|first: char| first.is_alphabetic() || first == '_');
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        // `impl Trait + use<'a>` uses nothing.
        if words[at] == "use" && words.get(at + 1).is_some_and(|word| word != "<") {
            at = tree(words, at + 1, &[], &mut found);
            continue;
        }
        let mut path = Vec::new();
        while at < words.len() && name(&words[at]) {
            path.push(words[at].clone());
            if words.get(at + 1).is_none_or(|sign| sign != "::") {
                break;
            }
            at += 2;
        }
        if path.len() > 1 {
            found.push(path);
        }
        at += 1;
    }
    found
}

/// One tree of a `use`: adds its leaves, and gives the place after it.
fn tree(words: &[String], mut at: usize, above: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = above.to_vec();
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| word != "}") {
                    at = tree(words, at, &path, found);
                    at += usize::from(words.get(at).is_some_and(|word| word == ","));
                }
                return at + 1;
            }
            "as" => at += 2,
            "," | "}" | ";" => break,
            "self" if !path.is_empty() => at += 1,
            name => {
                path.push(name.to_owned());
                at += 1;
            }
        }
    }
    found.push(path);
    at
}

fn absolute(file: &str, named: &[String]) -> String {
    let within = file.split_once("src/").map_or(file, |(_, within)| within).trim_end_matches(".rs");
    let mut module: Vec<&str> = within.split('/').collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(last)) {
        module.pop();
    }
    let mut rest = named;
    let mut base = Vec::new();
    match named.first().map(String::as_str) {
        Some("crate") => (base, rest) = (vec!["crate"], &named[1..]),
        Some("self" | "super") => {
            while let Some(first @ ("self" | "super")) = rest.first().map(String::as_str) {
                if first == "super" {
                    module.pop();
                }
                rest = &rest[1..];
            }
            base = [vec!["crate"], module].concat();
        }
        _ => {}
    }
    base.extend(rest.iter().map(String::as_str));
    base.join("::")
}

/// One rule of the house.
struct Rule {
    name: &'static str,
    /// What breaks it in a source.
    broken_by: fn(&Source) -> Vec<String>,
    /// Sources that break it, and one that comes close and does not.
    broken: &'static [(&'static str, &'static str)],
    kept: (&'static str, &'static str),
}

fn when(applies: bool, broken: impl FnOnce() -> Vec<String>) -> Vec<String> {
    if applies { broken() } else { Vec::new() }
}

/// The arrows between features: through the loader or the model, and where features meet the graph,
/// through each other's types there. The audit trail is for all of them.
fn other_features(source: &Source) -> Vec<String> {
    let Some(own) = source.feature() else { return Vec::new() };
    let others = FEATURES.into_iter().filter(|other| *other != own && *other != "audit");
    let reached = others.flat_map(|other| {
        let doors = ["loader", "model", if source.is_graph() { "graphql" } else { "loader" }];
        let doors = doors.map(|door| format!("crate::{other}::{door}"));
        let leads = source.paths_to(&[&format!("crate::{other}")]);
        leads.into_iter().filter(move |path| !doors.iter().any(|door| leads_to(path, door)))
    });
    reached.collect()
}

fn impure_model(source: &Source) -> Vec<String> {
    let pure = |path: &str| {
        ["crate::error", "crate::wire", "crate::auth"].iter().any(|base| leads_to(path, base))
            || FEATURES.iter().any(|feature| leads_to(path, &format!("crate::{feature}::model")))
    };
    let local = source.paths_to(&["crate"]).into_iter().filter(|path| !pure(path));
    local.chain(source.paths_to(&["sea_orm", "sqlx", "async_graphql", "axum", "entity"])).collect()
}

/// The routes that have a feature to themselves: those that take reports in, the ledger's files, and what clients
/// of another registry know. A folder ends with a slash.
const OWN_ROUTES: &[(&str, &str)] = &[
    ("src/http/lineage.rs", "refresh"),
    ("src/http/dbt_sources.rs", "refresh"),
    ("src/http/rest/refresh_state.rs", "refresh"),
    ("src/http/evidence.rs", "evidence"),
    ("src/http/confluent/", "schema"),
];

const ABOVE_FEATURES: &[&str] = &["crate::http", "crate::app", "crate::cli"];

const RULES: &[Rule] = &[
    Rule {
        name: "a model is pure: no database, no GraphQL, no other layer",
        broken_by: |source| when(source.is_model(), || impure_model(source)),
        broken: &[
            ("src/dataset/model.rs", "use sea_orm::DbErr;"),
            ("src/dataset/model/name.rs", "#[derive(async_graphql::Enum)] enum E {}"),
            ("src/dataset/model/name.rs", "use crate::{error::Error, call::Call};"),
            ("src/dataset/model/name.rs", "use super::super::repository::Record;"),
        ],
        kept: (
            "src/dataset/model/name.rs",
            "use super::urn::Urn; use crate::{auth::TenantId, refresh::model::Run}; // sea_orm::DbErr",
        ),
    },
    Rule {
        name: "a feature knows nothing of HTTP, of the composition and of the command line",
        broken_by: |source| when(source.feature().is_some(), || source.paths_to(ABOVE_FEATURES)),
        broken: &[
            ("src/dataset/graphql.rs", "use crate::{call::Call, http::{self, Problem}};"),
            ("src/audit/trail.rs", "fn f() { super::super::app::App::start() }"),
        ],
        kept: (
            "src/dataset/graphql.rs",
            "use axum::http; use crate::call; const S: &str = \"crate::http::Problem\";",
        ),
    },
    Rule {
        name: "a feature reaches another through its loader or its model, or where both meet the graph",
        broken_by: other_features,
        broken: &[
            ("src/refresh/record.rs", "use crate::dataset::{model::Urn, repository::Record};"),
            ("src/refresh/record.rs", "use crate::dataset::graphql::Dataset;"),
            ("src/refresh/graphql.rs", "use crate::dataset::command;"),
        ],
        kept: (
            "src/refresh/mutation.rs",
            "use crate::{audit::trail, dataset::{graphql::Dataset, loader::Ids}}; use super::record;",
        ),
    },
    Rule {
        name: "the database knows the caller, and nothing above",
        broken_by: |source| {
            when(source.is("src/db/"), || {
                let known = ["crate::auth", "crate::clock", "crate::db", "crate::error"];
                let local = source.paths_to(&["crate"]).into_iter();
                local.filter(|path| !known.iter().any(|base| leads_to(path, base))).collect()
            })
        },
        broken: &[
            ("src/db/pool.rs", "use crate::dataset::model::Urn;"),
            ("src/db/mod.rs", "use super::graphql;"),
            ("src/db/tenant.rs", "fn f(call: &crate::call::Call) {}"),
        ],
        kept: (
            "src/db/pool.rs",
            "use super::tenant::TenantDb; use crate::{auth::Principal, error::Error};",
        ),
    },
    Rule {
        name: "the cache knows the caller and the database's commits, and nothing above",
        broken_by: |source| {
            when(source.is("src/cache/"), || {
                let known =
                    ["crate::auth", "crate::cache", "crate::clock", "crate::db", "crate::error"];
                let local = source.paths_to(&["crate"]).into_iter();
                local.filter(|path| !known.iter().any(|base| leads_to(path, base))).collect()
            })
        },
        broken: &[("src/cache/answers.rs", "use crate::call::Call;")],
        kept: ("src/cache/news.rs", "use super::stamps::Stamps; use crate::db::Observer;"),
    },
    Rule {
        name: "who is calling is known without the database, the features and HTTP",
        broken_by: |source| {
            when(source.is("src/auth/"), || {
                let known = ["crate::auth", "crate::clock", "crate::error", "crate::outbound"];
                let local = source.paths_to(&["crate"]).into_iter();
                local.filter(|path| !known.iter().any(|base| leads_to(path, base))).collect()
            })
        },
        broken: &[("src/auth/verifier.rs", "use crate::db::Db;")],
        kept: (
            "src/auth/verifier.rs",
            "use super::jwks::KeySource; use crate::clock::SharedClock;",
        ),
    },
    Rule {
        name: "the tables are nothing but tables",
        broken_by: |source| {
            when(source.is("entity/"), || source.paths_to(&["crate", "drr", "migration"]))
        },
        broken: &[
            ("entity/src/run.rs", "use crate::run_event;"),
            ("entity/src/run.rs", "use drr::db::Db;"),
        ],
        kept: ("entity/src/run.rs", "use sea_orm::entity::prelude::*;"),
    },
    Rule {
        name: "HTTP meets the features in the graph; what pipelines report and the ledger's files have routes of their own; audit is for all",
        broken_by: |source| {
            when(source.is("src/http/"), || {
                let features = FEATURES.iter().filter(|feature| **feature != "audit");
                let own = |feature: &str| {
                    let here = |of: &str| source.path == of || of.ends_with('/') && source.is(of);
                    OWN_ROUTES.iter().any(|(of, known)| here(of) && *known == feature)
                };
                let features = features.filter(|feature| !own(feature));
                features
                    .flat_map(|feature| source.paths_to(&[&format!("crate::{feature}")]))
                    .collect()
            })
        },
        broken: &[
            ("src/http/subgraph.rs", "use crate::dataset::loader::Datasets;"),
            ("src/http/lineage.rs", "use crate::dataset::loader::Datasets;"),
            ("src/http/rest/runs.rs", "use crate::refresh::loader::RunPages;"),
            ("src/http/confluent/ids.rs", "use crate::dataset::loader::Datasets;"),
            ("src/http/lineage.rs", "use crate::schema::repository::Record;"),
        ],
        kept: ("src/http/lineage.rs", "use crate::{audit::Record, refresh::record};"),
    },
    Rule {
        name: "where a feature meets the graph there is no SQL",
        broken_by: |source| {
            when(source.is_graph(), || {
                let words = ["Statement", "query_sql", "execute_sql", "query_all_raw", "TenantTx"];
                [source.paths_to(&["sea_orm", "sqlx", "entity"]), source.words_in(&words)].concat()
            })
        },
        broken: &[
            ("src/dataset/graphql.rs", "use sea_orm::EntityTrait;"),
            ("src/refresh/mutation.rs", "tx.query_sql(SQL, [])"),
        ],
        kept: (
            "src/dataset/graphql.rs",
            "/// No Statement here.\nlet tx = call.db().read().await?;",
        ),
    },
    Rule {
        name: "a nullable field fails alone: `Nullable`, or it takes its parent with it",
        broken_by: |source| {
            when(source.is_graph() || source.file().ends_with("graphql.rs"), || {
                let functions = source.words.split(|word| word == "fn").skip(1);
                let heads = functions.map(|function| {
                    let head = function.iter().take_while(|word| *word != "{");
                    head.map(String::as_str).collect::<Vec<_>>()
                });
                heads
                    .filter(|head| {
                        let has = |words: &[&str]| head.windows(words.len()).any(|at| at == words);
                        has(&["&", "self"]) && has(&[">", "Result", "<", "Option", "<"])
                    })
                    .map(|head| head.join(" "))
                    .collect()
            })
        },
        broken: &[
            ("src/dataset/graphql.rs", "async fn f(&self) -> Result<Option<i32>> { g() }"),
            ("src/breach/mutation.rs", "async fn f(&self, a: A) -> Result<Option<B>> { g() }"),
        ],
        kept: (
            "src/breach/graphql.rs",
            "async fn f(c: &C) -> Result<Option<B>> { g() } async fn h(&self) -> Nullable<B> { i() }",
        ),
    },
    Rule {
        name: "connections are the database's own; the settings know how to reach it",
        broken_by: |source| {
            when(source.is("src/") && !source.is("src/db/") && !source.is("src/config/"), || {
                [
                    source.paths_to(&["sqlx", "sqlx_core"]),
                    source.words_in(&["PgConnection", "PgPool"]),
                ]
                .concat()
            })
        },
        broken: &[
            ("src/cli/seed.rs", "use sqlx::Connection;"),
            ("src/dataset/page.rs", "fn f(c: &mut PgConnection) {}"),
        ],
        kept: ("src/db/pool.rs", "use sqlx::PgPool;"),
    },
    Rule {
        name: "the one unsafe block is in the hook before exec",
        broken_by: |source| {
            when(source.path != "src/db/embedded/parent_death.rs", || source.words_in(&["unsafe"]))
        },
        broken: &[
            ("src/clock.rs", "fn f() { unsafe { g() } }"),
            ("entity/src/run.rs", "unsafe impl Send for A {}"),
        ],
        kept: ("src/clock.rs", "#![deny(unsafe_code)] // unsafe"),
    },
    Rule {
        name: "only the clock asks the machine for the time",
        broken_by: |source| {
            when(source.path != "src/clock.rs", || {
                let asked = source
                    .paths
                    .iter()
                    .filter(|path| path.ends_with("Utc::now") || path.ends_with("Local::now"));
                asked.cloned().chain(source.paths_to(&["std::time::SystemTime"])).collect()
            })
        },
        broken: &[
            ("src/call.rs", "let now = chrono::Utc::now();"),
            ("migration/src/lib.rs", "let now = Utc::now();"),
            ("src/call.rs", "use std::{time::{Duration, SystemTime}};"),
        ],
        kept: ("src/telemetry.rs", "use tracing_subscriber::fmt::time::SystemTime as UtcTime;"),
    },
];

#[test]
fn no_arrow_that_is_not_on_the_map() {
    let sources: Vec<_> = sources().iter().map(|(path, text)| Source::read(path, text)).collect();
    let mut broken = Vec::new();
    for rule in RULES {
        for source in &sources {
            let found = (rule.broken_by)(source);
            broken.extend(
                found.into_iter().map(|by| format!("{}: {by} ({})", source.path, rule.name)),
            );
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_rule_finds_what_breaks_it() {
    for rule in RULES {
        for (path, text) in rule.broken {
            let source = Source::read(path, text);
            assert!(!(rule.broken_by)(&source).is_empty(), "{}: {path}: {text}", rule.name);
        }
        let source = Source::read(rule.kept.0, rule.kept.1);
        assert_eq!((rule.broken_by)(&source), Vec::<String>::new(), "{}", rule.name);
    }
}

#[test]
fn every_file_is_short_enough_to_be_read() {
    let files = files(&["src", "entity/src", "migration/src", "tests/it"]);
    let too_long = files.iter().map(|(path, text)| (text.lines().count(), path));
    let too_long: Vec<_> = too_long.filter(|(lines, _)| *lines >= LONGEST).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn use_trees_are_spread_and_led_back_to_the_root() {
    let code = "use super::{self as up, page::{Filter, Ranked as R}, *}; use self::a::b;
                use std::fmt; fn f() { crate::x::y::<u8>(\"crate::no\", '\"', r#\"crate::no\"#) }
                fn g<'a>(of: &'a str) -> impl Fn() + use<'a> { move || { of; } }
                // crate::no\nuse crate::z;\n#[cfg(test)] mod tests { use crate::no; }";
    let source = Source::read("src/dataset/model/name.rs", code);
    let paths: Vec<_> = source.paths.iter().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "crate::dataset::model",
            "crate::dataset::model::*",
            "crate::dataset::model::name::a::b",
            "crate::dataset::model::page::Filter",
            "crate::dataset::model::page::Ranked",
            "crate::x::y",
            "crate::z",
            "std::fmt",
        ]
    );
}
