//! The expectation file, read.

use std::collections::{BTreeMap, BTreeSet};

use drr::auth::{TokenKind, policy::ScopeSet, signing::maximum_lifetime};

use super::TENANT;
use crate::app::TestApp;

const MATRIX: &str = include_str!("matrix.txt");
pub const SCOPES: [(char, &str); 4] = [
    ('R', "storage.read.refresh"),
    ('W', "storage.write.refresh"),
    ('A', "storage.read.audit"),
    ('M', "storage.manage.refresh"),
];
pub const KINDS: [(&str, TokenKind); 2] =
    [("user", TokenKind::User), ("machine", TokenKind::Machine)];

/// The expectation file, read.
pub struct Matrix {
    pub cells: BTreeMap<String, BTreeMap<String, char>>,
    /// Per scope, the role and the kind that its tokens must have; nothing where any may.
    holders: BTreeMap<char, (Option<String>, Option<String>)>,
    pub open: BTreeSet<String>,
    /// The routes of the page.
    pub page: BTreeSet<String>,
}

fn section(name: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let header = format!("[{name}]");
    let lines = MATRIX.lines().skip_while(move |line| *line != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().collect())
}

impl Matrix {
    pub fn read() -> Self {
        let mut rows = section("operations");
        let columns = rows.next().unwrap();
        let cells = rows.map(|row| {
            assert_eq!(row.len(), columns.len() + 1, "{row:?}");
            let cells = columns.iter().zip(&row[1..]).map(|(column, cell)| {
                assert_eq!(cell.len(), 1, "{row:?}");
                ((*column).to_owned(), cell.chars().next().unwrap())
            });
            (row[0].to_owned(), cells.collect())
        });
        let holders = section("scopes").map(|row| {
            let named = |at: usize| row.get(at).map(|text| (*text).to_owned());
            let letter = row[0].chars().next().unwrap();
            (letter, if row[2] == "every" { (None, None) } else { (named(2), named(3)) })
        });
        Self {
            cells: cells.collect(),
            holders: holders.collect(),
            open: section("open").map(|row| row[0].to_owned()).collect(),
            page: section("page").map(|row| row[0].to_owned()).collect(),
        }
    }

    fn may_carry(&self, role: &str, kind: &str, scope: char) -> bool {
        let (roles, kinds) = &self.holders[&scope];
        roles.as_deref().is_none_or(|only| only == role)
            && kinds.as_deref().is_none_or(|only| only == kind)
    }

    /// The scopes that the role's row names and that its token may carry.
    pub fn useful(&self, role: &str, kind: &str) -> String {
        let letters: BTreeSet<_> = self.cells[role].values().copied().collect();
        letters
            .into_iter()
            .filter(|cell| cell.is_ascii_uppercase() && self.may_carry(role, kind, *cell))
            .collect()
    }

    pub fn expected(&self, token: &Token, operation: &str) -> Verdict {
        if token.scopes.chars().any(|scope| !self.may_carry(token.role, token.kind.0, scope)) {
            return Verdict::Unauthenticated;
        }
        match self.cells[token.role][operation] {
            '+' => Verdict::Allowed,
            'o' if token.kind.0 == "machine" => Verdict::Allowed,
            scope if token.scopes.contains(scope) => Verdict::Allowed,
            _ => Verdict::Forbidden,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Forbidden,
    Unauthenticated,
}

/// One token of the product.
#[derive(Debug, Clone)]
pub struct Token {
    pub role: &'static str,
    pub kind: (&'static str, TokenKind),
    /// By their letters.
    pub scopes: String,
}

impl Token {
    pub fn sign(&self, app: &TestApp) -> String {
        let mut request = TestApp::request(TENANT, self.role.parse().unwrap());
        request.kind = self.kind.1;
        request.lifetime = maximum_lifetime(request.kind);
        request.scopes = ScopeSet::parse(&self.scope_claim());
        // It is for what it names, and for nothing else.
        if self.role == "pipeline-runner" {
            let names = ["Standing", "Address"].map(|name| format!("tenant.acme.sales.{name}"));
            request.schemas = Some(names.into());
        }
        app.sign(&request)
    }

    pub fn scope_claim(&self) -> String {
        let names = SCOPES.iter().filter(|(letter, _)| self.scopes.contains(*letter));
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}
