//! The rules that every study keeps, whoever wrote it.

use std::collections::BTreeSet;
use std::fmt;

use super::{
    Categories, CategoryValue, ConceptSet, Decimal, Dimension, Protection, SPEC_VERSION, StatisticKind, StudySpec,
    Totals, Variable,
};
use crate::catalogue::{self, CatalogueError};
use crate::consent::{MAX_TEXT, Purpose};
use crate::privacy::MicroRho;

/// Sizes that no study passes.
pub mod limits {
    /// Bytes of the canonical form.
    pub const SPEC_BYTES: usize = 196_608;
    /// Bytes of a study file.
    pub const FILE_BYTES: usize = 1_048_576;
    /// Bytes of the title.
    pub const TITLE_BYTES: usize = 200;
    /// Bytes of the description.
    pub const DESCRIPTION_BYTES: usize = 4_000;
    /// Bytes of the query.
    pub const SQL_BYTES: usize = 16_384;
    /// Bytes of a name or label.
    pub const NAME_BYTES: usize = 64;
    /// Variables, dimensions, statistics: each at most.
    pub const ENTRIES: usize = 64;
    /// Values or edges of one list.
    pub const CATEGORIES: usize = 256;
    /// Levels of merged categories of one dimension.
    pub const COARSER: usize = 16;
    /// Purposes, collaborators: each at most.
    pub const PURPOSES: usize = 16;
    /// Dimensions of one statistic.
    pub const BY: usize = 3;
    /// The largest threshold that a study may ask for.
    pub const MIN_JOINT_COUNT: u32 = 1_000_000;
    /// Groups (combinations of categories) over all statistics.
    pub const GROUPS: usize = 16_384;
}

/// Something wrong with a study: where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place: for example field `of` of the statistic that is called Visits.
    pub at: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

struct Problems(Vec<Problem>);

/// A field of an entry, by the entry's name; by its position, from 1, where it has none that can be shown.
pub(super) fn place(table: &str, position: usize, name: &str, field: &str) -> String {
    let is_shown = !name.trim().is_empty() && name.len() <= limits::NAME_BYTES && !name.contains(char::is_control);
    match is_shown {
        true => format!("{table} `{name}`, {field}"),
        false => format!("{table} {}, {field}", position + 1),
    }
}

impl Problems {
    fn unless(&mut self, fine: bool, at: impl Into<String>, what: impl Into<String>) {
        if !fine {
            self.0.push(Problem { at: at.into(), what: what.into() });
        }
    }
}

impl StudySpec {
    /// Everything that is wrong with the study by itself; what a hospital's tables make of its query is known only
    /// there.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems(Vec::new());
        self.check_texts(&mut problems);
        self.check_use(&mut problems);
        if let Err(CatalogueError { table, what }) = catalogue::check(&self.tables) {
            problems.unless(false, format!("table `{table}`"), what);
        }
        self.check_concept_sets(&mut problems);
        self.check_variables(&mut problems);
        self.check_dimensions(&mut problems);
        self.check_statistics(&mut problems);
        problems.0
    }

    fn check_texts(&self, problems: &mut Problems) {
        problems.unless(self.version == SPEC_VERSION, "version", format!("must be {SPEC_VERSION}"));
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.len() <= most;
        let say = |most: usize| format!("must have 1 to {most} bytes");
        problems.unless(fits(&self.title, limits::TITLE_BYTES), "title", say(limits::TITLE_BYTES));
        problems.unless(!self.title.contains('\n'), "title", "must be one line");
        problems.unless(
            fits(&self.description, limits::DESCRIPTION_BYTES),
            "description",
            say(limits::DESCRIPTION_BYTES),
        );
        problems.unless(fits(&self.cohort.sql, limits::SQL_BYTES), "cohort.sql", say(limits::SQL_BYTES));
        problems.unless(catalogue::is_name(&self.cohort.subject), "cohort.subject", NAME_RULE);
        problems.unless(
            self.min_joint_count <= limits::MIN_JOINT_COUNT,
            "min_joint_count",
            format!("must be at most {}; leave it out to keep to the policy", limits::MIN_JOINT_COUNT),
        );
        problems.unless(
            !matches!(self.protection, Protection::Private { rho: MicroRho::ZERO }),
            "rho",
            "must be more than 0: nothing can be said without any loss; 0.1 is a careful choice",
        );
        let is_count = |kind: &StatisticKind| {
            matches!(kind, StatisticKind::Count | StatisticKind::Crosstab | StatisticKind::Histogram { .. })
        };
        problems.unless(
            self.totals == Totals::Shown
                || (self.protection == Protection::Guarded && self.statistics.iter().all(|s| is_count(&s.kind))),
            "totals",
            "can be hidden in a guarded study of counts only; remove it, or ask for sums in a study of their own",
        );
    }

    fn check_use(&self, problems: &mut Problems) {
        let ascend = |purposes: &[Purpose]| purposes.is_sorted_by(|one, next| one < next);
        problems.unless(
            (1..=limits::PURPOSES).contains(&self.purposes.len()) && ascend(&self.purposes),
            "purpose",
            format!("must be 1 to {}, each once", limits::PURPOSES),
        );
        let is_asked = |purpose: &Purpose| purpose.is_research() && *purpose != Purpose::NoRestriction;
        problems.unless(
            self.purposes.iter().all(is_asked),
            "purpose",
            "must be one of a study: GRU, HMB, DS-<disease code> or POA; NRES is what patients grant, and CC and ETREAT are no \
             research",
        );
        let declared = &self.declared;
        problems.unless(declared.traits.is_sorted_by(|one, next| one < next), "declares", "must name each once");
        problems.unless(declared.promises.is_sorted_by(|one, next| one < next), "promises", "must name each once");
        let names = &declared.collaborators;
        let fits = |text: &str| !text.trim().is_empty() && text.len() <= MAX_TEXT && !text.contains(char::is_control);
        problems.unless(
            names.len() <= limits::PURPOSES
                && names.is_sorted_by(|one, next| one < next)
                && names.iter().all(|name| fits(name)),
            "collaborators",
            format!("must be at most {}, each once, in one line of at most {MAX_TEXT} bytes", limits::PURPOSES),
        );
        problems.unless(
            declared.ethics.as_ref().is_none_or(|ethics| fits(&ethics.body) && ethics.is_named()),
            "ethics",
            format!(
                "must have the committee's name as `body`, in one line of at most {MAX_TEXT} bytes, and the SHA-256 of its decision \
                 as `document`"
            ),
        );
    }

    fn check_concept_sets(&self, problems: &mut Problems) {
        let sets = &self.cohort.concept_sets;
        problems.unless(
            sets.len() <= limits::ENTRIES,
            "concept_set",
            format!("at most {} concept sets; split the study", limits::ENTRIES),
        );
        problems.unless(
            sets.is_sorted_by(|one, next| one.name < next.name),
            "concept_set",
            "two have one name; name each differently",
        );
        let ascend = |concepts: &[u32]| concepts.is_sorted_by(|one, next| one < next);
        for ConceptSet { name, include, exclude, .. } in sets {
            let at = format!("concept_set `{}`", name.chars().take(limits::NAME_BYTES).collect::<String>());
            problems.unless(catalogue::is_name(name), &at, NAME_RULE);
            problems.unless(!include.is_empty(), &at, "includes no concept; list some in `include`");
            let is_table = self.tables.iter().any(|table| table.name == *name);
            let is_view = catalogue::VIEWS.contains(&&**name);
            problems.unless(!is_view, &at, "is the name of a view; choose another");
            problems.unless(!is_table, &at, "is the name of a table of the consortium's; choose another");
            problems.unless(ascend(include) && ascend(exclude), &at, "lists concepts twice or in another order");
        }
    }

    fn check_variables(&self, problems: &mut Problems) {
        problems.unless(
            self.variables.len() <= limits::ENTRIES,
            "variable",
            format!("at most {} variables; split the study", limits::ENTRIES),
        );
        let mut seen = BTreeSet::new();
        for (i, variable) in self.variables.iter().enumerate() {
            let at = |field: &str| place("variable", i, &variable.name, field);
            problems.unless(catalogue::is_name(&variable.name), at("name"), NAME_RULE);
            problems.unless(variable.name != self.cohort.subject, at("name"), "the subject is not a number to add up");
            problems.unless(seen.insert(&variable.name), at("name"), "names a variable twice; remove one");
            problems.unless(variable.unit.len() <= limits::NAME_BYTES, at("unit"), "is too long");
            problems.unless(variable.min < variable.max, at("min"), "must be less than max");
            // Where the bounds are none, nothing can be said of their steps.
            if variable.min < variable.max && variable.steps().is_none() {
                problems.unless(false, at("resolution"), wrong_resolution(variable));
            }
        }
    }

    fn check_dimensions(&self, problems: &mut Problems) {
        problems.unless(
            self.dimensions.len() <= limits::ENTRIES,
            "dimension",
            format!("at most {} dimensions; split the study", limits::ENTRIES),
        );
        let mut seen = BTreeSet::new();
        for (i, dimension) in self.dimensions.iter().enumerate() {
            let at = |field: &str| place("dimension", i, &dimension.name, field);
            problems.unless(catalogue::is_name(&dimension.name), at("name"), NAME_RULE);
            problems.unless(
                dimension.name != self.cohort.subject,
                at("name"),
                "the subject cannot be a dimension: every group would be one patient; group by something coarser",
            );
            problems.unless(seen.insert(&dimension.name), at("name"), "names a dimension twice; remove one");
            match &dimension.categories {
                Categories::Values(values) => {
                    problems.unless(
                        (1..=limits::CATEGORIES).contains(&values.len()),
                        at("values"),
                        format!("needs 1 to {} values", limits::CATEGORIES),
                    );
                    let distinct: BTreeSet<&CategoryValue> = values.iter().map(|c| &c.value).collect();
                    problems.unless(distinct.len() == values.len(), at("values"), "names a value twice; remove one");
                    let labels: BTreeSet<&str> = values.iter().map(|c| c.label.as_str()).collect();
                    problems.unless(labels.len() == values.len(), at("values"), "two values have the same label");
                    let fits = |c: &super::Category| {
                        (1..=limits::NAME_BYTES).contains(&c.label.len())
                            && !matches!(&c.value, CategoryValue::Text(t) if t.len() > limits::NAME_BYTES)
                    };
                    problems.unless(
                        values.iter().all(fits),
                        at("values"),
                        format!("values and labels have 1 to {} bytes; shorten them", limits::NAME_BYTES),
                    );
                    if let Some(c) = values.iter().find(|c| RESERVED.contains(&c.label.as_str())) {
                        let (label, value) = (&c.label, c.value.in_toml());
                        problems.unless(
                            false,
                            at("values"),
                            format!(
                                "`{label}` is reserved for what no value holds; write {{ value = {value}, label = \"rest\" }}"
                            ),
                        );
                    }
                    let kinds: BTreeSet<u8> = values.iter().map(|c| kind_of(&c.value)).collect();
                    problems.unless(kinds.len() <= 1, at("values"), "mixes texts and numbers; use one kind");
                }
                Categories::Edges(edges) => check_edges(problems, edges, at("edges")),
            }
            check_coarser(problems, dimension, self.protection, at("coarser"));
        }
    }

    fn check_statistics(&self, problems: &mut Problems) {
        problems.unless(
            (1..=limits::ENTRIES).contains(&self.statistics.len()),
            "statistic",
            format!("a study has 1 to {} statistics", limits::ENTRIES),
        );
        let mut seen = BTreeSet::new();
        let mut groups = 0usize;
        for (i, statistic) in self.statistics.iter().enumerate() {
            let at = |field: &str| place("statistic", i, &statistic.name, field);
            let named = (1..=limits::NAME_BYTES).contains(&statistic.name.len()) && !statistic.name.contains('\n');
            problems.unless(named, at("name"), "must be one line of 1 to 64 bytes");
            problems.unless(seen.insert(&statistic.name), at("name"), "names a statistic twice; rename one");
            if let Some(of) = statistic.kind.variable() {
                problems.unless(
                    self.variable(of).is_some(),
                    at("of"),
                    format!("`{of}` is no declared variable; add a [[variable]] with min, max and resolution"),
                );
            }
            if let StatisticKind::Histogram { edges, .. } = &statistic.kind {
                check_edges(problems, edges, at("edges"));
            }
            let by: BTreeSet<&String> = statistic.by.iter().collect();
            problems.unless(by.len() == statistic.by.len(), at("by"), "names a dimension twice; remove one");
            problems.unless(statistic.by.len() <= limits::BY, at("by"), "at most three dimensions");
            let crosstab = matches!(statistic.kind, StatisticKind::Crosstab);
            problems.unless(
                !crosstab || (2..=3).contains(&statistic.by.len()),
                at("by"),
                "a crosstab is by two or three dimensions; use `count` for fewer",
            );
            let mut size = 1usize;
            for name in &statistic.by {
                match self.dimension(name) {
                    // Plus *other* and *missing*.
                    Some(dimension) => size = size.saturating_mul(dimension.len() + 2),
                    None => problems.unless(
                        false,
                        at("by"),
                        format!("`{name}` is no declared dimension; add a [[dimension]] with values or edges"),
                    ),
                }
            }
            if let StatisticKind::Histogram { edges, .. } = &statistic.kind {
                size = size.saturating_mul(edges.len() + 2);
            }
            groups = groups.saturating_add(size);
        }
        problems.unless(
            groups <= limits::GROUPS,
            "statistic",
            format!("the study asks for {groups} groups, at most {}; use fewer categories", limits::GROUPS),
        );
    }
}

impl Dimension {
    /// How many categories, without *other* and *missing*.
    pub fn len(&self) -> usize {
        match &self.categories {
            Categories::Values(values) => values.len(),
            Categories::Edges(edges) => edges.len().saturating_sub(1),
        }
    }

    /// Whether there is no category; never so in a valid study.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Variable {
    /// `min` and `max` in steps of the resolution, or `None` when the resolution is not positive, or one is
    /// more than 2^31 steps from 0.
    pub fn steps(&self) -> Option<(i64, i64)> {
        let (min, max) = (self.min.steps_of(self.resolution)?, self.max.steps_of(self.resolution)?);
        let near = |steps: i64| steps.unsigned_abs() <= 1 << 31;
        (near(min) && near(max) && min < max).then_some((min, max))
    }
}

/// Why a variable has no steps between bounds that are in order.
fn wrong_resolution(variable: &Variable) -> &'static str {
    let steps = |bound: Decimal| bound.steps_of(variable.resolution);
    match (steps(variable.min), steps(variable.max)) {
        (Some(min), Some(max)) if min == max => "is so coarse that min and max are the same step; use a finer one",
        (None, None) if variable.resolution <= Decimal::ZERO => "must be more than 0",
        _ => "is too fine: min and max are at most 2^31 steps from 0; use a coarser one",
    }
}

const NAME_RULE: &str = "a name has 1 to 64 characters out of a-z, 0-9 and _, and does not start with a digit";

/// Labels that every dimension has beside its own.
const RESERVED: [&str; 2] = ["other", "missing"];

fn kind_of(value: &CategoryValue) -> u8 {
    match value {
        CategoryValue::Truth(_) => 0,
        CategoryValue::Integer(_) => 1,
        CategoryValue::Text(_) => 2,
    }
}

/// Each level merges what the one before has, and leaves two classes at least.
fn check_coarser(problems: &mut Problems, dimension: &Dimension, protection: Protection, at: String) {
    if dimension.coarser.is_empty() {
        return;
    }
    problems.unless(protection == Protection::Guarded, at.clone(), "is of guarded studies only; remove it");
    problems.unless(
        dimension.coarser.len() <= limits::COARSER,
        at.clone(),
        format!("at most {} levels", limits::COARSER),
    );
    let width = dimension.len().saturating_add(2);
    let mut finer: Vec<u16> = (0..width).map(|place| u16::try_from(place).unwrap_or(u16::MAX)).collect();
    for level in &dimension.coarser {
        let is_numbered = level.len() == width
            && level.iter().enumerate().all(|(place, class)| {
                level[..place].contains(class)
                    || usize::from(*class) == level[..place].iter().collect::<BTreeSet<_>>().len()
            });
        let classes = |of: &[u16]| of.iter().collect::<BTreeSet<_>>().len();
        let is_nested = is_numbered
            && (0..width).all(|place| {
                // The first of a class of the finer level stands for it.
                finer.iter().position(|class| *class == finer[place]).is_some_and(|first| level[first] == level[place])
            });
        problems.unless(
            is_nested && classes(level) < classes(&finer) && classes(level) > 1,
            at.clone(),
            "every level merges groups of the one before, the finest first, and leaves two groups at least; list the labels of \
             each group that is merged",
        );
        if !is_nested {
            return;
        }
        finer.clone_from(level);
    }
}

fn check_edges(problems: &mut Problems, edges: &[Decimal], at: String) {
    let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
    let fine = ascending && (2..=limits::CATEGORIES).contains(&edges.len());
    problems.unless(fine, at, format!("needs 2 to {} ascending numbers", limits::CATEGORIES));
}
