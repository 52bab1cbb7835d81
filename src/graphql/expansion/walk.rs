//! The one walk over a document.

use async_graphql::{
    Positioned,
    parser::types::{Directive, Field, OperationDefinition, Selection, SelectionSet},
};

use super::{
    ExecutableDocument, Expansion, HashMap, MAX_ARGUMENTS, MAX_COMPARISONS, MAX_NESTING,
    MAX_OPERATIONS, MAX_ROOT_FIELDS, MAX_SELECTIONS, MAX_VARIABLES, Name, Result, Value, count,
    size, within,
};

/// The field and the argument by which a gateway asks for entities.
const ENTITIES: (&str, &str) = ("_entities", "representations");

/// Measures a document.
///
/// # Errors
/// [`Error::LimitExceeded`](crate::error::Error::LimitExceeded) for what no setting changes.
pub(super) fn walk(document: &ExecutableDocument) -> Result<Expansion> {
    let mut walk = Walk::new(document);
    let mut operations = Vec::new();
    for (_, operation) in document.operations.iter() {
        operations.push(walk.operation(&operation.node)?);
    }
    // Validation walks the fragments that nothing spreads as well.
    for name in document.fragments.keys() {
        walk.fragment(name, 0)?;
    }
    let expansion = walk.multiply(&operations);
    within(expansion.selections, MAX_SELECTIONS, "selections")?;
    walk.check(count(operations.len()))?;
    Ok(expansion)
}

/// What an operation or a fragment has itself.
#[derive(Default)]
struct Own<'d> {
    selections: u64,
    aliases: u64,
    directives: u64,
    values: u64,
    representations: u64,
    spreads: Vec<&'d Name>,
    variables: Vec<(&'d Name, bool)>,
}

/// How a selection set looks from outside.
#[derive(Clone, Copy, Default)]
struct Outline {
    /// How deep it goes.
    nesting: u64,
    /// The fields of its own level, those of fragments included.
    level: u64,
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    /// `None` while a fragment is being looked at: what meets it then is a circle.
    known: HashMap<&'d Name, Option<Outline>>,
    /// The fragments, each after those that it spreads.
    order: Vec<(&'d Name, Own<'d>)>,
    /// What is being looked at.
    own: Own<'d>,
    defaults: HashMap<&'d Name, u64>,
    variables: u64,
    /// The most fields at the root of one operation.
    root: u64,
    /// Fields that validation compares with those before them.
    compared: u64,
    /// The most arguments of one field.
    arguments: u64,
}

impl<'d> Walk<'d> {
    fn new(document: &'d ExecutableDocument) -> Self {
        Self {
            document,
            known: HashMap::new(),
            order: Vec::new(),
            own: Own::default(),
            defaults: HashMap::new(),
            variables: 0,
            root: 0,
            compared: 0,
            arguments: 0,
        }
    }

    fn operation(&mut self, operation: &'d OperationDefinition) -> Result<Own<'d>> {
        self.own = Own::default();
        for variable in &operation.variable_definitions {
            self.variables += 1;
            let variable = &variable.node;
            self.directives(&variable.directives)?;
            if let Some(default) = &variable.default_value {
                let size = size(&default.node);
                self.own.values += size;
                let known = self.defaults.entry(&variable.name.node).or_default();
                *known = size.max(*known);
            }
        }
        self.directives(&operation.directives)?;
        let outline = self.set(&operation.selection_set.node, 0)?;
        self.root = self.root.max(outline.level);
        Ok(std::mem::take(&mut self.own))
    }

    /// `depth` bounds this function's own recursion, which runs along the document's.
    fn set(&mut self, set: &'d SelectionSet, depth: u64) -> Result<Outline> {
        within(depth, MAX_NESTING, "nesting of selections")?;
        let mut outline = Outline::default();
        for selection in &set.items {
            self.own.selections += 1;
            let (inner, level) = match &selection.node {
                Selection::Field(field) => (self.field(&field.node, depth)?, 1),
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.node.directives)?;
                    let inner = self.set(&inline.node.selection_set.node, depth + 1)?;
                    (inner, inner.level)
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    let name = &spread.node.fragment_name.node;
                    self.own.spreads.push(name);
                    let inner = self.fragment(name, depth + 1)?;
                    (inner, inner.level)
                }
            };
            outline.nesting = outline.nesting.max(inner.nesting.saturating_add(1));
            outline.level = outline.level.saturating_add(level);
        }
        within(outline.nesting, MAX_NESTING, "nesting of selections")?;
        self.compared = self.compared.saturating_add(outline.level);
        Ok(outline)
    }

    fn field(&mut self, field: &'d Field, depth: u64) -> Result<Outline> {
        self.own.aliases += u64::from(field.alias.is_some());
        self.directives(&field.directives)?;
        self.arguments = self.arguments.max(count(field.arguments.len()));
        for (name, value) in &field.arguments {
            let entities = (field.name.node.as_str(), name.node.as_str()) == ENTITIES;
            match &value.node {
                Value::List(items) if entities => self.own.representations += count(items.len()),
                Value::Variable(variable) if entities => {
                    self.own.variables.push((variable, true));
                    continue;
                }
                _ => self.own.representations += u64::from(entities),
            }
            self.value(&value.node);
        }
        self.set(&field.selection_set.node, depth + 1)
    }

    fn directives(&mut self, directives: &'d [Positioned<Directive>]) -> Result<()> {
        self.own.directives += count(directives.len());
        for directive in directives {
            let arguments = &directive.node.arguments;
            within(count(arguments.len()), MAX_ARGUMENTS, "arguments")?;
            for (_, value) in arguments {
                self.value(&value.node);
            }
        }
        Ok(())
    }

    /// As deep as the brackets of the text, which are counted before it is parsed.
    fn value(&mut self, value: &'d Value) {
        match value {
            Value::Variable(name) => self.own.variables.push((name, false)),
            Value::List(items) => {
                self.own.values += 1;
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(members) => {
                self.own.values += 1;
                members.values().for_each(|member| self.value(member));
            }
            _ => self.own.values += 1,
        }
    }

    fn fragment(&mut self, name: &Name, depth: u64) -> Result<Outline> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Outline::default());
        };
        if let Some(known) = self.known.get(name) {
            return Ok(known.unwrap_or_default());
        }
        self.known.insert(name, None);
        let outer = std::mem::take(&mut self.own);
        self.directives(&fragment.node.directives)?;
        let outline = self.set(&fragment.node.selection_set.node, depth)?;
        let own = std::mem::replace(&mut self.own, outer);
        self.order.push((name, own));
        self.known.insert(name, Some(outline));
        Ok(outline)
    }

    /// What does not depend on how often anything is spread.
    fn check(&self, operations: u64) -> Result<()> {
        within(operations, MAX_OPERATIONS, "operations")?;
        within(self.variables, MAX_VARIABLES, "variables")?;
        within(self.root, MAX_ROOT_FIELDS, "root fields")?;
        within(self.arguments, MAX_ARGUMENTS, "arguments")?;
        let used = self.order.iter().map(|(_, own)| count(own.variables.len())).sum::<u64>();
        let fields = self.compared.saturating_mul(self.arguments.saturating_add(1));
        let comparisons = fields.saturating_add(used.saturating_mul(operations));
        within(comparisons, MAX_COMPARISONS, "comparisons")
    }

    /// Everything times how often it is spread. A fragment comes after all that spread it, so that by
    /// its turn it is known how often that is.
    fn multiply(&self, operations: &[Own<'d>]) -> Expansion {
        let mut times: HashMap<&Name, u64> = HashMap::new();
        let mut total = Expansion::default();
        for own in operations {
            total.add(own, 1, &mut times);
        }
        for (name, own) in self.order.iter().rev() {
            let often = times.get(name).copied().unwrap_or_default().max(1);
            total.add(own, often, &mut times);
        }
        for (name, uses) in &mut total.uses {
            uses.default = self.defaults.get(name).copied().unwrap_or(1);
        }
        total
    }
}

impl Expansion {
    fn add<'d>(&mut self, own: &Own<'d>, often: u64, times: &mut HashMap<&'d Name, u64>) {
        let add = |to: &mut u64, of: u64| *to = to.saturating_add(of.saturating_mul(often));
        let used = count(own.variables.len());
        self.nodes += own.selections + own.aliases + own.directives + own.values + used;
        add(&mut self.selections, own.selections);
        add(&mut self.aliases, own.aliases);
        add(&mut self.directives, own.directives);
        add(&mut self.values, own.values);
        add(&mut self.representations, own.representations);
        for name in &own.spreads {
            add(times.entry(name).or_default(), 1);
        }
        for (name, entities) in &own.variables {
            let uses = self.uses.entry((*name).clone()).or_default();
            add(&mut uses.total, 1);
            add(&mut uses.representations, u64::from(*entities));
        }
    }
}
