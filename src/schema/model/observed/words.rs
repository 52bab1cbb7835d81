//! Types in the words of the systems that report them: of SQL's many dialects (PostgreSQL, MySQL, Oracle, SQL
//! Server, Snowflake, BigQuery, Redshift, Trino, ClickHouse, DuckDB), of Spark and Hive, Arrow, pandas, Avro.
//!
//! To teach it a word, add it to [`FAMILIES`]. One that means different things to different systems (`bit`)
//! stays UNKNOWN: a drift that is none costs more than one that is found later.

use std::{borrow::Cow, collections::HashSet};

use super::{
    facet::Reader,
    shape::{Family, MAX_NAME, Member, Shape},
};

/// The longest type that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The first word of a type, in lower case, by its family.
const FAMILIES: &[(Family, &[&str])] = &[
    (
        Family::String,
        &[
            "string",
            "text",
            "varchar",
            "char",
            "character",
            "bpchar",
            "nchar",
            "nvarchar",
            "national",
            "varchar2",
            "nvarchar2",
            "tinytext",
            "mediumtext",
            "longtext",
            "ntext",
            "clob",
            "nclob",
            "citext",
            "str",
            "utf8",
            "large_utf8",
            "large_string",
            "unicode",
            "uuid",
            "uniqueidentifier",
            "enum",
            "enum8",
            "enum16",
            "fixedstring",
            "name",
            "sysname",
        ],
    ),
    (
        Family::Integer,
        &[
            "int",
            "integer",
            "bigint",
            "smallint",
            "tinyint",
            "mediumint",
            "hugeint",
            "byteint",
            "int2",
            "int4",
            "int8",
            "int16",
            "int32",
            "int64",
            "int128",
            "int256",
            "uint",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "uint128",
            "uint256",
            "ubigint",
            "uinteger",
            "usmallint",
            "utinyint",
            "serial",
            "serial2",
            "serial4",
            "serial8",
            "bigserial",
            "smallserial",
            "long",
            "short",
            "byte",
            "signed",
            "unsigned",
            "oid",
            "year",
        ],
    ),
    (
        Family::Float,
        &[
            "float",
            "float4",
            "float8",
            "float16",
            "float32",
            "float64",
            "double",
            "real",
            "half",
            "halffloat",
            "binary_float",
            "binary_double",
        ],
    ),
    (
        Family::Decimal,
        &[
            "decimal",
            "numeric",
            "dec",
            "number",
            "bignumeric",
            "bigdecimal",
            "decimal32",
            "decimal64",
            "decimal128",
            "decimal256",
            "money",
            "smallmoney",
        ],
    ),
    (Family::Boolean, &["boolean", "bool"]),
    (
        Family::Bytes,
        &[
            "bytes",
            "binary",
            "varbinary",
            "blob",
            "tinyblob",
            "mediumblob",
            "longblob",
            "bytea",
            "image",
            "raw",
            "large_binary",
            "fixed",
            "fixed_size_binary",
        ],
    ),
    (Family::Date, &["date", "date32", "date64"]),
    (Family::Time, &["time", "timetz", "time32", "time64"]),
    (
        Family::Timestamp,
        &[
            "timestamp",
            "timestamptz",
            "timestamp_ntz",
            "timestamp_ltz",
            "timestamp_tz",
            "timestampntz",
            "timestampltz",
            "datetime",
            "datetime2",
            "datetime64",
            "smalldatetime",
            "datetimeoffset",
            "instant",
        ],
    ),
    (Family::Record, &["struct", "row", "record", "tuple", "nested"]),
    (Family::Array, &["array", "list", "large_list", "repeated"]),
    (Family::Map, &["map"]),
];

/// Words for a day with a time that is nobody's instant.
const LOCAL: [&str; 6] =
    ["timestamp_ntz", "timestampntz", "datetime", "datetime2", "datetime64", "smalldatetime"];

/// A type in its parts: `NUMERIC(10, 2)`.
struct Words<'a> {
    /// In lower case.
    head: String,
    /// What is in the brackets after it.
    inner: Option<&'a str>,
}

fn split(text: &str) -> Words<'_> {
    let end = text.find(|char: char| "<([".contains(char) || char.is_whitespace());
    let (head, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.trim();
    let inner = rest.strip_prefix(['<', '(']);
    let inner = inner.and_then(|inner| inner.get(..closing(inner)?)).map(str::trim);
    Words { head: head.to_lowercase(), inner }
}

/// Where a bracket is closed that was opened before.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (index, char) in text.char_indices() {
        match char {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// What commas part, those in brackets aside.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0_usize, Vec::new());
    for (index, char) in text.char_indices() {
        match char {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(start..index));
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn family(head: &str) -> Option<Family> {
    let known = FAMILIES.iter().find(|(_, words)| words.contains(&head));
    known.map(|(family, _)| *family)
}

/// What a type says, with what is in it if that is written out.
pub fn shape<'a>(text: &'a str, reader: &mut Reader, depth: usize) -> Shape<'a> {
    let text = text.trim();
    let shape = if text.len() > MAX_BYTES || !reader.may_enter(depth) {
        Shape::unknown()
    } else if let Some(item) = items(text) {
        Shape::array(shape(item, reader, depth + 1))
    } else {
        named(&split(text), reader, depth)
    };
    Shape { words: text, ..shape }
}

/// PostgreSQL's arrays: `integer[]`, `text[3]`, `_int4`.
fn items(text: &str) -> Option<&str> {
    let bounded = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
    let bounded = bounded.filter(|(item, bound)| {
        !item.is_empty() && bound.bytes().all(|byte| byte.is_ascii_digit())
    });
    let item = bounded.map(|(item, _)| item);
    item.or_else(|| text.strip_prefix('_').filter(|item| family(item).is_some()))
}

fn named<'a>(words: &Words<'a>, reader: &mut Reader, depth: usize) -> Shape<'a> {
    let inner = words.inner.filter(|inner| !inner.is_empty());
    if let ("nullable" | "lowcardinality", Some(inner)) = (words.head.as_str(), inner) {
        return shape(inner, reader, depth + 1);
    }
    let Some(family) = family(&words.head) else { return Shape::unknown() };
    match (family, inner) {
        (Family::Array, Some(item)) => Shape::array(shape(item, reader, depth + 1)),
        (Family::Map, Some(inner)) => match parts(inner).as_slice() {
            [_, value] => Shape::map(shape(value, reader, depth + 1)),
            _ => Shape::of(&[family]),
        },
        (Family::Record, Some(inner)) => {
            let members = members(inner, reader, depth);
            members.map_or_else(|| Shape::of(&[family]), Shape::record)
        }
        (Family::Decimal, inner) if is_whole(&words.head, inner) => {
            Shape::of(&[family, Family::Integer])
        }
        // MySQL's way to say boolean.
        (Family::Integer, Some("1")) if words.head == "tinyint" => {
            Shape::of(&[family, Family::Boolean])
        }
        _ => Shape::of(&[family]),
    }
}

/// Whether decimals have no fraction, so that they are whole numbers as well. `NUMBER` alone has none for
/// Snowflake.
fn is_whole(head: &str, inner: Option<&str>) -> bool {
    match inner {
        None => head == "number",
        // ClickHouse's `Decimal64(2)` says the scale.
        Some(inner) => {
            matches!(numbers(inner), Some((_, 0))) && !head.ends_with(['2', '4', '6', '8'])
        }
    }
}

/// `a: int, b array<string>`, if each has a name and a type.
fn members<'a>(inner: &'a str, reader: &mut Reader, depth: usize) -> Option<Vec<Member<'a>>> {
    let mut members = Vec::new();
    let mut names = HashSet::new();
    for part in parts(inner) {
        let part = part.trim();
        let (name, kind) = match part.strip_prefix(['`', '"']) {
            Some(quoted) => {
                let (name, kind) = quoted.split_once(['`', '"'])?;
                (name, kind.trim_start().trim_start_matches(':'))
            }
            None => part.split_once(|char: char| char == ':' || char.is_whitespace())?,
        };
        let kind = kind.trim_start().trim_start_matches(':').trim();
        if name.is_empty() || name.len() > MAX_NAME || kind.is_empty() {
            return None;
        }
        if names.insert(name) {
            let shape = shape(kind, reader, depth + 1);
            members.push(Member { name: Cow::Borrowed(name), shape });
        }
    }
    Some(members)
}

/// `10, 2` or `10`.
fn numbers(inner: &str) -> Option<(u64, u64)> {
    let mut numbers = inner.split(',').map(|number| number.trim().parse::<u64>());
    let precision = numbers.next()?.ok()?;
    let scale = numbers.next().unwrap_or(Ok(0)).ok()?;
    numbers.next().is_none().then_some((precision, scale))
}

/// The digits of a decimal, all and behind the point, if they are said.
pub fn digits(text: &str) -> Option<(u64, u64)> {
    numbers(split(text.trim()).inner?)
}

/// Whether a timestamp is one without a zone.
pub fn is_local(text: &str) -> bool {
    LOCAL.contains(&split(text.trim()).head.as_str())
        || text.to_lowercase().contains("without time zone")
}
