//! What a column is in the same words everywhere, for what UNION's parts have in common.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Union};

use super::part::Part;
use super::{Proof, Proved, Rows, position};
use crate::cohort::determined::Attribute;

/// The largest expression whose meaning is kept, in parts: what UNION's parts have in common is short.
const MEANING: usize = 60;

/// What a column is in words that mean the same everywhere: an expression over columns of a keyed table, for the row
/// that `of` names; of no row where there is none.
#[derive(Clone)]
pub(super) struct Meaning {
    pub(super) of: Option<Attribute>,
    pub(super) expr: Expr,
}

impl Proof {
    pub(super) fn union(&mut self, union: &Union) -> Proved<Rows> {
        let parts = union.inputs.iter().map(|input| self.rows(input)).collect::<Proved<Vec<_>>>()?;
        let columns = self.new_attributes(union.schema.fields().len());
        let identity = self.identity_of(&columns, Part::Union);
        for (position, column) in columns.iter().enumerate() {
            let Some(meanings) = parts.iter().map(|part| self.meaning(part.columns.get(position))).collect() else {
                continue;
            };
            let meanings: Vec<Meaning> = meanings;
            if meanings.windows(2).any(|pair| pair[0].expr != pair[1].expr) {
                continue;
            }
            let Some(first) = meanings.first() else { continue };
            if meanings.iter().all(|meaning| meaning.of.is_none()) {
                self.facts.determine(&[], &[*column]);
                self.meanings.insert(*column, Meaning { of: None, expr: first.expr.clone() });
                continue;
            }
            // The column that names, in every part, the row of which that part's column is.
            let names = |other: &usize| {
                parts.iter().zip(&meanings).all(|(part, meaning)| match (part.columns.get(*other), meaning.of) {
                    (Some(column), Some(of)) => self.facts.are_equal(*column, of),
                    _ => false,
                })
            };
            if let Some(key) = (0..columns.len()).find(names) {
                self.facts.determine(&[columns[key]], &[*column]);
                self.meanings.insert(*column, Meaning { of: Some(columns[key]), expr: first.expr.clone() });
            }
        }
        Ok(Rows { columns, identity: vec![identity] })
    }

    fn meaning(&self, column: Option<&Attribute>) -> Option<Meaning> {
        self.meanings.get(column?).cloned()
    }

    pub(super) fn meaning_of(&self, expr: &Expr, columns: &[Attribute], schema: &DFSchema) -> Option<Meaning> {
        let mut size = 0;
        let plain = expr.apply(|part| {
            size += 1;
            let opaque = matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
            );
            Ok(if opaque || size > MEANING { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        if !matches!(plain, Ok(TreeNodeRecursion::Continue)) {
            return None;
        }
        let mut of = None;
        let mut unknown = false;
        let replaced = expr.clone().transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let attribute = position(column, schema).and_then(|position| columns.get(position));
            let Some(meaning) = self.meaning(attribute) else {
                unknown = true;
                return Ok(Transformed::no(part));
            };
            match (of, meaning.of) {
                (Some(one), Some(other)) if !self.facts.are_equal(one, other) => unknown = true,
                (None, other) => of = other,
                _ => {}
            }
            // What it is replaced by must not be replaced again.
            Ok(Transformed::new(meaning.expr, true, TreeNodeRecursion::Jump))
        });
        let expr = replaced.data().ok()?;
        let mut size = 0;
        let counted = expr.apply(|_| {
            size += 1;
            Ok(if size > MEANING { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        (!unknown && matches!(counted, Ok(TreeNodeRecursion::Continue))).then_some(Meaning { of, expr })
    }
}
