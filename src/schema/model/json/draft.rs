//! What the drafts of JSON Schema know, and what each keyword is called in 2020-12.

use serde_json::{Map, Value};

use super::limits::escape;

/// A draft that a schema can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draft {
    /// draft-04
    Four,
    /// draft-06
    Six,
    /// draft-07
    Seven,
    /// 2019-09
    Nineteen,
    /// 2020-12
    Twenty,
}

impl Draft {
    /// The one that a schema names in `$schema`; 2020-12 where it names none.
    pub fn of(schema: &Value) -> Result<Self, String> {
        let Some(written) = schema.get("$schema") else { return Ok(Self::Twenty) };
        let uri = written.as_str().unwrap_or_default();
        let known = match uri.trim_end_matches('#').split_once("://") {
            Some(("http" | "https", "json-schema.org/draft-04/schema")) => Some(Self::Four),
            Some(("http" | "https", "json-schema.org/draft-06/schema")) => Some(Self::Six),
            Some(("http" | "https", "json-schema.org/draft-07/schema")) => Some(Self::Seven),
            Some(("http" | "https", "json-schema.org/draft/2019-09/schema")) => {
                Some(Self::Nineteen)
            }
            Some(("http" | "https", "json-schema.org/draft/2020-12/schema")) => Some(Self::Twenty),
            _ => None,
        };
        known.ok_or_else(|| "is none of draft-04, -06, -07, 2019-09 and 2020-12".to_owned())
    }

    /// Its name, as `$schema` spells it.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Four => "http://json-schema.org/draft-04/schema#",
            Self::Six => "http://json-schema.org/draft-06/schema#",
            Self::Seven => "http://json-schema.org/draft-07/schema#",
            Self::Nineteen => "https://json-schema.org/draft/2019-09/schema",
            Self::Twenty => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    /// The keyword for a resource's own URI.
    pub const fn id_keyword(self) -> &'static str {
        match self {
            Self::Four => "id",
            _ => "$id",
        }
    }

    /// The keywords that refer, and whether what they refer to depends on who refers.
    pub const fn reference_keywords(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Four | Self::Six | Self::Seven => &[("$ref", false)],
            Self::Nineteen => &[("$ref", false), ("$recursiveRef", true)],
            Self::Twenty => &[("$ref", false), ("$dynamicRef", true)],
        }
    }
}

/// Whether a keyword holds no schema, and means in a draft what it means in 2020-12.
pub fn is_plain(draft: Draft, key: &str) -> bool {
    match key {
        "type" | "enum" | "multipleOf" | "maximum" | "minimum" | "maxLength" | "minLength"
        | "pattern" | "maxItems" | "minItems" | "uniqueItems" | "maxProperties"
        | "minProperties" | "required" | "format" | "title" | "description" | "default" => true,
        "exclusiveMaximum" | "exclusiveMinimum" | "const" => draft >= Draft::Six,
        "minContains" | "maxContains" | "dependentRequired" => draft >= Draft::Nineteen,
        _ => false,
    }
}

/// Adds what has another form in 2020-12.
pub fn translate(draft: Draft, members: &Map<String, Value>, written: &mut Map<String, Value>) {
    if draft == Draft::Four {
        for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
            if members.get(flag) == Some(&Value::Bool(true))
                && let Some(value) = written.remove(bound)
            {
                written.insert(flag.to_owned(), value);
            }
        }
    }
    if let Some(Value::Object(dependencies)) = members.get("dependencies") {
        let names = dependencies.iter().filter(|(_, value)| value.is_array());
        let names = names.map(|(name, value)| (name.clone(), value.clone()));
        let names = names.collect::<Map<_, _>>();
        if !names.is_empty() {
            written.insert("dependentRequired".to_owned(), names.into());
        }
    }
}

/// A schema within a schema.
#[derive(Debug)]
pub struct Child<'a> {
    /// The keyword that it is under in 2020-12.
    pub keyword: &'static str,
    /// Its name or its index there, or nothing where the keyword holds one schema.
    pub member: Option<Result<String, usize>>,
    /// The pointer to it, from the schema that it is in, as it is written.
    pub old: String,
    pub value: &'a Value,
}

impl Child<'_> {
    /// The pointer to it in 2020-12.
    pub fn pointer(&self) -> String {
        match &self.member {
            None => format!("/{}", self.keyword),
            Some(Ok(name)) => format!("/{}/{}", self.keyword, escape(name)),
            Some(Err(index)) => format!("/{}/{index}", self.keyword),
        }
    }
}

/// The schemas within a schema, of a draft.
pub fn children(draft: Draft, members: &Map<String, Value>) -> Vec<Child<'_>> {
    let alone = draft <= Draft::Seven && members.contains_key("$ref");
    let mut found = Vec::new();
    for (key, value) in members {
        let definitions = matches!(key.as_str(), "$defs" | "definitions");
        if alone && !definitions {
            continue;
        }
        let tuple = || members.get("items").is_some_and(Value::is_array);
        let keyword = match key.as_str() {
            "$defs" | "definitions" => "$defs",
            "properties" => "properties",
            "patternProperties" => "patternProperties",
            "dependentSchemas" if draft >= Draft::Nineteen => "dependentSchemas",
            // No longer told of from 2019-09 on, and still meant by who writes it.
            "dependencies" => "dependentSchemas",
            "allOf" => "allOf",
            "anyOf" => "anyOf",
            "oneOf" => "oneOf",
            "prefixItems" if draft == Draft::Twenty => "prefixItems",
            "items" if value.is_array() && draft <= Draft::Nineteen => "prefixItems",
            "items" => "items",
            "additionalItems" if draft <= Draft::Nineteen && tuple() => "items",
            "additionalProperties" => "additionalProperties",
            "not" => "not",
            "contains" if draft >= Draft::Six => "contains",
            "propertyNames" if draft >= Draft::Six => "propertyNames",
            "if" if draft >= Draft::Seven => "if",
            "then" if draft >= Draft::Seven => "then",
            "else" if draft >= Draft::Seven => "else",
            "unevaluatedItems" if draft >= Draft::Nineteen => "unevaluatedItems",
            "unevaluatedProperties" if draft >= Draft::Nineteen => "unevaluatedProperties",
            _ => continue,
        };
        let named =
            matches!(keyword, "$defs" | "properties" | "patternProperties" | "dependentSchemas");
        match value {
            Value::Object(map) if named => {
                for (name, value) in map {
                    if !(value.is_object() || value.is_boolean()) {
                        continue;
                    }
                    let old = format!("/{key}/{}", escape(name));
                    // Both spellings at once, with the same name in each.
                    let there = |keyword: &str, name: &str| {
                        members.get(keyword).is_some_and(|other| other.get(name).is_some())
                    };
                    let mut name = name.clone();
                    if key == "definitions" && there("$defs", &name) {
                        while there("$defs", &name) || there(key, &name) {
                            name.push('\'');
                        }
                    }
                    found.push(Child { keyword, member: Some(Ok(name)), old, value });
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    let old = format!("/{key}/{index}");
                    found.push(Child { keyword, member: Some(Err(index)), old, value });
                }
            }
            Value::Object(_) | Value::Bool(_) if !named => {
                found.push(Child { keyword, member: None, old: format!("/{key}"), value });
            }
            _ => {}
        }
    }
    // In one order, however the map is ordered.
    found.sort_by(|one, other| (one.keyword, &one.member).cmp(&(other.keyword, &other.member)));
    found
}
