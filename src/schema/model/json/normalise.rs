//! Every draft from 04 on, with all that it refers to, as one document of 2020-12 whose references
//! are all JSON pointers into itself.
//!
//! What a draft does not know is dropped (`const` in draft-04, siblings of `$ref` up to draft-07),
//! as its own validators ignore it. One semantics is left for everything that comes after: a
//! draft-04 schema's `integer` takes 1.0, as it does from draft-06 on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::super::verdict::Violation;
use super::draft::{Child, Draft, children, is_plain};
use super::limits::{MAX_REFERENCES, MAX_VALUES, MAX_VIOLATIONS, escape, violation};

/// What a fragment cannot hold as it is.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What relative references are relative to where a document says nothing else.
const BASE: &str = "drr://schema/";

/// A document: the schema itself, or one that it refers to.
#[derive(Debug)]
pub struct Document<'a> {
    /// What it is referred to by, relative to nothing. The schema itself has none.
    pub name: Option<&'a str>,
    pub draft: Draft,
    pub value: &'a Value,
}

/// A place in a document: its index, and a JSON pointer.
type Place = (usize, String);

#[derive(Debug)]
struct Normaliser<'a> {
    documents: Vec<Document<'a>>,
    base: Url,
    /// The root of each resource by its URI.
    resources: HashMap<String, Place>,
    /// Anchors by the resource that they are in, and their name.
    anchors: HashMap<(Place, String), Place>,
    /// What is relative in each document is relative to this.
    bases: Vec<Url>,
    scanned: usize,
    /// How many dynamic anchors have the same name. `$recursiveAnchor` counts as one named "".
    dynamic: BTreeMap<String, BTreeSet<Place>>,
    /// Where a schema ends up.
    moved: HashMap<Place, String>,
    /// Every reference: where it is, and what it refers to.
    references: Vec<Reference>,
    targets: HashMap<Place, Place>,
    violations: Vec<Violation>,
}

#[derive(Debug)]
struct Reference {
    from: Place,
    /// The absolute URI with its fragment.
    to: Url,
    written: String,
    dynamic: bool,
}

/// A normalised schema, and where what is in it was written.
#[derive(Debug)]
pub struct Normalised {
    pub schema: Value,
    /// By the pointer into it, the one into the schema as it is written. Of a reference, its name
    /// and a `#` come first.
    pub origins: HashMap<String, String>,
}

/// One document for all of them.
pub fn normalise(documents: Vec<Document<'_>>) -> Result<Normalised, Vec<Violation>> {
    let base = Url::parse(BASE).map_err(|error| vec![violation("", error.to_string())])?;
    let mut this = Normaliser {
        documents,
        base,
        resources: HashMap::new(),
        anchors: HashMap::new(),
        bases: Vec::new(),
        scanned: 0,
        dynamic: BTreeMap::new(),
        moved: HashMap::new(),
        references: Vec::new(),
        targets: HashMap::new(),
        violations: Vec::new(),
    };
    let mut extra = BTreeMap::new();
    this.scan_all(&mut extra);
    if !this.violations.is_empty() {
        this.violations.truncate(MAX_VIOLATIONS);
        return Err(this.violations);
    }
    let mut root = this.written(0, "");
    if let Value::Object(members) = &mut root {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        members.insert("$schema".to_owned(), dialect.into());
        let definitions = members.entry("$defs").or_insert_with(|| Map::new().into());
        for (key, (document, pointer)) in &extra {
            if let Value::Object(definitions) = definitions {
                definitions.insert(key.clone(), this.written(*document, pointer));
            }
        }
        if definitions.as_object().is_some_and(Map::is_empty) {
            members.remove("$defs");
        }
    }
    let origin = |(document, pointer): &Place| {
        let name = this.documents.get(*document).and_then(|document| document.name);
        name.map_or_else(|| pointer.clone(), |name| format!("{name}#{pointer}"))
    };
    let origins = this.moved.iter().map(|(place, new)| (new.clone(), origin(place))).collect();
    Ok(Normalised { schema: root, origins })
}

impl Normaliser<'_> {
    /// Finds every schema and reference. What is not under the root goes into `extra`, by the key
    /// that it gets among the root's definitions.
    fn scan_all(&mut self, extra: &mut BTreeMap<String, Place>) {
        let taken = |value: &Value, key: &str| {
            let among = |name: &str| value.get(name).is_some_and(|found| found.get(key).is_some());
            among("$defs") || among("definitions")
        };
        let root =
            self.documents.first().map(|document| document.value.clone()).unwrap_or_default();
        let mut own_key = |wanted: &str, place: Place| {
            let mut key = wanted.to_owned();
            while taken(&root, &key) || extra.contains_key(&key) {
                key.push('\'');
            }
            extra.insert(key.clone(), place);
            format!("/$defs/{}", escape(&key))
        };
        for index in 0..self.documents.len() {
            let Some(document) = self.documents.get(index) else { continue };
            let (name, draft, value) = (document.name, document.draft, document.value);
            let base = match name {
                None => self.base.clone(),
                Some(name) => match self.base.join(name) {
                    Ok(base) => base,
                    Err(error) => {
                        let message = format!("the reference's name is no URI: {error}");
                        return self.violations.push(violation("", message));
                    }
                },
            };
            let new = match name {
                None => String::new(),
                Some(name) => own_key(name, (index, String::new())),
            };
            let root = (index, String::new());
            self.resources.insert(without_fragment(&base), root.clone());
            // A name may be meant relative to the URI that the schema itself has.
            if let Some(alias) =
                self.bases.first().zip(name).and_then(|(base, name)| base.join(name).ok())
            {
                self.resources.entry(without_fragment(&alias)).or_insert_with(|| root.clone());
            }
            let id = value.get(draft.id_keyword()).and_then(Value::as_str);
            let own = id.and_then(|id| base.join(id).ok()).unwrap_or_else(|| base.clone());
            self.bases.push(own);
            self.scan(draft, value, (root.clone(), root), &new, &base);
        }
        // A reference may point at what is no schema by its place: then it becomes a definition.
        let mut next = 0;
        while let Some(reference) = self.references.get(next) {
            next += 1;
            if next > MAX_REFERENCES {
                let message = format!("has more than {MAX_REFERENCES} references");
                return self.violations.push(violation("", message));
            }
            let (from, written) = (reference.from.clone(), reference.written.clone());
            let dynamic = reference.dynamic;
            let target = match self.resolve(&reference.to) {
                Ok(target) => target,
                Err(message) => {
                    let message = format!("{:?} {message}", short(&written));
                    self.violations.push(violation(from.1, message));
                    continue;
                }
            };
            if dynamic && let Some(name) = self.ambiguous(&target) {
                let message = format!(
                    "{:?} depends on who refers: {:?} is anchored twice",
                    short(&written),
                    short(&name)
                );
                self.violations.push(violation(from.1.clone(), message));
            }
            if !self.moved.contains_key(&target) {
                let found = self.documents.get(target.0).and_then(|document| {
                    Some((document.draft, document.value.pointer(&target.1)?))
                });
                match found {
                    Some((draft, value @ (Value::Object(_) | Value::Bool(_)))) => {
                        let new = own_key(&target.1, target.clone());
                        let base =
                            self.bases.get(target.0).cloned().unwrap_or_else(|| self.base.clone());
                        let resource = (target.0, String::new());
                        self.scan(draft, value, (target.clone(), resource), &new, &base);
                    }
                    _ => {
                        let message =
                            format!("{:?} refers to nothing that is a schema", short(&written));
                        self.violations.push(violation(from.1.clone(), message));
                    }
                }
            }
            self.targets.insert(from, target);
        }
    }

    /// Notes a schema at a place in a resource, and those within it.
    fn scan(
        &mut self,
        draft: Draft,
        value: &Value,
        (place, mut resource): (Place, Place),
        new: &str,
        base: &Url,
    ) {
        self.moved.insert(place.clone(), new.to_owned());
        self.scanned += 1;
        let Value::Object(members) = value else { return };
        if self.scanned > MAX_VALUES {
            return self.violations.push(violation("", "has too many schemas"));
        }
        let (document, old) = (place.0, place.1.as_str());
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let mut base = base.clone();
        // Up to draft-07, what stands beside a reference does not count, an identifier included.
        let alone = draft <= Draft::Seven && members.contains_key("$ref");
        if let Some(id) = text(draft.id_keyword()).filter(|_| !alone || old.is_empty()) {
            match base.join(id) {
                Ok(url) => match url.fragment().unwrap_or_default() {
                    "" => {
                        self.resources.insert(without_fragment(&url), place.clone());
                        resource = place.clone();
                        base = url;
                    }
                    // How an anchor was written up to draft-07.
                    name => {
                        self.anchors.insert((resource.clone(), name.to_owned()), place.clone());
                    }
                },
                Err(error) => {
                    let message = format!("{:?} is no URI: {error}", short(id));
                    self.violations.push(violation(old, message));
                }
            }
        }
        if draft >= Draft::Nineteen {
            let split = members.contains_key("dependentSchemas")
                || members.contains_key("dependentRequired");
            if split && members.contains_key("dependencies") {
                let message = "has both `dependencies` and what it was split into";
                self.violations.push(violation(old, message));
            }
            for name in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
                self.anchors.insert((resource.clone(), name.to_owned()), place.clone());
            }
            if let Some(name) = text("$dynamicAnchor") {
                self.dynamic.entry(name.to_owned()).or_default().insert(place.clone());
            }
            if members.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                self.dynamic.entry(String::new()).or_default().insert(place.clone());
            }
        }
        for (key, dynamic) in draft.reference_keywords() {
            let Some(written) = text(key) else { continue };
            let from = (document, format!("{old}/{key}"));
            match base.join(written) {
                Ok(to) => {
                    let (written, dynamic) = (written.to_owned(), *dynamic);
                    self.references.push(Reference { from, to, written, dynamic });
                }
                Err(error) => {
                    let message = format!("{:?} is no URI: {error}", short(written));
                    self.violations.push(violation(from.1, message));
                }
            }
        }
        for child in children(draft, members) {
            let place = (document, format!("{old}{}", child.old));
            let new = format!("{new}{}", child.pointer());
            self.scan(draft, child.value, (place, resource.clone()), &new, &base);
        }
    }

    fn resolve(&self, to: &Url) -> Result<Place, String> {
        let uri = without_fragment(to);
        let Some(root) = self.resources.get(&uri) else {
            return Err("is not among the references that were given".to_owned());
        };
        let fragment = percent_decode_str(to.fragment().unwrap_or_default())
            .decode_utf8()
            .map_err(|_| "is no UTF-8".to_owned())?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return Ok((root.0, format!("{}{fragment}", root.1)));
        }
        let anchor = self.anchors.get(&(root.clone(), fragment.into_owned()));
        anchor.cloned().ok_or_else(|| "refers to an anchor that is not there".to_owned())
    }

    /// The name of the dynamic anchor at a place, if others have it too.
    fn ambiguous(&self, target: &Place) -> Option<String> {
        let mut names = self.dynamic.iter();
        let found = names.find(|(_, places)| places.len() > 1 && places.contains(target));
        found.map(|(name, _)| name.clone())
    }

    /// The schema at a place, as it is written in 2020-12.
    fn written(&self, document: usize, pointer: &str) -> Value {
        let found = self
            .documents
            .get(document)
            .and_then(|document| Some((document.draft, document.value.pointer(pointer)?)));
        found
            .map_or(Value::Bool(true), |(draft, value)| self.write(document, draft, value, pointer))
    }

    fn write(&self, document: usize, draft: Draft, value: &Value, old: &str) -> Value {
        let Value::Object(members) = value else { return value.clone() };
        let mut written = Map::new();
        let alone = draft <= Draft::Seven && members.contains_key("$ref");
        for (key, value) in members.iter().filter(|(key, _)| !alone && is_plain(draft, key)) {
            written.insert(key.clone(), value.clone());
        }
        if !alone {
            super::draft::translate(draft, members, &mut written);
        }
        for Child { keyword, member, value, old: suffix, .. } in children(draft, members) {
            let value = self.write(document, draft, value, &format!("{old}{suffix}"));
            match member {
                None => {
                    written.insert(keyword.to_owned(), value);
                }
                Some(Ok(name)) => {
                    let among = written.entry(keyword).or_insert_with(|| Map::new().into());
                    if let Value::Object(among) = among {
                        among.insert(name, value);
                    }
                }
                Some(Err(_)) => {
                    let among = written.entry(keyword).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(among) = among {
                        among.push(value);
                    }
                }
            }
        }
        let mut targets = Vec::new();
        for (key, _) in draft.reference_keywords() {
            let target = self.targets.get(&(document, format!("{old}/{key}")));
            if let Some(new) = target.and_then(|target| self.moved.get(target)) {
                targets.push(format!("#{}", utf8_percent_encode(new, FRAGMENT)));
            }
        }
        let mut targets = targets.into_iter();
        if let Some(first) = targets.next() {
            written.insert("$ref".to_owned(), first.into());
        }
        // Two kinds of references side by side: both apply.
        for further in targets {
            let all = written.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.push(Value::Object(Map::from_iter([("$ref".to_owned(), further.into())])));
            }
        }
        Value::Object(written)
    }
}

fn short(text: &str) -> String {
    super::shortened(text, 100)
}

fn without_fragment(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.into()
}
