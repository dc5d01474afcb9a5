//! The file that a researcher writes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use super::check::place;
use super::{
    Categories, Category, CategoryValue, Cohort, ConceptSet, Decimal, Dimension, Problem, Protection, SPEC_VERSION,
    Statistic, StatisticKind, StudySpec, Totals, Variable, limits,
};
use crate::consent::{Declarations, EthicsApproval, Promise, Purpose, Trait};
use crate::ids::Date;
use crate::privacy::MicroRho;

/// A study file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecFileError {
    /// Larger than any study.
    #[error("a study file is at most {} bytes; is this the right file?", limits::FILE_BYTES)]
    TooLong,
    /// Not TOML, or with fields that a study does not have; the text says where.
    #[error("{0}")]
    Toml(String),
    /// Of another version.
    #[error(
        "this study file is of version {0}, this program reads version {SPEC_VERSION}; write it anew with \
         `consilium study new`"
    )]
    Version(i64),
    /// Well formed, but breaking rules.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

#[derive(Deserialize)]
struct VersionOnly {
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    title: String,
    description: String,
    purpose: PurposeFile,
    declares: Option<Vec<Trait>>,
    #[serde(default)]
    promises: Vec<Promise>,
    ethics: Option<EthicsApproval>,
    #[serde(default)]
    collaborators: Vec<String>,
    publishes_from: Option<Date>,
    #[serde(default)]
    protection: ProtectionFile,
    rho: Option<MicroRho>,
    #[serde(default)]
    min_joint_count: u32,
    #[serde(default)]
    totals: TotalsFile,
    cohort: CohortFile,
    #[serde(default)]
    concept_set: Vec<ConceptSetFile>,
    #[serde(default)]
    variable: Vec<VariableFile>,
    #[serde(default)]
    dimension: Vec<DimensionFile>,
    #[serde(default)]
    statistic: Vec<StatisticFile>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PurposeFile {
    One(Purpose),
    Several(Vec<Purpose>),
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtectionFile {
    Open,
    // What a study that says nothing gets.
    #[default]
    Guarded,
    Private,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TotalsFile {
    #[default]
    Shown,
    Hidden,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CohortFile {
    sql: String,
    subject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConceptSetFile {
    name: String,
    include: Vec<u32>,
    #[serde(default)]
    exclude: Vec<u32>,
    #[serde(default)]
    descendants: bool,
}

impl ConceptSetFile {
    /// With its concepts once each, in ascending order.
    fn read(self) -> ConceptSet {
        let sorted = |concepts: Vec<u32>| concepts.into_iter().collect::<BTreeSet<u32>>().into_iter().collect();
        let Self { name, include, exclude, descendants } = self;
        ConceptSet { name, include: sorted(include), exclude: sorted(exclude), descendants }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableFile {
    name: String,
    min: Option<Decimal>,
    max: Option<Decimal>,
    resolution: Option<Decimal>,
    #[serde(default)]
    unit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DimensionFile {
    name: String,
    values: Option<Vec<ValueFile>>,
    edges: Option<Vec<Decimal>>,
    /// By level, finer first, the labels that are merged.
    #[serde(default)]
    coarser: Vec<Vec<Vec<CategoryValue>>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a value is a text, a whole number, true, false, or { value = …, label = \"…\" }")]
enum ValueFile {
    Bare(CategoryValue),
    Labelled(LabelledValue),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelledValue {
    value: CategoryValue,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatisticFile {
    name: String,
    kind: KindFile,
    of: Option<String>,
    edges: Option<Vec<Decimal>>,
    #[serde(default)]
    by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindFile {
    Count,
    Sum,
    Mean,
    Variance,
    Histogram,
    Crosstab,
}

impl StudySpec {
    /// Reads and checks a study file.
    ///
    /// # Errors
    /// [`SpecFileError`] with every problem found; a study that is read is valid.
    pub fn from_toml(text: &str) -> Result<Self, SpecFileError> {
        if text.len() > limits::FILE_BYTES {
            return Err(SpecFileError::TooLong);
        }
        let toml_error = |e: toml::de::Error| SpecFileError::Toml(in_words(e.to_string().trim_end()));
        let version: VersionOnly = toml::from_str(text).map_err(toml_error)?;
        match version.version {
            Some(version) if version != i64::from(SPEC_VERSION) => return Err(SpecFileError::Version(version)),
            _ => {}
        }
        let file: File = toml::from_str(text).map_err(toml_error)?;
        let mut problems = Vec::new();
        let mut concept_sets: Vec<ConceptSet> = file.concept_set.into_iter().map(ConceptSetFile::read).collect();
        concept_sets.sort_by(|one, other| one.name.cmp(&other.name));
        let spec = Self {
            version: SPEC_VERSION,
            title: file.title,
            description: file.description,
            purposes: in_order(match file.purpose {
                PurposeFile::One(purpose) => vec![purpose],
                PurposeFile::Several(purposes) => purposes,
            }),
            declared: Declarations {
                traits: in_order(declared(file.declares, &mut problems)),
                promises: in_order(file.promises),
                ethics: file.ethics,
                collaborators: in_order(file.collaborators),
                publishes_from: file.publishes_from,
            },
            protection: protection(file.protection, file.rho, &mut problems),
            min_joint_count: file.min_joint_count,
            totals: match file.totals {
                TotalsFile::Shown => Totals::Shown,
                TotalsFile::Hidden => Totals::Hidden,
            },
            cohort: Cohort { sql: file.cohort.sql, subject: file.cohort.subject, concept_sets },
            tables: Vec::new(),
            variables: entries(file.variable, "variable", &mut problems, |file| &file.name, variable),
            dimensions: entries(file.dimension, "dimension", &mut problems, |file| &file.name, dimension),
            statistics: entries(file.statistic, "statistic", &mut problems, |file| &file.name, statistic),
        };
        problems.extend(if problems.is_empty() { spec.problems() } else { Vec::new() });
        if spec.to_canonical().len() > limits::SPEC_BYTES {
            let what = format!(
                "a study is at most {} bytes; list fewer concepts (with `descendants`, one stands for all below it), or shorten the \
                 query",
                limits::SPEC_BYTES
            );
            problems.push(Problem { at: "concept_set".to_string(), what });
        }
        if problems.is_empty() { Ok(spec) } else { Err(SpecFileError::Invalid(problems)) }
    }
}

/// What is wrong with a file, with what to do about the commonest mistakes.
fn in_words(error: &str) -> String {
    /// Fields of the study itself.
    const TOP: [&str; 13] = [
        "version",
        "title",
        "description",
        "purpose",
        "declares",
        "promises",
        "ethics",
        "collaborators",
        "publishes_from",
        "protection",
        "rho",
        "min_joint_count",
        "totals",
    ];
    let hint = match error.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`')) {
        // The top has them all: this is another place.
        Some((field, _)) if TOP.contains(&field) => {
            format!("`{field}` is a field of the study itself: it belongs above the first line in brackets, such as [cohort]")
        }
        _ if error.contains("unknown variant `median`") || error.contains("unknown variant `quantile`") => {
            "medians and quantiles are read off a histogram: kind = \"histogram\" with `edges`".to_string()
        }
        _ if error.contains("untagged enum PurposeFile") => {
            "a purpose is GRU, HMB, POA or DS-<disease code>, for example DS-MONDO:0005148, or a list of these".to_string()
        }
        _ if error.contains("invalid type: map, expected a sequence") => {
            "its heading is written in double brackets, once for every entry: [[variable]], [[dimension]], [[statistic]]".to_string()
        }
        _ => String::new(),
    };
    let plain = error
        .replace("invalid type: map, expected a sequence", "the heading has single brackets")
        .replace("expected u32", "expected a whole number from 0 to 4294967295")
        .replace("expected i64", "expected a whole number");
    if hint.is_empty() { plain } else { format!("{plain}\n{hint}") }
}

/// In ascending order, each once.
fn in_order<T: Ord>(list: Vec<T>) -> Vec<T> {
    list.into_iter().collect::<BTreeSet<T>>().into_iter().collect()
}

/// What a study declares to be: patients have bound their consents to it, so it is never left unsaid.
fn declared(traits: Option<Vec<Trait>>, problems: &mut Vec<Problem>) -> Vec<Trait> {
    traits.unwrap_or_else(|| {
        let all = Trait::ALL.map(Trait::name).join(", ");
        let what = format!(
            "is missing: say what of these the study is, since consents may exclude it: {all}; `declares = []` says that it is \
             none of them"
        );
        problems.push(Problem { at: "declares".to_string(), what });
        Vec::new()
    })
}

fn protection(word: ProtectionFile, rho: Option<MicroRho>, problems: &mut Vec<Problem>) -> Protection {
    let mut problem = |what: &str| problems.push(Problem { at: "rho".to_string(), what: what.to_string() });
    match (word, rho) {
        (ProtectionFile::Private, Some(rho)) => return Protection::Private { rho },
        (ProtectionFile::Private, None) => problem("is missing: a private study says what it may lose; try rho = 0.1"),
        (_, Some(_)) => problem("belongs to a private study; remove it, or set protection = \"private\""),
        (_, None) => {}
    }
    match word {
        ProtectionFile::Open => Protection::Open,
        ProtectionFile::Guarded | ProtectionFile::Private => Protection::Guarded,
    }
}

/// A field of an entry, and what is wrong with it.
type Wrong = (&'static str, Cow<'static, str>);

/// Converts each entry, noting where one is wrong.
fn entries<F, T>(
    files: Vec<F>,
    table: &str,
    problems: &mut Vec<Problem>,
    name: impl Fn(&F) -> &str,
    convert: impl Fn(F) -> Result<T, Wrong>,
) -> Vec<T> {
    let mut converted = Vec::with_capacity(files.len());
    for (i, file) in files.into_iter().enumerate() {
        let name = name(&file).to_string();
        match convert(file) {
            Ok(value) => converted.push(value),
            Err((field, what)) => problems.push(Problem { at: place(table, i, &name, field), what: what.into_owned() }),
        }
    }
    converted
}

fn variable(file: VariableFile) -> Result<Variable, Wrong> {
    const WHY: Cow<'static, str> = Cow::Borrowed(
        "is missing: every variable declares min, max and resolution, so that no sum can overflow and no single \
          value can dominate",
    );
    Ok(Variable {
        name: file.name,
        min: file.min.ok_or(("min", WHY))?,
        max: file.max.ok_or(("max", WHY))?,
        resolution: file.resolution.ok_or(("resolution", WHY))?,
        unit: file.unit,
    })
}

fn dimension(file: DimensionFile) -> Result<Dimension, Wrong> {
    let categories = match (file.values, file.edges) {
        (Some(values), None) => Categories::Values(values.into_iter().map(category).collect()),
        (None, Some(edges)) => Categories::Edges(edges),
        _ => return Err(("values", "a dimension declares either `values` or `edges`".into())),
    };
    let mut dimension = Dimension { name: file.name, categories, coarser: Vec::new() };
    let labels = dimension.labels();
    dimension.coarser = file.coarser.iter().map(|groups| classes(&labels, groups)).collect::<Result<_, _>>()?;
    Ok(dimension)
}

/// The class of each category, of *other* and of *missing*, where these labels are merged.
fn classes(labels: &[String], groups: &[Vec<CategoryValue>]) -> Result<Vec<u16>, Wrong> {
    let mut all: Vec<&str> = labels.iter().map(String::as_str).collect();
    all.extend(["other", "missing"]);
    // A category stands for its class.
    let mut leaders: Vec<usize> = (0..all.len()).collect();
    let mut named = std::collections::BTreeSet::new();
    for group in groups {
        let mut own = Vec::with_capacity(group.len());
        for label in group {
            // A category without a label of its own is called as its value.
            let label = label.to_string();
            let place = all.iter().position(|known| *known == label).ok_or_else(|| {
                let known = all.iter().map(|label| format!("\"{label}\"")).collect::<Vec<_>>().join(", ");
                let what =
                    format!("names `{label}`, a category that the dimension does not have; its labels are {known}");
                ("coarser", Cow::Owned(what))
            })?;
            if !named.insert(place) {
                return Err(("coarser", "names a category twice on one level; remove one".into()));
            }
            own.push(place);
        }
        if let Some(first) = own.iter().min().copied() {
            own.into_iter().for_each(|place| leaders[place] = first);
        }
    }
    let mut order: Vec<usize> = Vec::new();
    let number = |leader: usize| {
        let known = order.iter().position(|known| *known == leader);
        known.unwrap_or_else(|| {
            order.push(leader);
            order.len() - 1
        }) as u16
    };
    Ok(leaders.into_iter().map(number).collect())
}

fn category(file: ValueFile) -> Category {
    match file {
        ValueFile::Bare(value) => Category { label: value.to_string(), value },
        ValueFile::Labelled(LabelledValue { value, label }) => Category { value, label },
    }
}

fn statistic(file: StatisticFile) -> Result<Statistic, Wrong> {
    let needs_of = ("of", "is missing: name the variable".into());
    let is_histogram = matches!(file.kind, KindFile::Histogram);
    let about_a_variable = !matches!(file.kind, KindFile::Count | KindFile::Crosstab);
    if file.edges.is_some() && !is_histogram {
        return Err(("edges", "only a histogram has edges; remove them".into()));
    }
    if file.of.is_some() && !about_a_variable {
        return Err(("of", "a count or crosstab is not about a variable; remove `of`".into()));
    }
    let of = file.of.ok_or(needs_of);
    let kind = match file.kind {
        KindFile::Count => StatisticKind::Count,
        KindFile::Crosstab => StatisticKind::Crosstab,
        KindFile::Sum => StatisticKind::Sum { of: of? },
        KindFile::Mean => StatisticKind::Mean { of: of? },
        KindFile::Variance => StatisticKind::Variance { of: of? },
        KindFile::Histogram => {
            let edges = file.edges.ok_or(("edges", "is missing: a histogram lists its edges".into()))?;
            StatisticKind::Histogram { of: of?, edges }
        }
    };
    Ok(Statistic { name: file.name, kind, by: file.by })
}
