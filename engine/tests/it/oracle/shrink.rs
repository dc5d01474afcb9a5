//! Makes a study and its store smaller while the fault stays.

use super::draw::Study;
use super::judge::{Judge, Verdict};
use super::server::Session;
use super::store::Small;
use super::tree::{Body, Expr, Literal, Node, Query, Relation, Type};

/// How many smaller studies, and then how many smaller stores, are tried.
const TRIES: usize = 1_500;

/// The smallest study and store that were found, with the verdict on them.
pub(super) async fn shrunk(session: &Session, study: Study, small: Small, verdict: Verdict) -> (Study, Small, Verdict) {
    let (study, verdict) = smaller_study(session, study, &small, verdict).await;
    let (small, verdict) = smaller_store(session, &study, small, verdict).await;
    let (study, verdict) = smaller_study(session, study, &small, verdict).await;
    (study, small, verdict)
}

async fn smaller_study(session: &Session, mut study: Study, small: &Small, mut verdict: Verdict) -> (Study, Verdict) {
    let judge = Judge::over(session, small).await;
    let mut tries = 0;
    loop {
        let mut better = false;
        let mut position = 0;
        'positions: while nodes(&study.query) > position {
            let mut edit = 0;
            while let Some(candidate) = edited(&study, position, edit) {
                edit += 1;
                let Some(candidate) = candidate else { continue };
                tries += 1;
                if tries > TRIES {
                    return (study, verdict);
                }
                let found = judge.verdict(&candidate).await;
                if found.is_like(&verdict) {
                    (study, verdict, better) = (candidate, found, true);
                    continue 'positions;
                }
            }
            position += 1;
        }
        if !better {
            return (study, verdict);
        }
    }
}

async fn smaller_store(session: &Session, study: &Study, mut small: Small, mut verdict: Verdict) -> (Small, Verdict) {
    let mut tries = 0;
    let mut candidates: Vec<Small> = Vec::new();
    let mut simple = small.clone();
    simple.classes.iter_mut().for_each(|class| *class = 0);
    candidates.push(simple);
    for candidate in candidates {
        let found = Judge::over(session, &candidate).await.verdict(study).await;
        if found.is_like(&verdict) {
            (small, verdict) = (candidate, found);
        }
    }
    for table in 0..small.tables.len() {
        let mut size = small.tables[table].rows.len();
        while size > 0 {
            let mut start = 0;
            while start < small.tables[table].rows.len() {
                let mut candidate = small.clone();
                let end = (start + size).min(candidate.tables[table].rows.len());
                candidate.tables[table].rows.drain(start..end);
                if table == 0 {
                    candidate.classes.drain(start..end);
                }
                tries += 1;
                if tries > TRIES {
                    return (small, verdict);
                }
                let found = Judge::over(session, &candidate).await.verdict(study).await;
                if found.is_like(&verdict) {
                    (small, verdict) = (candidate, found);
                } else {
                    start += size;
                }
            }
            size /= 2;
        }
    }
    (small, verdict)
}

fn nodes(query: &Query) -> usize {
    let mut count = 0;
    query.clone().walk(&mut |_| count += 1);
    count
}

/// The study with one edit at one place; `None` where this place has no such edit, `Some(None)` where the edit makes no
/// study that could be the same.
fn edited(study: &Study, position: usize, edit: usize) -> Option<Option<Study>> {
    let mut edited = study.clone();
    let (mut at, mut done) = (0, false);
    edited.query.walk(&mut |node| {
        if at == position {
            done = match node {
                Node::Expr(expr) => edit_expr(expr, edit),
                Node::Query(query) => edit_query(query, edit, position == 0),
            };
        }
        at += 1;
    });
    if !done {
        return None;
    }
    // A number in GROUP BY or ORDER BY would be the place of a column.
    let mut by_place = false;
    let number = |expr: &Expr| matches!(expr, Expr::Literal(_));
    edited.query.walk(&mut |node| {
        by_place |= match node {
            Node::Query(Query { body: Body::Select(select), .. }) => select.group.iter().any(number),
            Node::Expr(Expr::Aggregate { order, .. }) => order.iter().any(|key| number(&key.expr)),
            Node::Expr(Expr::Window(window)) => window.order.iter().any(|key| number(&key.expr)),
            _ => false,
        };
    });
    if by_place {
        return Some(None);
    }
    let names: Vec<String> = match &edited.query.body {
        Body::Select(select) => select.items.iter().map(|item| item.name.clone()).collect(),
        Body::Set { .. } => return Some(None),
    };
    edited.columns.retain(|(name, _)| names.contains(name));
    Some(Some(edited))
}

fn simple(ty: Type) -> Vec<Expr> {
    let literal = |value: Literal| Expr::Literal(value);
    match ty {
        Type::Int => vec![literal(Literal::Int(1)), literal(Literal::Int(0))],
        Type::Real => vec![literal(Literal::Real(1.0)), literal(Literal::Real(0.0))],
        Type::Text => vec![literal(Literal::Text("a".to_string()))],
        Type::Truth => vec![literal(Literal::Truth(true)), literal(Literal::Truth(false))],
        Type::Day => vec![literal(Literal::Day("2020-01-01".to_string()))],
        Type::Moment => vec![literal(Literal::Moment("2020-01-01 00:00:00".to_string()))],
    }
}

fn edit_expr(expr: &mut Expr, edit: usize) -> bool {
    let ty = expr.ty();
    if matches!(expr, Expr::Literal(_)) {
        return false;
    }
    let own: Vec<Expr> = expr.children_mut().into_iter().filter(|child| child.ty() == ty).map(|e| e.clone()).collect();
    let mut candidates = own;
    candidates.extend(simple(ty));
    if !matches!(expr, Expr::Column { .. }) {
        candidates.push(Expr::null(ty));
    }
    candidates.extend(without_a_part(expr));
    match candidates.into_iter().nth(edit) {
        Some(candidate) => {
            *expr = candidate;
            true
        }
        None => false,
    }
}

/// The expression without one of its optional parts.
fn without_a_part(expr: &Expr) -> Vec<Expr> {
    let mut smaller = Vec::new();
    match expr {
        Expr::InList { negated, expr, list } if list.len() > 1 => {
            for n in 0..list.len() {
                let mut list = list.clone();
                list.remove(n);
                smaller.push(Expr::InList { negated: *negated, expr: expr.clone(), list });
            }
        }
        Expr::Case { operand, arms, otherwise, ty } => {
            for n in (0..arms.len()).filter(|_| arms.len() > 1) {
                let mut arms = arms.clone();
                arms.remove(n);
                smaller.push(Expr::Case { operand: operand.clone(), arms, otherwise: otherwise.clone(), ty: *ty });
            }
            if otherwise.is_some() {
                smaller.push(Expr::Case { operand: operand.clone(), arms: arms.clone(), otherwise: None, ty: *ty });
            }
        }
        Expr::Aggregate { name, distinct, args, order, filter, ty } => {
            let with = |distinct: bool, filter: Option<Box<Expr>>| Expr::Aggregate {
                name,
                distinct,
                args: args.clone(),
                order: order.clone(),
                filter,
                ty: *ty,
            };
            if *distinct {
                smaller.push(with(false, filter.clone()));
            }
            if filter.is_some() {
                smaller.push(with(*distinct, None));
            }
        }
        Expr::Window(window) => {
            let mut push = |change: &dyn Fn(&mut super::tree::Window)| {
                let mut changed = window.clone();
                change(&mut changed);
                smaller.push(Expr::Window(changed));
            };
            if window.filter.is_some() {
                push(&|window| window.filter = None);
            }
            if window.frame.is_some() {
                push(&|window| window.frame = None);
            }
            if window.partition.len() > 1 {
                push(&|window| window.partition.truncate(1));
            }
            if window.ignore_nulls {
                push(&|window| window.ignore_nulls = false);
            }
            // The last key tells rows apart that are otherwise equal: without it, both engines would be right.
            for n in 0..window.order.len().saturating_sub(1) {
                push(&|window| drop(window.order.remove(n)));
            }
        }
        _ => {}
    }
    smaller
}

fn edit_query(query: &mut Query, edit: usize, outermost: bool) -> bool {
    let mut candidates: Vec<Query> = Vec::new();
    for n in 0..query.with.len() {
        let mut candidate = query.clone();
        candidate.with.remove(n);
        candidates.push(candidate);
    }
    match &query.body {
        Body::Set { left, right, .. } => candidates.extend([(**left).clone(), (**right).clone()]),
        Body::Select(select) => {
            let mut push = |change: &dyn Fn(&mut super::tree::Select)| {
                let mut changed = select.clone();
                change(&mut changed);
                candidates.push(Query { with: query.with.clone(), body: Body::Select(changed) });
            };
            for n in (0..select.joins.len()).rev() {
                push(&|select| drop(select.joins.remove(n)));
            }
            if select.filter.is_some() {
                push(&|select| select.filter = None);
            }
            if select.having.is_some() {
                push(&|select| select.having = None);
            }
            if select.qualify.is_some() {
                push(&|select| select.qualify = None);
            }
            if select.by_place {
                push(&|select| select.by_place = false);
            }
            if select.distinct {
                push(&|select| select.distinct = false);
            }
            let kept = if outermost { 2 } else { 0 };
            for n in (kept..select.items.len()).filter(|_| select.items.len() > 1) {
                push(&|select| drop(select.items.remove(n)));
            }
            for n in 1..select.group.len() {
                push(&|select| drop(select.group.remove(n)));
            }
            if let Relation::Query(inner) = &select.from.relation
                && let Body::Select(within) = &inner.body
                && let Relation::Table(_) = within.from.relation
            {
                push(&|select| select.from.relation = within.from.relation.clone());
            }
        }
    }
    match candidates.into_iter().nth(edit) {
        Some(candidate) => {
            *query = candidate;
            true
        }
        None => false,
    }
}
