//! Opens the tables of a schema: decides which of their columns can be read, and says why of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use consilium_protocol::catalogue::CatalogueTable;

use super::super::config::StoreConfig;
use super::super::edge::Fit;
use super::super::error::StoreError;
use super::super::folder::tables_of;
use super::super::layout::{Columns, From, Survey, Wanted, nothing, survey};
use super::super::names::{Place, place, plain};
use super::super::omop;
use super::super::subjects::checked;
use super::super::summary::DatabaseSummary;
use super::super::table::{Column, Notes, Role, Source, Table};
use super::super::text::Nulls;
use super::super::{Gathered, Which};
use super::access::Access;
use super::catalog::{self, Attribute, Catalog, Relation, RelationKind, Texts};
use super::config::DatabaseConfig;
use super::connection::{Begin, Connection, Door, begin, failed, unread};
use super::dial::Dial;
use super::error::DatabaseError;
use super::key::Key;
use super::moment::{Division, Moment, Selection};
use super::parts::crowded;
use super::shape::Shape;
use super::{quoted, role, within};

/// A database whose tables are open.
#[derive(Debug)]
pub(in crate::store) struct Database {
    door: Arc<Door>,
    version: u32,
    nulls: Arc<Nulls>,
    /// The tables that studies read.
    relations: Vec<Arc<Relation>>,
}

/// What was opened.
pub(in crate::store) struct Opened {
    pub(in crate::store) found: Gathered,
    pub(in crate::store) database: Database,
    pub(in crate::store) summary: DatabaseSummary,
}

/// The name that a table's column has in the database, and how its values travel.
pub(super) fn attribute(table: &str, relation: &Relation, column: &Column) -> Option<(String, Shape)> {
    let names: Vec<String> = relation.attributes.iter().map(|attribute| plain(&attribute.name)).collect();
    let Place::At(at) = place(table, &names, column) else { return None };
    let attribute = &relation.attributes[at];
    Some((attribute.name.clone(), attribute.shape?))
}

/// Opens a schema.
pub(in crate::store) async fn open(
    which: Which,
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
    database: &DatabaseConfig,
    access: Access,
    dial: Arc<dyn Dial>,
) -> Result<Opened, StoreError> {
    database.check().map_err(|error| DatabaseError::File { file: "[store]".to_string(), what: error.to_string() })?;
    let door = Arc::new(Door::new(database, access, dial)?);
    let (schema, user) = (&database.schema, &database.url.user);
    let look = door.enter().await?;
    look.client.batch_execute(&begin(&Begin::Look)).await.map_err(|error| failed(&error, "a transaction"))?;
    let about = catalog::about(&look.client).await?;
    let Catalog { relations, .. } = catalog::read(&look.client, schema, user).await?;
    let mut summary = DatabaseSummary {
        version: about.version,
        user: user.clone(),
        warnings: role::warnings(&look.client, schema, user).await?,
        grants: Vec::new(),
    };
    let (found, ignored) = sorted(relations, config, catalogue);
    if !found.contains_key("person") {
        let instead = catalog::elsewhere(&look.client, schema).await?;
        return Err(DatabaseError::NoPerson { schema: schema.clone(), instead }.into());
    }
    let nulls = Arc::new(config.nulls.clone());
    let mut planned = BTreeMap::new();
    let mut unreadable = BTreeMap::new();
    for (name, relation) in found.into_iter().filter(|(name, _)| which.has(name)) {
        let plan = match relation {
            Ok(relation) => {
                let wanted = Wanted::named(&name, &config.tables, catalogue).ok_or(StoreError::NoPerson)?;
                Plan::of(wanted, relation, user, about.texts, &mut summary)
            }
            Err(error) => Err(error),
        };
        let plan = match plan {
            Ok(plan) => can_be_read(&look, &plan, database.connections).await?.map(|()| plan),
            Err(error) => Err(error),
        };
        match plan {
            Ok(plan) => drop(planned.insert(name, plan)),
            Err(error) => drop(unreadable.insert(name, error)),
        }
    }
    drop(look);
    if let Some(error) = unreadable.remove("person") {
        return Err(error);
    }
    let (moment, crowding) = locked(&door, about.version, &mut planned).await?;
    unreadable.extend(crowding);
    let relations: Vec<Arc<Relation>> = planned.values().map(|plan| Arc::clone(&plan.relation)).collect();
    let mut tables = BTreeMap::new();
    for (name, plan) in planned {
        match moment.aside(plan.read(&moment, &nulls)).await? {
            Err(StoreError::Database(error)) if !error.is_of_one_table() => return Err(error.into()),
            Ok(table) => drop(tables.insert(name, table)),
            Err(error) => drop(unreadable.insert(name, error)),
        }
    }
    let Some(person) = tables.get("person") else {
        return Err(unreadable.remove("person").unwrap_or(StoreError::NoPerson));
    };
    let people = people(&moment, person, &nulls).await?;
    let open = |relation: &Arc<Relation>| {
        let is_of = |table: &Table| matches!(&table.source, Source::Postgres(of) if Arc::ptr_eq(of, relation));
        tables.values().any(is_of)
    };
    let relations = relations.into_iter().filter(open).collect();
    let database = Database { door, version: about.version, nulls, relations };
    let unreadable = unreadable.into_iter().map(|(name, error)| (name, Err(error)));
    let tables = tables.into_iter().map(|(name, table)| (name, Ok(table))).chain(unreadable).collect();
    let found = Gathered { tables, people, ignored, buckets: 0 };
    Ok(Opened { found, database, summary })
}

/// The relations of a schema that are tables, by name, and those that are none, with the reason.
#[expect(clippy::type_complexity, reason = "the same as a folder's")]
fn sorted(
    relations: Vec<Relation>,
    config: &StoreConfig,
    catalogue: &[CatalogueTable],
) -> (BTreeMap<String, Result<Relation, StoreError>>, Vec<(String, String)>) {
    let (mut found, mut ignored) = (BTreeMap::<String, Result<Relation, StoreError>>::new(), Vec::new());
    for relation in relations {
        let names = tables_of(&plain(&relation.name), config, catalogue);
        if names.is_empty() {
            let why = match omop::closed(&plain(&relation.name)) {
                Some(why) => format!("closed to every study: {why}"),
                None => "neither an OMOP table that studies may read nor one of the consortium's catalogue".to_string(),
            };
            ignored.push((relation.shown.clone(), why));
        }
        for name in names {
            let second = match found.get(&name) {
                None => Ok(relation.clone()),
                Some(Err(error)) => Err(error.clone()),
                Some(Ok(first)) => {
                    let (first, second) = (first.shown.clone(), relation.shown.clone());
                    Err(StoreError::TwoSources { table: name.clone(), first, second })
                }
            };
            found.insert(name, second);
        }
    }
    (found, ignored)
}

/// Whether a relation can be asked for its rows at all: a view may be over what its owner may not read.
async fn can_be_read(
    look: &Connection,
    plan: &Plan,
    connections: u32,
) -> Result<Result<(), StoreError>, DatabaseError> {
    look.mark().await?;
    let sql = format!("SELECT FROM {} LIMIT 0", plan.relation.sql);
    let tried = look.client.batch_execute(&sql).await;
    // Its locks are given back: those of all tables at once may be too many.
    look.go_on(false).await?;
    match tried.map_err(|error| unread(&error, &plan.relation.shown)) {
        Err(error) if !error.is_of_one_table() => Err(error),
        Err(DatabaseError::Locks { .. }) => {
            let own = [Arc::clone(&plan.relation)];
            Ok(Err(crowded(look, connections, &own).await?.into()))
        }
        tried => Ok(tried.map_err(StoreError::from)),
    }
}

/// The present moment of as many tables as there is room for the locks of; the others are taken out.
async fn locked(
    door: &Arc<Door>,
    version: u32,
    planned: &mut BTreeMap<String, Plan>,
) -> Result<(Moment, Vec<(String, StoreError)>), StoreError> {
    let mut crowding = Vec::new();
    loop {
        let relations: Vec<Arc<Relation>> = planned.values().map(|plan| Arc::clone(&plan.relation)).collect();
        let (what, times) = match Moment::now(door, version, &relations).await {
            Err(DatabaseError::Locks { what, times }) => (what, times),
            moment => return Ok((moment?, crowding)),
        };
        let is_it = |(name, plan): &(&String, &Plan)| *name != "person" && plan.relation.shown == what;
        let name = planned.iter().find(is_it).map(|(name, _)| name.clone());
        let error = StoreError::from(DatabaseError::Locks { what, times });
        let Some(name) = name else { return Err(error) };
        planned.remove(&name);
        crowding.push((name, error));
    }
}

/// A table whose columns were looked for.
struct Plan {
    relation: Arc<Relation>,
    wanted: Wanted,
    survey: Survey,
    /// The columns that can be read, as far as their types go, with the mending that it takes.
    columns: Vec<Planned>,
}

struct Planned {
    column: Column,
    from: From,
    shape: Shape,
    fit: Fit,
}

impl Planned {
    /// Whether its values must be looked at one by one.
    const fn must_be_read(&self) -> bool {
        matches!(self.fit, Fit::Checked(_)) && !self.shape.has_bounds(self.column.kind)
    }
}

impl Plan {
    fn of(
        wanted: Wanted,
        relation: Relation,
        user: &str,
        texts: Texts,
        summary: &mut DatabaseSummary,
    ) -> Result<Self, StoreError> {
        let names: Vec<String> = relation.attributes.iter().map(|attribute| plain(&attribute.name)).collect();
        let files = [Columns { file: relation.shown.clone(), names: &names, given: &[] }];
        let mut survey = survey(&wanted, &files, false)?;
        let (mut columns, mut missing) = (Vec::new(), Vec::new());
        for (column, places) in std::mem::take(&mut survey.there) {
            let from = places[0];
            let Some(attribute) = at(&relation, from) else { continue };
            let fit = attribute.shape.map_or(Fit::Not, |shape| shape.fit(&column));
            match (attribute, attribute.shape, fit) {
                (Attribute { is_granted: false, name, .. }, ..) => {
                    missing.push(quoted(name));
                    survey.unreadable.push((column, DatabaseError::ungranted(user, "it")));
                }
                (_, Some(shape @ Shape::Text { .. }), Fit::Plain) if texts != Texts::Unicode => {
                    let how = "a text in no known encoding; every value is UTF-8";
                    let fit = Fit::Checked((texts == Texts::Bytes).then_some(how));
                    columns.push(Planned { column, from, shape, fit });
                }
                (_, Some(shape), Fit::Plain | Fit::Mended(_) | Fit::Checked(_)) => {
                    columns.push(Planned { column, from, shape, fit });
                }
                (_, shape, _) => {
                    let why = format!("it has {} there, not {}", Shape::words(shape), column.words());
                    survey.unreadable.push((column, why));
                }
            }
        }
        if !relation.is_placed && relation.kind != RelationKind::Computed {
            missing.push(quoted("ctid"));
        }
        let extra = relation
            .attributes
            .iter()
            .filter(|attribute| attribute.is_granted && survey.withheld.contains(&plain(&attribute.name)));
        let extra: Vec<&str> = extra.map(|attribute| attribute.name.as_str()).collect();
        if !extra.is_empty() {
            let columns = extra.join(", ");
            let table = &relation.shown;
            summary.warnings.push(format!(
                "`{user}` may also read what no study may, of {table}: {columns}; take that from it, or from PUBLIC or the role that it has it by, \
                 and grant SELECT per column"
            ));
        }
        if relation.is_filtered {
            let table = &relation.shown;
            summary
                .warnings
                .push(format!("row-level policies hide rows of {table} from `{user}`; studies do not see those"));
        }
        if !missing.is_empty() {
            let grant = format!("GRANT SELECT ({}) ON {} TO {};", missing.join(", "), relation.sql, quoted(user));
            if let Some((column, _)) = survey.unreadable.iter().find(|(column, _)| column.name == wanted.first()) {
                let what = format!("{}, column `{}`, without which the table is closed", relation.shown, column.name);
                summary.grants.push(grant.clone());
                return Err(DatabaseError::NotGranted { user: user.to_string(), what, grant }.into());
            }
            summary.grants.push(grant);
        }
        if let Some((column, why)) = survey.unreadable.iter().find(|(column, _)| column.name == wanted.first()) {
            let (file, why) = (relation.shown, why.clone());
            return Err(StoreError::Column { file, column: column.name.clone(), why });
        }
        Ok(Self { relation: Arc::new(relation), wanted, survey, columns })
    }

    /// Looks at the values, as far as types do not say that every one can be read.
    async fn read(self, moment: &Moment, nulls: &Nulls) -> Result<Table, StoreError> {
        let Self { relation, wanted, mut survey, columns } = self;
        let (rows, looked) = looked_at(moment, &relation, &columns, nulls).await?;
        let mut kept = Vec::new();
        for (planned, looked) in columns.into_iter().zip(looked) {
            let column = &planned.column;
            let lost = match looked {
                Ok(lost) => lost,
                Err(why) => {
                    survey.unreadable.push((column.clone(), why));
                    continue;
                }
            };
            if lost.misfits > 0 {
                let count = lost.misfits;
                let are = if count == 1 { "1 value is".to_string() } else { format!("{count} values are") };
                survey.unreadable.push((column.clone(), format!("{are} not {}", column.words())));
                continue;
            }
            if lost.nothing > 0 {
                survey.mended.push((column.name.clone(), nothing(lost.nothing, column)));
            }
            if let Fit::Mended(how) | Fit::Checked(Some(how)) = planned.fit {
                survey.mended.push((column.name.clone(), how.to_string()));
            }
            kept.push(planned);
        }
        if let Some((column, why)) = survey.unreadable.iter().find(|(column, _)| column.name == wanted.first()) {
            let (file, why) = (relation.shown.clone(), why.clone());
            return Err(StoreError::Column { file, column: column.name.clone(), why });
        }
        let columns: Vec<Column> = kept.iter().map(|planned| planned.column.clone()).collect();
        let role = wanted.role(&columns, &relation.shown)?;
        let key = match role {
            Role::Patients { subject, .. } if wanted.table == "person" || wanted.single => Some(subject),
            Role::Patients { .. } => None,
            Role::Vocabulary => {
                let key = omop::key(&wanted.table);
                kept.iter().position(|planned| key == Some(&planned.column.name))
            }
        };
        let notes = Notes {
            file: relation.shown.clone(),
            format: "postgresql",
            files: 1,
            prefix: String::new(),
            withheld: survey.withheld,
            mended: survey.mended,
            unreadable: survey.unreadable.into_iter().map(|(column, why)| (column.name, why)).collect(),
            left_out: None,
            unseen: None,
        };
        let source = Source::Postgres(Arc::clone(&relation));
        let mut table = Table { name: wanted.table, role, columns, given: 0, rows: Some(rows), key, source, notes };
        // Who is in PERSON is looked at by itself.
        if let Some(key) = Key::of(&table, &relation).filter(|_| table.name != "person")
            && !key.holds(moment, &relation, nulls).await?
        {
            if wanted.single {
                return Err(StoreError::NotSingle { table: table.name, file: relation.shown.clone() });
            }
            table.key = None;
        }
        Ok(table)
    }
}

/// A column of a relation.
fn at(relation: &Relation, from: From) -> Option<&Attribute> {
    match from {
        From::At(position) => relation.attributes.get(position),
        From::Given(_) => None,
    }
}

/// What a look at a column's values found.
#[derive(Clone, Copy, Default)]
struct Lost {
    /// How many are not what the column holds.
    misfits: u64,
    /// How many are days or numbers that are none.
    nothing: u64,
}

/// How many rows there are, and what of each column's values is lost; or why they cannot be read.
async fn looked_at(
    moment: &Moment,
    relation: &Arc<Relation>,
    columns: &[Planned],
    nulls: &Nulls,
) -> Result<(usize, Vec<Result<Lost, String>>), DatabaseError> {
    let whole: Vec<&Planned> = columns.iter().collect();
    match moment.aside(look(moment, relation, &whole, nulls)).await? {
        Ok((rows, lost)) => return Ok((rows, lost.into_iter().map(Ok).collect())),
        Err(error) if uncomputed(&error).is_none() => return Err(error),
        Err(_) => {}
    }
    // One by one: the others can be read.
    let (rows, _) = look(moment, relation, &[], nulls).await?;
    let mut found = Vec::with_capacity(columns.len());
    for planned in columns {
        found.push(match moment.aside(look(moment, relation, &[planned], nulls)).await? {
            Ok((_, lost)) => Ok(lost.into_iter().next().unwrap_or_default()),
            Err(error) => Err(uncomputed(&error).ok_or(error)?),
        });
    }
    Ok((rows, found))
}

/// Why a column cannot be read, where that is for the sake of its own values.
fn uncomputed(error: &DatabaseError) -> Option<String> {
    match error {
        DatabaseError::Value { state, .. } | DatabaseError::Refused { state, .. } => Some(format!(
            "the server cannot hand over every value (SQLSTATE {state}): an expression of a view fails on a row, or a text has no place \
             in UTF-8"
        )),
        _ => None,
    }
}

/// Looks at the values of columns: the server counts what can be counted there, and hands over what must be read.
async fn look(
    moment: &Moment,
    relation: &Arc<Relation>,
    columns: &[&Planned],
    nulls: &Nulls,
) -> Result<(usize, Vec<Lost>), DatabaseError> {
    let (rows, mut lost) = bounds(moment, relation, columns).await?;
    values(moment, relation, columns, nulls, &mut lost).await?;
    Ok((rows, lost))
}

/// How many rows there are, and how many values of which columns are none (days beyond the years 0001 to 9999, NaN and infinities) or
/// beyond every double. Comparing these cannot fail. What a view computes may: it is computed for every row.
async fn bounds(
    moment: &Moment,
    relation: &Relation,
    columns: &[&Planned],
) -> Result<(usize, Vec<Lost>), DatabaseError> {
    let is_whole = moment.division(relation) == Division::Whole;
    let mut counts = vec!["count(*)".to_string()];
    // Where which count belongs.
    let (mut nothing, mut misfits) = (BTreeMap::new(), BTreeMap::new());
    for (at, planned) in columns.iter().enumerate() {
        let Some(attribute) = self::at(relation, planned.from) else { continue };
        let name = quoted(&attribute.name);
        let none = format!("{name}::pg_catalog.text IN {}", super::NO_NUMBERS);
        let beyond = |of: &str| format!("NOT ({})", within(&name, of));
        if planned.shape.has_bounds(planned.column.kind) {
            nothing.insert(counts.len(), at);
            let is_none = match planned.shape {
                Shape::Moment { zoned: true } => beyond("timestamptz"),
                Shape::Moment { zoned: false } => beyond("timestamp"),
                Shape::Double | Shape::Numeric => none.clone(),
                _ => beyond("date"),
            };
            counts.push(format!("count({name}) FILTER (WHERE {is_none})"));
            if planned.shape == Shape::Numeric {
                misfits.insert(counts.len(), at);
                let most = f64::MAX;
                counts.push(format!(
                    "count({name}) FILTER (WHERE NOT ({none} OR {name} BETWEEN '-{most:.0}'::pg_catalog.numeric AND \
                     '{most:.0}'::pg_catalog.numeric))"
                ));
            }
        } else if is_whole || attribute.is_virtual {
            counts.push(format!("count({name})"));
        }
    }
    let sql = format!("SELECT {} FROM {}", counts.join(", "), relation.sql);
    let counted = moment.counts(&relation.shown, &sql, counts.len()).await?;
    let counted: Vec<u64> = counted.into_iter().map(|count| u64::try_from(count).unwrap_or(0)).collect();
    let mut lost = vec![Lost::default(); columns.len()];
    for (from, to) in nothing {
        lost[to].nothing = counted[from];
    }
    for (from, to) in misfits {
        lost[to].misfits = counted[from];
    }
    Ok((usize::try_from(counted[0]).unwrap_or(usize::MAX), lost))
}

/// The same of those columns where only looking at each value tells.
async fn values(
    moment: &Moment,
    relation: &Arc<Relation>,
    columns: &[&Planned],
    nulls: &Nulls,
    lost: &mut [Lost],
) -> Result<(), DatabaseError> {
    let (places, selected): (Vec<usize>, Vec<_>) = columns
        .iter()
        .enumerate()
        .filter(|(_, planned)| planned.must_be_read())
        .filter_map(|(place, planned)| {
            let name = at(relation, planned.from)?.name.clone();
            Some((place, (planned.column.clone(), name, planned.shape)))
        })
        .unzip();
    if places.is_empty() {
        return Ok(());
    }
    let selection = Selection { relation: Arc::clone(relation), columns: selected, condition: None };
    let take = |read: super::decode::Read| {
        for (place, (misfits, nothing)) in places.iter().zip(read.misfits.into_iter().zip(read.nothing)) {
            lost[*place].misfits += misfits;
            lost[*place].nothing += nothing;
        }
    };
    moment.each(&selection, nulls, take).await
}

/// Reads and checks the ids of PERSON; ascending.
async fn people(moment: &Moment, person: &Table, nulls: &Nulls) -> Result<Vec<i64>, StoreError> {
    let (Role::Patients { subject, .. }, Source::Postgres(relation)) = (person.role, &person.source) else {
        return Err(StoreError::NoPerson);
    };
    let column = &person.columns[subject];
    let Some((name, shape)) = attribute("person", relation, column) else { return Err(StoreError::NoPerson) };
    let columns = vec![(column.clone(), name, shape)];
    let selection = Selection { relation: Arc::clone(relation), columns, condition: None };
    let (mut people, mut lost) = (Vec::new(), 0);
    moment
        .each(&selection, nulls, |read| {
            lost += read.misfits[0];
            people.extend(read.batch.column(0).as_primitive::<Int64Type>().iter());
        })
        .await?;
    if lost > 0 {
        return Err(DatabaseError::Changed { what: relation.shown.clone() }.into());
    }
    checked(&people, &relation.shown, &|_| String::new())
}

impl Database {
    /// The moment that a study sees.
    pub(in crate::store) async fn now(&self) -> Result<Moment, StoreError> {
        Ok(Moment::now(&self.door, self.version, &self.relations).await?)
    }

    /// The people who are there now.
    pub(in crate::store) async fn people(&self, person: &Table) -> Result<Vec<i64>, StoreError> {
        let Source::Postgres(relation) = &person.source else { return Err(StoreError::NoPerson) };
        let own = [Arc::clone(relation)];
        let moment = Moment::now(&self.door, self.version, &own).await?;
        people(&moment, person, &self.nulls).await
    }

    pub(in crate::store) const fn nulls(&self) -> &Arc<Nulls> {
        &self.nulls
    }
}
