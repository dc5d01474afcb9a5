//! The syntax tree that both texts of a query are printed from.

/// What an expression yields, as both engines agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Type {
    Int,
    Real,
    Text,
    Truth,
    Day,
    Moment,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null(Type),
    Int(i64),
    Real(f64),
    Text(String),
    Truth(bool),
    /// `YYYY-MM-DD`.
    Day(String),
    /// The same, written as a text that a comparison with a day makes a day of.
    DayText(String),
    /// `YYYY-MM-DD hh:mm:ss`.
    Moment(String),
}

/// How a cast is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Cast,
    TryCast,
    Colons,
}

/// A key of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) expr: Expr,
    pub(super) descending: bool,
    /// NULLS FIRST or NULLS LAST, where it is written.
    pub(super) nulls_first: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Column {
        of: String,
        name: String,
        ty: Type,
    },
    Literal(Literal),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// One of = <> < <= > >=.
    Compare {
        op: &'static str,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// One of + - * / % on numbers, and + - of a day and a whole number, and − of two days.
    Arithmetic {
        op: &'static str,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Negate(Box<Expr>),
    /// A day or moment, and the interval that is added to it or taken from it.
    Shift {
        of: Box<Expr>,
        minus: bool,
        count: i64,
        unit: &'static str,
    },
    Between {
        negated: bool,
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    InList {
        negated: bool,
        expr: Box<Expr>,
        list: Vec<Expr>,
    },
    Like {
        negated: bool,
        insensitive: bool,
        expr: Box<Expr>,
        pattern: Box<Expr>,
    },
    IsNull {
        negated: bool,
        expr: Box<Expr>,
    },
    /// IS TRUE, IS FALSE or, with `None`, IS UNKNOWN.
    IsTruth {
        negated: bool,
        value: Option<bool>,
        expr: Box<Expr>,
    },
    /// IS [NOT] DISTINCT FROM.
    Distinct {
        negated: bool,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        ty: Type,
    },
    Cast {
        expr: Box<Expr>,
        to: Type,
        style: Style,
        name: &'static str,
    },
    Call {
        function: &'static super::functions::Function,
        args: Vec<Expr>,
        ty: Type,
    },
    Aggregate {
        name: &'static str,
        distinct: bool,
        args: Vec<Expr>,
        order: Vec<Key>,
        filter: Option<Box<Expr>>,
        ty: Type,
    },
    Window(Box<Window>),
    Exists {
        negated: bool,
        query: Box<Query>,
    },
    InQuery {
        negated: bool,
        expr: Box<Expr>,
        query: Box<Query>,
        /// Where records' numbers are compared, the person around and the one within: that they are one is written for the other
        /// engine alone.
        persons: Option<Box<(Expr, Expr)>>,
    },
    Scalar {
        query: Box<Query>,
        ty: Type,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) name: &'static str,
    pub(super) args: Vec<Expr>,
    pub(super) ignore_nulls: bool,
    pub(super) filter: Option<Expr>,
    pub(super) partition: Vec<Expr>,
    pub(super) order: Vec<Key>,
    pub(super) frame: Option<&'static str>,
    pub(super) ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) with: Vec<(String, Query)>,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Select(Box<Select>),
    /// UNION, INTERSECT or EXCEPT.
    Set {
        op: &'static str,
        all: bool,
        left: Box<Query>,
        right: Box<Query>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    pub(super) distinct: bool,
    pub(super) items: Vec<Item>,
    pub(super) from: Source,
    pub(super) joins: Vec<Join>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    /// Whether a study's text names keys that are results by their places.
    pub(super) by_place: bool,
    pub(super) having: Option<Expr>,
    pub(super) qualify: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) expr: Expr,
    pub(super) name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) relation: Relation,
    pub(super) alias: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Relation {
    /// A table of the store, or a name that WITH defines.
    Table(String),
    Query(Box<Query>),
    /// Joins in parentheses, whose aliases are seen from outside.
    Joined {
        from: Box<Source>,
        joins: Vec<Join>,
    },
    /// VALUES, with the names of its columns.
    Values {
        rows: Vec<Vec<Literal>>,
        names: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Joined {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
    /// A comma, with the condition in WHERE.
    Comma,
    /// CROSS JOIN, with the condition in WHERE.
    Cross,
    /// Inner, by USING.
    Using,
    /// Left, by USING.
    LeftUsing,
    /// Inner, by the number of a record; that both are of one person is written for the other engine alone.
    ByRecord,
    /// The same, left.
    LeftByRecord,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Join {
    pub(super) kind: Joined,
    pub(super) source: Source,
    /// With USING, the equality that it stands for, of a column that both sides have.
    pub(super) on: Expr,
}

/// A part of a query that a walk comes by.
pub(super) enum Node<'a> {
    Expr(&'a mut Expr),
    Query(&'a mut Query),
}

impl Literal {
    pub(super) const fn ty(&self) -> Type {
        match self {
            Self::Null(ty) => *ty,
            Self::Int(_) => Type::Int,
            Self::Real(_) => Type::Real,
            Self::Text(_) => Type::Text,
            Self::Truth(_) => Type::Truth,
            Self::Day(_) | Self::DayText(_) => Type::Day,
            Self::Moment(_) => Type::Moment,
        }
    }
}

impl Expr {
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Column { ty, .. }
            | Self::Case { ty, .. }
            | Self::Call { ty, .. }
            | Self::Aggregate { ty, .. }
            | Self::Scalar { ty, .. }
            | Self::Cast { to: ty, .. } => *ty,
            Self::Literal(literal) => literal.ty(),
            Self::Arithmetic { left, right, .. } => match (left.ty(), right.ty()) {
                (Type::Day, Type::Day) => Type::Int,
                (Type::Day, _) | (_, Type::Day) => Type::Day,
                (Type::Int, Type::Int) => Type::Int,
                _ => Type::Real,
            },
            Self::Negate(expr) => expr.ty(),
            Self::Shift { of, .. } => of.ty(),
            Self::Window(window) => window.ty,
            _ => Type::Truth,
        }
    }

    /// count(*)
    pub(super) const fn count_of_rows() -> Self {
        Self::Aggregate {
            name: "count",
            distinct: false,
            args: Vec::new(),
            order: Vec::new(),
            filter: None,
            ty: Type::Int,
        }
    }

    pub(super) fn null(ty: Type) -> Self {
        Self::Literal(Literal::Null(ty))
    }

    /// The same of two values that may be NULL.
    pub(super) fn same_as(self, other: Self) -> Self {
        Self::Distinct { negated: true, left: Box::new(self), right: Box::new(other) }
    }

    pub(super) fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) => Self::And(Box::new(self), Box::new(other)),
            None => self,
        }
    }

    pub(super) fn equals(self, other: Self) -> Self {
        Self::Compare { op: "=", left: Box::new(self), right: Box::new(other) }
    }

    /// The expressions directly within this one, those of subqueries aside.
    pub(super) fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Column { .. } | Self::Literal(_) | Self::Exists { .. } | Self::Scalar { .. } => Vec::new(),
            Self::Not(a) | Self::Negate(a) => vec![a],
            Self::And(a, b) | Self::Or(a, b) => vec![a, b],
            Self::Compare { left: a, right: b, .. }
            | Self::Arithmetic { left: a, right: b, .. }
            | Self::Distinct { left: a, right: b, .. }
            | Self::Like { expr: a, pattern: b, .. } => vec![a, b],
            Self::Shift { of: a, .. }
            | Self::IsNull { expr: a, .. }
            | Self::IsTruth { expr: a, .. }
            | Self::InQuery { expr: a, .. }
            | Self::Cast { expr: a, .. } => vec![a],
            Self::Between { expr, low, high, .. } => vec![expr, low, high],
            Self::InList { expr, list, .. } => std::iter::once(&mut **expr).chain(list).collect(),
            Self::Case { operand, arms, otherwise, .. } => {
                let arms = arms.iter_mut().flat_map(|(when, then)| [when, then]);
                let ends = otherwise.iter_mut().map(|e| &mut **e);
                operand.iter_mut().map(|e| &mut **e).chain(arms).chain(ends).collect()
            }
            Self::Call { args, .. } => args.iter_mut().collect(),
            Self::Aggregate { args, order, filter, .. } => {
                let keys = order.iter_mut().map(|key| &mut key.expr);
                args.iter_mut().chain(keys).chain(filter.iter_mut().map(|e| &mut **e)).collect()
            }
            Self::Window(window) => {
                let Window { args, filter, partition, order, .. } = &mut **window;
                let keys = order.iter_mut().map(|key| &mut key.expr);
                args.iter_mut().chain(filter).chain(partition).chain(keys).collect()
            }
        }
    }

    fn query_mut(&mut self) -> Option<&mut Query> {
        match self {
            Self::Exists { query, .. } | Self::InQuery { query, .. } | Self::Scalar { query, .. } => Some(query),
            _ => None,
        }
    }

    pub(super) fn walk(&mut self, visit: &mut dyn FnMut(Node<'_>)) {
        visit(Node::Expr(self));
        self.children_mut().into_iter().for_each(|child| child.walk(visit));
        if let Some(query) = self.query_mut() {
            query.walk(visit);
        }
    }
}

impl Source {
    fn walk(&mut self, visit: &mut dyn FnMut(Node<'_>)) {
        match &mut self.relation {
            Relation::Query(query) => query.walk(visit),
            Relation::Joined { from, joins } => {
                from.walk(visit);
                joins.iter_mut().for_each(|join| join.walk(visit));
            }
            Relation::Table(_) | Relation::Values { .. } => {}
        }
    }
}

impl Join {
    fn walk(&mut self, visit: &mut dyn FnMut(Node<'_>)) {
        self.source.walk(visit);
        self.on.walk(visit);
    }
}

impl Select {
    /// Its expressions, those of FROM aside.
    pub(super) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let items = self.items.iter_mut().map(|item| &mut item.expr);
        let rest = self.filter.iter_mut().chain(&mut self.group).chain(&mut self.having);
        items.chain(rest).chain(&mut self.qualify)
    }
}

impl Query {
    pub(super) fn select(select: Select) -> Self {
        Self { with: Vec::new(), body: Body::Select(Box::new(select)) }
    }

    /// Comes by every query and expression, from the outside in.
    pub(super) fn walk(&mut self, visit: &mut dyn FnMut(Node<'_>)) {
        visit(Node::Query(self));
        self.with.iter_mut().for_each(|(_, query)| query.walk(visit));
        match &mut self.body {
            Body::Set { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
            Body::Select(select) => {
                select.from.walk(visit);
                select.joins.iter_mut().for_each(|join| join.walk(visit));
                select.exprs_mut().for_each(|expr| expr.walk(visit));
            }
        }
    }
}
