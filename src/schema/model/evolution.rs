//! What became of each field from one version of a schema to another.
//!
//! The fields are those that [`Schema::fields`] lists; what a change means for readers is taken from the
//! two comparisons, the new version reading the old and the old one reading the new.
//!
//! # How a difference comes to a field
//! A comparison tells a difference at a place in the reader's schema, and the outline of that schema knows
//! whose field that is; if it knows nothing of the place itself, the nearest one around it counts. A type that
//! several fields have is written out once, so that what is told of it is told of each of them. What is
//! told of no field (the schema itself, a message, an enum or a service of Protobuf) has an entry of its
//! own.
//!
//! # What is not known
//! A field may have changed without anything being told of it: where what holds it cannot be read at all,
//! nobody looks inside, and that an object of JSON Schema allows no others is told of these (`*`). So a
//! changed field of which nothing is told is UNKNOWN where what holds it, or the others in the same, are not
//! COMPATIBLE. In a comparison
//! that was not finished, no field is better than UNKNOWN; and where a schema has more fields than are listed,
//! none is of which nothing is told.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{
    compatibility::Direction,
    format::{COMPARISON_STEPS, Format, OtherFormat, Schema},
    name::VersionNumber,
    outline::Outline,
    verdict::{Budget, Comparison, Difference, Verdict},
};

/// The most differences that are told of one field, the worst first.
pub const MAX_DIFFERENCES_OF_A_FIELD: usize = 20;
/// The most bytes of all differences that are told. Verdicts count those that are not.
const MAX_TOLD_BYTES: usize = 4 * 1024 * 1024;
/// The most times that a difference is put down to a field. A type may be that of all fields.
const MAX_ATTACHED: usize = 200_000;
/// The most steps that a path is followed up. Only names with dots in them make longer ones.
const MAX_STEPS_UP: usize = 64;
/// The steps that all comparisons of a history may take together.
const HISTORY_STEPS: u64 = 4 * COMPARISON_STEPS;
/// What a comparison says of itself that was not finished, or did not tell everything.
const UNFINISHED: [&str; 3] = ["TOO_MUCH_WORK", "TOO_COMPLEX", "TOO_MANY_DIFFERENCES"];

crate::wire::wire_enum! {
    /// What became of a field.
    pub enum ChangeKind {
        /// Only the new version has it.
        Added = "ADDED",
        /// Only the old version has it.
        Dropped = "DROPPED",
        /// Both have it, with another type, default, or other rules.
        Changed = "CHANGED",
        /// It is no field: another part of the schema, at the path of its difference.
        Other = "OTHER",
    }
}

/// What became of one field, or of a part of the schema that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The field's path, as [`Schema::fields`] writes it; of an `OTHER`, that of the difference.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// Its type in the old version, if it was there.
    pub old_type: Option<String>,
    /// Its type in the new version, if it is there.
    pub new_type: Option<String>,
    /// Whether the new version still reads what the old one wrote.
    pub backward: Verdict,
    /// Whether the old version reads what the new one writes.
    pub forward: Verdict,
    /// Why, the worst first.
    pub differences: Vec<(Direction, Difference)>,
}

/// What a version did to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldStep {
    /// The version that did it.
    pub version: VersionNumber,
    /// What it did, against the version before. In the first, all fields are added.
    pub change: FieldChange,
}

/// What became of the fields from the old version to the new, in order of the path.
#[must_use]
pub fn changes(old: &Schema, new: &Schema) -> Vec<FieldChange> {
    let mut budgets = [COMPARISON_STEPS; 2].map(Budget::new);
    let [backward, forward] = &mut budgets;
    let comparisons = (new.reads_within(old, backward), old.reads_within(new, forward));
    between(&Fields::of(old), &Fields::of(new), comparisons)
}

/// Which versions brought, changed or dropped a field, in order of their numbers. `versions` are those of
/// one schema, in any order; what a version did is told against the one before it among them.
///
/// All comparisons share one budget: of a long history the last verdicts may be UNKNOWN.
#[must_use]
pub fn history(versions: &[(VersionNumber, &Schema)], path: &str) -> Vec<FieldStep> {
    let mut versions = versions.to_vec();
    versions.sort_by_key(|(number, _)| *number);
    let mut budget = Budget::new(HISTORY_STEPS);
    let mut steps = Vec::new();
    let mut before: Option<(&Schema, Fields)> = None;
    for (version, schema) in versions {
        let fields = Fields::of(schema);
        let kind = fields.types.get(path);
        let change = match &before {
            None => kind.map(|kind| first(path, kind)),
            Some((_, old)) if kind.is_none() && !old.types.contains_key(path) => None,
            Some((earlier, old)) => {
                let backward = schema.reads_within(earlier, &mut budget);
                let forward = earlier.reads_within(schema, &mut budget);
                let changes = between(old, &fields, (backward, forward));
                let own =
                    |change: &FieldChange| change.path == path && change.kind != ChangeKind::Other;
                changes.into_iter().find(own)
            }
        };
        steps.extend(change.map(|change| FieldStep { version, change }));
        before = Some((schema, fields));
    }
    steps
}

/// A field of the first version: there is nobody yet to whom it could mean anything.
fn first(path: &str, kind: &str) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        kind: ChangeKind::Added,
        old_type: None,
        new_type: Some(kind.to_owned()),
        backward: Verdict::Compatible,
        forward: Verdict::Compatible,
        differences: Vec::new(),
    }
}

/// A schema's fields, each once.
struct Fields {
    format: Format,
    /// By path. Where several parts of a schema describe one field, with `|` between.
    types: BTreeMap<String, String>,
    places: Vec<(String, String)>,
    is_whole: bool,
}

impl Fields {
    fn of(schema: &Schema) -> Self {
        let Outline { fields, places, is_whole } = schema.outline();
        let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, kind) in fields {
            types.entry(path).or_default().insert(kind);
        }
        let joined = |kinds: BTreeSet<String>| kinds.into_iter().collect::<Vec<_>>().join("|");
        let types = types.into_iter().map(|(path, kinds)| (path, joined(kinds))).collect();
        Self { format: schema.format(), types, places, is_whole }
    }
}

type Compared = Result<Comparison, OtherFormat>;

fn between(
    old: &Fields,
    new: &Fields,
    (backward, forward): (Compared, Compared),
) -> Vec<FieldChange> {
    let mut told = Told { old, new, of: HashMap::new(), others: BTreeMap::new(), bytes: 0 };
    let backward = told.side(Direction::NewReadsOld, new, old, backward);
    let forward = told.side(Direction::OldReadsNew, old, new, forward);
    let mut changes = Vec::new();
    let paths: BTreeSet<&String> = old.types.keys().chain(new.types.keys()).collect();
    for path in paths {
        let (old_type, new_type) = (old.types.get(path), new.types.get(path));
        let kind = match (old_type, new_type) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Dropped,
            (Some(before), Some(now)) if before == now && !told.of.contains_key(path) => continue,
            _ => ChangeKind::Changed,
        };
        changes.push(FieldChange {
            path: path.clone(),
            kind,
            old_type: old_type.cloned(),
            new_type: new_type.cloned(),
            backward: backward.verdict(path),
            forward: forward.verdict(path),
            differences: told.of.remove(path).unwrap_or_default(),
        });
    }
    for (path, differences) in told.others {
        let worst = |side: Direction| {
            let of_side = differences.iter().filter(|(of, _)| *of == side);
            of_side.map(|(_, difference)| difference.verdict).max().unwrap_or(Verdict::Compatible)
        };
        changes.push(FieldChange {
            kind: ChangeKind::Other,
            old_type: None,
            new_type: None,
            backward: worst(Direction::NewReadsOld),
            forward: worst(Direction::OldReadsNew),
            path,
            differences,
        });
    }
    changes.sort_by(|left, right| (&left.path, left.kind).cmp(&(&right.path, right.kind)));
    changes
}

/// What is told so far, and of what.
struct Told<'a> {
    old: &'a Fields,
    new: &'a Fields,
    /// By the path of the field.
    of: HashMap<String, Vec<(Direction, Difference)>>,
    /// By the path of the difference.
    others: BTreeMap<String, Vec<(Direction, Difference)>>,
    bytes: usize,
}

impl Told<'_> {
    /// Puts the differences of one direction where they belong.
    fn side(
        &mut self,
        direction: Direction,
        reader: &Fields,
        writer: &Fields,
        compared: Compared,
    ) -> Side {
        let is_whole = reader.is_whole && writer.is_whole;
        let mut side = Side { worst: HashMap::new(), is_finished: true, is_whole };
        let comparison = compared.unwrap_or_else(|OtherFormat| Comparison {
            differences: vec![Difference {
                path: String::new(),
                rule: "FORMAT_CHANGED",
                message: OtherFormat.to_string(),
                verdict: Verdict::Incompatible,
            }],
        });
        let places = Places::of(reader, writer);
        let mut differences = comparison.differences;
        differences.sort_by_key(|difference| Reverse(difference.verdict));
        let mut attached = 0_usize;
        for difference in differences {
            let is_note = difference.verdict == Verdict::Compatible;
            if difference.path.is_empty() && UNFINISHED.contains(&difference.rule) && !is_note {
                side.is_finished = false;
            }
            // It names the record and not the field, of which the entry of the field itself tells.
            if reader.format == Format::Avro && difference.rule == "FIELD_REMOVED" && is_note {
                continue;
            }
            let mut is_told = false;
            for path in places.around(&difference.path) {
                attached += 1;
                if attached > MAX_ATTACHED {
                    side.is_finished = false;
                    break;
                }
                let field = self.field(path);
                side.add(field.unwrap_or(path), difference.verdict);
                if let Some(field) = field {
                    is_told = true;
                    self.tell(field.to_owned(), direction, &difference);
                }
            }
            if !is_told {
                let told = self.others.entry(difference.path.clone()).or_default();
                told.push((direction, difference));
            }
        }
        side
    }

    /// The field that a path is of: itself, or the nearest that it is in.
    fn field<'p>(&self, path: &'p str) -> Option<&'p str> {
        let known =
            |path: &&str| self.new.types.contains_key(*path) || self.old.types.contains_key(*path);
        let up = |path: &&'p str| path.rfind(STEPS).and_then(|end| path.get(..end));
        std::iter::successors(Some(path), up).take(MAX_STEPS_UP).find(known)
    }

    fn tell(&mut self, field: String, direction: Direction, difference: &Difference) {
        // That it changed is known even if no more is told.
        let told = self.of.entry(field).or_default();
        let bytes = difference.path.len() + difference.message.len();
        if self.bytes + bytes > MAX_TOLD_BYTES {
            return;
        }
        let of_direction = told.iter().filter(|(of, _)| *of == direction).count();
        if of_direction < MAX_DIFFERENCES_OF_A_FIELD / 2 {
            self.bytes += bytes;
            told.push((direction, difference.clone()));
            told.sort_by_key(|(_, difference)| Reverse(difference.verdict));
        }
    }
}

/// What a step of a path starts with: a name within, an item, a value of a map.
const STEPS: [char; 3] = ['.', '[', '{'];

/// The verdicts of one direction.
struct Side {
    /// The worst of what is told, by path of the field, or of what holds fields.
    worst: HashMap<String, Verdict>,
    is_finished: bool,
    /// Whether all fields of both schemas are known.
    is_whole: bool,
}

impl Side {
    fn add(&mut self, path: &str, verdict: Verdict) {
        match self.worst.get_mut(path) {
            Some(worst) => *worst = verdict.max(*worst),
            None => drop(self.worst.insert(path.to_owned(), verdict)),
        }
    }

    /// Of a field that is there on one side only, or not the same on both.
    fn verdict(&self, path: &str) -> Verdict {
        let least = if self.is_finished { Verdict::Compatible } else { Verdict::Unknown };
        let own = self.worst.get(path).copied();
        own.unwrap_or_else(|| self.within(path)).max(least)
    }

    /// Of a field of which nothing is told, by what holds it.
    fn within(&self, path: &str) -> Verdict {
        let is_bad = |path: &str| {
            self.worst.get(path).is_some_and(|verdict| *verdict != Verdict::Compatible)
        };
        // What is said of all others is said of this one, where it is none of those that are named.
        let held_badly = |(end, step): (usize, &str)| {
            let others = if step == "." { ".*" } else { "[]" };
            let holder = path.get(..end).unwrap_or_default();
            is_bad(holder) || is_bad(&format!("{holder}{others}"))
        };
        let mut steps = path.match_indices(STEPS);
        let is_bad = is_bad("") || is_bad("*") || steps.by_ref().take(MAX_STEPS_UP).any(held_badly);
        let is_followed = steps.next().is_none() || self.worst.is_empty();
        if is_bad || !is_followed || !self.is_whole {
            Verdict::Unknown
        } else {
            Verdict::Compatible
        }
    }
}

/// The paths of the fields, by the places where they are written out.
struct Places<'a>(HashMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Places<'a> {
    /// A pointer is one into the reader's schema. Elements of Protobuf may be the writer's.
    fn of(reader: &'a Fields, writer: &'a Fields) -> Self {
        let mut places: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        let more = (writer.format == Format::Protobuf).then_some(&writer.places);
        for (place, path) in reader.places.iter().chain(more.into_iter().flatten()) {
            places.entry(place).or_default().insert(path);
        }
        Self(places)
    }

    /// Of the place, or of the nearest around it that is known. Around an element of Protobuf is nothing.
    fn around<'p>(&'p self, place: &'p str) -> impl Iterator<Item = &'p str> {
        let up = |place: &&'p str| place.rsplit_once('/').map(|(around, _)| around);
        let found = std::iter::successors(Some(place), up).find_map(|place| self.0.get(place));
        found.into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests;
