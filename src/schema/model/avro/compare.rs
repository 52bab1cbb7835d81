//! Whether one schema reads what another wrote: the specification's schema resolution, with all
//! differences and not only the first.
//!
//! Pairs of a reader's and a writer's type are worked off from a list, each once, so that types that
//! hold themselves end and nothing goes down the stack. A difference is told at the reader's type
//! where its text writes it out, however many ways lead there.
//!
//! | rule | verdict | |
//! |---|---|---|
//! | `TYPE_MISMATCH` | INCOMPATIBLE | no promotion leads from the writer's type to the reader's |
//! | `NAME_MISMATCH` | INCOMPATIBLE | records, enums or fixed with other names, and no alias |
//! | `FIXED_SIZE_MISMATCH` | INCOMPATIBLE | |
//! | `MISSING_ENUM_SYMBOLS` | INCOMPATIBLE | the reader lacks symbols, and has no default |
//! | `MISSING_UNION_BRANCH` | INCOMPATIBLE | no type of the reader's union reads what was written |
//! | `READER_FIELD_MISSING_DEFAULT_VALUE` | INCOMPATIBLE | the writer has no such field |
//! | `DECIMAL_MISMATCH` | INCOMPATIBLE | another scale, or fewer digits |
//! | `DECIMAL_PRECISION_WIDENED` | UNKNOWN | by the specification no match; libraries do read it |
//! | `LOGICAL_TYPE_CHANGED` | UNKNOWN | it is read, and means something else |
//! | `LOGICAL_TYPE_ADDED` | UNKNOWN | for uuid, decimal: values may not be ones; else a note |
//! | `ALIAS_AMBIGUOUS` | UNKNOWN | two fields of the reader claim one of the writer's |
//! | `TOO_MUCH_WORK` | UNKNOWN | the comparison was not finished |
//! | `TOO_MANY_DIFFERENCES` | theirs | there are more of a verdict than are told |
//! | `LOGICAL_TYPE_REMOVED`, `TYPE_PROMOTED`, `TYPE_RENAMED`, `NAMESPACE_CHANGED`, `FIELD_ADDED`, `FIELD_REMOVED`, `FIELD_RENAMED`, `DEFAULT_CHANGED`, `ENUM_SYMBOLS_ADDED`, `ENUM_SYMBOLS_READ_AS_DEFAULT`, `UNION_BRANCH_ADDED` | COMPATIBLE | notes |

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::{
    super::{
        differences::Differences,
        verdict::{Budget, Comparison, Exhausted, Verdict},
    },
    AvroSchema, Field, Kind, Name, Node, NodeId,
    logical::Logical,
};

/// The most names that one message lists.
const MAX_LISTED: usize = 20;

/// What keeps `reader` from reading what `writer` wrote, and what differs besides.
#[must_use]
pub fn compare(reader: &AvroSchema, writer: &AvroSchema, budget: &mut Budget) -> Comparison {
    let mut walk = Walk {
        reader,
        writer,
        budget,
        found: Differences::default(),
        seen: HashSet::new(),
        todo: VecDeque::new(),
    };
    walk.later(reader.root, writer.root);
    if walk.all().is_err() {
        walk.found.too_much_work();
    }
    walk.found.into()
}

struct Walk<'a, 'b> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    budget: &'b mut Budget,
    found: Differences,
    seen: HashSet<(NodeId, NodeId)>,
    todo: VecDeque<(NodeId, NodeId)>,
}

impl<'a> Walk<'a, '_> {
    fn later(&mut self, reader: NodeId, writer: NodeId) {
        if self.seen.insert((reader, writer)) {
            self.todo.push_back((reader, writer));
        }
    }

    fn all(&mut self) -> Result<(), Exhausted> {
        while let Some((reader, writer)) = self.todo.pop_front() {
            self.budget.step()?;
            self.pair(reader, writer)?;
        }
        Ok(())
    }

    fn pair(&mut self, reader: NodeId, writer: NodeId) -> Result<(), Exhausted> {
        let (read, written) = (self.reader.node(reader), self.writer.node(writer));
        match (&read.kind, &written.kind) {
            (Kind::Union(branches), Kind::Union(written)) => {
                return self.union(read, branches, written);
            }
            (Kind::Union(branches), _) => return self.union(read, branches, &[writer]),
            (_, Kind::Union(written)) => {
                written.iter().for_each(|written| self.later(reader, *written));
                return Ok(());
            }
            (Kind::Array(items), Kind::Array(written)) => self.later(*items, *written),
            (Kind::Map(values), Kind::Map(written)) => self.later(*values, *written),
            (Kind::Record(_), Kind::Record(_))
            | (Kind::Enum { .. }, Kind::Enum { .. })
            | (Kind::Fixed(_), Kind::Fixed(_)) => return self.named(read, written),
            (kind, from) if kind.as_str() == from.as_str() => {}
            (kind, from) => match promotion(kind, from) {
                Some(note) => {
                    let message = format!("{written} is read as {read}{note}");
                    self.found.tell(&read.path, "TYPE_PROMOTED", Verdict::Compatible, message);
                }
                None => {
                    let message = format!("{read} cannot be read from {written}");
                    self.found.tell(&read.path, "TYPE_MISMATCH", Verdict::Incompatible, message);
                    return Ok(());
                }
            },
        }
        self.logical(read, written);
        Ok(())
    }

    fn named(&mut self, read: &'a Node, written: &'a Node) -> Result<(), Exhausted> {
        match Match::of(read, written) {
            None => {
                let message = format!("{read} cannot be read from {written}");
                self.found.tell(&read.path, "NAME_MISMATCH", Verdict::Incompatible, message);
                return Ok(());
            }
            Some(Match::Full) => {}
            Some(found) => {
                let rule = if found == Match::Alias { "TYPE_RENAMED" } else { "NAMESPACE_CHANGED" };
                let hint = "; some libraries want the same full name of an enum or fixed";
                let hint = if rule == "NAMESPACE_CHANGED" { hint } else { "" };
                let message = format!("{read} reads {written}{hint}");
                self.found.tell(&read.path, rule, Verdict::Compatible, message);
            }
        }
        match (&read.kind, &written.kind) {
            (Kind::Record(fields), Kind::Record(written)) => {
                return self.fields(read, fields, written);
            }
            (Kind::Enum { symbols, default }, Kind::Enum { symbols: written, .. }) => {
                self.symbols(read, symbols, default.as_deref(), written)?;
            }
            (Kind::Fixed(size), Kind::Fixed(from)) if size != from => {
                let message = format!("reads {size} bytes, and {from} were written");
                self.found.tell(&read.path, "FIXED_SIZE_MISMATCH", Verdict::Incompatible, message);
            }
            _ => {}
        }
        self.logical(read, written);
        Ok(())
    }

    fn fields(
        &mut self,
        record: &'a Node,
        reads: &'a [Field],
        writes: &'a [Field],
    ) -> Result<(), Exhausted> {
        let reader_names: HashSet<&str> = reads.iter().map(|field| field.name.as_str()).collect();
        let by_name: HashMap<&str, &Field> =
            writes.iter().map(|field| (field.name.as_str(), field)).collect();
        let mut used = HashSet::new();
        for (index, field) in reads.iter().enumerate() {
            self.budget.step()?;
            let path = format!("{}/fields/{index}", record.path);
            let alias = |alias: &String| by_name.get(alias.as_str()).copied();
            let Some(written) = by_name
                .get(field.name.as_str())
                .copied()
                .or_else(|| field.aliases.iter().find_map(alias))
            else {
                self.added(&path, field);
                continue;
            };
            let renamed = written.name != field.name;
            if !used.insert(&written.name)
                || renamed && reader_names.contains(written.name.as_str())
            {
                let message = format!(
                    "{} reads the writer's {} by an alias, and another field does too",
                    field.name, written.name
                );
                self.found.tell(&path, "ALIAS_AMBIGUOUS", Verdict::Unknown, message);
            } else if renamed {
                let message = format!("{} reads the writer's {}", field.name, written.name);
                self.found.tell(&path, "FIELD_RENAMED", Verdict::Compatible, message);
            }
            if field.default != written.default {
                let shown = |default: &Option<Value>| {
                    default.as_ref().map_or("none".into(), |value| listed([value].into_iter()))
                };
                let (now, before) = (shown(&field.default), shown(&written.default));
                let message = format!("the default of {} is {now}, and was {before}", field.name);
                self.found.tell(&path, "DEFAULT_CHANGED", Verdict::Compatible, message);
            }
            self.later(field.schema, written.schema);
        }
        for written in writes {
            self.budget.step()?;
            if !used.contains(&written.name) {
                let node = self.writer.node(written.schema);
                let message = format!("the writer's {}, {node}, is not read", written.name);
                self.found.tell(
                    &format!("{}/fields", record.path),
                    "FIELD_REMOVED",
                    Verdict::Compatible,
                    message,
                );
            }
        }
        Ok(())
    }

    fn added(&mut self, path: &str, field: &Field) {
        let node = self.reader.node(field.schema);
        let (name, missing) = (&field.name, "the writer has no such field");
        let (rule, verdict, message) = match &field.default {
            Some(default) => {
                let default = listed([default].into_iter());
                let message = format!("{name}, {node}, is read as {default}: {missing}");
                ("FIELD_ADDED", Verdict::Compatible, message)
            }
            None => {
                let message = format!("{name}, {node}, has no default, and {missing}");
                ("READER_FIELD_MISSING_DEFAULT_VALUE", Verdict::Incompatible, message)
            }
        };
        self.found.tell(path, rule, verdict, message);
    }

    fn symbols(
        &mut self,
        read: &Node,
        symbols: &[String],
        default: Option<&str>,
        writes: &[String],
    ) -> Result<(), Exhausted> {
        for _ in symbols.iter().chain(writes) {
            self.budget.step()?;
        }
        let only = |these: &'_ [String], those: &'_ [String]| {
            let those: HashSet<&String> = those.iter().collect();
            let mut only = these.iter().filter(|symbol| !those.contains(symbol)).peekable();
            only.peek().is_some().then(|| listed(only))
        };
        let path = format!("{}/symbols", read.path);
        if let Some(missing) = only(writes, symbols) {
            match default {
                Some(default) => {
                    let message = format!("{missing} of the writer's are read as {default}");
                    self.found.tell(
                        &path,
                        "ENUM_SYMBOLS_READ_AS_DEFAULT",
                        Verdict::Compatible,
                        message,
                    );
                }
                None => {
                    let message = format!("lacks {missing} of the writer's, and has no default");
                    self.found.tell(&path, "MISSING_ENUM_SYMBOLS", Verdict::Incompatible, message);
                }
            }
        }
        if let Some(added) = only(symbols, writes) {
            let message = format!("{added} were not there for the writer");
            self.found.tell(&path, "ENUM_SYMBOLS_ADDED", Verdict::Compatible, message);
        }
        Ok(())
    }

    /// Each of the writer's types is read by the first of the reader's that matches it; of named
    /// types by the one that matches best.
    fn union(&mut self, read: &Node, reads: &[NodeId], writes: &[NodeId]) -> Result<(), Exhausted> {
        let mut used = HashSet::new();
        for branch in writes {
            let written = self.writer.node(*branch);
            let mut best: Option<(Match, NodeId)> = None;
            for candidate in reads {
                self.budget.step()?;
                let found = matching(self.reader.node(*candidate), written);
                if let Some(found) =
                    found.filter(|found| best.is_none_or(|(best, _)| *found < best))
                {
                    best = Some((found, *candidate));
                }
            }
            match best {
                Some((_, candidate)) => {
                    used.insert(candidate);
                    self.later(candidate, *branch);
                }
                None => {
                    let message = format!("no type of the union reads {written}");
                    self.found.tell(
                        &read.path,
                        "MISSING_UNION_BRANCH",
                        Verdict::Incompatible,
                        message,
                    );
                }
            }
        }
        for candidate in reads.iter().filter(|candidate| !used.contains(candidate)) {
            let node = self.reader.node(*candidate);
            let message = format!("the writer never writes {node}");
            self.found.tell(&read.path, "UNION_BRANCH_ADDED", Verdict::Compatible, message);
        }
        Ok(())
    }

    fn logical(&mut self, read: &Node, written: &Node) {
        let (rule, verdict, message) = match (&read.logical, &written.logical) {
            (now, before) if now == before => return,
            (None, Some(before)) => {
                let message = format!("{before} is read as a plain {}", read.kind.as_str());
                ("LOGICAL_TYPE_REMOVED", Verdict::Compatible, message)
            }
            (Some(now), None) => {
                let verdict = if now.narrows() { Verdict::Unknown } else { Verdict::Compatible };
                let message = format!("a plain {} is read as {now}", written.kind.as_str());
                ("LOGICAL_TYPE_ADDED", verdict, message)
            }
            (
                Some(Logical::Decimal { precision, scale }),
                Some(Logical::Decimal { precision: before, scale: from }),
            ) => {
                let message = format!(
                    "decimal({precision}, {scale}) cannot be read from decimal({before}, {from})"
                );
                if scale != from || precision < before {
                    ("DECIMAL_MISMATCH", Verdict::Incompatible, message)
                } else {
                    let message = format!("{message} by the specification, though libraries do");
                    ("DECIMAL_PRECISION_WIDENED", Verdict::Unknown, message)
                }
            }
            (Some(now), Some(before)) => {
                let message =
                    format!("{before} is read as {now}: the same bytes mean another value");
                ("LOGICAL_TYPE_CHANGED", Verdict::Unknown, message)
            }
            (None, None) => return,
        };
        self.found.tell(&read.path, rule, verdict, message);
    }
}

/// How a reader's type matches a writer's, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Full,
    Alias,
    Simple,
    Promotion,
}

impl Match {
    /// By the names of two types of the same kind.
    fn of(read: &Node, written: &Node) -> Option<Self> {
        let names = (read.name.as_ref()?, written.name.as_ref()?);
        let (Name(read_name), Name(full)) = names;
        if read_name == full {
            Some(Self::Full)
        } else if read.aliases.contains(full) {
            Some(Self::Alias)
        } else {
            (names.0.simple() == names.1.simple()).then_some(Self::Simple)
        }
    }
}

/// Whether a type of the reader's union is one that reads what was written. What is inside of it is
/// compared later.
fn matching(read: &Node, written: &Node) -> Option<Match> {
    if read.kind.as_str() != written.kind.as_str() {
        return promotion(&read.kind, &written.kind).map(|_| Match::Promotion);
    }
    if read.name.is_some() { Match::of(read, written) } else { Some(Match::Full) }
}

/// What is to be noted of a promotion, if there is one.
const fn promotion(to: &Kind, from: &Kind) -> Option<&'static str> {
    match (from, to) {
        (Kind::Int, Kind::Long | Kind::Double) | (Kind::Float, Kind::Double) => Some(""),
        (Kind::String, Kind::Bytes) => Some(""),
        (Kind::Int, Kind::Float) | (Kind::Long, Kind::Float | Kind::Double) => {
            Some("; large numbers lose digits")
        }
        (Kind::Bytes, Kind::String) => Some("; bytes that are no UTF-8 cannot be read"),
        _ => None,
    }
}

/// The first few, each not too long.
fn listed<T: ToString>(items: impl Iterator<Item = T>) -> String {
    const CHARS: usize = 80;
    let mut items = items.map(|item| {
        let text = item.to_string();
        let start: String = text.chars().take(CHARS).collect();
        if start.len() < text.len() { format!("{start}…") } else { start }
    });
    let mut shown: Vec<String> = items.by_ref().take(MAX_LISTED).collect();
    let more = items.count();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}
